//! Each entry of a complete segment is counted once, however often it was read.

use super::{Purpose::*, *};

/// A reading that met so many entries that were written, here already, kept for clients, and removed.
fn reading(written: u64, already_here: u64, kept_for_client: u64, tombstone: u64) -> Counts {
    let read = written + already_here + kept_for_client + tombstone;
    Counts { read, written, already_here, kept_for_client, tombstone, ..Counts::default() }
}

fn adds_up(here: &Here) -> bool {
    let Here { copied, read_through, ahead, kept_for_client, tombstone, expired, .. } = *here;
    here.read == copied + read_through + ahead + kept_for_client + tombstone + expired
}

fn here(read: u64, copied: u64, read_through: u64, ahead: u64) -> Here {
    Here { segments: 1, read, copied, read_through, ahead, ..Here::default() }
}

#[test]
fn an_interrupted_reading_and_a_repeated_one_count_once() {
    let mut ledger = Ledger::default();
    ledger.applied(Synchronization, 3, reading(40, 1, 0, 0));
    assert_eq!(ledger.here(), Here::default(), "it is not complete");
    assert!(!ledger.is_complete(3));
    ledger.applied(Synchronization, 3, reading(59, 41, 0, 0));
    ledger.completed(Synchronization, 3, reading(59, 41, 0, 0));
    assert_eq!(ledger.here(), here(100, 99, 1, 0));
    assert!(ledger.is_complete(3) && !ledger.is_complete(4));
    ledger.completed(Synchronization, 3, reading(0, 100, 0, 0));
    assert_eq!(ledger.here(), here(100, 99, 1, 0), "once more changes nothing");
    assert_eq!(ledger.synchronized().read, 141);
}

#[test]
fn a_segment_that_two_read_at_once_counts_once() {
    let mut ledger = Ledger::default();
    ledger.applied(Ahead, 0, reading(60, 0, 0, 0));
    ledger.applied(Synchronization, 0, reading(40, 60, 0, 0));
    ledger.completed(Synchronization, 0, reading(40, 60, 0, 0));
    ledger.applied(Ahead, 0, reading(0, 40, 0, 0));
    ledger.completed(Ahead, 0, reading(60, 40, 0, 0));
    assert_eq!(ledger.here(), here(100, 40, 0, 60));
    assert_eq!(ledger.synchronized().read, 100);
}

#[test]
fn what_clients_have_changed_between_two_readings_is_theirs() {
    let mut ledger = Ledger::default();
    ledger.applied(Synchronization, 0, reading(50, 0, 0, 0));
    // Five of the fifty were overwritten, and five removed.
    let last = Counts { expired: 2, read: 102, ..reading(45, 40, 10, 5) };
    ledger.applied(Synchronization, 0, last);
    ledger.completed(Synchronization, 0, last);
    let here = ledger.here();
    assert!(adds_up(&here), "{here:?}");
    assert_eq!((here.copied, here.read_through), (85, 0));
    assert_eq!((here.kept_for_client, here.tombstone, here.expired), (10, 5, 2));
}

#[test]
fn a_source_that_becomes_one_unit_is_read_again() {
    let mut ledger = Ledger::default();
    for segment in 0..2 {
        ledger.applied(Synchronization, segment, reading(10, 0, 0, 0));
        ledger.completed(Synchronization, segment, reading(10, 0, 0, 0));
    }
    ledger.become_unit();
    assert_eq!(ledger.here(), Here::default());
    ledger.applied(Synchronization, 0, reading(5, 23, 0, 0));
    ledger.completed(Synchronization, 0, reading(5, 23, 0, 0));
    assert_eq!(ledger.here(), here(28, 25, 3, 0));
}

#[test]
fn a_second_job_that_hears_that_the_source_is_one_unit_forgets_nothing() {
    let mut ledger = Ledger::default();
    ledger.applied(Synchronization, 1, reading(10, 0, 0, 0));
    ledger.become_unit();
    // The second job has not heard of it yet.
    ledger.applied(Synchronization, 2, reading(4, 0, 0, 0));
    ledger.become_unit();
    ledger.applied(Ahead, 0, reading(5, 14, 0, 0));
    ledger.completed(Ahead, 0, reading(5, 14, 0, 0));
    ledger.become_unit();
    assert_eq!(ledger.here(), here(19, 14, 0, 5));
    assert!(ledger.is_complete(0));
}

