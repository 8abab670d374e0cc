//! What a segment takes from its source, what it asks for, and what it remembers of what went.

use super::*;

#[test]
fn an_unknown_key_is_asked_for_where_the_answer_depends_on_it() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let previous =
        Command { wants_previous: true, ..Command::write(b"k", b"v", Expiration::NEVER) };
    let change = Change::Write { value: Value::Inline(b"v"), expiration: Expiration::NEVER };
    for command in [
        Command::read(b"k"),
        Command::remove(b"k"),
        Command::new(b"k", Condition::Absent, change),
        Command::new(b"k", Condition::Present, change),
        previous,
    ] {
        assert_eq!(run(&mut segment, &command, at(1_000)), Seen::Load, "{command:?}");
        let only_here = run(&mut segment, &only_here(command), at(1_000));
        assert_ne!(only_here, Seen::Load, "flag 0x08: {command:?}");
        segment = self::segment(Bound::default());
        connect(&mut segment);
    }
    assert_eq!(put(&mut segment, b"k", b"v"), Seen::Changed(None), "a blind write needs nothing");
    assert_eq!(get(&mut segment, b"k"), found("v"), "and makes the key known");
}

#[test]
fn what_the_source_said_is_taken_in_only_if_nobody_was_faster() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let source = answered(Answer::Entry(imported(b"theirs", 77)));
    let load = Command { source, ..Command::read(b"k") };
    assert_eq!(run(&mut segment, &load, at(1_000)), found("theirs"));
    assert_eq!(version_of(&segment, b"k"), Version(77), "the source's version, as it is");

    put(&mut segment, b"written", b"ours");
    let load = Command { source, ..Command::read(b"written") };
    assert_eq!(run(&mut segment, &load, at(1_000)), found("ours"));

    run(&mut segment, &only_here(Command::remove(b"gone")), at(1_000));
    let load = Command { source, ..Command::read(b"gone") };
    assert_eq!(run(&mut segment, &load, at(1_000)), Seen::Missing, "a remove during the load wins");

    segment.end_imports();
    drop(segment.clear());
    let load = Command { source, ..Command::read(b"k") };
    assert_eq!(run(&mut segment, &load, at(1_000)), Seen::Missing, "a clear during the load wins");
}

#[test]
fn a_removed_key_stays_removed_and_a_clients_entry_stays_the_clients() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let rule = ImportRule::Copy;
    let import = |segment: &mut Segment, key: &[u8], now| {
        import(segment, key, &imported(b"theirs", 5), rule, at(now))
    };
    assert_eq!(import(&mut segment, b"a", 1_000), Import::Written);
    assert_eq!(import(&mut segment, b"a", 1_000), Import::AlreadyHere);
    run(&mut segment, &Command::remove(b"a"), at(1_000));
    assert_eq!(import(&mut segment, b"a", 1_000), Import::Tombstone);

    put(&mut segment, b"b", b"ours");
    assert_eq!(import(&mut segment, b"b", 1_000), Import::KeptForClient);
    assert_eq!(get(&mut segment, b"b"), found("ours"));

    let silent = Command { source: answered(Answer::Silent), ..Command::remove(b"c") };
    assert_eq!(
        run(&mut segment, &silent, at(1_000)),
        Seen::Changed(None),
        "nobody knows, so it is gone"
    );
    assert_eq!(import(&mut segment, b"c", 1_000), Import::Tombstone);

    let short = Expiration { lifespan: Some(Lifetime::from_millis(5)), max_idle: None };
    run(&mut segment, &Command::write(b"d", b"ours", short), at(1_000));
    assert_eq!(import(&mut segment, b"d", 2_000), Import::Tombstone, "a local entry that ended");

    put(&mut segment, b"e", b"ours");
    while segment.evict(None, &mut 64) {}
    assert_eq!(
        import(&mut segment, b"e", 1_000),
        Import::Tombstone,
        "a local entry that was evicted"
    );
    assert_eq!(get(&mut segment, b"e"), Seen::Missing);
    assert_eq!(segment.len(), 0);

    segment.disconnect();
    assert_eq!(segment.forget_source(&mut Position::default(), usize::MAX), Step::End);
    assert_eq!(segment.tombstones(), 0, "nothing stays after the source is gone");
}

