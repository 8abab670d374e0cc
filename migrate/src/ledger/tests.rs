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

#[test]
fn what_was_evicted_is_not_called_here() {
    let all = Here { kept_for_client: 9, ..here(109, 60, 30, 10) };
    let evicted = |evicted, left| all.with_gone(evicted, left).evicted;
    assert_eq!([evicted(0, None), evicted(7, None), evicted(7, Some(93))], [0, 7, 7]);
    assert_eq!(evicted(7, Some(98)), 2, "five were brought in again");
    assert_eq!([evicted(500, None), evicted(500, Some(20))], [100, 80]);
    let changed = |evicted, left| all.with_gone(evicted, left).changed_since;
    assert_eq!([changed(0, None), changed(0, Some(100)), changed(0, Some(101))], [0, 0, 0]);
    assert_eq!([changed(0, Some(1)), changed(7, Some(1)), changed(500, Some(0))], [99, 92, 0]);
}

#[test]
fn a_connection_that_goes_on_counts_what_the_last_one_has_copied_as_copied() {
    let mut last = Ledger::default();
    last.applied(Synchronization, 0, reading(30, 0, 0, 0));
    last.completed(Synchronization, 0, reading(30, 0, 0, 0));
    last.applied(Synchronization, 1, reading(40, 0, 0, 0));
    last.applied(Ahead, 1, reading(5, 0, 0, 0));
    let mut ledger = last.left();
    assert_eq!((ledger.here(), ledger.synchronized().read), (Here::default(), 0));
    ledger.applied(Synchronization, 1, reading(54, 46, 0, 0));
    ledger.completed(Synchronization, 1, reading(54, 46, 0, 0));
    assert_eq!(ledger.here(), here(100, 94, 1, 5), "what was complete before is not read again");
}
