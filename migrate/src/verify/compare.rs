//! What two sides that should have the same entry say of it.

use store::{EntryMetadata, Lifetime, Standing, Timestamp};

use crate::{clocks::Difference, entry::SourceEntry};

/// Milliseconds that an instant may differ by: a source reports whole seconds.
pub(super) const INSTANT_TOLERANCE: u64 = 1_000;

/// What differs if all but its instants are the same.
pub(super) const CREATED: &str = "created";

/// What is known here of a key that the source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was brought in, and is the same.
    Same,
    /// It was brought in, and this differs.
    Other(&'static str),
    /// It was brought in, and its time is over here.
    Overdue,
    /// A client has changed or removed it.
    ChangedHere,
    /// Nothing.
    Nothing,
}

impl Seen {
    /// Compares what is here with what the source has. Instants may be `apart` because of
    /// the source's clock.
    pub(super) fn of(standing: Standing<'_>, theirs: &SourceEntry, apart: Difference) -> Self {
        match standing {
            Standing::Local(_) | Standing::Tombstone => Self::ChangedHere,
            Standing::Unknown => Self::Nothing,
            Standing::Overdue(_) => Self::Overdue,
            Standing::Imported(ours) => {
                let (ours, value) = (ours.metadata(), ours.value().bytes());
                match difference(&ours, value, theirs, apart.of(ours.created)) {
                    None => Self::Same,
                    Some(what) => Self::Other(what),
                }
            }
        }
    }
}

/// Returns whether an entry may have ended by itself at the source. Its instants are those that the
/// source has reported, with the last use there: the source does not hear of uses here, which let an
/// imported entry live on. Its end is as uncertain as the source's clock: by so many milliseconds, or
/// by any number (`None`).
pub(super) fn may_have_ended(
    theirs: &EntryMetadata,
    now: Timestamp,
    uncertainty: Option<u64>,
) -> bool {
    let ends = theirs.ends();
    let earliest = |end: Timestamp| {
        uncertainty.map(|by| end.millis().saturating_sub(by.saturating_add(INSTANT_TOLERANCE)))
    };
    ends.is_some_and(|end| earliest(end).is_none_or(|earliest| earliest <= now.millis()))
}

/// Returns whether such an entry has ended by itself at the source if its clock is as it seems.
pub(super) fn should_have_ended(theirs: &EntryMetadata, now: Timestamp) -> bool {
    may_have_ended(theirs, now, Some(0))
}

/// Returns whether such an entry has ended by itself at the source however its clock is, unless somebody has used it
/// there since.
pub(super) fn has_surely_ended(
    theirs: &EntryMetadata,
    now: Timestamp,
    uncertainty: Option<u64>,
) -> bool {
    let ends = theirs
        .ends()
        .zip(uncertainty)
        .map(|(end, by)| end.millis().saturating_add(by.saturating_add(INSTANT_TOLERANCE)));
    ends.is_some_and(|latest| latest <= now.millis())
}

/// What differs between an entry that was brought in and the source's. When it was last used is not
/// compared: reading moves that.
pub(super) fn difference(
    ours: &EntryMetadata,
    value: &[u8],
    theirs: &SourceEntry,
    skew: u64,
) -> Option<&'static str> {
    let metadata = theirs.metadata();
    let seconds = |lifetime: Option<Lifetime>| lifetime.map(Lifetime::whole_secs);
    let created = ours.created.zip(metadata.created);
    // People who read that only the version differs take it for harmless.
    if value != theirs.value() {
        return Some("value");
    }
    if ours.version != metadata.version {
        return Some("version");
    }
    if seconds(ours.expiration.lifespan) != seconds(metadata.expiration.lifespan) {
        return Some("lifespan");
    }
    if seconds(ours.expiration.max_idle) != seconds(metadata.expiration.max_idle) {
        return Some("max idle");
    }
    // An entry may have come before the source's clock was known as well as it is now.
    let is_off = |(ours, theirs): (Timestamp, Timestamp)| {
        let difference = ours.millis().abs_diff(theirs.millis());
        difference > INSTANT_TOLERANCE.saturating_add(skew)
    };
    created.is_some_and(is_off).then_some(CREATED)
}

#[cfg(test)]
mod tests {
    //! What counts as a difference, and what as gone.

    use client::{Bytes, Metadata};
    use store::{Expiration, Version};

