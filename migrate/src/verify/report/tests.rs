//! What counts as a difference, and how much is listed.

use super::*;

fn is_missing(mended: bool) -> Verdict {
    Verdict::Missing { why: None, mended }
}

#[test]
fn what_was_changed_or_outlived_here_is_no_difference() {
    let mut report = VerifyReport::default();
    report.count(&b"a"[..], Verdict::ChangedHere);
    report.outlived += 1;
    assert_eq!(report.differences(), 0);
    report.count(&b"b"[..], is_missing(true));
    report.count(&b"c"[..], Verdict::Different { what: "value", why: None, mended: false });
    report.count(&b"\xFF"[..], Verdict::Vanished);
    assert_eq!((report.differences(), report.repaired, report.listed.len()), (2, 1, 4));
    assert_eq!(report.listed[3].key, "0xff");
    report.evict(5);
    assert_eq!((report.differences(), report.repaired), (2, 1), "as many as are listed so");
    assert_eq!(report.perhaps_evicted(), 1, "what was repaired may be gone again");
    assert!(
        !VerifyReport { state: FINISHED.into(), made_room: 1, ..VerifyReport::default() }
            .is_proof()
    );
    for _ in 0..2 * MOST_LISTED {
        report.count(&b"k"[..], is_missing(false));
    }
    assert_eq!(report.listed.len(), MOST_LISTED + 3);
}

#[test]
fn only_what_was_compared_to_its_end_is_a_proof() {
    let said = |entries| Census { entries, stored: Some(7) };
    let report = |compared, segments_compared| VerifyReport {
        compared,
        segments_compared,
        segments: 8,
        ..VerifyReport::default()
    };
    let conclude = |mut report: VerifyReport, has| {
        report.conclude(said(has), said(has)).map(|()| report.doubt)
    };
    assert_eq!(conclude(report(100, 8), Some(100)), Ok(None));
    assert_eq!(conclude(report(0, 8), Some(0)), Ok(None), "an empty source has nothing to show");
    for compared in [0, 7, 9] {
        let text = conclude(report(100, compared), Some(100)).unwrap_err();
        assert!(text.starts_with(&format!("only {compared} of 8 segments")), "{text}");
    }
    assert!(conclude(report(60, 8), Some(100)).unwrap().is_some(), "40 were not shown");
    for has in [Some(100), None] {
        let text = conclude(report(0, 8), has).unwrap_err();
        assert!(text.starts_with("nothing was compared"), "{text}");
    }
}

#[test]
fn what_the_source_shows_and_does_not_find_raises_a_doubt() {
    let said = Census { entries: Some(9), stored: Some(7) };
    let concluded = |not_found| {
        let mut unit = VerifyReport::default();
        (0..9).for_each(|_| unit.count(&b"k"[..], Verdict::Expired));
        unit.not_found = not_found;
        let mut report = VerifyReport::default();
        report.add(&unit);
        report.conclude(said, said).unwrap();
        report.doubt
    };
    assert_eq!(concluded(0), None);
    assert!(concluded(1).unwrap().starts_with("the source keeps showing 1 entry and"));
    assert!(concluded(9).unwrap().starts_with("the source keeps showing 9 entries and"));
}

#[test]
fn many_that_may_have_ended_at_once_raise_a_doubt() {
    let said = Census { entries: Some(90), stored: Some(7) };
    let concluded = |outlived, certain| {
        let mut unit = VerifyReport { compared: 90, same: 90, ..VerifyReport::default() };
        (0..outlived).for_each(|_| unit.count(&b"k"[..], Verdict::Outlived { certain }));
        let mut report = VerifyReport::default();
        report.add(&unit);
        report.conclude(said, said).unwrap();
        report.doubt
    };
    let none = [0, 10, 21].map(|outlived| concluded(outlived, false));
    assert_eq!(none, [None, None, None]);
    assert_eq!(concluded(9_000, true), None, "their sessions have moved");
    let text = concluded(22, false).unwrap();
    assert!(text.starts_with("22 of 112 entries that were brought in"), "{text}");
}

