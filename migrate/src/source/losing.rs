//! Servers of a source that have gone while the cache was connected, with the entries that only they had.
//!
//! A server that is lost before everything was copied takes along what had no copy on another one. The others are still
//! the source that they were, and show nothing of that. What becomes of which server is decided by
//! [`LostServers::take_in`]; what is known of that is recorded together with the processes that it was compared with.

use cluster::{
    Connection, Copied, Gone, LostServer, LostServers, MetaCommand, ProposeError, RollCall,
    SourceIdentity, SourceServers, UnheardServer,
};
use config::CacheName;
use store::Timestamp;

use super::SourceConnection;

/// Seconds that a server may take from its start until the source has announced it and it was asked.
const JOINING: u64 = 5;

/// Servers of a source that have gone since the cache was connected, or may have.
#[derive(Clone, Debug)]
pub(super) struct Losing {
    pub(super) lost: LostServers,
    /// Whether all servers were asked since everything is here: those that did not answer are noted.
    all_asked: bool,
}

/// What the metadata has of a source's servers.
#[derive(Debug)]
pub(super) struct Recorded {
    identity: SourceIdentity,
    lost: LostServers,
    /// Whether the cache is about to be disconnected: nothing more is recorded.
    is_final: bool,
}

/// Who has answered when the source was asked at `asked`. How much was here by then is added later.
pub(super) fn roll_call<'a>(
    asked: Timestamp,
    now: &'a SourceIdentity,
    known: &'a SourceIdentity,
    servers: &'a SourceServers,
) -> RollCall<'a> {
    let since = asked.millis() / 1_000 + JOINING;
    RollCall { now, known, servers, since, copied: Copied::Part }
}

impl Losing {
    pub(super) fn of(connection: &Connection) -> Self {
        // Before the last connection ended, all were asked.
        Self { lost: connection.lost.clone(), all_asked: connection.complete.is_whole() }
    }

    /// Takes in who has answered. `is_whole` says whether everything was here before they were asked. Returns those that
    /// turn out to have gone.
    fn take_in(&mut self, call: &RollCall<'_>, is_whole: bool) -> Vec<LostServer> {
        let copied = match (is_whole, self.all_asked) {
            (false, _) => Copied::Part,
            (true, false) => Copied::All,
            (true, true) => Copied::AllAsked,
        };
        self.all_asked = is_whole;
        self.lost.take_in(&RollCall { copied, ..*call })
    }

    /// Those that may have been started again since they last answered, and have lost something by that, everything
    /// being here, of a source whose processes are `known`.
    fn unheard(&self, known: &SourceIdentity) -> Vec<UnheardServer> {
        let mut unheard = self.clone().settled(known).unheard;
        unheard.retain(|unheard| !unheard.after_copy);
        unheard
    }

    /// All of them, now that everything is here. Before anybody was asked, nobody was heard.
    fn settled(mut self, known: &SourceIdentity) -> LostServers {
        if !self.all_asked {
            self.lost.doubt(known.0.iter());
        }
        self.lost
    }

    /// What is left of them once the operator has accepted the named ones, and these have answered. If the source
    /// `is_another`, all that answer were named.
    pub(super) fn accepted(
        &self,
        named: &[String],
        call: &RollCall<'_>,
        is_whole: bool,
        is_another: bool,
    ) -> Self {
        let mut left = self.clone();
        if is_whole {
            left = Self { lost: left.settled(call.known), all_asked: true };
        }
        left.lost.accept(named);
        let gone = left.lost.gone.clone();
        left.take_in(call, is_whole);
        if is_another {
            left.lost.gone = gone;
        }
        left
    }
}

impl Recorded {
    pub(super) fn new(identity: SourceIdentity, lost: LostServers) -> Self {
        Self { identity, lost, is_final: false }
    }

    pub(super) fn of(connection: &Connection) -> Self {
        Self::new(connection.identity.clone(), connection.lost.clone())
    }

    /// Returns whether `now` should be recorded instead of this.
    pub(super) fn is_outdated_by(&self, now: &Self) -> bool {
        let is_outdated =
            self.identity.is_outdated_by(&now.identity) || !self.lost.says_as_much_as(&now.lost);
        is_outdated && !self.is_final
    }

    /// The command that records this.
    pub(super) fn command(&self, cache: &CacheName) -> MetaCommand {
        let (identity, lost) = (self.identity.clone(), self.lost.clone());
        MetaCommand::AcceptSource { cache: cache.clone(), identity, lost }
    }
}

impl SourceConnection {
    /// Servers of the source that have gone since the cache was connected.
    pub(crate) fn lost(&self) -> Vec<LostServer> {
        self.losing.lock().lost.gone.clone()
    }

    /// Servers of the source that do not answer since everything is here: whether they are still the processes that
    /// they were before is not known.
    pub(crate) fn unheard(&self) -> Vec<UnheardServer> {
        if !self.is_whole() {
            return Vec::new();
        }
        let known = self.identity.read().clone();
        self.losing.lock().unheard(&known)
    }

