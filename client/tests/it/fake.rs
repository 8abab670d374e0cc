//! A fake server that a test controls.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use client::{Client, ClientConfig, ServerAddress, Topology};
use hotrod::{
    Bytes, Changed, Decoder, MediaTypeRef, ProtocolVersion, RequestHeader, Status, Writer,
    encode_error, encode_response_header,
    op::{
        AnyRequest, Contains, ContainsKey, Count, Empty, Get, Got, Mechanisms, Operation, Ping,
        Pong, Put, PutAll, Remove, Request, Response, Size,
    },
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A fake server. It stops when dropped.
pub(crate) struct Fake {
    pub(crate) address: ServerAddress,
    connections: Arc<AtomicUsize>,
    /// Held by the server and by each open connection, to count them.
    open: Arc<()>,
    _tasks: JoinSet<()>,
}

/// A request, and the number of its connection, counted from 1.
pub(crate) struct Asked<'a> {
    pub(crate) connection: usize,
    pub(crate) header: &'a RequestHeader<'a>,
    pub(crate) request: &'a AnyRequest<'a>,
}

/// What the server does with a request.
pub(crate) enum Do {
    Say(Vec<u8>),
    SayLater(Duration, Vec<u8>),
    SayAndClose(Vec<u8>),
    Nothing,
}

impl Fake {
    pub(crate) async fn start(play: impl Fn(&Asked<'_>) -> Do + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", play).await
    }

    pub(crate) async fn at(
        address: &str,
        play: impl Fn(&Asked<'_>) -> Do + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (play, count) = (Arc::new(play), Arc::clone(&connections));
        let open = Arc::new(());
        let is_open = Arc::downgrade(&open);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut talks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (play, is_open) = (Arc::clone(&play), is_open.upgrade());
                talks.spawn(async move {
                    talk(stream, connection, play).await;
                    drop(is_open);
                });
            }
        });
        let address = ServerAddress { host: "127.0.0.1".into(), port };
        Self { address, connections, open, _tasks: tasks }
    }

    /// Starts a server that behaves correctly and has entries of its own.
    pub(crate) async fn honest() -> Self {
        let store = Store::default();
        Self::start(move |asked| Do::Say(store.answer(asked))).await
    }

    /// Returns the number of connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig {
            timeout: Duration::from_secs(5),
            ..ClientConfig::new([self.address.clone()])
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.config()).await.unwrap()
    }
}

async fn talk(
    mut stream: TcpStream,
    connection: usize,
    play: Arc<impl Fn(&Asked<'_>) -> Do + Send + Sync + 'static>,
) {
    let mut decoder = Decoder::new(hotrod::Limits::NONE);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(len) => len,
        };
        decoder.push(&buffer[..len]);
        while let Some(decoded) = decoder.next_request().unwrap() {
            let what =
                play(&Asked { connection, header: &decoded.header, request: &decoded.request });
            let said = match what {
                Do::Say(bytes) => stream.write_all(&bytes).await,
                Do::SayLater(after, bytes) => {
                    tokio::time::sleep(after).await;
                    stream.write_all(&bytes).await
                }
                Do::SayAndClose(bytes) => {
                    let _gone = stream.write_all(&bytes).await;
                    let _gone = stream.shutdown().await;
                    return;
                }
                Do::Nothing => Ok(()),
            };
            if said.is_err() {
                return;
            }
        }
    }
}

impl Asked<'_> {
    /// Returns a response to this request.
    pub(crate) fn answer<'r, 'b, R: Request<'r> + Operation>(
        &self,
        response: &R::Response<'b>,
    ) -> Vec<u8> {
        self.answer_with::<R>(response, None)
    }

    /// Returns a response to this request, with a topology.
    pub(crate) fn answer_with<'r, 'b, R: Request<'r> + Operation>(
        &self,
        response: &R::Response<'b>,
        topology: Option<&Topology>,
    ) -> Vec<u8> {
        let RequestHeader { message_id, version, intelligence, topology_id, .. } = *self.header;
        let is_wanted = intelligence != client::Intelligence::Basic;
        let topology = topology.filter(|topology| is_wanted && topology.id != topology_id);
        let block = topology.map(|topology| topology.block(intelligence));
        let mut writer = Writer::default();
        let status = response.status();
        encode_response_header(&mut writer, message_id, R::RESPONSE, status, block.as_deref());
        response.encode(version, &mut writer);
        writer.into_bytes()
    }

    /// Returns an error response.
    pub(crate) fn error(&self, status: Status, text: &str) -> Vec<u8> {
        let mut writer = Writer::default();
        encode_error(&mut writer, self.header.message_id, status, text);
        writer.into_bytes()
    }

    /// Returns the response to PING of a server that supports versions up to this one.
    pub(crate) fn pong(&self, newest: ProtocolVersion, topology: Option<&Topology>) -> Vec<u8> {
        let octets = MediaTypeRef::Known(3);
        let operations = vec![1, 3];
        let pong = Pong { key_type: octets, value_type: octets, newest: Some(newest), operations };
        self.answer_with::<Ping>(&pong, topology)
    }
}

/// Entries, with correct responses to every operation on them.
#[derive(Clone, Default)]
pub(crate) struct Store {
    entries: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    topology: Option<Topology>,
}

impl Store {
    /// Returns the same entries, of a server that announces this topology.
    pub(crate) fn announcing(&self, topology: Topology) -> Self {
        Self { topology: Some(topology), ..self.clone() }
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        self.entries.lock().insert(key.to_vec(), value.to_vec());
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    pub(crate) fn answer(&self, asked: &Asked<'_>) -> Vec<u8> {
        let mut entries = self.entries.lock();
        let topology = self.topology.as_ref();
        match asked.request {
            AnyRequest::Ping(_) => asked.pong(ProtocolVersion::V4_1, topology),
            AnyRequest::AuthMechList(_) => {
                asked.answer::<hotrod::op::AuthMechList>(&Mechanisms(Vec::new()))
            }
            AnyRequest::Get(Get { key }) => {
                let value = entries.get(*key).map(|value| Bytes::Slice(value));
                asked.answer_with::<Get<'_>>(&Got(value), topology)
            }
            AnyRequest::ContainsKey(ContainsKey { key }) => {
                let contains = Contains(entries.contains_key(*key));
                asked.answer_with::<ContainsKey<'_>>(&contains, topology)
            }
            AnyRequest::Put(Put(entry)) => {
                entries.insert(entry.key.to_vec(), entry.value.to_vec());
                asked.answer_with::<Put<'_>>(&Changed::Done, topology)
            }
            AnyRequest::Remove(Remove { key }) => {
                let changed =
                    entries.remove(*key).map_or(Changed::Missing, |_removed| Changed::Done);
                asked.answer_with::<Remove<'_>>(&changed, topology)
            }
            AnyRequest::PutAll(all) => {
                let all = all.entries.clone().pairs();
                entries.extend(all.map(|(key, value)| (key.to_vec(), value.to_vec())));
                asked.answer_with::<PutAll<'_>>(&Empty(Status::Success), topology)
            }
            AnyRequest::Size(_) => {
                asked.answer_with::<Size>(&Count(entries.len() as u64), topology)
            }
            other => asked.error(Status::UnknownOperation, other.name()),
        }
    }
}

/// Waits until the condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition did not hold in time");
}
