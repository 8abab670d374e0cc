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

use crate::clocks::SourceClocks;

/// Most time that a server has for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

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
pub(crate) async fn read(server: &ServerAddress, clock: &Clock) -> Result<Reading, NotRead> {
    timeout(PATIENCE, ask(server, clock)).await.unwrap_or(Err(NotRead::Silent))
}

/// Reads the clock of each of these servers that tells it.
pub(crate) async fn read_all(servers: Vec<ServerAddress>, clock: &Clock, clocks: &SourceClocks) {
    let read = async |server: ServerAddress| {
        if let Ok(reading) = read(&server, clock).await {
            clocks.of(&server).read(reading);
        }
    };
    join_all(servers.into_iter().map(read)).await;
}

async fn ask(server: &ServerAddress, clock: &Clock) -> Result<Reading, NotRead> {
    let ServerAddress { host, port } = server;
    let silent = |_error: std::io::Error| NotRead::Silent;
    let mut stream = TcpStream::connect((host.as_str(), *port)).await.map_err(silent)?;
    let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let request =
        format!("GET {PATH} HTTP/1.1\r\nHost: {named}:{port}\r\nConnection: close\r\n\r\n");
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
    let received = clock.now();
    let date = date_of(&head).ok_or(NotRead::NoDate)?;
    Ok(Reading { date, sent, received })
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// The date in the head of an answer, in milliseconds since the Unix epoch.
fn date_of(head: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(head);
    let lines = head.strip_prefix("HTTP/1.")?.lines().skip(1).take_while(|line| !line.is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let (_, date) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("date"))?;
    let since = httpdate::parse_http_date(date.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    //! Heads of answers.

    use super::*;

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
