//! Which servers have gone, and which may have.

use super::*;
use crate::samples::of;

/// Processes as by [`of`], which were started then by the source's clock.
fn dated(processes: &[(&str, u64)], by_source: &[(&str, u64)]) -> SourceIdentity {
    let mut identity = of(processes);
    for process in &mut identity.0 {
        let known = by_source.iter().find(|(server, _)| *server == process.server);
        process.started_by.source = known.map(|(_, started)| *started);
    }
    identity
}

fn names(identity: &SourceIdentity) -> Vec<&str> {
    identity.0.iter().map(|process| process.server.as_str()).collect()
}

fn servers(names: &[&str]) -> SourceServers {
    SourceServers { names: names.iter().map(ToString::to_string).collect(), announced: true }
}

fn gone(server: &str, how: Gone, after_copy: bool) -> LostServer {
    LostServer { server: server.into(), how, after_copy }
}

fn unheard(server: &str, since: Option<u64>) -> UnheardServer {
    UnheardServer { server: server.into(), since, after_copy: false }
}

/// A source as it is asked again and again.
struct Source {
    lost: LostServers,
    known: SourceIdentity,
    servers: SourceServers,
    since: u64,
}

impl Source {
    /// One that consists of these servers, of which these are known.
    fn new(names: &[&str], known: &[(&str, u64)]) -> Self {
        let (lost, servers) = (LostServers::default(), servers(names));
        Self { lost, known: of(known), servers, since: 1_000 }
    }

    /// These answer. Returns those that turn out to have gone.
    fn answer(&mut self, now: &[(&str, u64)], copied: Copied) -> Vec<LostServer> {
        self.look(&of(now), copied)
    }

    fn look(&mut self, now: &SourceIdentity, copied: Copied) -> Vec<LostServer> {
        let (known, servers, since) = (&self.known, &self.servers, self.since);
        let gone = self.lost.take_in(&RollCall { now, known, servers, since, copied });
        self.known = now.clone().with_earlier(known, |server| !servers.lack(server));
        gone
    }
}

#[test]
fn servers_that_have_gone_are_named_once_and_those_that_may_go_on_are_not() {
    let known = [("a:1", 9), ("b:1", 9), ("c:1", 9), ("d:1", 9)];
    for (copied, after_copy) in
        [(Copied::Part, false), (Copied::All, false), (Copied::AllAsked, true)]
    {
        let mut source = Source::new(&["a:1", "b:1", "c:1"], &known);
        let expected =
            [gone("b:1", Gone::Replaced, after_copy), gone("d:1", Gone::Left, after_copy)];
        assert_eq!(source.answer(&[("a:1", 9), ("b:1", 99)], copied), expected);
        assert_eq!(source.lost.gone, expected);
        assert_eq!(names(&source.known), ["a:1", "b:1", "c:1"]);
        assert_eq!(source.answer(&[("a:1", 9), ("b:1", 99)], Copied::AllAsked), []);
        // Who the others are, it does not say.
        let mut silent = Source::new(&["a:1", "b:1", "c:1"], &known);
        silent.servers.announced = false;
        assert_eq!(silent.answer(&[("a:1", 9), ("b:1", 99)], copied), expected[..1]);
        assert_eq!(names(&silent.known).len(), 4);
    }
}