#[test]
fn a_connection_to_one_unit_that_goes_on_counts_what_was_copied_before() {
    let mut last = Ledger::default();
    last.applied(Synchronization, 1, reading(10, 0, 0, 0));
    last.become_unit();
    let mut ledger = last.left();
    ledger.applied(Synchronization, 0, reading(5, 10, 0, 0));
    ledger.completed(Synchronization, 0, reading(5, 10, 0, 0));
    ledger.become_unit();
    assert_eq!(ledger.here(), here(15, 15, 0, 0));
}

/// What the cache has counted.
fn since(here: u64, evicted: u64, repaired: u64, changed: u64) -> BroughtIn {
    BroughtIn { here, evicted, repaired, changed }
}

#[test]
fn what_is_here_as_it_came_is_counted_and_the_rest_agrees_with_it() {
    let all = Here { kept_for_client: 9, ..here(109, 60, 30, 10) };
    let known = |counted| {
        let known = all.with_since(counted, true);
        let came = known.copied + known.read_through + known.ahead + known.repaired;
        let came = came + known.gone_before.unwrap();
        let here = known.as_they_came.unwrap();
        assert_eq!(here + known.evicted + known.changed_since, came, "{known:?}");
        (here, known.evicted, known.repaired, known.changed_since, known.gone_before.unwrap())
    };
    assert_eq!(known(since(100, 0, 0, 0)), (100, 0, 0, 0, 0));
    assert_eq!(known(since(97, 0, 0, 3)), (97, 0, 0, 3, 0));
    assert_eq!(known(since(100, 0, 3, 3)), (100, 0, 3, 3, 0), "what is repaired hides no removal");
    assert_eq!(known(since(80, 15, 0, 5)), (80, 15, 0, 5, 0));
    assert_eq!(known(since(141, 0, 0, 0)), (141, 0, 0, 0, 41), "they came before");
    assert_eq!(known(since(138, 0, 0, 3)), (138, 0, 0, 3, 41));
    assert_eq!(known(since(98, 0, 0, 0)), (98, 0, 0, 2, 0), "clients were quicker");
    let some = all.with_since(since(97, 1, 0, 2), false);
    assert_eq!((some.evicted, some.changed_since), (1, 2));
    assert_eq!((some.as_they_came, some.gone_before), (None, None), "others are not complete");
}

#[test]
fn a_connection_that_goes_on_counts_what_the_last_one_has_copied_as_copied() {
    let mut last = Ledger::default();
    last.applied(Synchronization, 0, reading(30, 0, 0, 0));
    last.completed(Synchronization, 0, reading(30, 0, 0, 0));
    last.applied(Synchronization, 1, reading(40, 0, 0, 0));
    last.applied(Ahead, 1, reading(5, 0, 0, 0));
    let mut ledger = last.left();
    assert_eq!((ledger.here(), ledger.synchronized().read), (here(30, 30, 0, 0), 0));
    assert_eq!(ledger.read_here(), Here::default());
    ledger.applied(Synchronization, 1, reading(54, 46, 0, 0));
    ledger.completed(Synchronization, 1, reading(54, 46, 0, 0));
    assert_eq!(
        ledger.read_here(),
        here(100, 94, 1, 5),
        "what was complete before is not read again"
    );
    assert_eq!(ledger.here(), Here { segments: 2, ..here(130, 124, 1, 5) });
    assert_eq!(ledger.left().here(), ledger.here(), "all of it stays known");
    ledger.become_unit();
    assert_eq!(ledger.here(), Here::default(), "it is read again");
    ledger.completed(Synchronization, 0, reading(0, 130, 0, 0));
    assert_eq!(ledger.here(), here(130, 124, 1, 5));
}
