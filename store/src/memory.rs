//! What memory costs, and who may still take some.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use crate::cache::Cache;

/// Bytes that the allocator sets aside for `len` bytes: jemalloc's size classes, four to a doubling.
#[must_use]
pub(crate) fn allocated(len: usize) -> usize {
    match len {
        0 => 0,
        1..=8 => 8,
        9..=128 => len.next_multiple_of(16),
        _ => {
            let step =
                (len - 1).next_power_of_two() / if (len - 1).is_power_of_two() { 4 } else { 8 };
            len.next_multiple_of(step.max(16))
        }
    }
}

/// Memory that all caches of a member take, and how much they may.
///
/// Segments report in steps (see `Account`), and what is left of them every second, so the sum may lag
/// behind by a few megabytes for a cache that is written to: a limit for a process, not a count.
#[derive(Debug)]
pub struct MemoryLimit {
    limit: AtomicU64,
    used: AtomicI64,
    /// Bytes of tombstones, exact.
    tombstones: AtomicI64,
    /// Bytes of what remembers which entries have ended or were evicted, exact.
    filters: AtomicI64,
    /// The caches that take it, as far as they can make room for one another.
    caches: Mutex<Vec<Weak<Cache>>>,
    /// Which of them is searched next for expired entries.
    next: AtomicUsize,
    /// Set when a write is refused because there is no memory left.
    short: AtomicBool,
}

/// Share of the memory limit that tombstones may take: a quarter. Beyond it, writes that could lead to more of
/// them are refused.
const TOMBSTONE_SHARE: u64 = 4;

/// Share of the memory limit from which on there are many tombstones: an eighth. From then on none is kept
/// that can be done without, and the segments with the most of them are copied.
const MANY_TOMBSTONES_SHARE: u64 = 8;

/// Share of the memory limit that filters of ended entries may grow to: a 32nd, and an eighth is left for entries.
const FILTER_SHARE: u64 = 32;