#[test]
fn no_more_are_excused_than_were_evicted() {
    let found = || {
        let mut report = VerifyReport { state: FINISHED.into(), ..VerifyReport::default() };
        report.count(&b"a"[..], is_missing(false));
        for (key, repaired) in [(b"b", false), (b"c", true), (b"d", false), (b"e", false)] {
            report.count(&key[..], Verdict::MissingOrEvicted { why: None, mended: repaired });
        }
        report
    };
    // Evicted; then missing, missing or evicted, differences, perhaps evicted.
    for (evicted, expected) in
        [(u64::MAX, [1, 4, 1, 3]), (3, [1, 4, 1, 3]), (2, [2, 3, 2, 2]), (0, [4, 1, 4, 0])]
    {
        let mut report = found();
        report.excuse(evicted);
        let VerifyReport { missing, missing_or_evicted, .. } = report;
        let counts = [missing, missing_or_evicted, report.differences, report.perhaps_evicted];
        assert_eq!(counts, expected, "{evicted} were evicted");
        let of = |finding| report.listed.iter().filter(|one| one.finding == finding).count();
        let listed = (of(Finding::Missing) as u64, of(Finding::MissingOrEvicted) as u64);
        assert_eq!(listed, (missing, missing_or_evicted));
        assert!(!report.is_proof());
    }
    // What was put right is a proof, unless it had to make room again.
    let mut report = VerifyReport { state: FINISHED.into(), ..VerifyReport::default() };
    report.count(&b"a"[..], Verdict::MissingOrEvicted { why: None, mended: true });
    report.count(&b"b"[..], Verdict::Different { what: "value", why: None, mended: true });
    report.excuse(0);
    assert!(report.is_proof(), "{report:?}");
    report.evict(1);
    assert_eq!((report.differences(), report.perhaps_evicted()), (0, 1));
}

#[test]
fn what_an_attempt_has_put_right_is_counted_although_it_broke_off() {
    let mut part = VerifyReport::default();
    part.count(&b"k"[..], Verdict::Same);
    part.count(&b"a"[..], is_missing(true));
    part.count(&b"b"[..], is_missing(false));
    part.count(&b"c"[..], Verdict::Different { what: "value", why: None, mended: true });
    part.count(&b"d"[..], Verdict::MissingOrEvicted { why: None, mended: true });
    part.count(&b"e"[..], Verdict::MissingOrEvicted { why: None, mended: false });
    let mut part = part.begin_again();
    let whole = |part: &VerifyReport| {
        let mut whole = VerifyReport::default();
        whole.add(part);
        let VerifyReport { compared, same, missing, different, repaired, .. } = whole;
        let VerifyReport { missing_or_evicted: evicted, mended_evicted, .. } = whole;
        assert_eq!(compared, same + missing + different + evicted);
        assert_eq!((whole.differences(), evicted), (0, mended_evicted), "{whole:?}");
        (compared, missing, different, evicted, repaired, whole.listed.len())
    };
    assert_eq!(whole(&part), (3, 1, 1, 1, 3, 3));
    // All of it again, of which three are the same now.
    (0..4).for_each(|_| part.count(&b"k"[..], Verdict::Same));
    part.count(&b"b"[..], is_missing(true));
    part.count(&b"e"[..], Verdict::MissingOrEvicted { why: None, mended: true });
    assert_eq!(whole(&part), (6, 2, 1, 2, 5, 5));
    let part = part.begin_again();
    assert_eq!(whole(&part), (5, 2, 1, 2, 5, 5));
}

#[test]
fn the_whole_is_the_sum_of_its_parts_and_as_much_is_listed() {
    let part = || {
        let mut part = VerifyReport { segments_compared: 8, ..VerifyReport::default() };
        part.count(&b"k"[..], Verdict::Same);
        part.count(&b"k"[..], Verdict::Expired);
        part.count(&b"k"[..], Verdict::Cleared { certain: true });
        part.count(&b"f"[..], Verdict::Cleared { certain: false });
        part.count(&b"a"[..], Verdict::ChangedHere);
        part.count(&b"b"[..], is_missing(true));
        part.count(&b"g"[..], Verdict::Missing { why: Some(Unfetched::Removed), mended: false });
        part.count(&b"e"[..], Verdict::MissingOrEvicted { why: None, mended: false });
        part.count(&b"c"[..], Verdict::Different { what: "value", why: None, mended: false });
        part.count(&b"d"[..], Verdict::Vanished);
        part.outlived += 1;
        part
    };
    let mut whole = VerifyReport::default();
    (0..3).for_each(|_| whole.add(&part()));
    let VerifyReport { compared, same, expired, missing, .. } = whole;
    let VerifyReport { different, changed_here, cleared, missing_or_evicted, .. } = whole;
    let here = same + changed_here + cleared;
    assert_eq!(compared, here + expired + missing + missing_or_evicted + different);
    assert_eq!((compared, whole.vanished, whole.outlived), (27, 3, 3));
    assert_eq!((missing, whole.not_fetched), (6, 3), "of those fetched none is left");
    assert_eq!((cleared, whole.cleared_or_later), (6, 3));
    assert_eq!((whole.repaired, whole.segments_compared, whole.listed.len()), (3, 24, 21));
    let mut full = VerifyReport::default();
    (0..MOST_LISTED).for_each(|_| full.count(&b"k"[..], is_missing(false)));
    full.add(&part());
    assert_eq!(full.listed.len(), MOST_LISTED + 5);
}

