//! A server that keeps entries in a map, and answers as a test decides.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bench::{Load, Protocol};
use hotrod::{
    Bytes, Changed, Decoder, Metadata, ProtocolVersion, RequestHeader, SegmentSet, Status, Writer,
    encode_error, encode_response_header,
    op::{
        AnyRequest, Batch, BatchEntry, Contains, Got, IterationEnded, IterationStart,
        IterationStarted, Pong, Response,
    },
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Segments of the cache. The last digit of a key selects its segment.
pub(crate) const SEGMENTS: u32 = 5;
/// The only cache.
pub(crate) const CACHE: &str = "orders";

/// What the server does with a request.
pub(crate) enum Do {
    Say(Vec<u8>),
    SayAndClose(Vec<u8>),
    Nothing,
}

/// A request, and the correct answer to it.
pub(crate) struct Asked<'a> {
    /// Number of requests of this name so far, including this one.
    pub(crate) count: u64,
    /// Name in the specification.
    pub(crate) name: &'a str,
    pub(crate) message_id: u64,
    pub(crate) answer: Vec<u8>,
}

type Play = dyn Fn(Asked<'_>) -> Do + Send + Sync;

/// A fake server. It stops when dropped.
pub(crate) struct Fake {
    pub(crate) load: Load,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    protocol: Protocol,
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    counts: Mutex<BTreeMap<String, u64>>,
    connections: AtomicU64,
    port: u16,
    play: Box<Play>,
}

impl Fake {
    pub(crate) async fn honest(protocol: Protocol) -> Self {
        Self::start(protocol, |asked| Do::Say(asked.answer)).await
    }

    /// Starts a server, and returns it with a small load for it.
    pub(crate) async fn start(
        protocol: Protocol,
        play: impl Fn(Asked<'_>) -> Do + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            protocol,
            entries: Mutex::default(),
            counts: Mutex::default(),
            connections: AtomicU64::new(0),
            port: address.port(),
            play: Box::new(play),
        });
        let mut tasks = JoinSet::new();
        let accepting = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(Arc::clone(&accepting).serve(stream));
            }
        });
        let load = Load {
            protocol,
            address: address.to_string(),
            cache: CACHE.into(),
            connections: 4,
            depth: 3,
            keys: 100,
            work: None,
            ..Load::default()
        };
        Self { load, state, _tasks: tasks }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.entries.lock().len()
    }

    pub(crate) fn entries(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.state.entries.lock().clone()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.state.counts.lock().get(name).copied().unwrap_or(0)
    }
}

impl State {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut session =
            Session { state: &self, decoder: Decoder::default(), text: vec![], walks: vec![] };
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let (out, close) = session.take(&buffer[..read]);
            if stream.write_all(&out).await.is_err() || close {
                return;
            }
        }
    }

    fn play(&self, name: &str, message_id: u64, answer: Vec<u8>) -> Do {
        let count = {
            let mut counts = self.counts.lock();
            let count = counts.entry(name.to_owned()).or_default();
            *count += 1;
            *count
        };
        (self.play)(Asked { count, name, message_id, answer })
    }
}

struct Session<'a> {
    state: &'a State,
    decoder: Decoder,
    text: Vec<u8>,
    walks: Vec<Walk>,
}

/// Iteration: entries that are still to be returned.
struct Walk {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    segments: Option<SegmentSet>,
    batch: usize,
}

impl Session<'_> {
    /// Returns the answer to these bytes, and whether to close the connection after it.
    fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let mut say = |what| match what {
            Do::Say(answer) => {
                out.extend(answer);
                false
            }
            Do::SayAndClose(answer) => {
                out.extend(answer);
                true
            }
            Do::Nothing => false,
        };
        let mut close = false;
        match self.state.protocol {
            Protocol::HotRod => {
                self.decoder.push(bytes);
                let Self { state, decoder, walks, .. } = self;
                while let Ok(Some(decoded)) = decoder.next_request() {
                    let answer = hot_rod(state, walks, &decoded.header, &decoded.request);
                    let (name, id) = (decoded.request.name(), decoded.header.message_id);
                    close |= say(state.play(name, id, answer));
                }
            }
            Protocol::Memcached => {
                self.text.extend_from_slice(bytes);
                while let Some((name, answer, len)) = memcached(self.state, &self.text) {
                    self.text.drain(..len);
                    close |= say(self.state.play(&name, 0, answer));
                }
            }
        }
        (out, close)
    }
}

