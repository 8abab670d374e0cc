//! What one connection leaves to the next: what may come in, and what must not.

use super::*;

const SECOND: ConnectionId = ConnectionId(2);

/// An entry that lasts from 1,000 to `end`.
fn lasting(value: &[u8], end: u64) -> Imported<'_> {
    let expiration =
        Expiration { lifespan: Some(Lifetime::from_millis(end - 1_000)), max_idle: None };
    let metadata = EntryMetadata {
        version: Version(5),
        created: Some(at(1_000)),
        last_used: None,
        expiration,
    };
    Imported { value: Value::Inline(value), metadata }
}

fn copy(segment: &mut Segment, key: &[u8]) -> Import {
    import(segment, key, &imported(b"theirs", 5), ImportRule::Copy, at(1_000))
}

/// Disconnects, and drops what is dropped then.
fn disconnect(segment: &mut Segment) {
    segment.disconnect();
    assert_eq!(segment.forget_tombstones(&mut Position::default(), usize::MAX), Step::End);
}

#[test]
fn an_answer_over_another_connection_counts_as_not_asked() {
    let silent = answered(Answer::Silent);
    let entry = answered(Answer::Entry(imported(b"theirs", 5)));
    for answer in [answered(Answer::Absent), silent, entry] {
        let mut segment = segment(Bound::default());
        let read = Command { source: answer, ..Command::read(b"k") };
        let remove = Command { source: answer, ..Command::remove(b"k") };
        assert_eq!(run(&mut segment, &read, at(1_000)), Seen::Missing, "not connected");
        assert_eq!(run(&mut segment, &remove, at(1_000)), Seen::Missing, "not connected");

        connect(&mut segment);
        disconnect(&mut segment);
        segment.connect(link(SECOND, &[]));
        assert_eq!(run(&mut segment, &read, at(1_000)), Seen::Load, "{answer:?}");
        assert_eq!(run(&mut segment, &remove, at(1_000)), Seen::Load, "{answer:?}");
        assert_eq!((segment.len(), segment.tombstones()), (0, 0));
    }
}

#[test]
fn what_a_job_read_over_another_connection_is_not_imported() {
    for rule in [ImportRule::Copy, ImportRule::Repair] {
        let mut segment = segment(Bound::default());
        let read =
            |segment: &mut Segment| import(segment, b"k", &imported(b"theirs", 5), rule, at(1_000));
        assert_eq!(read(&mut segment), Import::Outdated, "not connected yet");
        segment.connect(link(SECOND, &[]));
        assert_eq!(read(&mut segment), Import::Outdated);
        disconnect(&mut segment);
        connect(&mut segment);
        assert_eq!(read(&mut segment), Import::Written);
        disconnect(&mut segment);
        assert_eq!(read(&mut segment), Import::Outdated);
    }
}

