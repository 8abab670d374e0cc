//! Entries of the source, as they are brought in.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use client::{Bytes, Metadata};
use store::{
    EntryMetadata, Expiration, Imported, Lifetime, SHARED_FROM, Timestamp, Value, Version,
};

/// An entry of the source.
#[derive(Clone, Debug)]
pub(crate) struct SourceEntry {
    value: Held,
    metadata: EntryMetadata,
}

/// A value, small enough to be copied or to be shared as it is.
#[derive(Clone, Debug)]
enum Held {
    Small(Bytes),
    Large(Arc<[u8]>),
}

impl SourceEntry {
    /// The entry as the source reports it, with its instants by our clock.
    #[must_use]
    pub(crate) fn new(value: Bytes, metadata: &Metadata, skew: &Skew, now: Timestamp) -> Self {
        let lifetime = |reported: Option<client::Lifetime>| {
            // Less than a second is reported as 0, which is not immortal.
            let lifetime = |it: client::Lifetime| Lifetime::from_secs(u64::from(it.seconds).max(1));
            (reported.map(|it| skew.by_our_clock(it.since, now)), reported.map(lifetime))
        };
        let (created, lifespan) = lifetime(metadata.lifespan);
        let (last_used, max_idle) = lifetime(metadata.max_idle);
        let expiration = Expiration { lifespan, max_idle };
        let version = Version(metadata.version);
        let value = match value.len() > SHARED_FROM {
            true => Held::Large(Arc::from(&value[..])),
            false => Held::Small(value),
        };
        Self { value, metadata: EntryMetadata { version, created, last_used, expiration } }
    }

    /// The entry as the store takes it in.
    #[must_use]
    pub(crate) fn imported(&self) -> Imported<'_> {
        let value = match &self.value {
            Held::Small(bytes) => Value::Inline(bytes),
            Held::Large(bytes) => Value::Shared(bytes),
        };
        Imported { value, metadata: self.metadata }
    }

    /// Its value.
    #[must_use]
    pub(crate) fn value(&self) -> &[u8] {
        match &self.value {
            Held::Small(bytes) => bytes,
            Held::Large(bytes) => bytes,
        }
    }

    /// Version, instants and expiration.
    #[must_use]
    pub(crate) fn metadata(&self) -> &EntryMetadata {
        &self.metadata
    }
}

/// Milliseconds that a difference of clocks may be without being corrected: instants are exact to the
/// millisecond, clocks are not.
const TOLERATED: i64 = 1_000;

/// Milliseconds that a clock may be ahead and be corrected: a quarter of an hour.
const ABSURD: i64 = 15 * 60 * 1_000;

/// By how much the source's clock is ahead of ours, at least, as far as entries show it: none is written
/// in the future.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    ahead: AtomicI64,
    /// Whether an instant was seen that no clock shows: others stand in the place of such.
    absurd: AtomicBool,
}

impl Skew {
    /// Milliseconds that the source's clock is ahead of ours, at least.
    #[must_use]
    pub(crate) fn millis(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Milliseconds by which an instant here may differ from the source's; `None` if by any number.
    #[must_use]
    pub(crate) fn difference(&self) -> Option<u64> {
        let absurd = self.absurd.load(Ordering::Relaxed);
        (!absurd).then(|| self.millis().unsigned_abs())
    }

    /// An instant of the source by our clock.
    fn by_our_clock(&self, millis: u64, now: Timestamp) -> Timestamp {
        let ahead = i64::try_from(millis).unwrap_or(i64::MAX).saturating_sub_unsigned(now.millis());
        if ahead > ABSURD {
            // One such entry, of a server whose clock is wrong, must not make all others end early.
            self.absurd.store(true, Ordering::Relaxed);
            return now;
        }
        let ahead = self.ahead.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        let correction = if ahead > TOLERATED { ahead } else { 0 };
        Timestamp::from_millis(millis.saturating_sub(correction.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    //! What the source says in whole seconds, and by its own clock.

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn entry(since: u64, seconds: u32, skew: &Skew) -> EntryMetadata {
        let lifespan = Some(client::Lifetime { since, seconds });
        let metadata = Metadata { lifespan, max_idle: None, version: 9 };
        *SourceEntry::new(Bytes::from_static(b"v"), &metadata, skew, NOW).metadata()
    }

    #[test]
    fn an_entry_keeps_the_instant_at_which_it_ends() {
        let metadata = entry(900_000, 600, &Skew::default());
        assert_eq!(metadata.ends(), Some(Timestamp::from_millis(1_500_000)));
        assert_eq!(metadata.version, Version(9));
    }

    #[test]
    fn less_than_a_second_is_not_for_ever() {
        let metadata = entry(999_999, 0, &Skew::default());
        assert_eq!(metadata.expiration.lifespan, Some(Lifetime::from_secs(1)));
    }

    #[test]
    fn a_clock_that_is_ahead_is_corrected_once_it_shows() {
        let skew = Skew::default();
        assert_eq!(entry(1_000_900, 10, &skew).created, Some(Timestamp::from_millis(1_000_900)));
        assert_eq!(entry(1_005_000, 10, &skew).created, Some(NOW));
        assert_eq!(skew.millis(), 5_000);
        assert_eq!(entry(905_000, 10, &skew).created, Some(Timestamp::from_millis(900_000)));
    }

    #[test]
    fn an_instant_that_no_clock_shows_says_nothing_of_others() {
        let skew = Skew::default();
        assert_eq!(entry(u64::MAX / 2, 10, &skew).created, Some(NOW));
        assert_eq!(entry(1_000_000 + 3_600_000, 10, &skew).created, Some(NOW));
        assert_eq!(entry(999_000, 10, &skew).created, Some(Timestamp::from_millis(999_000)));
        assert_eq!((skew.millis(), skew.difference()), (0, None));
    }

    #[test]
    fn a_large_value_is_shared() {
        let value = Bytes::from(vec![7; SHARED_FROM + 1]);
        let entry = SourceEntry::new(value, &Metadata::default(), &Skew::default(), NOW);
        assert!(matches!(entry.imported().value, Value::Shared(_)));
        assert_eq!(entry.value().len(), SHARED_FROM + 1);
        assert!(entry.metadata().expiration.is_never());
    }
}
