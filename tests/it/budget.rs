//! Peers that take more than their part: memory stays within its bound, and the others are served.

use std::{net::SocketAddr, path::Path, time::Duration};

use client::{RemoteCache, RequestExpiration};
use config::{LimitsFile, MemoryLimit, ServerFile};
use hotrod::{
    ProtocolVersion, Status,
    op::{self, Response},
};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Body, Bytes},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::{
    connection::{Wire, to_c},
    harness::{Half, Rest, ServerProcess, TestServer, eventually},
};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// Says that something is broken, not how long something takes.
const LONGEST: Duration = Duration::from_secs(60);

/// Bytes of a large value.
const LARGE: usize = 900_000;

/// What connections may take of `--max-memory`, in the servers here.
const BUDGET: u64 = 10_000_000;

/// Peers that behave badly: together they want several times the budget.
const PEERS: usize = 40;

async fn server() -> TestServer {
    let limits = LimitsFile { max_content: Some(1_000_000), ..LimitsFile::default() };
    let max_memory = Some(MemoryLimit::Bytes(8 * BUDGET));
    TestServer::start_with(ServerFile { limits, max_memory, ..ServerFile::default() }).await
}

/// A metric of a server, by its name and labels.
async fn metric(rest: &Rest, name: &str) -> Option<u64> {
    let metrics = rest.get("/metrics").await.with(200);
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned();
    Some(line.parse().unwrap())
}

/// A connection that takes in little that is not read.
async fn slow_reader(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Connections that all send the same, and neither send nor read anything after that.
async fn silent(server: &TestServer, peers: usize, bytes: &[u8]) -> Vec<JoinHandle<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..peers {
        let mut stream = slow_reader(server.address()).await;
        let bytes = bytes.to_vec();
        // While the server does not read, some wait here; and it may close them in the middle.
        streams.push(tokio::spawn(async move {
            let _ = stream.write_all(&bytes).await;
            stream
        }));
    }
    streams
}

/// Serves a good client while others are silent, until so many of them are closed.
async fn works_on(server: &TestServer, cache: &RemoteCache, to_be_closed: u64) {
    let end = tokio::time::Instant::now() + LONGEST;
    for round in 0_u32.. {
        cache.put(b"small", b"v", NEVER).await.unwrap();
        assert_eq!(cache.get(b"small").await.unwrap().as_deref(), Some(&b"v"[..]));
        server.rest.get("/rest/v2/cache-managers/default/health/status").await.with(200);
        let used = metric(&server.rest, "godwit_connection_memory_bytes").await.unwrap();
        // Each thread may finish what it has in its hands.
        assert!(used <= BUDGET + 4 * LARGE as u64, "{used}");
        let closed = metric(&server.rest, "godwit_connections_closed_total{reason=\"memory\"}");
        if closed.await.is_some_and(|closed| closed >= to_be_closed) && round > 20 {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "nobody is closed");
    }
    // Large requests have their turn as well.
    let large = vec![1; LARGE];
    tokio::time::timeout(LONGEST, cache.put(b"large", &large, NEVER)).await.unwrap().unwrap();
    let got = tokio::time::timeout(LONGEST, cache.get(b"large")).await.unwrap();
    assert_eq!(got.unwrap().map(|value| value.len()), Some(LARGE));
}

async fn with_large_values(server: &TestServer) -> RemoteCache {
    let cache = server.cache("c").await;
    for number in 0..10_u8 {
        cache.put(&[number], &vec![number; LARGE], NEVER).await.unwrap();
    }
    cache
}

