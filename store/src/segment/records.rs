//! The table of a segment: how records come into it, end, and make room for others; and what counts of
//! them.

use media::hash;

use super::{EVICTION_ROUNDS, EVICTION_SAMPLE, Found, Place, Position, Segment, Step, WhenFull};
use crate::{
    command::CacheError,
    effect::{Cause, Effect, EffectEntry},
    entry::{Draft, EntryRef, Record, Value},
    source::Link,
    time::Timestamp,
};

/// Entries that one write evicts, at most, where the member's memory is at its limit.
const MOST_EVICTED: usize = 64;

impl Segment {
    /// Puts a record into its bucket, or into a free one. The one place where entries come in.
    pub(super) fn put(&mut self, hash: u64, bucket: Option<usize>, draft: &Draft<'_>) -> usize {
        self.mortal += u64::from(!draft.expiration.is_never());
        if let Some(bucket) = bucket
            && let Some(record) = self.table.get_bucket_mut(bucket)
        {
            let from = record.memory();
            self.mortal -= u64::from(record.is_mortal());
            let was_imported = record.is_imported();
            self.imported -= u64::from(was_imported);
            self.adopted -= u64::from(record.is_adopted());
            self.balance -= record.balance();
            let was_tombstone = record.is_tombstone();
            draft.replace(record);
            self.balance += record.balance();
            let is_changed = was_imported && !record.is_imported();
            self.imported += u64::from(record.is_imported());
            self.tombstones -= u64::from(was_tombstone);
            self.account.change(from, draft.memory(), i64::from(was_tombstone));
            if was_tombstone {
                self.account.change_tombstone(from, 0);
            }
            if is_changed {
                self.count_changed(hash::hash(draft.key), 1);
            }
            return bucket;
        }
        self.account.change(0, draft.memory(), 1);
        let record = draft.record();
        self.balance += record.balance();
        self.imported += u64::from(record.is_imported());
        self.insert(hash, record)
    }

    pub(super) fn insert(&mut self, hash: u64, record: Record) -> usize {
        if self.table.len() == self.table.capacity() {
            // The table may grow, or move its records within itself.
            self.generation += 1;
            let from = self.table.allocation_size();
            let hasher = &self.hasher;
            self.table.reserve(1, |record| hasher.hash(record.key()));
            self.table_changed(from);
        }
        let hasher = &self.hasher;
        self.table.insert_unique(hash, record, |record| hasher.hash(record.key())).bucket_index()
    }

    /// Counts the bytes of a table that took `from` before.
    pub(super) fn table_changed(&mut self, from: usize) {
        let to = self.table.allocation_size();
        self.account.change(from, to, 0);
        self.account.change_fixed(from, to);
    }

    /// Removes a key that has no record, so that the source's entry does not come any more.
    pub(super) fn insert_tombstone(
        &mut self,
        hash: u64,
        key: &[u8],
        at_source: bool,
    ) -> Result<(), CacheError> {
        let memory = Record::tombstone_memory(key);
        self.make_memory(key, memory)?;
        self.stamp = self.versions.next_stamp(self.stamp);
        let tombstone = Record::tombstone(key, self.stamp, at_source, false);
        self.account.change(0, memory, 0);
        self.account.change_tombstone(0, memory);
        self.tombstones += 1;
        self.balance += tombstone.balance();
        let bucket = self.insert(hash, tombstone);
        self.emit(Cause::Remove, bucket);
        Ok(())
    }

    /// Remembers that a key of which nothing is known was removed: the source may have it, or get it from
    /// others. Where everything of the source is here, that may be too much.
    pub(super) fn remember_removal(&mut self, place: Place, key: &[u8]) -> Result<(), CacheError> {
        if self.may_be_at_source(place.placement) {
            self.check_tombstones()?;
            return self.insert_tombstone(place.hash, key, false);
        }
        let most = self.link.as_ref().map_or(0, |link| link.max_tombstones);
        // Entries are worth more, so what is left for them at the last is not taken.
        let node = self.account.usage().node();
        let reserve = usize::try_from(node.limit() / 8).unwrap_or(usize::MAX);
        let needed = reserve.saturating_add(Record::tombstone_memory(key));
        if self.tombstones >= most || node.has_many_tombstones() || node.refuses(needed) {
            self.forgotten = true;
            return Ok(());
        }
        self.insert_tombstone(place.hash, key, false)
    }

