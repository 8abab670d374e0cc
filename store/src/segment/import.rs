//! Entries that come from the source, and what is known of one.

use super::{Place, Position, Segment, Step};
use crate::{
    command::{CacheError, Imported},
    effect::Cause,
    entry::{Draft, EntryRef, MAX_KEY, Number},
    source::{Beginning, ConnectionId, Coverage, Link, SourceSegment, SourceSpace},
    time::Timestamp,
};

/// What came of bringing in one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// It is here now.
    Written,
    /// It was already brought in.
    AlreadyHere,
    /// A client's own entry stands here.
    KeptForClient,
    /// A client removed it, or its own entry in its place has ended.
    Tombstone,
    /// Its time is over.
    Expired,
    /// It could not be taken.
    Failed(CacheError),
    /// It was read over a connection that is gone.
    Outdated,
}

/// Which entries an import may put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportRule {
    /// Those without a record, in source segments that are not complete.
    Copy,
    /// Those without a record, and those that were imported and differ: what verify found.
    Repair,
}

/// What a member knows of a key.
#[derive(Clone, Copy, Debug)]
pub enum Standing<'a> {
    /// Nothing.
    Unknown,
    /// It was removed, or has ended, here.
    Tombstone,
    /// A client of this cluster wrote it.
    Local(EntryRef<'a>),
    /// It was brought in and has not been changed since.
    Imported(EntryRef<'a>),
}

impl Segment {
    /// Brings in one entry that was read over `connection`, if the rule lets it.
    pub fn import(
        &mut self,
        placement: u32,
        key: &[u8],
        imported: &Imported<'_>,
        rule: ImportRule,
        connection: ConnectionId,
        now: Timestamp,
    ) -> Import {
        let Some(link) = self.link.as_ref().filter(|link| link.connection == connection) else {
            return Import::Outdated;
        };
        let complete = !link.may_hold(placement);
        if complete && rule == ImportRule::Copy {
            return self.settled(key, now);
        }
        let hash = self.hash(key);
        let found = self.find_living(hash, key, now);
        if let Some(record) = found.and_then(|at| self.table.get_bucket_mut(at)) {
            self.balance -= record.balance();
            record.seen_at_source();
            self.balance += record.balance();
            if record.is_tombstone() {
                return Import::Tombstone;
            }
            if !record.is_imported() {
                return Import::KeptForClient;
            }
            if rule == ImportRule::Copy {
                return Import::AlreadyHere;
            }
        }
        if found.is_none() && rule == ImportRule::Repair && self.forgotten {
            // A client may have removed it meanwhile.
            return Import::Tombstone;
        }
        let place = Place { hash, placement, bucket: found };
        match self.take_in_place(place, key, imported, now) {
            Ok(Some(_)) => Import::Written,
            Ok(None) => Import::Expired,
            Err(error) => Import::Failed(error),
        }
    }

    /// What became of a key whose source segment is complete: everything of it was brought in before.
    fn settled(&self, key: &[u8], now: Timestamp) -> Import {
        match self.inspect(key, now) {
            Standing::Imported(_) => Import::AlreadyHere,
            Standing::Local(_) => Import::KeptForClient,
            // Removed or cleared, or its time was over.
            Standing::Tombstone | Standing::Unknown => Import::Tombstone,
        }
    }

    /// Brings in what a read, or another command, has asked the source for. `None` if its time is over.
    pub(super) fn take_in(
        &mut self,
        hash: u64,
        key: &[u8],
        imported: &Imported<'_>,
        now: Timestamp,
    ) -> Result<Option<usize>, CacheError> {
        self.take_in_place(Place { hash, placement: 0, bucket: None }, key, imported, now)
    }

    fn take_in_place(
        &mut self,
        place: Place,
        key: &[u8],
        imported: &Imported<'_>,
        now: Timestamp,
    ) -> Result<Option<usize>, CacheError> {
        if key.len() > MAX_KEY {
            return Err(CacheError::KeyTooLong { len: key.len(), max: MAX_KEY });
        }
        if imported.metadata.ends().is_some_and(|end| end <= now) {
            return Ok(None);
        }
        let draft = self.imported_draft(key, imported);
        self.make_room(place.bucket, key, draft.memory())?;
        self.stamp = self.versions.next_stamp(self.stamp);
        let bucket = self.put(place.hash, place.bucket, &draft);
        self.emit(Cause::Import, bucket);
        Ok(Some(bucket))
    }

    pub(super) fn imported_draft<'a>(&self, key: &'a [u8], imported: &Imported<'a>) -> Draft<'a> {
        let metadata = imported.metadata;
        Draft {
            key,
            value: imported.value,
            number: Number::Source(metadata.version),
            created: metadata.created.unwrap_or_default(),
            last_used: metadata.last_used.unwrap_or_default(),
            expiration: metadata.expiration,
            at_source: true,
        }
    }

    /// What is known of a key, without using it.
    pub fn inspect(&self, key: &[u8], now: Timestamp) -> Standing<'_> {
        let hash = self.hash(key);
        let Some(record) = self.table.find(hash, |record| record.key() == key) else {
            return Standing::Unknown;
        };
        if record.is_tombstone() {
            return Standing::Tombstone;
        }
        let entry = record.entry(self.versions);
        match (record.is_imported(), record.is_expired(now)) {
            (true, false) => Standing::Imported(entry),
            (false, false) => Standing::Local(entry),
            (true, true) => Standing::Unknown,
            (false, true) => match &self.link {
                Some(link) if self.ended_connected(record, link) => Standing::Tombstone,
                _ => Standing::Unknown,
            },
        }
    }

    /// Ties the segment to a source.
    pub fn connect(&mut self, mut link: Link) {
        let beginning = std::mem::take(&mut self.next);
        self.continues = beginning != Beginning::Anew;
        self.changed_between = std::mem::take(&mut self.changed);
        if self.changed_between && beginning == Beginning::Unchanged {
            // What was removed meanwhile is not remembered: nothing may come in.
            link.complete = Coverage::all(link.space.count());
        }
        // Something is complete from the start only if the same source was connected before.
        self.forgotten = self.changed_between && !link.complete.is_empty();
        self.connected = self.stamp;
        self.link = Some(link);
    }

    /// Sets how the next connection begins. Before one that begins anew, [`Segment::forget_source`] has to
    /// go through all of the segment.
    pub fn begin(&mut self, next: Beginning) {
        self.next = next;
    }

    /// Whether anything had been removed between the last source and this one.
    #[must_use]
    pub fn changed_before_connect(&self) -> bool {
        self.changed_between
    }

    /// The tie to the source, if there is one.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// From now on the source is one unit: nothing of it is complete before all is. What a clear has
    /// removed stays so.
    pub fn become_unit(&mut self, complete: &Coverage) {
        if let Some(link) = &mut self.link {
            let before = (link.space, std::mem::replace(&mut link.complete, complete.clone()));
            link.space = SourceSpace::Unit;
            if self.forgotten {
                link.sealed.get_or_insert_with(|| Box::new(before));
            }
        }
    }

    /// All of a source segment is here: nothing of it is asked for or imported any more.
    pub fn complete(&mut self, segment: SourceSegment) {
        if let Some(link) = &mut self.link {
            link.complete.insert(segment);
        }
    }

    /// As if every source segment were complete: what is not here does not exist.
    pub fn complete_all(&mut self) {
        if let Some(link) = &mut self.link {
            link.complete = Coverage::all(link.space.count());
        }
    }

    /// It is recorded that clients change entries here.
    pub fn mark(&mut self) {
        if let Some(link) = &mut self.link {
            link.marked = true;
        }
    }

    /// Lets go of the source. Tombstones go step by step: see [`Segment::forget_tombstones`].
    pub fn disconnect(&mut self) {
        self.link = None;
        self.changed = false;
    }

    /// Whether anything has happened since the source was disconnected that an import could undo: a
    /// removal, also of a key that is not here, a clear, or the end of a client's own entry.
    #[must_use]
    pub fn changed_since_disconnect(&self) -> bool {
        self.changed
    }

    /// Drops the tombstones of a connection that is gone, in at most `limit` buckets from `position` on, and
    /// moves it. If records have moved since, it begins again. Which entries were imported stays known: a
    /// connection that continues the last one goes on with them.
    pub fn forget_tombstones(&mut self, position: &mut Position, limit: usize) -> Step {
        self.forget(position, limit, false)
    }

    /// As [`Segment::forget_tombstones`]; from then on, all entries count as a client's.
    pub fn forget_source(&mut self, position: &mut Position, limit: usize) -> Step {
        self.forget(position, limit, true)
    }

    fn forget(&mut self, position: &mut Position, limit: usize, origins: bool) -> Step {
        let range = self.next_buckets(position, limit);
        for bucket in range {
            let Ok(mut occupied) = self.table.get_bucket_entry(bucket) else { continue };
            self.balance -= occupied.get().balance();
            if occupied.get().is_tombstone() {
                self.tombstones -= 1;
                let memory = occupied.get().memory();
                occupied.remove();
                self.account.change(memory, 0, 0);
                self.account.change_fixed(memory, 0);
            } else {
                if origins {
                    self.imported -= u64::from(occupied.get().is_imported());
                    occupied.get_mut().forget_source();
                }
                self.balance += occupied.get().balance();
            }
        }
        self.step(position)
    }
}
