//! Clients that take their time, as a real server and ours serve them: both wait for the rest of a request and for
//! a client that reads nothing, and serve others meanwhile. Ours sets limits to that, which `docs/operations.md` lists.

use std::net::SocketAddr;

use client::{RemoteCache, RequestExpiration};
use hotrod::{DecodeError, Intelligence, Limits, Reader, ResponseHeader, Status, op};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{
    OCTETS, TestServer,
    infinispan::{Infinispan, Setup, Version, cache_element},
    message, note,
};

const CACHE: &str = "slow";

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// Bytes of a large value. Some of them do not fit into the buffers of the operating system.
const LARGE: usize = 1_000_000;

/// Large values that a client asks for before it reads one of them.
const ASKED: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_waited_for_and_hold_up_nobody_else() {
    let real = Infinispan::start(Setup {
        login: false,
        ..Setup::new(Version::V16, cache_element(CACHE, "application/octet-stream", ""))
    })
    .await;
    let ours = TestServer::start().await;
    let cache = ours.cache_of(CACHE, OCTETS).await;
    for (name, address, cache) in
        [("16.0.7", real.address(), real.cache(CACHE).await), ("ours", ours.address(), cache)]
    {
        half_a_request(address, &cache).await;
        half_a_request_over_rest(address, &cache).await;
        answers_that_are_read_late(address, &cache).await;
        note(format_args!("{name} has waited"));
    }
    ours.stop().await;
}

async fn half_a_request(address: SocketAddr, cache: &RemoteCache) {
    let value = vec![7; LARGE];
    let put =
        message(CACHE, &op::Put(op::NewEntry { key: b"half", value: &value, expiration: NEVER }));
    let (first, rest) = put.split_at(put.len() / 2);

    let mut given_up = TcpStream::connect(address).await.unwrap();
    given_up.write_all(first).await.unwrap();
    drop(given_up);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    others_are_served(cache).await;
    assert_eq!(cache.get(b"half").await.unwrap(), None);

    stream.write_all(rest).await.unwrap();
    assert_eq!(answers(&mut stream, 1, |_, _| Ok(())).await, [Status::Success]);
    assert_eq!(cache.get(b"half").await.unwrap(), Some(value.into()));
}

async fn half_a_request_over_rest(address: SocketAddr, cache: &RemoteCache) {
    let head = format!("PUT /rest/v2/caches/{CACHE}/rest HTTP/1.1\r\nHost: {address}\r\n");
    let mut put = format!("{head}Content-Length: {LARGE}\r\n\r\n").into_bytes();
    put.extend(vec![8; LARGE]);
    let (first, rest) = put.split_at(put.len() / 2);

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    others_are_served(cache).await;
    assert_eq!(cache.get(b"rest").await.unwrap(), None);

    stream.write_all(rest).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(str::from_utf8(&answer), Ok("HTTP/1.1 204"));
    assert_eq!(cache.get(b"rest").await.unwrap(), Some(vec![8; LARGE].into()));
}

async fn answers_that_are_read_late(address: SocketAddr, cache: &RemoteCache) {
    cache.put(b"large", &vec![9; LARGE], NEVER).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(&message(CACHE, &op::Get { key: b"large" }).repeat(ASKED)).await.unwrap();
    others_are_served(cache).await;

    let read = answers(&mut stream, ASKED, |status, reader| {
        assert_eq!(status, Status::Success);
        assert!(reader.array("value")? == vec![9; LARGE]);
        Ok(())
    });
    assert_eq!(read.await.len(), ASKED);
}

/// Another client writes and reads, large entries as well.
async fn others_are_served(cache: &RemoteCache) {
    for round in 0..20 {
        let value = vec![round; if round % 10 == 0 { LARGE } else { 10 }];
        cache.put(b"other", &value, NEVER).await.unwrap();
        assert_eq!(cache.get(b"other").await.unwrap(), Some(value.into()));
    }
}

/// Reads so many answers. `see` reads what is in them.
async fn answers(
    stream: &mut TcpStream,
    count: usize,
    see: impl Fn(Status, &mut Reader<'_>) -> Result<(), DecodeError>,
) -> Vec<Status> {
    let (mut received, mut statuses) = (Vec::new(), Vec::new());
    while statuses.len() < count {
        let mut reader = Reader::new(&received, Limits::NONE);
        let header = ResponseHeader::decode(&mut reader, Intelligence::Basic);
        match header.and_then(|header| see(header.status, &mut reader).map(|()| header.status)) {
            Ok(status) => {
                let len = reader.position();
                received.drain(..len);
                statuses.push(status);
            }
            Err(DecodeError::Incomplete { .. }) => {
                assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the server has left");
            }
            Err(error) => panic!("{error}"),
        }
    }
    statuses
}