    /// Whether there may be one more record that has to be remembered until its source segment is complete.
    /// Forgetting it instead would bring its key back.
    pub(super) fn check_tombstones(&self) -> Result<(), CacheError> {
        let node = self.account.usage().node();
        if node.is_full_of_tombstones() {
            return Err(CacheError::TooManyTombstones { limit: node.tombstone_limit() });
        }
        Ok(())
    }

    /// Drops tombstones of complete source segments that can be done without, in at most `limit` buckets from
    /// `position` on, and moves it: nothing is imported there any more. What stays is what a verification or
    /// a rollback needs: removals, and what the source has; as far as there is room for it.
    pub fn release_tombstones(&mut self, position: &mut Position, limit: usize) -> Step {
        let range = self.next_buckets(position, limit);
        for bucket in range {
            let Some(record) = self.table.get_bucket(bucket).filter(|it| it.is_tombstone()) else {
                continue;
            };
            let Some(link) = &self.link else { return Step::End };
            if link.may_hold(hash::hash(record.key())) {
                continue;
            }
            let is_needed = record.is_removal() || record.is_at_source() || self.unsure;
            let has_room = self.tombstones <= link.max_tombstones
                && !self.account.usage().node().has_many_tombstones();
            if is_needed && has_room {
                continue;
            }
            let (memory, balance) = (record.memory(), record.balance());
            let adopted = u64::from(record.is_adopted());
            let ended = (!is_needed).then(|| hash::hash(record.key()));
            let Ok(occupied) = self.table.get_bucket_entry(bucket) else { continue };
            occupied.remove();
            self.forgotten |= is_needed;
            self.released = true;
            (self.adopted, self.adopted_gone) =
                (self.adopted - adopted, self.adopted_gone + adopted);
            self.tombstones -= 1;
            // The source has its key all the same.
            self.balance -= balance;
            self.unremembered += balance;
            self.account.change(memory, 0, 0);
            self.account.change_tombstone(memory, 0);
            ended.into_iter().for_each(|placement| self.note_ended(placement));
        }
        self.step(position)
    }

    /// Ends the entry in a bucket. It becomes a tombstone where the source's copy could come back in
    /// its place, or where rollback has to know of it.
    pub(super) fn end(&mut self, place: Place, cause: Cause) {
        let Some(bucket) = place.bucket else { return };
        self.stamp = self.versions.next_stamp(self.stamp);
        let leaves_tombstone = self.leaves_tombstone(bucket, place.placement, cause);
        let Ok(mut occupied) = self.table.get_bucket_entry(bucket) else { return };
        let record = occupied.get_mut();
        // An imported entry that ends by itself, or has to make room, may come back: nobody removed it.
        self.changed |= self.link.is_none() && (cause == Cause::Remove || !record.is_imported());
        let from = record.memory();
        self.mortal -= u64::from(record.is_mortal());
        let was_imported = record.is_imported();
        self.imported -= u64::from(was_imported);
        let is_adopted = record.is_adopted();
        let is_still_adopted = is_adopted && cause != Cause::Remove;
        self.adopted -= u64::from(is_adopted && !(is_still_adopted && leaves_tombstone));
        self.adopted_gone += u64::from(is_still_adopted && !leaves_tombstone);
        let to = if leaves_tombstone { Record::tombstone_memory(record.key()) } else { 0 };
        self.account.change(from, to, -1);
        if leaves_tombstone {
            self.account.change_tombstone(0, to);
        }
        self.tombstones += u64::from(leaves_tombstone);
        self.balance -= record.balance();
        let key = self.outbox.is_read().then(|| Box::from(record.key()));
        if leaves_tombstone {
            let ended = cause != Cause::Remove;
            *record = Record::tombstone(record.key(), self.stamp, record.is_at_source(), ended);
            if is_still_adopted {
                record.remains_of_adopted();
            }
            self.balance += record.balance();
        } else {
            occupied.remove();
        }
        if was_imported && cause != Cause::Evict {
            self.count_changed(place.placement, 1);
        }
        if let Some(key) = key {
            self.outbox.push(Effect { stamp: self.stamp, key, cause, entry: None });
        }
    }

