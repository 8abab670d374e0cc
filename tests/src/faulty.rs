//! A relay between two servers that can be slow, silent or cut off.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use hotrod::{
    Limits, ProtocolVersion, Reader, Status, Writer,
    op::{Batch, Response},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Opcode of responses to ITERATION_NEXT.
const WALK: u8 = 0x34;

/// Opcode of responses to STATS.
const STATISTICS: u8 = 0x16;

/// A relay with faults that tests switch on and off while it runs.
pub struct Faulty {
    /// Address that it listens on.
    pub address: SocketAddr,
    state: Arc<State>,
    cut: watch::Sender<u64>,
}

struct State {
    to: Mutex<SocketAddr>,
    silent: AtomicBool,
    refuses: AtomicBool,
    /// The operation whose answers are held back; 0 means none.
    holds: AtomicU8,
    hides_keys: AtomicBool,
    repeats_entries: AtomicBool,
    /// Number of answers whose entries were repeated.
    repeated: AtomicU64,
    /// Number of answers held back.
    held: AtomicU64,
    /// Bytes per second towards the client on each connection; 0 means no limit.
    rate: AtomicU64,
    connections: AtomicU64,
    /// Number of open connections.
    open: AtomicU64,
    /// Seconds that the relay's clock is ahead when it answers HTTP itself; 0 if it does not
    /// answer.
    date_ahead: AtomicI64,
}

impl Faulty {
    /// Starts a relay to `to` without faults.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            to: Mutex::new(to),
            silent: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            holds: AtomicU8::new(0),
            hides_keys: AtomicBool::new(false),
            repeats_entries: AtomicBool::new(false),
            repeated: AtomicU64::new(0),
            held: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            date_ahead: AtomicI64::new(0),
        });
        let cut = watch::Sender::new(0);
        let (serving, cuts) = (Arc::clone(&state), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if serving.refuses.load(Ordering::Relaxed) {
                    continue;
                }
                serving.connections.fetch_add(1, Ordering::Relaxed);
                serving.open.fetch_add(1, Ordering::Relaxed);
                let (state, cut) = (Arc::clone(&serving), cuts.subscribe());
                tokio::spawn(async move {
                    relay(client, &state, cut).await;
                    state.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, state, cut }
    }

    /// Stops or resumes relaying bytes from the server.
    pub fn silence(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Relaxed);
    }

    /// Holds back or releases the entries of iterations; everything else is relayed.
    pub fn hold_walks(&self, hold: bool) {
        self.state.holds.store(if hold { WALK } else { 0 }, Ordering::Relaxed);
    }

    /// Holds back or releases statistics; everything else is relayed.
    pub fn hold_statistics(&self, hold: bool) {
        self.state.holds.store(if hold { STATISTICS } else { 0 }, Ordering::Relaxed);
    }

    /// Starts or stops answering GET_WITH_METADATA as if the server had no entry. Works for answers
    /// that arrive in one piece.
    pub fn hide_keys(&self, hide: bool) {
        self.state.hides_keys.store(hide, Ordering::Relaxed);
    }

    /// Starts or stops repeating each entry of an iteration. Works for answers that arrive in one
    /// piece.
    pub fn repeat_entries(&self, repeat: bool) {
        self.state.repeats_entries.store(repeat, Ordering::Relaxed);
    }

    /// Returns the number of answers whose entries were repeated.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.state.repeated.load(Ordering::Relaxed)
    }

    /// Returns the number of answers held back.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.state.held.load(Ordering::Relaxed)
    }

    /// Closes new connections at once, or relays them again.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Limits the bytes per second from the server on each connection; 0 means no limit.
    pub fn slow_down(&self, bytes_per_second: u64) {
        self.state.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Relays new connections to this address.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.state.to.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// From now on, answers HTTP itself like a proxy, with a `Date` that many seconds ahead.
    pub fn answer_http(&self, date_ahead: i64) {
        self.state.date_ahead.store(date_ahead, Ordering::Relaxed);
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Returns the number of connections relayed so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.state.open.load(Ordering::Relaxed)
    }
}

