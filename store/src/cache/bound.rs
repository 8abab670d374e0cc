//! What a cache may hold at most, and what goes when it holds more.

use std::sync::{Arc, atomic::Ordering};

use config::CacheConfig;

use super::{Cache, SegmentId};
use crate::segment::{Bound, EVICTION_ROUNDS, EVICTION_SAMPLE, Segment, WhenFull};

impl Cache {
    /// Configures it to be something else from now on: of what it holds, nothing changes but how much
    /// that may be. Whoever calls this has made sure that nothing else differs, and calls
    /// [`Cache::evict_excess`] where nobody waits for it.
    pub fn reconfigure(&self, config: Arc<CacheConfig>) {
        let bound = Bound::from(&config.memory);
        self.config.store(config);
        if self.bounded && bound.is_some() {
            // First: otherwise the next write would evict all that is too much.
            self.shrinking.store(self.is_over(&bound), Ordering::Relaxed);
            self.bound.store(Arc::new(bound));
            self.each(|segment| segment.set_bound(bound));
        }
    }

    /// Evicts what is beyond a bound that was made smaller. Many entries take seconds; meanwhile, writes evict
    /// little more than they add.
    pub fn evict_excess(&self) {
        while self.bounded && !self.is_removed() {
            self.evict_until_within(None, usize::MAX);
            self.shrinking.store(false, Ordering::Relaxed);
            let bound = **self.bound.load();
            if bound.when_full != WhenFull::Evict || !self.is_over(&bound) {
                return;
            }
            if !self.evict_one(None) {
                return;
            }
            // The bound was made smaller once more, or others write.
            self.shrinking.store(true, Ordering::Relaxed);
        }
    }

    /// Holds a bounded cache to its bound after `added` entries were written, of which that of `key` stays.
    pub(super) fn keep_bound(&self, key: Option<&[u8]>, added: usize) {
        let shrinking = self.shrinking.load(Ordering::Relaxed);
        self.evict_until_within(key, if shrinking { 2 * added } else { usize::MAX });
    }

    /// Evicts entries until the cache is within its bound, `most` of them at most, and not that of `keep`.
    fn evict_until_within(&self, keep: Option<&[u8]>, most: usize) {
        let bound = **self.bound.load();
        if bound.when_full == WhenFull::Evict {
            let mut left = most;
            while left > 0 && self.is_over(&bound) && self.evict_one(keep) {
                left -= 1;
            }
        }
    }

    /// Returns whether entries have to go. However many bytes tables and tombstones take, which no eviction
    /// frees, entries keep half of the bound.
    fn is_over(&self, bound: &Bound) -> bool {
        let (entries, bytes) = (self.usage.entries(), self.usage.bytes());
        bound.entries.is_some_and(|most| entries > most)
            || bound.bytes.is_some_and(|most| {
                bytes > most && bytes.saturating_sub(self.usage.fixed()) > most / 2 && entries > 1
            })
    }

    fn evict_one(&self, keep: Option<&[u8]>) -> bool {
        let mut sample = EVICTION_SAMPLE;
        for _ in 0..=self.segments.count() * EVICTION_ROUNDS {
            let index = self.hand.load(Ordering::Relaxed) % self.segments.count();
            let segment = self.used_segment(SegmentId(u32::try_from(index).unwrap_or(0)));
            if segment.is_some_and(|mut segment| segment.evict(keep, &mut sample)) {
                return true;
            }
            self.hand.store(index + 1, Ordering::Relaxed);
        }
        false
    }

    /// Entries that had to make room, ever.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.sum(Segment::evicted)
    }

    /// Entries that had to make room since the source was first connected: see [`Segment::evicted_since_source`].
    #[must_use]
    pub fn evicted_since_source(&self) -> u64 {
        self.sum(Segment::evicted_since_source)
    }

    /// Imported entries that had to make room: see [`Segment::evicted_imported`].
    #[must_use]
    pub fn evicted_imported(&self) -> u64 {
        self.sum(Segment::evicted_imported)
    }
}