/// Returns the name of the request, the answer, and the length of the request.
fn memcached(state: &State, bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let mut len = end + 2;
    let mut entries = state.entries.lock();
    let answer = match words[..] {
        ["version"] => b"VERSION 1.6.18\r\n".to_vec(),
        ["mn"] => b"MN\r\n".to_vec(),
        ["mg", key, "v"] => match entries.get(key.as_bytes()) {
            Some(value) => [format!("VA {}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
            None => b"EN\r\n".to_vec(),
        },
        ["ms", key, size] => {
            let size: usize = size.parse().unwrap();
            let value = bytes.get(len..len + size)?;
            assert_eq!(bytes.get(len + size..len + size + 2)?, b"\r\n");
            entries.insert(key.into(), value.to_vec());
            len += size + 2;
            b"HD\r\n".to_vec()
        }
        ["md", key] => match entries.remove(key.as_bytes()) {
            Some(_) => b"HD\r\n".to_vec(),
            None => b"NF\r\n".to_vec(),
        },
        _ => b"ERROR\r\n".to_vec(),
    };
    Some((words[0].to_owned(), answer, len))
}

fn hot_rod(
    state: &State,
    walks: &mut Vec<Walk>,
    header: &RequestHeader<'_>,
    request: &AnyRequest<'_>,
) -> Vec<u8> {
    if header.cache_name != CACHE {
        let text = format!(
            "CacheNotFoundException: Cache with name '{}' not found\nat",
            header.cache_name
        );
        return refusal(header.message_id, &text);
    }
    let mut entries = state.entries.lock();
    let opcode = request.response_opcode();
    let changed = |changed: Changed<'_>| said(header, opcode, None, changed);
    match request {
        AnyRequest::Ping(_) => {
            let topology = topology(state.port);
            let newest = Some(ProtocolVersion::V4_1);
            let pong = Pong { newest, operations: vec![1, 3], ..Pong::default() };
            said(header, opcode, Some(&topology), pong)
        }
        AnyRequest::ContainsKey(contains) => {
            said(header, opcode, None, Contains(entries.contains_key(contains.key)))
        }
        AnyRequest::Get(get) => {
            let value = entries.get(get.key).map(|value| Bytes::Slice(value));
            said(header, opcode, None, Got(value))
        }
        AnyRequest::Put(put) => {
            entries.insert(put.0.key.to_vec(), put.0.value.to_vec());
            changed(Changed::Done)
        }
        AnyRequest::Remove(remove) => match entries.remove(remove.key) {
            Some(_) => changed(Changed::Done),
            None => changed(Changed::Missing),
        },
        AnyRequest::IterationStart(start) => {
            assert!(start.with_metadata);
            let wanted = |key: &[u8]| is_wanted(start, key);
            let all = entries.iter().filter(|(key, _)| wanted(key));
            let entries = all.map(|(key, value)| (key.clone(), value.clone())).collect();
            let batch = start.batch as usize;
            walks.push(Walk { entries, segments: start.segments.clone(), batch });
            said(header, opcode, None, IterationStarted { id: "0" })
        }
        AnyRequest::IterationNext(_) => {
            let walk = &mut walks[0];
            let count = walk.batch.min(walk.entries.len());
            let given: Vec<_> = walk.entries.drain(..count).collect();
            let finished = if given.is_empty() { walk.segments.take() } else { None };
            let entries = given.iter().map(|(key, value)| BatchEntry {
                metadata: Some(Metadata::NONE),
                key,
                value,
            });
            let (finished, entries) = (finished.unwrap_or_default(), entries.collect());
            said(header, opcode, None, Batch { valid: true, finished, entries })
        }
        AnyRequest::IterationEnd(_) => {
            said(header, opcode, None, IterationEnded(walks.pop().is_some()))
        }
        _ => refusal(header.message_id, "not played"),
    }
}

/// One server that owns every segment.
fn topology(port: u16) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.vint(7);
    writer.vint(1);
    writer.text("127.0.0.1");
    writer.short(port);
    writer.byte(3);
    writer.vint(SEGMENTS);
    (0..SEGMENTS).for_each(|_| writer.raw(&[1, 0]));
    writer.into_bytes()
}

fn is_wanted(start: &IterationStart<'_>, key: &[u8]) -> bool {
    let segment = u32::from(*key.last().unwrap()) % SEGMENTS;
    start.segments.as_ref().is_none_or(|segments| segments.contains(segment))
}

fn said<'a>(
    header: &RequestHeader<'_>,
    opcode: u8,
    topology: Option<&[u8]>,
    response: impl Response<'a>,
) -> Vec<u8> {
    let mut writer = Writer::default();
    encode_response_header(&mut writer, header.message_id, opcode, response.status(), topology);
    response.encode(header.version, &mut writer);
    writer.into_bytes()
}

/// Returns a Hot Rod error response.
pub(crate) fn refusal(message_id: u64, text: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    encode_error(&mut writer, message_id, Status::ServerError, text);
    writer.into_bytes()
}
