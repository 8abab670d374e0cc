//! Which readings may be of one process.

use std::time::Duration;

use super::*;

const HERE: u128 = 7;

fn at(millis: i64) -> SinceBoot {
    SinceBoot { boot: HERE, millis, awake: millis }
}

/// Whole seconds that a process has run which was started at `start`, as it says at `now`; its answer takes so long.
fn reading(start: i64, now: i64, trip: i64) -> StartInterval {
    let running = Duration::from_millis((now - start).unsigned_abs());
    StartInterval::of(Duration::from_secs(running.as_secs()), at(now - trip), at(now + trip))
        .unwrap()
}

/// A process that says so much, as it was last asked at `now`.
fn process(start: i64, now: i64) -> SourceProcess {
    let start_by = Some(reading(start, now, 1));
    let started_by = StartedBy { boot: start_by, awake: start_by, source: None };
    let started = Some((1_000_000 + start.unsigned_abs()) / 1_000);
    SourceProcess { server: "a:1".into(), started, started_by, ..SourceProcess::default() }
}

fn alone(id: u32) -> Option<ToldTopology> {
    Some(ToldTopology { id, alone: true })
}

fn with_others(id: u32) -> Option<ToldTopology> {
    Some(ToldTopology { id, alone: false })
}

/// Reads a process again and again at the best instants. `start` is when the one was started that answers the
/// reading of this number. Returns the number of the first one that does not continue the one before.
fn told_apart(
    looks: usize,
    topology: Option<ToldTopology>,
    start: impl Fn(usize) -> i64,
) -> Option<usize> {
    let mut now = 10_000;
    let mut known = SourceProcess { topology, ..process(start(0), now) };
    for look in 0..looks {
        now = known.started_by.boot.unwrap().best_reading(now + 500);
        assert!(now - known.started_by.boot.unwrap().read < 2_000);
        let mut next = SourceProcess { topology, ..process(start(look), now) };
        if !next.continues(&known) {
            return Some(look);
        }
        next.narrow(&known);
        known = next;
    }
    None
}

#[test]
fn a_narrow_interval_is_read_at_an_instant_that_tells_something() {
    let known = StartInterval { boot: HERE, earliest: 4_300, latest: 4_340, read: 0 };
    for at in 10_000..14_000 {
        let beside = (known.best_reading(at) - 4_320).rem_euclid(1_000);
        assert!([250, 750].contains(&beside), "at {at}: {beside}");
        assert!((at..at + 1_500).contains(&known.best_reading(at)), "at {at}");
    }
}

#[test]
fn readings_of_one_process_narrow_when_it_was_started() {
    let mut known = reading(4_321, 10_000, 2);
    assert_eq!((known.earliest, known.latest), (3_998, 5_003));
    for _ in 0..9 {
        let next = reading(4_321, known.best_reading(known.read + 500), 2);
        assert!(next.agrees_with(&known));
        known = next.narrowed(&known);
        assert!((known.earliest..=known.latest).contains(&4_321), "{known:?}");
    }
    assert!(known.width_ms() < 80, "{known:?}");
}

#[test]
fn a_twin_that_was_started_soon_after_contradicts_the_first() {
    for apart in [-2_900, -1_000, -700, -300, 300, 500, 1_000, 2_900] {
        for switch in 8..14 {
            let told =
                told_apart(20, None, |look| if look < switch { 4_321 } else { 4_321 + apart });
            assert!(
                told.is_some_and(|look| (switch..switch + 4).contains(&look)),
                "{apart} {switch}: {told:?}"
            );
        }
    }
    assert_eq!(told_apart(1_000, None, |_| 4_321), None);
}

#[test]
fn two_readings_aside_tell_every_other_process() {
    // Known as closely as it is at first.
    for (width, trip) in [(2, 1), (100, 1), (150, 20)] {
        let (earliest, latest) = (4_321 - width / 2, 4_321 + width / 2);
        let known = StartInterval { boot: HERE, earliest, latest, read: 10_000 };
        for at in (10_000..11_000).step_by(77) {
            let instants = known.telling_instants(at);
            assert!(at <= instants[0] && instants[0] < instants[1] && instants[1] < at + 1_000);
            let is_told = |start: i64| {
                instants.iter().any(|now| !reading(start, *now, trip).agrees_with(&known))
            };
            assert!(!is_told(4_321));
            for apart in (300..4_000).step_by(31) {
                assert!(is_told(4_321 + apart) && is_told(4_321 - apart), "{width} {apart} {at}");
            }
        }
    }
}

