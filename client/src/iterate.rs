//! Iterates over the entries of a cache, on a connection of its own, which a later iteration may
//! reuse.
//!
//! No other operation uses that connection, so a slow caller slows down only its own iteration.

use std::{sync::Arc, time::Duration};

use hotrod::{
    Intelligence, Limits, MediaTypeRef, ProtocolVersion, Reader, SegmentSet, ServerAddress,
    op::{
        IterationEnd, IterationNext, IterationStart, IterationStarted, KEYS_ONLY, Operation as _,
        Response as _, Statistics, Stats,
    },
};

use crate::{
    cache::MediaTypes,
    call::failed,
    cluster::{Cluster, Route},
    error::ClientError,
    handshake::establish,
    identity::{Identity, ToldTopology},
    line::{Line, Patience, Question},
    walk::{Item, Step, Stop, Walk},
};

/// What to iterate over, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterate {
    /// Segments of the cache; `None` means all.
    pub segments: Option<SegmentSet>,
    /// Most entries in one response, at least 1.
    pub batch: u32,
    /// Whether to return the entry metadata.
    pub with_metadata: bool,
    /// Whether to omit the values.
    pub keys_only: bool,
    /// The server to ask; `None` means any. Each server can return all segments, its own ones
    /// fastest.
    pub server: Option<ServerAddress>,
}

impl Default for Iterate {
    /// All entries with their values, from any server, 1,000 in a response.
    fn default() -> Self {
        Self { segments: None, batch: 1_000, with_metadata: false, keys_only: false, server: None }
    }
}

/// An iteration over entries. Dropping it before its end closes its connection, and the server
/// forgets it.
///
/// It may return an entry twice if owners of segments change meanwhile. Entries written meanwhile
/// may or may not be returned.
#[derive(Debug)]
pub struct Iteration {
    line: Line,
    walk: Walk,
    about: About,
    /// Id of the iteration on the server.
    id: String,
    /// Set once it has failed.
    failed: Option<ClientError>,
    received: u64,
}

/// What the messages of an iteration share.
#[derive(Debug)]
struct About {
    version: ProtocolVersion,
    cache_name: String,
    formats: Arc<MediaTypes>,
    cluster: Arc<Cluster>,
    timeout: Duration,
}

impl About {
    fn question(&self) -> Question<'_> {
        Question {
            version: self.version,
            cache_name: &self.cache_name,
            key_type: MediaTypeRef::of(self.formats.key.as_ref()),
            value_type: MediaTypeRef::of(self.formats.value.as_ref()),
            wants_topology: false,
        }
    }

    fn patience(&self) -> Patience {
        Patience::Each(self.timeout)
    }
}

impl Iteration {
    pub(crate) async fn start(
        cluster: Arc<Cluster>,
        cache_name: String,
        formats: Arc<MediaTypes>,
        iterate: Iterate,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        cluster.check_open()?;
        let server = match &iterate.server {
            Some(server) => server.clone(),
            None => cluster.any(&cache_name).ok_or(ClientError::NoServer)?,
        };
        let batch = iterate.batch.max(1);
        let start = IterationStart {
            segments: iterate.segments,
            converter: iterate.keys_only.then_some(KEYS_ONLY),
            parameters: Vec::new(),
            batch,
            with_metadata: iterate.with_metadata,
        };
        let mut idle = cluster.idle.take(&server);
        let mut about =
            About { version: ProtocolVersion::V2_5, cache_name, formats, cluster, timeout };
        let (line, answer) = loop {
            let was_idle = idle.is_some();
            let (mut line, version) = match idle.take() {
                Some(idle) => idle,
                None => establish(&server, &about.cluster.common).await?,
            };
            about.version = version;
            match line.ask(about.question(), &start, about.patience()).await {
                Ok(answer) => break (line, answer),
                // The server has closed the idle connection.
                Err(ClientError::Lost { .. }) if was_idle => {}
                Err(error) => return Err(failed(error, &about.cache_name)),
            }
        };
        let version = about.version;
        let mut reader = Reader::new(&answer.body, Limits::NONE);
        let started = IterationStarted::decode(answer.header.status, version, &mut reader);
        let id = started.map(|started| started.id.to_owned()).map_err(|error| {
            let operation = IterationStart::NAME;
            ClientError::Protocol { server, operation, source: error.into() }
        })?;
        let walk = Walk::new(version, batch, about.cluster.common.config.max_answer);
        Ok(Self { line, walk, about, id, failed: None, received: 0 })
    }

