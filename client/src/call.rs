//! Carries out an operation: chooses a server, and decides what to do when that server fails.

use std::{sync::Arc, time::Duration};

use hotrod::{
    DecodeError, Flags, Intelligence, Limits, MediaTypeRef, NO_TOPOLOGY, ProtocolVersion, Reader,
    RequestHeader, Status, Writer,
    op::{Operation, Request, Response},
};

use crate::{
    cache::MediaTypes,
    cluster::{CacheState, Cluster, Route},
    connection::{Connection, Failure},
    deadline::Deadline,
    error::{ClientError, ConnectionError},
    identity::ToldTopology,
    inbox::{Answer, Expected},
    server::Server,
    table::Unanswered,
};

/// Pause before all servers are asked again; it doubles each time.
const PAUSE: Duration = Duration::from_millis(20);

/// Part of a server's error message if the cache does not exist.
const NO_SUCH_CACHE: &str = "CacheNotFoundException";

/// An operation: what it is about, and which servers may execute it.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) route: Route<'a>,
    /// The cache, unless the operation concerns none.
    pub(crate) cache: Option<&'a CacheState>,
    /// Formats of keys and values.
    pub(crate) formats: &'a MediaTypes,
    pub(crate) flags: u32,
    /// Whether the operation only reads, so that it can be repeated safely.
    pub(crate) reads: bool,
    /// Whether the server shall send its topology even if the client knows it already.
    pub(crate) wants_topology: bool,
    pub(crate) deadline: Deadline,
}

/// A response and its origin.
pub(crate) struct Answered {
    answer: Answer,
    pub(crate) version: ProtocolVersion,
    pub(crate) server: Arc<Server>,
    /// The topology that came with the response, if any.
    pub(crate) topology: Option<ToldTopology>,
}

impl Answered {
    /// Decodes the fields.
    pub(crate) fn read<'b, R: Request<'b> + Operation>(
        &'b self,
    ) -> Result<R::Response<'b>, ClientError> {
        let mut reader = Reader::new(&self.answer.body, Limits::NONE);
        let response = R::Response::decode(self.answer.header.status, self.version, &mut reader);
        response.map_err(|error: DecodeError| ClientError::Protocol {
            server: self.server.address.clone(),
            operation: R::NAME,
            source: error.into(),
        })
    }

    /// Returns a part of the response as bytes that share its memory.
    pub(crate) fn bytes(&self, read: &[u8]) -> bytes::Bytes {
        self.answer.body.slice_ref(read)
    }
}

/// Encodes the fields of a request in a protocol version.
pub(crate) type Encode<'a> = &'a (dyn Fn(ProtocolVersion, &mut Writer) + Sync);

/// The kind of request.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    opcode: u8,
    expected: fn(ProtocolVersion, Intelligence) -> Expected,
}

impl Cluster {
    /// Sends an operation, and repeats it on other servers while that is safe and there is time.
    pub(crate) async fn call<'r, R: Request<'r> + Operation>(
        &self,
        ask: Ask<'_>,
        encode: Encode<'_>,
    ) -> Result<Answered, ClientError> {
        let kind = Kind { name: R::NAME, opcode: R::REQUEST, expected: Expected::of::<R> };
        self.drive(kind, ask, encode).await
    }

    async fn drive(
        &self,
        kind: Kind,
        ask: Ask<'_>,
        encode: Encode<'_>,
    ) -> Result<Answered, ClientError> {
        self.check_open()?;
        // Servers that are not asked again until all others have been.
        let mut tried: Vec<Arc<Server>> = Vec::new();
        let mut failed = None;
        let mut retries = 0;
        let mut anybody_asked = false;
        loop {
            match self.choose(ask, &tried).await {
                Choice::Ask(server, connection) => {
                    let failure = match self.ask_once(kind, ask, encode, &server, &connection).await
                    {
                        Ok((answer, topology)) => {
                            let version = connection.version;
                            return Ok(Answered { answer, version, server, topology });
                        }
                        Err(failure) => failure,
                    };
                    let error = match decide(failure, kind.name, ask, &server) {
                        Next::Elsewhere(error) => error,
                        Next::Fail(error) => return Err(error),
                    };
                    if retries >= self.common.config.max_retries || ask.deadline.is_over() {
                        return Err(error);
                    }
                    tracing::debug!(server = %server.address, %error, "trying again");
                    (failed, anybody_asked) = (Some(error), true);
                    retries += 1;
                    tried.push(server);
                }
                Choice::Unconnected(server, error) => {
                    // A refused login is refused by every server, and further attempts may lock the
                    // user out.
                    let is_final = error.is_about_login() || matches!(error, ClientError::Closed);
                    if is_final || ask.deadline.is_over() {
                        return Err(error);
                    }
                    failed = Some(error);
                    tried.push(server);
                }
                Choice::Nobody if anybody_asked => {
                    tokio::time::sleep(PAUSE * (1 << retries.min(6))).await;
                    anybody_asked = false;
                    tried.clear();
                }
                Choice::Nobody => return Err(failed.unwrap_or(ClientError::NoServer)),
            }
        }
    }

