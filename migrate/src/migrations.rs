//! What operators do: connect, synchronize, pause, verify, disconnect.

mod accept;
mod asked;
mod changing;
mod departures;
mod disconnect;
mod error;
mod ledgers;
mod live;

use std::{sync::Arc, time::Duration};

use cluster::{Agreement, MetaCommand, ProposeError};
use config::{CacheName, RemoteStoreConfig};
use store::{Beginning, Cache};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    asked::{Asked, not_followed},
    changing::Changing,
    departures::Departures,
    ledgers::Ledgers,
};
pub use self::{
    asked::{Synchronizing, Verifying},
    disconnect::Disconnected,
    error::MigrationError,
};
use crate::{
    copy::SyncRequest,
    job::JobHandle,
    loss::Losses,
    migration::Migration,
    preflight::{self, Plan, could_come_back},
    settings::Settings,
    source::SourceConnection,
    sources::Sources,
    status::{Facts, NOT_REACHED, Status},
    sync::Event,
    throttle::Rates,
    verify::{VerifyHandle, VerifyRequest},
};

/// What happens to a cache whose source is in the configuration, if nothing else is remembered.
pub(crate) const CONNECTED_AGAIN: &str = "the configuration names the source and there is no data directory: \
     after a restart the cache is connected again, and what clients had changed or removed is as the source \
     has it. Take the source out of the configuration, or start with --data-dir";

/// Most time that a source may take to count its entries before a cache is connected to it.
const COUNTING: Duration = Duration::from_secs(15);

fn no_job(name: &CacheName) -> MigrationError {
    MigrationError::NotNow(format!("no synchronization or verification of cache {name} is running"))
}

fn tell_rates(name: &CacheName, rates: Rates) {
    tracing::info!(cache = %name, limits = %rates, "throttled");
}

/// Why the source is not believed any more, with the way to go on all the same.
fn with_accept(name: &CacheName, reason: &str) -> String {
    format!(
        "{reason}.\nTo go on with what it has now: POST \
         /rest/v2/caches/{name}/rolling-upgrade?action=accept-source-loss (godwit migrate cluster \
         accept-source-loss -c {name})."
    )
}

/// How a source is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The connection starts anew although the cache had a source before, and removed keys may come back.
    pub fresh: bool,
}