#[test]
fn a_twin_is_told_apart_whenever_it_is_asked_first() {
    let known = || {
        reading(4_321, 10_000, 1).narrowed(&StartInterval {
            earliest: 4_300,
            latest: 4_350,
            ..reading(4_321, 9_900, 1)
        })
    };
    for apart in [-1_900, -1_000, -600, 600, 1_000, 1_900] {
        for first in 10_500..11_500 {
            // At any instant, and then at those that tell.
            let (mut known, mut at, mut looks) = (known(), first, 0);
            loop {
                let next = reading(4_321 + apart, at, 1);
                if !next.agrees_with(&known) {
                    break;
                }
                known = next.narrowed(&known);
                at = known.best_reading(at + 500);
                looks += 1;
                assert!(looks < 6, "{apart} {first}: {known:?}");
            }
        }
    }
}

#[test]
fn a_slow_answer_says_little_and_starts_no_doubt() {
    let known = reading(4_321, 10_000, 1);
    for trip in [10, 500, 1_900] {
        for now in (20_000..22_000).step_by(37) {
            let slow = reading(4_321, now, trip);
            assert!(slow.agrees_with(&known), "{trip} {now}");
            assert!(slow.narrowed(&known).width_ms() <= known.width_ms() + 40);
        }
    }
}

#[test]
fn clocks_that_are_corrected_or_drift_start_no_doubt() {
    let drifting = |look: usize| 4_321 + i64::try_from(look).unwrap();
    assert_eq!(told_apart(20_000, None, drifting), None, "by 1,000 of a million");
    let slowly = |look: usize| 4_321 - i64::try_from(look / 20).unwrap();
    assert_eq!(told_apart(20_000, None, slowly), None, "by 50");
    let quickly = |look: usize| 4_321 + 80 * i64::try_from(look.min(13)).unwrap();
    assert_eq!(told_apart(100, with_others(5), quickly), None, "a second is corrected in ten");
    // A target that comes back after two days knows a source whose clock is 2 s off by then.
    assert!(process(4_321 + 2_000, 172_800_000).continues(&process(4_321, 10_000)));
    assert!(!process(4_321 + 6_000, 172_800_000).continues(&process(4_321, 10_000)));
}

#[test]
fn a_machine_that_stood_still_is_known_by_its_topology() {
    let then = SourceProcess { topology: with_others(5), ..process(1_000, 60_000) };
    let halted = |topology| SourceProcess { topology, ..process(4_000, 70_000) };
    assert!(halted(with_others(5)).continues(&then));
    assert!(!halted(with_others(6)).continues(&then), "it may be another one");
    assert!(!halted(None).continues(&then));
    // A cache that was created in its place is younger than the last answer of the one before.
    let anew = SourceProcess { topology: with_others(5), ..process(60_500, 70_000) };
    assert!(!anew.continues(&then));
    let young = SourceProcess { topology: with_others(5), ..process(58_000, 60_000) };
    let anew = SourceProcess { topology: with_others(5), ..process(60_100, 62_000) };
    assert!(!anew.continues(&young));
}

#[test]
fn a_source_is_known_to_a_machine_that_was_suspended_whether_or_not_it_was_suspended_too() {
    const SLEPT: i64 = 60_000;
    let read = |slept: i64, awake: i64, running: i64| {
        let now = SinceBoot { boot: HERE, millis: awake + slept, awake };
        let running = Duration::from_millis(running.unsigned_abs());
        let started_by = StartedBy::of(Duration::from_secs(running.as_secs()), now, now);
        SourceProcess { server: "a:1".into(), started_by, ..SourceProcess::default() }
    };
    let close = |of: &SourceProcess| {
        [of.started_by.boot, of.started_by.awake].map(|start| start.unwrap().width_ms())
    };
    let start = 4_321;
    let known = (0..9).fold(read(0, 10_000, 10_000 - start), |known, _| {
        let at = known.started_by.boot.unwrap();
        let at = at.best_reading(at.read + 500);
        let mut next = read(0, at, at - start);
        next.narrow(&known);
        next
    });
    assert!(close(&known).iter().all(|width| *width < 80), "{known:?}");
    // On the same machine it has not counted the time; elsewhere it has.
    for counted in [0, SLEPT] {
        let now = |later: i64| read(SLEPT, 40_000, 40_000 - start - later + counted);
        let mut same = now(0);
        assert!(same.continues(&known), "{counted}");
        same.narrow(&known);
        assert!(close(&same).iter().all(|width| *width < 300), "{counted}: {same:?}");
        assert!(read(SLEPT, 41_500, 41_500 - start + counted).continues(&same));
        for later in [-2_000, 2_000] {
            assert!(!now(later).continues(&known), "{counted}: another one");
            assert!(!now(later).continues(&same), "{counted}: another one");
        }
    }
    let one = read(SLEPT, 40_000, 60_000);
    assert!(!one.continues(&known), "it was started while the machine was suspended");
    // Of an earlier version, only one clock is known.
    let mut earlier = known;
    earlier.started_by.awake = None;
    let mut next = read(0, 40_000, 40_000 - start);
    assert!(next.continues(&earlier));
    next.narrow(&earlier);
    assert!(close(&next).iter().all(|width| *width < 200), "{next:?}");
}