impl MemoryLimit {
    /// At most `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        let [used, tombstones, filters] = [const { AtomicI64::new(0) }; 3];
        Arc::new(Self {
            limit: AtomicU64::new(limit),
            used,
            tombstones,
            filters,
            caches: Mutex::default(),
            next: AtomicUsize::new(0),
            short: AtomicBool::new(false),
        })
    }

    /// No limit: for tests and tools that hold a cache of their own.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Self::new(i64::MAX.unsigned_abs())
    }

    /// Bytes that may be used in all.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Returns whether `more` bytes would be too many.
    #[must_use]
    pub fn refuses(&self, more: usize) -> bool {
        self.used().saturating_add(more as u64) > self.limit()
    }

    /// Bytes that tombstones take.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.tombstones.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Bytes that tombstones may take.
    #[must_use]
    pub fn tombstone_limit(&self) -> u64 {
        self.limit() / TOMBSTONE_SHARE
    }

    /// Returns whether tombstones take more than they may.
    #[must_use]
    pub fn is_full_of_tombstones(&self) -> bool {
        self.tombstones() > self.tombstone_limit()
    }

    /// Returns whether tombstones take more than half of what they may: time to copy the segments that have the most
    /// of them.
    #[must_use]
    pub fn has_many_tombstones(&self) -> bool {
        self.tombstones() > self.limit() / MANY_TOMBSTONES_SHARE
    }

    /// Whether there may be `more` bytes of filters of ended entries.
    pub(crate) fn has_room_for_filter(&self, more: usize) -> bool {
        let filters = self.filters.load(Ordering::Relaxed).max(0).unsigned_abs();
        let reserve = usize::try_from(self.limit() / 8).unwrap_or(usize::MAX);
        filters.saturating_add(more as u64) <= self.limit() / FILTER_SHARE
            && !self.refuses(reserve.saturating_add(more))
    }

    /// Adds a cache whose expired entries make room for writes into others.
    pub(crate) fn add_cache(&self, cache: &Arc<Cache>) {
        let mut caches = self.caches.lock();
        caches.retain(|known| known.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// Searches the caches in turn, starting with the one searched last, until `search` breaks off with whether it has
    /// found something. Returns whether anything was found; if not, notes that memory is short.
    pub(crate) fn search_others(
        &self,
        mut search: impl FnMut(&Cache) -> ControlFlow<bool>,
    ) -> bool {
        let count = self.caches.lock().len();
        for _ in 0..count {
            let next = self.next.load(Ordering::Relaxed);
            let (cache, count) = {
                let caches = self.caches.lock();
                (caches.get(next).and_then(Weak::upgrade), caches.len())
            };
            match cache.map_or(ControlFlow::Continue(()), |cache| search(&cache)) {
                ControlFlow::Break(true) => return true,
                ControlFlow::Break(false) => break,
                ControlFlow::Continue(()) => {}
            }
            let next = if next + 1 < count { next + 1 } else { 0 };
            self.next.store(next, Ordering::Relaxed);
        }
        self.short.store(true, Ordering::Relaxed);
        false
    }

    /// Returns whether a write was refused since the last time this was asked: then it is worth sweeping all caches
    /// at once.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.swap(false, Ordering::Relaxed)
    }

    /// Takes (or gives back) memory: that of segments, and of answers that are being put together.
    pub fn add(&self, bytes: i64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Memory that something takes for a while, counted against the member's limit until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Arc<MemoryLimit>,
    bytes: i64,
}

impl Charge {
    /// Nothing yet.
    pub(crate) fn new(memory: &Arc<MemoryLimit>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Returns whether `more` bytes would be too many.
    pub(crate) fn refuses(&self, more: usize) -> bool {
        self.memory.refuses(more)
    }

    /// It takes `bytes` from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = signed(bytes);
        if bytes != self.bytes {
            self.memory.add(bytes - self.bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Steps in which a limit is taken, at least.
const STEPS: u64 = 64 * 1024;

/// What one cache holds, as far as its segments have reported.
#[derive(Debug)]
pub(crate) struct Usage {
    node: Arc<MemoryLimit>,
    bytes: AtomicI64,
    entries: AtomicI64,
    /// Bytes of tables and tombstones, which no eviction frees.
    fixed: AtomicI64,
    /// Bytes that the cache and its segments take without any record.
    held: AtomicI64,
    /// Bytes that a segment may gather before it reports them; 0 if it reports every change.
    step: i64,
}

impl Usage {
    /// Usage of a cache. A cache that is bounded is counted exactly, any other in steps of 16 KiB a
    /// segment, or less where there is little memory.
    #[must_use]
    pub(crate) fn new(node: Arc<MemoryLimit>, exact: bool) -> Arc<Self> {
        let step = if exact { 0 } else { (node.limit() / STEPS).min(16 * 1024) };
        let step = i64::try_from(step).unwrap_or(0);
        let [bytes, entries, fixed, held] = [const { AtomicI64::new(0) }; 4];
        Arc::new(Self { node, bytes, entries, fixed, held, step })
    }

    /// Counts `bytes` that are there until the cache is dropped. They are part of the member's memory, and not of
    /// what the cache holds: its bound is about entries.
    pub(crate) fn hold(&self, bytes: usize) {
        self.held.fetch_add(signed(bytes), Ordering::Relaxed);
        self.node.add(signed(bytes));
    }

    /// Bytes reported.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Entries reported; exact only in a cache that is counted exactly.
    #[must_use]
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    fn is_exact(&self) -> bool {
        self.step == 0
    }

    /// Bytes of tables and tombstones, in a cache that is counted exactly.
    #[must_use]
    pub(crate) fn fixed(&self) -> u64 {
        self.fixed.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// The limit of the whole member.
    #[must_use]
    pub(crate) fn node(&self) -> &Arc<MemoryLimit> {
        &self.node
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.node.add(-*self.held.get_mut());
    }
}

/// A segment's own count, which it reports to its cache and member.
#[derive(Debug)]
pub(crate) struct Account {
    usage: Arc<Usage>,
    bytes: i64,
    entries: i64,
    fixed: i64,
    tombstones: i64,
    filters: i64,
    unreported_bytes: i64,
    unreported_entries: i64,
}

impl Account {
    pub(crate) fn new(usage: Arc<Usage>) -> Self {
        Self {
            usage,
            bytes: 0,
            entries: 0,
            fixed: 0,
            tombstones: 0,
            filters: 0,
            unreported_bytes: 0,
            unreported_entries: 0,
        }
    }

    /// Bytes that the segment takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.bytes + self.filters).max(0).unsigned_abs()
    }

    /// Entries (not tombstones) in the segment.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.max(0).unsigned_abs()
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Something that took `from` bytes takes `to` now, and there are `entries` more.
    #[inline]
    pub(crate) fn change(&mut self, from: usize, to: usize, entries: i64) {
        let bytes = signed(to) - signed(from);
        self.bytes += bytes;
        self.entries += entries;
        self.unreported_bytes += bytes;
        self.unreported_entries += entries;
        let changed = self.unreported_bytes != 0 || self.unreported_entries != 0;
        if changed && self.unreported_bytes.abs() >= self.usage.step {
            self.report();
        }
    }

    /// A table or a tombstone that took `from` bytes takes `to` now: of all that [`Account::change`]
    /// counts, what no eviction frees.
    pub(crate) fn change_fixed(&mut self, from: usize, to: usize) {
        let bytes = signed(to) - signed(from);
        if self.usage.is_exact() {
            self.fixed += bytes;
            self.usage.fixed.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// A tombstone that took `from` bytes takes `to` now, as [`Account::change`] has counted.
    pub(crate) fn change_tombstone(&mut self, from: usize, to: usize) {
        self.change_fixed(from, to);
        let bytes = signed(to) - signed(from);
        self.tombstones += bytes;
        self.usage.node.tombstones.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that what remembers ended or evicted entries took `from` bytes and takes `to` now. It counts against the
    /// limit of the member, and not against the bound of the cache, which is for what clients store.
    pub(crate) fn change_filter(&mut self, from: usize, to: usize) {
        let bytes = signed(to) - signed(from);
        if bytes != 0 {
            self.filters += bytes;
            self.usage.node.filters.fetch_add(bytes, Ordering::Relaxed);
            self.usage.node.add(bytes);
        }
    }

    /// Everything is gone, but for the filter.
    pub(crate) fn clear(&mut self) {
        self.unreported_bytes -= self.bytes;
        self.unreported_entries -= self.entries;
        self.usage.fixed.fetch_sub(self.fixed, Ordering::Relaxed);
        self.usage.node.tombstones.fetch_sub(self.tombstones, Ordering::Relaxed);
        (self.bytes, self.entries, self.fixed, self.tombstones) = (0, 0, 0, 0);
        self.report();
    }

    /// Reports what was not reported yet.
    pub(crate) fn settle(&mut self) {
        if self.unreported_bytes != 0 || self.unreported_entries != 0 {
            self.report();
        }
    }

    fn report(&mut self) {
        self.usage.bytes.fetch_add(self.unreported_bytes, Ordering::Relaxed);
        self.usage.node.add(self.unreported_bytes);
        self.usage.entries.fetch_add(self.unreported_entries, Ordering::Relaxed);
        self.unreported_bytes = 0;
        self.unreported_entries = 0;
    }
}

impl Drop for Account {
    /// A cache that is removed gives back what it took.
    fn drop(&mut self) {
        self.clear();
        self.change_filter(usize::try_from(self.filters).unwrap_or(0), 0);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    //! Sizes are those of the allocator; sums are those of the segments.

    use super::*;

    #[test]
    fn sizes_are_the_allocators_classes() {
        let classes = [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (100, 112),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (256, 256),
            (257, 320),
            (1024, 1024),
            (1025, 1280),
            (1280, 1280),
            (1281, 1536),
            (16_385, 20_480),
            (1_048_577, 1_310_720),
        ];
        for (len, class) in classes {
            assert_eq!(allocated(len), class, "{len} bytes");
        }
    }

    #[test]
    fn a_removed_cache_gives_its_memory_back() {
        let node = MemoryLimit::new(1_000_000);
        let usage = Usage::new(Arc::clone(&node), false);
        let mut account = Account::new(Arc::clone(&usage));
        account.change(0, 100_000, 1);
        account.change(0, 10, 1);
        assert_eq!(
            (account.bytes(), node.used()),
            (100_010, 100_000),
            "10 bytes are not reported yet"
        );
        assert!(node.refuses(900_001) && !node.refuses(900_000));
        account.settle();
        assert_eq!(node.used(), 100_010);
        drop(account);
        assert_eq!((usage.bytes(), usage.entries(), node.used()), (0, 0, 0));
        usage.hold(1_000);
        assert_eq!((usage.bytes(), node.used()), (0, 1_000));
        drop(usage);
        assert_eq!(node.used(), 0);
    }
}
