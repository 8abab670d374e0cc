//! A cache's live tie to its source: loads, sizes, copies and verifications go through it.
//!
//! Whether the source is still the one that it was stands in [`trust`], which of its servers have gone in [`losing`],
//! whether it is there and what its clocks show in [`watch`], whether it gives out its entries in [`walks`], how many it
//! has in [`counting`], and when a client has cleared the cache in [`cleared`].

mod cleared;
mod counting;
mod had;
mod losing;
mod trust;
mod waiting;
mod walks;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use client::{Client, ClientError, RemoteCache};
use cluster::{Agreement, Connection, MetaCommand, SourceIdentity, SourceServers};
use futures_util::FutureExt;
use parking_lot::{Mutex, RwLock};
use store::{Cache, ConnectionId, Timestamp};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{cleared::Clears, waiting::Waiting};
pub(crate) use self::{
    cleared::{ClearUnderWay, ClearedAt},
    trust::Doubt,
    walks::Walker,
};
use crate::{
    census::Census,
    clocks::SourceClocks,
    entry::SourceEntry,
    http_date,
    ledger::Ledger,
    loader::{LoadCounts, Loaded, Loader},
    opening, overdue, remote,
    settings::{OnSourceError, Settings},
    source_clock::Obtained,
};

/// Most time that the source may say nothing in the middle of an iteration.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// No number of connections: who the source is was not seen yet.
const UNSEEN: u64 = u64::MAX;

/// A cache's live tie to its source.
pub(crate) struct SourceConnection {
    cache: Arc<Cache>,
    /// The number of the connection: when it was made, before any restart, or just after the number of the one
    /// before it, whichever is later.
    since: Timestamp,
    /// When the connection was made; earlier if that is not known.
    made: Timestamp,
    /// Seconds by which our clock was set back since then.
    clock_back: AtomicU64,
    agreement: Arc<Agreement>,
    settings: Settings,
    client: Client,
    remote: RemoteCache,
    clocks: Arc<SourceClocks>,
    loader: Loader,
    /// Held while the source is asked who it is: answers are compared in the order of their questions.
    looking: tokio::sync::Mutex<()>,
    /// Who the source was when it was last seen to be the one it should be.
    identity: RwLock<SourceIdentity>,
    /// Servers of it that have gone since the cache was connected, or may have.
    losing: Mutex<losing::Losing>,
    /// What the metadata has of both. Held while it is written.
    recorded: tokio::sync::Mutex<losing::Recorded>,
    /// Whether everything was here when the connection was made.
    began_whole: bool,
    /// How long one that does not answer is waited for, while no process that is known goes on among those that do.
    waiting: Mutex<Waiting>,
    /// Connections that the client had made by then.
    seen_at: AtomicU64,
    /// Why the source is not believed any more.
    changed: RwLock<Option<String>>,
    health: RwLock<Health>,
    walks: Arc<walks::Walks>,
    /// Whether it has said nothing, or nothing that is believed, for [`watch::SILENT`].
    silent: AtomicBool,
    /// Entries that jobs wrote which did not come to their end.
    unfinished: AtomicU64,
    ledger: Arc<Mutex<Ledger>>,
    /// What the source said of its entries before any of them was copied.
    first_census: Mutex<Option<Census>>,
    /// Most entries that it has said it has, later than that or after a restart.
    noted_count: Mutex<Option<u64>>,
    /// Why it may not have shown all of them to the last synchronization.
    not_shown: Mutex<Option<String>>,
    /// The CLEARs of clients that this process has carried out.
    clears: Mutex<Clears>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

/// A source that was reached.
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) remote: RemoteCache,
    pub(crate) clocks: Arc<SourceClocks>,
}

/// Whether the source is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// What it said last if it is not.
    pub(crate) problem: Option<String>,
    /// Entries that it has, when it was last asked.
    pub(crate) entries: Option<u64>,
}

