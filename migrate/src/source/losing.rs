//! Servers of a source that have gone while the cache was connected, with the entries that only they had.
//!
//! A server that is lost before everything was copied takes along what had no copy on another one. The others are still
//! the source that they were, and show nothing of that.

use std::sync::atomic::Ordering;

use cluster::{LostServer, MetaCommand, SourceIdentity};

use super::SourceConnection;

impl SourceConnection {
    /// Servers of the source that have gone since the cache was connected.
    pub(crate) fn lost(&self) -> Vec<LostServer> {
        self.lost.lock().clone()
    }

    /// Asks every server whether it is the process that it was, now that everything is here: those that go from now on
    /// take nothing along. One that does not answer is not waited for any longer.
    pub(crate) async fn settle_servers(&self) {
        if self.is_settled.load(Ordering::Acquire) || !self.is_whole() {
            return;
        }
        // A doubt is noted by whoever finds it.
        if self.check_all().await.is_ok() {
            self.record_identity().await;
        }
    }

    /// Whether everything of the source is here.
    pub(super) fn is_whole(&self) -> bool {
        self.link().is_some_and(|link| link.is_complete())
    }

    /// Notes which processes have gone: those of `known` that are not among `now`, of a source that consists of
    /// `servers`. `is_whole` says whether everything was here before they were asked.
    pub(super) fn note_lost(
        &self,
        now: &SourceIdentity,
        known: &SourceIdentity,
        servers: &[String],
        is_whole: bool,
    ) {
        let after_copy = self.is_settled.load(Ordering::Acquire) && is_whole;
        for lost in now.lost_since(known, servers, after_copy) {
            let (server, has_left) = (lost.server.clone(), lost.has_left);
            if lost.add(&mut self.lost.lock()) && !after_copy {
                let how = if has_left { "has left" } else { "was started again" };
                tracing::warn!(
                    cache = %self.cache.name(),
                    "source server {server} {how} before everything was copied: entries that only it had are lost"
                );
            }
        }
        let is_heard = |server: &String| now.at(server).is_some();
        let is_settled = is_whole
            && known.servers().iter().filter(|server| servers.contains(server)).all(is_heard);
        if is_settled || !is_whole {
            self.is_settled.store(is_settled, Ordering::Release);
        }
    }

    /// Records which servers have gone, if that is not recorded. Returns whether it was not.
    pub(super) async fn record_lost(&self) -> Result<bool, String> {
        let lost = self.lost();
        if *self.recorded_lost.lock() == lost {
            return Ok(false);
        }
        let cache = self.cache.name().clone();
        self.record(MetaCommand::LoseServers { cache, lost: lost.clone() }).await?;
        *self.recorded_lost.lock() = lost;
        Ok(true)
    }
}
