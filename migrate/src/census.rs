//! Whether a source has shown as many entries as it says it has.
//!
//! A decider. A walk can end early, or leave entries out, without an error; what it has shown is the same here,
//! and proves nothing. The number that the source says at the end, without what its own clients have stored
//! meanwhile, is the number that it must have shown at least.

use cluster::{Connection, SourceCount};

/// What a source says at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Entries that it has.
    pub(crate) entries: Option<u64>,
    /// Entries that its clients have stored so far; `None` if it does not count that.
    pub(crate) stored: Option<u64>,
}

/// Entries of a small source that come and go at any time: so many beside a tenth are no reason to doubt it.
pub(crate) const FEW: u64 = 10;

/// Why what a source has shown may not be all that it has. It was asked before the first entry and after the last
/// one, and has shown so many.
pub(crate) fn doubt(before: Census, after: Census, shown: u64) -> Option<String> {
    let Some(has) = after.entries.or(before.entries) else {
        let text = "the source has shown no entry, and does not say how many it has";
        return (shown == 0).then(|| text.to_owned());
    };
    let fewest = has.min(before.entries.unwrap_or(has));
    let below = |most: u64| if shown < most { fewest - shown } else { 0 };
    let missing = match before.stored.zip(after.stored) {
        // Counters that went back were reset, and tell nothing.
        Some((then, now)) if now >= then && after.entries.is_some() => {
            let counted = has.saturating_sub(shown.saturating_add(now - then));
            // Most of what was stored may have been there before: that excuses no more than a tenth of the source,
            // or a few entries.
            counted.max(below((fewest - fewest / 10).saturating_sub(FEW)))
        }
        // Nobody knows what its clients have stored and removed: a tenth of it may be theirs.
        _ => below(fewest - fewest / 10),
    };
    if missing > 0 {
        return Some(format!(
            "the source says that it has {has} entries, and has shown {shown}: {missing} or more of them seem not to \
             have been compared or copied"
        ));
    }
    match before.entries {
        Some(had) if has == 0 && shown < had => Some(format!(
            "the source had {had} entries at the beginning and has none at the end, and has shown {shown}: it may \
             have been cleared, or created anew"
        )),
        _ => None,
    }
}

/// Why a walk may have shown entries that the source does not have otherwise: nobody could read them by key. It was asked
/// before the first entry and after the last one, and has shown so many under different keys. Only where it counts what
/// its clients store is it known how many there can have been.
pub(crate) fn excess(before: Census, after: Census, shown: u64) -> Option<String> {
    let (had, has) = before.entries.zip(after.entries)?;
    let (then, now) = before.stored.zip(after.stored)?;
    let stored = now.checked_sub(then)?;
    let most = had.max(has).saturating_add(stored);
    (shown > most.saturating_add(most / 10).saturating_add(FEW)).then(|| {
        format!(
            "the source says that it has {has} entries, and has shown {shown}: it counts wrongly, or shows entries that \
             nobody can read by key. Read some of them at the source, and disconnect without --strict if they are there"
        )
    })
}

/// Why a source of which everything is here may have lost entries since it was connected: it had many more then than
/// it has shown. Who removed them there, or whether they have ended, it does not say; up to a tenth of them is taken
/// for that. No verification can tell: it compares what is left.
pub(crate) fn shrunk(connection: &Connection) -> Option<String> {
    // After a clear nothing comes from the source.
    if !connection.complete.is_whole() || connection.cleared {
        return None;
    }
    let SourceCount { said, shown } = connection.count;
    let Some(had) = said else {
        let text = "it is not known how many entries the source had when the cache was connected, because it did not \
                    say so in time, or an earlier version did not ask: whether it has lost any before they were copied, \
                    nobody knows. Compare its number of entries with what you expect, and disconnect without --strict";
        return Some(text.into());
    };
    (shown < had - had / 10).then(|| {
        format!(
            "the source had up to {had} entries since the cache was connected, and has shown {shown} when each of its \
             segments was read to its end: the others have ended or were removed there, or the source has lost them"
        )
    })
}

#[cfg(test)]
mod tests {
    //! What a number of entries proves.

    use store::{Coverage, SourceSpace, Timestamp};

    use super::*;
    use crate::samples::connection;

    fn tie() -> Connection {
        connection(SourceSpace::Segments(4), Timestamp::default())
    }

    fn said(entries: u64, stored: u64) -> Census {
        Census { entries: Some(entries), stored: Some(stored) }
    }

    fn uncounted(entries: u64) -> Census {
        Census { entries: Some(entries), stored: None }
    }

