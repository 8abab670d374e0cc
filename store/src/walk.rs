//! The walk over a cache, used by everything that shows or counts entries.
//!
//! A decider: its driver chooses when to take the next step and what to do with the entries, and
//! lets others run in between. Entries that change during a walk may or may not be shown; all
//! others are shown exactly once, and no key is shown twice. [`segment::walk`](crate::segment)
//! explains why.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    cache::{Cache, SegmentId},
    command::CacheError,
    entry::EntryRef,
    memory::Charge,
    segment::{Cursor, Step},
    time::Timestamp,
};

/// Most hashes that a walk holds, of 8 bytes each.
const MOST_HASHES: usize = 512 * 1024;

/// Hashes that a walk may always hold, so that it works, though more slowly, even if the member has
/// no memory left.
const ALWAYS_HASHES: usize = 2 * 1024;

/// A walk over segments of a cache.
pub struct Walk {
    cache: Arc<Cache>,
    /// Segments that are not finished, the next one last.
    ahead: Vec<SegmentId>,
    cursor: Cursor,
    charge: Charge,
}

/// Progress of a walk after one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// The segment has more entries.
    More,
    /// Every entry of this segment was shown.
    Segment(SegmentId),
    /// Every entry of all segments was shown.
    End,
}

impl Walk {
    /// Creates a walk over these segments.
    #[must_use]
    pub fn new(cache: Arc<Cache>, segments: impl IntoIterator<Item = SegmentId>) -> Self {
        let mut ahead: Vec<SegmentId> = segments.into_iter().collect();
        ahead.reverse();
        let charge = Charge::new(cache.memory_limit());
        Self { cache, ahead, cursor: Cursor::default(), charge }
    }

    /// Tells the walk when the source was asked for the entries that had expired here by then.
    /// Entries that expired later may still exist at the source, and are shown too.
    pub fn settled_at(&mut self, at: Timestamp) {
        self.cursor.settled_at(at);
    }

    /// Creates a walk over the whole cache.
    #[must_use]
    pub fn over(cache: Arc<Cache>) -> Self {
        let segments = cache.segment_ids();
        Self::new(cache, segments)
    }

    /// Returns the cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Returns whether every entry of all segments was shown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Takes one bounded step under one lock: shows at most [`BACKGROUND_STEP`] live entries, often
    /// none, and stops after the entry for which `visit` returns `Break`. Entries whose keys have
    /// the same hash are shown together, so that a few more may follow after that.
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

    /// Returns how many hashes may be held now: if memory for more is refused, as many as already
    /// fit.
    fn most_hashes(&self) -> usize {
        match self.charge.refuses(self.cursor.memory()) {
            true => self.cursor.capacity().clamp(ALWAYS_HASHES, MOST_HASHES),
            false => MOST_HASHES,
        }
    }
}

#[cfg(test)]
mod tests;