/// An entry of the source with these lifetimes in milliseconds.
fn mortal(
    value: &[u8],
    created: u64,
    lifespan: Option<u64>,
    max_idle: Option<u64>,
) -> Imported<'_> {
    let millis = |lifetime: Option<u64>| lifetime.map(Lifetime::from_millis);
    let expiration = Expiration { lifespan: millis(lifespan), max_idle: millis(max_idle) };
    let (created, last_used) = (lifespan.map(|_| at(created)), max_idle.map(|_| at(created)));
    let metadata = EntryMetadata { version: Version(1), created, last_used, expiration };
    Imported { value: Value::Inline(value), metadata }
}

fn copy(segment: &mut Segment, entry: &Imported<'_>, now: u64) -> Import {
    import(segment, b"k", entry, ImportRule::Copy, at(now))
}

#[test]
fn the_source_is_asked_before_an_imported_entry_ends() {
    for (lifespan, max_idle) in [(Some(1_000), None), (None, Some(1_000))] {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        let entry = mortal(b"v", 500, lifespan, max_idle);
        assert_eq!(copy(&mut segment, &entry, 1_499), Import::Written);
        // A complete segment is asked for nothing else.
        segment.end_imports();
        assert_eq!(run(&mut segment, &Command::read(b"other"), at(1_500)), Seen::Missing);

        let read = |source| Command { source, ..Command::read(b"k") };
        assert_eq!(run(&mut segment, &read(Source::NotAsked), at(1_500)), Seen::Load);
        assert!(matches!(segment.inspect(b"k", at(1_500)), Standing::Overdue(_)));
        let mut shown = 0;
        walk::shown(&segment, at(1_500), |_| shown += 1);
        assert_eq!(shown, 0, "it is not shown as long as nobody knows");

        assert_eq!(segment.sweep(0, 64, at(1_500)), None);
        let silent = run(&mut segment, &read(answered(Answer::Silent)), at(1_500));
        assert_eq!(silent, Seen::Failed(CacheError::SourceSilent));
        assert_eq!(run(&mut segment, &read(Source::Skip), at(1_500)), Seen::Missing);
        let mut overdue = Vec::new();
        segment.overdue(&mut Position::default(), 64, at(1_500), |key| overdue.push(key.to_vec()));
        assert_eq!(overdue, [b"k"], "neither a sweep nor a read ends it");
        for (settled, shown) in [(None, 0), (Some(at(1_500)), 0), (Some(at(1_499)), 1)] {
            let (mut cursor, mut given) = (Cursor::default(), 0);
            settled.into_iter().for_each(|at| cursor.settled_at(at));
            loop {
                cursor.prepare(1_000);
                let step = segment.walk(&mut cursor, 1_000, at(1_500), |_| {
                    given += 1;
                    std::ops::ControlFlow::Continue(())
                });
                if step == Step::End {
                    break;
                }
            }
            assert_eq!(given, shown, "the source was asked at {settled:?}");
        }

        let used = mortal(b"v", 1_400, lifespan, max_idle);
        assert_eq!(run(&mut segment, &read(answered(Answer::Entry(used))), at(1_500)), found("v"));
        assert_eq!((segment.lived_on(), segment.len()), (1, 1));
        let ends = if max_idle.is_some() { 2_500 } else { 2_400 };
        let at_end = run(&mut segment, &read(Source::NotAsked), at(ends - 1));
        assert_eq!(at_end, found("v"), "it lives on as at the source");
        let ends = if max_idle.is_some() { ends - 1 + 1_000 } else { ends };
        assert_eq!(run(&mut segment, &read(Source::NotAsked), at(ends)), Seen::Load);

        assert_eq!(run(&mut segment, &read(answered(Answer::Absent)), at(ends)), Seen::Missing);
        assert_eq!((segment.lived_on(), segment.len(), segment.tombstones()), (1, 0, 0));
        assert!(matches!(segment.inspect(b"k", at(ends)), Standing::Unknown));
    }
}

