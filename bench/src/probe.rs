//! First contact: checks that the server is reachable, speaks the protocol, and has the cache.

use hotrod::{
    DecodeError, Limits, NO_TOPOLOGY, ProtocolVersion, Reader, ResponseHeader, Writer,
    op::{Contains, ContainsKey, Operation as _, Ping, Pong, Response as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    data::Data,
    error::{BenchError, WrongAnswer},
    load::{Load, Protocol},
    wire::{HotRod, whole},
};

/// What the first contact reveals about a server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The name and version that it reports.
    pub name: String,
    /// The newest version of Hot Rod that both sides support.
    pub version: ProtocolVersion,
    /// Topology id of the cache.
    pub topology_id: u32,
    /// Number of segments of the cache; 0 if the server does not report them.
    pub segments: u32,
}

/// Connects to a server and queries its properties.
pub(crate) async fn probe(load: &Load) -> Result<Server, BenchError> {
    let mut contact = Contact { stream: connect(load).await?, load, buffer: Vec::new() };
    match timeout(load.timeout, contact.ask()).await {
        Ok(server) => server,
        Err(_elapsed) => Err(BenchError::Silent {
            address: load.address.clone(),
            protocol: load.protocol,
            after: load.timeout,
        }),
    }
}

/// Opens a connection with TCP_NODELAY.
pub(crate) async fn connect(load: &Load) -> Result<TcpStream, BenchError> {
    let unreachable = |source| BenchError::Unreachable { address: load.address.clone(), source };
    let connected = timeout(load.timeout, TcpStream::connect(&load.address)).await;
    let stream = connected.map_err(|elapsed| unreachable(elapsed.into()))?.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

struct Contact<'a> {
    stream: TcpStream,
    load: &'a Load,
    /// Bytes of the answer received so far.
    buffer: Vec<u8>,
}

/// A decoded answer; `None` if more bytes are needed.
type Understood<T> = Result<Option<T>, WrongAnswer>;

impl Contact<'_> {
    async fn ask(&mut self) -> Result<Server, BenchError> {
        match self.load.protocol {
            Protocol::HotRod => self.ask_hot_rod().await,
            Protocol::Memcached => self.ask_memcached().await,
        }
    }

    async fn ask_hot_rod(&mut self) -> Result<Server, BenchError> {
        let mut wire = HotRod {
            version: ProtocolVersion::V4_1,
            cache: self.load.cache.clone(),
            topology_id: NO_TOPOLOGY,
        };
        let mut out = Writer::default();
        wire.request(1, &Ping, &mut out);
        let pinged = self.exchange(out.bytes(), |bytes| {
            answer(&mut wire, Ping::RESPONSE, bytes, |header, reader| {
                let pong = Pong::decode(header.status, ProtocolVersion::V4_1, reader)?;
                let segments = header.topology.as_ref().map_or(0, |topology| topology.owners.len());
                Ok((pong.newest, u32::try_from(segments).unwrap_or(0)))
            })
        });
        let (newest, segments) = pinged.await?.map_err(|text| self.refused(text))?;
        let version = newest.unwrap_or(ProtocolVersion::V2_9).min(ProtocolVersion::V4_1);
        if version < ProtocolVersion::V4_0 {
            return Err(
                self.not_spoken(format!("it speaks {version} at most, and the load is 4.1"))
            );
        }
        wire.version = version;

        // PING succeeds for the default cache even if there is none.
        out.truncate(0);
        let mut data = Data::new(self.load);
        wire.request(2, &ContainsKey { key: data.key(0) }, &mut out);
        let found = self.exchange(out.bytes(), |bytes| {
            answer(&mut wire, ContainsKey::RESPONSE, bytes, |header, reader| {
                Contains::decode(header.status, version, reader)
            })
        });
        found.await?.map_err(|text| self.refused(text))?;
        let name = format!("Hot Rod {version}");
        Ok(Server { name, version, topology_id: wire.topology_id, segments })
    }

    async fn ask_memcached(&mut self) -> Result<Server, BenchError> {
        const NOOP: &str = "MN\r\n";
        let said = self.exchange(b"version\r\nmn\r\n", |bytes| {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            Ok((lines >= 2).then(|| String::from_utf8_lossy(bytes).into_owned()))
        });
        let said = said.await?;
        let version = said.strip_prefix("VERSION ").and_then(|rest| rest.strip_suffix(NOOP));
        let Some(version) = version else {
            let answer = "it does not know meta commands, which memcached has since 1.6";
            return Err(self.not_spoken(match said.starts_with("VERSION ") {
                true => answer.into(),
                false => {
                    format!("it says \"{}\"", said.escape_debug().take(80).collect::<String>())
                }
            }));
        };
        Ok(Server {
            name: format!("memcached {}", version.trim_end()),
            version: ProtocolVersion::V4_1,
            topology_id: NO_TOPOLOGY,
            segments: 0,
        })
    }

    /// Sends a request and reads its complete answer.
    async fn exchange<T>(
        &mut self,
        request: &[u8],
        mut understand: impl FnMut(&[u8]) -> Understood<T>,
    ) -> Result<T, BenchError> {
        let address = || self.load.address.clone();
        let failed = |source| BenchError::Network { address: address(), source };
        self.stream.write_all(request).await.map_err(failed)?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(failed)?;
            match understand(&self.buffer) {
                Ok(Some(understood)) => return Ok(understood),
                Ok(None) if read > 0 => {}
                Ok(None) => return Err(self.not_spoken("it closed the connection".into())),
                Err(wrong) => return Err(self.not_spoken(wrong.to_string())),
            }
        }
    }

    fn not_spoken(&self, answer: String) -> BenchError {
        let (address, protocol) = (self.load.address.clone(), self.load.protocol);
        BenchError::NotSpoken { address, protocol, answer }
    }

    fn refused(&self, text: String) -> BenchError {
        let cache = match self.load.cache.as_str() {
            "" => "the default cache".into(),
            name => format!("the cache \"{name}\""),
        };
        let text = text.lines().next().unwrap_or_default().into();
        BenchError::Refused { address: self.load.address.clone(), cache, text }
    }
}

/// Decodes the answer in `bytes`, if it is complete: returns what follows its header, or the error
/// message.
fn answer<'a, T>(
    wire: &mut HotRod,
    opcode: u8,
    bytes: &'a [u8],
    body: impl FnOnce(&ResponseHeader, &mut Reader<'a>) -> Result<T, DecodeError>,
) -> Understood<Result<T, String>> {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let Some(header) = whole(wire.header(&mut reader))? else { return Ok(None) };
    if header.status.is_error() {
        return Ok(whole(reader.text("error"))?.map(|text| Err(text.to_owned())));
    }
    if header.opcode != opcode {
        return Err(DecodeError::UnknownOperation { opcode: header.opcode }.into());
    }
    Ok(whole(body(&header, &mut reader))?.map(Ok))
}
