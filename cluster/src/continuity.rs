//! Whether a new source connection continues the last one of its cache.
//!
//! What clients remove is remembered only while a source is connected. A later connection may import
//! entries without bringing removed keys back only if nothing was removed in the meantime, or if
//! everything of the source is here already. Anything that cannot be proven is left to the operator.
//!
//! Start reading at [`Attempt::after`].

use config::{CacheName, RemoteStoreConfig};
use store::{Beginning, Coverage, SourceSpace};

use crate::{
    metadata::{Connection, SourceCount},
    source::{Copied, LostServers, RollCall, SourceIdentity, SourceServers},
};

/// A connection that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Name of the cache that is to be connected.
    pub cache: &'a CacheName,
    /// Where its source is.
    pub remote: &'a RemoteStoreConfig,
    /// The processes of the source that have answered.
    pub identity: &'a SourceIdentity,
    /// The servers of which it consists.
    pub servers: &'a SourceServers,
    /// When they were asked, in seconds of our clock.
    pub asked: u64,
    /// How the source divides its keys.
    pub space: SourceSpace,
    /// Whether something was removed here since the last source was disconnected.
    pub changed: bool,
    /// Whether the operator accepts that removed keys may come back.
    pub fresh: bool,
}

/// Why a new connection does not provably continue the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// It was to a cache of another name.
    #[error("it was connected to another cache of a source before")]
    OtherCache,
    /// It may have been to another source.
    #[error("this is not provably the source that it was connected to last")]
    OtherSource,
    /// The source divided its keys in another way.
    #[error("the source divides its keys in another way than when it was connected last")]
    OtherSegments,
    /// Clients had changed entries by then, and not everything was here.
    #[error(
        "clients changed entries while it was connected before, or the server was restarted since, \
         and not everything was copied"
    )]
    ChangedConnected,
    /// Something was removed since, and not everything was here.
    #[error(
        "entries were removed, expired or evicted here since it was disconnected, and not everything \
         was copied"
    )]
    ChangedSince,
}

/// What a new connection takes over from the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// How it begins.
    pub beginning: Beginning,
    /// How the source divides its keys.
    pub space: SourceSpace,
    /// Source segments of which everything is here.
    pub complete: Coverage,
    /// Whether clients have changed entries here that a restart would lose.
    pub marked: bool,
    /// Whether a client has cleared the cache.
    pub cleared: bool,
    /// Whether keys may have been removed here that are not remembered.
    pub forgets: bool,
    /// How many entries the source had, and has shown; nothing yet if it begins anew.
    pub count: SourceCount,
    /// Who the servers of the source are, or were when they last answered.
    pub identity: SourceIdentity,
    /// Servers of the source that have gone since, or may have.
    pub lost: LostServers,
}