#[test]
fn a_walk_that_is_behind_another_one_brings_no_older_value_back() {
    let older = imported(b"older", 1);
    let versioned = |value, version, lifespan| {
        let mut entry = mortal(value, 500, lifespan, None);
        entry.metadata.version = Version(version);
        entry
    };
    let overdue = || {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        copy(&mut segment, &versioned(b"newer", 2, Some(1_000)), 600);
        segment
    };
    for is_complete in [true, false] {
        // A source that gives no versions shows the difference elsewhere.
        let no_version = versioned(b"newer", 2, None);
        for stale in [older, versioned(b"older", 2, Some(9_000)), no_version] {
            let mut segment = overdue();
            if is_complete {
                segment.complete(SourceSegment(0));
            }
            assert_eq!(copy(&mut segment, &stale, 1_500), Import::AlreadyHere);
            assert!(matches!(segment.inspect(b"k", at(1_500)), Standing::Overdue(_)));
            let read = |source| Command { source, ..Command::read(b"k") };
            assert_eq!(run(&mut segment, &read(Source::NotAsked), at(1_500)), Seen::Load);
            let gone = run(&mut segment, &read(answered(Answer::Absent)), at(1_500));
            assert_eq!(gone, Seen::Missing, "the source decides");
        }
        let mut segment = overdue();
        // The same one, by a clock that is better known, and with the part of a second that is not reported.
        let mut same = versioned(b"newer", 2, Some(1_999));
        same.metadata.created = Some(at(700));
        assert_eq!(copy(&mut segment, &same, 1_500), Import::AlreadyHere);
        assert_eq!(segment.lived_on(), 1);
        assert!(matches!(segment.inspect(b"k", at(1_500)), Standing::Imported(_)));
    }
}

#[test]
fn a_repair_puts_what_the_source_has_in_the_place_of_what_is_over() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    copy(&mut segment, &mortal(b"old", 500, Some(1_000), None), 600);
    segment.end_imports();
    let new = imported(b"new", 2);
    assert_eq!(
        import(&mut segment, b"k", &new, ImportRule::Repair, at(1_500)),
        Import::AlreadyHere
    );
    assert_eq!(get(&mut segment, b"k"), found("new"));
}

#[test]
fn clients_change_an_entry_that_is_over_as_if_there_were_none() {
    let overdue = || {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        copy(&mut segment, &mortal(b"v", 0, None, Some(1_000)), 500);
        segment.end_imports();
        segment
    };
    let mut written = overdue();
    assert_eq!(put(&mut written, b"k", b"new"), Seen::Changed(None));
    assert_eq!(get(&mut written, b"k"), found("new"));

    let mut removed = overdue();
    let silent = Command { source: answered(Answer::Silent), ..Command::remove(b"k") };
    assert_eq!(run(&mut removed, &silent, at(1_000)), Seen::Changed(None));
    let theirs = mortal(b"v", 900, None, Some(1_000));
    assert_eq!(copy(&mut removed, &theirs, 1_000), Import::Tombstone, "it does not come back");

    let change = Change::Write { value: Value::Inline(b"new"), expiration: Expiration::NEVER };
    for (condition, expected) in
        [(Condition::Absent, Seen::Changed(None)), (Condition::Present, Seen::Missing)]
    {
        let mut segment = overdue();
        let command = Command::new(b"k", condition, change);
        assert_eq!(run(&mut segment, &command, at(1_000)), Seen::Load);
        let told = Command { source: answered(Answer::Absent), ..command };
        assert_eq!(run(&mut segment, &told, at(1_000)), expected);
    }

    let mut lives = overdue();
    let command = Command::new(b"k", Condition::Absent, change);
    let told = Command { source: answered(Answer::Entry(theirs)), ..command };
    assert_eq!(run(&mut lives, &told, at(1_000)), Seen::Refused(b"v".to_vec()));
}

#[test]
fn without_a_source_reads_take_what_is_over_to_be_gone_and_nothing_is_lost() {
    let (idle, mortal) = (mortal(b"v", 0, None, Some(1_000)), mortal(b"v", 0, Some(1_000), None));
    for entry in [idle, mortal] {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        copy(&mut segment, &entry, 500);
        segment.set_silent(FIRST, Some(at(1_000)));
        assert_eq!(get(&mut segment, b"k"), Seen::Load, "not everything is here");
        segment.complete(SourceSegment(0));
        assert_eq!(get(&mut segment, b"k"), Seen::Missing);
        let silent = Command { source: answered(Answer::Silent), ..Command::read(b"k") };
        assert_eq!(run(&mut segment, &silent, at(1_000)), Seen::Missing, "it was just being asked");
        segment.sweep(0, 64, at(1_000));
        assert!(matches!(segment.inspect(b"k", at(1_000)), Standing::Overdue(_)));
        segment.set_silent(FIRST, None);
        assert_eq!(get(&mut segment, b"k"), Seen::Load);
        let told = Command { source: answered(Answer::Entry(entry)), ..Command::read(b"k") };
        assert_eq!(run(&mut segment, &told, at(1_000)), found("v"));
    }
}

