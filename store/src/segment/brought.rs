//! What became of the entries that were brought in from the source.

use super::Segment;

/// Entries that were brought in, over the connections that continue each other: counted where it happens, so that an
/// account of them agrees with what is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BroughtIn {
    /// Those that are here as they came, with those whose time is over and that nobody has met yet.
    pub here: u64,
    /// Those that had to make room, and have not come back.
    pub evicted: u64,
    /// Those that a repair has added where everything of the source was here, without those that came back after an
    /// eviction.
    pub repaired: u64,
    /// Those that clients have changed or removed, or that have ended, after everything of their source segment was
    /// here.
    pub changed: u64,
}

impl BroughtIn {
    pub(crate) fn add(&mut self, other: Self) {
        self.here += other.here;
        self.evicted += other.evicted;
        self.repaired += other.repaired;
        self.changed += other.changed;
    }
}

impl Segment {
    /// What became of the entries that were brought in.
    #[must_use]
    pub fn brought_in(&self) -> BroughtIn {
        BroughtIn {
            here: self.imported,
            evicted: self.evicted_imported.count(),
            repaired: self.repaired,
            changed: self.changed_imported,
        }
    }

    /// Counts imported entries that are changed, removed or ended. Before everything of their source segment is here,
    /// the reading that completes it counts what stands in their place.
    pub(super) fn count_changed(&mut self, placement: u32, entries: u64) {
        let is_complete = match &self.link {
            Some(link) => !link.may_hold(placement),
            None => self.was_complete,
        };
        self.changed_imported += if is_complete { entries } else { 0 };
    }
}