    /// Asks every server whether it is the process that it was, now that everything is here: those that go from now on
    /// take nothing along. One that does not answer is not waited for any longer.
    pub(crate) async fn settle_servers(&self) {
        if !self.is_whole() || self.unheard().is_empty() {
            return;
        }
        // A doubt is noted by whoever finds it.
        if self.check_all().await.is_ok() {
            self.record_identity().await;
        }
    }

    /// Whether everything of the source is here.
    pub(super) fn is_whole(&self) -> bool {
        self.link().map_or(self.began_whole, |link| link.is_complete())
    }

    /// Notes which servers have gone, now that it is known who has answered. `is_whole` says whether everything was here
    /// before they were asked.
    pub(super) fn note_lost(&self, call: &RollCall<'_>, is_whole: bool) {
        let gone = self.losing.lock().take_in(call, is_whole);
        let perhaps = if is_whole { "perhaps " } else { "" };
        for LostServer { server, how, after_copy } in gone {
            self.forget_walk_failures_of(&server);
            if after_copy {
                continue;
            }
            let how = match how {
                Gone::Left => "has left",
                Gone::Replaced => "was started again, or its statistics were reset,",
            };
            tracing::warn!(
                cache = %self.cache.name(),
                "source server {server} {how} {perhaps}before everything was copied: entries that only it had may be \
                 lost"
            );
        }
    }

    /// Who the source is, as it should be recorded.
    pub(super) fn as_recorded(&self) -> Recorded {
        // In this order: a look in between adds doubts before it forgets the processes that they are about.
        let identity = self.identity.read().clone();
        let lost = self.losing.lock().lost.clone();
        Recorded::new(identity, lost)
    }

    /// Records who the source is before the cache is disconnected, with the servers that have gone, or may have: the
    /// connection that continues this one compares them. Nothing is recorded after that, unless
    /// [the cache stays connected](Self::stay).
    ///
    /// # Errors
    ///
    /// If it cannot be stored.
    pub(crate) async fn record_at_end(&self) -> Result<(), ProposeError> {
        let mut recorded = self.recorded.lock().await;
        let mut known = self.as_recorded();
        if self.is_whole() {
            known.lost = self.losing.lock().clone().settled(&known.identity);
        }
        if recorded.is_outdated_by(&known) {
            let command = known.command(self.cache.name());
            self.agreement.propose_for(&self.cache, command).await?;
            *recorded = known;
        }
        recorded.is_final = true;
        Ok(())
    }

    /// Goes on to record who the source is: the cache stays connected.
    pub(crate) async fn stay(&self) {
        self.recorded.lock().await.is_final = false;
    }
}

#[cfg(test)]
mod tests {
    //! What counts before anybody was asked, and what is accepted.

    use cluster::SourceProcess;
    use store::{Coverage, SourceSpace};

    use super::*;
    use crate::samples::connection;

    const NOW: Timestamp = Timestamp::from_millis(1_000_999);

    fn of(processes: &[(&str, u64)]) -> SourceIdentity {
        let process = |(server, started): &(&str, u64)| SourceProcess {
            server: (*server).into(),
            started: Some(*started),
            ..SourceProcess::default()
        };
        SourceIdentity(processes.iter().map(process).collect())
    }

    fn servers(names: &[&str]) -> SourceServers {
        SourceServers { names: names.iter().map(ToString::to_string).collect(), announced: true }
    }

    fn unheard(servers: &[(&str, Option<u64>)]) -> Vec<UnheardServer> {
        let unheard = |(server, since): &(&str, Option<u64>)| {
            let server = (*server).to_owned();
            UnheardServer { server, since: *since, after_copy: false }
        };
        servers.iter().map(unheard).collect()
    }

    fn again(server: &str) -> LostServer {
        LostServer { server: server.into(), how: Gone::Replaced, after_copy: false }
    }

    fn begun(complete: Coverage) -> Losing {
        let space = SourceSpace::Segments(4);
        Losing::of(&Connection { complete, ..connection(space, Timestamp::default()) })
    }

    #[test]
    fn before_anybody_was_asked_nobody_was_heard_since_everything_is_here() {
        let (known, servers) = (of(&[("a:1", 9), ("b:1", 9)]), servers(&["a:1", "b:1", "c:1"]));
        let (one, both) = (of(&[("a:1", 9)]), known.clone());
        let call = |now| roll_call(NOW, now, &known, &servers);
        let mut losing = begun(Coverage::none(4));
        assert_eq!(losing.take_in(&call(&both), false), []);
        // One that joins has some seconds from its start until it was asked.
        let never = ("c:1", Some(1_005));
        let all = [never, ("a:1", None), ("b:1", None)];
        assert_eq!(losing.unheard(&known), unheard(&all));
        assert_eq!(losing.take_in(&call(&one), true), []);
        assert_eq!(losing.unheard(&known), unheard(&[never, ("b:1", None)]));
        assert_eq!(losing.take_in(&call(&both), true), []);
        assert_eq!(losing.take_in(&call(&one), true), []);
        assert_eq!(losing.unheard(&known), unheard(&[never]), "it was heard");
        // It turned out that not everything is here.
        assert_eq!(losing.take_in(&call(&one), false), []);
        assert_eq!(losing.unheard(&known), unheard(&all));

        let mut over_again = begun(Coverage::all(4));
        assert_eq!(over_again.unheard(&known), [], "they were, over the last connection");
        assert_eq!(over_again.take_in(&call(&one), true), []);
        assert_eq!(over_again.unheard(&known), []);
        let joined = UnheardServer { after_copy: true, ..unheard(&[never]).remove(0) };
        assert_eq!(over_again.settled(&known).unheard, [joined], "a restart would copy anew");
    }

