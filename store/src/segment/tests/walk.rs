//! A walk over a segment while others change it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

/// Shows every living entry of a segment that nobody changes.
pub(super) fn shown(segment: &Segment, now: Timestamp, mut visit: impl FnMut(EntryRef<'_>)) {
    let mut cursor = Cursor::default();
    while step(segment, &mut cursor, usize::MAX, now, |entry| {
        visit(entry);
        ControlFlow::Continue(())
    }) == Step::More
    {}
}

fn step(
    segment: &Segment,
    cursor: &mut Cursor,
    most: usize,
    now: Timestamp,
    visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
) -> Step {
    cursor.prepare(most);
    let step = segment.walk(cursor, most, now, visit);
    assert!(cursor.capacity() <= most.checked_next_power_of_two().unwrap_or(usize::MAX));
    step
}

/// What happens between the steps of a walk.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    /// Entries at the start.
    entries: u32,
    /// Hashes that the walk may hold.
    most: usize,
    /// Changes between two steps.
    changes: u32,
    /// Of a hundred changes, those that put an entry; others remove one.
    puts: u32,
    /// Steps of a thousand after which the table is shrunk.
    shrinks: u32,
    /// Steps of ten thousand after which the segment is cleared.
    clears: u32,
    /// Bits of the hash that keys do not differ by.
    cleared: u64,
    /// Whether a source is connected, so that removals leave tombstones.
    connected: bool,
}

fn number(key: &[u8]) -> u32 {
    u32::from_be_bytes(key.try_into().unwrap())
}

/// Runs a walk and compares it with an oracle: the keys that were there throughout, and those that were
/// there at some time.
fn play(schedule: Schedule, random: &mut StdRng, seed: u64) {
    let what = format!("with SEED={seed}, {schedule:?}");
    let mut segment = segment(Bound::default());
    segment.hasher.cleared = schedule.cleared;
    if schedule.connected {
        connect(&mut segment);
        segment.complete(SourceSegment(0));
    }
    let span = schedule.entries.max(4) * 2;
    for key in 0..schedule.entries {
        put(&mut segment, &key.to_be_bytes(), b"v");
    }
    let mut present: BTreeSet<u32> = (0..schedule.entries).collect();
    let (mut throughout, mut ever) = (present.clone(), present.clone());
    let mut given: BTreeMap<u32, u32> = BTreeMap::new();
    let mut cursor = Cursor::default();
    let mut steps = 0_u64;
    loop {
        let enough = random.random_range(1..=64);
        let mut in_step = 0;
        let came_to = step(&segment, &mut cursor, schedule.most, at(1_000), |entry| {
            *given.entry(number(entry.key())).or_default() += 1;
            in_step += 1;
            if in_step >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if came_to == Step::End {
            break;
        }
        steps += 1;
        assert!(steps < 1_000_000, "the walk does not end {what}");
        for _ in 0..random.random_range(0..=schedule.changes) {
            let key = random.random_range(0..span);
            if random.random_range(0..100) < schedule.puts {
                put(&mut segment, &key.to_be_bytes(), b"other");
                present.insert(key);
                ever.insert(key);
            } else {
                run(&mut segment, &Command::remove(&key.to_be_bytes()), at(1_000));
                present.remove(&key);
                throughout.remove(&key);
            }
        }
        if random.random_range(0..1_000) < schedule.shrinks {
            segment.shrink();
        }
        if random.random_range(0..10_000) < schedule.clears {
            drop(segment.clear());
            present.clear();
            throughout.clear();
        }
    }
    for key in &throughout {
        assert_eq!(given.get(key), Some(&1), "{key} was there throughout {what}");
    }
    for (key, times) in &given {
        assert!(*times == 1 && ever.contains(key), "{key} was given {times} times {what}");
    }
}

#[test]
fn a_walk_gives_what_is_there_throughout_exactly_once_and_nothing_twice() {
    let seed = std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..120 {
        let entries = [0, 1, 5, 60, 400, 2_000][random.random_range(0..6)];
        let mut schedule = Schedule {
            entries,
            // Few passes over many entries, and many over few.
            most: [4, 16, 100, 512 * 1024][random.random_range(0..4)].max(entries as usize / 5),
            changes: [0, 3, 40][random.random_range(0..3)],
            puts: [20, 50, 80, 100][random.random_range(0..4)],
            shrinks: [0, 10, 300][random.random_range(0..3)],
            clears: [0, 0, 20][random.random_range(0..3)],
            cleared: 0,
            connected: random.random(),
        };
        if entries <= 60 {
            let bits = [0, !0xff, !0xff00_0000_0000_0000, u64::MAX];
            schedule.cleared = bits[random.random_range(0..4)];
        }
        play(schedule, &mut random, seed);
    }
}

#[test]
fn keys_of_one_hash_hide_nothing() {
    let mut segment = segment(Bound::default());
    segment.hasher.cleared = u64::MAX;
    for key in 0_u32..100 {
        put(&mut segment, &key.to_be_bytes(), b"v");
    }
    let mut seen = BTreeSet::new();
    shown(&segment, at(1_000), |entry| assert!(seen.insert(number(entry.key()))));
    assert_eq!(seen, (0..100).collect());
}

#[test]
fn a_walk_holds_no_more_hashes_than_it_may() {
    let mut segment = segment(Bound::default());
    for key in 0_u32..50_000 {
        put(&mut segment, &key.to_be_bytes(), b"v");
    }
    let (mut cursor, mut seen, mut largest) = (Cursor::default(), BTreeSet::new(), 0);
    while step(&segment, &mut cursor, 2_048, at(1_000), |entry| {
        assert!(seen.insert(number(entry.key())));
        ControlFlow::Continue(())
    }) == Step::More
    {
        largest = largest.max(cursor.memory());
    }
    assert_eq!((seen.len(), largest), (50_000, 2_048 * 8));
}

#[test]
fn a_walk_ends_although_the_table_is_rearranged_all_the_time() {
    let mut segment = segment(Bound::default());
    for key in 0_u32..5_000 {
        put(&mut segment, &key.to_be_bytes(), b"v");
    }
    let (mut cursor, mut seen, mut steps) = (Cursor::default(), BTreeSet::new(), 0);
    while step(&segment, &mut cursor, usize::MAX, at(1_000), |entry| {
        assert!(seen.insert(number(entry.key())));
        ControlFlow::Continue(())
    }) == Step::More
    {
        segment.generation += 1;
        steps += 1;
        assert!(steps < 200, "it starts over for ever");
    }
    assert_eq!(seen.len(), 5_000);
}

#[test]
fn entries_that_have_ended_are_not_shown() {
    let mut segment = segment(Bound::default());
    let lifespan = Some(Lifetime::from_millis(500));
    let mortal = Expiration { lifespan, max_idle: None };
    run(&mut segment, &Command::write(b"mortal", b"v", mortal), at(1_000));
    put(&mut segment, b"immortal", b"v");
    let keys = |now| {
        let mut keys = Vec::new();
        shown(&segment, at(now), |entry| keys.push(entry.key().to_vec()));
        keys.len()
    };
    assert_eq!((keys(1_499), keys(1_500)), (2, 1));
}
