//! How many tombstones a segment keeps, and for how long.

use super::*;

const SPACE: SourceSpace = SourceSpace::Segments(20);

/// A lifespan of 100 ms.
const SHORT: Expiration = Expiration { lifespan: Some(Lifetime::from_millis(100)), max_idle: None };

fn of(key: &[u8]) -> SourceSegment {
    SPACE.segment_of(hash::hash(key))
}

/// Connected to a source of 20 segments, of which none is complete.
fn connected(memory: Arc<MemoryLimit>) -> Segment {
    let bound = Bound { entries: Some(1_000_000), ..Bound::default() };
    let mut segment = limited(bound, memory);
    segment.connect(Link { marked: true, max_tombstones: 1_000, ..Link::new(FIRST, SPACE, at(0)) });
    segment
}

/// A client's own entry that ends.
fn end(segment: &mut Segment, key: &[u8]) {
    run(segment, &Command::write(key, b"ours", SHORT), at(1_000));
    segment.sweep(0, usize::MAX, at(1_100));
}

fn copy(segment: &mut Segment, key: &[u8]) -> Import {
    import(segment, key, &imported(b"theirs", 5), ImportRule::Copy, at(1_000))
}

fn repair(segment: &mut Segment, key: &[u8]) -> Import {
    import(segment, key, &imported(b"theirs", 5), ImportRule::Repair, at(1_000))
}

fn remove(segment: &mut Segment, key: &[u8]) -> Seen {
    run(segment, &only_here(Command::remove(key)), at(1_000))
}

fn release(segment: &mut Segment) {
    assert_eq!(segment.release_tombstones(&mut Position::default(), usize::MAX), Step::End);
}

#[test]
fn what_has_ended_is_forgotten_once_its_own_source_segment_is_complete() {
    let mut segment = connected(MemoryLimit::unlimited());
    let keys: Vec<[u8; 1]> = (0_u8..100).map(|byte| [byte]).collect();
    keys.iter().for_each(|key| end(&mut segment, key));
    assert_eq!(segment.tombstones(), 100);
    release(&mut segment);
    assert_eq!(segment.tombstones(), 100, "the source may have any of them");
    segment.complete(of(&keys[0]));
    release(&mut segment);
    let others = keys.iter().filter(|key| of(*key) != of(&keys[0])).count();
    assert_eq!(segment.tombstones(), others as u64);
    for key in &keys {
        assert_eq!(copy(&mut segment, key), Import::Tombstone, "none comes back");
    }
    assert!(!segment.has_forgotten(), "nothing that a verification needs is forgotten");
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    end(&mut segment, b"later");
    assert!(matches!(segment.inspect(b"later", at(1_100)), Standing::Unknown));
}

#[test]
fn what_the_source_has_and_what_clients_removed_stays_known_to_verify() {
    let mut segment = connected(MemoryLimit::unlimited());
    end(&mut segment, b"ended, at the source");
    assert_eq!(copy(&mut segment, b"ended, at the source"), Import::Tombstone);
    copy(&mut segment, b"overwritten");
    end(&mut segment, b"overwritten");
    copy(&mut segment, b"removed");
    remove(&mut segment, b"removed");
    remove(&mut segment, b"not here");
    end(&mut segment, b"ended");
    let balance = segment.balance();
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    release(&mut segment);
    assert_eq!((segment.tombstones(), segment.balance()), (4, balance));
    let remembered: [&[u8]; 4] = [b"ended, at the source", b"overwritten", b"removed", b"not here"];
    for key in remembered {
        assert_eq!(repair(&mut segment, key), Import::Tombstone);
    }
    // The source got this later; what the client wrote may be newer still.
    assert_eq!(repair(&mut segment, b"ended"), Import::Tombstone);
    assert_eq!(repair(&mut segment, b"unknown"), Import::Written);
}