#[test]
fn a_lone_server_with_another_number_is_another_process() {
    let then = SourceProcess { topology: alone(5), ..process(1_000, 60_000) };
    let now = |topology| SourceProcess { topology, ..process(1_000, 61_000) };
    assert!(now(alone(5)).continues(&then));
    assert_eq!(now(alone(6)).change_since(&then), Some(Change::Process));
    assert!(now(with_others(6)).continues(&then), "another server has joined it");
    assert!(now(None).continues(&then), "it did not say");
}

#[test]
fn counters_only_grow() {
    let counted =
        |counters| SourceProcess { counters: Counters(counters), ..process(1_000, 60_000) };
    let then = counted([Some(300), Some(5), Some(0), None, Some(1), Some(900), Some(800)]);
    assert!(then.continues(&then));
    for (index, name) in COUNTERS.iter().enumerate() {
        let mut counters = then.counters.0;
        let Some(before) = counters[index].filter(|before| *before > 0) else { continue };
        counters[index] = Some(before + 1);
        assert!(counted(counters).continues(&then), "{name}");
        counters[index] = None;
        assert!(counted(counters).continues(&then), "{name}");
        counters[index] = Some(before - 1);
        let change = counted(counters).change_since(&then);
        assert_eq!(change, Some(Change::Counter { name, before, now: before - 1 }));
    }
}

#[test]
fn a_source_goes_on_with_any_of_its_processes_and_keeps_those_that_were_not_heard() {
    let of =
        |server: &str, start, now| SourceProcess { server: server.into(), ..process(start, now) };
    let known = SourceIdentity(vec![of("a:1", 1_000, 60_000), of("b:1", 2_000, 60_000)]);
    let (heard, again) = (of("a:1", 1_000, 61_400), of("b:1", 61_000, 61_400));
    let one = SourceIdentity(vec![heard.clone()]);
    assert!(one.continues(&known) && one.change_since(&known).is_none());
    let next = one.clone().with_earlier(&known, |server| server == "b:1");
    assert_eq!(next.at("b:1"), known.at("b:1"));
    let start = next.at("a:1").unwrap().started_by.boot.unwrap();
    assert!(start.width_ms() < 700, "both readings count: {start:?}");
    assert_eq!(one.with_earlier(&known, |_| false).at("b:1"), None, "it has left");
    // One that was started again beside it is what it is now.
    let next = SourceIdentity(vec![heard, again.clone()]).with_earlier(&known, |_| true);
    assert_eq!(next.at("b:1"), Some(&again));
    assert_eq!(SourceIdentity(vec![again]).change_since(&known), Some(Change::Process));
    let elsewhere = SourceIdentity(vec![of("c:1", 1_000, 61_000)]);
    assert_eq!(elsewhere.change_since(&known), Some(Change::Address));
}

#[test]
fn a_process_is_the_same_if_it_was_started_when_the_other_was() {
    let process = |server: &str, started, written| SourceProcess {
        server: server.into(),
        started,
        counters: Counters::of(|name| if name == "totalBytesWritten" { written } else { None }),
        ..SourceProcess::default()
    };
    let then = SourceIdentity(vec![
        process("a:1", Some(1_000), Some(50)),
        process("e:1", Some(1_000), None),
        process("b:1", None, Some(500)),
        process("c:1", None, None),
    ]);
    let same = |now: SourceProcess| SourceIdentity(vec![now]).continues(&then);
    assert!(same(process("e:1", Some(1_003), Some(0))), "seconds are rounded");
    assert!(!same(process("a:1", Some(1_020), Some(5_000))), "started later");
    assert!(!same(process("a:1", Some(1_002), Some(49))), "started so soon that only bytes tell");
    assert!(same(process("b:1", None, Some(501))), "it has written more since");
    assert!(!same(process("b:1", None, Some(499))), "it counts from the start again");
    assert!(same(process("c:1", None, None)), "nothing is known that speaks against it");
    assert!(!same(process("d:1", Some(1_000), None)), "another server");
}

