//! Entries that come from the source, and what is known of one.

use super::{Found, Place, Position, Segment, Step};
use crate::{
    command::{Answer, CacheError, Change, Command, Imported, Source},
    effect::Cause,
    entry::{Draft, EntryRef, MAX_KEY, Number},
    source::{Beginning, ConnectionId, Coverage, Link, SourceSegment, SourceSpace},
    time::{Expiration, Lifetime, Timestamp},
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
    /// It could not be taken.
    Failed(CacheError),
    /// It was read over a connection that is gone.
    Outdated,
}

/// Which entries an import may put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportRule {
    /// Those without a record, in source segments that are not complete: what a walk has shown, perhaps long
    /// ago. An imported entry whose time is over here lives on if the walk has shown the very same one.
    Copy,
    /// Those without a record, and those that were imported and differ: what the source has just answered when
    /// verify asked it. Where an entry would have to make room, it fails.
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
    /// It was brought in, and its time is over here; the source may still have it.
    Overdue(EntryRef<'a>),
}

/// What came of asking the source for an entry whose time is over here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The source still has it: it lives on.
    LivesOn,
    /// The source does not have it either: it has ended.
    Ended,
    /// Nothing: the entry was used or replaced meanwhile, or the source did not say.
    Unchanged,
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
        let (complete, cleared) = (!link.may_hold(placement), link.cleared);
        let hash = self.hash(key);
        let found = match self.find(hash, key, now) {
            // What the source has read ahead may be over by now as well.
            Found::Overdue(_) if imported.metadata.ends().is_some_and(|end| end <= now) => {
                return Import::AlreadyHere;
            }
            // A walk may be behind another one: what it shows could be older than what stands here. The source is
            // asked for this entry anyway.
            Found::Overdue(bucket)
                if rule == ImportRule::Copy && !self.is_same_entry(bucket, imported) =>
            {
                return Import::AlreadyHere;
            }
            Found::Overdue(bucket) => {
                let place = Place { hash, placement, bucket: Some(bucket), overdue: true };
                return match self.live_on(place, key, imported) {
                    Ok(()) => Import::AlreadyHere,
                    Err(error) => Import::Failed(error),
                };
            }
            Found::Standing(bucket) => Some(bucket),
            Found::Nothing => None,
        };
        if complete && rule == ImportRule::Copy {
            return self.settled(key, now);
        }
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
        let may_be_outdated = || {
            let is_known = self.evicted_imported.has(hash);
            cleared || (!is_known && (self.forgotten || self.may_have_ended(placement)))
        };
        if found.is_none() && rule == ImportRule::Repair && may_be_outdated() {
            // A client may have removed it meanwhile, or its own entry in its place has ended.
            return Import::Tombstone;
        }
        let place = Place { hash, placement, bucket: found, overdue: false };
        let repaired = match rule {
            ImportRule::Repair => self.repair(place, key, imported),
            ImportRule::Copy => self.take_in(place, key, imported),
        };
        match repaired {
            Ok(_) => Import::Written,
            Err(error) => Import::Failed(error),
        }
    }

    /// Brings in an entry of the source, unless others would have to make room for it: those may be right, and would be
    /// missing instead.
    fn repair(
        &mut self,
        place: Place,
        key: &[u8],
        imported: &Imported<'_>,
    ) -> Result<usize, CacheError> {
        self.check_room(place.bucket, self.imported_draft(key, imported).memory())?;
        let spared = std::mem::replace(&mut self.spares_entries, true);
        let taken = self.take_in(place, key, imported);
        self.spares_entries = spared;
        taken
    }

    /// Returns whether an entry of the source is the one in the bucket, and no earlier or later one of its key. A
    /// source does not give every entry a version, so that alone would not tell.
    fn is_same_entry(&self, bucket: usize, imported: &Imported<'_>) -> bool {
        self.standing(Some(bucket)).is_some_and(|entry| {
            let (ours, theirs) = (entry.metadata(), imported.metadata);
            // A source reports whole seconds, and the rest of one may have been added.
            let seconds = |lifetime: Option<Lifetime>| lifetime.map(Lifetime::whole_secs);
            let lifetimes = |of: Expiration| (seconds(of.lifespan), seconds(of.max_idle));
            ours.version == theirs.version
                && lifetimes(ours.expiration) == lifetimes(theirs.expiration)
                && entry.value().bytes() == imported.value.bytes()
        })
    }

    /// Takes in what the source says of an entry whose time is over here. Nothing happens if that has
    /// changed meanwhile, or if the connection over which it was asked is gone.
    ///
    /// # Errors
    ///
    /// If there is no memory left for it. Nothing has changed then.
    pub fn settle(
        &mut self,
        placement: u32,
        key: &[u8],
        answer: &Answer<'_>,
        connection: ConnectionId,
        now: Timestamp,
    ) -> Result<Settled, CacheError> {
        if self.link.as_ref().is_none_or(|link| link.connection != connection) {
            return Ok(Settled::Unchanged);
        }
        let hash = self.hash(key);
        let Found::Overdue(bucket) = self.find(hash, key, now) else {
            return Ok(Settled::Unchanged);
        };
        let place = Place { hash, placement, bucket: Some(bucket), overdue: true };
        match answer {
            Answer::Entry(imported) => {
                self.live_on(place, key, imported).map(|()| Settled::LivesOn)
            }
            Answer::Absent => {
                self.expire(place);
                Ok(Settled::Ended)
            }
            Answer::Silent => Ok(Settled::Unchanged),
        }
    }

    /// Puts what the source has in the place of an entry whose time is over here.
    pub(super) fn live_on(
        &mut self,
        place: Place,
        key: &[u8],
        imported: &Imported<'_>,
    ) -> Result<(), CacheError> {
        self.take_in(place, key, imported)?;
        self.lived_on += 1;
        Ok(())
    }

    /// Imported entries whose time was over here and that the source still had, since it was connected.
    #[must_use]
    pub fn lived_on(&self) -> u64 {
        self.lived_on
    }

    /// The source has said nothing for some time, or is heard again (`None`). While it is silent, and where
    /// everything of it is here, reads take an imported entry whose time is over here to be gone. Changes that
    /// depend on it do so too if its lifespan ended before `over`: by then it has ended at the source as well, by
    /// the source's clock as far as it is known. The record stays, so that the source can still say that the
    /// entry lives. What is said of another connection than this one counts for nothing.
    pub fn set_silent(&mut self, connection: ConnectionId, over: Option<Timestamp>) {
        if self.is_connected_over(connection) {
            // What an earlier connection brought was corrected by what was known of the clocks then.
            let over = over.map(|over| if self.continues { Timestamp::default() } else { over });
            self.silent = over;
        }
    }

    /// Whether a command may go without a word from the source: about a key of a complete source segment that is
    /// not here, or about an entry whose time is over here.
    pub(super) fn goes_without_source(&self, place: Place, command: &Command<'_>) -> bool {
        if !place.overdue && !self.may_be_at_source(place.placement) {
            return self.silent.is_some() || !matches!(command.source, Source::NotAsked);
        }
        let Some(over) = self.silent else { return false };
        let record = place.bucket.and_then(|bucket| self.table.get_bucket(bucket));
        let has_ended = || record.is_some_and(|record| record.lifespan_ended_before(over));
        place.overdue
            && !self.may_be_at_source(place.placement)
            && (matches!(command.change, Change::Read) || has_ended())
    }

    /// What became of a key whose source segment is complete: everything of it was brought in before.
    fn settled(&self, key: &[u8], now: Timestamp) -> Import {
        match self.inspect(key, now) {
            Standing::Imported(_) | Standing::Overdue(_) => Import::AlreadyHere,
            Standing::Local(_) => Import::KeptForClient,
            // Removed or cleared, or its time was over.
            Standing::Tombstone | Standing::Unknown => Import::Tombstone,
        }
    }

    /// Brings in an entry of the source. Returns its bucket.
    pub(super) fn take_in(
        &mut self,
        place: Place,
        key: &[u8],
        imported: &Imported<'_>,
    ) -> Result<usize, CacheError> {
        if key.len() > MAX_KEY {
            return Err(CacheError::KeyTooLong { len: key.len(), max: MAX_KEY });
        }
        let draft = self.imported_draft(key, imported);
        self.make_room_for_import(place.bucket, key, draft.memory())?;
        if place.bucket.is_none() {
            let late = !self.may_be_at_source(place.placement);
            let comes_back = self.evicted_imported.comes_in(place.hash, late);
            self.repaired += u64::from(late && !comes_back);
        }
        self.stamp = self.versions.next_stamp(self.stamp);
        let bucket = self.put(place.hash, place.bucket, &draft);
        self.emit(Cause::Import, bucket);
        Ok(bucket)
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
            (true, true) if self.is_overdue(record, now) => Standing::Overdue(entry),
            (true, true) => Standing::Unknown,
            (false, true) => match &self.link {
                Some(link) if self.stood_connected(record, link) && self.is_kept(record, link) => {
                    Standing::Tombstone
                }
                _ => Standing::Unknown,
            },
        }
    }

    /// Ties the segment to a source.
    pub fn connect(&mut self, mut link: Link) {
        let beginning = std::mem::take(&mut self.next);
        self.continues = beginning != Beginning::Anew;
        if !self.continues {
            (self.evicted_before, self.evicted_own) = (self.evicted, 0);
            self.forget_evicted();
            (self.repaired, self.changed_imported) = (0, 0);
            // What has ended comes again, if the source still has it.
            self.adopted_gone = 0;
        }
        self.changed_between = std::mem::take(&mut self.changed);
        if self.changed_between && beginning == Beginning::Unchanged {
            // What was removed meanwhile is not remembered: nothing may come in.
            link.complete = Coverage::all(link.space.count());
        }
        // Something is complete from the start only if the same source was connected before.
        self.forgotten = self.changed_between && !link.complete.is_empty();
        (self.released, self.unremembered) = (false, 0);
        // What was removed over the connection before this one is not marked.
        self.unsure = self.continues;
        self.connected = self.stamp;
        self.lived_on = 0;
        self.silent = None;
        self.link = Some(link);
    }

    /// Sets how the next connection begins. Before one that begins anew, [`Segment::forget_source`] has to
    /// go through all of the segment.
    pub fn begin(&mut self, next: Beginning) {
        self.next = next;
    }

    /// Returns whether the connection to the source continues an earlier one: some entries may have been brought in
    /// over that.
    #[must_use]
    pub fn continues_earlier(&self) -> bool {
        self.continues
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
        let has_released = self.has_released();
        if let Some(link) = &mut self.link {
            let before = (link.space, std::mem::replace(&mut link.complete, complete.clone()));
            link.space = SourceSpace::Unit;
            // All of it is read again.
            (self.repaired, self.changed_imported) = (0, 0);
            if has_released {
                link.sealed.get_or_insert_with(|| Box::new(before));
            }
        }
    }

    /// Whether the source turned out to be one unit when removals were no longer remembered: parts of it are never
    /// brought in.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.sealed.is_some())
    }

    /// All of a source segment is here: nothing of it is asked for or imported any more.
    pub fn complete(&mut self, segment: SourceSegment) {
        if let Some(link) = &mut self.link {
            link.complete.insert(segment);
        }
    }

    /// It is recorded that a client clears the cache: every source segment counts as complete, and what is
    /// not here does not exist.
    pub fn end_imports(&mut self) {
        if let Some(link) = &mut self.link {
            link.complete = Coverage::all(link.space.count());
            link.cleared = true;
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
        self.was_complete = self.link.take().is_some_and(|link| link.is_complete());
        self.changed = false;
        // A connection that continues this one repairs nothing that is not here if clients have written anything.
        self.forget_ended();
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

    /// Entries that were imported once, count as a client's since a connection began anew, and were not written or
    /// removed by any client since; those included that have ended here since then. Whether the source has changed or
    /// removed them, nobody knows.
    #[must_use]
    pub fn adopted(&self) -> u64 {
        self.adopted + self.adopted_gone
    }

    fn forget(&mut self, position: &mut Position, limit: usize, origins: bool) -> Step {
        let range = self.next_buckets(position, limit);
        for bucket in range {
            let Ok(mut occupied) = self.table.get_bucket_entry(bucket) else { continue };
            self.balance -= occupied.get().balance();
            if occupied.get().is_tombstone() {
                self.tombstones -= 1;
                let adopted = u64::from(occupied.get().is_adopted());
                (self.adopted, self.adopted_gone) =
                    (self.adopted - adopted, self.adopted_gone + adopted);
                let memory = occupied.get().memory();
                occupied.remove();
                self.account.change(memory, 0, 0);
                self.account.change_tombstone(memory, 0);
            } else {
                if origins {
                    let imported = u64::from(occupied.get().is_imported());
                    (self.imported, self.adopted) =
                        (self.imported - imported, self.adopted + imported);
                    occupied.get_mut().forget_source();
                }
                self.balance += occupied.get().balance();
            }
        }
        self.step(position)
    }
}
