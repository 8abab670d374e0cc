//! How many entries a source has, and whether it has shown all of them.

use std::time::Duration;

use cluster::MetaCommand;
use futures_util::future::join_all;
use store::CacheError;

use super::{SourceConnection, chain};
use crate::census::{self, Census};

/// Most time that the source may take to count its entries at the end of a synchronization.
const COUNTING: Duration = Duration::from_secs(5);

impl SourceConnection {
    /// Number of entries that the source has.
    pub(crate) async fn size(&self) -> Result<u64, CacheError> {
        self.size_within(self.settings.source_timeout).await
    }

    /// The same of a source that may take so long: some count all entries to answer.
    pub(super) async fn size_within(&self, patience: Duration) -> Result<u64, CacheError> {
        let doubted = || self.changed.read().is_some();
        if doubted() {
            return Err(CacheError::SourceDoubted);
        }
        let asked = self.remote.with_timeout(patience);
        let ask = tokio::time::timeout(patience, asked.size());
        match self.ended.run_until_cancelled(ask).await {
            // Another process may count other entries.
            Some(Ok(Ok(_))) if !self.is_same_process().await => {
                Err(if doubted() { CacheError::SourceDoubted } else { CacheError::SourceSilent })
            }
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

    /// Asks the source how many entries it has, before any of them is read. It may take so long.
    pub(crate) async fn count_first(&self, patience: Duration) -> Option<u64> {
        let census = self.census_before(patience).await;
        *self.first_census.lock() = Some(census);
        census.entries
    }

    /// Asks the source how many entries it has, before more of them is copied. The status says how many there are to
    /// copy, and what the source loses from now on is noticed.
    pub(crate) async fn count_again(&self) {
        if let Ok(entries) = self.size().await {
            self.note_count(entries);
        }
    }

    /// Notes that the source has so many entries. Another process that has taken its place may not be recognised at
    /// once, so that is recorded only when something that was read later is complete.
    pub(super) fn note_count(&self, entries: u64) {
        let mut noted = self.noted_count.lock();
        *noted = Some(noted.map_or(entries, |noted| noted.max(entries)));
    }

    /// Forgets what was noted of a source that was not the one that it should be.
    pub(super) fn forget_count(&self) {
        *self.noted_count.lock() = None;
    }

    /// Records what was noted, if the source can still be seen to be the one that it should be: nothing else may be
    /// read over this connection that would tell.
    pub(crate) async fn keep_count(&self) {
        if self.new_count().is_none() {
            return;
        }
        let seen = tokio::time::timeout(COUNTING, self.check_identity()).await;
        if matches!(seen, Ok(Ok(()))) {
            self.record_count().await;
        }
    }

    /// The noted number of entries, if it is not recorded yet.
    fn new_count(&self) -> Option<u64> {
        let entries = (*self.noted_count.lock())?;
        let is_new = self.agreement.see(|metadata| {
            let known = metadata.cache(self.cache.name().as_str())?.connection.as_ref()?;
            let mut counted = known.clone();
            counted.counted(entries);
            Some(known.since == self.since && counted.count != known.count)
        });
        is_new.unwrap_or(false).then_some(entries)
    }

    /// Records how many entries the source has had, if that tells anything new. It has just been seen to be the one that
    /// it should be.
    pub(crate) async fn record_count(&self) {
        let Some(entries) = self.new_count() else { return };
        let cache = self.cache.name().clone();
        let count = MetaCommand::Count { cache, since: self.since, entries };
        if let Err(error) = self.record(count).await {
            tracing::warn!(
                cache = %self.cache.name(), error,
                "not recorded that the source has {entries} entries: if it loses some of them before they are \
                 copied, nobody notices"
            );
        }
    }

    /// Compares what the source has shown of its segments, all of which are complete, with what it says it has.
    pub(crate) async fn count_shown(&self) {
        let here = self.ledger.lock().read_here();
        let all = self.link().map(|link| link.space.count());
        let first = *self.first_census.lock();
        // What an earlier connection has brought in was not counted.
        let doubt = match first.filter(|_| all == Some(here.segments)) {
            Some(first) => census::doubt(first, self.census_after(COUNTING).await, here.read),
            None => None,
        };
        let name = self.cache.name();
        let shrunk = self
            .agreement
            .see(|metadata| census::shrunk(metadata.cache(name.as_str())?.connection.as_ref()?));
        for doubt in doubt.iter().chain(&shrunk) {
            tracing::warn!(cache = %name, "copied all that the source has shown, but {doubt}");
        }
        *self.not_shown.lock() = doubt;
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
        let stored = join_all(servers.iter().map(ask)).await;
        stored.into_iter().try_fold(0_u64, |sum, stored| Some(sum.saturating_add(stored?)))
    }
}