/// Migrations of all caches.
#[derive(Clone)]
pub struct Migrations {
    agreement: Arc<Agreement>,
    sources: Arc<Sources>,
    settings: Settings,
    changing: Changing,
    ledgers: Ledgers,
    departures: Departures,
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl Migrations {
    /// Migrations of the caches of this member. Sources that its metadata names are reached, and those
    /// that configurations name are connected, from now on.
    #[must_use]
    pub fn start(agreement: Arc<Agreement>, sources: Arc<Sources>, settings: Settings) -> Self {
        let migrations = Self {
            agreement,
            sources,
            settings,
            changing: Changing::default(),
            ledgers: Ledgers::default(),
            departures: Departures::default(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        };
        let reconciling = migrations.clone();
        migrations.tasks.spawn(async move {
            let ended = reconciling.ended.clone();
            ended.run_until_cancelled(reconciling.reconcile()).await;
        });
        migrations
    }

    /// Ends every connection, and returns when nothing is asked of any source any more. What is connected
    /// stays so for the next start.
    pub async fn stop(&self) {
        for lost in self.lost_with_process() {
            tracing::warn!("{lost}");
        }
        self.ended.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        for migration in self.sources.all() {
            self.sources.remove_this(&migration);
            migration.end().await;
        }
    }

    /// Connects a cache to a source: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// Everything that stands in the way. The cache is not connected then, unless the error says that it stays
    /// so.
    pub async fn connect(
        &self,
        name: &CacheName,
        remote: RemoteStoreConfig,
        options: ConnectOptions,
    ) -> Result<Vec<String>, MigrationError> {
        let _alone = self.changing.alone(self.cache(name)?.name()).await;
        self.connect_alone(name, remote, options).await
    }

    async fn connect_alone(
        &self,
        name: &CacheName,
        remote: RemoteStoreConfig,
        options: ConnectOptions,
    ) -> Result<Vec<String>, MigrationError> {
        let cache = self.cache(name)?;
        let (connected, past) = self.agreement.see(|metadata| {
            let known = metadata.cache(name.as_str());
            (
                known.is_some_and(|known| known.connection.is_some()),
                known.and_then(|known| known.past.clone()),
            )
        });
        if connected {
            return Err(MigrationError::AlreadyConnected(name.clone()));
        }
        // Of a cache of this name that was removed while it was connected.
        if let Some(left) = self.sources.remove(name) {
            left.end().await;
        }
        self.forget_tombstones(&cache).await;
        let plan = Plan {
            cache: &cache,
            config: &cache.config(),
            remote: &remote,
            past: past.as_ref(),
            fresh: options.fresh,
            settings: &self.settings,
            clock: self.agreement.clock(),
        };
        let mut ready = preflight::check(&plan).await.map_err(MigrationError::Problems)?;
        if let Err(gap) = ready.opening.settle(&cache) {
            ready.reached.client.close().await;
            return Err(MigrationError::Problems(vec![could_come_back(&plan, gap)]));
        }
        // Of a first source, there is nothing to forget.
        let begins_anew = past.is_some() && ready.opening.beginning == Beginning::Anew;
        cache.begin(ready.opening.beginning);
        let source = SourceConnection::new(
            Arc::clone(&cache),
            Arc::clone(&self.agreement),
            self.settings.clone(),
            ready.reached,
            &ready.opening.connection,
            past.as_ref(),
        );
        let goes_on = past.as_ref().filter(|_| ready.opening.beginning != Beginning::Anew);
        let left = goes_on.and_then(|past| self.ledgers.left_by(name, past));
        let looked_for = left.as_ref().map_or(0, |left| left.looked_for);
        if let Some(left) = left {
            *source.ledger().lock() = left.ledger;
        }
        let entries = source.count_first(COUNTING).await;
        if let Some(entries) = entries {
            ready.opening.connection.counted(entries);
        }
        let connection = Box::new(ready.opening.connection.clone());
        let connect = MetaCommand::Connect { cache: name.clone(), connection };
        // Before the source is watched: what is found out about it can be stored only once it is connected.
        if begins_anew && let Err(error) = self.forget_source(&cache, &connect).await {
            cache.begin(Beginning::Anew);
            source.end().await;
            return Err(error.into());
        }
        // The live connection stands before the metadata says that there is one: whoever needs it then
        // finds it.
        self.sources.insert(Migration::new(Arc::clone(&source), looked_for));
        if let Err(error) = self.agreement.propose_for(&cache, connect).await {
            cache.begin(Beginning::Anew);
            self.sources.remove(name);
            source.end().await;
            return Err(error.into());
        }
        if let Some(gap) = ready.opening.overtaken(&cache) {
            // Clients were quicker: what they removed just before is not remembered, also for the next time.
            let mark = MetaCommand::Mark { cache: name.clone() };
            let marked = self.agreement.propose_for(&cache, mark).await;
            let disconnect = MetaCommand::Disconnect { cache: name.clone() };
            let disconnected = self.agreement.propose_for(&cache, disconnect).await;
            if let Err(ProposeError::NotStored(error)) = disconnected {
                let (cache, why) = (name.clone(), could_come_back(&plan, gap).text);
                return Err(MigrationError::StaysConnected { cache, why, error });
            }
            self.sources.remove(name);
            source.end().await;
            self.forget_tombstones(&cache).await;
            marked?;
            return Err(MigrationError::Problems(vec![could_come_back(&plan, gap)]));
        }
        if ready.opening.must_mark(&cache) {
            let mark = MetaCommand::Mark { cache: name.clone() };
            match self.agreement.propose_for(&cache, mark).await {
                // The cache is connected all the same.
                Err(ProposeError::NotStored(error)) => ready.notices.push(format!(
                    "the cache is connected, but it could not be stored that clients had written or removed entries \
                     just before: until they do so again, a restart begins anew without a word about them ({error})"
                )),
                marked => marked?,
            }
        }
        for notice in &ready.notices {
            tracing::info!(cache = %name, "{notice}");
        }
        tracing::info!(cache = %name, source = source.server_names(), "connected");
        Ok(ready.notices)
    }

    /// How a cache is connected, if it is.
    ///
    /// # Errors
    ///
    /// If there is no such cache.
    pub fn source_connection(
        &self,
        name: &CacheName,
    ) -> Result<Option<RemoteStoreConfig>, MigrationError> {
        self.cache(name)?;
        Ok(self.agreement.see(|metadata| {
            let connection = metadata.cache(name.as_str())?.connection.as_ref()?;
            Some(connection.remote.clone())
        }))
    }

    /// Starts to copy everything, or joins the running job, which keeps to the rates of the request then.
    ///
    /// # Errors
    ///
    /// If the cache is not connected, or somebody has to decide something first.
    pub async fn synchronize(
        &self,
        name: &CacheName,
        request: SyncRequest,
    ) -> Result<Synchronizing, MigrationError> {
        let not_begun = |reason| MigrationError::NotBegun { cache: name.clone(), reason };
        let cache = self.cache(name)?;
        cache.check_served().map_err(|error| not_begun(error.to_string()))?;
        let Some(migration) = self.sources.of(&cache) else {
            return match self.is_connected(name) {
                true => Err(not_begun(NOT_REACHED.into())),
                false => self.finished(name),
            };
        };
        let source = migration.source();
        if let Some(reason) = source.changed() {
            return Err(not_begun(with_accept(name, &reason)));
        }
        let _alone = self.changing.alone(name).await;
        if let Some(job) = migration.running() {
            if job.is_paused() {
                return Err(MigrationError::Paused {
                    cache: name.clone(),
                    what: "synchronization",
                });
            }
            let notice = self.join(name, &job, request);
            return Ok(Synchronizing { asked: Asked::Job(name.clone(), job), notice });
        }
        source.count_again().await;
        let job = migration.synchronize(request).map_err(MigrationError::NotNow)?;
        tracing::info!(cache = %name, source = source.server_names(), "synchronizing");
        Ok(Synchronizing { asked: Asked::Job(name.clone(), job), notice: None })
    }

    /// Has a running job keep to the rates of a request that joins it. Says what else it does not follow.
    fn join(&self, name: &CacheName, job: &JobHandle, request: SyncRequest) -> Option<String> {
        if let Some(rates) = request.rates {
            job.throttle(rates, self.agreement.clock().now());
            tell_rates(name, rates);
        }
        let begun = job.request();
        let numbers = [
            ("threads", request.threads, begun.threads),
            ("read-batch", request.read_batch, begun.read_batch),
        ];
        let notice = not_followed("synchronization", name, &numbers);
        if let Some(notice) = &notice {
            tracing::warn!(cache = %name, "{notice}");
        }
        notice
    }

    /// What a synchronization says of a cache that is not connected: what the finished job wrote.
    fn finished(&self, name: &CacheName) -> Result<Synchronizing, MigrationError> {
        let imported =
            self.agreement.see(|metadata| metadata.cache(name.as_str())?.past.as_ref()?.imported);
        imported
            .map(|written| Synchronizing { asked: Asked::Finished(written), notice: None })
            .ok_or_else(|| MigrationError::NothingToSynchronize(name.clone()))
    }

    /// Tells the running job something.
    fn tell(&self, name: &CacheName, event: Event) -> Result<(), MigrationError> {
        match self.running(name)?.tell(event) {
            true => Ok(()),
            false => Err(no_job(name)),
        }
    }

    /// The job that has not ended.
    fn running(&self, name: &CacheName) -> Result<JobHandle, MigrationError> {
        self.migration(name)?.running().ok_or_else(|| no_job(name))
    }

    /// Stops copying from the source, or else comparing with it, until [`Migrations::resume`].
    ///
    /// # Errors
    ///
    /// If nothing is being synchronized or verified.
    pub fn pause(&self, name: &CacheName) -> Result<(), MigrationError> {
        match self.tell(name, Event::Pause) {
            Err(MigrationError::NotNow(_)) if self.tells_verification(name, Event::Pause) => {}
            told => told?,
        }
        tracing::info!(cache = %name, "paused");
        Ok(())
    }

    /// Tells the verification that runs. False if there is none.
    fn tells_verification(&self, name: &CacheName, order: Event) -> bool {
        let verification = self.migration(name).ok();
        let verification = verification.and_then(|it| it.running_verification());
        verification.is_some_and(|verification| verification.tell(order))
    }

    /// Goes on after a pause; or synchronizes what a job that failed or was cancelled has left.
    ///
    /// # Errors
    ///
    /// If the cache is not connected, or was not synchronized since it was connected or the server was started.
    pub async fn resume(&self, name: &CacheName) -> Result<(), MigrationError> {
        match self.running(name) {
            Ok(job) if job.tell(Event::Resume) => {}
            Err(error @ MigrationError::NotConnected(_)) => return Err(error),
            Err(MigrationError::NotNow(_)) if self.tells_verification(name, Event::Resume) => {}
            Err(MigrationError::NotNow(_)) if self.is_complete(name) => {
                let text = format!(
                    "everything of cache {name} is here, and no verification is paused: there is nothing to resume. \
                     verify begins a verification, also after one that was cancelled"
                );
                return Err(MigrationError::NotNow(text));
            }
            Err(MigrationError::NotNow(_)) if self.is_to_begin(name) => {
                let text = format!(
                    "no synchronization of cache {name} has begun since it was connected, or since this server was \
                     started: synchronize"
                );
                return Err(MigrationError::NotNow(text));
            }
            _ => {
                // Where there is no live connection, synchronizing says why.
                let live = self.migration(name).ok();
                let last = live.map(|migration| migration.last_request()).unwrap_or_default();
                return self.synchronize(name, last).await.map(drop);
            }
        }
        tracing::info!(cache = %name, "resumed");
        Ok(())
    }

    /// Ends the job where it is, or else the verification. Complete segments stay complete.
    ///
    /// # Errors
    ///
    /// If neither is under way.
    pub fn cancel(&self, name: &CacheName) -> Result<(), MigrationError> {
        match self.tell(name, Event::Cancel) {
            Err(MigrationError::NotNow(_)) if self.migration(name)?.cancel_verification() => {}
            told => told?,
        }
        tracing::info!(cache = %name, "cancelled");
        Ok(())
    }

    /// Changes how fast the running job copies, or else the verification compares, at most.
    ///
    /// # Errors
    ///
    /// If nothing is being synchronized or verified.
    pub fn throttle(&self, name: &CacheName, rates: Rates) -> Result<(), MigrationError> {
        let migration = self.migration(name)?;
        match (migration.running(), migration.running_verification()) {
            (Some(job), _) => job.throttle(rates, self.agreement.clock().now()),
            (None, Some(verification)) => verification.throttle(rates),
            (None, None) => {
                return Err(MigrationError::NotNow(format!(
                    "{}: synchronize and verify begin with rates if they are given \
                     (--entries-per-second, --bytes-per-second)",
                    no_job(name)
                )));
            }
        }
        tell_rates(name, rates);
        Ok(())
    }

    /// Starts to compare everything with the source, or joins the running verification, which keeps to the rates of the
    /// request then.
    ///
    /// # Errors
    ///
    /// If not everything was copied yet, or the verification that runs is paused.
    pub fn verify(
        &self,
        name: &CacheName,
        request: VerifyRequest,
    ) -> Result<Verifying, MigrationError> {
        let migration = self.migration(name)?;
        let source = migration.source();
        if let Some(reason) = source.changed() {
            return Err(MigrationError::NotNow(with_accept(name, &reason)));
        }
        if source.link().is_none_or(|link| !link.is_complete()) {
            let next = match migration.job_status().filter(|job| job.ended.is_none()) {
                Some(job) if job.paused => "the synchronization is paused: resume it",
                Some(_) => "the synchronization is still running: wait for its end",
                None => "synchronize first",
            };
            let text = format!("not everything of cache {name} was copied yet: {next}");
            return Err(MigrationError::NotNow(text));
        }
        if migration.running_verification().is_some_and(|running| running.is_paused()) {
            return Err(MigrationError::Paused { cache: name.clone(), what: "verification" });
        }
        let verifying = |(verification, begun): (VerifyHandle, Option<VerifyRequest>)| {
            // It was running already, and was begun in this way.
            let notice = begun.and_then(|begun| {
                if let Some(rates) = request.rates {
                    tell_rates(name, rates);
                }
                let numbers = [("threads", request.threads, begun.threads)];
                not_followed("verification", name, &numbers)
            });
            Verifying { cache: name.clone(), verification, notice }
        };
        migration.verify(request).map(verifying).ok_or_else(|| {
            let other = if request.repair { "without" } else { "and that with" };
            let text = format!(
                "cache {name} is being verified already, {other} repairing: try again when it is over"
            );
            MigrationError::NotNow(text)
        })
    }

    /// Lets whatever is here count as a client's, before a connection is made that begins anew. That takes as long as
    /// there are entries, so it is not done while others wait to record something; only if the disk fails then, they
    /// count as a client's without a connection.
    async fn forget_source(
        &self,
        cache: &Arc<Cache>,
        connect: &MetaCommand,
    ) -> Result<(), ProposeError> {
        self.agreement.check_for(cache, connect)?;
        for segment in cache.segment_ids() {
            cache.forget_source(segment);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Drops the tombstones that a connection which is gone has left behind.
    async fn forget_tombstones(&self, cache: &Cache) {
        for segment in cache.segment_ids() {
            cache.forget_tombstones(segment);
            tokio::task::yield_now().await;
        }
    }

    /// Where the migration of a cache stands.
    ///
    /// # Errors
    ///
    /// If there is no such cache.
    pub fn status(&self, name: &CacheName) -> Result<Status, MigrationError> {
        let cache = self.cache(name)?;
        Ok(self.facts(&cache, |facts| facts.status()))
    }

    /// What speaks against disconnecting a cache now.
    fn losses(&self, cache: &Cache) -> Losses {
        self.facts(cache, |facts| facts.losses())
    }

    fn facts<T>(&self, cache: &Cache, tell: impl FnOnce(&Facts<'_>) -> T) -> T {
        let live = self.sources.of(cache);
        let now = self.agreement.clock().now();
        // Cloned, so that the metadata is not locked while the live connection is asked.
        let known = self.agreement.see(|metadata| metadata.cache(cache.name().as_str()).cloned());
        let past = known.as_ref().and_then(|known| known.past.as_ref());
        let departure = past.and_then(|past| self.departures.of(cache.name(), past));
        tell(&Facts {
            cache,
            connection: known.as_ref().and_then(|known| known.connection.as_ref()),
            past,
            departure: departure.as_ref(),
            lost: self.agreement.was_lost(cache.name()),
            live: live.as_deref(),
            now,
        })
    }

    /// Where the migrations of all caches stand that are, or were, connected.
    #[must_use]
    pub fn all(&self) -> Vec<Status> {
        let names: Vec<CacheName> = self.agreement.see(|metadata| {
            let tied = metadata
                .caches()
                .filter(|(_, known)| known.connection.is_some() || known.past.is_some());
            tied.map(|(name, _)| name.clone()).collect()
        });
        names.iter().filter_map(|name| self.status(name).ok()).collect()
    }

    fn cache(&self, name: &CacheName) -> Result<Arc<Cache>, MigrationError> {
        let cache = self.agreement.container().cache(name.as_str());
        cache.ok_or_else(|| MigrationError::NoSuchCache(name.to_string()))
    }

    fn migration(&self, name: &CacheName) -> Result<Arc<Migration>, MigrationError> {
        let cache = self.cache(name)?;
        self.sources.of(&cache).ok_or_else(|| match self.is_connected(name) {
            true => MigrationError::NotNow(NOT_REACHED.into()),
            false => MigrationError::NotConnected(name.clone()),
        })
    }

    /// Returns whether everything of the source is here.
    fn is_complete(&self, name: &CacheName) -> bool {
        let migration = self.cache(name).ok().and_then(|cache| self.sources.of(&cache));
        let link = migration.and_then(|migration| migration.source().link());
        link.is_some_and(|link| link.is_complete())
    }

    /// Returns whether a synchronization could begin, and none has begun since the cache was connected.
    fn is_to_begin(&self, name: &CacheName) -> bool {
        let is_served = self.cache(name).is_ok_and(|cache| cache.check_served().is_ok());
        let migration = self.migration(name).ok();
        let migration = migration.filter(|migration| migration.source().changed().is_none());
        is_served && migration.is_some_and(|migration| migration.job_status().is_none())
    }

    /// Returns whether the cache is connected, even if its source was never reached.
    fn is_connected(&self, name: &CacheName) -> bool {
        let connected = |known: &cluster::CacheMetadata| known.connection.is_some();
        self.agreement.see(|metadata| metadata.cache(name.as_str()).is_some_and(connected))
    }
}
