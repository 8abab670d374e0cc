//! Statistics of a segment.

use std::ops::AddAssign;

/// Counts since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Reads that found an entry.
    pub hits: u64,
    /// Reads that found no entry.
    pub misses: u64,
    /// Writes.
    pub stores: u64,
    /// Removals of an entry.
    pub remove_hits: u64,
    /// Removals that found no entry.
    pub remove_misses: u64,
    /// Entries evicted to make room.
    pub evictions: u64,
    /// Expired entries.
    pub expirations: u64,
}

impl Stats {
    /// Counts a read.
    #[inline]
    pub(crate) fn count_read(&mut self, found: bool) {
        self.hits += u64::from(found);
        self.misses += u64::from(!found);
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.stores += other.stores;
        self.remove_hits += other.remove_hits;
        self.remove_misses += other.remove_misses;
        self.evictions += other.evictions;
        self.expirations += other.expirations;
    }
}