    /// Identifies the process that returns the entries, with its statistics. Call it before the
    /// first entry or after [`Item::Finished`].
    ///
    /// # Errors
    ///
    /// If the connection was lost, or the server sent nothing for the timeout of an operation.
    pub async fn identify(&mut self) -> Result<(Identity, Statistics), ClientError> {
        let question = Question {
            wants_topology: self.about.cluster.intelligence() != Intelligence::Basic,
            ..self.about.question()
        };
        let mut answer = self.line.ask(question, &Stats, self.about.patience()).await?;
        let topology = answer.header.topology.take().as_ref().map(ToldTopology::of);
        let mut reader = Reader::new(&answer.body, Limits::NONE);
        let server = self.line.server.clone();
        match Statistics::decode(answer.header.status, self.about.version, &mut reader) {
            Ok(statistics) => Ok((Identity::of(server, &statistics, topology), statistics)),
            Err(error) => {
                let operation = Stats::NAME;
                Err(ClientError::Protocol { server, operation, source: error.into() })
            }
        }
    }

    /// Returns whether [`Iteration::set_known`] was called for this connection, by this iteration
    /// or an earlier one. Until then, it may lead to a different process than the client's other
    /// connections.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.line.is_known
    }

    /// Records that the process behind this connection is known.
    pub fn set_known(&mut self) {
        self.line.is_known = true;
    }

    /// Returns the next entry or finished batch, or `None` at the end. After an error nothing more
    /// is returned, and the caller has to iterate again over the segments that were not finished.
    ///
    /// It is cancel safe: the future may be dropped before it is ready.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidIteration`] if the server has forgotten the iteration,
    /// [`ClientError::TimedOut`] if it sent nothing for the timeout of an operation,
    /// [`ClientError::Lost`] if the connection ended.
    pub async fn next(&mut self) -> Result<Option<Item>, ClientError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.step().await;
        if let Err(error) = &next {
            self.failed = Some(error.clone());
        }
        next
    }

    async fn step(&mut self) -> Result<Option<Item>, ClientError> {
        loop {
            self.line.flush(IterationNext::NAME, self.about.patience()).await?;
            match self.walk.next(self.line.inbox.buffer()) {
                Ok(Step::Item(item)) => return Ok(Some(item)),
                Ok(Step::Ask) => {
                    let next = IterationNext { id: &self.id };
                    let message_id = self.line.prepare(self.about.question(), &next);
                    self.walk.asked(message_id);
                }
                Ok(Step::Wait) => {
                    let before = self.line.inbox.buffer().len();
                    self.line.more(IterationNext::NAME, self.about.patience()).await?;
                    self.received += (self.line.inbox.buffer().len() - before) as u64;
                }
                Ok(Step::End) => return Ok(None),
                Err(stop) => return Err(self.stopped(stop)),
            }
        }
    }

    /// Ends the iteration, finished or not, so that the server can release it at once.
    ///
    /// # Errors
    ///
    /// If the connection was lost, or the server sent nothing for the timeout of an operation.
    pub async fn end(mut self) -> Result<(), ClientError> {
        // A pending response could not be told apart from the response to this request.
        if !self.walk.is_quiet() {
            return Ok(());
        }
        let end = IterationEnd { id: &self.id };
        self.line.ask(self.about.question(), &end, self.about.patience()).await?;
        self.about.cluster.idle.keep(self.line, self.about.version);
        Ok(())
    }

    /// Returns the server that returns the entries.
    #[must_use]
    pub fn server(&self) -> &ServerAddress {
        &self.line.server
    }

    /// Returns the protocol version in use with it.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.about.version
    }

    /// Returns the number of bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    fn stopped(&self, stop: Stop) -> ClientError {
        let (server, operation) = (self.line.server.clone(), IterationNext::NAME);
        match stop {
            Stop::Unreadable(source) => ClientError::Protocol { server, operation, source },
            Stop::Invalid => ClientError::InvalidIteration { server },
            Stop::Failed { status, text } => {
                let error = ClientError::Server { server, operation, status, text };
                failed(error, &self.about.cache_name)
            }
        }
    }
}

impl Cluster {
    /// Returns the address of a server that can be asked about a cache, preferably a connected one.
    fn any(&self, cache_name: &str) -> Option<ServerAddress> {
        let view = self.cache(cache_name).view();
        let candidates = || self.candidates(Route::Any, view.as_deref());
        let open = candidates().find(|server| server.open().is_some());
        open.or_else(|| candidates().next()).map(|server| server.address.clone())
    }
}
