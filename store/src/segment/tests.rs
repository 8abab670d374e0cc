//! Every rule of a segment, first one by one, then all of them against a model on random schedules.

mod brought;
mod model;
mod reconnect;
mod source;
mod tombstones;
mod walk;

use std::sync::Arc;

use media::hash;

use super::*;
use crate::{
    command::{Answer, Imported},
    entry::{EntryMetadata, Origin},
    memory::{MemoryLimit, Usage},
    source::{Coverage, SourceSegment, SourceSpace},
    stamp::Version,
    time::Lifetime,
};

const VERSIONS: VersionKey = VersionKey::new(1234);

/// What a command came to, as values of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Missing,
    Found(Vec<u8>),
    Changed(Option<Vec<u8>>),
    Refused(Vec<u8>),
    Load,
    Mark,
    Failed(CacheError),
}

fn segment(bound: Bound) -> Segment {
    limited(bound, MemoryLimit::unlimited())
}

fn limited(bound: Bound, memory: Arc<MemoryLimit>) -> Segment {
    let account = Account::new(Usage::new(memory, bound.is_some()));
    Segment::new(VERSIONS, KeyHasher::default(), account, bound)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn run(segment: &mut Segment, command: &Command<'_>, now: Timestamp) -> Seen {
    let mut seen = None;
    let value = |entry: EntryRef<'_>| entry.value().bytes().to_vec();
    let progress =
        segment.apply(hash::hash(command.key), command, now, &mut |outcome: Outcome<'_>| {
            let before = seen.replace(match outcome {
                Outcome::Missing => Seen::Missing,
                Outcome::Found(entry) => Seen::Found(value(entry)),
                Outcome::Changed { previous } => Seen::Changed(previous.map(value)),
                Outcome::Refused { current } => Seen::Refused(value(current)),
            });
            assert_eq!(before, None, "answered twice");
        });
    match progress {
        Ok(Progress::Done) => seen.expect("a command that is done has answered"),
        Ok(other) => {
            assert_eq!(seen, None, "answered before its end");
            if other == Progress::Load { Seen::Load } else { Seen::Mark }
        }
        Err(error) => {
            assert_eq!(seen, None, "answered and failed");
            Seen::Failed(error)
        }
    }
}

fn put(segment: &mut Segment, key: &[u8], value: &[u8]) -> Seen {
    run(segment, &Command::write(key, value, Expiration::NEVER), at(1_000))
}

fn get(segment: &mut Segment, key: &[u8]) -> Seen {
    run(segment, &Command::read(key), at(1_000))
}

/// The same command, never asking the source.
fn only_here(command: Command<'_>) -> Command<'_> {
    Command { source: Source::Skip, ..command }
}

fn found(value: &str) -> Seen {
    Seen::Found(value.into())
}

fn imported(value: &[u8], version: u64) -> Imported<'_> {
    let metadata = EntryMetadata { version: Version(version), ..EntryMetadata::default() };
    Imported { value: Value::Inline(value), metadata }
}

/// The connection that tests make unless they make several.
const FIRST: ConnectionId = ConnectionId(1);

fn connect(segment: &mut Segment) {
    segment.connect(link(FIRST, &[]));
}

/// A connection to a source that is one unit, of which these segments (that is, 0 or none) are complete.
fn link(connection: ConnectionId, complete: &[u32]) -> Link {
    let mut link = Link {
        marked: true,
        max_tombstones: 100,
        ..Link::new(connection, SourceSpace::Unit, at(0))
    };
    complete.iter().for_each(|segment| link.complete.insert(SourceSegment(*segment)));
    link
}