impl Attempt<'_> {
    /// What the connection takes over from the last one of its cache, if there was one.
    ///
    /// # Errors
    ///
    /// If it does not provably continue that, and removed keys could come back.
    pub fn after(&self, past: Option<&Connection>) -> Result<Start, Gap> {
        match past {
            Some(past) if !self.fresh => self.continuing(past),
            Some(_) | None => Ok(self.anew()),
        }
    }

    fn anew(&self) -> Start {
        let mut lost = LostServers::default();
        lost.take_in(&self.roll_call(&SourceIdentity::default(), Copied::Part));
        Start {
            beginning: Beginning::Anew,
            space: self.space,
            complete: Coverage::none(self.space.count()),
            marked: false,
            cleared: false,
            forgets: false,
            count: SourceCount::default(),
            identity: self.identity.clone(),
            lost,
        }
    }

    fn continuing(&self, past: &Connection) -> Result<Start, Gap> {
        let source_cache = |remote: &RemoteStoreConfig| {
            remote.cache.clone().unwrap_or_else(|| self.cache.to_string())
        };
        if source_cache(self.remote) != source_cache(&past.remote) {
            return Err(Gap::OtherCache);
        }
        if !self.identity.provably_continues(&past.identity) {
            return Err(Gap::OtherSource);
        }
        let has_all = past.complete.is_whole();
        let space = match past.space {
            // Keys were seen where they should not be. A sample may have missed them now.
            SourceSpace::Unit => SourceSpace::Unit,
            SourceSpace::Segments(_) => self.space,
        };
        // Whoever does not answer and has not left may be as it was.
        let there = |server: &str| !self.servers.lack(server);
        let identity = self.identity.clone().with_earlier(&past.identity, there);
        // Before the last one ended, all were asked, and those that did not answer noted.
        let copied = if has_all { Copied::AllAsked } else { Copied::Part };
        let mut lost = past.lost.clone();
        lost.take_in(&self.roll_call(&past.identity, copied));
        let start = |beginning, complete| Start {
            beginning,
            space,
            complete,
            // Removals before it would come back after a restart that begins anew.
            marked: past.marked || past.forgets || self.changed,
            cleared: past.cleared,
            count: past.count,
            identity,
            lost,
            forgets: past.marked || past.forgets || self.changed,
        };
        if has_all {
            return Ok(start(Beginning::Complete, Coverage::all(space.count())));
        }
        if space != past.space {
            return Err(Gap::OtherSegments);
        }
        if past.marked || past.forgets {
            return Err(Gap::ChangedConnected);
        }
        if self.changed {
            return Err(Gap::ChangedSince);
        }
        Ok(start(Beginning::Unchanged, past.complete.clone()))
    }

    /// Who has answered, of a source whose processes were `known` before.
    fn roll_call<'a>(&'a self, known: &'a SourceIdentity, copied: Copied) -> RollCall<'a> {
        RollCall { now: self.identity, known, servers: self.servers, since: self.asked, copied }
    }
}

#[cfg(test)]
mod tests {
    //! What is proven, what is not, and what is taken over.

    use store::SourceSegment;

    use super::*;
    use crate::{
        samples::{connection, gone, lost, name, of},
        source::{Gone, LostServer, SourceProcess, UnheardServer},
    };

    const FOUR: SourceSpace = SourceSpace::Segments(4);

    /// A connection that has ended with these segments complete.
    fn past(complete: &[u32]) -> Connection {
        let mut past = connection(4);
        complete.iter().for_each(|segment| past.complete.insert(SourceSegment(*segment)));
        past
    }

    /// A source that announces no servers.
    static NOT_TOLD: SourceServers = SourceServers { names: Vec::new(), announced: false };

    /// An attempt to connect the cache to the source of `past` again.
    fn again<'a>(cache: &'a CacheName, past: &'a Connection) -> Attempt<'a> {
        Attempt {
            cache,
            remote: &past.remote,
            identity: &past.identity,
            servers: &NOT_TOLD,
            asked: 1_000,
            space: FOUR,
            changed: false,
            fresh: false,
        }
    }

    #[test]
    fn a_first_connection_starts_anew_without_asking() {
        let (cache, connection) = (name("orders"), connection(4));
        let start = Attempt { changed: true, ..again(&cache, &connection) }.after(None).unwrap();
        assert_eq!((start.beginning, start.complete.len()), (Beginning::Anew, 0));
        assert!(!start.marked && !start.cleared && !start.forgets);
    }

    #[test]
    fn a_connection_continues_with_what_is_complete_if_nothing_was_changed() {
        let cache = name("orders");
        for complete in [&[][..], &[0, 2]] {
            let mut past = past(complete);
            past.count = SourceCount { said: Some(9), shown: 7 };
            let start = again(&cache, &past).after(Some(&past)).unwrap();
            let expected = (Beginning::Unchanged, complete.len());
            assert_eq!((start.beginning, start.complete.len() as usize), expected);
            assert_eq!(start.count, past.count);
            assert!(!start.marked && !start.forgets);
        }
    }