#[test]
fn without_a_source_changes_take_only_a_lifespan_to_be_over_that_surely_is() {
    let change = Change::Write { value: Value::Inline(b"new"), expiration: Expiration::NEVER };
    let changes = [
        (Command::new(b"k", Condition::Absent, change), Seen::Changed(None)),
        (Command::new(b"k", Condition::Present, change), Seen::Missing),
        (Command::remove(b"k"), Seen::Missing),
        (
            Command { wants_previous: true, ..Command::write(b"k", b"new", Expiration::NEVER) },
            Seen::Changed(None),
        ),
    ];
    for (command, expected) in changes {
        let apply = |entry: Imported<'_>, over: u64| {
            let mut segment = segment(Bound::default());
            connect(&mut segment);
            copy(&mut segment, &entry, 500);
            segment.complete(SourceSegment(0));
            segment.set_silent(FIRST, Some(at(over)));
            run(&mut segment, &command, at(1_000))
        };
        let idle = mortal(b"v", 0, None, Some(1_000));
        assert_eq!(apply(idle, 5_000), Seen::Load, "it may be used there: {command:?}");
        let lifespan = mortal(b"v", 0, Some(1_000), None);
        assert_eq!(apply(lifespan, 1_000), Seen::Load, "{command:?}");
        assert_eq!(apply(lifespan, 1_001), expected, "{command:?}");
        let both = mortal(b"v", 0, Some(5_000), Some(1_000));
        assert_eq!(apply(both, 5_000), Seen::Load, "its lifespan is not over: {command:?}");
    }
}

#[test]
fn what_the_source_still_returns_is_kept_until_it_says_otherwise() {
    for entry in [mortal(b"v", 0, Some(1_000), None), mortal(b"v", 0, None, Some(1_000))] {
        let mut segment = segment(Bound::default());
        connect(&mut segment);
        assert_eq!(copy(&mut segment, &entry, 5_000), Import::Written, "it may live there");
        assert_eq!(get(&mut segment, b"k"), Seen::Load);
        assert_eq!(segment.sweep(0, 64, at(5_000)), None);
        assert_eq!(segment.len(), 1);
        assert_eq!(copy(&mut segment, &entry, 5_000), Import::AlreadyHere);
        segment.disconnect();
        assert_eq!(run(&mut segment, &Command::read(b"k"), at(5_000)), Seen::Missing);
        assert_eq!(segment.len(), 0, "without a source nobody is asked");
    }
}

#[test]
fn what_the_source_says_of_an_entry_is_taken_in_only_if_it_is_still_over() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let settle = |segment: &mut Segment, answer, now| {
        segment.settle(hash::hash(b"k"), b"k", &answer, FIRST, at(now)).unwrap()
    };
    let entry = mortal(b"v", 0, None, Some(1_000));
    copy(&mut segment, &entry, 500);
    assert_eq!(settle(&mut segment, Answer::Absent, 999), Settled::Unchanged);
    assert_eq!(settle(&mut segment, Answer::Silent, 1_000), Settled::Unchanged);
    let used = mortal(b"v", 1_000, None, Some(1_000));
    assert_eq!(settle(&mut segment, Answer::Entry(used), 1_000), Settled::LivesOn);
    assert_eq!(settle(&mut segment, Answer::Absent, 1_500), Settled::Unchanged);
    let late = segment.settle(hash::hash(b"k"), b"k", &Answer::Absent, ConnectionId(9), at(2_000));
    assert_eq!(late, Ok(Settled::Unchanged), "over another connection");
    assert_eq!(settle(&mut segment, Answer::Absent, 2_000), Settled::Ended);
    assert_eq!((segment.len(), segment.lived_on()), (0, 1));
}

#[test]
fn a_bound_that_refuses_writes_lets_in_what_the_source_has() {
    let bound = Bound { entries: Some(1), bytes: None, when_full: WhenFull::Refuse };
    let mut segment = segment(bound);
    connect(&mut segment);
    for key in [b"a", b"b", b"c"] {
        let entry = imported(b"theirs", 1);
        let came = import(&mut segment, key, &entry, ImportRule::Copy, at(1_000));
        assert_eq!(came, Import::Written);
    }
    assert_eq!(put(&mut segment, b"d", b"ours"), Seen::Failed(CacheError::Full));
    assert_eq!(put(&mut segment, b"a", b"ours"), Seen::Changed(Some(b"theirs".to_vec())));
}