#[test]
fn a_process_that_does_not_say_since_when_it_runs_is_known_by_its_topology() {
    let process = |started, topology| {
        let server = "a:1".into();
        let process = SourceProcess { server, started, topology, ..SourceProcess::default() };
        SourceIdentity(vec![process])
    };
    let seven = || process(None, with_others(7));
    assert!(seven().continues(&seven()));
    assert!(!process(None, with_others(8)).continues(&seven()), "it may be another one");
    assert!(!process(None, None).continues(&seven()), "so may this");
    assert!(seven().continues(&process(None, None)), "nothing was known of it");
    let changed = process(Some(100), with_others(8));
    assert!(changed.continues(&process(Some(100), with_others(7))), "another server has joined it");
}

#[test]
fn a_process_is_known_although_a_clock_was_set() {
    let process = |started: u64, boot: Option<(u128, i64)>, source| {
        let boot = boot.map(|(boot, millis)| {
            let (earliest, latest) = (millis - 500, millis + 500);
            StartInterval { boot, earliest, latest, read: 60_000 }
        });
        let (server, started_by) = ("a:1".into(), StartedBy { boot, awake: None, source });
        SourceProcess { server, started: Some(started), started_by, ..SourceProcess::default() }
    };
    let then = process(10_000, Some((HERE, -50_000)), Some(10_600));
    let same = |now: &SourceProcess| now.continues(&then);
    assert!(same(&process(13_600, Some((HERE, -49_000)), None)), "our clock was set");
    assert!(same(&process(10_000, Some((HERE, -50_000)), Some(99))), "the source's clock was set");
    assert!(!same(&process(10_000, Some((HERE, 20_000)), Some(10_600))), "it was started later");
    assert!(same(&process(13_600, Some((8, 1_000)), Some(10_601))), "from another machine");
    assert!(same(&process(10_001, None, Some(14_000))), "the source's clock was set meanwhile");
    assert!(!same(&process(13_600, Some((8, -50_000)), Some(14_000))), "no clock agrees");
    assert!(!same(&process(13_600, None, None)));
}

#[test]
fn a_known_server_that_was_not_heard_may_go_on() {
    let of =
        |server: &str, start, now| SourceProcess { server: server.into(), ..process(start, now) };
    let known = SourceIdentity(vec![of("a:1", 1_000, 60_000), of("b:1", 2_000, 60_000)]);
    let anew = SourceIdentity(vec![of("a:1", 61_000, 62_000)]);
    let servers = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(anew.unheard(&known, &servers(&["a:1", "b:1"])), Some("b:1"));
    assert_eq!(anew.unheard(&known, &servers(&["a:1", "c:1"])), None, "it has left");
    let both = SourceIdentity(vec![of("a:1", 61_000, 62_000), of("b:1", 61_000, 62_000)]);
    assert_eq!(both.unheard(&known, &servers(&["a:1", "b:1"])), None, "it has answered");
}

#[test]
fn what_is_recorded_of_a_source_is_outdated_once_another_process_has_come() {
    let of =
        |server: &str, start, now| SourceProcess { server: server.into(), ..process(start, now) };
    let recorded = SourceIdentity(vec![of("a:1", 1_000, 60_000), of("b:1", 2_000, 60_000)]);
    let goes_on = of("b:1", 2_000, 65_000);
    assert!(!recorded.is_outdated_by(&recorded));
    assert!(!recorded.is_outdated_by(&SourceIdentity(vec![goes_on.clone()])), "one has left");
    let next = SourceIdentity(vec![of("a:1", 63_000, 65_000), goes_on.clone()]);
    assert!(recorded.is_outdated_by(&next), "one was started again");
    let joined = SourceIdentity(vec![of("c:1", 63_000, 65_000), goes_on]);
    assert!(recorded.is_outdated_by(&joined), "one has come");
    // Whose start was hardly known when it was recorded.
    let vague = SourceIdentity(vec![process(1_000, 60_000)]);
    let start = StartInterval { earliest: 990, latest: 1_010, ..reading(1_000, 61_000, 1) };
    let mut closely = process(1_000, 61_000);
    closely.started_by.boot = Some(start);
    assert!(vague.is_outdated_by(&SourceIdentity(vec![closely.clone()])));
    let recorded = SourceIdentity(vec![closely.clone()]);
    assert!(!recorded.is_outdated_by(&recorded));
    closely.started_by.boot = Some(StartInterval { boot: start.boot + 1, ..start });
    assert!(recorded.is_outdated_by(&SourceIdentity(vec![closely])), "this machine was booted");
}