    fn announced(names: &[&str]) -> SourceServers {
        let names = names.iter().map(ToString::to_string).collect();
        SourceServers { names, announced: true }
    }

    fn unheard(server: &str, since: Option<u64>) -> UnheardServer {
        UnheardServer { server: server.into(), since, after_copy: false }
    }

    #[test]
    fn servers_that_do_not_answer_stay_known_and_those_that_have_gone_in_between_are_added() {
        let cache = name("orders");
        let identity = of(&[("a:1", 100), ("b:1", 100), ("c:1", 100), ("e:1", 7)]);
        let now = of(&[("a:1", 100), ("b:1", 900), ("d:1", 9)]);
        // One has left, one is silent as before, and one that is new is silent too.
        let servers = announced(&["a:1", "b:1", "d:1", "e:1", "f:1"]);
        for (complete, is_whole) in [(&[0, 2][..], false), (&[0, 1, 2, 3], true)] {
            let past = Connection {
                identity: identity.clone(),
                lost: gone(&[lost("x:1", true)]),
                ..past(complete)
            };
            let attempt = Attempt { identity: &now, servers: &servers, ..again(&cache, &past) };
            let start = attempt.after(Some(&past)).unwrap();
            let left = LostServer { how: Gone::Left, ..lost("c:1", is_whole) };
            assert_eq!(start.lost.gone, [lost("x:1", true), lost("b:1", is_whole), left]);
            let new = UnheardServer { after_copy: is_whole, ..unheard("f:1", Some(1_000)) };
            assert_eq!(start.lost.unheard, [new]);
            let known = of(&[("a:1", 100), ("b:1", 900), ("d:1", 9), ("e:1", 7)]);
            assert_eq!(start.identity, known);
            let fresh = Attempt { fresh: true, ..attempt }.after(Some(&past)).unwrap();
            let new = [unheard("e:1", Some(1_000)), unheard("f:1", Some(1_000))];
            let expected = LostServers { unheard: new.to_vec(), ..LostServers::default() };
            assert_eq!((fresh.lost, fresh.identity), (expected, now.clone()), "it copies anew");
            // Of one that announces none, nobody is known to have left.
            let silent = SourceServers { announced: false, ..servers.clone() };
            let start = Attempt { servers: &silent, ..attempt }.after(Some(&past)).unwrap();
            assert_eq!(start.lost.gone, [lost("x:1", true), lost("b:1", is_whole)]);
            assert_eq!(start.identity.at("c:1"), identity.at("c:1"));
        }
    }

    #[test]
    fn servers_that_did_not_answer_before_are_compared_once_they_do() {
        let cache = name("orders");
        let identity = of(&[("a:1", 100), ("b:1", 100), ("c:1", 100), ("d:1", 100)]);
        let servers = announced(&["a:1", "b:1", "c:1", "u:1", "v:1", "w:1"]);
        let known = ["a:1", "b:1", "c:1", "d:1"].map(|server| unheard(server, None));
        let first = ["u:1", "v:1", "w:1"].map(|server| unheard(server, Some(500)));
        for complete in [&[0, 2][..], &[0, 1, 2, 3]] {
            let past = Connection {
                identity: identity.clone(),
                lost: LostServers { unheard: [&known[..], &first].concat(), ..gone(&[]) },
                ..past(complete)
            };
            let now = of(&[("a:1", 100), ("b:1", 900), ("u:1", 499), ("v:1", 500)]);
            let attempt = Attempt { identity: &now, servers: &servers, ..again(&cache, &past) };
            let start = attempt.after(Some(&past)).unwrap();
            let left = LostServer { how: Gone::Left, ..lost("d:1", false) };
            assert_eq!(start.lost.gone, [lost("b:1", false), left, lost("v:1", false)]);
            assert_eq!(start.lost.unheard, [known[2].clone(), first[2].clone()]);
            // It answers over this connection only.
            let next = Connection { identity: start.identity, lost: start.lost, ..past };
            let now = of(&[("a:1", 100), ("w:1", 700)]);
            let attempt = Attempt { identity: &now, servers: &servers, ..again(&cache, &next) };
            let start = attempt.after(Some(&next)).unwrap();
            assert_eq!(
                start.lost.gone.last(),
                Some(&lost("w:1", false)),
                "it waits since the first"
            );
            assert_eq!(start.lost.unheard, [known[2].clone()]);
        }
    }