#[test]
fn nothing_is_asked_for_once_all_source_segments_are_complete() {
    let mut segment = segment(Bound::default());
    let space = SourceSpace::Segments(20);
    segment.connect(Link { marked: true, ..Link::new(FIRST, space, at(0)) });
    for number in 0..20 {
        assert_eq!(get(&mut segment, b"k"), Seen::Load);
        segment.complete(SourceSegment(number));
    }
    assert_eq!(get(&mut segment, b"k"), Seen::Missing);
    let copy = import(&mut segment, b"k", &imported(b"v", 1), ImportRule::Copy, at(1_000));
    assert_eq!(copy, Import::Tombstone, "after a clear, not even an unknown key comes in");
    put(&mut segment, b"k", b"v");
    run(&mut segment, &Command::remove(b"k"), at(1_000));
    assert_eq!(
        segment.tombstones(),
        0,
        "beyond the bound, where nothing can come back, none is kept"
    );
}

#[test]
fn a_removal_of_what_is_not_here_is_remembered_while_there_is_a_source() {
    let link = |complete: &[u32], max_tombstones| Link { max_tombstones, ..link(FIRST, complete) };
    let mut segment = segment(Bound::default());
    let repair = |segment: &mut Segment, key: &[u8]| {
        import(segment, key, &imported(b"v", 1), ImportRule::Repair, at(1_000))
    };
    segment.connect(link(&[0], 1));
    assert_eq!(run(&mut segment, &Command::remove(b"a"), at(1_000)), Seen::Missing);
    assert_eq!(repair(&mut segment, b"a"), Import::Tombstone);
    assert_eq!(repair(&mut segment, b"b"), Import::Written, "nobody removed it");
    assert_eq!(run(&mut segment, &Command::remove(b"c"), at(1_000)), Seen::Missing);
    assert_eq!((segment.tombstones(), repair(&mut segment, b"c")), (1, Import::Tombstone));

    segment.disconnect();
    segment.forget_source(&mut Position::default(), usize::MAX);
    segment.connect(link(&[0], 1));
    assert_eq!(repair(&mut segment, b"a"), Import::Written, "as far as the segment knows");
    segment.disconnect();
    run(&mut segment, &Command::remove(b"a"), at(1_000));
    segment.connect(link(&[0], 1));
    assert!(segment.changed_before_connect());
    assert_eq!(repair(&mut segment, b"a"), Import::Tombstone, "nobody knows what went meanwhile");

    segment.disconnect();
    segment.begin(Beginning::Unchanged);
    segment.connect(link(&[], 1));
    assert_eq!(get(&mut segment, b"d"), Seen::Load, "nothing has changed");
    segment.disconnect();
    run(&mut segment, &Command::remove(b"d"), at(1_000));
    put(&mut segment, b"e", b"v");
    segment.begin(Beginning::Unchanged);
    segment.connect(link(&[], 1));
    assert_eq!(get(&mut segment, b"d"), Seen::Missing);
}

#[test]
fn a_change_waits_until_it_is_recorded_that_clients_write_here() {
    let mut segment = segment(Bound::default());
    segment.connect(Link { marked: false, ..link(FIRST, &[]) });
    let load =
        Command { source: answered(Answer::Entry(imported(b"v", 1))), ..Command::read(b"k") };
    assert_eq!(run(&mut segment, &load, at(1_000)), found("v"), "reading changes nothing");
    assert_eq!(put(&mut segment, b"k", b"new"), Seen::Mark);
    assert_eq!(run(&mut segment, &Command::remove(b"k"), at(1_000)), Seen::Mark);
    assert_eq!(run(&mut segment, &only_here(Command::remove(b"x")), at(1_000)), Seen::Mark);
    assert_eq!(get(&mut segment, b"k"), found("v"), "nothing has changed");
    segment.mark();
    assert_eq!(put(&mut segment, b"k", b"new"), Seen::Changed(Some(b"v".to_vec())));
}