impl SourceConnection {
    /// Ties a cache to a source that was reached. `past` is the connection before this one. Nothing is asked of the
    /// source by itself before [`SourceConnection::start`].
    pub(crate) fn new(
        cache: Arc<Cache>,
        agreement: Arc<Agreement>,
        settings: Settings,
        reached: Reached,
        connection: &Connection,
        past: Option<&Connection>,
    ) -> Arc<Self> {
        let tasks = TaskTracker::new();
        let Reached { client, remote, clocks } = reached;
        Arc::new(Self {
            cache,
            since: connection.since,
            made: opening::made(connection, past, agreement.clock().now()),
            clock_back: AtomicU64::new(0),
            agreement,
            settings,
            seen_at: AtomicU64::new(client.connections_made()),
            client,
            remote,
            clocks,
            loader: Loader::new(tasks.clone()),
            looking: tokio::sync::Mutex::new(()),
            identity: RwLock::new(connection.identity.clone()),
            losing: Mutex::new(losing::Losing::of(connection)),
            recorded: tokio::sync::Mutex::new(losing::Recorded::of(connection)),
            began_whole: connection.complete.is_whole(),
            waiting: Mutex::default(),
            changed: RwLock::new(None),
            health: RwLock::default(),
            walks: Arc::default(),
            silent: AtomicBool::new(false),
            unfinished: AtomicU64::new(0),
            ledger: Arc::default(),
            first_census: Mutex::default(),
            noted_count: Mutex::default(),
            not_shown: Mutex::default(),
            clears: Mutex::default(),
            tasks,
            ended: CancellationToken::new(),
        })
    }

    /// Begins to watch the source. Only for whoever will [`end`](Self::end) it: until then the connection keeps itself
    /// alive.
    pub(crate) fn start(self: &Arc<Self>) {
        let watched = Arc::clone(self);
        self.spawn(async move { watched.watch().await });
        let read = Arc::clone(self);
        self.spawn(async move { read.read_clocks().await });
        let settled = Arc::clone(self);
        self.spawn(async move { overdue::keep_settling(&settled).await });
    }

