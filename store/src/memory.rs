//! Accounting of memory, and its limits.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use crate::cache::Cache;

/// Returns the bytes that the allocator reserves for `len` bytes: jemalloc's size classes, four to
/// a doubling.
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

/// Memory that all caches of a member take, and its limit.
///
/// Segments report their usage in steps (see `Account`), and the remainder every second. For a
/// cache that is being written to, the sum may therefore lag by a few megabytes: it serves to limit
/// a process, not to count exactly.
#[derive(Debug)]
pub struct MemoryLimit {
    limit: AtomicU64,
    used: AtomicI64,
    /// Bytes of tombstones, exact.
    tombstones: AtomicI64,
    /// Bytes of filters that remember which entries expired or were evicted, exact.
    filters: AtomicI64,
    /// The caches that take the memory, which can make room for one another.
    caches: Mutex<Vec<Weak<Cache>>>,
    /// Index of the cache to search next for expired entries.
    next: AtomicUsize,
    /// Set when a write is refused because there is no memory left.
    short: AtomicBool,
}

/// Tombstones may take one quarter of the memory limit. Beyond that, writes that could lead to more
/// of them are refused.
const TOMBSTONE_SHARE: u64 = 4;

/// Tombstones are many from an eighth of the memory limit on. Then dispensable ones are no longer
/// kept, and the segments with the most of them are copied.
const MANY_TOMBSTONES_SHARE: u64 = 8;

/// Filters of ended entries may take a 32nd of the memory limit, and only if an eighth is left for
/// entries.
const FILTER_SHARE: u64 = 32;

impl MemoryLimit {
    /// Creates a limit of `limit` bytes.
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

