//! A cache's live tie to its source: loads, sizes, copies and verifications go through it, and it knows
//! whether the source is still the one that it was.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use client::{Client, ClientError, Identity, Iteration, RemoteCache, ServerAddress, Statistics};
use cluster::{Agreement, Connection, MetaCommand, SourceIdentity, SourceProcess};
use futures_util::{FutureExt, future::join_all};
use parking_lot::{Mutex, RwLock};
use store::{Cache, CacheError, ConnectionId, Timestamp};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    census::{self, Census},
    clocks::SourceClocks,
    entry::SourceEntry,
    http_date::{self, NotRead},
    identity::{identify, process},
    ledger::Ledger,
    loader::{LoadCounts, Loaded, Loader},
    opening, overdue, remote,
    settings::{OnSourceError, Settings},
    source_clock::Obtained,
};

/// Time between two looks at whether the source is there.
const LOOK: Duration = Duration::from_secs(1);

/// Time for which the source has to say nothing before reads do without it where everything of it is here.
const SILENT: Duration = Duration::from_secs(10);

/// Milliseconds of uncertainty from which on a server's clock is read less often.
const KNOWN_WELL: u64 = 50;

/// Time between two readings of a clock that is known well.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Time until a server is asked again for its clock that does not tell it.
const NO_DATE: Duration = Duration::from_secs(600);

/// Most time that the source may say nothing in the middle of an iteration.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Most time that the source may take to count its entries at the end of a synchronization.
const COUNTING: Duration = Duration::from_secs(5);

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
    /// Seconds by which our clock was set since then, between two processes of ours.
    clock_set: AtomicI64,
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
    /// Connections that the client had made by then.
    seen_at: AtomicU64,
    /// Why the source is not believed any more.
    changed: RwLock<Option<String>>,
    health: RwLock<Health>,
    /// Whether it has said nothing, or nothing that is believed, for [`SILENT`].
    silent: AtomicBool,
    /// Entries that jobs wrote which did not come to their end.
    unfinished: AtomicU64,
    ledger: Arc<Mutex<Ledger>>,
    /// What the source said of its entries before any of them was copied.
    first_census: Mutex<Option<Census>>,
    /// Why it may not have shown all of them to the last synchronization.
    not_shown: Mutex<Option<String>>,
    /// Why the source may have lost entries between the connection and the last synchronization.
    shrunk: Mutex<Option<String>>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

/// A source that was reached.
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) remote: RemoteCache,
    pub(crate) clocks: Arc<SourceClocks>,
}

/// Held by who looks whether the source is the one that it should be.
type Looking<'a> = tokio::sync::MutexGuard<'a, ()>;

