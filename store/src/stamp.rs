//! The order of writes in a segment, and the versions that clients see.

/// A segment's epoch: increases by one at each committed change of primary, in-sync or syncing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

impl Epoch {
    const BITS: u32 = 24;
    /// The highest epoch a stamp can carry.
    pub const MAX: u32 = (1 << Self::BITS) - 1;

    /// Returns epoch `number`, or `None` beyond [`Epoch::MAX`].
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX { Some(Self(number)) } else { None }
    }
}

/// Order of writes in one segment: epoch (24 bits) and sequence (40 bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    const SEQUENCE_BITS: u32 = 40;

    /// Returns the stamp before the first write of `epoch`.
    #[must_use]
    pub fn start_of(epoch: Epoch) -> Self {
        Self(u64::from(epoch.0) << Self::SEQUENCE_BITS)
    }

    /// Converts a number to a stamp.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Converts the stamp to a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns the stamp of the next write in the same epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What clients compare, for equality only. 0 means "no version" and -1 "no previous version" in
/// Hot Rod, so no local write gets either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// A keyed bijection from stamps to the versions of local entries.
///
/// Two caches, or the same cache after it was created again, use different keys, so that a version
/// kept by a client from a removed cache matches nothing.
#[derive(Clone, Copy, Debug)]
pub struct VersionKey {
    mask: u64,
    factor: u64,
}

impl VersionKey {
    /// Creates the bijection for a key.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        // Any odd factor is invertible modulo 2^64.
        Self { mask: key, factor: key.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// Returns the version of a local write with this stamp.
    #[must_use]
    pub const fn version(self, stamp: Stamp) -> Version {
        let mut mixed = (stamp.bits() ^ self.mask).wrapping_mul(self.factor);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Version(mixed ^ (mixed >> 32))
    }

    /// Returns the first stamp after `stamp` whose version is not reserved.
    #[must_use]
    pub const fn next_stamp(self, stamp: Stamp) -> Stamp {
        let mut next = stamp.next();
        while matches!(self.version(next).0, 0 | u64::MAX) {
            next = next.next();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    //! Stamps order writes; versions only tell them apart.

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_later_epoch_stands_after_every_write_of_an_earlier_one() {
        let old = Stamp::start_of(Epoch::new(7).unwrap()).next().next();
        let new = Stamp::start_of(Epoch::new(8).unwrap());
        assert!(old < new);
        assert_eq!(Epoch::new(Epoch::MAX + 1), None);
    }

    #[test]
    fn no_two_writes_share_a_version_and_none_is_reserved() {
        let key = VersionKey::new(0x0123_4567_89ab_cdef);
        let mut seen = HashSet::new();
        let mut stamp = Stamp::default();
        for _ in 0..100_000 {
            stamp = key.next_stamp(stamp);
            let version = key.version(stamp);
            assert!(version.0 != 0 && version.0 != u64::MAX);
            assert!(seen.insert(version), "version of {stamp:?} seen twice");
        }
    }

    #[test]
    fn the_stamp_that_would_mean_no_version_is_left_out() {
        // With this mask the bijection sends stamp 5 to version 0, because it mixes 0 to 0.
        let key = VersionKey::new(5);
        assert_eq!(key.version(Stamp::from_bits(5)), Version(0));
        assert_eq!(key.next_stamp(Stamp::from_bits(4)), Stamp::from_bits(6));
    }

    #[test]
    fn another_key_gives_other_versions() {
        let stamp = Stamp::from_bits(42);
        assert_ne!(VersionKey::new(1).version(stamp), VersionKey::new(2).version(stamp));
    }
}
