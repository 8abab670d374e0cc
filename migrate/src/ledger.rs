//! What became of the source's entries, over all copies through one connection.
//!
//! A decider. A source segment may be read several times: by a job that was interrupted, by the one after it,
//! and for a client's iteration. The reading that completes it meets each of its entries once, so those of
//! complete segments are told apart by that reading, and what it found here already by how it had come here.

use std::collections::BTreeMap;

use serde::Serialize;
use store::BroughtIn;

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
    /// Complete segments that were read, through this connection or those that it continues.
    pub segments: u32,
    /// Entries that the source had in them then; the sum of the next six.
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
    /// Entries that a verification has fetched after that, without those that came back after an eviction.
    pub repaired: u64,
    /// Entries that were brought in, had to make room here, and have not come back.
    pub evicted: u64,
    /// Entries that clients have written and that had to make room here since the cache was connected: they are nowhere
    /// else, and in none of the other counts.
    pub clients_evicted: u64,
    /// Entries that were brought in, and that clients have changed or removed, or that have ended, since their segment
    /// is complete.
    pub changed_since: u64,
    /// Entries that came in before their segment was complete, and that the source did not have any more when it was
    /// read to its end. Known once everything is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_before: Option<u64>,
    /// Entries that are here as they came: those that were copied, read through, brought in ahead, repaired or gone
    /// before, without those that were evicted or changed since. Known once everything is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_they_came: Option<u64>,
}

impl Here {
    /// The same with what the cache has counted since. `is_all` is whether these are all segments.
    pub(crate) fn with_since(self, since: BroughtIn, is_all: bool) -> Self {
        let BroughtIn { here, evicted, repaired, changed } = since;
        let known = Self { repaired, evicted, changed_since: changed, ..self };
        if !is_all {
            return known;
        }
        let came = self.copied + self.read_through + self.ahead + repaired;
        let are = here + evicted + changed;
        Self {
            gone_before: Some(are.saturating_sub(came)),
            // Clients may be quicker than the note that a segment is complete.
            changed_since: changed + came.saturating_sub(are),
            as_they_came: Some(here),
            ..known
        }
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
    /// What became of the entries of segments that were complete before this connection.
    before: Here,
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
            ..Here::default()
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
        if !was_unit {
            let before = std::mem::take(&mut self.before);
            (unit.copied, unit.ahead) = (before.copied, before.ahead);
        }
        for segment in std::mem::take(&mut self.segments).into_values() {
            unit.copied += segment.copied;
            unit.ahead += segment.ahead;
        }
        self.segments.insert(0, unit);
    }

    /// What a connection that goes on after this one has to know: what became of the entries of complete segments,
    /// which are read no more, and what was written of the others.
    pub(crate) fn left(&self) -> Self {
        let segments = self.segments.iter().filter(|(_, known)| known.here.is_none());
        let written = |known: &Segment| Segment { here: None, ..*known };
        let segments = segments.map(|(segment, known)| (*segment, written(known))).collect();
        Self { segments, before: self.here(), is_unit: self.is_unit, ..Self::default() }
    }

    /// What became of the entries of complete segments.
    pub(crate) fn here(&self) -> Here {
        let mut sum = self.before;
        sum.add(self.read_here());
        sum
    }

    /// What became of those of the segments that were read through this connection.
    pub(crate) fn read_here(&self) -> Here {
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
