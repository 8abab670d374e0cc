//! Servers of a source that have gone while the cache was connected, with the entries that only they had.
//!
//! A server that is lost before everything was copied takes along what had no copy on another one. The others are still
//! the source that they were, and show nothing of that.

use cluster::{Gone, LostServer, MetaCommand, SourceIdentity};

use super::SourceConnection;

impl SourceConnection {
    /// Servers of the source that have gone since the cache was connected.
    pub(crate) fn lost(&self) -> Vec<LostServer> {
        self.lost.lock().clone()
    }

    /// Servers of the source that do not answer since everything is here: whether they are still the processes that
    /// they were before is not known.
    pub(crate) fn unheard(&self) -> Vec<String> {
        let unheard = self.unheard.lock().clone();
        unheard.filter(|_| self.is_whole()).unwrap_or_default()
    }

    /// Asks every server whether it is the process that it was, now that everything is here: those that go from now on
    /// take nothing along. One that does not answer is not waited for any longer.
    pub(crate) async fn settle_servers(&self) {
        let is_settled = self.unheard.lock().as_ref().is_some_and(Vec::is_empty);
        if is_settled || !self.is_whole() {
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
        let before = self.unheard.lock().take();
        let was_heard = |server: &str| {
            let is_in = |unheard: &Vec<String>| unheard.iter().any(|unheard| unheard == server);
            is_whole && before.as_ref().is_some_and(|unheard| !is_in(unheard))
        };
        for lost in now.lost_since(known, servers, was_heard) {
            let (server, gone, after_copy) = (lost.server.clone(), lost.how, lost.after_copy);
            if lost.add_to(&mut self.lost.lock()) && !after_copy {
                let how = if gone == Gone::Left { "has left" } else { "was started again" };
                tracing::warn!(
                    cache = %self.cache.name(),
                    "source server {server} {how} before everything was copied: entries that only it had are lost"
                );
            }
        }
        let is_unheard = |server: &String| servers.contains(server) && now.at(server).is_none();
        let unheard = before.unwrap_or_else(|| known.servers()).into_iter().filter(is_unheard);
        *self.unheard.lock() = is_whole.then(|| unheard.collect());
    }

    /// Forgets which servers have gone, and which were not heard: the operator accepts that.
    pub(super) async fn accept_lost(&self) -> Result<(), String> {
        let before = std::mem::take(&mut *self.lost.lock());
        if let Err(error) = self.record_lost().await {
            *self.lost.lock() = before;
            return Err(error);
        }
        *self.unheard.lock() = None;
        Ok(())
    }

    /// Records which servers have gone, if that is not recorded. Returns whether it was not.
    pub(crate) async fn record_lost(&self) -> Result<bool, String> {
        let lost = self.lost();
        if *self.recorded_lost.lock() == lost {
            return Ok(false);
        }
        self.record_as_lost(lost).await?;
        Ok(true)
    }

    /// Records before the end of the connection which servers have gone, and those that were not heard since everything
    /// is here: a connection that continues this one asks them again.
    pub(crate) async fn record_lost_at_end(&self) -> Result<(), String> {
        let mut lost = self.lost();
        if self.is_whole() {
            // Before anybody has asked, none of them was heard.
            let unheard = self.unheard.lock().clone();
            for server in unheard.unwrap_or_else(|| self.identity.read().servers()) {
                LostServer { server, how: Gone::Unheard, after_copy: false }.add_to(&mut lost);
            }
        }
        let is_recorded = *self.recorded_lost.lock() == lost;
        if is_recorded { Ok(()) } else { self.record_as_lost(lost).await }
    }

    async fn record_as_lost(&self, lost: Vec<LostServer>) -> Result<(), String> {
        let cache = self.cache.name().clone();
        self.record(MetaCommand::LoseServers { cache, lost: lost.clone() }).await?;
        *self.recorded_lost.lock() = lost;
        Ok(())
    }
}
