//! What became of the source's entries, over all copies through one connection.
//!
//! A decider. A source segment may be read several times: by a job that was interrupted, by the one after it,
//! and for a client's iteration. The reading that completes it meets each of its entries once, so those of
//! complete segments are told apart by that reading, and what it found here already by how it had come here.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::counts::Counts;

/// Why entries are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An operator asked for all of them.
    Synchronization,
    /// A client iterates over them, or there are many tombstones.
    Ahead,
}

/// What became of the entries of complete source segments, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Here {
    /// Complete segments that were read through this connection.
    pub segments: u32,
    /// Entries that the source had in them; the sum of those below.
    pub read: u64,
    /// Brought in by synchronizations.
    pub copied: u64,
    /// Brought in because clients asked for them.
    pub read_through: u64,
    /// Brought in ahead of synchronizations: for a client's iteration, or because of many tombstones.
    pub ahead: u64,
    /// A client's own entry stands in their place.
    pub kept_for_client: u64,
    /// A client has removed them, or its own entry in their place has ended.
    pub tombstone: u64,
    /// Their time was over.
    pub expired: u64,
    /// Entries that were brought in, and had to make room here since.
    pub evicted: u64,
    /// Entries that were brought in, and that clients have changed or removed since, or that have ended: at
    /// least so many. Known once everything is complete.
    pub changed_since: u64,
}

impl Here {
    /// The same if entries that had been brought in were evicted so many times, and some perhaps brought in again. So
    /// many are `left` in all segments, if these are all.
    pub(crate) fn with_gone(self, evicted: u64, left: Option<u64>) -> Self {
        let brought = self.copied + self.read_through + self.ahead;
        let evicted = evicted.min(brought.saturating_sub(left.unwrap_or(0)));
        let changed = left.map_or(0, |left| (brought - evicted).saturating_sub(left));
        Self { evicted, changed_since: changed, ..self }
    }

    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.read += other.read;
        self.copied += other.copied;
        self.read_through += other.read_through;
        self.ahead += other.ahead;
        self.kept_for_client += other.kept_for_client;
        self.tombstone += other.tombstone;
        self.expired += other.expired;
    }
}

/// What became of the source's entries.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    segments: BTreeMap<u32, Segment>,
    /// What all synchronizations have read, what was read again included.
    synchronized: Counts,
    /// Whether the source turned out to be one unit.
    is_unit: bool,
}

#[derive(Debug, Default)]
struct Segment {
    /// Entries that synchronizations have written.
    copied: u64,
    /// Entries that were written ahead of them.
    ahead: u64,
    /// What became of its entries, once it is complete.
    here: Option<Here>,
}

impl Ledger {
    /// Entries of a source segment were applied.
    pub(crate) fn applied(&mut self, purpose: Purpose, segment: u32, counts: Counts) {
        let known = self.segments.entry(segment).or_default();
        match purpose {
            Purpose::Synchronization => {
                known.copied += counts.written;
                self.synchronized += counts;
            }
            Purpose::Ahead => known.ahead += counts.written,
        }
    }

    /// A source segment is complete by a reading that has met all of its entries.
    pub(crate) fn completed(&mut self, purpose: Purpose, segment: u32, reading: Counts) {
        let known = self.segments.entry(segment).or_default();
        if known.here.is_some() {
            // Another reading was quicker: what it wrote is what this one has found here.
            return;
        }
        let (mut copied, mut ahead) = (known.copied, known.ahead);
        match purpose {
            Purpose::Synchronization => copied = copied.saturating_sub(reading.written),
            Purpose::Ahead => ahead = ahead.saturating_sub(reading.written),
        }
        // What earlier readings had written may have been changed by clients since.
        let copied = copied.min(reading.already_here);
        let ahead = ahead.min(reading.already_here - copied);
        let mut here = Here {
            segments: 1,
            read: reading.read - reading.failed,
            copied,
            ahead,
            read_through: reading.already_here - copied - ahead,
            kept_for_client: reading.kept_for_client,
            tombstone: reading.tombstone,
            expired: reading.expired,
            evicted: 0,
            changed_since: 0,
        };
        match purpose {
            Purpose::Synchronization => here.copied += reading.written,
            Purpose::Ahead => here.ahead += reading.written,
        }
        known.here = Some(here);
    }

    /// Returns whether it is known what became of the entries of this segment: a job need not read it again.
    pub(crate) fn is_complete(&self, segment: u32) -> bool {
        self.segments.get(&segment).is_some_and(|known| known.here.is_some())
    }

    /// The source is one unit from now on, which is read again from its start. If that was known, another job may have
    /// read it by now: what became of its entries stays known.
    pub(crate) fn become_unit(&mut self) {
        let was_unit = std::mem::replace(&mut self.is_unit, true);
        let known = if was_unit { self.segments.remove(&0) } else { None };
        let mut unit = known.unwrap_or_default();
        for segment in std::mem::take(&mut self.segments).into_values() {
            unit.copied += segment.copied;
            unit.ahead += segment.ahead;
        }
        self.segments.insert(0, unit);
    }

    /// What a connection that goes on after this one has to know: what was written of segments that are not
    /// complete. What is complete is read no more.
    pub(crate) fn left(&self) -> Self {
        let segments = self.segments.iter().filter(|(_, known)| known.here.is_none());
        let written = |known: &Segment| Segment { here: None, ..*known };
        let segments = segments.map(|(segment, known)| (*segment, written(known))).collect();
        Self { segments, is_unit: self.is_unit, ..Self::default() }
    }

    /// What became of the entries of complete segments.
    pub(crate) fn here(&self) -> Here {
        let mut sum = Here::default();
        self.segments.values().filter_map(|segment| segment.here).for_each(|here| sum.add(here));
        sum
    }

    /// What all synchronizations have read, what was read again included.
    pub(crate) fn synchronized(&self) -> Counts {
        self.synchronized
    }
}

#[cfg(test)]
mod tests;
