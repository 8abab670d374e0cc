//! Reads a server's clock from the `Date` of an HTTP answer.
//!
//! The port of an Infinispan server speaks HTTP as well as Hot Rod. Its answers carry a date only where it
//! serves the files of its console, which needs no login, and only to GET; nothing is sent but the request,
//! and only the head of the answer is read.

use std::time::{Duration, UNIX_EPOCH};

use client::ServerAddress;
use cluster::Clock;
use futures_util::future::join_all;
use store::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    clocks::{ServerClock, SourceClocks},
    settings::PROCESS,
};

/// Most time that a server has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most time for reading a clock more closely than one answer tells it.
const CLOSER: Duration = Duration::from_millis(1_500);

/// Most bytes of an answer's head that are read.
const MOST: usize = 8 * 1024;

/// A file that every server with a console has.
const PATH: &str = "/console/index.html";

/// A server's clock as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Milliseconds since the Unix epoch, by the server's clock; cut off to the second.
    pub(crate) date: u64,
    /// When the request was sent, by our clock.
    pub(crate) sent: Timestamp,
    /// When the answer was received, by our clock.
    pub(crate) received: Timestamp,
}

/// Why a clock could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// The server cannot be reached, or says nothing.
    Silent,
    /// It speaks no HTTP here, or sends no date.
    NoDate,
}

/// Reads the clock of a server.
///
/// # Errors
///
/// If it does not tell.
async fn read(server: &ServerAddress, clock: &Clock) -> Result<Reading, NotRead> {
    timeout(PATIENCE, ask(server, clock)).await.unwrap_or(Err(NotRead::Silent))
}

/// Reads the clock of each of these servers that tells it, once: nothing is served until it was.
pub(crate) async fn read_once(servers: Vec<ServerAddress>, clock: &Clock, clocks: &SourceClocks) {
    let read = async |server: ServerAddress| {
        if let Ok(reading) = read(&server, clock).await {
            clocks.of(&server).read(reading);
        }
    };
    join_all(servers.into_iter().map(read)).await;
}

/// Reads the clock of each of these servers that tells it, closely.
pub(crate) async fn read_all(servers: Vec<ServerAddress>, clock: &Clock, clocks: &SourceClocks) {
    let read = async |server: ServerAddress| {
        // A server that does not tell its clock is known by its entries.
        let _ = read_closely(&server, clock, &clocks.of(&server)).await;
    };
    join_all(servers.into_iter().map(read)).await;
}

/// Reads the clock of a server until it is known closely. A date is cut off to the second, so where little
/// is known, the clock is watched until its second turns; a slow server is not waited for.
///
/// # Errors
///
/// If it does not tell.
pub(crate) async fn read_closely(
    server: &ServerAddress,
    clock: &Clock,
    theirs: &ServerClock,
) -> Result<(), NotRead> {
    let first = read(server, clock).await?;
    theirs.read(first);
    let closer = async {
        while let Some(next) = theirs.watch(first.received, clock.now()) {
            let wait = next.millis().saturating_sub(clock.now().millis());
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let Ok(reading) = read(server, clock).await else { return };
            if theirs.read(reading).is_some() {
                // The clock was just set, or several servers answer in turn.
                return;
            }
        }
    };
    // What it has told so far stands.
    let _ = timeout(CLOSER, closer).await;
    Ok(())
}

/// Looks for a server that answers HTTP with this process number in [`PROCESS`].
pub(crate) async fn find_process(
    servers: Vec<ServerAddress>,
    clock: &Clock,
    process: &str,
) -> Option<ServerAddress> {
    let is_it = async |server: &ServerAddress| {
        let answer = timeout(PATIENCE, head(server, clock)).await.ok()?.ok()?;
        (field(&answer.head, PROCESS)? == process).then(|| server.clone())
    };
    join_all(servers.iter().map(is_it)).await.into_iter().flatten().next()
}

async fn ask(server: &ServerAddress, clock: &Clock) -> Result<Reading, NotRead> {
    let Head { head, sent, received } = head(server, clock).await?;
    let date = date_of(&head).ok_or(NotRead::NoDate)?;
    Ok(Reading { date, sent, received })
}

/// The head of an answer, and when it was asked for and received.
struct Head {
    head: Vec<u8>,
    sent: Timestamp,
    received: Timestamp,
}

async fn head(server: &ServerAddress, clock: &Clock) -> Result<Head, NotRead> {
    let ServerAddress { host, port } = server;
    let silent = |_error: std::io::Error| NotRead::Silent;
    let mut stream = TcpStream::connect((host.as_str(), *port)).await.map_err(silent)?;
    let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: {named}:{port}\r\n{PROCESS}: ?\r\nConnection: close\r\n\r\n"
    );
    let sent = clock.now();
    stream.write_all(request.as_bytes()).await.map_err(silent)?;
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    while head.len() < MOST && !is_whole(&head) {
        match stream.read(&mut chunk).await.map_err(silent)? {
            0 => break,
            read => head.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
        if !b"HTTP/1.".starts_with(head.get(..7).unwrap_or(&head)) {
            return Err(NotRead::NoDate);
        }
    }
    Ok(Head { head, sent, received: clock.now() })
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// The date in the head of an answer, in milliseconds since the Unix epoch.
fn date_of(head: &[u8]) -> Option<u64> {
    let date = field(head, "date")?;
    let since = httpdate::parse_http_date(&date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// A field in the head of an answer.
fn field(head: &[u8], wanted: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let lines = head.strip_prefix("HTTP/1.")?.lines().skip(1).take_while(|line| !line.is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    //! Heads of answers, and a clock whose second turns while it is watched.

    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::SystemTime,
    };

    use tokio::net::TcpListener;

    use super::*;

    /// A server whose clock comes to the next second with each third answer. Counts its answers.
    async fn third_answer_turns() -> (ServerAddress, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await;
                let turned = (counted.fetch_add(1, Ordering::Relaxed) + 1) / 3;
                let date: SystemTime = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + turned);
                let date = httpdate::fmt_http_date(date);
                let answer = format!("HTTP/1.1 404 Not Found\r\ndate: {date}\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (ServerAddress { host: "127.0.0.1".into(), port }, answers)
    }

    #[tokio::test]
    async fn all_clocks_are_watched_until_their_second_turns() {
        let clock = Clock::start();
        // A machine that stands still for a second watches nothing; that does not happen each time.
        for _ in 0..20 {
            let (server, answers) = third_answer_turns().await;
            let clocks = SourceClocks::new("orders".parse().unwrap());
            read_all(vec![server.clone()], &clock, &clocks).await;
            let known = clocks.of(&server).offset(clock.now()).width().unwrap();
            if answers.load(Ordering::Relaxed) == 3 && known <= 200 {
                return;
            }
        }
        panic!("no clock was watched until its second turned");
    }

    #[test]
    fn a_date_is_found_in_the_head_only() {
        let date = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\ndate: Fri, 27 Nov 2026 19:11:20 GMT\r\n\r\n";
        assert_eq!(date_of(date.as_bytes()), Some(1_795_806_680_000));
        assert_eq!(date_of(&date.as_bytes()[..40]), None);
        assert_eq!(date_of(b"HTTP/1.1 200 OK\r\n\r\nDate: Fri, 27 Nov 2026 19:11:20 GMT"), None);
        assert_eq!(date_of(b"HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n"), None);
        assert_eq!(date_of(b"\xa1\x00\x00\x85"), None);
        assert!(is_whole(date.as_bytes()) && !is_whole(b"HTTP/1.1 200 OK\r\n"));
    }
}
