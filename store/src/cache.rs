//! One named map: segments, and what is spread over them.

mod room;
mod segments;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use config::{CacheConfig, CacheName};
use media::hash;
use parking_lot::{Mutex, MutexGuard};

use self::{
    room::{Efforts, Search},
    segments::Segments,
};
use crate::{
    command::{Answer, CacheError, Change, Command, Fence, Imported, Progress, Reply},
    entry::{SHARED_FROM, Value},
    memory::{MemoryLimit, Usage, allocated},
    segment::{
        Bound, EVICTION_ROUNDS, EVICTION_SAMPLE, Import, ImportRule, KeyHasher, Position, Role,
        Segment, Settled, Standing, Step, WhenFull,
    },
    source::{Beginning, ConnectionId, Coverage, Link, SourceSegment},
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

    /// Carries out `command` as far as this member can without waiting.
    ///
    /// # Errors
    ///
    /// If the command cannot be carried out now. Nothing has changed then.
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
        let mut progress = self.placed(placement).lock().apply(placement, command, now, reply);
        let mut efforts = Efforts::FULL;
        while let Err(error) = &progress
            && self.make_room(error, &mut efforts, now)
        {
            progress = self.placed(placement).lock().apply(placement, command, now, reply);
        }
        if self.bounded && command.may_add() {
            self.keep_bound(Some(command.key), 1);
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

    /// Holds a bounded cache to its bound after `added` entries were written, of which that of `key` stays.
    fn keep_bound(&self, key: Option<&[u8]>, added: usize) {
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

    /// What is known of a key, without using it.
    pub fn inspect<T>(&self, key: &[u8], now: Timestamp, see: impl FnOnce(Standing<'_>) -> T) -> T {
        see(self.placed(hash::hash(key)).lock().inspect(key, now))
    }

    /// Brings in entries that were read over `connection`, and says of each (by its index) what came of it. Entries of
    /// one segment go in together, at most [`BACKGROUND_STEP`] under one lock.
    pub fn import(
        &self,
        entries: &[(&[u8], Imported<'_>)],
        rule: ImportRule,
        connection: ConnectionId,
        now: Timestamp,
        mut outcome: impl FnMut(usize, Import),
    ) {
        let mut order: Vec<(u32, u32, usize)> = entries
            .iter()
            .enumerate()
            .map(|(index, (key, _))| {
                let placement = hash::hash(key);
                (hash::segment(placement, self.segment_count()), placement, index)
            })
            .collect();
        order.sort_unstable();
        let mut efforts = Efforts::FULL;
        for of_segment in order.chunk_by(|one, other| one.0 == other.0) {
            for step in of_segment.chunks(BACKGROUND_STEP) {
                let Some(&(id, ..)) = step.first() else { continue };
                let mut segment = self.segment(SegmentId(id));
                for &(_, placement, index) in step {
                    let Some((key, imported)) = entries.get(index) else { continue };
                    let mut import =
                        segment.import(placement, key, imported, rule, connection, now);
                    while let Import::Failed(error) = &import
                        && MutexGuard::unlocked(&mut segment, || {
                            self.make_room(error, &mut efforts, now)
                        })
                    {
                        import = segment.import(placement, key, imported, rule, connection, now);
                    }
                    outcome(index, import);
                }
            }
        }
        if self.bounded {
            self.keep_bound(None, entries.len());
        }
    }

    /// The keys of imported entries in one segment whose time was over here before `before`, and that the
    /// source may still have: at most `most`, from `position` on, which moves.
    #[must_use]
    pub fn overdue(
        &self,
        id: SegmentId,
        position: &mut Position,
        most: usize,
        before: Timestamp,
    ) -> (Vec<Box<[u8]>>, Step) {
        let mut keys = Vec::new();
        loop {
            let limit = BACKGROUND_STEP.min(most.saturating_sub(keys.len()));
            let segment = self.segment(id);
            let step = segment.overdue(position, limit, before, |key| keys.push(key.into()));
            drop(segment);
            if step == Step::End || keys.len() >= most {
                return (keys, step);
            }
        }
    }

    /// Takes in what the source says of an entry whose time is over here.
    ///
    /// # Errors
    ///
    /// If there is no memory left for it. Nothing has changed then.
    pub fn settle(
        &self,
        key: &[u8],
        answer: &Answer<'_>,
        connection: ConnectionId,
        now: Timestamp,
    ) -> Result<Settled, CacheError> {
        let placement = hash::hash(key);
        let settle =
            || self.placed(placement).lock().settle(placement, key, answer, connection, now);
        let (mut settled, mut efforts) = (settle(), Efforts::FULL);
        while let Err(error) = &settled
            && self.make_room(error, &mut efforts, now)
        {
            settled = settle();
        }
        settled
    }

    /// Imported entries whose time was over here and that the source still had, since it was connected.
    #[must_use]
    pub fn lived_on(&self) -> u64 {
        self.sum(Segment::lived_on)
    }

    /// Entries that were imported once and count as a client's since a connection began anew: see
    /// [`Segment::adopted`].
    #[must_use]
    pub fn adopted(&self) -> u64 {
        self.sum(Segment::adopted)
    }

    /// Lets reads do without the source where everything of it is here: see [`Segment::set_silent`].
    pub fn set_silent(&self, connection: ConnectionId, over: Option<Timestamp>) {
        self.each(|segment| segment.set_silent(connection, over));
    }

    /// Ties the cache to a source.
    pub fn connect(&self, link: &Link) {
        self.each(|segment| segment.connect(link.clone()));
    }

    /// All of a source segment is here.
    pub fn complete(&self, source_segment: SourceSegment) {
        self.each(|segment| segment.complete(source_segment));
    }

    /// It is recorded that a client clears the cache: what is not here does not exist, whatever the source has.
    pub fn end_imports(&self) {
        self.each(Segment::end_imports);
    }

    /// From now on the source is one unit.
    pub fn become_unit(&self, complete: &Coverage) {
        self.each(|segment| segment.become_unit(complete));
    }

    /// It is recorded that clients change entries here.
    pub fn mark(&self) {
        self.each(Segment::mark);
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

    /// Lets go of the source. [`Cache::forget_tombstones`] cleans up after it.
    pub fn disconnect(&self) {
        self.each(Segment::disconnect);
    }

    /// Returns whether anything has happened since the last source was disconnected that an import could
    /// undo: a removal, also of a key that is not here, a clear, or the end of a client's own entry.
    #[must_use]
    pub fn changed_since_disconnect(&self) -> bool {
        self.segments.used().any(|segment| segment.changed_since_disconnect())
    }

    /// Sets how the next connection begins. Before one that begins anew, [`Cache::forget_source`] has to
    /// have gone through all segments.
    pub fn begin(&self, next: Beginning) {
        self.each(|segment| segment.begin(next));
    }

    /// Returns whether anything had been removed between the last source and the one that is connected now.
    #[must_use]
    pub fn changed_before_connect(&self) -> bool {
        self.segments.used().any(|segment| segment.changed_before_connect())
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

    /// Returns whether the connection to the source continues an earlier one: see [`Segment::continues_earlier`].
    #[must_use]
    pub fn continues_earlier(&self) -> bool {
        // All segments begin alike.
        self.segments.used().next().is_some_and(|segment| segment.continues_earlier())
    }

    /// Returns whether there may be removed keys that are not remembered: there were too many, the cache was cleared, or
    /// they were removed just before the source was connected again.
    #[must_use]
    pub fn has_forgotten(&self) -> bool {
        self.segments.used().any(|segment| segment.has_forgotten())
    }

    /// Returns whether parts of the source are never brought in: see [`Segment::is_sealed`].
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.segments.used().any(|segment| segment.is_sealed())
    }

    /// Drops tombstones of complete source segments that can be done without in one segment, a bounded step
    /// at a time.
    pub fn release_tombstones(&self, id: SegmentId) {
        let mut position = Position::default();
        while self.segment(id).release_tombstones(&mut position, BACKGROUND_STEP) == Step::More {}
    }

    /// Returns whether this key may be one that was removed and is not remembered: see [`Cache::has_forgotten`].
    #[must_use]
    pub fn may_have_removed(&self, key: &[u8]) -> bool {
        self.placed(hash::hash(key)).lock().has_forgotten()
    }

    /// Returns whether this key may be one of an entry that a client wrote, which is here or has ended where everything
    /// of the source is here. Some other keys cannot be told from those.
    #[must_use]
    pub fn may_have_been_written(&self, key: &[u8]) -> bool {
        self.placed(hash::hash(key)).lock().may_have_been_written(key)
    }

    /// Drops the tombstones that a connection has left in one segment, a bounded step at a time. Does
    /// nothing while a source is connected.
    pub fn forget_tombstones(&self, id: SegmentId) {
        self.forget(id, Segment::forget_tombstones);
    }

    /// As [`Cache::forget_tombstones`]; from then on, all entries count as a client's.
    pub fn forget_source(&self, id: SegmentId) {
        self.forget(id, Segment::forget_source);
    }

    fn forget(&self, id: SegmentId, step: fn(&mut Segment, &mut Position, usize) -> Step) {
        let mut position = Position::default();
        while let Some(mut segment) = self.used_segment(id) {
            if segment.link().is_some()
                || step(&mut segment, &mut position, BACKGROUND_STEP) == Step::End
            {
                return;
            }
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