#[test]
fn a_server_that_is_not_heard_once_everything_is_here_is_compared_when_it_answers() {
    for (again, expected) in [(9, vec![]), (99, vec![gone("b:1", Gone::Replaced, false)])] {
        let mut source = Source::new(&["a:1", "b:1"], &[("a:1", 9), ("b:1", 9)]);
        assert_eq!(source.answer(&[("a:1", 9)], Copied::Part), []);
        assert!(source.lost.is_empty(), "it is known, and compared later");
        assert_eq!(source.answer(&[("a:1", 9)], Copied::All), []);
        assert_eq!(source.lost.unheard, [unheard("b:1", None)]);
        assert_eq!(source.answer(&[("a:1", 9)], Copied::AllAsked), []);
        assert_eq!(source.lost.unheard, [unheard("b:1", None)]);
        assert_eq!(source.answer(&[("a:1", 9), ("b:1", again)], Copied::AllAsked), expected);
        assert_eq!(source.lost, LostServers { gone: expected, unheard: Vec::new() });
    }
    // One that has left may have done so before.
    let mut source = Source::new(&["a:1", "b:1"], &[("a:1", 9), ("b:1", 9)]);
    source.answer(&[("a:1", 9)], Copied::All);
    source.servers = servers(&["a:1"]);
    let left = gone("b:1", Gone::Left, false);
    assert_eq!(source.answer(&[("a:1", 9)], Copied::AllAsked), [left]);
    // One that was heard goes without a word.
    let mut source = Source::new(&["a:1", "b:1"], &[("a:1", 9), ("b:1", 9)]);
    source.answer(&[("a:1", 9), ("b:1", 9)], Copied::All);
    source.answer(&[("a:1", 9)], Copied::AllAsked);
    assert!(source.lost.is_empty());
    let again = gone("b:1", Gone::Replaced, true);
    assert_eq!(source.answer(&[("a:1", 9), ("b:1", 99)], Copied::AllAsked), [again]);
}

#[test]
fn a_server_that_has_never_answered_is_lost_unless_it_has_run_since_before() {
    let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
    for copied in [Copied::Part, Copied::All] {
        let mut source = Source::new(&all, &[("a:1", 9)]);
        assert_eq!(source.answer(&[("a:1", 9)], copied), []);
        let never = |server: &&str| unheard(server, Some(1_000));
        assert_eq!(source.lost.unheard, all[1..].iter().map(never).collect::<Vec<_>>());
        source.since = 2_000;
        source.servers = servers(&all[..5]);
        let mut now = of(&[("a:1", 9), ("b:1", 999), ("c:1", 1_000), ("d:1", 0)]);
        now.0[3].started = None;
        let (known, servers) = (&source.known, &source.servers);
        let call = RollCall { now: &now, known, servers, since: 2_000, copied: Copied::AllAsked };
        let expected = [
            gone("c:1", Gone::Replaced, false),
            gone("d:1", Gone::Replaced, false),
            gone("f:1", Gone::Left, false),
        ];
        assert_eq!(source.lost.take_in(&call), expected);
        assert_eq!(source.lost.unheard, [unheard("e:1", Some(1_000))], "it is still waited for");
    }
    // Also one that joins, as long as it could take anything along.
    let mut source = Source::new(&["a:1"], &[("a:1", 9)]);
    source.answer(&[("a:1", 9)], Copied::Part);
    source.servers = servers(&["a:1", "b:1"]);
    source.answer(&[("a:1", 9)], Copied::Part);
    source.answer(&[("a:1", 9)], Copied::All);
    assert_eq!(source.lost.unheard, [unheard("b:1", Some(1_000))]);
}

#[test]
fn a_server_that_joins_once_everything_is_here_and_is_never_heard_counts_if_that_is_copied_anew() {
    let joined = |after_copy| UnheardServer { after_copy, ..unheard("b:1", Some(1_000)) };
    let late = || {
        let mut late = Source::new(&["a:1", "b:1"], &[("a:1", 9)]);
        assert_eq!(late.answer(&[("a:1", 9)], Copied::AllAsked), []);
        assert_eq!(late.lost.unheard, [joined(true)]);
        late.since = 5_000;
        late
    };
    // It has run since it joined.
    assert_eq!(late().answer(&[("a:1", 9), ("b:1", 999)], Copied::AllAsked), []);
    // It was started again, or has left.
    let again = [("a:1", 9), ("b:1", 2_000)];
    let gone_then = |how, after_copy| [gone("b:1", how, after_copy)];
    let copied = late().answer(&again, Copied::AllAsked);
    assert_eq!(copied, gone_then(Gone::Replaced, true));
    let mut left = late();
    left.servers = servers(&["a:1"]);
    assert_eq!(left.answer(&[("a:1", 9)], Copied::AllAsked), gone_then(Gone::Left, true));
    // Everything is copied anew.
    for copied in [Copied::Part, Copied::All] {
        let mut anew = late();
        assert_eq!(anew.answer(&[("a:1", 9)], copied), []);
        assert_eq!(anew.lost.unheard, [joined(false)]);
        assert_eq!(anew.answer(&again, Copied::AllAsked), gone_then(Gone::Replaced, false));
    }
    // After a restart, which has forgotten what was here.
    let mut anew = late();
    anew.lost.unheard[0].after_copy = false;
    assert_eq!(anew.answer(&again, Copied::Part), gone_then(Gone::Replaced, false));
}

