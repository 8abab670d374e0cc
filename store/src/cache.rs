//! One named map: segments, and what is spread over them.

mod bound;
mod room;
mod segments;
mod source;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use config::{CacheConfig, CacheName};
use media::hash;
use parking_lot::{Mutex, MutexGuard};

pub use self::room::Growth;
use self::{
    bound::Size,
    room::{Efforts, Search},
    segments::Segments,
};
use crate::{
    command::{CacheError, Change, Command, Fence, Progress, Reply},
    entry::{SHARED_FROM, Value},
    memory::{MemoryLimit, Usage, allocated},
    segment::{Bound, BroughtIn, KeyHasher, Position, Role, Segment, Standing, Step},
    stamp::VersionKey,
    stats::Stats,
    time::Timestamp,
};

/// Entries (or buckets) that background work takes at most while it holds a segment's lock.
pub const BACKGROUND_STEP: usize = 64;

/// Segments of a local cache, which nobody outside sees.
const LOCAL_SEGMENTS: u32 = 256;

/// Bytes that what is known of a cache takes beside it: its configuration, in the metadata and as it was given, and
/// its places in tables of names. Measured, with a configuration of ten attributes.
const CONFIGURATION: usize = 4 * 1024;

/// One of the hash ranges of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

/// A named map, divided into segments with a lock each.
pub struct Cache {
    name: CacheName,
    config: ArcSwap<CacheConfig>,
    segments: Segments,
    usage: Arc<Usage>,
    /// As the segments have it. What it is at most may change, whether there is one may not.
    bound: ArcSwap<Bound>,
    bounded: bool,
    /// Set while there is more than a bound that was made smaller, until [`Cache::evict_excess`] is through.
    shrinking: AtomicBool,
    /// Held while a repair brings entries in: two of them would both see the last room that there is.
    repairing: Mutex<()>,
    /// The segment in which eviction goes on.
    hand: AtomicUsize,
    /// Where the next write that is refused looks for expired entries.
    search: Mutex<Search>,
    /// Set when a write is refused because the cache is full.
    short_of_room: AtomicBool,
    started: Timestamp,
    removed: AtomicBool,
}

impl Cache {
    /// About what a cache takes in which nothing was ever stored, in bytes.
    pub const EMPTY: usize =
        CONFIGURATION + size_of::<Self>() + LOCAL_SEGMENTS as usize * Segments::PLACE;

    /// An empty cache. `versions` must not be the key of any other cache, or of an earlier life of
    /// this one.
    #[must_use]
    pub fn new(
        name: CacheName,
        config: Arc<CacheConfig>,
        versions: VersionKey,
        memory: Arc<MemoryLimit>,
        now: Timestamp,
    ) -> Self {
        Self::hashed(name, config, versions, memory, now, KeyHasher::default())
    }

    /// As [`Cache::new`], but its tables are ordered alike in every process: for tests that have to be repeated
    /// exactly. Anyone who knows the seed can construct keys that collide.
    #[must_use]
    pub fn seeded(
        name: CacheName,
        config: Arc<CacheConfig>,
        versions: VersionKey,
        memory: Arc<MemoryLimit>,
        now: Timestamp,
        seed: u64,
    ) -> Self {
        Self::hashed(name, config, versions, memory, now, KeyHasher::seeded(seed))
    }

