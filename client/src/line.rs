//! A connection with one request at a time: for logging in, and for iterating.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use hotrod::{
    Flags, Intelligence, MediaTypeRef, NO_TOPOLOGY, ProtocolVersion, RequestHeader, ServerAddress,
    Writer,
    op::{Operation, Request},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};

use crate::{
    deadline::Deadline,
    error::{ClientError, ConnectionError},
    inbox::{Answer, Expected, Inbox},
};

/// Bytes to read at once.
const CHUNK: usize = 64 * 1024;

/// A connection with one request at a time.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) server: ServerAddress,
    pub(crate) stream: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) next_id: u64,
    /// Encoded requests that are ready to send.
    pub(crate) outbox: BytesMut,
    /// Whether a caller has identified the process behind it. Iterations reuse lines and need not
    /// check again.
    pub(crate) is_known: bool,
}

/// Header fields of a request on a line.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) cache_name: &'a str,
    pub(crate) key_type: MediaTypeRef<'a>,
    pub(crate) value_type: MediaTypeRef<'a>,
    /// Whether the server shall send its topology with the response.
    pub(crate) wants_topology: bool,
}

impl Question<'_> {
    /// Topologies are learned on other connections, unless this request asks for one.
    fn intelligence(&self) -> Intelligence {
        if self.wants_topology { Intelligence::TopologyAware } else { Intelligence::Basic }
    }

    /// A request that concerns no cache.
    pub(crate) fn bare(version: ProtocolVersion) -> Self {
        let unspecified = MediaTypeRef::Unspecified;
        let (key_type, value_type) = (unspecified, unspecified);
        Self { version, cache_name: "", key_type, value_type, wants_topology: false }
    }
}

/// How long to wait for a response.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// For the complete response, until this deadline.
    Until(Deadline),
    /// For the next bytes, this long each time.
    Each(Duration),
}

impl Patience {
    fn deadline(self) -> Deadline {
        match self {
            Self::Until(deadline) => deadline,
            Self::Each(timeout) => Deadline::after(timeout),
        }
    }
}

impl Line {
    /// Connects to `server`, for responses of up to `most` bytes.
    pub(crate) async fn connect(
        server: &ServerAddress,
        most: usize,
        deadline: Deadline,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable {
            server: server.clone(),
            source: Arc::new(error),
        };
        let connect = TcpStream::connect((server.host.as_str(), server.port));
        let stream = match timeout_at(deadline.at, connect).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_elapsed) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(unreachable)?;
        let (server, inbox, outbox) = (server.clone(), Inbox::new(most), BytesMut::new());
        Ok(Self { server, stream, inbox, next_id: 1, outbox, is_known: false })
    }

    /// Sends a request and waits for the response.
    pub(crate) async fn ask<'r, R: Request<'r> + Operation>(
        &mut self,
        question: Question<'_>,
        request: &R,
        patience: Patience,
    ) -> Result<Answer, ClientError> {
        let message_id = self.prepare(question, request);
        self.flush(R::NAME, patience).await?;
        let expected = Expected::of::<R>(question.version, question.intelligence());
        loop {
            let answer = self.inbox.next(|id| (id == message_id).then_some(expected));
            match answer {
                Ok(Some(answer)) if answer.header.status.is_error() => {
                    return Err(self.failed(R::NAME, &answer));
                }
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => self.more(R::NAME, patience).await?,
                Err(unreadable) => {
                    let server = self.server.clone();
                    let source = unreadable.error;
                    return Err(ClientError::Protocol { server, operation: R::NAME, source });
                }
            }
        }
    }

    /// Prepares a request for `flush`, and returns its message id.
    pub(crate) fn prepare<'r, R: Request<'r> + Operation>(
        &mut self,
        question: Question<'_>,
        request: &R,
    ) -> u64 {
        let message_id = self.next_id;
        self.next_id += 1;
        let mut writer = Writer::default();
        let header = RequestHeader {
            message_id,
            version: question.version,
            opcode: R::REQUEST,
            cache_name: question.cache_name,
            flags: Flags::default(),
            intelligence: question.intelligence(),
            topology_id: NO_TOPOLOGY,
            key_type: question.key_type,
            value_type: question.value_type,
        };
        header.encode(&mut writer);
        request.encode(question.version, &mut writer);
        self.outbox.extend_from_slice(writer.bytes());
        message_id
    }

    /// Sends what is ready. If the future is dropped, bytes already sent are not sent again.
    pub(crate) async fn flush(
        &mut self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<(), ClientError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let write = self.stream.write_all_buf(&mut self.outbox);
        match timeout_at(patience.deadline().at, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(operation, error.into())),
            Err(_elapsed) => Err(self.silent(operation, patience)),
        }
    }

    /// Waits for more bytes.
    pub(crate) async fn more(
        &mut self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<(), ClientError> {
        let read = read_some(&mut self.stream, self.inbox.buffer());
        match timeout_at(patience.deadline().at, read).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(operation, error)),
            Err(_elapsed) => Err(self.silent(operation, patience)),
        }
    }

    /// Returns the client error for an error response.
    pub(crate) fn failed(&self, operation: &'static str, answer: &Answer) -> ClientError {
        let (server, status) = (self.server.clone(), answer.header.status);
        ClientError::Server { server, operation, status, text: answer.text() }
    }

    fn lost(&self, operation: &'static str, source: ConnectionError) -> ClientError {
        ClientError::Lost { server: self.server.clone(), operation, source }
    }

    fn silent(&self, operation: &'static str, patience: Patience) -> ClientError {
        let after = patience.deadline().after;
        let server = Some(self.server.clone());
        ClientError::TimedOut { server, operation, after, asked: true }
    }
}

/// Waits for bytes and appends them.
pub(crate) async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<(), ConnectionError> {
    if buffer.capacity() - buffer.len() < CHUNK / 4 {
        buffer.reserve(CHUNK);
    }
    match stream.read_buf(buffer).await {
        Ok(0) => Err(ConnectionError::Ended),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