#[test]
fn beyond_their_number_they_are_forgotten_and_nothing_is_repaired() {
    let mut segment = connected(MemoryLimit::unlimited());
    segment.link.as_mut().unwrap().max_tombstones = 10;
    let keys: Vec<[u8; 1]> = (0_u8..100).map(|byte| [byte]).collect();
    for key in &keys {
        copy(&mut segment, key);
        remove(&mut segment, key);
    }
    assert_eq!((segment.tombstones(), segment.balance()), (100, -100));
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    release(&mut segment);
    assert_eq!((segment.tombstones(), segment.balance()), (10, -100), "the source has them");
    assert!(segment.has_forgotten());
    for key in &keys {
        assert_eq!(repair(&mut segment, key), Import::Tombstone);
    }
}

#[test]
fn an_entry_that_made_room_leaves_doubts_about_what_the_source_has() {
    let mut segment = connected(MemoryLimit::unlimited());
    copy(&mut segment, b"k");
    while segment.evict(None, &mut 64) {}
    end(&mut segment, b"k");
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    release(&mut segment);
    assert_eq!(repair(&mut segment, b"k"), Import::Tombstone, "the source still has it");
}

#[test]
fn at_the_limit_a_write_is_refused_rather_than_a_removed_key_forgotten() {
    let memory = MemoryLimit::new(100_000);
    let mut segment = connected(Arc::clone(&memory));
    let key = |number: u32| number.to_be_bytes();
    let mut number = 0;
    while !memory.is_full_of_tombstones() {
        end(&mut segment, &key(number));
        number += 1;
    }
    assert!(memory.has_many_tombstones());
    assert!(memory.tombstones() <= memory.tombstone_limit() + 32, "{}", memory.tombstones());
    let refused = Seen::Failed(CacheError::TooManyTombstones { limit: 25_000 });
    assert_eq!(put(&mut segment, b"new", b"v"), refused);
    assert_eq!(remove(&mut segment, b"new"), refused);
    assert_eq!(copy(&mut segment, &key(0)), Import::Tombstone, "nothing comes back");
    // What has a record already needs no other one.
    assert_eq!(put(&mut segment, &key(0), b"v"), Seen::Changed(None));
    assert!(!memory.is_full_of_tombstones());
    assert_eq!(remove(&mut segment, &key(0)), Seen::Changed(Some(b"v".to_vec())));
    assert_eq!(copy(&mut segment, b"read"), Import::Written, "imports need none");

    // Once everything is here, there is room again.
    segment.end_imports();
    assert_eq!(put(&mut segment, b"new", b"v"), Seen::Changed(None), "it needs no tombstone");
    release(&mut segment);
    assert!(segment.tombstones() <= 1 && !memory.has_many_tombstones());
    assert_eq!(copy(&mut segment, &key(1)), Import::Tombstone);
}

#[test]
fn a_source_that_becomes_one_unit_brings_nothing_back_that_was_released() {
    let mut segment = connected(MemoryLimit::unlimited());
    end(&mut segment, b"k");
    segment.complete(of(b"k"));
    release(&mut segment);
    assert!(segment.has_released() && !segment.has_forgotten());
    assert!(!segment.is_sealed());
    segment.become_unit(&Coverage::none(1));
    assert!(segment.is_sealed(), "a synchronization could not bring in all of the source");
    assert_eq!(copy(&mut segment, b"k"), Import::Tombstone);
}

#[test]
fn removing_or_ending_what_is_here_is_never_refused_because_it_takes_no_memory() {
    let memory = MemoryLimit::new(130_000);
    let mut segment = connected(Arc::clone(&memory));
    let keys: Vec<Vec<u8>> = (0..1_000).map(|key| format!("{key:050}").into_bytes()).collect();
    let imports = keys.iter().map(|key| copy(&mut segment, key));
    assert!(imports.into_iter().all(|import| import == Import::Written));
    // Two thirds are removed; the others are overwritten, and end.
    let used = memory.used();
    for (number, key) in keys.iter().enumerate() {
        if number % 3 == 0 {
            end(&mut segment, key);
        } else {
            assert_eq!(remove(&mut segment, key), Seen::Changed(Some(b"theirs".to_vec())));
        }
    }
    assert_eq!(segment.tombstones(), 1_000);
    assert!(memory.is_full_of_tombstones(), "{} bytes", memory.tombstones());
    let refused = Seen::Failed(CacheError::TooManyTombstones { limit: 32_500 });
    assert_eq!(put(&mut segment, b"new", b"v"), refused);
    assert!(memory.used() <= used, "{} bytes instead of {used}", memory.used());
    for key in &keys {
        assert_eq!(copy(&mut segment, key), Import::Tombstone, "none comes back");
    }
}

