//! The source of a cache, as all of its segments see it: what is brought in from it, and what is known of it.

use media::hash;
use parking_lot::MutexGuard;

use super::{BACKGROUND_STEP, Cache, SegmentId, bound::Size, room::Efforts};
use crate::{
    command::{Answer, CacheError, Imported},
    segment::{Import, ImportRule, Position, Segment, Settled, Step},
    source::{Beginning, ConnectionId, Coverage, Link, SourceSegment},
    time::Timestamp,
};

impl Cache {
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
        let _alone = (rule == ImportRule::Repair && self.bounded).then(|| self.repairing.lock());
        let mut efforts = Efforts::full();
        for of_segment in order.chunk_by(|one, other| one.0 == other.0) {
            for step in of_segment.chunks(BACKGROUND_STEP) {
                let Some(&(id, ..)) = step.first() else { continue };
                let mut segment = self.segment(SegmentId(id));
                for &(_, placement, index) in step {
                    let Some((key, imported)) = entries.get(index) else { continue };
                    let import = |segment: &mut Segment| match segment
                        .import(placement, key, imported, rule, connection, now)
                    {
                        Import::Failed(error) => Err(error),
                        import => Ok(import),
                    };
                    let mut came = import(&mut segment);
                    if came.is_err() {
                        came = MutexGuard::unlocked(&mut segment, || {
                            self.try_again(self.at(id as usize), came, &mut efforts, now, import)
                        });
                    }
                    outcome(index, came.unwrap_or_else(Import::Failed));
                }
            }
        }
        if self.bounded {
            self.keep_bound(None, || Size::of_all(entries));
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
        let segment = self.placed(placement);
        let settle =
            |segment: &mut Segment| segment.settle(placement, key, answer, connection, now);
        let settled = settle(&mut segment.lock());
        self.try_again(segment, settled, &mut Efforts::full(), now, settle)
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

    /// Returns whether the entry of this key is known to have made room here, so that no client has written or removed it
    /// since. Of those that had to make room, the first ones of each segment are known.
    #[must_use]
    pub fn has_evicted(&self, key: &[u8]) -> bool {
        self.placed(hash::hash(key)).lock().has_evicted(key)
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
}
