//! Puts a server under the pressure of clients that do not read, do not go on, or are very many, and shows what that
//! costs it and a client that does nothing wrong.
//!
//! `cargo run --release -p godwit-tests --example pressure [SECONDS] [NAME]`

#![expect(clippy::print_stdout, reason = "what it measures is printed")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use client::{RemoteCache, RequestExpiration};
use godwit_tests::{Half, OCTETS, Rest, ServerProcess, message};
use hotrod::{
    Intelligence, Limits, ProtocolVersion, Reader, ResponseHeader,
    op::{self, Response},
};
use http_body_util::Empty;
use hyper::{
    body::{Body, Bytes},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// Bytes of a large value: as large as a request may be, without its head.
const LARGE: usize = 9_900_000;

/// What is done to the server.
const KINDS: [&str; 9] = [
    "nothing",
    "300 GETs not read",
    "300 PUTs half sent",
    "300 PUTs half sent (REST)",
    "300 GETs not read (REST)",
    "100 streams not read (HTTP/2)",
    "100 streams half sent (HTTP/2)",
    "300 iterations not read",
    "10,000 idle connections",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(15), |seconds| seconds.parse())?;
    let named = arguments.next().unwrap_or_default();
    println!("| pressure | growth, MB | p99 before, µs | p99, µs | health, at most ms | closed |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for kind in KINDS.iter().filter(|kind| kind.contains(&named)) {
        measure(kind, Duration::from_secs(seconds)).await.with_context(|| (*kind).to_owned())?;
    }
    Ok(())
}

async fn measure(kind: &str, time: Duration) -> anyhow::Result<()> {
    let server = ServerProcess::start(&["--max-memory", "1GB"]).await;
    server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    let cache = server.client().await.cache("c").await?;
    for number in 0..10 {
        cache.put(&[number], &vec![number; LARGE], NEVER).await?;
    }
    let before = latencies(&cache, time).await?;
    let (pid, begin) = (server.pid(), resident(server.pid())?);
    let ended = Arc::new(AtomicBool::new(false));
    let watched = tokio::spawn(watch(pid, server.rest.clone(), Arc::clone(&ended)));
    let mut peers = JoinSet::new();
    press(kind, server.address, &mut peers).await?;
    let during = latencies(&cache, time).await?;
    ended.store(true, Relaxed);
    let (most, health) = watched.await??;
    let metrics = server.rest.get("/metrics").await;
    let closed: u64 = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with("godwit_connections_closed_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    let growth = most.saturating_sub(begin) / 1_000_000;
    println!("| {kind} | {growth} | {before} | {during} | {} | {closed} |", health.as_millis());
    for line in server.later_log().lines() {
        println!("  {line}");
    }
    peers.abort_all();
    server.kill().await;
    Ok(())
}

/// The 99th percentile of a client's reads and writes of 100 bytes, in microseconds.
async fn latencies(cache: &RemoteCache, time: Duration) -> anyhow::Result<u128> {
    let (end, mut taken) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        let begin = Instant::now();
        cache.put(b"good", &[1; 100], NEVER).await?;
        taken.push(begin.elapsed());
        let begin = Instant::now();
        cache.get(b"good").await?;
        taken.push(begin.elapsed());
    }
    taken.sort_unstable();
    let place = taken.len() * 99 / 100;
    Ok(taken.get(place).ok_or_else(|| anyhow!("no time for a request"))?.as_micros())
}

