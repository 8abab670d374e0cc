//! What became of the entries that one walk over the source has shown.
//!
//! A decider. A source repeats what it has shown of a segment when a member of it leaves in the middle of a walk. Each
//! entry counts once, or a source that has lost entries would seem to have shown all of them.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use store::{Import, MemoryLimit};

use crate::counts::Counts;

/// Keys of one walk that are remembered at most: 18 MiB of them. A source gives out one segment after the other, so
/// this is enough for segments with a million entries.
const MOST: usize = 1 << 20;

/// Bytes that a remembered key takes: its hash, with its share of a table that is half empty.
const BYTES: u32 = 18;

/// Counts by source segment.
pub(crate) type BySegment = BTreeMap<u32, Counts>;

/// What became of the entries of one walk.
pub(crate) struct Tally {
    repeats: Repeats,
    /// Of each segment that is not finished.
    met: BySegment,
    /// The part of it that was counted since [`Tally::take`].
    new: BySegment,
    /// Entries of each segment that could not be taken.
    failed: BTreeMap<u32, u64>,
}

impl Tally {
    /// Nothing yet. What it remembers counts toward this limit.
    pub(crate) fn new(memory: &Arc<MemoryLimit>) -> Self {
        let (met, new, failed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { repeats: Repeats::new(memory), met, new, failed }
    }

    /// Counts an entry. One that the walk has shown before does not count again, whatever becomes of it now; that it
    /// could not be taken counts all the same.
    pub(crate) fn count(&mut self, segment: u32, key: &[u8], import: &Import) {
        let is_repeated = self.repeats.is_repeated(segment, key);
        if matches!(import, Import::Failed(_) | Import::Outdated) {
            *self.failed.entry(segment).or_default() += 1;
        }
        if !is_repeated {
            self.new.entry(segment).or_default().count(import);
        }
    }

    /// Counts an entry whose time is over here and that the source, asked for it, has not either.
    pub(crate) fn count_expired(&mut self, segment: u32, key: &[u8]) {
        if !self.repeats.is_repeated(segment, key) {
            self.new.entry(segment).or_default().count_expired();
        }
    }

    /// What was counted since the last time.
    pub(crate) fn take(&mut self) -> BySegment {
        let new = std::mem::take(&mut self.new);
        for (segment, counts) in &new {
            *self.met.entry(*segment).or_default() += *counts;
        }
        new
    }

    /// Entries of this segment, or of all, that could not be taken.
    pub(crate) fn failed_in(&self, segment: Option<u32>) -> u64 {
        match segment {
            Some(segment) => self.failed.get(&segment).copied().unwrap_or(0),
            None => self.failed.values().sum(),
        }
    }

    /// What was met of a segment that the walk has finished.
    pub(crate) fn finish(&mut self, segment: u32) -> Counts {
        self.repeats.forget(segment);
        self.met.remove(&segment).unwrap_or_default()
    }

    /// What was met of all segments that were not finished before. Their keys stay remembered: a source that is one
    /// unit may show them again.
    pub(crate) fn finish_all(&mut self) -> Counts {
        let mut together = Counts::default();
        std::mem::take(&mut self.met).into_values().for_each(|counts| together += counts);
        together
    }
}

/// The keys of the segments that a walk has not finished, by their hashes.
struct Repeats {
    seen: BTreeMap<u32, HashSet<u64>>,
    remembered: usize,
    most: usize,
    hasher: RandomState,
    memory: Arc<MemoryLimit>,
}

impl Repeats {
    fn new(memory: &Arc<MemoryLimit>) -> Self {
        let (seen, hasher) = (BTreeMap::new(), RandomState::new());
        Self { seen, remembered: 0, most: MOST, hasher, memory: Arc::clone(memory) }
    }

    /// Remembers a key, and returns whether the walk has shown it before. Where there are too many keys, or there is
    /// no memory for more, it says no.
    fn is_repeated(&mut self, segment: u32, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        let seen = self.seen.entry(segment).or_default();
        if seen.contains(&hash) {
            return true;
        }
        if self.remembered < self.most && !self.memory.refuses(BYTES as usize) {
            seen.insert(hash);
            self.remembered += 1;
            self.memory.add(i64::from(BYTES));
        }
        false
    }