    use super::*;
    use crate::{clocks::tests::synchronous, source_clock::Obtained};

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn theirs(version: u64, lifespan: Option<u32>, since: u64) -> SourceEntry {
        let lifespan = lifespan.map(|seconds| client::Lifetime { since, seconds });
        let metadata = Metadata { lifespan, max_idle: None, version };
        let (value, clock) = (Bytes::from_static(b"v"), synchronous(NOW));
        SourceEntry::new(value, &metadata, &clock, Obtained::InWalk, NOW, NOW)
    }

    fn ours(version: u64, lifespan_ms: Option<u64>, since: u64) -> EntryMetadata {
        EntryMetadata {
            version: Version(version),
            created: lifespan_ms.map(|_| Timestamp::from_millis(since)),
            last_used: None,
            expiration: Expiration {
                lifespan: lifespan_ms.map(Lifetime::from_millis),
                max_idle: None,
            },
        }
    }

    #[test]
    fn an_entry_is_the_same_if_all_that_a_client_can_see_of_it_is() {
        let same = |ours: EntryMetadata, value: &[u8], theirs: SourceEntry| {
            difference(&ours, value, &theirs, 0)
        };
        assert_eq!(same(ours(1, None, 0), b"v", theirs(1, None, 0)), None);
        assert_eq!(same(ours(1, None, 0), b"w", theirs(1, None, 0)), Some("value"));
        assert_eq!(same(ours(1, None, 0), b"v", theirs(2, None, 0)), Some("version"));
        assert_eq!(same(ours(1, None, 0), b"w", theirs(2, None, 0)), Some("value"));
        assert_eq!(same(ours(1, None, 0), b"v", theirs(1, Some(9), 50_000)), Some("lifespan"));
        let nine = || ours(1, Some(9_400), 50_000);
        assert_eq!(same(nine(), b"v", theirs(1, Some(9), 50_900)), None, "whole seconds");
        assert_eq!(same(nine(), b"v", theirs(1, Some(9), 52_000)), Some("created"));
        let better_known = difference(&nine(), b"v", &theirs(1, Some(9), 52_000), 2_000);
        assert_eq!(better_known, None, "the clock is better known than it was");
    }

    #[test]
    fn what_its_lifetimes_explain_has_not_vanished() {
        let lives = |lifespan: Option<u64>, max_idle: Option<u64>| {
            let mut theirs = ours(1, lifespan, 50_000);
            theirs.expiration.max_idle = max_idle.map(Lifetime::from_millis);
            theirs.last_used = max_idle.map(|_| Timestamp::from_millis(70_000));
            theirs
        };
        let ended = |theirs: EntryMetadata, by| may_have_ended(&theirs, NOW, by);
        assert!(!ended(lives(None, None), None), "it never ends");
        assert!(!ended(lives(Some(60_000), None), Some(0)), "10 s too early");
        assert!(!ended(lives(Some(60_000), None), Some(8_999)));
        assert!(ended(lives(Some(60_000), None), Some(9_000)), "as the clock may be");
        assert!(ended(lives(Some(51_000), None), Some(0)), "whole seconds");
        assert!(ended(lives(Some(60_000), None), None), "nothing is known of the clock");
        // It was used 30 s ago at the source.
        assert!(!ended(lives(None, Some(40_000)), Some(0)), "10 s too early");
        assert!(!ended(lives(None, Some(40_000)), Some(8_999)));
        assert!(ended(lives(None, Some(40_000)), Some(9_000)), "as the clock may be");
        assert!(ended(lives(None, Some(31_000)), Some(0)), "whole seconds");
        assert!(ended(lives(Some(90_000), Some(30_000)), Some(0)), "the earlier end counts");
        assert!(ended(lives(Some(50_000), Some(90_000)), Some(0)), "the earlier end counts");
        assert!(!ended(lives(Some(90_000), Some(90_000)), Some(0)));
        let should = |theirs: EntryMetadata| should_have_ended(&theirs, NOW);
        assert!(!should(lives(None, None)), "it never ends");
        assert!(!should(lives(Some(60_000), None)), "that its clock is not known explains nothing");
        assert!(should(lives(Some(51_000), None)), "whole seconds");
        let surely = |theirs: EntryMetadata, by| has_surely_ended(&theirs, NOW, by);
        assert!(!surely(lives(None, None), Some(0)), "it never ends");
        assert!(surely(lives(None, Some(20_000)), Some(9_000)), "10 s ago");
        assert!(!surely(lives(None, Some(20_000)), Some(9_001)));
        assert!(!surely(lives(None, Some(20_000)), None), "nothing is known of the clock");
        assert!(!surely(lives(None, Some(29_001)), Some(0)), "whole seconds");
    }
}
