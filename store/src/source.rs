//! What a segment knows of the source it is being filled from.

use media::hash;

use crate::time::Timestamp;

/// How the source divides its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSpace {
    /// By the placement hash, into this many segments.
    Segments(u32),
    /// In a way we cannot follow: the whole source is one unit.
    Unit,
}

impl SourceSpace {
    /// Number of source segments.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Segments(count) => count,
            Self::Unit => 1,
        }
    }

    /// Source segment of a key with this placement hash.
    #[must_use]
    pub fn segment_of(self, placement: u32) -> SourceSegment {
        match self {
            Self::Segments(count) => SourceSegment(hash::segment(placement, count)),
            Self::Unit => SourceSegment(0),
        }
    }
}

/// One of the source's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceSegment(pub u32);

/// A set of source segments: those that are complete here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    count: u32,
    /// Number of segments in the set: many reads ask for it.
    len: u32,
    words: Box<[u64]>,
}

impl Coverage {
    /// None of `count` segments.
    #[must_use]
    pub fn none(count: u32) -> Self {
        Self { count, len: 0, words: vec![0; count.div_ceil(64) as usize].into_boxed_slice() }
    }

    /// All of `count` segments.
    #[must_use]
    pub fn all(count: u32) -> Self {
        (0..count).map(SourceSegment).fold(Self::none(count), |mut all, segment| {
            all.insert(segment);
            all
        })
    }

    /// Adds a segment. One beyond the count is left out.
    pub fn insert(&mut self, segment: SourceSegment) {
        let word = self.words.get_mut(segment.0 as usize / 64);
        if let Some(word) = word.filter(|_| segment.0 < self.count) {
            let bit = 1 << (segment.0 % 64);
            self.len += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Returns whether the segment is in the set.
    #[must_use]
    pub fn contains(&self, segment: SourceSegment) -> bool {
        self.words
            .get(segment.0 as usize / 64)
            .is_some_and(|word| word >> (segment.0 % 64) & 1 == 1)
    }

    /// Number of segments in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Returns whether all segments are in the set: then nothing more comes from the source.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.len == self.count
    }

    /// Returns whether the set has no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segments in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = SourceSegment> + '_ {
        (0..self.count).map(SourceSegment).filter(|segment| self.contains(*segment))
    }
}

/// Number of a source connection: no two connections of a cache share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How the next source connection of a cache relates to its last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// It starts anew: every entry counts as a client's, and what was removed before is not known.
    #[default]
    Anew,
    /// It continues the last one, of which everything is here: nothing more is imported.
    Complete,
    /// It continues the last one, and nothing was removed in between. If something was after all, nothing
    /// is imported.
    Unchanged,
}

/// A segment's part in a source connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Which connection this is. What was read over another one is not imported.
    pub connection: ConnectionId,
    /// How the source divides its keys.
    pub space: SourceSpace,
    /// Source segments of which everything is here: no walk imports anything from them any more. Once all are
    /// complete, nothing is asked of the source either.
    pub complete: Coverage,
    /// Whether it is recorded where a restart finds it that clients have changed entries here. Until
    /// then a change waits for [`Progress::Mark`](crate::Progress::Mark).
    pub marked: bool,
    /// Whether it is recorded that a client clears the cache: nothing is imported any more. Until then no
    /// segment can be cleared.
    pub cleared: bool,
    /// When the connection was made. What had ended by then leaves no tombstone.
    pub since: Timestamp,
    /// Most tombstones that the segment keeps for complete source segments.
    pub max_tombstones: u64,
    /// What was complete before the source turned out to be one unit, if removals in it are no longer
    /// remembered: nothing more is imported there, because it could be a key that was removed.
    pub(crate) sealed: Option<Box<(SourceSpace, Coverage)>>,
}

impl Link {
    /// A new connection, of which nothing is here yet and that clients have not changed.
    #[must_use]
    pub fn new(connection: ConnectionId, space: SourceSpace, since: Timestamp) -> Self {
        let complete = Coverage::none(space.count());
        Self {
            connection,
            space,
            complete,
            marked: false,
            cleared: false,
            since,
            max_tombstones: 0,
            sealed: None,
        }
    }

    /// Returns whether everything is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.is_whole()
    }

    /// Returns whether the source may hold a key with this placement hash that we do not know of.
    #[must_use]
    pub fn may_hold(&self, placement: u32) -> bool {
        let sealed = |(space, complete): &(SourceSpace, Coverage)| {
            complete.contains(space.segment_of(placement))
        };
        !self.complete.contains(self.space.segment_of(placement))
            && !self.sealed.as_deref().is_some_and(sealed)
    }
}

#[cfg(test)]
mod tests {
    //! Segments go in and stay in.

    use super::*;

    #[test]
    fn a_segment_is_covered_once_it_was_inserted() {
        let mut coverage = Coverage::none(130);
        for segment in [0, 63, 64, 129].map(SourceSegment) {
            assert!(!coverage.contains(segment));
            coverage.insert(segment);
            assert!(coverage.contains(segment));
        }
        assert_eq!(coverage.iter().map(|segment| segment.0).collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(coverage.len(), 4);
        coverage.insert(SourceSegment(63));
        assert_eq!(coverage.len(), 4, "it is in the set already");
        coverage.insert(SourceSegment(4_000));
        coverage.insert(SourceSegment(130));
        assert_eq!(coverage.len(), 4, "a segment that the source does not have is left out");
        assert_eq!(Coverage::all(130).len(), 130);
        assert!(Coverage::all(130).is_whole() && !coverage.is_whole());
    }

    #[test]
    fn a_source_that_cannot_be_followed_is_one_unit() {
        assert_eq!(SourceSpace::Unit.segment_of(u32::MAX), SourceSegment(0));
        assert_eq!(SourceSpace::Segments(256).segment_of(u32::MAX), SourceSegment(255));
    }
}
