//! A network between two servers that can be slow, silent or cut.

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

/// What an answer to ITERATION_NEXT is.
const WALK: u8 = 0x34;

/// What an answer to STATS is.
const STATISTICS: u8 = 0x16;

/// A relay whose faults are switched on and off while it runs.
pub struct Faulty {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    cut: watch::Sender<u64>,
}

struct State {
    to: Mutex<SocketAddr>,
    silent: AtomicBool,
    refuses: AtomicBool,
    /// The operation whose answers are held; 0 is none.
    holds: AtomicU8,
    hides_keys: AtomicBool,
    repeats_entries: AtomicBool,
    /// Answers with entries that were repeated.
    repeated: AtomicU64,
    /// Answers that were held.
    held: AtomicU64,
    /// Bytes a second towards the client; 0 is no limit.
    rate: AtomicU64,
    connections: AtomicU64,
    /// Connections that have not ended.
    open: AtomicU64,
    /// Seconds that the clock of the relay is ahead, which answers HTTP itself then; 0 if it does not.
    date_ahead: AtomicI64,
}

impl Faulty {
    /// A relay to `to` that does what a good network does.
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

    /// Bytes of the server arrive no more, or again.
    pub fn silence(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Relaxed);
    }

    /// Entries that the server gives out in a walk arrive no more, or again; all else does.
    pub fn hold_walks(&self, hold: bool) {
        self.state.holds.store(if hold { WALK } else { 0 }, Ordering::Relaxed);
    }

    /// Statistics of the server arrive no more, or again; all else does.
    pub fn hold_statistics(&self, hold: bool) {
        self.state.holds.store(if hold { STATISTICS } else { 0 }, Ordering::Relaxed);
    }

    /// To whoever asks for one entry with its metadata, the server seems to have none from now on, or answers again: if
    /// its answer arrives in one piece.
    pub fn hide_keys(&self, hide: bool) {
        self.state.hides_keys.store(hide, Ordering::Relaxed);
    }

    /// A walk gives each entry twice from now on, or once again: those of answers that arrive in one piece.
    pub fn repeat_entries(&self, repeat: bool) {
        self.state.repeats_entries.store(repeat, Ordering::Relaxed);
    }

    /// Answers with entries that were repeated so far.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.state.repeated.load(Ordering::Relaxed)
    }

    /// Answers that were held so far.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.state.held.load(Ordering::Relaxed)
    }

    /// New connections end at once, or are relayed again.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }

    /// At most so many bytes a second arrive from the server, on each connection; 0 is no limit.
    pub fn slow_down(&self, bytes_per_second: u64) {
        self.state.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// New connections lead there.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.state.to.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// The relay answers HTTP itself from now on, as a proxy, with a `Date` that is so many seconds ahead.
    pub fn answer_http(&self, date_ahead: i64) {
        self.state.date_ahead.store(date_ahead, Ordering::Relaxed);
    }

    /// Ends every connection that there is.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Connections relayed so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Connections that have not ended.
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

/// Returns whether an answer to this operation begins here: on connections that are held, nothing else is asked
/// meanwhile.
fn is_of(bytes: &[u8], held: u8) -> bool {
    held != 0 && operation(bytes).is_some_and(|(at, _)| bytes.get(at) == Some(&held))
}

/// Where the operation stands in an answer that begins here, and what comes before it.
fn operation(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (0xA1, rest) = bytes.split_first()? else { return None };
    // The number of the message ends with its first byte below 0x80.
    let at = rest.iter().position(|byte| *byte < 0x80)? + 2;
    Some((at, bytes.get(..at)?))
}

/// The answer of a server that has no such entry, if the one that begins here is to GET_WITH_METADATA.
fn hidden(bytes: &[u8]) -> Option<Vec<u8>> {
    let (at, head) = operation(bytes)?;
    // There is no such key, and the topology has not changed.
    (bytes.get(at) == Some(&0x1C)).then(|| [head, &[0x1C, 0x02, 0x00]].concat())
}

/// The answer with each entry twice, if the one that begins here has some of a walk.
fn repeated(bytes: &[u8]) -> Option<Vec<u8>> {
    let (at, head) = operation(bytes)?;
    // It has found the walk, and the topology has not changed.
    let (&[WALK, 0x00, 0x00], entries) = bytes.get(at..)?.split_first_chunk()? else { return None };
    let (version, mut reader) = (ProtocolVersion::V4_1, Reader::new(entries, Limits::NONE));
    let mut batch = Batch::decode(Status::Success, version, &mut reader).ok()?;
    batch.entries.extend_from_within(..);
    let mut writer = Writer::default();
    batch.encode(version, &mut writer);
    let changed = [head, &[WALK, 0x00, 0x00], writer.bytes()].concat();
    (!batch.entries.is_empty()).then_some(changed)
}

/// Answers a request over HTTP with nothing but a date.
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
        // The client may leave without its answer.
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
