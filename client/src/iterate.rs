//! Walking over the entries of a cache, on a connection of its own (which the next walk may have).
//!
//! Nothing else goes over that connection, so who takes entries slowly slows the server down, and nobody
//! else.

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

/// What to walk over, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterate {
    /// Segments of the cache; `None` is all.
    pub segments: Option<SegmentSet>,
    /// Most entries in one answer of the server; 1 at least.
    pub batch: u32,
    /// Whether entries come with their versions and lifespans.
    pub with_metadata: bool,
    /// Whether values are left out.
    pub keys_only: bool,
    /// The server to ask; `None` is any. Each server can give all segments, its own ones fastest.
    pub server: Option<ServerAddress>,
}

impl Default for Iterate {
    /// All entries with their values, from any server, 1,000 in an answer.
    fn default() -> Self {
        Self { segments: None, batch: 1_000, with_metadata: false, keys_only: false, server: None }
    }
}

/// A walk over entries. Dropped before its end, it closes its connection, and the server forgets it.
///
/// It may give an entry twice when owners of segments change meanwhile. What is written meanwhile may be
/// given or not.
#[derive(Debug)]
pub struct Iteration {
    line: Line,
    walk: Walk,
    about: About,
    /// Name of the walk on the server.
    id: String,
    /// Why it cannot go on.
    failed: Option<ClientError>,
    received: u64,
}

/// What every message of a walk has in common.
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
                // The server has ended it meanwhile.
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

    /// Which process it is that gives the entries, and what that counts. To be asked before the first entry, or after
    /// [`Item::Finished`].
    ///
    /// # Errors
    ///
    /// If the connection ended, or the server said nothing for the time of an operation.
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

    /// Returns whether [`Iteration::set_known`] was called for this connection, by this walk or an earlier one.
    /// Until then, the process behind it may be another one than the client's other connections reach.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.line.is_known
    }

    /// Notes that it is known to which process this connection leads.
    pub fn set_known(&mut self) {
        self.line.is_known = true;
    }

    /// The next entry or finished batch; `None` is the end. After an error there is nothing more, and the
    /// segments that were not finished are to be walked over again.
    ///
    /// It may be dropped before it is ready, and called again.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidIteration`] if the server has forgotten the walk, [`ClientError::TimedOut`] if
    /// it said nothing for the time of an operation, [`ClientError::Lost`] if the connection ended.
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

    /// Ends the walk before its end, or after it, so that the server need not find out by itself.
    ///
    /// # Errors
    ///
    /// If the connection ended, or the server said nothing for the time of an operation.
    pub async fn end(mut self) -> Result<(), ClientError> {
        // An answer that is still on its way cannot be told from the one to this.
        if !self.walk.is_quiet() {
            return Ok(());
        }
        let end = IterationEnd { id: &self.id };
        self.line.ask(self.about.question(), &end, self.about.patience()).await?;
        self.about.cluster.idle.keep(self.line, self.about.version);
        Ok(())
    }

    /// The server that is asked.
    #[must_use]
    pub fn server(&self) -> &ServerAddress {
        &self.line.server
    }

    /// The protocol version that is spoken with it.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.about.version
    }

    /// Bytes that the server has sent so far.
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
    /// The address of a server that can be asked about a cache: one that is connected, if there is one.
    fn any(&self, cache_name: &str) -> Option<ServerAddress> {
        let view = self.cache(cache_name).view();
        let candidates = || self.candidates(Route::Any, view.as_deref());
        let open = candidates().find(|server| server.open().is_some());
        open.or_else(|| candidates().next()).map(|server| server.address.clone())
    }
}
