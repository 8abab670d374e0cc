//! The walk over a cache that everything uses which shows or counts entries.
//!
//! A decider: whoever drives it says when the next step is taken and what becomes of the entries, and
//! lets others have their turn in between. What changes while a walk is open may be shown or not;
//! everything else is shown exactly once, and no key is shown twice. [`segment::walk`](crate::segment)
//! says why.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    cache::{Cache, SegmentId},
    command::CacheError,
    entry::EntryRef,
    memory::Charge,
    segment::{Cursor, Step},
    time::Timestamp,
};

/// Hashes that a walk holds at most, of 8 bytes each.
const MOST_HASHES: usize = 512 * 1024;

/// Hashes that a walk may always hold. Where the member has no memory left, a walk takes longer, but
/// works.
const ALWAYS_HASHES: usize = 2 * 1024;

/// A walk over segments of a cache.
pub struct Walk {
    cache: Arc<Cache>,
    /// Segments that are not walked to their end, the next one last.
    ahead: Vec<SegmentId>,
    cursor: Cursor,
    charge: Charge,
}

/// How far a walk came with one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// There is more in the segment.
    More,
    /// All of this segment was shown.
    Segment(SegmentId),
    /// All of the segments were shown.
    End,
}

impl Walk {
    /// A walk over these segments.
    #[must_use]
    pub fn new(cache: Arc<Cache>, segments: impl IntoIterator<Item = SegmentId>) -> Self {
        let mut ahead: Vec<SegmentId> = segments.into_iter().collect();
        ahead.reverse();
        let charge = Charge::new(cache.memory_limit());
        Self { cache, ahead, cursor: Cursor::default(), charge }
    }

    /// The source was asked for the entries whose time was over here at this time. Those whose time is over
    /// since then may live on there, and are shown too.
    pub fn settled_at(&mut self, at: Timestamp) {
        self.cursor.settled_at(at);
    }

    /// A walk over the whole cache.
    #[must_use]
    pub fn over(cache: Arc<Cache>) -> Self {
        let segments = cache.segment_ids();
        Self::new(cache, segments)
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Returns whether all of the segments were shown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Takes one bounded step, under one lock: it shows at most [`BACKGROUND_STEP`] living entries, often
    /// none, and stops after the entry with which `visit` has enough. Entries whose keys have the same
    /// hash are shown together, so that one more can follow after that.
    ///
    /// [`BACKGROUND_STEP`]: crate::BACKGROUND_STEP
    ///
    /// # Errors
    ///
    /// If the cache was removed, or is not served.
    pub fn step(
        &mut self,
        now: Timestamp,
        visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<WalkStep, CacheError> {
        let Some(&id) = self.ahead.last() else { return Ok(WalkStep::End) };
        let most = self.most_hashes();
        self.cursor.prepare(most);
        let step = match self.cache.used_segment(id) {
            Some(segment) => {
                segment.check_served()?;
                segment.walk(&mut self.cursor, most, now, visit)
            }
            None if self.cache.is_removed() => return Err(CacheError::NotExecuted),
            None => Step::End,
        };
        self.charge.set(self.cursor.memory());
        if step == Step::More {
            return Ok(WalkStep::More);
        }
        self.ahead.pop();
        self.cursor.restart();
        Ok(WalkStep::Segment(id))
    }

    /// Hashes that may be gathered now: when the memory for more is refused, as many as there is memory
    /// for already.
    fn most_hashes(&self) -> usize {
        match self.charge.refuses(self.cursor.memory()) {
            true => self.cursor.capacity().clamp(ALWAYS_HASHES, MOST_HASHES),
            false => MOST_HASHES,
        }
    }
}

#[cfg(test)]
mod tests;