/// A key of the segment that is complete, and one of another.
fn half_copied(segment: &mut Segment) -> ([u8; 1], [u8; 1]) {
    let keys: Vec<[u8; 1]> = (0_u8..100).map(|byte| [byte]).collect();
    segment.complete(of(&keys[0]));
    let other = keys.iter().find(|key| of(*key) != of(&keys[0])).unwrap();
    (keys[0], *other)
}

#[test]
fn a_key_that_the_source_has_in_another_segment_is_not_absent_before_all_are_complete() {
    let mut segment = connected(MemoryLimit::unlimited());
    let (key, _) = half_copied(&mut segment);
    let absent = Command { condition: Condition::Absent, ..Command::write(&key, b"v", SHORT) };
    assert_eq!(get(&mut segment, &key), Seen::Load, "its segment is complete");
    assert_eq!(run(&mut segment, &absent, at(1_000)), Seen::Load);
    let told = |answer| Command { source: answered(answer), ..Command::read(&key) };
    // What cannot be known need not be waited for.
    assert_eq!(run(&mut segment, &told(Answer::Silent), at(1_000)), Seen::Missing);
    segment.set_silent(FIRST, Some(at(0)));
    assert_eq!(get(&mut segment, &key), Seen::Missing);
    segment.set_silent(FIRST, None);
    assert_eq!(run(&mut segment, &told(Answer::Absent), at(1_000)), Seen::Missing);
    let theirs = told(Answer::Entry(imported(b"theirs", 5)));
    assert_eq!(run(&mut segment, &theirs, at(1_000)), found("theirs"));
    let refused = Seen::Refused(b"theirs".to_vec());
    assert_eq!(run(&mut segment, &absent, at(1_000)), refused);

    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    assert_eq!(get(&mut segment, b"not here"), Seen::Missing, "all keys were seen");
}

#[test]
fn an_evicted_entry_that_comes_again_before_all_segments_are_complete_is_not_gone() {
    let mut segment = connected(MemoryLimit::unlimited());
    let (key, _) = half_copied(&mut segment);
    let theirs =
        Command { source: answered(Answer::Entry(imported(b"theirs", 5))), ..Command::read(&key) };
    assert_eq!(run(&mut segment, &theirs, at(1_000)), found("theirs"));
    assert!((0..=EVICTION_ROUNDS).any(|_| segment.evict(None, &mut 64)));
    assert_eq!((segment.evicted_imported(), segment.evicted()), (1, 1));
    assert_eq!(get(&mut segment, &key), Seen::Load);
    assert_eq!(run(&mut segment, &theirs, at(1_000)), found("theirs"));
    assert_eq!((segment.evicted_imported(), segment.evicted()), (0, 1));
}

/// Reads a key through that the source has.
fn read_through(segment: &mut Segment, key: &[u8]) {
    let source = answered(Answer::Entry(imported(b"theirs", 5)));
    assert_eq!(run(segment, &Command { source, ..Command::read(key) }, at(1_000)), found("theirs"));
}

fn evict(segment: &mut Segment) {
    assert!((0..=EVICTION_ROUNDS).any(|_| segment.evict(None, &mut 64)));
}