#[test]
fn starts_are_compared_by_the_clock_as_it_is_now() {
    // Our clock stood still for an hour, or was set back: all seem to have been started an hour earlier.
    let mut source = Source::new(&["a:1", "b:1", "c:1"], &[("a:1", 9_000)]);
    source.since = 10_000;
    source.answer(&[("a:1", 9_000)], Copied::Part);
    let by_source = |identity: &mut SourceIdentity| identity.0[0].started_by.source = Some(9_000);
    by_source(&mut source.known);
    let mut now = of(&[("a:1", 5_400), ("b:1", 6_399), ("c:1", 6_400)]);
    by_source(&mut now);
    let (known, servers) = (&source.known, &source.servers);
    let call = RollCall { now: &now, known, servers, since: 0, copied: Copied::Part };
    assert_eq!(source.lost.take_in(&call), [gone("c:1", Gone::Replaced, false)]);
    assert!(source.lost.unheard.is_empty());
    // It was set forward, or only the other process stood still: nobody can tell.
    let mut source = Source::new(&["a:1", "b:1"], &[("a:1", 9_000)]);
    source.since = 10_000;
    by_source(&mut source.known);
    source.answer(&[], Copied::Part);
    let mut now = of(&[("a:1", 12_600), ("b:1", 11_000)]);
    by_source(&mut now);
    let (known, servers) = (&source.known, &source.servers);
    let call = RollCall { now: &now, known, servers, since: 0, copied: Copied::Part };
    assert_eq!(source.lost.take_in(&call), [gone("b:1", Gone::Replaced, false)]);
    // Readings that differ by a second or two do not add up.
    let mut source = Source::new(&["a:1", "b:1"], &[("a:1", 9_000)]);
    for second in 0..60 {
        source.answer(&[("a:1", 9_000 + second % 2)], Copied::Part);
    }
    assert_eq!(source.lost.unheard, [unheard("b:1", Some(1_000))]);
}

#[test]
fn our_clock_is_set_back_once_for_all_servers() {
    // In the first look after that, the third server is silent, and answers in the second.
    let by_source = [("a:1", 9_000), ("c:1", 8_000)];
    let known = dated(&by_source, &by_source);
    let mut source = Source { known, since: 10_000, ..Source::new(&["a:1", "c:1", "d:1"], &[]) };
    let mut look = |now: &[(&str, u64)]| {
        let now = dated(now, &by_source);
        let back = now.clock_back_since(&source.known);
        assert_eq!(source.look(&now, Copied::Part), []);
        let since: Vec<_> = source.lost.unheard.iter().map(|unheard| unheard.since).collect();
        let dated = ["a:1", "c:1"].map(|server| source.known.at(server).unwrap().started.unwrap());
        (back, since, dated)
    };
    assert_eq!(look(&[("a:1", 9_000), ("c:1", 8_000)]), (0, vec![Some(10_000)], [9_000, 8_000]));
    assert_eq!(look(&[("a:1", 8_400)]), (600, vec![Some(9_400)], [8_400, 7_400]));
    assert_eq!(look(&[("c:1", 7_400)]), (0, vec![Some(9_400)], [8_400, 7_400]));
    assert_eq!(look(&[("a:1", 8_401)]), (0, vec![Some(9_400)], [8_400, 7_400]));
    // It had run for a while when it was first missed.
    assert_eq!(look(&[("a:1", 8_400), ("d:1", 9_399)]), (0, vec![], [8_400, 7_400]));
}

