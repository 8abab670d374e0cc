//! Makes room for writes that would be refused: ends expired entries at once instead of waiting for
//! the sweeper.
//!
//! One write looks at a bounded number of buckets, and the next one, from any client, continues
//! where it stopped. The sweeper soon ends the rest: see [`Cache::is_short_of_room`].

use std::{ops::ControlFlow, sync::atomic::Ordering};

use parking_lot::Mutex;

use super::{BACKGROUND_STEP, Cache, SegmentId};
use crate::{
    command::CacheError,
    entry::Draft,
    segment::{Bound, Segment, WhenFull},
    time::{Expiration, Timestamp},
};

/// Most buckets without an expired entry that one write looks at, in its own cache and then in the
/// others.
const MOST_FRUITLESS: usize = 1_024;

/// Most buckets that one write looks at, in its own cache and then in the others.
const MOST: usize = 64 * 1024;

/// Position at which the search for expired entries continues.
#[derive(Debug, Default)]
pub(super) struct Search {
    segment: usize,
    bucket: usize,
}

/// Number of buckets that one write may still look at.
#[derive(Clone, Copy, Debug)]
struct Effort {
    fruitless: usize,
    all: usize,
}

impl Effort {
    const FULL: Self = Self { fruitless: MOST_FRUITLESS, all: MOST };

    /// Counts one step of a search. Returns whether another one is allowed.
    fn spend(&mut self, buckets: usize, found: bool) -> bool {
        self.all = self.all.saturating_sub(buckets);
        if !found {
            self.fruitless = self.fruitless.saturating_sub(buckets);
        }
        !self.is_spent()
    }

    fn is_spent(self) -> bool {
        self.all == 0 || self.fruitless == 0
    }
}

/// Efforts of one write: in its own cache, and in all caches of the member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Efforts {
    own: Effort,
    others: Effort,
}

impl Efforts {
    pub(super) fn full() -> Self {
        Self { own: Effort::FULL, others: Effort::FULL }
    }
}

/// What some entries would add to a cache if they were written together. Only the sum is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    entries: u64,
    bytes: usize,
}

fn evicts(bound: &Bound) -> bool {
    bound.is_some() && bound.when_full == WhenFull::Evict
}

impl Cache {
    /// Repeats an operation that a segment refused, as long as expired entries make room for it.
    /// Only the last attempt evicts entries that are not expired.
    pub(super) fn try_again<T>(
        &self,
        segment: &Mutex<Segment>,
        mut done: Result<T, CacheError>,
        efforts: &mut Efforts,
        now: Timestamp,
        mut attempt: impl FnMut(&mut Segment) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let mut is_roomier = false;
        while let Err(error) = &done {
            let found = self.make_room(error, efforts, now);
            if !found && !is_roomier {
                return done;
            }
            let mut segment = segment.lock();
            segment.spare_entries(found);
            done = attempt(&mut segment);
            segment.spare_entries(false);
            is_roomier = found;
        }
        done
    }

