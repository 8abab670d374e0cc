//! The segments of a cache, each made when it is first needed.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use super::SegmentId;
use crate::{
    memory::{Account, Usage, allocated},
    segment::{Bound, KeyHasher, Segment},
    stamp::VersionKey,
};

/// A place for each segment. Most caches of a server that has many are empty, or nearly so: what is not used
/// takes 16 bytes instead of several hundred.
pub(super) struct Segments {
    places: Box<[OnceLock<Box<Mutex<Segment>>>]>,
    usage: Arc<Usage>,
    versions: VersionKey,
    hasher: KeyHasher,
}

impl Segments {
    /// Bytes that a segment takes which was never used.
    pub(super) const PLACE: usize = size_of::<OnceLock<Box<Mutex<Segment>>>>();

    /// `count` segments, of which none is used.
    pub(super) fn new(
        count: u32,
        usage: Arc<Usage>,
        versions: VersionKey,
        hasher: KeyHasher,
    ) -> Self {
        let places: Box<[_]> = (0..count.max(1)).map(|_| OnceLock::new()).collect();
        usage.hold(allocated(size_of_val(&*places)));
        Self { places, usage, versions, hasher }
    }

    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// A segment, which is made if it was not used yet. A number beyond the last stands for the last. `bound` says
    /// what the cache is bounded to: a change of that has to visit every segment afterwards, as every change of what
    /// a new one begins as.
    #[expect(
        clippy::indexing_slicing,
        reason = "there is at least one segment, and the index is clamped"
    )]
    #[inline]
    pub(super) fn at(&self, index: usize, bound: impl FnOnce() -> Bound) -> &Mutex<Segment> {
        let place = &self.places[index.min(self.places.len() - 1)];
        match place.get() {
            Some(segment) => segment,
            None => place.get_or_init(|| self.make(bound())),
        }
    }

    /// Those that were used, in order.
    pub(super) fn used(&self) -> impl Iterator<Item = MutexGuard<'_, Segment>> {
        self.places.iter().filter_map(|place| place.get().map(|segment| segment.lock()))
    }

    /// A segment under its lock, if it was used.
    pub(super) fn if_used(&self, id: SegmentId) -> Option<MutexGuard<'_, Segment>> {
        self.places.get(id.0 as usize)?.get().map(|segment| segment.lock())
    }

    #[cold]
    fn make(&self, bound: Bound) -> Box<Mutex<Segment>> {
        self.usage.hold(allocated(size_of::<Mutex<Segment>>()));
        let account = Account::new(Arc::clone(&self.usage));
        Box::new(Mutex::new(Segment::new(self.versions, self.hasher.clone(), account, bound)))
    }
}