    fn hashed(
        name: CacheName,
        config: Arc<CacheConfig>,
        versions: VersionKey,
        memory: Arc<MemoryLimit>,
        now: Timestamp,
        hasher: KeyHasher,
    ) -> Self {
        let bound = Bound::from(&config.memory);
        let usage = Usage::new(memory, bound.is_some());
        let segments = if config.mode.is_clustered() { config.segments } else { LOCAL_SEGMENTS };
        usage.hold(allocated(size_of::<Self>()) + CONFIGURATION);
        Self {
            name,
            segments: Segments::new(segments, Arc::clone(&usage), versions, hasher),
            config: ArcSwap::new(config),
            usage,
            bounded: bound.is_some(),
            bound: ArcSwap::from_pointee(bound),
            shrinking: AtomicBool::new(false),
            repairing: Mutex::default(),
            hand: AtomicUsize::new(0),
            search: Mutex::default(),
            short_of_room: AtomicBool::new(false),
            started: now,
            removed: AtomicBool::new(false),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &CacheName {
        &self.name
    }

    /// When it was started.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// What it is configured to be.
    #[must_use]
    pub fn config(&self) -> Arc<CacheConfig> {
        self.config.load_full()
    }

    /// Carries out `command` as far as this member can without waiting.
    ///
    /// # Errors
    ///
    /// If the command cannot be carried out now. Nothing has changed then, except that expired entries may have ended, or
    /// entries may have been evicted, to make room.
    #[inline]
    pub fn execute(
        &self,
        command: &Command<'_>,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        if let Change::Write { value: Value::Inline(value), expiration } = command.change
            && value.len() > SHARED_FROM
        {
            // Copied here rather than under the lock.
            let value = Arc::from(value);
            let change = Change::Write { value: Value::Shared(&value), expiration };
            return self.execute_one(&Command { change, ..*command }, now, reply);
        }
        self.execute_one(command, now, reply)
    }

    #[inline]
    fn execute_one(
        &self,
        command: &Command<'_>,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        let placement = hash::hash(command.key);
        let segment = self.placed(placement);
        let mut progress = segment.lock().apply(placement, command, now, reply);
        if progress.is_err() {
            progress = self.try_again(segment, progress, &mut Efforts::full(), now, |segment| {
                segment.apply(placement, command, now, reply)
            });
        }
        if self.bounded && command.may_add() {
            self.keep_bound(Some(command.key), || Size::of(command));
        }
        progress
    }

    /// Number of segments.
    #[must_use]
    pub fn segment_count(&self) -> u32 {
        u32::try_from(self.segments.count()).unwrap_or(u32::MAX)
    }

    /// The segments, in order.
    pub fn segment_ids(&self) -> impl Iterator<Item = SegmentId> + use<> {
        (0..self.segment_count()).map(SegmentId)
    }

    /// The segment of a key.
    #[must_use]
    pub fn segment_of(&self, key: &[u8]) -> SegmentId {
        SegmentId(hash::segment(hash::hash(key), self.segment_count()))
    }

    /// A segment under its lock. A number beyond the last stands for the last. One that was not used takes memory
    /// from now on: for what only looks, [`Cache::used_segment`] is enough.
    pub fn segment(&self, id: SegmentId) -> MutexGuard<'_, Segment> {
        self.at(id.0 as usize).lock()
    }

    /// A segment under its lock, if there has ever been anything in it.
    #[must_use]
    pub fn used_segment(&self, id: SegmentId) -> Option<MutexGuard<'_, Segment>> {
        self.segments.if_used(id)
    }

    #[inline]
    fn placed(&self, placement: u32) -> &Mutex<Segment> {
        self.at(hash::segment(placement, self.segment_count()) as usize)
    }

    #[inline]
    fn at(&self, index: usize) -> &Mutex<Segment> {
        self.segments.at(index, || **self.bound.load())
    }

    /// Entries as the segments count them, with those whose time is over and that nobody has met yet.
    #[must_use]
    pub fn approximate_len(&self) -> u64 {
        self.sum(Segment::len)
    }

    /// Entries that were not imported over the connection that there is, or over the last one.
    #[must_use]
    pub fn local_len(&self) -> u64 {
        self.sum(Segment::local_len)
    }

    /// What became of the entries that were brought in.
    #[must_use]
    pub fn brought_in(&self) -> BroughtIn {
        let mut all = BroughtIn::default();
        self.segments.used().for_each(|segment| all.add(segment.brought_in()));
        all
    }