    /// Ends expired entries after a write was refused with `error`. Returns whether there were any,
    /// so that another attempt makes sense.
    fn make_room(&self, error: &CacheError, efforts: &mut Efforts, now: Timestamp) -> bool {
        let node_is_full = match error {
            CacheError::Full => false,
            CacheError::OutOfMemory { .. } => true,
            CacheError::NotExecuted
            | CacheError::Fenced(_)
            | CacheError::TooManyTombstones { .. }
            | CacheError::SourceSilent
            | CacheError::SourceFailed(_)
            | CacheError::SourceDoubted
            | CacheError::NotStored(_)
            | CacheError::KeyTooLong { .. }
            | CacheError::KeyBeyondLimit { .. } => return false,
        };
        if self.end_expired(&mut efforts.own, now) {
            return true;
        }
        if !node_is_full {
            self.short_of_room.store(true, Ordering::Relaxed);
            return false;
        }
        self.memory_limit().search_others(|cache| {
            let found = cache.end_expired(&mut efforts.others, now);
            if found || efforts.others.is_spent() {
                ControlFlow::Break(found)
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Returns whether there is certainly room for `entries` more with so many `bytes` of keys and
    /// values, so that no closer check is needed.
    #[must_use]
    pub fn surely_has_room(&self, entries: u64, bytes: usize) -> bool {
        // What an entry takes beyond its bytes, and more than what a table may grow by.
        const OVERHEAD: usize = 128;
        let overhead = usize::try_from(entries).unwrap_or(usize::MAX).saturating_mul(OVERHEAD);
        let bytes = bytes.saturating_mul(2).saturating_add(overhead);
        self.refusal(&self.bound.load(), Growth { entries, bytes }).is_none()
    }

    /// Adds to `growth` what writing this entry would add to the cache. Returns whether there could
    /// still be room for the sum; if not, the caller can stop. A key that is added twice counts
    /// twice.
    #[must_use]
    pub fn add_growth(
        &self,
        growth: &mut Growth,
        (key, value): (&[u8], &[u8]),
        expiration: Expiration,
        now: Timestamp,
    ) -> bool {
        let to = Draft::memory_of(key, value, expiration);
        let segment = self.used_segment(self.segment_of(key));
        let (more, is_new) = segment.map_or((to, true), |mut segment| segment.growth(key, to, now));
        growth.entries += u64::from(is_new);
        growth.bytes = growth.bytes.saturating_add(more);
        self.could_fit(*growth)
    }

    /// Checks that there is room for entries with this growth, ending expired ones if necessary.
    /// The room is not reserved: other writes may take it meanwhile.
    ///
    /// # Errors
    ///
    /// If there is not enough room.
    pub fn check_room(&self, growth: Growth, now: Timestamp) -> Result<(), CacheError> {
        let bound = **self.bound.load();
        let mut efforts = Efforts::full();
        while let Some(error) = self.refusal(&bound, growth) {
            if !self.could_fit(growth) || !self.make_room(&error, &mut efforts, now) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns whether an empty cache in an empty member would have room for this growth.
    fn could_fit(&self, growth: Growth) -> bool {
        let bound = self.bound.load();
        evicts(&bound)
            || bound.entries.is_none_or(|most| growth.entries <= most)
                && bound.bytes.is_none_or(|most| growth.bytes as u64 <= most)
                && growth.bytes as u64 <= self.memory_limit().limit()
    }

    /// Returns the error with which the cache would refuse so many more entries and bytes. A cache
    /// that evicts makes room by itself.
    fn refusal(&self, bound: &Bound, growth: Growth) -> Option<CacheError> {
        if evicts(bound) {
            return None;
        }
        let Growth { entries, bytes } = growth;
        let over = |most: Option<u64>, used: u64, more: u64| {
            more > 0 && most.is_some_and(|most| used.saturating_add(more) > most)
        };
        let usage = &self.usage;
        if over(bound.entries, usage.entries(), entries)
            || over(bound.bytes, usage.bytes(), bytes as u64)
        {
            return Some(CacheError::Full);
        }
        let node = usage.node();
        (bytes > 0 && node.refuses(bytes)).then(|| CacheError::OutOfMemory { limit: node.limit() })
    }

    /// Ends some expired entries, in at most one round through the segments. Returns whether there
    /// were any.
    fn end_expired(&self, effort: &mut Effort, now: Timestamp) -> bool {
        if effort.is_spent() {
            return false;
        }
        let mut search = self.search.lock();
        // Once more the segment in which it begins, of which it may see only the end.
        let count = self.segments.count();
        let mut rounds = count + 1;
        loop {
            let id = SegmentId(u32::try_from(search.segment).unwrap_or(u32::MAX));
            let (mut looked, mut found, mut next) = (1, false, None);
            if let Some(mut segment) = self.used_segment(id)
                && segment.mortal() > 0
            {
                let before = segment.len();
                next = segment.sweep(search.bucket, BACKGROUND_STEP, now);
                found = segment.len() < before;
                looked = BACKGROUND_STEP.min(segment.buckets());
                if found {
                    segment.settle_account();
                }
            }
            match next {
                Some(bucket) => search.bucket = bucket,
                None => {
                    let next = search.segment + 1;
                    *search = Search { segment: if next < count { next } else { 0 }, bucket: 0 };
                    rounds = rounds.saturating_sub(1);
                }
            }
            let goes_on = effort.spend(looked, found);
            if found || !goes_on || rounds == 0 {
                return found;
            }
        }
    }

    /// Returns whether a write was refused since the last call, because of the cache's bound or the
    /// member's memory, so that the cache should be swept at once.
    #[must_use]
    pub fn is_short_of_room(&self) -> bool {
        self.short_of_room.swap(false, Ordering::Relaxed)
    }
}
