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

    segment.complete_all();
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

#[test]
fn an_imported_entry_that_ends_by_itself_is_unknown_again() {
    let mut segment = segment(Bound::default());
    connect(&mut segment);
    let expiration = Expiration { lifespan: Some(Lifetime::from_secs(1)), max_idle: None };
    let metadata =
        EntryMetadata { version: Version(1), created: Some(at(500)), last_used: None, expiration };
    let entry = Imported { value: Value::Inline(b"v"), metadata };
    let import =
        |segment: &mut Segment, now| import(segment, b"k", &entry, ImportRule::Copy, at(now));
    assert_eq!(import(&mut segment, 1_499), Import::Written);
    assert_eq!(run(&mut segment, &Command::read(b"k"), at(1_499)), found("v"));
    assert_eq!(
        run(&mut segment, &Command::read(b"k"), at(1_500)),
        Seen::Load,
        "its own instant, not ours"
    );
    assert_eq!(import(&mut segment, 1_500), Import::Expired);

    assert_eq!(import(&mut segment, 1_000), Import::Written);
    while segment.evict(None, &mut 64) {}
    assert_eq!(run(&mut segment, &Command::read(b"k"), at(1_000)), Seen::Load);
}

#[test]
fn nothing_is_asked_for_in_a_complete_source_segment() {
    let mut segment = segment(Bound::default());
    let space = SourceSpace::Segments(20);
    segment.connect(Link { marked: true, ..Link::new(FIRST, space, at(0)) });
    let of_key = space.segment_of(hash::hash(b"k"));
    let other = SourceSegment((of_key.0 + 1) % 20);
    segment.complete(other);
    assert_eq!(get(&mut segment, b"k"), Seen::Load);
    segment.complete(of_key);
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
    segment.complete_all();
    assert_eq!(import(&mut segment, b"a", b"new", 2, ImportRule::Repair), Import::Written);
    assert_eq!(import(&mut segment, b"missing", b"new", 2, ImportRule::Repair), Import::Written);
    assert_eq!(import(&mut segment, b"b", b"new", 2, ImportRule::Repair), Import::KeptForClient);
    assert_eq!(get(&mut segment, b"a"), found("new"));
    assert_eq!(version_of(&segment, b"a"), Version(2));
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