impl State {
    fn leads_to(&self) -> SocketAddr {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether an answer to this operation begins here. Connections whose answers are held back
/// have no other request in flight.
fn is_of(bytes: &[u8], held: u8) -> bool {
    held != 0 && operation(bytes).is_some_and(|(at, _)| bytes.get(at) == Some(&held))
}

/// Returns the position of the opcode in an answer that begins here, and the bytes before it.
fn operation(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (0xA1, rest) = bytes.split_first()? else { return None };
    // The message id ends with its first byte below 0x80.
    let at = rest.iter().position(|byte| *byte < 0x80)? + 2;
    Some((at, bytes.get(..at)?))
}

/// Returns the answer for a missing entry, if the answer that begins here is to GET_WITH_METADATA.
fn hidden(bytes: &[u8]) -> Option<Vec<u8>> {
    let (at, head) = operation(bytes)?;
    // Key does not exist, topology unchanged.
    (bytes.get(at) == Some(&0x1C)).then(|| [head, &[0x1C, 0x02, 0x00]].concat())
}

/// Returns the answer with each entry repeated, if the answer that begins here has entries of an
/// iteration.
fn repeated(bytes: &[u8]) -> Option<Vec<u8>> {
    let (at, head) = operation(bytes)?;
    // Success, topology unchanged.
    let (&[WALK, 0x00, 0x00], entries) = bytes.get(at..)?.split_first_chunk()? else { return None };
    let (version, mut reader) = (ProtocolVersion::V4_1, Reader::new(entries, Limits::NONE));
    let mut batch = Batch::decode(Status::Success, version, &mut reader).ok()?;
    batch.entries.extend_from_within(..);
    let mut writer = Writer::default();
    batch.encode(version, &mut writer);
    let changed = [head, &[WALK, 0x00, 0x00], writer.bytes()].concat();
    (!batch.entries.is_empty()).then_some(changed)
}

/// Answers an HTTP request with a date only.
async fn answer_http(mut client: TcpStream, ahead: i64) -> std::io::Result<()> {
    let mut request = [0; 1_024];
    let _ = client.read(&mut request).await?;
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    let shown = UNIX_EPOCH + Duration::from_secs(now.as_secs().saturating_add_signed(ahead));
    let date = httpdate::fmt_http_date(shown);
    let answer = format!("HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
    client.write_all(answer.as_bytes()).await
}

async fn relay(client: TcpStream, state: &State, mut cut: watch::Receiver<u64>) {
    let (ahead, mut first) = (state.date_ahead.load(Ordering::Relaxed), [0]);
    if ahead != 0 && client.peek(&mut first).await.is_ok() && first == *b"G" {
        // The client may be gone; ignore a closed connection.
        let _ = answer_http(client, ahead).await;
        return;
    }
    let Ok(server) = TcpStream::connect(state.leads_to()).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let most = match state.rate.load(Ordering::Relaxed) {
                0 => buffer.len(),
                rate => usize::try_from(rate / 20).unwrap_or(usize::MAX).clamp(1, buffer.len()),
            };
            let piece = buffer.get_mut(..most).unwrap_or_default();
            let read = from_server.read(piece).await?;
            if read == 0 {
                return std::io::Result::Ok(());
            }
            if most < 16 * 1024 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            while state.silent.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let holds = state.holds.load(Ordering::Relaxed);
            if is_of(buffer.get(..read).unwrap_or_default(), holds) {
                state.held.fetch_add(1, Ordering::Relaxed);
                while state.holds.load(Ordering::Relaxed) == holds {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            let answer = buffer.get(..read).unwrap_or_default();
            let is_on = |fault: &AtomicBool| fault.load(Ordering::Relaxed);
            let hidden = hidden(answer).filter(|_| is_on(&state.hides_keys));
            let repeated = repeated(answer).filter(|_| is_on(&state.repeats_entries));
            state.repeated.fetch_add(u64::from(repeated.is_some()), Ordering::Relaxed);
            match hidden.or(repeated) {
                Some(changed) => to_client.write_all(&changed).await?,
                None => to_client.write_all(answer).await?,
            }
        }
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
        _ = cut.changed() => {}
    }
}