    #[test]
    fn anything_that_is_not_proven_needs_a_choice_and_fresh_is_one() {
        let process = || connection(4).identity.0.remove(0);
        let alias = SourceProcess { server: "localhost:11222".into(), ..process() };
        let alias = SourceIdentity(vec![alias]);
        let silent = SourceIdentity(vec![SourceProcess { started: None, ..process() }]);
        let other = RemoteStoreConfig { cache: Some("other".into()), ..connection(4).remote };
        let (cache, partial, all) = (name("orders"), past(&[0, 2]), past(&[0, 1, 2, 3]));
        let marked = Connection { marked: true, ..partial.clone() };
        let forgets = Connection { forgets: true, ..partial.clone() };
        let unproven = Connection { identity: silent.clone(), ..partial.clone() };
        let again = |past| again(&cache, past);
        let gaps = [
            (&partial, Attempt { remote: &other, ..again(&partial) }, Gap::OtherCache),
            (&partial, Attempt { identity: &alias, ..again(&partial) }, Gap::OtherSource),
            (&partial, Attempt { identity: &silent, ..again(&partial) }, Gap::OtherSource),
            (&unproven, again(&unproven), Gap::OtherSource),
            (&partial, Attempt { space: SourceSpace::Unit, ..again(&partial) }, Gap::OtherSegments),
            (&partial, Attempt { changed: true, ..again(&partial) }, Gap::ChangedSince),
            (&marked, again(&marked), Gap::ChangedConnected),
            (&forgets, again(&forgets), Gap::ChangedConnected),
            // Also where everything is here: another source may have more.
            (&all, Attempt { identity: &alias, ..again(&all) }, Gap::OtherSource),
        ];
        for (past, attempt, gap) in gaps {
            assert_eq!(attempt.after(Some(past)), Err(gap));
            let start = Attempt { fresh: true, ..attempt }.after(Some(past)).unwrap();
            assert_eq!((start.beginning, start.complete.len()), (Beginning::Anew, 0));
            assert!(!start.marked && !start.forgets);
        }
    }

    #[test]
    fn a_source_that_is_all_here_is_connected_again_and_gives_nothing() {
        let cache = name("orders");
        let all = Connection { marked: true, cleared: true, ..past(&[0, 1, 2, 3]) };
        for space in [FOUR, SourceSpace::Segments(8), SourceSpace::Unit] {
            let start = Attempt { space, ..again(&cache, &all) }.after(Some(&all)).unwrap();
            let expected = (Beginning::Complete, space, space.count());
            assert_eq!((start.beginning, start.space, start.complete.len()), expected);
            assert!(start.marked && start.cleared && start.forgets);
        }
        let all = past(&[0, 1, 2, 3]);
        assert!(!again(&cache, &all).after(Some(&all)).unwrap().forgets);
        let changed = Attempt { changed: true, ..again(&cache, &all) };
        let start = changed.after(Some(&all)).unwrap();
        assert!(start.forgets && start.marked, "a restart must not forget it again");
    }

    #[test]
    fn a_source_that_was_one_unit_stays_one() {
        let cache = name("orders");
        for complete in [Coverage::none(1), Coverage::all(1)] {
            let (space, complete) = (SourceSpace::Unit, complete);
            let unit = Connection { space, complete: complete.clone(), ..connection(4) };
            let start = again(&cache, &unit).after(Some(&unit)).unwrap();
            assert_eq!((start.space, start.complete), (SourceSpace::Unit, complete));
        }
    }
}