    pub(super) fn leaves_tombstone(&mut self, bucket: usize, placement: u32, cause: Cause) -> bool {
        let Some(link) = &self.link else { return false };
        let Some(record) = self.table.get_bucket(bucket) else { return false };
        let ended_here = match cause {
            Cause::Remove => true,
            // An imported entry that ends by itself is unknown again: the source's copy ends likewise.
            Cause::Expire => !record.is_imported() && self.stood_connected(record, link),
            // One that had ended before the source was connected only makes room now, unseen.
            Cause::Evict => !record.is_imported() && self.stood_connected(record, link),
            Cause::Write | Cause::Import | Cause::Clear => false,
        };
        // One that expires is not at the source any more either.
        self.unsure |= record.is_imported() && cause == Cause::Evict;
        if !ended_here || link.may_hold(placement) {
            return ended_here;
        }
        let is_needed = cause == Cause::Remove || self.is_kept(record, link);
        let has_room = self.tombstones < link.max_tombstones
            && !self.account.usage().node().has_many_tombstones();
        if is_needed && !has_room {
            self.forgotten = true;
            self.unremembered -= i64::from(record.is_at_source());
        }
        if !is_needed {
            self.note_ended(placement);
        }
        self.released |= !is_needed || !has_room;
        is_needed && has_room
    }

    /// Whether an entry that has ended has to be remembered. Where everything of its source segment is here, only
    /// if the source has its key: then it was marked.
    pub(super) fn is_kept(&self, record: &Record, link: &Link) -> bool {
        record.is_at_source() || self.unsure || link.may_hold(hash::hash(record.key()))
    }