#[test]
fn an_evicted_entry_that_comes_again_into_a_segment_that_is_not_complete_is_not_gone() {
    let mut segment = connected(MemoryLimit::unlimited());
    read_through(&mut segment, b"key");
    evict(&mut segment);
    assert_eq!(segment.evicted_imported(), 1);
    read_through(&mut segment, b"key");
    assert_eq!(segment.evicted_imported(), 0);
    evict(&mut segment);
    assert_eq!(copy(&mut segment, b"other"), Import::Written);
    assert_eq!(segment.evicted_imported(), 1, "another one has come");
    assert_eq!(copy(&mut segment, b"key"), Import::Written);
    assert_eq!((segment.evicted_imported(), segment.evicted()), (0, 2));
}

#[test]
fn an_evicted_entry_that_a_client_writes_or_removes_is_not_gone() {
    let mut segment = connected(MemoryLimit::unlimited());
    for key in [b"a", b"b"] {
        read_through(&mut segment, key);
        evict(&mut segment);
    }
    assert_eq!(segment.evicted_imported(), 2);
    put(&mut segment, b"a", b"ours");
    assert_eq!(segment.evicted_imported(), 1);
    remove(&mut segment, b"b");
    assert_eq!((segment.evicted_imported(), segment.evicted()), (0, 2));
}

#[test]
fn a_misplaced_key_that_is_read_through_is_not_taken_for_one_that_was_evicted() {
    let mut segment = connected(MemoryLimit::unlimited());
    read_through(&mut segment, b"key");
    evict(&mut segment);
    let (misplaced, _) = half_copied(&mut segment);
    assert_eq!(get(&mut segment, &misplaced), Seen::Load);
    read_through(&mut segment, &misplaced);
    assert_eq!((segment.evicted_imported(), segment.evicted()), (1, 1));
}

#[test]
fn nothing_is_asked_for_in_a_complete_segment_where_a_removed_key_may_be_forgotten() {
    let forget: [fn(&mut Segment, &[u8; 1]); 3] = [
        |segment, key| {
            end(segment, key);
        },
        |segment, key| {
            segment.link.as_mut().unwrap().max_tombstones = 0;
            remove(segment, key);
        },
        |segment, key| {
            copy(segment, b"k");
            segment.link.as_mut().unwrap().max_tombstones = 0;
            remove(segment, key);
        },
    ];
    for forget in forget {
        let mut segment = connected(MemoryLimit::unlimited());
        let (key, other) = half_copied(&mut segment);
        forget(&mut segment, &key);
        assert_eq!(segment.tombstones(), 0);
        assert_eq!(get(&mut segment, &key), Seen::Missing);
        let stale = Command {
            source: answered(Answer::Entry(imported(b"theirs", 5))),
            ..Command::read(&key)
        };
        assert_eq!(run(&mut segment, &stale, at(1_000)), Seen::Missing, "it does not come back");
        assert_eq!(get(&mut segment, &other), Seen::Load, "its own segment is not complete");
    }
}

#[test]
fn the_member_knows_what_its_tombstones_take() {
    let memory = MemoryLimit::new(1_000_000);
    let mut segment = connected(Arc::clone(&memory));
    let of_one = Record::tombstone_memory(b"a") as u64;
    end(&mut segment, b"a");
    remove(&mut segment, b"b");
    assert_eq!(memory.tombstones(), 2 * of_one);
    put(&mut segment, b"b", b"v");
    assert_eq!(memory.tombstones(), of_one);
    segment.disconnect();
    segment.forget_tombstones(&mut Position::default(), usize::MAX);
    assert_eq!(memory.tombstones(), 0);
    segment.connect(link(SECOND, &[]));
    remove(&mut segment, b"a");
    drop(segment);
    assert_eq!(memory.tombstones(), 0);
}

const SECOND: ConnectionId = ConnectionId(2);

/// Connected to a source of one segment, which is complete.
fn whole() -> Segment {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    segment.complete(SourceSegment(0));
    segment
}