    #[test]
    fn all_that_was_there_throughout_must_have_been_shown() {
        assert_eq!(doubt(said(1_000, 7), said(1_000, 7), 1_000), None);
        assert_eq!(doubt(said(1_000, 7), said(900, 7), 950), None, "some have ended meanwhile");
        assert_eq!(doubt(said(1_000, 7), said(1_300, 307), 1_000), None, "some are new");
        let text = doubt(said(1_000, 7), said(1_000, 7), 600).unwrap();
        assert!(text.contains("has 1000 entries, and has shown 600: 400 or more"), "{text}");
        assert!(doubt(said(1_000, 7), said(1_000, 7), 999).is_some());
        assert!(doubt(said(0, 0), said(1_301, 300), 1_000).is_some());
    }

    #[test]
    fn what_was_stored_again_and_again_excuses_a_tenth() {
        assert_eq!(doubt(said(1_000, 0), said(1_000, 5_000), 890), None);
        assert!(doubt(said(1_000, 0), said(1_000, 5_000), 889).unwrap().contains("111 or more"));
        assert_eq!(doubt(said(9, 0), said(9, 5_000), 0), None, "all of them may be others by now");
        assert!(doubt(said(20, 0), said(20, 5_000), 7).is_some());
    }

    #[test]
    fn what_was_neither_there_nor_stored_meanwhile_is_too_much() {
        assert_eq!(excess(said(600, 7), said(600, 7), 670), None, "a tenth, and a few");
        let text = excess(said(600, 7), said(600, 7), 671).unwrap();
        assert!(text.contains("has 600 entries, and has shown 671"), "{text}");
        assert_eq!(excess(said(600, 7), said(100, 7), 600), None, "they were removed meanwhile");
        assert_eq!(excess(said(100, 7), said(600, 507), 600), None, "they are new");
        assert_eq!(
            excess(said(100, 0), said(100, 900), 1_000),
            None,
            "they were new, and are gone"
        );
        assert!(excess(said(0, 7), said(0, 7), 11).is_some());
        for (before, after) in [
            (uncounted(600), uncounted(600)),
            (said(600, 9), said(600, 7)),
            (Census { entries: None, stored: Some(7) }, said(600, 7)),
            (said(600, 7), Census { entries: None, stored: Some(7) }),
        ] {
            assert_eq!(excess(before, after, 10_000), None, "nobody knows");
        }
    }

    #[test]
    fn where_stores_are_not_counted_a_tenth_may_have_changed() {
        for (before, after) in [
            (uncounted(1_000), uncounted(1_000)),
            (said(1_000, 9), said(1_000, 3)),
            (Census::default(), uncounted(1_000)),
        ] {
            assert_eq!(doubt(before, after, 900), None);
            assert!(doubt(before, after, 899).is_some());
        }
        assert_eq!(doubt(uncounted(100), uncounted(2_000), 100), None, "the others may be new");
        assert_eq!(doubt(uncounted(2_000), uncounted(100), 100), None, "the others may have ended");
        assert!(doubt(uncounted(5), uncounted(5), 0).is_some());
    }

    #[test]
    fn a_source_that_has_become_empty_has_not_been_seen_whole() {
        let text = doubt(said(1_000, 7), said(0, 7), 300).unwrap();
        assert!(text.contains("had 1000 entries at the beginning and has none"), "{text}");
        assert_eq!(doubt(said(1_000, 7), said(0, 7), 1_000), None, "all of it was shown before");
        assert_eq!(doubt(said(0, 7), said(0, 7), 0), None);
    }

    #[test]
    fn a_source_that_has_fewer_than_it_was_connected_with_may_have_lost_them() {
        let shrunk = |said, shown, cleared| {
            let complete = Coverage::all(4);
            shrunk(&Connection { complete, cleared, count: SourceCount { said, shown }, ..tie() })
        };
        assert_eq!(shrunk(Some(1_000), 900, false), None);
        let text = shrunk(Some(1_000), 899, false).unwrap();
        assert!(
            text.contains(
                "had up to 1000 entries since the cache was connected, and has shown 899 when each of its segments was"
            )
        );
        assert!(shrunk(Some(3), 2, false).is_some() && shrunk(Some(1), 0, false).is_some());
        assert_eq!([shrunk(Some(0), 0, false), shrunk(Some(9), 0, true)], [None, None]);
        assert!(shrunk(None, 9, false).unwrap().contains("it is not known how many"));
        let count = SourceCount { said: Some(9), shown: 0 };
        assert_eq!(super::shrunk(&Connection { count, ..tie() }), None, "not all of it is here");
    }

    #[test]
    fn of_a_source_that_does_not_say_it_at_the_end_the_beginning_counts() {
        assert_eq!(doubt(said(1_000, 7), Census::default(), 950), None);
        assert!(doubt(said(1_000, 7), Census::default(), 0).is_some());
        let says_nothing = |shown| doubt(Census::default(), Census::default(), shown);
        assert_eq!(says_nothing(5), None);
        assert!(says_nothing(0).unwrap().contains("does not say how many"));
    }
}