#[test]
fn only_what_an_import_could_undo_counts_as_a_change() {
    let short = Expiration { lifespan: Some(Lifetime::from_millis(100)), max_idle: None };
    let remove = Command::remove(b"k");
    let conditional = Command::new(b"k", Condition::Version(Version(9)), Change::Remove);
    let changed = |act: &dyn Fn(&mut Segment)| {
        let bound = Bound { entries: Some(1_000), ..Bound::default() };
        let mut segment = segment(bound);
        connect(&mut segment);
        copy(&mut segment, b"imported");
        import(&mut segment, b"short", &lasting(b"v", 1_500), ImportRule::Copy, at(1_000));
        disconnect(&mut segment);
        assert!(!segment.changed_since_disconnect());
        act(&mut segment);
        segment.changed_since_disconnect()
    };
    // What stays here, or was not a client's.
    assert!(!changed(&|segment| drop(get(segment, b"k"))), "a read");
    assert!(!changed(&|segment| drop(put(segment, b"k", b"ours"))), "a write");
    assert!(!changed(&|segment| drop(put(segment, b"imported", b"ours"))), "an overwrite");
    assert!(
        !changed(&|segment| drop(run(segment, &Command::read(b"short"), at(1_500)))),
        "an imported entry that ends: the source's ends likewise"
    );
    assert!(
        !changed(&|segment| assert_eq!(segment.sweep(0, usize::MAX, at(1_500)), None)),
        "or is swept"
    );
    assert!(!changed(&|segment| while segment.evict(None, &mut 64) {}), "or is evicted");
    let other = Command::new(b"imported", Condition::Version(Version(9)), Change::Remove);
    assert!(!changed(&|segment| drop(run(segment, &other, at(1_000)))), "a refused removal");
    let write = Command::new(
        b"k",
        Condition::Present,
        Change::Write { value: Value::Inline(b"v"), expiration: Expiration::NEVER },
    );
    assert!(!changed(&|segment| drop(run(segment, &write, at(1_000)))), "a refused write");

    // What the source could bring back.
    assert!(changed(&|segment| drop(run(segment, &remove, at(1_000)))), "a removal of nothing");
    assert!(changed(&|segment| drop(run(segment, &conditional, at(1_000)))), "with a condition");
    assert!(changed(&|segment| drop(run(segment, &Command::remove(b"imported"), at(1_000)))));
    assert!(changed(&|segment| drop(segment.clear())), "a clear");
    let ended = |segment: &mut Segment, key: &[u8]| {
        run(segment, &Command::write(key, b"ours", short), at(1_000));
        assert_eq!(run(segment, &Command::read(key), at(1_100)), Seen::Missing);
    };
    assert!(changed(&|segment| ended(segment, b"k")), "a client's own entry that ended");
    assert!(changed(&|segment| ended(segment, b"imported")), "in the place of an imported one too");
    assert!(
        changed(&|segment| {
            put(segment, b"imported", b"ours");
            while segment.evict(None, &mut 64) {}
        }),
        "a client's own entry that had to make room"
    );
}

#[test]
fn a_connection_that_continues_another_one_knows_what_was_evicted() {
    let evict = |segment: &mut Segment| while segment.evict(None, &mut 64) {};
    for (next, known) in [(Beginning::Complete, 2), (Beginning::Unchanged, 2), (Beginning::Anew, 0)]
    {
        let bound = Bound { entries: Some(1_000), ..Bound::default() };
        let mut segment = segment(bound);
        put(&mut segment, b"before", b"v");
        evict(&mut segment);
        connect(&mut segment);
        assert_eq!(segment.evicted_since_source(), 0);
        copy(&mut segment, b"one");
        evict(&mut segment);
        copy(&mut segment, b"other");
        disconnect(&mut segment);
        evict(&mut segment);
        segment.begin(next);
        segment.connect(link(SECOND, &[]));
        assert_eq!((segment.evicted(), segment.evicted_since_source()), (3, known), "{next:?}");
    }
}

#[test]
fn a_change_at_the_last_moment_keeps_everything_out() {
    for late in [false, true] {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        disconnect(&mut segment);
        segment.begin(Beginning::Unchanged);
        if late {
            run(&mut segment, &Command::remove(b"k"), at(1_000));
        }
        segment.connect(link(FIRST, &[]));
        assert_eq!(segment.changed_before_connect(), late);
        let expected = if late { Import::Tombstone } else { Import::Written };
        assert_eq!(copy(&mut segment, b"k"), expected);
        assert_eq!(get(&mut segment, b"l"), if late { Seen::Missing } else { Seen::Load });
    }
}

