//! Servers of a source that have gone while the cache was connected, with the entries that only they had.
//!
//! A server that is lost before everything was copied takes along what had no copy on another one. The others are still
//! the source that they were, and show nothing of that.

use cluster::{Gone, LostServer, MetaCommand, SourceIdentity, SourceProcess};

use super::SourceConnection;

/// Servers of a source that have not answered since it was reached: which processes they were then is not known.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    servers: Vec<String>,
    /// When the source was reached, in seconds of our clock.
    reached: u64,
}

impl Unknown {
    /// Those of `servers` that are not among the processes of `known`, of a source that was reached at `reached`, in
    /// seconds of our clock.
    pub(super) fn new(servers: Vec<String>, known: &SourceIdentity, reached: u64) -> Self {
        let is_unknown = |server: &String| known.at(server).is_none();
        Self { servers: servers.into_iter().filter(is_unknown).collect(), reached }
    }

    /// Takes out those that are among `now`, or that the source, which consists of `servers` now, does not have any
    /// more. Returns the ones of these that may have gone before everything was copied: their process was not started
    /// before the source was reached, or they have left.
    fn settle(&mut self, now: &SourceIdentity, servers: &[String]) -> Vec<LostServer> {
        let mut lost = Vec::new();
        let was_there =
            |process: &SourceProcess| process.started.is_some_and(|started| started < self.reached);
        self.servers.retain(|server| {
            let how = match now.at(server) {
                Some(process) if was_there(process) => return false,
                Some(_) => Gone::Replaced,
                None if servers.contains(server) => return true,
                None => Gone::Left,
            };
            lost.push(LostServer { server: server.clone(), how, after_copy: false });
            false
        });
        lost
    }
}

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
        let lost = now.lost_since(known, servers, was_heard);
        let there: Vec<String> = self.remote.servers().iter().map(ToString::to_string).collect();
        let unknown = self.unknown.lock().settle(now, &there);
        for lost in lost.into_iter().chain(unknown) {
            let (server, gone, after_copy) = (lost.server.clone(), lost.how, lost.after_copy);
            self.forget_walk_failures_of(&server);
            if lost.add_to(&mut self.lost.lock()) && !after_copy {
                let how = if gone == Gone::Left { "has left" } else { "was started again" };
                tracing::warn!(
                    cache = %self.cache.name(),
                    "source server {server} {how} before everything was copied: entries that only it had are lost"
                );
            }
        }
        let servers = [servers, &self.unknown.lock().servers].concat();
        let is_unheard = |server: &String| servers.contains(server) && now.at(server).is_none();
        let unheard =
            before.unwrap_or_else(|| self.all_known(known)).into_iter().filter(is_unheard);
        *self.unheard.lock() = is_whole.then(|| unheard.collect());
    }

    /// Servers of the processes of `known`, and those of which the process is not known.
    fn all_known(&self, known: &SourceIdentity) -> Vec<String> {
        let mut all = known.servers();
        all.extend(self.unknown.lock().servers.iter().cloned());
        all
    }

    /// Forgets which servers have gone, and which were not heard: the operator accepts that.
    pub(super) async fn accept_lost(&self) -> Result<(), String> {
        let before = std::mem::take(&mut *self.lost.lock());
        if let Err(error) = self.record_lost().await {
            *self.lost.lock() = before;
            return Err(error);
        }
        *self.unheard.lock() = None;
        self.unknown.lock().servers.clear();
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
    /// is here, or at all: a connection that continues this one asks them again.
    pub(crate) async fn record_lost_at_end(&self) -> Result<(), String> {
        let mut lost = self.lost();
        let unheard = if self.is_whole() {
            // Before anybody has asked, none of them was heard.
            let unheard = self.unheard.lock().clone();
            unheard.unwrap_or_else(|| self.all_known(&self.identity.read()))
        } else {
            self.unknown.lock().servers.clone()
        };
        for server in unheard {
            LostServer { server, how: Gone::Unheard, after_copy: false }.add_to(&mut lost);
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

#[cfg(test)]
mod tests {
    //! Which servers have gone that nobody knew.

    use super::*;

    #[test]
    fn a_server_that_did_not_answer_at_first_is_lost_unless_it_has_run_since_before() {
        let process = |server: &str, started| SourceProcess {
            server: server.into(),
            started,
            ..SourceProcess::default()
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let servers = names(&["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"]);
        let known = SourceIdentity(vec![process("a:1", Some(9))]);
        let mut unknown = Unknown::new(servers.clone(), &known, 100);
        assert_eq!(unknown.settle(&known, &servers), []);
        assert_eq!(unknown.servers, servers[1..]);
        let now = SourceIdentity(vec![
            process("b:1", Some(99)),
            process("c:1", Some(100)),
            process("d:1", None),
        ]);
        let lost = |server: &str, how| LostServer { server: server.into(), how, after_copy: false };
        let expected =
            [lost("c:1", Gone::Replaced), lost("d:1", Gone::Replaced), lost("f:1", Gone::Left)];
        assert_eq!(unknown.settle(&now, &servers[..5]), expected);
        assert_eq!(unknown.servers, ["e:1"], "it is still waited for");
        assert_eq!(unknown.settle(&now, &servers), []);
    }
}