#[tokio::test(flavor = "multi_thread")]
async fn what_requests_and_answers_took_is_given_back() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let keys = (0..4).map(|number| vec![number]).collect::<Vec<_>>();
    assert_eq!(cache.get_all(keys).await.unwrap().len(), 4);
    assert_eq!(cache.get(&[5]).await.unwrap().map(|value| value.len()), Some(LARGE));
    let path = "/rest/v2/caches/c/k";
    server.rest.call(http::Method::PUT, path, &[], vec![b'v'; LARGE]).await.with(204);
    server.rest.get(path).await.with(200);
    server.rest.get("/rest/v2/caches/c?action=entries").await.with(200);
    eventually("nothing is counted", async || {
        metric(&server.rest, "godwit_connection_memory_bytes").await.filter(|used| *used == 0)
    })
    .await;
    assert_eq!(cache.get(b"none").await.unwrap(), None, "its connection is still open");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_answers_are_closed_and_others_are_served() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let gets = (0..10).flat_map(|number| to_c(&op::Get { key: &[number] })).collect::<Vec<_>>();
    let _silent = silent(&server, PEERS, &gets).await;
    works_on(&server, &cache, 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_answers_that_nobody_reads_stay_within_the_budget() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let bulk = to_c(&op::BulkGet { most: 4 }).repeat(4);
    let _silent = silent(&server, PEERS, &bulk).await;
    works_on(&server, &cache, 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iterations_that_nobody_reads_stay_within_the_budget() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let mut wires = Vec::new();
    for _ in 0..PEERS {
        let mut wire = Wire::over(slow_reader(server.address()).await);
        let start = op::IterationStart {
            segments: None,
            converter: None,
            parameters: Vec::new(),
            batch: 10,
            with_metadata: false,
        };
        wire.send(&to_c(&start)).await;
        let started = wire.answer(|status, reader| {
            let started = op::IterationStarted::decode(status, ProtocolVersion::V4_1, reader)?;
            Ok(started.id.to_owned())
        });
        let (_, id, _) = started.await;
        wire.send(&to_c(&op::IterationNext { id: &id }).repeat(10)).await;
        wires.push(wire);
    }
    works_on(&server, &cache, 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_half_sent_do_not_keep_others_out() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let entry = op::NewEntry { key: b"k", value: &vec![7; LARGE], expiration: NEVER };
    let put = to_c(&op::Put(entry));
    let _silent = silent(&server, PEERS, &put[..put.len() / 2]).await;
    works_on(&server, &cache, 5).await;
    assert_eq!(cache.get(b"k").await.unwrap(), None, "nothing is stored of half a request");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_which_a_byte_comes_now_and_then_do_not_keep_others_out() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let entry = op::NewEntry { key: b"k", value: &vec![7; LARGE], expiration: NEVER };
    let put = to_c(&op::Put(entry));
    for mut stream in silent(&server, PEERS, &put[..20_000]).await {
        tokio::spawn(async move {
            let mut stream = (&mut stream).await.unwrap();
            while stream.write_all(b"v").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    works_on(&server, &cache, 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_http_that_are_half_sent_do_not_keep_others_out() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let mut put = format!(
        "PUT /rest/v2/caches/c/k HTTP/1.1\r\nHost: {}\r\nContent-Length: {LARGE}\r\n\r\n",
        server.address()
    )
    .into_bytes();
    put.extend(vec![b'v'; LARGE / 2]);
    let _silent = silent(&server, PEERS, &put).await;
    works_on(&server, &cache, 5).await;
    let path = "/rest/v2/caches/c/large-over-http";
    let call = server.rest.call(http::Method::PUT, path, &[], vec![b'v'; LARGE]);
    tokio::time::timeout(LONGEST, call).await.expect("it is not kept out").with(204);
    server.rest.get(path).await.with(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_over_http_are_closed_and_others_are_served() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    // More than one, so that they do not fit into the buffers of the operating system.
    let get = format!(
        "GET /rest/v2/caches/c?action=entries&limit=10 HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    );
    let one = format!("GET /rest/v2/caches/c/%01 HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let _entries = silent(&server, 10, get.as_bytes()).await;
    let _values = silent(&server, PEERS, one.repeat(10).as_bytes()).await;
    works_on(&server, &cache, 5).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_listen_for_events_take_nothing_while_there_are_none() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let listen = format!(
        "GET /rest/v2/container/config?action=listen HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    );
    let mut listening = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(listen.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        listening.push(stream);
    }
    works_on(&server, &cache, 0).await;
    server.stop().await;
}

/// A connection over HTTP/2 whose streams take so many bytes without being read.
async fn over_http2<B>(server: &TestServer, window: u32) -> http2::SendRequest<B>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Unpin + Send + 'static,
{
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window).initial_connection_window_size(1 << 30);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_with_many_streams_stays_within_the_budget() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let path = "/rest/v2/caches/c/k";
    server.rest.call(http::Method::PUT, path, &[], vec![b'v'; LARGE]).await.with(204);
    let get = || {
        let uri = format!("http://{}{path}", server.address());
        http::Request::get(uri).body(Empty::new()).unwrap()
    };

    // Each stream is read as it comes. All of them together want several times the budget.
    let reading = over_http2(&server, 1 << 20).await;
    let all: Vec<_> = (0..100)
        .map(|_| {
            let (mut reading, request) = (reading.clone(), get());
            tokio::spawn(async move {
                let response = reading.send_request(request).await.unwrap();
                (response.status(), response.collect().await.unwrap().to_bytes().len())
            })
        })
        .collect();
    for answer in all {
        let answer = tokio::time::timeout(LONGEST, answer).await.expect("each is answered");
        assert_eq!(answer.unwrap(), (http::StatusCode::OK, LARGE));
    }

    // None of them is read. Some are answered; the others wait for room, until the connection is closed.
    let silent = over_http2(&server, 0).await;
    let answers: Vec<_> = (0..100)
        .map(|_| {
            let (mut silent, request) = (silent.clone(), get());
            tokio::spawn(async move { silent.send_request(request).await })
        })
        .collect();
    works_on(&server, &cache, 1).await;
    let mut refused = 0;
    for answer in answers {
        match answer.await.unwrap() {
            Ok(response) => assert!(response.collect().await.is_err(), "it breaks off"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "{refused}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_with_many_half_sent_requests_stays_within_the_budget() {
    let server = server().await;
    let cache = with_large_values(&server).await;
    let writing = over_http2(&server, 1 << 20).await;
    let answers: Vec<_> = (0..100)
        .map(|number| {
            let uri = format!("http://{}/rest/v2/caches/c/{number}", server.address());
            let half = Half::of(vec![b'v'; LARGE / 2].into());
            let request = http::Request::put(uri).header("content-length", LARGE);
            let (mut writing, request) = (writing.clone(), request.body(half).unwrap());
            tokio::spawn(async move { writing.send_request(request).await })
        })
        .collect();
    works_on(&server, &cache, 1).await;
    for answer in answers {
        let stored = answer.await.unwrap().is_ok_and(|answer| answer.status().is_success());
        assert!(!stored, "half of a request is not carried out");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_the_idle_timeout() {
    let idle_timeout = Some(Duration::from_millis(300));
    let limits = LimitsFile { idle_timeout, ..LimitsFile::default() };
    let server = TestServer::start_with(ServerFile { limits, ..ServerFile::default() }).await;
    server.cache("c").await;
    let mut busy = Wire::connect(&server).await;
    let idle = Wire::connect(&server).await;
    let mut over_http = TcpStream::connect(server.address()).await.unwrap();
    over_http.write_all(b"GET /rest/v2/server HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut ended = tokio::spawn(async move {
        let mut idle = idle;
        idle.send(&to_c(&op::Get { key: b"k" })).await;
        idle.status().await;
        idle.end().await;
        over_http.read_to_end(&mut Vec::new()).await.unwrap();
    });
    while !ended.is_finished() {
        busy.send(&to_c(&op::Get { key: b"k" })).await;
        assert_eq!(busy.status().await.0, Status::KeyDoesNotExist);
        tokio::task::yield_now().await;
    }
    (&mut ended).await.unwrap();
    server.stop().await;
}

/// A server with a file of settings.
async fn process(folder: &Path, settings: &str) -> ServerProcess {
    let file = folder.join("godwit.toml");
    std::fs::write(&file, settings).unwrap();
    ServerProcess::start(&["--config", file.to_str().unwrap()]).await
}

fn lines(server: &ServerProcess, text: &str) -> usize {
    server.later_log().lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn probes_and_administrators_are_served_beyond_the_most_connections() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[limits]\nmax-connections = 3\n[caches.c.distributed-cache]\nmode = 'SYNC'\n";
    let server = process(folder.path(), settings).await;
    let mut places = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::over(TcpStream::connect(server.address).await.unwrap());
        wire.send(&to_c(&op::Ping)).await;
        assert_eq!(wire.status().await.0, Status::Success);
        places.push(wire);
    }
    for _ in 0..3 {
        let mut refused = Wire::over(TcpStream::connect(server.address).await.unwrap());
        // With more behind it that nobody looks at, and more than the operating system takes before it is read.
        refused.send(&[to_c(&op::Ping), vec![7; 12_000_000]].concat()).await;
        let (status, text) = refused.status().await;
        assert_eq!(status, Status::ServerError);
        assert!(text.contains("as many as max-connections allows"), "{text}");
        refused.end().await;
        // More often than there are places for them.
        for _ in 0..20 {
            server.rest.get("/rest/v2/cache-managers/default/health/status").await.with(200);
        }
        server.rest.get("/metrics").await.with(200);
        server.rest.get("/rest/v2/caches/c").await.with(200);
        let entry = server.rest.get("/rest/v2/caches/c/k").await.with(503);
        assert!(entry.text().contains("max-connections"), "{}", entry.text());
        let put = "PUT /rest/v2/caches/c/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12000000\r\n\r\n";
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&[put.as_bytes(), &vec![7; 12_000_000]].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it is not reset");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    // Those that stay after they were refused hold no place.
    let mut staying = Vec::new();
    for _ in 0..3 * 16 {
        let mut wire = Wire::over(TcpStream::connect(server.address).await.unwrap());
        wire.send(&to_c(&op::Ping)).await;
        assert_eq!(wire.status().await.0, Status::ServerError);
        staying.push(wire);
        server.rest.get("/rest/v2/cache-managers/default/health/status").await.with(200);
    }
    drop(staying);
    // Those that say nothing lose such a place soon.
    let mut mute = Vec::new();
    for _ in 0..16 {
        mute.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.rest.get("/metrics").await.with(200);
    assert_eq!(lines(&server, "as many as max-connections allows"), 1, "{}", server.later_log());

    drop(places);
    eventually("a place becomes free", async || {
        let mut wire = Wire::over(TcpStream::connect(server.address).await.unwrap());
        wire.send(&to_c(&op::Ping)).await;
        (wire.status().await.0 == Status::Success).then_some(())
    })
    .await;
    server.rest.get("/rest/v2/caches/c/k").await.with(404);
    server.kill().await;
}

#[tokio::test]
async fn a_limit_that_closes_connections_is_named_in_the_log_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "max-memory = '8MB'\n[limits]\nmax-content = '1MB'\nidle-timeout = '1500ms'\n\
                    [caches.c.distributed-cache]\nmode = 'SYNC'\n";
    let server = process(folder.path(), settings).await;
    let entry = op::NewEntry { key: b"k", value: &vec![7; LARGE], expiration: NEVER };
    let put = to_c(&op::Put(entry));
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut half = TcpStream::connect(server.address).await.unwrap();
        half.write_all(&put[..20_000]).await.unwrap();
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(&to_c(&op::Ping)).await.unwrap();
        peers.extend([half, idle]);
    }
    for (reason, text) in [("memory", "max-memory"), ("idle", "idle-timeout")] {
        let closed = format!("godwit_connections_closed_total{{reason=\"{reason}\"}}");
        eventually(reason, async || {
            metric(&server.rest, &closed).await.filter(|closed| *closed > 5)
        })
        .await;
        assert_eq!(lines(&server, text), 1, "{}", server.later_log());
    }
    server.kill().await;
}

#[tokio::test]
async fn content_beyond_the_limit_is_refused_before_it_is_asked_for() {
    let server = server().await;
    server.cache("c").await;
    for (length, expected) in [(1_000_001, "HTTP/1.1 413 "), (1_000_000, "HTTP/1.1 100 ")] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let put = format!(
            "PUT /rest/v2/caches/c/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(put.as_bytes()).await.unwrap();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected);
    }
    server.stop().await;
}