    /// Reaches the source that the metadata names, after a restart. `past` is the connection before that one.
    pub(crate) async fn reach(
        cache: Arc<Cache>,
        agreement: Arc<Agreement>,
        settings: Settings,
        connection: &Connection,
        past: Option<&Connection>,
    ) -> Result<Arc<Self>, String> {
        let config = remote::client_config(&connection.remote).map_err(|e| e.to_string())?;
        let client = Client::connect(config).await.map_err(|error| chain(&error))?;
        let remote = remote::open(&client, &connection.remote, cache.name())
            .await
            .map_err(|error| chain(&error))?;
        let clocks = SourceClocks::new(cache.name().clone());
        http_date::read_once(remote.servers(), agreement.clock(), &clocks).await;
        let reached = Reached { client, remote, clocks };
        let reached = Self::new(cache, agreement, settings, reached, connection, past);
        // Nothing is believed before it was seen who this is.
        reached.seen_at.store(UNSEEN, Ordering::Release);
        // A doubt is noted; and who does not answer is asked again before anything else.
        let _ = reached.check_identity().await;
        let patience = reached.settings.source_timeout;
        if let Some(entries) = reached.count_first(patience).await {
            reached.note_count(entries);
        }
        Ok(reached)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            ended.run_until_cancelled(task).await;
        });
    }

    /// Records something about this connection. Once begun it is carried out, and before the connection has
    /// ended: it never meets a later one.
    pub(crate) async fn record(&self, command: MetaCommand) -> Result<(), String> {
        let (agreement, cache) = (Arc::clone(&self.agreement), Arc::clone(&self.cache));
        let record = async move { agreement.propose_for(&cache, command).await };
        let recorded = self.tasks.spawn(record);
        match recorded.await {
            Ok(recorded) => recorded.map_err(|error| error.to_string()),
            Err(panicked) => Err(panicked.to_string()),
        }
    }

    /// The cache that is being filled.
    pub(crate) fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// When the connection was made.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// The number of the connection: what it answers is believed only as long as the cache is connected over
    /// it.
    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId(self.since.millis())
    }

    pub(crate) fn agreement(&self) -> &Arc<Agreement> {
        &self.agreement
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn remote(&self) -> &RemoteCache {
        &self.remote
    }

    /// The clocks of the source's servers.
    pub(crate) fn clocks(&self) -> &SourceClocks {
        &self.clocks
    }

    pub(crate) fn load_counts(&self) -> &LoadCounts {
        self.loader.counts()
    }

    /// What became of the source's entries.
    pub(crate) fn ledger(&self) -> &Arc<Mutex<Ledger>> {
        &self.ledger
    }

    pub(crate) fn loads_in_flight(&self) -> usize {
        self.loader.in_flight()
    }

    pub(crate) fn health(&self) -> Health {
        self.health.read().clone()
    }

    /// Whether plain reads are answered as if the source had nothing, while it is silent.
    pub(crate) fn reads_without(&self) -> bool {
        self.settings.on_source_error == OnSourceError::Absent
    }

    /// What the source says of a key.
    pub(crate) async fn load(self: &Arc<Self>, key: &[u8]) -> Loaded {
        let ended = self.ended.clone();
        let connection = Arc::clone(self);
        let asked: Box<[u8]> = key.into();
        let load = self.loader.load(key, move || {
            async move {
                let patience = connection.settings.source_timeout;
                let ended = connection.ended.clone();
                let answer = tokio::time::timeout(patience, connection.ask(&asked));
                match ended.run_until_cancelled(answer).await {
                    Some(Ok(loaded)) => loaded,
                    Some(Err(_)) | None => Loaded::Silent,
                }
            }
            .boxed()
        });
        ended.run_until_cancelled(load).await.unwrap_or(Loaded::Silent)
    }

    /// Asks the source for a key, whoever else does.
    pub(crate) async fn ask(&self, key: &[u8]) -> Loaded {
        if self.changed.read().is_some() {
            return Loaded::Silent;
        }
        let clock = self.agreement.clock();
        let (asked, had) = (clock.now(), self.had(key));
        match self.remote.get_with_metadata_from(key).await {
            // Another process in its place would answer too: it is believed only if it is the same.
            Ok(_) if !self.is_same_process().await => Loaded::Silent,
            Ok((server, Some(entry))) => {
                let (theirs, by_key) = (self.clocks.of(&server), Obtained::ByKey);
                let (value, metadata, now) = (entry.value, &entry.metadata, clock.now());
                if had.is_some_and(|had| had.is_before(metadata.version)) {
                    theirs.written_since(metadata, self.made_by_clock(), now);
                }
                let entry = SourceEntry::new(value, metadata, &theirs, by_key, asked, now);
                Loaded::Entry(Arc::new(entry))
            }
            Ok((_, None)) => Loaded::Absent,
            Err(error) => {
                let text = chain(&error);
                tracing::debug!(cache = %self.cache.name(), error = text, "load failed");
                if error.is_silence() { Loaded::Silent } else { Loaded::Failed(text.into()) }
            }
        }
    }

    pub(crate) fn server_names(&self) -> String {
        self.servers().names.join(", ")
    }

    /// The servers of which the source consists.
    pub(crate) fn servers(&self) -> SourceServers {
        remote::source_servers(&self.remote)
    }

    /// What the segments of the cache know of the source; `None` once they are connected over another
    /// connection, or none.
    pub(crate) fn link(&self) -> Option<store::Link> {
        let link = self.cache.segment(store::SegmentId(0)).link().cloned();
        link.filter(|link| link.connection == self.id())
    }

    /// Notes what a job wrote that did not come to its end: the one that does counts it too.
    pub(crate) fn left_unfinished(&self, written: u64) {
        self.unfinished.fetch_add(written, Ordering::Relaxed);
    }

    /// What jobs wrote that did not come to their end, once.
    pub(crate) fn take_unfinished(&self) -> u64 {
        self.unfinished.swap(0, Ordering::Relaxed)
    }

    /// Lets go of the source. When this returns, nothing is asked of it any more.
    pub(crate) async fn end(&self) {
        self.ended.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.client.close().await;
    }
}

/// An error with all of its causes.
pub(crate) fn chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