    #[test]
    fn servers_that_are_silent_while_the_loss_of_another_is_accepted_are_compared_later() {
        let all = servers(&["a:1", "b:1", "c:1", "d:1"]);
        let before = of(&[("a:1", 9), ("b:1", 9), ("c:1", 9)]);
        let (known, now) =
            (of(&[("a:1", 9), ("b:1", 99), ("c:1", 9)]), of(&[("a:1", 9), ("b:1", 99)]));
        let mut losing = begun(Coverage::none(4));
        let gone = losing.take_in(&roll_call(NOW, &now, &before, &all), false);
        assert_eq!(gone, [again("b:1")]);
        let named = ["b:1".to_owned()];
        let call = roll_call(NOW, &now, &known, &all);
        let mut left = losing.accepted(&named, &call, false, false);
        let never = unheard(&[("d:1", Some(1_005))]);
        assert_eq!(left.lost, LostServers { unheard: never.clone(), ..LostServers::default() });
        let next = of(&[("a:1", 9), ("b:1", 99), ("c:1", 999)]);
        assert_eq!(left.take_in(&roll_call(NOW, &next, &known, &all), false), [again("c:1")]);
        // Also if it answers just then, or everything is here by now.
        let call = roll_call(NOW, &next, &known, &all);
        let left = losing.accepted(&named, &call, false, false);
        assert_eq!(left.lost, LostServers { gone: vec![again("c:1")], unheard: never.clone() });
        let call = roll_call(NOW, &now, &known, &all);
        let left = losing.accepted(&named, &call, true, false);
        assert_eq!(left.unheard(&known), [never, unheard(&[("c:1", None)])].concat());
    }

    #[test]
    fn servers_that_do_not_answer_are_accepted_once_they_are_named() {
        let all = servers(&["a:1", "b:1", "c:1"]);
        let (known, now) = (of(&[("a:1", 9), ("b:1", 9)]), of(&[("a:1", 9)]));
        let call = roll_call(NOW, &now, &known, &all);
        for asked in [false, true] {
            let mut losing = begun(Coverage::none(4));
            losing.take_in(&call, asked);
            let named: Vec<String> =
                losing.unheard(&known).into_iter().map(|unheard| unheard.server).collect();
            let mut left = losing.accepted(&named, &call, true, false);
            assert_eq!((left.unheard(&known), left.lost.gone.len()), (vec![], 0));
            // It is still missed: a restart of ours has it in doubt again.
            let missed = |it: &UnheardServer| (it.server.clone(), it.after_copy);
            let missed: Vec<_> = left.lost.unheard.iter().map(missed).collect();
            assert_eq!(missed, [("c:1".to_owned(), true)]);
            // What becomes of them from now on counts only after a restart.
            let next = of(&[("a:1", 9), ("b:1", 99), ("c:1", 99)]);
            let gone = left.take_in(&roll_call(NOW, &next, &known, &all), true);
            assert_eq!(gone, [LostServer { after_copy: true, ..again("b:1") }]);
        }
    }

    #[test]
    fn of_a_source_that_is_another_one_those_that_answer_are_accepted() {
        let all = servers(&["a:1", "b:1"]);
        let (known, now) = (of(&[("a:1", 9), ("b:1", 9), ("c:1", 9)]), of(&[("a:1", 99)]));
        let call = roll_call(NOW, &now, &known, &all);
        let mut left = begun(Coverage::none(4)).accepted(&[], &call, false, true);
        assert!(left.lost.is_empty());
        let (known, next) = (of(&[("a:1", 99), ("b:1", 9)]), of(&[("a:1", 99), ("b:1", 99)]));
        assert_eq!(left.take_in(&roll_call(NOW, &next, &known, &all), false), [again("b:1")]);
    }

    #[test]
    fn nothing_is_recorded_after_the_end() {
        let known = of(&[("a:1", 9)]);
        let lost = |unheard| LostServers { unheard, ..LostServers::default() };
        let recorded = |unheard| Recorded::new(known.clone(), lost(unheard));
        let (one, never) = (unheard(&[("b:1", None)]), unheard(&[("b:1", Some(7))]));
        assert!(recorded(vec![]).is_outdated_by(&recorded(one.clone())));
        assert!(recorded(one.clone()).is_outdated_by(&recorded(never.clone())));
        assert!(!recorded(never).is_outdated_by(&recorded(unheard(&[("b:1", Some(9))]))));
        let mut last = recorded(one);
        last.is_final = true;
        assert!(!last.is_outdated_by(&recorded(vec![])));
    }
}
