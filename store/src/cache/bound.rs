//! What a cache may hold at most, and what goes when it holds more.

use std::sync::{Arc, atomic::Ordering};

use config::CacheConfig;

use super::{Cache, SegmentId};
use crate::{
    command::{Answer, Change, Command, Imported, Source},
    entry::Draft,
    segment::{Bound, EVICTION_ROUNDS, EVICTION_SAMPLE, Segment, WhenFull},
};

/// Entries that come or go together, and the bytes that they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Size {
    /// What a command writes or brings in, at most.
    pub(super) fn of(command: &Command<'_>) -> Self {
        let written = match command.change {
            Change::Write { value, expiration } => {
                Draft::memory_of(command.key, value.bytes(), expiration)
            }
            Change::Read | Change::Remove => 0,
        };
        let imported = match &command.source {
            Source::Asked(_, Answer::Entry(imported)) => imported.memory(command.key),
            _ => 0,
        };
        Self { entries: 1, bytes: written.max(imported) as u64 }
    }

    /// What is brought in together.
    pub(super) fn of_all(entries: &[(&[u8], Imported<'_>)]) -> Self {
        let bytes = entries.iter().map(|(key, imported)| imported.memory(key) as u64);
        Self { entries: entries.len() as u64, bytes: bytes.sum() }
    }
}

impl Cache {
    /// Configures it to be something else from now on: of what it holds, nothing changes but how much
    /// that may be. Whoever calls this has made sure that nothing else differs, and calls
    /// [`Cache::evict_excess`] where nobody waits for it.
    pub fn reconfigure(&self, config: Arc<CacheConfig>) {
        let bound = Bound::from(&config.memory);
        self.config.store(config);
        // Where the bound stays as it is, nobody calls `evict_excess` afterwards.
        if self.bounded && bound.is_some() && bound != **self.bound.load() {
            // First: otherwise the next write would evict all that is too much.
            self.shrinking.store(self.exceeds(&bound), Ordering::Relaxed);
            self.bound.store(Arc::new(bound));
            self.each(|segment| segment.set_bound(bound));
        }
    }

    /// Evicts what is beyond a bound that was made smaller. Many entries take seconds; meanwhile, writes evict
    /// little more than they add. It is given up once the cache is removed, or `goes_on` says no.
    pub fn evict_excess(&self, goes_on: impl Fn() -> bool) {
        let goes_on = || !self.is_removed() && goes_on();
        while self.bounded && goes_on() {
            self.evict_while_over(None, |_| goes_on());
            self.shrinking.store(false, Ordering::Relaxed);
            if !self.is_over() || self.evict_one(None).is_none() {
                return;
            }
            // The bound was made smaller once more, or others write.
            self.shrinking.store(true, Ordering::Relaxed);
        }
    }

    /// Holds a bounded cache to its bound after `added` was written, of which the entry of `key` stays.
    pub(super) fn keep_bound(&self, key: Option<&[u8]>, added: impl FnOnce() -> Size) {
        if !self.shrinking.load(Ordering::Relaxed) {
            return self.evict_while_over(key, |_| true);
        }
        let added = added();
        // Otherwise a few large entries would take the place of many small ones, and the cache would grow.
        self.evict_while_over(key, |freed| {
            freed.entries < 2 * added.entries || freed.bytes < added.bytes
        });
    }

    /// Evicts entries but that of `keep`, one after the other, as long as the cache is over its bound and `goes_on`
    /// says so of what was freed until then. The bound may change meanwhile.
    pub(super) fn evict_while_over(&self, keep: Option<&[u8]>, goes_on: impl Fn(Size) -> bool) {
        let mut freed = Size::default();
        while goes_on(freed) && self.is_over() {
            let Some(bytes) = self.evict_one(keep) else { return };
            freed.entries += 1;
            freed.bytes += bytes;
        }
    }

    /// Returns whether entries have to go, by the bound that there is now.
    fn is_over(&self) -> bool {
        let bound = self.bound.load();
        bound.when_full == WhenFull::Evict && self.exceeds(&bound)
    }

    /// Returns whether it holds more than this bound.
    fn exceeds(&self, bound: &Bound) -> bool {
        bound.is_exceeded_by(&self.usage, 0, 0)
    }

    /// Evicts one entry. Returns how many bytes that freed, or `None` if there is none to evict.
    fn evict_one(&self, keep: Option<&[u8]>) -> Option<u64> {
        let mut sample = EVICTION_SAMPLE;
        for _ in 0..=self.segments.count() * EVICTION_ROUNDS {
            let index = self.hand.load(Ordering::Relaxed) % self.segments.count();
            if let Some(mut segment) =
                self.used_segment(SegmentId(u32::try_from(index).unwrap_or(0)))
            {
                let before = segment.memory();
                if segment.evict(keep, &mut sample) {
                    return Some(before.saturating_sub(segment.memory()));
                }
            }
            self.hand.store(index + 1, Ordering::Relaxed);
        }
        None
    }

    /// Entries that had to make room, ever.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.sum(Segment::evicted)
    }

    /// Entries that had to make room since the source was first connected, without those of clients: see [`Segment::evicted_since_source`].
    #[must_use]
    pub fn evicted_since_source(&self) -> u64 {
        self.sum(Segment::evicted_since_source)
    }

    /// Entries of clients that had to make room since then: see [`Segment::evicted_own`].
    #[must_use]
    pub fn evicted_own(&self) -> u64 {
        self.sum(Segment::evicted_own)
    }

    /// Imported entries that had to make room: see [`Segment::evicted_imported`].
    #[must_use]
    pub fn evicted_imported(&self) -> u64 {
        self.sum(Segment::evicted_imported)
    }
}
