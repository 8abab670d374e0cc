//! What is done to a segment beside commands, a bounded step at a time: expiry, eviction, clearing.

use std::ops::Range;

use hashbrown::HashTable;
use media::hash;

use super::{Place, Role, Segment};
use crate::{
    effect::{Cause, Effect},
    entry::Record,
    time::Timestamp,
};

/// Entries that an eviction looks at, at most: the last of them goes, however much it was used.
pub const EVICTION_SAMPLE: usize = 64;

/// Buckets that an eviction looks at, at most: many of them may be free, or hold tombstones.
const EVICTION_BUCKETS: usize = 1_024;

/// Times that eviction comes round before it gives up: uses are forgiven one a time, up to three.
pub(crate) const EVICTION_ROUNDS: usize = 4;

/// How far background work has come in one segment. It starts over when records have moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    generation: u64,
    bucket: usize,
}

/// Whether background work has come to the end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// All of it was seen.
    End,
}

impl Segment {
    /// The next buckets, at most `limit`; `position` moves behind them. From the start, if records have
    /// moved since.
    pub(super) fn next_buckets(&self, position: &mut Position, limit: usize) -> Range<usize> {
        if position.generation != self.generation {
            *position = Position { generation: self.generation, bucket: 0 };
        }
        let begin = position.bucket;
        position.bucket = self.table.num_buckets().min(begin.saturating_add(limit));
        begin..position.bucket
    }

    pub(super) fn step(&self, position: &Position) -> Step {
        if position.bucket < self.table.num_buckets() { Step::More } else { Step::End }
    }

    /// Number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.table.num_buckets()
    }

    /// Ends what is over in at most `limit` buckets from `from` on, except what the source may still have: see
    /// [`Segment::overdue`]. Returns the bucket to go on from.
    pub fn sweep(&mut self, from: usize, limit: usize, now: Timestamp) -> Option<usize> {
        if self.mortal == 0 {
            return None;
        }
        let end = self.table.num_buckets().min(from.saturating_add(limit));
        for bucket in from..end {
            if let Some(record) = self.table.get_bucket(bucket)
                && record.is_expired(now)
                && !self.is_overdue(record, now)
            {
                let place = self.place_of(bucket);
                self.expire(place);
            }
        }
        (end < self.table.num_buckets()).then_some(end)
    }

    /// Shows the keys of imported entries whose time was over here before `before`, and that the source may
    /// still have, in at most `limit` buckets from `position` on, and moves it.
    pub fn overdue(
        &self,
        position: &mut Position,
        limit: usize,
        before: Timestamp,
        mut visit: impl FnMut(&[u8]),
    ) -> Step {
        if self.mortal == 0 || self.link.is_none() {
            return Step::End;
        }
        for bucket in self.next_buckets(position, limit) {
            if let Some(record) = self.table.get_bucket(bucket)
                && self.is_overdue(record, before)
            {
                visit(record.key());
            }
        }
        self.step(position)
    }

    /// Gives back most of a table that has become far too large for what is in it.
    pub fn shrink(&mut self) {
        const WORTH_IT: usize = 4096;
        let buckets = self.table.num_buckets();
        if buckets < WORTH_IT || self.table.len() > buckets / 8 {
            return;
        }
        self.generation += 1;
        let from = self.table.allocation_size();
        let hasher = &self.hasher;
        self.table.shrink_to(self.table.len() * 2, |record| hasher.hash(record.key()));
        self.table_changed(from);
    }

    /// Makes room for one entry: from the hand to the end of the table, the first one that was not used
    /// lately goes, or the last of `sample` that were looked at; but not the one under `keep`. False if
    /// there is none within a bounded step. At the end, the hand starts anew.
    pub fn evict(&mut self, keep: Option<&[u8]>, sample: &mut usize) -> bool {
        let end = self.table.num_buckets().min(self.hand + EVICTION_BUCKETS);
        while self.hand < end {
            let bucket = self.hand;
            self.hand += 1;
            let Some(record) = self.table.get_bucket_mut(bucket) else { continue };
            if record.is_tombstone() || Some(record.key()) == keep {
                continue;
            }
            *sample = sample.saturating_sub(1);
            if !record.forgive_use() || *sample == 0 {
                self.stats.evictions += 1;
                self.evicted += 1;
                let is_imported = record.is_imported();
                self.evicted_own += u64::from(!is_imported && !record.is_adopted());
                let place = self.place_of(bucket);
                if is_imported {
                    self.note_evicted(place.hash);
                }
                self.end(place, Cause::Evict);
                return true;
            }
        }
        if self.hand >= self.table.num_buckets() {
            self.hand = 0;
        }
        false
    }

    /// Empties the segment. The records are returned, so that they are freed outside of its lock. `None`
    /// while a source is connected and [`Segment::end_imports`] was not called: what is cleared could come
    /// back from it, or after a restart.
    pub fn clear(&mut self) -> Option<Records> {
        if self.link.as_ref().is_some_and(|link| !link.cleared) {
            return None;
        }
        // Of what is removed here no tombstones stay.
        self.forgotten = self.link.is_some();
        self.note_change();
        self.clear_evicted();
        // What was evicted would be gone by now.
        self.evicted_before += std::mem::take(&mut self.evicted_own);
        Some(self.take_records())
    }

    /// Removes the entries that were imported, in at most `limit` buckets from `position` on, and moves it. `None`
    /// while a source is connected that more could come from: see [`Segment::clear`].
    pub fn remove_imported(&mut self, position: &mut Position, limit: usize) -> Option<Step> {
        if self.link.as_ref().is_some_and(|link| !link.cleared) {
            return None;
        }
        // What the source had not given by then is removed too, and not remembered.
        self.forgotten |= self.link.is_some();
        self.note_change();
        self.clear_evicted();
        for bucket in self.next_buckets(position, limit) {
            if self.table.get_bucket(bucket).is_some_and(Record::is_imported) {
                let place = self.place_of(bucket);
                self.end(place, Cause::Remove);
            }
        }
        Some(self.step(position))
    }

    /// Empties the segment and gives up its part of the cache, which is removed.
    pub(crate) fn remove(&mut self) -> Records {
        self.role = Role::Backup;
        self.disconnect();
        self.take_records()
    }

    fn take_records(&mut self) -> Records {
        self.stamp = self.versions.next_stamp(self.stamp);
        // Where there is a source, all of it counts as here by now.
        self.count_changed(0, self.imported);
        let table = std::mem::take(&mut self.table);
        self.forget_ended();
        self.account.clear();
        self.generation += 1;
        (self.mortal, self.tombstones, self.imported, self.hand) = (0, 0, 0, 0);
        (self.balance, self.unremembered) = (0, 0);
        (self.adopted, self.adopted_gone) = (0, 0);
        if self.outbox.is_read() {
            let (stamp, key) = (self.stamp, Box::default());
            self.outbox.push(Effect { stamp, key, cause: Cause::Clear, entry: None });
        }
        Records(table)
    }

    fn place_of(&self, bucket: usize) -> Place {
        let key = self.table.get_bucket(bucket).map_or(&[][..], Record::key);
        let (hash, placement) = (self.hash(key), hash::hash(key));
        Place { hash, placement, bucket: Some(bucket), overdue: false }
    }
}

/// The records of a cleared segment.
#[must_use = "dropping it outside of the segment's lock is what it is for"]
pub struct Records(#[expect(dead_code, reason = "only dropped")] HashTable<Record>);