#[test]
fn a_clients_entry_that_ended_unseen_between_two_connections_does_not_give_way() {
    let short = Expiration { lifespan: Some(Lifetime::from_millis(100)), max_idle: None };
    for beginning in [Beginning::Anew, Beginning::Unchanged] {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        disconnect(&mut segment);
        run(&mut segment, &Command::write(b"k", b"ours", short), at(1_000));
        // It has ended by now, and nobody has looked.
        segment.begin(beginning);
        segment.connect(Link { since: at(2_000), ..link(FIRST, &[]) });
        assert!(!segment.changed_before_connect());
        let theirs = imported(b"theirs", 5);
        let copied = import(&mut segment, b"k", &theirs, ImportRule::Copy, at(2_000));
        let expected = match beginning {
            // It is as if it had never been there.
            Beginning::Anew => Import::Written,
            Beginning::Complete | Beginning::Unchanged => Import::Tombstone,
        };
        assert_eq!(copied, expected, "{beginning:?}");
    }
}

#[test]
fn a_clients_entry_that_had_ended_before_a_connection_gives_way_when_it_is_evicted() {
    let short = Expiration { lifespan: Some(Lifetime::from_millis(100)), max_idle: None };
    for (expiration, expected) in [(short, Import::Written), (Expiration::NEVER, Import::Tombstone)]
    {
        let mut segment = segment(Bound::default());
        run(&mut segment, &Command::write(b"k", b"ours", expiration), at(1_000));
        segment.connect(Link { since: at(2_000), ..link(FIRST, &[]) });
        while segment.evict(None, &mut 64) {}
        let theirs = imported(b"theirs", 5);
        let copied = import(&mut segment, b"k", &theirs, ImportRule::Copy, at(2_000));
        assert_eq!(copied, expected, "{expiration:?}");
    }
}

#[test]
fn a_connection_that_continues_goes_on_with_what_was_imported() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    copy(&mut segment, b"k");
    put(&mut segment, b"ours", b"ours");
    assert_eq!((segment.local_len(), segment.balance()), (1, 1));
    disconnect(&mut segment);
    segment.begin(Beginning::Complete);
    segment.connect(link(SECOND, &[0]));
    assert!(matches!(segment.inspect(b"k", at(1_000)), Standing::Imported(_)));
    assert!(matches!(segment.inspect(b"ours", at(1_000)), Standing::Local(_)));
    assert_eq!((segment.local_len(), segment.balance()), (1, 1));

    disconnect(&mut segment);
    segment.forget_source(&mut Position::default(), usize::MAX);
    assert_eq!(segment.adopted(), 1, "the other one was a client's before");
    segment.connect(link(FIRST, &[]));
    assert!(matches!(segment.inspect(b"k", at(1_000)), Standing::Local(_)), "anew");
    assert_eq!((segment.local_len(), copy(&mut segment, b"k")), (2, Import::KeptForClient));
}

/// Connected anew, with five entries `a` to `e` of an earlier connection, of which `d` and `e` end at 2,000.
fn adopting() -> Segment {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    for key in [b"a", b"b", b"c"] {
        copy(&mut segment, key);
    }
    for key in [b"d", b"e"] {
        let mut entry = imported(b"theirs", 5);
        entry.metadata.created = Some(at(0));
        entry.metadata.expiration.lifespan = Some(Lifetime::from_millis(2_000));
        import(&mut segment, key, &entry, ImportRule::Copy, at(500));
    }
    put(&mut segment, b"ours", b"v");
    begin_anew(&mut segment, SECOND);
    segment
}

fn begin_anew(segment: &mut Segment, connection: ConnectionId) {
    disconnect(segment);
    segment.forget_source(&mut Position::default(), usize::MAX);
    segment.connect(link(connection, &[]));
    segment.mark();
}