    /// Creates an unlimited account, for tests and tools with a cache of their own.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Self::new(i64::MAX.unsigned_abs())
    }

    /// Returns the limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns the bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Returns whether `more` bytes would exceed the limit.
    #[must_use]
    pub fn refuses(&self, more: usize) -> bool {
        self.used().saturating_add(more as u64) > self.limit()
    }

    /// Returns the bytes that tombstones take.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.tombstones.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Returns the bytes that tombstones may take.
    #[must_use]
    pub fn tombstone_limit(&self) -> u64 {
        self.limit() / TOMBSTONE_SHARE
    }

    /// Returns whether tombstones take more than they may.
    #[must_use]
    pub fn is_full_of_tombstones(&self) -> bool {
        self.tombstones() > self.tombstone_limit()
    }

    /// Returns whether tombstones take more than half of what they may, so that the segments with
    /// the most of them should be copied.
    #[must_use]
    pub fn has_many_tombstones(&self) -> bool {
        self.tombstones() > self.limit() / MANY_TOMBSTONES_SHARE
    }

    /// Returns whether filters of ended entries may take `more` bytes.
    pub(crate) fn has_room_for_filter(&self, more: usize) -> bool {
        let filters = self.filters.load(Ordering::Relaxed).max(0).unsigned_abs();
        let reserve = usize::try_from(self.limit() / 8).unwrap_or(usize::MAX);
        filters.saturating_add(more as u64) <= self.limit() / FILTER_SHARE
            && !self.refuses(reserve.saturating_add(more))
    }

    /// Adds a cache whose expired entries may make room for writes to other caches.
    pub(crate) fn add_cache(&self, cache: &Arc<Cache>) {
        let mut caches = self.caches.lock();
        caches.retain(|known| known.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// Searches the caches in turn, starting with the one searched last, until `search` breaks with
    /// whether it found something. Returns whether anything was found; if not, records that memory
    /// is short.
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

    /// Returns whether a write was refused since the last call, in which case all caches should be
    /// swept at once.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.swap(false, Ordering::Relaxed)
    }

    /// Adds to the memory in use, or subtracts from it, for segments and for responses being built.
    pub fn add(&self, bytes: i64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Temporary memory, counted against the member's limit until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Arc<MemoryLimit>,
    bytes: i64,
}

impl Charge {
    /// Creates a charge of no bytes.
    pub(crate) fn new(memory: &Arc<MemoryLimit>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Returns whether `more` bytes would exceed the limit.
    pub(crate) fn refuses(&self, more: usize) -> bool {
        self.memory.refuses(more)
    }

    /// Changes the charge to `bytes`.
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

/// Fewest steps in which the limit can be used up.
const STEPS: u64 = 64 * 1024;

/// Usage of one cache, as far as its segments have reported it.
#[derive(Debug)]
pub(crate) struct Usage {
    node: Arc<MemoryLimit>,
    bytes: AtomicI64,
    entries: AtomicI64,
    /// Bytes of tables and tombstones, which no eviction frees.
    fixed: AtomicI64,
    /// Bytes that the cache and its segments take when they are empty.
    held: AtomicI64,
    /// Bytes that a segment may accumulate before it reports them; 0 if it reports every change.
    step: i64,
}

impl Usage {
    /// Creates the usage of a cache. A bounded cache is counted exactly, any other in steps of 16
    /// KiB per segment, or less if there is little memory.
    #[must_use]
    pub(crate) fn new(node: Arc<MemoryLimit>, exact: bool) -> Arc<Self> {
        let step = if exact { 0 } else { (node.limit() / STEPS).min(16 * 1024) };
        let step = i64::try_from(step).unwrap_or(0);
        let [bytes, entries, fixed, held] = [const { AtomicI64::new(0) }; 4];
        Arc::new(Self { node, bytes, entries, fixed, held, step })
    }

    /// Counts `bytes` that are in use until the cache is dropped, in the member's memory but not
    /// against the bound of the cache, which is about entries.
    pub(crate) fn hold(&self, bytes: usize) {
        self.held.fetch_add(signed(bytes), Ordering::Relaxed);
        self.node.add(signed(bytes));
    }

    /// Returns the reported bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Returns the reported entries; exact only in a cache that is counted exactly.
    #[must_use]
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    fn is_exact(&self) -> bool {
        self.step == 0
    }

    /// Returns the bytes of tables and tombstones, in a cache that is counted exactly.
    #[must_use]
    pub(crate) fn fixed(&self) -> u64 {
        self.fixed.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Returns the limit of the whole member.
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

/// The usage of a segment, which it reports to its cache and member.
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

    /// Returns the bytes that the segment takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.bytes + self.filters).max(0).unsigned_abs()
    }

    /// Returns the number of entries in the segment, without tombstones.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.max(0).unsigned_abs()
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Counts something that took `from` bytes and takes `to` now, and `entries` more entries.
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

    /// Counts a table or a tombstone that took `from` bytes and takes `to` now. Eviction does not
    /// free these bytes, which [`Account::change`] counts as well.
    pub(crate) fn change_fixed(&mut self, from: usize, to: usize) {
        let bytes = signed(to) - signed(from);
        if self.usage.is_exact() {
            self.fixed += bytes;
            self.usage.fixed.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts a tombstone that took `from` bytes and takes `to` now, as [`Account::change`] does as
    /// well.
    pub(crate) fn change_tombstone(&mut self, from: usize, to: usize) {
        self.change_fixed(from, to);
        let bytes = signed(to) - signed(from);
        self.tombstones += bytes;
        self.usage.node.tombstones.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a filter of ended or evicted entries that took `from` bytes and takes `to` now. It
    /// counts against the limit of the member, but not against the bound of the cache, which is for
    /// what clients store.
    pub(crate) fn change_filter(&mut self, from: usize, to: usize) {
        let bytes = signed(to) - signed(from);
        if bytes != 0 {
            self.filters += bytes;
            self.usage.node.filters.fetch_add(bytes, Ordering::Relaxed);
            self.usage.node.add(bytes);
        }
    }

    /// Counts everything as removed, except the filter.
    pub(crate) fn clear(&mut self) {
        self.unreported_bytes -= self.bytes;
        self.unreported_entries -= self.entries;
        self.usage.fixed.fetch_sub(self.fixed, Ordering::Relaxed);
        self.usage.node.tombstones.fetch_sub(self.tombstones, Ordering::Relaxed);
        (self.bytes, self.entries, self.fixed, self.tombstones) = (0, 0, 0, 0);
        self.report();
    }

    /// Reports what is not reported yet.
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
    /// Returns the memory of a removed cache.
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