    fn forget(&mut self, segment: u32) {
        let keys = self.seen.remove(&segment).map_or(0, |keys| keys.len());
        self.remembered -= keys;
        self.memory.add(-i64::from(BYTES) * i64::try_from(keys).unwrap_or(0));
    }
}

impl Drop for Repeats {
    fn drop(&mut self) {
        let segments: Vec<u32> = self.seen.keys().copied().collect();
        segments.into_iter().for_each(|segment| self.forget(segment));
    }
}

#[cfg(test)]
mod tests {
    //! What counts as shown before.

    use store::CacheError;

    use super::*;

    fn read(counts: &BySegment) -> Vec<(u32, u64)> {
        counts.iter().map(|(segment, counts)| (*segment, counts.read)).collect()
    }

    #[test]
    fn an_entry_that_is_shown_twice_counts_once() {
        let mut tally = Tally::new(&MemoryLimit::unlimited());
        tally.count(1, b"a", &Import::Written);
        tally.count(1, b"a", &Import::AlreadyHere);
        tally.count(1, b"b", &Import::KeptForClient);
        tally.count(1, b"b", &Import::Tombstone);
        tally.count(2, b"a", &Import::AlreadyHere);
        tally.count_expired(2, b"c");
        tally.count_expired(2, b"c");
        let counts = tally.take();
        assert_eq!(read(&counts), [(1, 2), (2, 2)]);
        assert!(counts.values().all(Counts::add_up));
        assert_eq!(read(&tally.take()), []);
        tally.count(1, b"a", &Import::AlreadyHere);
        assert_eq!(read(&tally.take()), []);
        assert_eq!(tally.finish(1).read, 2);
        // A segment is read again from its beginning only by another walk.
        tally.count(1, b"a", &Import::AlreadyHere);
        assert_eq!((read(&tally.take()), tally.finish_all().read), (vec![(1, 1)], 3));
    }

    #[test]
    fn what_fails_the_second_time_has_failed_and_is_not_another_entry() {
        let mut tally = Tally::new(&MemoryLimit::unlimited());
        let full = || Import::Failed(CacheError::Full);
        tally.count(1, b"a", &Import::Written);
        // It was evicted meanwhile.
        tally.count(1, b"a", &Import::Written);
        tally.count(1, b"a", &full());
        tally.count(2, b"b", &Import::Outdated);
        assert_eq!(read(&tally.take()), [(1, 1), (2, 1)]);
        assert_eq!([tally.failed_in(Some(1)), tally.failed_in(None)], [1, 2]);
    }

    #[test]
    fn the_keys_of_a_finished_segment_are_forgotten() {
        let memory = MemoryLimit::new(1_000);
        let mut repeats = Repeats::new(&memory);
        assert!(!repeats.is_repeated(1, b"a") && !repeats.is_repeated(1, b"b"));
        assert!(!repeats.is_repeated(2, b"a"), "segments are apart");
        assert!(repeats.is_repeated(1, b"a") && repeats.is_repeated(2, b"a"));
        assert_eq!(memory.used(), 3 * 18);
        repeats.forget(1);
        assert_eq!(memory.used(), 18);
        assert!(!repeats.is_repeated(1, b"a"));
        drop(repeats);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn no_more_keys_are_remembered_than_may_be_or_there_is_memory_for() {
        let memory = MemoryLimit::new(100);
        let mut repeats = Repeats::new(&memory);
        (0..100_u8).for_each(|key| assert!(!repeats.is_repeated(1, &[key])));
        assert_eq!(memory.used(), 5 * 18);
        let unlimited = MemoryLimit::unlimited();
        let mut repeats = Repeats::new(&unlimited);
        repeats.most = 2;
        (0..100_u8).for_each(|key| assert!(!repeats.is_repeated(1, &[key])));
        assert!(repeats.is_repeated(1, &[1]) && !repeats.is_repeated(1, &[2]));
        assert_eq!(unlimited.used(), 2 * 18);
    }
}