#[test]
fn a_clients_entry_that_has_ended_where_everything_is_here_may_have_been_there() {
    let mut segment = whole();
    let may_have_been = |segment: &Segment, key: &[u8]| segment.may_have_been_written(key);
    run(&mut segment, &Command::write(b"k", b"v", SHORT), at(1_000));
    assert!(may_have_been(&segment, b"k") && !may_have_been(&segment, b"other"));
    segment.sweep(0, 64, at(2_000));
    assert_eq!((segment.len(), segment.tombstones()), (0, 0));
    assert!(may_have_been(&segment, b"k") && !may_have_been(&segment, b"other"));
    assert_eq!(repair(&mut segment, b"k"), Import::Tombstone);
    assert!(!segment.has_forgotten(), "other keys are repaired");
    assert_eq!(repair(&mut segment, b"other"), Import::Written);
    segment.disconnect();
    connect(&mut segment);
    assert!(!may_have_been(&segment, b"k"), "this connection knows nothing of it");
}

#[test]
fn an_entry_that_a_repair_itself_finds_ended_is_not_repaired() {
    let mut segment = whole();
    run(&mut segment, &Command::write(b"k", b"v", SHORT), at(800));
    assert_eq!(repair(&mut segment, b"k"), Import::Tombstone, "nobody has swept it");
}

#[test]
fn an_entry_whose_tombstone_is_released_or_that_makes_room_may_have_been_there() {
    let mut segment = connected(MemoryLimit::unlimited());
    end(&mut segment, b"released");
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    assert!(!segment.may_have_been_written(b"released"), "it has a tombstone");
    release(&mut segment);
    assert_eq!(segment.tombstones(), 0);
    put(&mut segment, b"evicted", b"v");
    while segment.evict(None, &mut 64) {}
    for key in [&b"released"[..], b"evicted"] {
        assert!(segment.may_have_been_written(key));
        assert_eq!(repair(&mut segment, key), Import::Tombstone);
    }
    segment.end_imports();
    drop(segment.clear());
    assert!(!segment.may_have_been_written(b"evicted") && segment.has_forgotten());
}

#[test]
fn the_member_knows_what_filters_take_and_gets_it_back() {
    let memory = MemoryLimit::new(1_000_000);
    let mut segment = connected(Arc::clone(&memory));
    (0..20).for_each(|number| segment.complete(SourceSegment(number)));
    let used = |segment: &mut Segment| {
        segment.settle_account();
        (memory.used(), segment.account.usage().bytes(), segment.memory())
    };
    for after in [Segment::disconnect as fn(&mut Segment), |segment| segment.end_imports()] {
        put(&mut segment, b"other", b"v");
        let without = used(&mut segment);
        end(&mut segment, b"k");
        let (of_member, of_cache, of_segment) = used(&mut segment);
        assert_eq!(of_member - without.0, 1_024);
        assert_eq!((of_cache, of_segment - without.2), (without.1, 1_024), "none of its bound");
        after(&mut segment);
        drop(segment.clear());
        assert_eq!(used(&mut segment).0, segment.memory());
        segment.connect(link(SECOND, &[]));
        segment.complete(SourceSegment(0));
    }
    end(&mut segment, b"k");
    drop(segment);
    assert_eq!(memory.used(), 0);

    let mut segment = connected(Arc::clone(&memory));
    copy(&mut segment, b"k");
    while segment.evict(None, &mut 64) {}
    segment.end_imports();
    drop(segment.clear());
    segment.disconnect();
    segment.connect(link(SECOND, &[]));
    assert_eq!((used(&mut segment).0, segment.memory()), (0, 0), "what was evicted is forgotten");
}

#[test]
fn filters_grow_with_what_has_ended_and_leave_most_of_the_memory_to_entries() {
    let memory = MemoryLimit::new(1_000_000);
    let mut segment = connected(Arc::clone(&memory));
    segment.end_imports();
    for number in 0..10_000_u32 {
        end(&mut segment, &number.to_be_bytes());
    }
    let filters = segment.memory() - segment.account.usage().bytes();
    assert_eq!(filters, (1 + 4 + 16) * 1_024, "another one would take more than a 32nd");
    assert!((0..10_000_u32).all(|number| segment.may_have_been_written(&number.to_be_bytes())));
}