#[test]
fn no_more_are_cleared_than_the_source_had() {
    let found = || {
        let mut report = VerifyReport { state: FINISHED.into(), ..VerifyReport::default() };
        report.count(&b"a"[..], Verdict::Cleared { certain: true });
        (0..4).for_each(|_| report.count(&b"k"[..], Verdict::Cleared { certain: false }));
        report
    };
    // Entries that the source had; then cleared, of those perhaps later, and missing.
    for (had, expected) in
        [(9, [5, 4, 0]), (5, [5, 4, 0]), (3, [3, 2, 2]), (1, [1, 0, 4]), (0, [1, 0, 4])]
    {
        let mut report = found();
        assert!(!report.is_proof(), "some may be missing");
        report.bound_cleared(had);
        let VerifyReport { cleared, cleared_or_later, missing, .. } = report;
        assert_eq!([cleared, cleared_or_later, missing], expected, "{had}");
        assert_eq!((report.differences(), report.not_fetched), (missing, missing));
        let of = |finding| report.listed.iter().filter(|one| one.finding == finding).count();
        let listed = (of(Finding::ClearedOrLater) as u64, of(Finding::Missing) as u64);
        assert_eq!(listed, (cleared_or_later, missing));
        assert!(!report.is_proof());
    }
    let mut report = VerifyReport { state: FINISHED.into(), ..VerifyReport::default() };
    report.count(&b"a"[..], Verdict::Cleared { certain: true });
    assert!(report.is_proof(), "it was there before the clear");
}

#[test]
fn what_a_repair_could_not_fetch_is_counted_by_its_reason() {
    let part = || {
        let mut part = VerifyReport::default();
        let why = Some(Unfetched::NoMemory);
        part.count(&b"a"[..], Verdict::Missing { why, mended: false });
        part.count(&b"b"[..], Verdict::Different { what: "value", why, mended: false });
        part.count(&b"c"[..], Verdict::Missing { why: Some(Unfetched::Removed), mended: false });
        part.count(&b"d"[..], is_missing(true));
        part
    };
    let mut whole = VerifyReport::default();
    (0..2).for_each(|_| whole.add(&part()));
    let reasons = [(Unfetched::Removed, 2), (Unfetched::NoMemory, 4)];
    assert_eq!(whole.unfetched, BTreeMap::from(reasons));
    assert_eq!((whole.not_fetched, whole.differences()), (6, 6));
    let text = Some(Unfetched::NoMemory.text());
    assert_eq!((whole.listed[0].what, whole.listed[0].why), (text, None));
    assert_eq!((whole.listed[1].what, whole.listed[1].why), (Some("value"), text));
}

#[test]
fn what_is_not_fetched_is_counted_also_where_entries_were_evicted() {
    let why = Some(Unfetched::NoMemory);
    let left = |evicted| {
        let mut unit = VerifyReport::default();
        for key in [b"a", b"b", b"c"] {
            unit.count(&key[..], Verdict::MissingOrEvicted { why, mended: false });
        }
        unit.count(&b"d"[..], Verdict::MissingOrEvicted { why: None, mended: false });
        let mut report = VerifyReport::default();
        report.add(&unit);
        report.excuse(evicted);
        let reasons: Vec<Option<&str>> = report.listed.iter().map(|one| one.what).collect();
        assert!(reasons[..3].iter().all(|what| *what == why.map(Unfetched::text)), "{reasons:?}");
        (report.missing, report.not_fetched, report.unfetched.get(&Unfetched::NoMemory).copied())
    };
    assert_eq!(left(4), (0, 0, None));
    assert_eq!(left(2), (2, 2, Some(2)));
    assert_eq!(left(0), (4, 3, Some(3)));
}