    /// Whether there may be removed keys that are not remembered.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten
    }

    /// Notes that a client's entry has ended, of which nothing is kept.
    fn note_ended(&mut self, placement: u32) {
        let before = self.ended.memory();
        let node = self.account.usage().node();
        self.ended.insert(placement, |bytes| node.has_room_for_filter(bytes));
        self.account.change_filter(before, self.ended.memory());
    }

    /// Forgets which of them have.
    pub(super) fn forget_ended(&mut self) {
        let before = std::mem::take(&mut self.ended).memory();
        self.account.change_filter(before, 0);
    }

    /// Notes that an entry of the source has to make room.
    pub(super) fn note_evicted(&mut self, hash: u64) {
        let before = self.evicted_imported.memory();
        self.evicted_imported.insert(hash);
        self.account.change_filter(before, self.evicted_imported.memory());
    }

    /// Returns whether the entry of this key is known to have made room: no client has written or removed the key since.
    pub(crate) fn has_evicted(&self, key: &[u8]) -> bool {
        self.evicted_imported.has(self.hash(key))
    }

    /// Notes that a client removes all that was brought in, also what is not here.
    pub(super) fn clear_evicted(&mut self) {
        self.count_changed(0, self.evicted_imported.count());
        self.forget_evicted();
    }

    /// Notes that a client writes or removes a key that is not here. If its entry had to make room, it is not missing
    /// any more.
    pub(super) fn note_client(&mut self, place: Place) {
        if self.evicted_imported.comes_in(place.hash, false) {
            self.count_changed(place.placement, 1);
        }
    }

    /// Forgets which of them have.
    pub(super) fn forget_evicted(&mut self) {
        let before = std::mem::take(&mut self.evicted_imported).memory();
        self.account.change_filter(before, 0);
    }

    /// Returns whether a client's own entry under this key may have ended, of which nothing is kept: what the source
    /// has could be older than that.
    pub(super) fn may_have_ended(&self, placement: u32) -> bool {
        self.ended.may_contain(placement)
    }

    /// Returns whether a client has written an entry under this key, or may have: one that is here, swept or not, or
    /// one that has ended.
    pub(crate) fn may_have_been_written(&self, key: &[u8]) -> bool {
        let record = self.table.find(self.hash(key), |record| record.key() == key);
        let was_written = record.zip(self.link.as_ref()).is_some_and(|(record, link)| {
            !record.is_tombstone() && !record.is_imported() && self.stood_connected(record, link)
        });
        was_written || self.may_have_ended(hash::hash(key))
    }

    /// Whether keys could come back if what is complete now were read again.
    pub(crate) fn has_released(&self) -> bool {
        self.forgotten || self.released
    }

    /// Whether a local entry was still there when the source was connected, or when the connection that this
    /// one continues was.
    pub(super) fn stood_connected(&self, record: &Record, link: &Link) -> bool {
        let ends = record.entry(self.versions).metadata().ends();
        self.continues
            || record.is_newer_than(self.connected)
            || ends.is_none_or(|end| end > link.since)
    }

    /// The record of a key. An entry whose time is over is ended first, unless the source may still have it.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &[u8], now: Timestamp) -> Found {
        let Some(bucket) = self.table.find_bucket_index(hash, |record| record.key() == key) else {
            return Found::Nothing;
        };
        let Some(record) = self.table.get_bucket(bucket) else { return Found::Nothing };
        if !record.is_expired(now) {
            return Found::Standing(bucket);
        }
        if self.is_overdue(record, now) {
            return Found::Overdue(bucket);
        }
        let place =
            Place { hash, placement: hash::hash(key), bucket: Some(bucket), overdue: false };
        self.expire(place);
        match self.table.get_bucket(bucket) {
            Some(record) if record.key() == key => Found::Standing(bucket),
            _ => Found::Nothing,
        }
    }

    /// Whether the time of an imported entry is over here but may not be at its source: clients may use the
    /// entry there, and the source's clock may differ, also from the one that the source is thought to have.
    #[inline]
    pub(super) fn is_overdue(&self, record: &Record, now: Timestamp) -> bool {
        record.is_imported() && self.link.is_some() && record.is_expired(now)
    }

    pub(super) fn expire(&mut self, place: Place) {
        self.stats.expirations += 1;
        self.end(place, Cause::Expire);
    }

    /// The entry in a bucket; `None` for a tombstone too.
    #[inline]
    pub(super) fn standing(&self, bucket: Option<usize>) -> Option<EntryRef<'_>> {
        let record = self.table.get_bucket(bucket?)?;
        (!record.is_tombstone()).then(|| record.entry(self.versions))
    }

    /// Makes sure that an entry of the source of `to` bytes may be taken in. A bound that refuses writes is
    /// for clients: what the source has comes in as long as there is memory.
    pub(super) fn make_room_for_import(
        &mut self,
        bucket: Option<usize>,
        key: &[u8],
        to: usize,
    ) -> Result<(), CacheError> {
        let standing = bucket.and_then(|at| self.table.get_bucket(at));
        self.make_memory(key, to.saturating_sub(standing.map_or(0, Record::memory)))
    }

    /// Makes sure that nothing is evicted, because of the cache's bound, for `to` bytes in the place of what is in the
    /// bucket.
    pub(super) fn check_room(
        &mut self,
        bucket: Option<usize>,
        to: usize,
    ) -> Result<(), CacheError> {
        if !self.bound.is_some() || self.bound.when_full == WhenFull::Refuse {
            return Ok(());
        }
        self.account.settle();
        let standing = bucket.and_then(|at| self.table.get_bucket(at));
        let more = to.saturating_sub(standing.map_or(0, Record::memory)) as u64;
        let is_new = u64::from(standing.is_none_or(Record::is_tombstone));
        let usage = self.account.usage();
        if (more > 0 || is_new > 0) && self.bound.is_exceeded_by(usage, is_new, more) {
            return Err(CacheError::Full);
        }
        Ok(())
    }

    /// Makes sure that `to` bytes may be taken in the place of what is in the bucket.
    pub(super) fn make_room(
        &mut self,
        bucket: Option<usize>,
        key: &[u8],
        to: usize,
    ) -> Result<(), CacheError> {
        let standing = bucket.and_then(|at| self.table.get_bucket(at));
        let from = standing.map_or(0, Record::memory);
        let is_new = standing.is_none_or(Record::is_tombstone);
        let more = to.saturating_sub(from);
        let usage = self.account.usage();
        if self.bound.when_full == WhenFull::Refuse {
            let entries = usage.entries() + u64::from(is_new);
            let bytes = usage.bytes() + more as u64;
            if self.bound.entries.is_some_and(|most| is_new && entries > most)
                || self.bound.bytes.is_some_and(|most| more > 0 && bytes > most)
            {
                return Err(CacheError::Full);
            }
        }
        self.make_memory(key, more)
    }

    /// Returns how many bytes more there are once an entry of `to` bytes is written under `key`, and whether it
    /// is one more entry. An entry there whose time is over is ended first, as the write would.
    pub(crate) fn growth(&mut self, key: &[u8], to: usize, now: Timestamp) -> (usize, bool) {
        let standing = match self.find(self.hash(key), key, now) {
            Found::Nothing => None,
            Found::Standing(bucket) | Found::Overdue(bucket) => self.table.get_bucket(bucket),
        };
        let from = standing.map_or(0, Record::memory);
        let is_new = standing.is_none_or(Record::is_tombstone);
        self.account.settle();
        (to.saturating_sub(from), is_new)
    }

    /// Makes sure that the member has `more` bytes left, for the record of `key`. A cache that evicts
    /// gives up entries of its own for them, unless a few of those would not be enough.
    pub(super) fn make_memory(&mut self, key: &[u8], more: usize) -> Result<(), CacheError> {
        let node = self.account.usage().node();
        if more == 0 || !node.refuses(more) {
            return Ok(());
        }
        let limit = node.limit();
        let missing = node.used().saturating_add(more as u64).saturating_sub(limit);
        let evicts =
            self.bound.is_some() && self.bound.when_full == WhenFull::Evict && !self.spares_entries;
        let mut left = if evicts && missing <= self.evictable() { MOST_EVICTED } else { 0 };
        while self.account.usage().node().refuses(more) {
            let mut sample = EVICTION_SAMPLE;
            if left == 0 || !(0..=EVICTION_ROUNDS).any(|_| self.evict(Some(key), &mut sample)) {
                return Err(CacheError::OutOfMemory { limit });
            }
            left -= 1;
        }
        Ok(())
    }

    /// About how many bytes one write can free by evictions.
    fn evictable(&self) -> u64 {
        let len = self.len().max(1);
        (self.account.bytes() / len).saturating_mul(len.min(MOST_EVICTED as u64))
    }

    /// Sets whether a write that lacks memory is refused rather than evict entries.
    pub(crate) fn spare_entries(&mut self, spare: bool) {
        self.spares_entries = spare;
    }

    pub(super) fn emit(&mut self, cause: Cause, bucket: usize) {
        if !self.outbox.is_read() {
            return;
        }
        let Some(record) = self.table.get_bucket(bucket) else { return };
        let entry = (!record.is_tombstone()).then(|| {
            let entry = record.entry(self.versions);
            let value = match entry.value() {
                Value::Inline(bytes) => bytes.into(),
                Value::Shared(bytes) => std::sync::Arc::clone(bytes),
            };
            EffectEntry { value, metadata: entry.metadata() }
        });
        let key = record.key().into();
        self.outbox.push(Effect { stamp: self.stamp, key, cause, entry });
    }
}
