//! What nobody should send, sent.

use std::time::Duration;

use hex_literal::hex;
use hotrod::{Limits, Reader, ResponseHeader, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{OCTETS, ServerProcess, TestServer};

/// Sends some bytes, and reads until the server ends the connection.
async fn refusal(server: &TestServer, bytes: &[u8]) -> (Status, String) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let mut reader = Reader::new(&answer, Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, hotrod::Intelligence::Basic).unwrap();
    (header.status, reader.text("error").unwrap().to_owned())
}

#[tokio::test]
async fn a_request_that_cannot_be_read_gets_an_error_that_says_why_and_then_the_end() {
    let server = TestServer::start().await;
    let _ = server.cache("c").await;
    // A GET of cache "c" in 4.1 begins so.
    let get = hex!("A0 01 29 03 01 63 00 01 00 00 00 00");
    let put = hex!("A0 01 29 01 01 63 00 01 00 00 00 00");
    let two_gibibytes = hex!("80 80 80 80 08");
    let cases: [(Vec<u8>, Status, &str); 6] = [
        (
            [&get[..], &two_gibibytes].concat(),
            Status::ParseError,
            "the key of 2147483648 bytes is longer than 65536",
        ),
        (
            [&put[..], &hex!("01 6B 88"), &two_gibibytes].concat(),
            Status::ParseError,
            "the value of 2147483648 bytes",
        ),
        (
            hex!("A0 01 29 99 00 00 01 00 00 00 00").to_vec(),
            Status::UnknownOperation,
            "Unknown operation -103",
        ),
        (hex!("A0 01 0A 03 00 00 01 00").to_vec(), Status::UnknownVersion, "Unknown version:10"),
        (
            hex!("A0 01 29 03 01 FF 00 01 00 00 00 00 01 6B").to_vec(),
            Status::ParseError,
            "the cache name is not UTF-8",
        ),
        (
            [&put[..], &hex!("01 6B 9F 00 01 76")].concat(),
            Status::ParseError,
            "the unit of a duration cannot be",
        ),
    ];
    for (bytes, status, text) in cases {
        let (actual, answer) = refusal(&server, &bytes).await;
        assert_eq!(actual, status, "{answer}");
        assert!(answer.contains(text), "{answer:?} does not say {text:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_second_request_with_bad_magic_is_told_so() {
    let server = TestServer::start().await;
    let ping = hex!("A0 01 29 17 00 00 01 00 00 00 00");
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&[&ping[..], b"GET / HTTP/1.1\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("Error reading magic byte or message id: 71"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_clients_that_announce_two_gibibytes_take_no_memory() {
    // In a process of its own, whose memory is that of the server alone.
    let server = ServerProcess::start(&[]).await;
    server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    let cache = server.client().await.cache("c").await.unwrap();
    // A PUT whose value has the most that is allowed, of which one byte arrives.
    let put = hex!("A0 01 29 01 01 63 00 01 00 00 00 00 01 6B 88 80 AD E2 04 76");
    // And one that announces 2 GiB: it is refused at once.
    let huge = hex!("A0 01 29 01 01 63 00 01 00 00 00 00 01 6B 88 80 80 80 80 08 76");
    let before = resident(server.pid());
    let mut streams = Vec::new();
    for index in 0..1_000 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let bytes = if index % 2 == 0 { &put[..] } else { &huge[..] };
        stream.write_all(bytes).await.unwrap();
        streams.push(stream);
    }
    // The server has taken all of them in once it answers somebody who comes last.
    cache.put(b"k", b"v", client::RequestExpiration::NEVER).await.unwrap();
    assert_eq!(cache.get(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes for 1,000 connections");
    drop(streams);
    assert!(server.terminate().await.success());
}

/// Resident memory of a process.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn limits_are_settings_and_hold_for_requests() {
    let limits = config::LimitsFile {
        max_content: Some(1_000),
        max_key: Some(10),
        ..config::LimitsFile::default()
    };
    let file = config::ServerFile { limits, ..config::ServerFile::default() };
    let server = TestServer::start_with(file).await;
    let cache = server.cache("c").await.with_timeout(Duration::from_secs(5));
    let never = client::RequestExpiration::NEVER;
    cache.put(&[1; 10], &[2; 900], never).await.unwrap();
    cache.put(&[1; 11], b"v", never).await.unwrap_err();
    cache.put(&[1; 10], &[2; 1_001], never).await.unwrap_err();
    assert_eq!(cache.get(&[1; 10]).await.unwrap().map(|value| value.len()), Some(900));
    let rest = &server.rest;
    rest.post("/rest/v2/caches/c/0123456789", "v").await.with(204);
    let refused = rest.post("/rest/v2/caches/c/0123456789a", "v").await.with(400);
    assert_eq!(refused.text(), "a key of 11 bytes is longer than 10 bytes");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_stop_the_server_from_ending() {
    let server = TestServer::start().await;
    let _silent = TcpStream::connect(server.address()).await.unwrap();
    let mut half = TcpStream::connect(server.address()).await.unwrap();
    half.write_all(&hex!("A0 01 29")).await.unwrap();
    server.stop().await;
    let mut end = [0];
    assert_eq!(half.read(&mut end).await.unwrap_or(0), 0);
}