/// What the source said over the first connection.
fn answered(answer: Answer<'_>) -> Source<'_> {
    Source::Asked(FIRST, answer)
}

/// Imports an entry that was read over the first connection.
fn import(
    segment: &mut Segment,
    key: &[u8],
    entry: &Imported<'_>,
    rule: ImportRule,
    now: Timestamp,
) -> Import {
    segment.import(hash::hash(key), key, entry, rule, FIRST, now)
}

fn version_of(segment: &Segment, key: &[u8]) -> Version {
    match segment.inspect(key, at(1_000)) {
        Standing::Local(entry) | Standing::Imported(entry) => entry.version(),
        other => panic!("no entry but {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_until_it_is_removed() {
    let mut segment = segment(Bound::default());
    assert_eq!(get(&mut segment, b"k"), Seen::Missing);
    assert_eq!(put(&mut segment, b"k", b"one"), Seen::Changed(None));
    assert_eq!(put(&mut segment, b"k", b"two"), Seen::Changed(Some(b"one".to_vec())));
    assert_eq!(get(&mut segment, b"k"), found("two"));
    let remove = Command::remove(b"k");
    assert_eq!(run(&mut segment, &remove, at(1_000)), Seen::Changed(Some(b"two".to_vec())));
    assert_eq!(run(&mut segment, &remove, at(1_000)), Seen::Missing);
    assert_eq!((segment.len(), segment.tombstones()), (0, 0), "without a source nothing stays");
}

#[test]
fn a_condition_decides_and_changes_nothing_when_it_fails() {
    let mut segment = segment(Bound::default());
    let write = |condition| {
        let change = Change::Write { value: Value::Inline(b"new"), expiration: Expiration::NEVER };
        Command::new(b"k", condition, change)
    };
    let refused = Seen::Refused(b"old".to_vec());
    let changed = Seen::Changed(Some(b"old".to_vec()));
    let etag = Etag::of(b"old");
    // (condition, on a missing key, on the entry "old")
    let table = [
        (Condition::Always, Seen::Changed(None), changed.clone()),
        (Condition::Absent, Seen::Changed(None), refused.clone()),
        (Condition::Present, Seen::Missing, changed.clone()),
        (Condition::Version(Version(1)), Seen::Missing, refused.clone()),
        (Condition::Etag(etag), Seen::Missing, changed.clone()),
        (Condition::Etag(Etag(0)), Seen::Missing, refused.clone()),
        (Condition::NotEtag(etag), Seen::Changed(None), refused),
        (Condition::NotEtag(Etag(0)), Seen::Changed(None), changed.clone()),
    ];
    for (condition, on_missing, on_entry) in table {
        run(&mut segment, &Command::remove(b"k"), at(1_000));
        assert_eq!(run(&mut segment, &write(condition), at(1_000)), on_missing, "{condition:?}");
        put(&mut segment, b"k", b"old");
        assert_eq!(run(&mut segment, &write(condition), at(1_000)), on_entry, "{condition:?}");
        let stays = if on_entry == changed { "new" } else { "old" };
        assert_eq!(get(&mut segment, b"k"), found(stays), "{condition:?}");
    }
}

#[test]
fn what_asks_for_an_entry_counts_as_a_read_and_keeps_it_from_idling() {
    let mut segment = segment(Bound::default());
    let write = |condition| {
        let change = Change::Write { value: Value::Inline(b"new"), expiration: Expiration::NEVER };
        Command::new(b"k", condition, change)
    };
    let remove = |condition| Command::new(b"k", condition, Change::Remove);
    let stats = |hits, misses, stores, remove_hits| Stats {
        hits,
        misses,
        stores,
        remove_hits,
        ..Stats::default()
    };
    run(&mut segment, &write(Condition::Present), at(1_000));
    run(&mut segment, &remove(Condition::Version(Version(1))), at(1_000));
    assert_eq!(*segment.stats(), stats(0, 2, 0, 0));

    let max_idle = Expiration { lifespan: None, max_idle: Some(Lifetime::from_millis(100)) };
    run(&mut segment, &Command::write(b"k", b"old", max_idle), at(1_000));
    assert_eq!(
        run(&mut segment, &write(Condition::Version(Version(1))), at(1_090)),
        Seen::Refused(b"old".to_vec())
    );
    assert_eq!(*segment.stats(), stats(1, 2, 1, 0));
    // An entry that stands in the way is not asked for.
    assert_eq!(
        run(&mut segment, &write(Condition::Absent), at(1_180)),
        Seen::Refused(b"old".to_vec())
    );
    assert_eq!(*segment.stats(), stats(1, 2, 1, 0));

    let version = version_of(&segment, b"k");
    let removed = run(&mut segment, &remove(Condition::Version(version)), at(1_189));
    assert_eq!(removed, Seen::Changed(Some(b"old".to_vec())));
    assert_eq!(*segment.stats(), stats(2, 2, 1, 1));
}

#[test]
fn compare_and_set_succeeds_once_per_version() {
    let mut segment = segment(Bound::default());
    put(&mut segment, b"k", b"one");
    let version = version_of(&segment, b"k");
    let change = Change::Write { value: Value::Inline(b"two"), expiration: Expiration::NEVER };
    let command = Command::new(b"k", Condition::Version(version), change);
    assert_eq!(run(&mut segment, &command, at(1_000)), Seen::Changed(Some(b"one".to_vec())));
    assert_eq!(run(&mut segment, &command, at(1_000)), Seen::Refused(b"two".to_vec()));
}

#[test]
fn lifespan_and_max_idle_end_an_entry_to_the_millisecond() {
    let mut segment = segment(Bound::default());
    let lifespan = Expiration { lifespan: Some(Lifetime::from_millis(250)), max_idle: None };
    run(&mut segment, &Command::write(b"aging", b"v", lifespan), at(1_000));
    let max_idle = Expiration { lifespan: None, max_idle: Some(Lifetime::from_millis(100)) };
    run(&mut segment, &Command::write(b"idling", b"v", max_idle), at(1_000));

    assert_eq!(run(&mut segment, &Command::read(b"idling"), at(1_099)), found("v"));
    assert_eq!(run(&mut segment, &Command::read(b"idling"), at(1_198)), found("v"));
    assert_eq!(run(&mut segment, &Command::read(b"idling"), at(1_298)), Seen::Missing);
    assert_eq!(run(&mut segment, &Command::read(b"aging"), at(1_249)), found("v"));
    assert_eq!(run(&mut segment, &Command::read(b"aging"), at(1_250)), Seen::Missing);
    assert_eq!((segment.len(), segment.mortal(), segment.stats().expirations), (0, 0, 2));

    let at_once = Expiration { lifespan: Some(Lifetime::from_millis(0)), max_idle: None };
    run(&mut segment, &Command::write(b"zero", b"v", at_once), at(1_000));
    assert_eq!(run(&mut segment, &Command::read(b"zero"), at(1_000)), Seen::Missing);
}

#[test]
fn a_sweep_ends_what_nobody_reads() {
    let mut segment = segment(Bound::default());
    let lifespan = Expiration { lifespan: Some(Lifetime::from_millis(10)), max_idle: None };
    for key in 0_u32..1_000 {
        let expiration = if key % 2 == 0 { lifespan } else { Expiration::NEVER };
        run(&mut segment, &Command::write(&key.to_be_bytes(), b"v", expiration), at(1_000));
    }
    let mut from = Some(0);
    let mut steps = 0;
    while let Some(bucket) = from {
        from = segment.sweep(bucket, 64, at(1_010));
        steps += 1;
    }
    assert_eq!((segment.len(), segment.mortal()), (500, 0));
    assert!(steps > 500 / 64, "{steps} steps");
}

#[test]
fn a_backup_executes_nothing_and_a_new_epoch_orders_after_the_old_one() {
    let mut segment = segment(Bound::default());
    put(&mut segment, b"k", b"one");
    let old = segment.stamp;
    segment.install(Role::Backup, Epoch::new(1).unwrap());
    assert_eq!(get(&mut segment, b"k"), Seen::Failed(CacheError::NotExecuted));
    segment.install(Role::Primary, Epoch::new(2).unwrap());
    assert_eq!(put(&mut segment, b"k", b"two"), Seen::Changed(Some(b"one".to_vec())));
    assert!(segment.stamp > Stamp::start_of(Epoch::new(2).unwrap()) && segment.stamp > old);
}

#[test]
fn the_memory_limit_refuses_a_write_and_lets_others_go_on() {
    let memory = MemoryLimit::new(200_000);
    let mut segment = limited(Bound::default(), Arc::clone(&memory));
    let value = vec![7; 10_000];
    let mut written = 0_u32;
    while put(&mut segment, &written.to_be_bytes(), &value) == Seen::Changed(None) {
        written += 1;
    }
    assert!((10..=20).contains(&written), "{written} entries of 10 kB under 200 kB");
    let refused = Seen::Failed(CacheError::OutOfMemory { limit: 200_000 });
    assert_eq!(put(&mut segment, b"more", &value), refused);
    assert_eq!(get(&mut segment, b"more"), Seen::Missing, "nothing changed");
    assert_eq!(put(&mut segment, &0_u32.to_be_bytes(), &[8; 10_000]), Seen::Changed(Some(value)));
    run(&mut segment, &Command::remove(&1_u32.to_be_bytes()), at(1_000));
    run(&mut segment, &Command::remove(&2_u32.to_be_bytes()), at(1_000));
    assert_eq!(put(&mut segment, b"more", b"small"), Seen::Changed(None));
}

#[test]
fn at_the_memory_limit_a_write_takes_the_place_of_as_much_as_it_needs() {
    let memory = MemoryLimit::new(200_000);
    let bound = Bound { entries: Some(1_000_000), bytes: None, when_full: WhenFull::Evict };
    let mut segment = limited(bound, Arc::clone(&memory));
    (0_u32..2_000).for_each(|key| drop(put(&mut segment, &key.to_be_bytes(), &[7; 500])));
    assert!(memory.used() <= 200_000 && segment.len() > 250, "{} entries", segment.len());
    assert_eq!(put(&mut segment, b"large", &[7; 15_000]), Seen::Changed(None));
    assert!(memory.used() <= 200_000, "{} bytes", memory.used());
    let refused = Seen::Failed(CacheError::OutOfMemory { limit: 200_000 });
    assert_eq!(put(&mut segment, b"larger than all", &vec![7; 300_000]), refused);
}

#[test]
fn stamps_only_grow_also_where_a_write_evicts_others() {
    let memory = MemoryLimit::new(200_000);
    let bound = Bound { entries: Some(1_000_000), bytes: None, when_full: WhenFull::Evict };
    let mut segment = limited(bound, memory);
    segment.read_effects();
    (0_u32..500).for_each(|key| drop(put(&mut segment, &key.to_be_bytes(), &[7; 500])));
    put(&mut segment, b"large", &[7; 15_000]);
    put(&mut segment, b"next", b"v");
    let stamps: Vec<_> = segment.take_effects().effects.iter().map(|it| it.stamp).collect();
    assert!(stamps.is_sorted_by(|one, next| one < next), "{stamps:?}");
}

#[test]
fn removing_unknown_keys_stops_at_a_quarter_of_the_memory_limit() {
    let memory = MemoryLimit::new(200_000);
    let mut segment = limited(Bound::default(), Arc::clone(&memory));
    connect(&mut segment);
    let remove = |segment: &mut Segment, number: u32| {
        run(segment, &only_here(Command::remove(&number.to_be_bytes())), at(1_000))
    };
    let removed = (0..).take_while(|number| remove(&mut segment, *number) == Seen::Missing).count();
    let refused = Seen::Failed(CacheError::TooManyTombstones { limit: 50_000 });
    assert_eq!(remove(&mut segment, u32::MAX), refused);
    assert!((1_000..20_000).contains(&removed), "{removed} tombstones under 200 kB");
}

#[test]
fn a_full_cache_that_refuses_keeps_what_it_has() {
    let bound = Bound { entries: Some(2), bytes: None, when_full: WhenFull::Refuse };
    let mut segment = segment(bound);
    put(&mut segment, b"a", b"1");
    put(&mut segment, b"b", b"1");
    assert_eq!(put(&mut segment, b"c", b"1"), Seen::Failed(CacheError::Full));
    assert_eq!(put(&mut segment, b"a", b"2"), Seen::Changed(Some(b"1".to_vec())));
    assert_eq!(segment.len(), 2);
}

#[test]
fn a_table_that_was_large_gives_its_memory_back() {
    let mut segment = segment(Bound::default());
    for key in 0_u32..20_000 {
        put(&mut segment, &key.to_be_bytes(), b"v");
    }
    let full = segment.memory();
    for key in 0_u32..19_900 {
        run(&mut segment, &Command::remove(&key.to_be_bytes()), at(1_000));
    }
    segment.shrink();
    assert!(segment.memory() < full / 20, "{} of {full} bytes", segment.memory());
    assert_eq!(get(&mut segment, &19_950_u32.to_be_bytes()), found("v"));
}

#[test]
fn effects_wait_only_for_a_reader_and_say_so_when_some_are_lost() {
    let mut segment = segment(Bound::default());
    put(&mut segment, b"before", b"v");
    assert_eq!(segment.take_effects(), Effects::default());
    segment.read_effects();
    put(&mut segment, b"k", b"v");
    run(&mut segment, &Command::remove(b"k"), at(1_000));
    let effects = segment.take_effects();
    let causes: Vec<Cause> = effects.effects.iter().map(|effect| effect.cause).collect();
    assert_eq!((causes, effects.gap), (vec![Cause::Write, Cause::Remove], false));
    for _ in 0..=crate::MAX_WAITING {
        put(&mut segment, b"k", b"v");
    }
    let effects = segment.take_effects();
    assert_eq!((effects.effects.len(), effects.gap), (1, true));
}
