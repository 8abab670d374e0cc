//! The account of what was brought in: where each entry is, however it went.

use super::*;

fn copy(segment: &mut Segment, key: &[u8]) -> Import {
    import(segment, key, &imported(b"theirs", 5), ImportRule::Copy, at(1_000))
}

fn repair(segment: &mut Segment, key: &[u8]) -> Import {
    import(segment, key, &imported(b"another", 6), ImportRule::Repair, at(1_000))
}

fn evict(segment: &mut Segment) {
    assert!((0..=EVICTION_ROUNDS).any(|_| segment.evict(None, &mut 64)));
}

/// Here, evicted, repaired and changed.
fn account(segment: &Segment) -> [u64; 4] {
    let BroughtIn { here, evicted, repaired, changed } = segment.brought_in();
    [here, evicted, repaired, changed]
}

/// All of a source is here: so many entries `0`, `1` and so on.
fn complete(entries: u8) -> Segment {
    let mut segment = segment(Bound { entries: Some(1_000), ..Bound::default() });
    connect(&mut segment);
    for key in 0..entries {
        assert_eq!(copy(&mut segment, &[key]), Import::Written);
    }
    segment.complete(SourceSegment(0));
    segment
}

#[test]
fn what_clients_change_and_what_ends_is_counted_once_everything_is_here() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    copy(&mut segment, b"removed");
    copy(&mut segment, b"written");
    run(&mut segment, &Command::remove(b"removed"), at(1_000));
    put(&mut segment, b"written", b"ours");
    assert_eq!(account(&segment), [0; 4], "the reading that completes it counts them");

    let mut segment = complete(5);
    put(&mut segment, &[0], b"ours");
    put(&mut segment, &[0], b"ours again");
    put(&mut segment, b"new", b"ours");
    run(&mut segment, &Command::remove(&[0]), at(1_000));
    assert_eq!(account(&segment), [4, 0, 0, 1]);
    run(&mut segment, &Command::remove(&[1]), at(1_000));
    run(&mut segment, &Command::remove(&[1]), at(1_000));
    assert_eq!(account(&segment), [3, 0, 0, 2]);
    let hash = segment.hash(&[2]);
    let bucket = segment.table.find_bucket_index(hash, |record| record.key() == [2]);
    let place = Place { hash, placement: hash::hash(&[2]), bucket, overdue: false };
    segment.expire(place);
    assert_eq!(account(&segment), [2, 0, 0, 3]);
    // A connection that continues this one goes on with it, and with what happens in between.
    segment.disconnect();
    put(&mut segment, &[3], b"ours");
    segment.begin(Beginning::Complete);
    segment.connect(link(ConnectionId(2), &[0]));
    assert_eq!(account(&segment), [1, 0, 0, 4]);
    segment.become_unit(&Coverage::none(1));
    assert_eq!(account(&segment), [1, 0, 0, 0], "it is read again");
}

#[test]
fn what_a_repair_adds_is_counted_and_what_it_replaces_or_brings_back_is_not() {
    let mut segment = complete(2);
    assert_eq!(repair(&mut segment, b"new"), Import::Written);
    assert_eq!(account(&segment), [3, 0, 1, 0]);
    assert_eq!(repair(&mut segment, &[0]), Import::Written, "it differs");
    assert_eq!(account(&segment), [3, 0, 1, 0]);
    (0..3).for_each(|_| evict(&mut segment));
    assert_eq!(account(&segment), [0, 3, 1, 0]);
    assert_eq!(repair(&mut segment, &[1]), Import::Written);
    assert_eq!(account(&segment), [1, 2, 1, 0]);
    // What is gone for a client as well is changed.
    put(&mut segment, &[0], b"ours");
    run(&mut segment, &Command::remove(b"new"), at(1_000));
    assert_eq!(account(&segment), [1, 0, 1, 2]);
}

#[test]
fn what_is_cleared_is_changed_whether_it_was_here_or_evicted() {
    for connected in [true, false] {
        let mut segment = complete(3);
        evict(&mut segment);
        if connected {
            segment.end_imports();
        } else {
            segment.disconnect();
        }
        drop(segment.clear().unwrap());
        assert_eq!(account(&segment), [0, 0, 0, 3], "connected: {connected}");
    }
    let mut segment = complete(3);
    evict(&mut segment);
    segment.end_imports();
    segment.remove_imported(&mut Position::default(), usize::MAX);
    assert_eq!(account(&segment), [0, 0, 0, 3]);
    segment.disconnect();
    segment.connect(link(ConnectionId(2), &[]));
    assert_eq!(account(&segment), [0; 4], "anew");
}

#[test]
fn what_is_known_to_be_evicted_comes_back_although_removals_may_be_forgotten() {
    let mut segment = complete(3);
    (0..3).for_each(|_| evict(&mut segment));
    segment.disconnect();
    // A client removes one of them, and one that was never here.
    for key in [&[1][..], b"other"] {
        assert_eq!(run(&mut segment, &Command::remove(key), at(1_000)), Seen::Missing);
    }
    segment.begin(Beginning::Complete);
    segment.connect(link(FIRST, &[0]));
    assert!(segment.has_forgotten());
    assert!(segment.has_evicted(&[0]) && !segment.has_evicted(&[1]));
    assert_eq!(repair(&mut segment, &[0]), Import::Written);
    for key in [&[1][..], b"other"] {
        assert_eq!(repair(&mut segment, key), Import::Tombstone, "it may have been removed");
    }
    run(&mut segment, &Command::new(&[2], Condition::Present, Change::Remove), at(1_000));
    assert_eq!(repair(&mut segment, &[2]), Import::Tombstone, "a client has found it removed");
    segment.end_imports();
    assert_eq!(repair(&mut segment, &[0]), Import::Written, "it differs");
    let mut cleared = complete(1);
    evict(&mut cleared);
    cleared.end_imports();
    assert_eq!(repair(&mut cleared, &[0]), Import::Tombstone, "nothing comes after a clear");
}

#[test]
fn entries_of_clients_that_had_to_make_room_are_counted_apart() {
    let mut segment = complete(1);
    let counted = |segment: &Segment| (segment.evicted_own(), segment.evicted_since_source());
    put(&mut segment, b"own", b"ours");
    put(&mut segment, b"another", b"ours");
    (0..3).for_each(|_| evict(&mut segment));
    assert_eq!(counted(&segment), (2, 1));
    // A connection that continues this one goes on with it, and what happens in between counts.
    segment.disconnect();
    put(&mut segment, b"between", b"ours");
    evict(&mut segment);
    segment.begin(Beginning::Complete);
    segment.connect(link(ConnectionId(2), &[0]));
    assert_eq!(counted(&segment), (3, 1));
    // What a clear would have removed is no loss.
    segment.end_imports();
    drop(segment.clear().unwrap());
    assert_eq!(counted(&segment), (0, 1));
    put(&mut segment, b"own", b"ours");
    evict(&mut segment);
    assert_eq!(counted(&segment), (1, 1));
    segment.disconnect();
    segment.connect(link(FIRST, &[]));
    assert_eq!(counted(&segment), (0, 0), "anew");
    // What an earlier connection brought in, no client has written.
    copy(&mut segment, b"brought");
    segment.disconnect();
    while segment.forget_source(&mut Position::default(), usize::MAX) == Step::More {}
    segment.connect(link(ConnectionId(3), &[]));
    evict(&mut segment);
    assert_eq!(counted(&segment), (0, 1));
}