    /// Tombstones.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.sum(Segment::tombstones)
    }

    /// Bytes that records and tables take.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.sum(Segment::memory)
    }

    /// By how many entries the cache is larger than its source, as far as is known.
    #[must_use]
    pub fn balance(&self) -> i64 {
        self.segments.used().map(|segment| segment.balance()).sum()
    }

    fn sum(&self, of: impl Fn(&Segment) -> u64) -> u64 {
        self.segments.used().map(|segment| of(&segment)).sum()
    }

    /// Returns whether there is a limit to what it may hold.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// Counts of all segments together.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.segments.used().fold(Stats::default(), |mut sum, segment| {
            sum += *segment.stats();
            sum
        })
    }

    /// Starts counting anew.
    pub fn reset_stats(&self) {
        self.segments.used().for_each(|mut segment| segment.reset_stats());
    }

    /// Empties one segment. False, and nothing has changed, while a source is connected and it is not
    /// recorded that the cache is being cleared ([`Cache::end_imports`]): what is cleared could come back.
    #[must_use]
    pub fn clear_segment(&self, id: SegmentId) -> bool {
        let records = self.segment(id).clear();
        records.is_some()
    }

    /// Removes the entries of one segment that were imported, a bounded step at a time: a source was connected
    /// since the segment was cleared. What clients have written since then stays. False under the same
    /// circumstances as for [`Cache::clear_segment`].
    #[must_use]
    pub fn remove_imported(&self, id: SegmentId) -> bool {
        let mut position = Position::default();
        loop {
            match self.segment(id).remove_imported(&mut position, BACKGROUND_STEP) {
                Some(Step::More) => {}
                Some(Step::End) => return true,
                None => return false,
            }
        }
    }

    /// Returns whether commands are carried out at all.
    ///
    /// # Errors
    ///
    /// If they are not.
    pub fn check_served(&self) -> Result<(), CacheError> {
        self.segment(SegmentId(0)).check_served()
    }

    /// The limit of the member's memory.
    #[must_use]
    pub fn memory_limit(&self) -> &Arc<MemoryLimit> {
        self.usage.node()
    }

    /// Brings what the cache and its member know of the memory of its segments up to date.
    pub fn settle_accounts(&self) {
        self.segments.used().for_each(|mut segment| segment.settle_account());
    }

    /// Ends what is over in one segment, a bounded step at a time.
    pub fn sweep(&self, id: SegmentId, now: Timestamp) {
        let mut from = Some(0);
        while let (Some(bucket), Some(mut segment)) = (from, self.used_segment(id)) {
            from = segment.sweep(bucket, BACKGROUND_STEP, now);
            if from.is_none() {
                segment.shrink();
            }
        }
    }

    /// What is known of a key, without using it.
    pub fn inspect<T>(&self, key: &[u8], now: Timestamp, see: impl FnOnce(Standing<'_>) -> T) -> T {
        see(self.placed(hash::hash(key)).lock().inspect(key, now))
    }

    /// Refuses every command from now on, or serves them again.
    pub fn fence(&self, fence: Option<Fence>) {
        let role = fence.map_or(Role::Primary, Role::Fenced);
        let install = |segment: &mut Segment| segment.install(role, segment.epoch());
        match fence {
            Some(_) => self.each(install),
            // What is not used was never fenced.
            None => self.segments.used().for_each(|mut segment| install(&mut segment)),
        }
    }

    fn each(&self, change: impl Fn(&mut Segment)) {
        (0..self.segments.count()).for_each(|index| change(&mut self.at(index).lock()));
    }

    /// Returns whether the cache was removed while somebody still holds it.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// It is removed.
    pub(crate) fn end(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Gives the memory of a removed cache back. From then on it carries nothing out.
    pub fn free(&self) {
        // Also of what was never used: somebody who still holds the cache must not find a segment that is.
        for index in 0..self.segments.count() {
            let records = self.at(index).lock().remove();
            drop(records);
        }
    }
}

#[cfg(test)]
mod tests;