    /// Chooses the best connected server, or connects to the best one if none is connected. Starts
    /// to connect to a better server meanwhile.
    async fn choose(&self, ask: Ask<'_>, tried: &[Arc<Server>]) -> Choice {
        let view = ask.cache.and_then(CacheState::view);
        let mut better: Option<Arc<Server>> = None;
        let is_tried = |server: &Arc<Server>| tried.iter().any(|tried| Arc::ptr_eq(tried, server));
        for server in self.candidates(ask.route, view.as_deref()).filter(|server| !is_tried(server))
        {
            if let Some(connection) = server.open() {
                if let Some(better) = better {
                    better.warm_up();
                    view.iter().for_each(|view| self.give_up_unreachable(view));
                }
                return Choice::Ask(Arc::clone(server), connection);
            }
            better.get_or_insert_with(|| Arc::clone(server));
        }
        let Some(server) = better else { return Choice::Nobody };
        match server.connect(ask.deadline).await {
            Ok(connection) => Choice::Ask(server, connection),
            Err(error) => Choice::Unconnected(server, error),
        }
    }

    async fn ask_once(
        &self,
        kind: Kind,
        ask: Ask<'_>,
        encode: Encode<'_>,
        server: &Server,
        connection: &Connection,
    ) -> Result<(Answer, Option<ToldTopology>), Failed> {
        let version = connection.version;
        let intelligence = ask.cache.map_or(Intelligence::Basic, |_| self.intelligence());
        let request = |message_id| {
            let mut writer = Writer::default();
            let header = RequestHeader {
                message_id,
                version,
                opcode: kind.opcode,
                cache_name: ask.cache.map_or("", |cache| &cache.name),
                flags: Flags(ask.flags),
                intelligence,
                topology_id: match ask.cache {
                    Some(cache) if !ask.wants_topology => cache.topology_id(),
                    _ => NO_TOPOLOGY,
                },
                key_type: MediaTypeRef::of(ask.formats.key.as_ref()),
                value_type: MediaTypeRef::of(ask.formats.value.as_ref()),
            };
            header.encode(&mut writer);
            encode(version, &mut writer);
            writer.into_bytes()
        };
        let expected = (kind.expected)(version, intelligence);
        let answer = connection.ask(expected, ask.deadline, request).await;
        let mut answer = answer.map_err(Failed::Unanswered)?;
        if answer.header.status.is_error() {
            return Err(Failed::Answered { status: answer.header.status, text: answer.text() });
        }
        let topology = answer.header.topology.take();
        let told = topology.as_ref().map(ToldTopology::of);
        if let (Some(cache), Some(topology)) = (ask.cache, topology) {
            self.learn(cache, topology, &server.address);
        }
        Ok((answer, told))
    }
}

/// The server to ask next.
enum Choice {
    Ask(Arc<Server>, Arc<Connection>),
    /// Connecting to this server failed.
    Unconnected(Arc<Server>, ClientError),
    /// All servers were tried.
    Nobody,
}

/// Why a server gave no useful response.
#[derive(Debug)]
enum Failed {
    Unanswered(Failure),
    Answered { status: Status, text: String },
}

/// What to do after a failure.
#[derive(Debug)]
enum Next {
    Fail(ClientError),
    Elsewhere(ClientError),
}

/// Decides whether to try elsewhere. A change is repeated only if it was certainly not made.
fn decide(failure: Failed, operation: &'static str, ask: Ask<'_>, server: &Server) -> Next {
    let server = server.address.clone();
    match failure {
        Failed::Answered { status, text } => {
            let error = ClientError::Server { server, operation, status, text };
            match status {
                Status::NodeSuspected | Status::IllegalLifecycleState => Next::Elsewhere(error),
                _ => Next::Fail(failed(error, ask.cache.map_or("", |cache| &cache.name))),
            }
        }
        Failed::Unanswered(Failure::TimedOut { asked }) => {
            let after = ask.deadline.after;
            Next::Fail(ClientError::TimedOut { server: Some(server), operation, after, asked })
        }
        Failed::Unanswered(Failure::Unanswered(unanswered)) => match unanswered {
            Unanswered::Unsent(ConnectionError::Closed) => Next::Fail(ClientError::Closed),
            Unanswered::Unsent(source) => {
                Next::Elsewhere(ClientError::Lost { server, operation, source })
            }
            Unanswered::Sent(source) if !ask.reads => {
                Next::Fail(ClientError::InDoubt { server, operation, source })
            }
            Unanswered::Sent(ConnectionError::Closed) => Next::Fail(ClientError::Closed),
            Unanswered::Sent(source) => {
                Next::Elsewhere(ClientError::Lost { server, operation, source })
            }
            Unanswered::Wrong(source) => {
                Next::Fail(ClientError::Protocol { server, operation, source })
            }
        },
    }
}

/// Returns the client error for a server's error about a cache.
pub(crate) fn failed(error: ClientError, cache_name: &str) -> ClientError {
    match error {
        ClientError::Server { status: Status::ParseError, text, .. }
            if text.contains(NO_SUCH_CACHE) =>
        {
            ClientError::NoSuchCache { name: cache_name.to_owned() }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