/// Why it is not known that the source is the one that it should be.
#[derive(Clone, Debug)]
pub(crate) enum Doubt {
    /// Nobody answers.
    Silent(String),
    /// It is another one.
    Another(String),
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
    /// Ties a cache to a source that was reached. `past` is the connection before this one.
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
        let tie = Arc::new(Self {
            cache,
            since: connection.since,
            made: opening::made(connection, past, agreement.clock().now()),
            clock_set: AtomicI64::new(0),
            agreement,
            settings,
            seen_at: AtomicU64::new(client.connections_made()),
            client,
            remote,
            clocks,
            loader: Loader::new(tasks.clone()),
            looking: tokio::sync::Mutex::new(()),
            identity: RwLock::new(connection.identity.clone()),
            changed: RwLock::new(None),
            health: RwLock::default(),
            silent: AtomicBool::new(false),
            unfinished: AtomicU64::new(0),
            ledger: Arc::default(),
            first_census: Mutex::default(),
            not_shown: Mutex::default(),
            shrunk: Mutex::default(),
            tasks,
            ended: CancellationToken::new(),
        });
        let watched = Arc::clone(&tie);
        tie.spawn(async move { watched.watch().await });
        let read = Arc::clone(&tie);
        tie.spawn(async move { read.read_clocks().await });
        let settled = Arc::clone(&tie);
        tie.spawn(async move { overdue::keep_settling(&settled).await });
        tie
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
        reached.count_first().await;
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
        let asked = clock.now();
        match self.remote.get_with_metadata_from(key).await {
            // Another process in its place would answer too: it is believed only if it is the same.
            Ok(_) if !self.is_same_process().await => Loaded::Silent,
            Ok((server, Some(entry))) => {
                let (theirs, by_key) = (self.clocks.of(&server), Obtained::ByKey);
                let (value, metadata, now) = (entry.value, &entry.metadata, clock.now());
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

    /// Whether every connection that there is leads to the source that was there before.
    async fn is_same_process(&self) -> bool {
        if self.was_seen() {
            return true;
        }
        let one = self.looking.lock().await;
        let seen = self.was_seen() || self.look(&one).await.is_ok();
        seen && self.changed.read().is_none()
    }

    /// Whether no connection was made since the source was last seen to be the same.
    fn was_seen(&self) -> bool {
        self.client.connections_made() == self.seen_at.load(Ordering::Acquire)
    }

    /// Looks whether the source is the one that it should be.
    ///
    /// # Errors
    ///
    /// If it is another one; or if nobody answers, which says nothing.
    pub(crate) async fn check_identity(&self) -> Result<(), Doubt> {
        let one = self.looking.lock().await;
        self.look(&one).await
    }

    async fn look(&self, one: &Looking<'_>) -> Result<(), Doubt> {
        let made = self.client.connections_made();
        let now = match identify(&self.remote, self.agreement.clock(), &self.clocks).await {
            Ok(now) => now,
            // Whatever has its name later is another cache.
            Err(ClientError::NoSuchCache { .. }) => return Err(self.distrust(one)),
            Err(error) => return Err(Doubt::Silent(chain(&error))),
        };
        let mut known = self.identity.write();
        if !now.continues(&known) {
            return Err(self.distrust(one));
        }
        self.adjust_since(&known, &now);
        // A server that was started again beside others that were not is a new process of the same
        // source, and bytes only grow.
        *known = now;
        self.seen_at.store(made, Ordering::Release);
        Ok(())
    }

    /// Looks whether the one that is iterated is of the source that it should be. It has a connection of
    /// its own, which behind one address may lead to another process than the others.
    ///
    /// # Errors
    ///
    /// If it is another one; or if it does not answer, which says nothing.
    pub(crate) async fn check_iteration(&self, iteration: &mut Iteration) -> Result<(), Doubt> {
        self.check_identity().await?;
        // What it says comes after this, so that bytes have only grown.
        let known = self.identity.read().clone();
        let (identity, statistics) =
            iteration.identify().await.map_err(|error| Doubt::Silent(chain(&error)))?;
        let now = self.process_of(&identity, &statistics, &known);
        if known.has(&now) {
            return Ok(());
        }
        // One that has run since before the connection was made has lost nothing meanwhile.
        let made = self.made_by_clock().millis() / 1_000;
        if now.started.is_some_and(|started| started < made) {
            return Ok(());
        }
        if known.at(&now.server).is_none() {
            // It did not answer when all were asked: whether it belongs to them shows when it does.
            let text = format!("{} was not heard when the source was asked who it is", now.server);
            return Err(Doubt::Silent(text));
        }
        let one = self.looking.lock().await;
        if !self.identity.read().continues(&known) {
            // Its operator has accepted it meanwhile.
            return Err(Doubt::Silent("the source was accepted as another one".into()));
        }
        Err(self.distrust(&one))
    }

    /// Looks again whether an iteration was answered by the process that it should be, and from the cache that
    /// there was: what it has said so far is believed only then. A cache that is stopped or removed meanwhile
    /// ends an iteration early, without an error.
    ///
    /// # Errors
    ///
    /// As [`SourceConnection::check_iteration`].
    pub(crate) async fn confirm_iteration(&self, iteration: &mut Iteration) -> Result<(), Doubt> {
        let known = self.identity.read().clone();
        let answered = iteration.identify().await;
        if let Ok((identity, statistics)) = answered
            && self.changed.read().is_none()
            && known.has(&self.process_of(&identity, &statistics, &known))
        {
            return Ok(());
        }
        self.check_iteration(iteration).await
    }

    /// Which process it is that gives an iteration.
    fn process_of(
        &self,
        identity: &Identity,
        statistics: &Statistics,
        known: &SourceIdentity,
    ) -> SourceProcess {
        let now = process(identity, statistics, self.agreement.clock(), &self.clocks);
        // Walks are told no topology. The server at this address was asked for it before.
        let topology = known.at(&now.server).and_then(|known| known.topology);
        SourceProcess { topology, ..now }
    }

    /// Notes by how much our clock was set while this process did not run: one process of the source was
    /// started at different times by it.
    fn adjust_since(&self, earlier: &SourceIdentity, now: &SourceIdentity) {
        let started = now.0.iter().find_map(|process| {
            let known = earlier.0.iter().find(|known| process.continues(known))?;
            process.started.zip(known.started)
        });
        let Some((now, then)) = started else { return };
        // Readings differ by a few seconds as it is.
        if now.abs_diff(then) > 10 {
            let set = i64::try_from(now).unwrap_or(0) - i64::try_from(then).unwrap_or(0);
            self.clock_set.fetch_add(set, Ordering::AcqRel);
        }
    }

    /// When the connection was made, by our clock as it is now.
    fn made_by_clock(&self) -> Timestamp {
        let set = self.clock_set.load(Ordering::Acquire).saturating_mul(1_000);
        Timestamp::from_millis(self.made.millis().saturating_add_signed(set))
    }

    pub(crate) fn server_names(&self) -> String {
        let names: Vec<String> = self.remote.servers().iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    /// From now on nothing that the source says is believed, until its operator accepts it. Both happen
    /// while nobody else looks: an old doubt is not raised again after it was settled.
    fn distrust(&self, _one: &Looking<'_>) -> Doubt {
        let mut changed = self.changed.write();
        let reason = changed.get_or_insert_with(|| {
            let servers = self.server_names();
            let reason = format!(
                "the source at {servers} was started again, or is another one, or its cache was removed: what it \
                 had may be lost"
            );
            tracing::error!(cache = %self.cache.name(), reason, "the source has changed");
            reason
        });
        Doubt::Another(reason.clone())
    }

    /// Why the source is not believed any more, if so.
    pub(crate) fn changed(&self) -> Option<String> {
        self.changed.read().clone()
    }

    /// Whether the source answers, and is the one that it should be, as far as is known.
    pub(crate) fn is_believed(&self) -> bool {
        self.changed.read().is_none() && self.health.read().problem.is_none()
    }

    /// Whether the source has said nothing for so long that what is over here is taken to be over.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// The operator accepts the source as it is now.
    pub(crate) async fn accept(&self) -> Result<(), String> {
        let _one = self.looking.lock().await;
        let made = self.client.connections_made();
        let identity = identify(&self.remote, self.agreement.clock(), &self.clocks)
            .await
            .map_err(|error| chain(&error))?;
        let cache = self.cache.name().clone();
        self.agreement
            .propose_for(
                &self.cache,
                MetaCommand::AcceptSource { cache, identity: identity.clone() },
            )
            .await
            .map_err(|error| error.to_string())?;
        *self.identity.write() = identity;
        self.seen_at.store(made, Ordering::Release);
        *self.changed.write() = None;
        Ok(())
    }

    /// Keeps looking whether the source is there, and the one that it was.
    async fn watch(&self) {
        let (mut failures, mut heard) = (0, Instant::now());
        loop {
            match self.check_identity().await {
                Ok(()) => {
                    (failures, heard) = (0, Instant::now());
                    self.health.write().problem = None;
                }
                // Who finds that out notes it. It answers, at least.
                Err(Doubt::Another(_)) => self.health.write().problem = None,
                Err(Doubt::Silent(problem)) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::warn!(cache = %self.cache.name(), problem, "the source is silent");
                    }
                    self.health.write().problem = Some(problem);
                }
            }
            self.set_silent(heard.elapsed() >= SILENT);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets reads do without the source for a while, or not.
    fn set_silent(&self, silent: bool) {
        let before = self.silent.swap(silent, Ordering::AcqRel);
        if silent {
            // Its clocks are taken to go on.
            let over = self.clocks.over_by(self.agreement.clock().now()).unwrap_or_default();
            self.cache.set_silent(self.id(), Some(over));
        } else if before {
            self.cache.set_silent(self.id(), None);
        }
        match (before, silent) {
            (false, true) => tracing::warn!(
                cache = %self.cache.name(),
                "the source has said nothing that can be believed for {} s: where everything of it is here, \
                 entries whose time is over are shown as gone, and kept until it is heard again or the cache \
                 is disconnected",
                SILENT.as_secs()
            ),
            (true, false) => {
                tracing::info!(cache = %self.cache.name(), "the source is heard again");
            }
            (false, false) | (true, true) => {}
        }
    }

    /// Keeps reading the clocks of the source's servers.
    async fn read_clocks(&self) {
        let mut readers = HashMap::<ServerAddress, Instant>::new();
        let mut told = Timestamp::default();
        loop {
            let servers = self.remote.servers();
            readers.retain(|server, _| servers.contains(server));
            self.clocks.retain(&servers);
            let due = |server: &&ServerAddress| {
                readers.get(*server).is_none_or(|not_before| *not_before <= Instant::now())
            };
            let due: Vec<ServerAddress> = servers.iter().filter(due).cloned().collect();
            let read = join_all(due.iter().map(|server| self.read_clock(server))).await;
            readers.extend(due.into_iter().zip(read));
            let surely_over = self.clocks.surely_over().unwrap_or_default();
            if surely_over != told {
                self.cache.set_surely_over(self.id(), surely_over);
                told = surely_over;
            }
            tokio::time::sleep(LOOK / 4).await;
        }
    }

    /// Reads the clock of a server when that tells most. Returns when it should be read again.
    async fn read_clock(&self, server: &ServerAddress) -> Instant {
        let (clock, theirs) = (self.agreement.clock(), self.clocks.of(server));
        let now = clock.now();
        // One that is hardly known is watched at once.
        if theirs.watch(now, now).is_none() {
            let wait = theirs.best_reading(now).millis().saturating_sub(now.millis());
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let pause = match http_date::read_closely(server, clock, &theirs).await {
            Ok(()) => {
                let known = theirs.offset(clock.now()).uncertainty();
                if known.is_some_and(|known| known <= KNOWN_WELL) { READ_AGAIN } else { LOOK / 2 }
            }
            Err(NotRead::Silent) => READ_AGAIN,
            Err(NotRead::NoDate) => NO_DATE,
        };
        Instant::now() + pause
    }

    /// Number of entries that the source has.
    pub(crate) async fn size(&self) -> Result<u64, CacheError> {
        self.size_within(self.settings.source_timeout).await
    }

    /// The same of a source that may take so long: some count all entries to answer.
    async fn size_within(&self, patience: Duration) -> Result<u64, CacheError> {
        if self.changed.read().is_some() {
            return Err(CacheError::SourceSilent);
        }
        let asked = self.remote.with_timeout(patience);
        let ask = tokio::time::timeout(patience, asked.size());
        match self.ended.run_until_cancelled(ask).await {
            Some(Ok(Ok(size))) => {
                self.health.write().entries = Some(size);
                Ok(size)
            }
            Some(Ok(Err(error))) if !error.is_silence() => {
                Err(CacheError::SourceFailed(chain(&error)))
            }
            _ => Err(CacheError::SourceSilent),
        }
    }

    /// What the source says of its entries before something is read of it. It may take so long.
    pub(crate) async fn census_before(&self, patience: Duration) -> Census {
        let stored = self.stored().await;
        Census { entries: self.size_within(patience).await.ok(), stored }
    }

    /// The same after something was read.
    pub(crate) async fn census_after(&self, patience: Duration) -> Census {
        let entries = self.size_within(patience).await.ok();
        Census { entries, stored: self.stored().await }
    }

    /// Asks the source how many entries it has, before any of them is read.
    pub(crate) async fn count_first(&self) {
        let census = self.census_before(self.settings.source_timeout).await;
        *self.first_census.lock() = Some(census);
    }

    /// Compares what the source has shown of its segments, all of which are complete, with what it says it has.
    pub(crate) async fn count_shown(&self) {
        let here = self.ledger.lock().here();
        let all = self.link().map(|link| link.space.count());
        let first = *self.first_census.lock();
        // What an earlier connection has brought in was not counted.
        let (doubt, shrunk) = match first.filter(|_| all == Some(here.segments)) {
            Some(first) => (
                census::doubt(first, self.census_after(COUNTING).await, here.read),
                census::shrunk(first, here.read),
            ),
            None => (None, None),
        };
        for doubt in doubt.iter().chain(&shrunk) {
            tracing::warn!(cache = %self.cache.name(), "copied all that the source has shown, but {doubt}");
        }
        (*self.not_shown.lock(), *self.shrunk.lock()) = (doubt, shrunk);
    }

    /// Why the source may have lost entries between the connection and the last synchronization. No verification
    /// can tell: it compares what is left.
    pub(crate) fn shrunk(&self) -> Option<String> {
        self.shrunk.lock().clone()
    }

    /// Why the source may not have shown all of its entries to the last synchronization.
    pub(crate) fn not_shown(&self) -> Option<String> {
        self.not_shown.lock().clone()
    }

    /// Entries that clients of the source have stored there, as far as all of its servers count them.
    async fn stored(&self) -> Option<u64> {
        let remote = self.remote.with_timeout(self.settings.source_timeout);
        let servers = remote.servers();
        if servers.is_empty() {
            return None;
        }
        let ask = async |server| {
            let (_, statistics) = remote.stats_of(server).await.ok()?;
            u64::try_from(statistics.number("stores")?).ok()
        };
        join_all(servers.iter().map(ask)).await.into_iter().sum()
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