/// The most memory that a process takes meanwhile, and the longest wait of a probe.
async fn watch(pid: u32, rest: Rest, ended: Arc<AtomicBool>) -> anyhow::Result<(u64, Duration)> {
    let (mut most, mut longest) = (0, Duration::ZERO);
    while !ended.load(Relaxed) {
        most = most.max(resident(pid)?);
        let begin = Instant::now();
        rest.get("/rest/v2/cache-managers/default/health/status").await.with(200);
        longest = longest.max(begin.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((most, longest))
}

/// Bytes of memory that a process takes.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or_else(|| anyhow!("no VmRSS"))?.parse::<u64>()? * 1_024)
}

async fn press(
    kind: &str,
    address: SocketAddr,
    peers: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    match kind {
        "nothing" => {}
        "300 GETs not read" => {
            all_send(peers, address, message("c", &op::Get { key: &[1] })).await?;
        }
        "300 PUTs half sent" => {
            let entry = op::NewEntry { key: b"half", value: &vec![1; LARGE], expiration: NEVER };
            let mut put = message("c", &op::Put(entry));
            put.truncate(put.len() / 2);
            all_send(peers, address, put).await?;
        }
        "300 PUTs half sent (REST)" => {
            let head = format!("PUT /rest/v2/caches/c/k HTTP/1.1\r\nHost: {address}\r\n");
            let mut put = format!("{head}Content-Length: {LARGE}\r\n\r\n").into_bytes();
            put.extend(vec![1; LARGE / 2]);
            all_send(peers, address, put).await?;
        }
        "300 GETs not read (REST)" => {
            let path = "/rest/v2/caches/c?action=entries&limit=10";
            let get = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            all_send(peers, address, get.into_bytes()).await?;
        }
        "100 streams not read (HTTP/2)" => streams_not_read(peers, address).await?,
        "100 streams half sent (HTTP/2)" => streams_half_sent(peers, address).await?,
        "300 iterations not read" => {
            for _ in 0..300 {
                let mut stream = connected(address).await?;
                peers.spawn(async move {
                    let id = iteration(&mut stream).await?;
                    let next = message("c", &op::IterationNext { id: &id }).repeat(10);
                    stay(stream, next).await
                });
            }
        }
        "10,000 idle connections" => {
            for _ in 0..10_100 {
                let stream = connected(address).await?;
                peers.spawn(stay(stream, message("c", &op::Ping)));
            }
        }
        other => bail!("{other} is not known"),
    }
    Ok(())
}

/// Sends the same over 300 connections, and reads nothing.
async fn all_send(
    peers: &mut JoinSet<anyhow::Result<()>>,
    address: SocketAddr,
    bytes: Vec<u8>,
) -> anyhow::Result<()> {
    for _ in 0..300 {
        let stream = connected(address).await?;
        peers.spawn(stay(stream, bytes.clone()));
    }
    Ok(())
}

/// Sends bytes, and stays.
async fn stay(mut stream: TcpStream, bytes: Vec<u8>) -> anyhow::Result<()> {
    stream.write_all(&bytes).await?;
    drop(bytes);
    std::future::pending().await
}

/// A connection that takes in little that is not read.
async fn connected(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    Ok(socket.connect(address).await?)
}

async fn iteration(stream: &mut TcpStream) -> anyhow::Result<String> {
    let start = op::IterationStart {
        segments: None,
        converter: None,
        parameters: Vec::new(),
        batch: 10,
        with_metadata: false,
    };
    stream.write_all(&message("c", &start)).await?;
    let mut answer = vec![0; 256];
    let read = stream.read(&mut answer).await?;
    let mut reader = Reader::new(answer.get(..read).unwrap_or_default(), Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, Intelligence::Basic)?;
    let started = op::IterationStarted::decode(header.status, ProtocolVersion::V4_1, &mut reader)?;
    Ok(started.id.to_owned())
}

/// Asks 100 times for an entry over one connection, and lets none of the answers come.
async fn streams_not_read(
    peers: &mut JoinSet<anyhow::Result<()>>,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let rest = Rest::new(address);
    let config = OCTETS.replace("octet-stream", "x-protostream");
    rest.post("/rest/v2/caches/p", config).await.with(200);
    let text = [("content-type", "text/plain")];
    let put = rest.call(http::Method::PUT, "/rest/v2/caches/p/k", &text, vec![b'v'; LARGE]);
    put.await.with(204);
    let asking = over_http2(peers, address).await?;
    for _ in 0..100 {
        let mut asking = asking.clone();
        let uri = format!("http://{address}/rest/v2/caches/p/k");
        // Converted, so that each answer is a copy.
        let request = http::Request::get(uri).header("accept", "application/json");
        let request = request.body(Empty::<Bytes>::new())?;
        peers.spawn(async move {
            let _answer = asking.send_request(request).await?;
            std::future::pending().await
        });
    }
    Ok(())
}

/// Sends half of 100 requests over one connection.
async fn streams_half_sent(
    peers: &mut JoinSet<anyhow::Result<()>>,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let writing = over_http2(peers, address).await?;
    for number in 0..100 {
        let mut writing = writing.clone();
        let uri = format!("http://{address}/rest/v2/caches/c/{number}");
        let request = http::Request::put(uri).header("content-length", LARGE);
        let request = request.body(Half::of(vec![b'v'; LARGE / 2].into()))?;
        peers.spawn(async move {
            writing.send_request(request).await?;
            Ok(())
        });
    }
    Ok(())
}

/// A connection over HTTP/2 that reads no content.
async fn over_http2<B>(
    peers: &mut JoinSet<anyhow::Result<()>>,
    address: SocketAddr,
) -> anyhow::Result<http2::SendRequest<B>>
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin + Send + 'static,
{
    let stream = TcpStream::connect(address).await?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    peers.spawn(async move { Ok(connection.await?) });
    Ok(sender)
}