#[test]
fn a_clock_that_is_set_back_by_little_each_time_is_found_out() {
    let by_source = [("a:1", 9_000)];
    let known = dated(&by_source, &by_source);
    let mut source = Source { known, ..Source::new(&["a:1", "b:1"], &[]) };
    for second in 0..=40 {
        source.look(&dated(&[("a:1", 9_000 - second)], &by_source), Copied::Part);
    }
    assert_eq!(source.lost.unheard, [unheard("b:1", Some(960))]);
    // It was started again after it was first missed, within as much as our clock was set back.
    let now = dated(&[("a:1", 8_960), ("b:1", 970)], &by_source);
    assert_eq!(source.look(&now, Copied::Part), [gone("b:1", Gone::Replaced, false)]);
}

#[test]
fn only_what_was_named_is_accepted() {
    let unknown = || unheard("d:1", Some(7));
    let mut lost = LostServers {
        gone: vec![
            gone("a:1", Gone::Left, false),
            gone("b:1", Gone::Replaced, false),
            gone("e:1", Gone::Replaced, true),
        ],
        unheard: vec![unheard("c:1", None), unknown()],
    };
    let before = lost.clone();
    lost.accept(&["a:1", "c:1", "e:1"].map(ToString::to_string));
    // What went once everything was here counts after a restart.
    let gone = before.gone[1..].to_vec();
    assert_eq!(lost, LostServers { gone, unheard: vec![unknown()] });
    assert!(!lost.says_as_much_as(&before) && !lost.is_empty());
    let moved = LostServers { unheard: vec![unheard("d:1", Some(5))], ..lost.clone() };
    assert!(lost.says_as_much_as(&moved));
    let known = LostServers { unheard: vec![unheard("d:1", None)], ..lost.clone() };
    assert!(!lost.says_as_much_as(&known));
    let joined = UnheardServer { after_copy: true, ..unknown() };
    let mut joined = LostServers { unheard: vec![joined], ..lost.clone() };
    assert!(!lost.says_as_much_as(&joined));
    joined.accept(&["d:1".to_owned()]);
    assert_eq!(joined.unheard.len(), 1, "nobody was told");
}

#[test]
fn a_server_is_lost_once_and_before_the_copy_for_good() {
    let lost = |server: &str, after_copy| gone(server, Gone::Replaced, after_copy);
    let mut all = Vec::new();
    let changes = [("a", true, true), ("a", true, false), ("a", false, true), ("a", true, false)];
    for (server, after_copy, is_new) in changes {
        assert_eq!(lost(server, after_copy).add_to(&mut all), is_new);
    }
    assert!(lost("b", true).add_to(&mut all));
    assert_eq!(all, [lost("a", false), lost("b", true)]);
    let more = (0..200).filter(|number| lost(&number.to_string(), false).add_to(&mut all));
    // One that took nothing along gives way, and then no peer makes the list grow.
    assert_eq!((more.count(), all.len()), (99, 100));
    assert!(all.iter().all(|lost| !lost.after_copy));
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut source = Source::new(&names, &[]);
    source.answer(&[], Copied::Part);
    assert_eq!(source.lost.unheard.len(), 100);
    let mut late = Source::new(&names, &[]);
    late.answer(&[], Copied::AllAsked);
    assert_eq!(late.lost.unheard[0].server, "0");
    late.lost.doubt(of(&[("known:1", 9)]).0.iter());
    assert_eq!(late.lost.unheard.len(), 100);
    assert_eq!(late.lost.unheard[0], unheard("known:1", None), "one of the others gives way");
}