#[test]
fn repair_replaces_what_was_imported_and_nothing_else() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let import = |segment: &mut Segment, key: &[u8], value: &[u8], version, rule| {
        import(segment, key, &imported(value, version), rule, at(1_000))
    };
    import(&mut segment, b"a", b"old", 1, ImportRule::Copy);
    put(&mut segment, b"b", b"ours");
    segment.complete(SourceSegment(0));
    assert_eq!(import(&mut segment, b"a", b"new", 2, ImportRule::Repair), Import::Written);
    assert_eq!(import(&mut segment, b"missing", b"new", 2, ImportRule::Repair), Import::Written);
    assert_eq!(import(&mut segment, b"b", b"new", 2, ImportRule::Repair), Import::KeptForClient);
    assert_eq!(get(&mut segment, b"a"), found("new"));
    assert_eq!(version_of(&segment, b"a"), Version(2));
    segment.end_imports();
    assert_eq!(import(&mut segment, b"more", b"new", 2, ImportRule::Repair), Import::Tombstone);
    drop(segment.clear());
    assert_eq!(import(&mut segment, b"a", b"new", 2, ImportRule::Repair), Import::Tombstone);
}

#[test]
fn a_read_is_answered_although_there_is_no_room_to_keep_what_the_source_has() {
    let mut segment = limited(Bound::default(), MemoryLimit::new(0));
    connect(&mut segment);
    let source = answered(Answer::Entry(imported(b"theirs", 5)));
    assert_eq!(
        run(&mut segment, &Command { source, ..Command::read(b"k") }, at(1_000)),
        found("theirs")
    );
    assert_eq!(segment.len(), 0);
    let remove = Command { source, wants_previous: true, ..Command::remove(b"k") };
    let refused = Seen::Failed(CacheError::OutOfMemory { limit: 0 });
    assert_eq!(run(&mut segment, &remove, at(1_000)), refused);
}

#[test]
fn what_the_source_has_can_be_removed_although_there_is_no_room_to_keep_it() {
    // Room for a tombstone and the smallest table.
    let mut segment = limited(Bound::default(), MemoryLimit::new(1_000));
    connect(&mut segment);
    let theirs = [7; 2_000];
    let source = answered(Answer::Entry(imported(&theirs, 5)));
    let condition = Condition::Version(Version(6));
    let other = Command { source, ..Command::new(b"k", condition, Change::Remove) };
    assert_eq!(run(&mut segment, &other, at(1_000)), Seen::Refused(theirs.to_vec()));
    let remove = Command { source, ..Command::remove(b"k") };
    assert_eq!(run(&mut segment, &remove, at(1_000)), Seen::Changed(Some(theirs.to_vec())));
    assert_eq!((segment.len(), segment.tombstones(), segment.balance()), (0, 1, -1));
    assert_eq!(get(&mut segment, b"k"), Seen::Missing, "it does not come back");
}

#[test]
fn entries_that_were_there_before_the_source_count_as_the_clients() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    import(&mut segment, b"k", &imported(b"v", 5), ImportRule::Copy, at(1_000));
    segment.disconnect();
    segment.forget_source(&mut Position::default(), usize::MAX);
    connect(&mut segment);
    let Standing::Local(entry) = segment.inspect(b"k", at(1_000)) else { panic!("not local") };
    assert_eq!(
        (entry.version(), entry.origin()),
        (Version(5), Origin::Local),
        "it keeps its version"
    );
}

#[test]
fn a_segment_knows_by_how_much_it_is_larger_than_its_source() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let copy = |segment: &mut Segment, key: &[u8]| {
        import(segment, key, &imported(b"v", 5), ImportRule::Copy, at(1_000))
    };
    copy(&mut segment, b"copied");
    assert_eq!(segment.balance(), 0);
    put(&mut segment, b"copied", b"ours");
    assert_eq!(segment.balance(), 0, "the source has it too");
    put(&mut segment, b"new", b"ours");
    assert_eq!(segment.balance(), 1);
    put(&mut segment, b"blind", b"ours");
    assert_eq!(segment.balance(), 2, "as far as is known");
    copy(&mut segment, b"blind");
    assert_eq!(segment.balance(), 1, "the source was seen to have it");
    run(&mut segment, &Command::remove(b"copied"), at(1_000));
    assert_eq!(segment.balance(), 0);
    put(&mut segment, b"copied", b"again");
    assert_eq!(segment.balance(), 1);
    run(&mut segment, &Command::remove(b"new"), at(1_000));
    assert_eq!(segment.balance(), 0);
    segment.disconnect();
    segment.forget_source(&mut Position::default(), usize::MAX);
    assert_eq!(segment.balance(), segment.len().cast_signed());
}