#[test]
fn what_clients_write_or_remove_is_their_own_and_what_ends_by_itself_is_still_doubted() {
    let mut segment = adopting();
    assert_eq!(segment.adopted(), 5, "one was a client's before");
    put(&mut segment, b"a", b"ours");
    put(&mut segment, b"a", b"a longer one, and the second time");
    assert_eq!(segment.adopted(), 4);
    run(&mut segment, &Command::remove(b"b"), at(1_000));
    assert_eq!(segment.adopted(), 3);
    segment.sweep(0, 64, at(3_000));
    assert_eq!((segment.len(), segment.adopted()), (3, 3), "two have ended");
    run(&mut segment, &Command::write(b"d", b"ours", Expiration::NEVER), at(3_000));
    assert_eq!(segment.adopted(), 2, "a client's again");
    segment.complete(SourceSegment(0));
    segment.release_tombstones(&mut Position::default(), usize::MAX);
    assert_eq!((segment.tombstones(), segment.adopted()), (1, 2), "it is gone without a trace");
    while segment.evict(None, &mut 64) {}
    assert_eq!((segment.len(), segment.adopted()), (0, 2), "nor has a client done that");

    let mut segment = adopting();
    segment.sweep(0, 64, at(3_000));
    begin_anew(&mut segment, FIRST);
    assert_eq!(segment.adopted(), 3, "what has ended comes again, if the source has it");
    segment.end_imports();
    drop(segment.clear());
    assert_eq!(segment.adopted(), 0);
}

/// Connected for the second time, with an imported entry `k` whose lifespan ends at 1,000.
fn reconnected(beginning: Beginning) -> Segment {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    disconnect(&mut segment);
    segment.begin(beginning);
    segment.connect(link(FIRST, &[]));
    let mut entry = imported(b"theirs", 5);
    entry.metadata.created = Some(at(0));
    entry.metadata.expiration.lifespan = Some(Lifetime::from_millis(1_000));
    import(&mut segment, b"k", &entry, ImportRule::Copy, at(500));
    segment
}

#[test]
fn what_an_earlier_connection_brought_ends_only_once_the_source_was_asked() {
    for beginning in [Beginning::Anew, Beginning::Complete] {
        let segment = reconnected(beginning);
        assert!(matches!(segment.inspect(b"k", at(2_000)), Standing::Overdue(_)));
    }
}

#[test]
fn a_change_takes_what_an_earlier_connection_brought_to_be_over_only_if_the_source_says_so() {
    let change = Change::Write { value: Value::Inline(b"new"), expiration: Expiration::NEVER };
    let absent = Command::new(b"k", Condition::Absent, change);
    for beginning in [Beginning::Anew, Beginning::Complete] {
        let mut segment = reconnected(beginning);
        segment.complete(SourceSegment(0));
        let read = Command::read(b"k");
        segment.set_silent(SECOND, Some(at(2_000)));
        assert_eq!(run(&mut segment, &read, at(2_000)), Seen::Load, "another one is silent");
        segment.set_silent(FIRST, Some(at(2_000)));
        assert_eq!(run(&mut segment, &read, at(2_000)), Seen::Missing);
        let is_written = run(&mut segment, &absent, at(2_000)) == Seen::Changed(None);
        assert_eq!(is_written, beginning == Beginning::Anew);
    }
}

#[test]
fn a_source_that_becomes_one_unit_does_not_bring_back_what_is_not_remembered() {
    let space = SourceSpace::Segments(20);
    let of = |key: &[u8]| space.segment_of(hash::hash(key));
    let mut segment = segment(Bound::default());
    let mut link = Link::new(FIRST, space, at(0));
    link.marked = true;
    segment.connect(link);
    segment.complete(of(b"gone"));
    // No tombstone may be kept where everything is here.
    run(&mut segment, &only_here(Command::remove(b"gone")), at(1_000));
    assert_eq!(segment.tombstones(), 0);
    segment.become_unit(&Coverage::none(1));
    segment.become_unit(&Coverage::none(1));
    assert_eq!(copy(&mut segment, b"gone"), Import::Tombstone);
    assert_eq!(get(&mut segment, b"gone"), Seen::Missing);
    let other = (0_u8..100).map(|byte| [byte]).find(|key| of(key) != of(b"gone")).unwrap();
    assert_eq!(get(&mut segment, &other), Seen::Load);
    assert_eq!(copy(&mut segment, &other), Import::Written);
}
