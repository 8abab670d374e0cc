//! One of a cache's hash ranges: a table of records and the rules for changing it.
//!
//! A decider: a command and the time go in, an outcome and effects come out. Role, epoch and stamp
//! stand beside the table, so that whoever holds the segment's lock sees all of them at once. How a
//! record lies in memory is [`entry`](crate::entry)'s business, who holds the lock
//! [`Cache`](crate::Cache)'s.
//!
//! Start reading at [`Segment::apply`].

mod background;
mod brought;
mod ended;
mod evicted;
mod import;
mod key_hash;
mod records;
mod walk;

use config::MemoryConfig;
use hashbrown::HashTable;

pub(crate) use self::{background::EVICTION_ROUNDS, key_hash::KeyHasher, walk::Cursor};
pub use self::{
    background::{EVICTION_SAMPLE, Position, Records, Step},
    brought::BroughtIn,
    import::{Import, ImportRule, Settled, Standing},
};
use self::{ended::Ended, evicted::Evicted};
use crate::{
    command::{
        Answer, CacheError, Change, Command, Condition, Etag, Fence, Outcome, Progress, Reply,
        Source,
    },
    effect::{Cause, Effects, Outbox},
    entry::{Draft, EntryRef, MAX_KEY, Number, Record, Value},
    memory::{Account, Usage},
    source::{Beginning, ConnectionId, Link, SourceSpace},
    stamp::{Epoch, Stamp, VersionKey},
    stats::Stats,
    time::{Expiration, Timestamp},
};

/// What this member is to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It orders the writes.
    Primary,
    /// It follows the primary.
    Backup,
    /// It must not serve it until its operator has decided something.
    Fenced(Fence),
}

/// How many entries or bytes a cache may hold, and what happens then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Most entries in the cache.
    pub entries: Option<u64>,
    /// Most bytes in the cache, as the allocator counts them.
    pub bytes: Option<u64>,
    /// What makes room.
    pub when_full: WhenFull,
}

impl Bound {
    /// Whether there is a limit at all.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.entries.is_some() || self.bytes.is_some()
    }

    /// Returns whether a cache that takes this much holds more than the bound once so many entries and bytes are added.
    /// However many bytes tables and tombstones take, which no eviction frees, entries keep half of it.
    pub(crate) fn is_exceeded_by(&self, usage: &Usage, entries: u64, bytes: u64) -> bool {
        let (entries, bytes) = (usage.entries() + entries, usage.bytes() + bytes);
        self.entries.is_some_and(|most| entries > most)
            || self.bytes.is_some_and(|most| {
                bytes > most && bytes.saturating_sub(usage.fixed()) > most / 2 && entries > 1
            })
    }
}

impl From<&MemoryConfig> for Bound {
    fn from(memory: &MemoryConfig) -> Self {
        let when_full = match memory.when_full {
            config::WhenFull::Remove => WhenFull::Evict,
            config::WhenFull::Exception => WhenFull::Refuse,
        };
        Self { entries: memory.max_count, bytes: memory.max_size, when_full }
    }
}

/// What happens to a write into a full cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Entries that were not used lately go.
    #[default]
    Evict,
    /// The write is refused.
    Refuse,
}

/// A hash range of a cache.
pub struct Segment {
    role: Role,
    epoch: Epoch,
    /// Of the newest write.
    stamp: Stamp,
    versions: VersionKey,
    hasher: KeyHasher,
    table: HashTable<Record>,
    /// Grows whenever records may have moved to other buckets.
    generation: u64,
    /// Where eviction looks next.
    hand: usize,
    account: Account,
    bound: Bound,
    /// Set while nothing is evicted for want of memory, because there may be expired entries elsewhere.
    spares_entries: bool,
    mortal: u64,
    tombstones: u64,
    /// Entries that were imported over the connection that there is, or over the last one.
    imported: u64,
    /// Sum of [`Record::balance`].
    balance: i64,
    link: Option<Link>,
    /// The newest write before the source was connected.
    connected: Stamp,
    /// Whether keys were removed since then, or just before it, that left no tombstones.
    forgotten: bool,
    /// Whether tombstones were released although the source may turn out to have such a key elsewhere.
    released: bool,
    /// Whether an imported entry has gone that the source may still have: not all that it has is marked.
    unsure: bool,
    /// Part of the balance that belongs to keys which are no longer remembered.
    unremembered: i64,
    /// Set while there is no source, once something happened that an import could undo: a removal, also
    /// of a key that is not here, a clear, or the end of a client's own entry.
    changed: bool,
    /// Whether that had happened between the last source and this one.
    changed_between: bool,
    /// How the next connection begins.
    next: Beginning,
    /// Whether this connection continues the one before it.
    continues: bool,
    /// Set while the source is silent: see [`Segment::set_silent`].
    silent: Option<Timestamp>,
    /// Imported entries whose time was over here and that the source still had.
    lived_on: u64,
    /// Records of [`Record::is_adopted`].
    adopted: u64,
    /// Adopted entries that have ended without a client, and of which no record is left.
    adopted_gone: u64,
    /// Clients' entries that have ended and left nothing.
    ended: Ended,
    /// Entries that had to make room.
    evicted: u64,
    /// Those of them that were imported, over the connections that continue each other.
    evicted_imported: Evicted,
    /// Entries of clients that had to make room, over those connections: they are nowhere else.
    evicted_own: u64,
    /// Entries that had made room before the first of the connections that continue each other.
    evicted_before: u64,
    /// See [`BroughtIn::repaired`].
    repaired: u64,
    /// See [`BroughtIn::changed`].
    changed_imported: u64,
    /// Whether everything of the last source was here when it was disconnected.
    was_complete: bool,
    outbox: Outbox,
    stats: Stats,
}

impl Segment {
    /// An empty segment, of which this member is the primary.
    pub(crate) fn new(
        versions: VersionKey,
        hasher: KeyHasher,
        account: Account,
        bound: Bound,
    ) -> Self {
        Self {
            role: Role::Primary,
            epoch: Epoch::default(),
            stamp: Stamp::default(),
            versions,
            hasher,
            table: HashTable::new(),
            generation: 0,
            hand: 0,
            account,
            bound,
            spares_entries: false,
            mortal: 0,
            tombstones: 0,
            imported: 0,
            balance: 0,
            link: None,
            connected: Stamp::default(),
            forgotten: false,
            released: false,
            unsure: false,
            unremembered: 0,
            changed: false,
            changed_between: false,
            next: Beginning::Anew,
            continues: false,
            silent: None,
            lived_on: 0,
            adopted: 0,
            adopted_gone: 0,
            ended: Ended::default(),
            evicted: 0,
            evicted_imported: Evicted::default(),
            evicted_own: 0,
            evicted_before: 0,
            repaired: 0,
            changed_imported: 0,
            was_complete: false,
            outbox: Outbox::default(),
            stats: Stats::default(),
        }
    }

    /// Makes this member the primary or a backup of the segment, from `epoch` on. The stamps of the
    /// new epoch stand after those of every earlier one.
    pub fn install(&mut self, role: Role, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.stamp = self.stamp.max(Stamp::start_of(epoch));
        }
        self.role = role;
    }

    /// The epoch in which its writes are ordered now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn set_bound(&mut self, bound: Bound) {
        self.bound = bound;
    }

    /// Carries out `command` as far as it can be without waiting. `placement` is the placement hash of
    /// its key.
    ///
    /// # Errors
    ///
    /// If the command cannot be carried out now. Nothing has changed then.
    #[inline]
    pub fn apply(
        &mut self,
        placement: u32,
        command: &Command<'_>,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        self.check_served()?;
        if let Source::Asked(connection, _) = command.source
            && !self.is_connected_over(connection)
        {
            // Whoever answered is no longer, or not yet, the source.
            let command = Command { source: Source::NotAsked, ..*command };
            return self.apply(placement, &command, now, reply);
        }
        let hash = self.hash(command.key);
        let (mut found, mut overdue) = match self.find(hash, command.key, now) {
            Found::Nothing => (None, false),
            Found::Standing(bucket) => (Some(bucket), false),
            Found::Overdue(bucket) => (Some(bucket), true),
        };
        let may_come = || self.may_be_at_source(placement) || self.may_be_misplaced();
        if overdue || (found.is_none() && may_come()) {
            let place = Place { hash, placement, bucket: found, overdue };
            match command.source {
                Source::NotAsked | Source::Asked(_, Answer::Silent)
                    if self.goes_without_source(place, command) => {}
                Source::NotAsked if command.depends_on_entry() => return Ok(Progress::Load),
                Source::Asked(_, Answer::Silent) if !command.may_go_without_source() => {
                    return Err(CacheError::SourceSilent);
                }
                Source::Asked(_, Answer::Entry(imported)) => {
                    match self.take_in(place, command.key, &imported) {
                        Ok(bucket) => {
                            self.lived_on += u64::from(overdue);
                            (found, overdue) = (Some(bucket), false);
                        }
                        Err(error) => {
                            let record = self.imported_draft(command.key, &imported).record();
                            return self.apply_to_passing(place, &record, command, error, reply);
                        }
                    }
                }
                Source::Asked(_, Answer::Absent) if overdue => {
                    self.expire(place);
                    (found, overdue) = (None, false);
                }
                _ => {}
            }
        }
        let place = Place { hash, placement, bucket: found, overdue };
        let standing = if overdue { None } else { self.standing(found) };
        // What asks for an entry has looked for it, and counts as a read besides.
        let looked = command.condition.asks_for_entry().then_some(standing.is_some());
        let progress = match standing {
            None => self.apply_to_nothing(place, command, now, reply),
            Some(entry) if !holds(command.condition, &entry) => {
                reply.reply(Outcome::Refused { current: entry });
                self.touch_if(looked.is_some(), found, now);
                Ok(Progress::Done)
            }
            Some(_) => self.apply_to_entry(place, command, now, reply),
        }?;
        if let (Some(found), Progress::Done | Progress::Held(_)) = (looked, progress) {
            self.stats.count_read(found);
        }
        Ok(progress)
    }

    fn touch_if(&mut self, used: bool, bucket: Option<usize>, now: Timestamp) {
        let record = bucket.filter(|_| used).and_then(|at| self.table.get_bucket_mut(at));
        if let Some(record) = record {
            record.touch(now);
        }
    }

    /// Whether this member carries out commands on the segment.
    #[inline]
    pub(crate) fn check_served(&self) -> Result<(), CacheError> {
        match self.role {
            Role::Primary => Ok(()),
            Role::Backup => Err(CacheError::NotExecuted),
            Role::Fenced(fence) => Err(CacheError::Fenced(fence)),
        }
    }

    fn apply_to_nothing(
        &mut self,
        place: Place,
        command: &Command<'_>,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        match (command.change, command.condition) {
            (
                Change::Write { value, expiration },
                Condition::Always | Condition::Absent | Condition::NotEtag(_),
            ) => self.write(place, command.key, value, expiration, now, reply),
            (Change::Remove, Condition::Always) => {
                self.note_change();
                let is_unknown = (place.bucket.is_none() || place.overdue) && self.link.is_some();
                if is_unknown && self.must_mark() {
                    return Ok(Progress::Mark);
                }
                if place.overdue {
                    self.end(place, Cause::Remove);
                } else if is_unknown {
                    self.remember_removal(place, command.key)?;
                }
                if place.bucket.is_none() {
                    self.note_client(place);
                }
                self.stats.remove_misses += 1;
                // Nobody knows whether there was an entry; there is none from now on.
                reply.reply(match command.source {
                    Source::Asked(_, Answer::Silent) => Outcome::Changed { previous: None },
                    _ => Outcome::Missing,
                });
                Ok(Progress::Done)
            }
            (Change::Read, _) => {
                self.stats.misses += 1;
                reply.reply(Outcome::Missing);
                Ok(Progress::Done)
            }
            (Change::Remove, _) => {
                self.note_change();
                if place.bucket.is_none() {
                    self.note_client(place);
                }
                reply.reply(Outcome::Missing);
                Ok(Progress::Done)
            }
            (Change::Write { .. }, _) => {
                reply.reply(Outcome::Missing);
                Ok(Progress::Done)
            }
        }
    }

    /// Applies a command to an entry of the source for which there is no room here: what need not keep
    /// it is done all the same.
    fn apply_to_passing(
        &mut self,
        place: Place,
        record: &Record,
        command: &Command<'_>,
        no_room: CacheError,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        let entry = record.entry(self.versions);
        match command.change {
            _ if !holds(command.condition, &entry) => {
                reply.reply(Outcome::Refused { current: entry });
            }
            Change::Read => {
                self.stats.hits += 1;
                reply.reply(Outcome::Found(entry));
            }
            Change::Write { .. } => return Err(no_room),
            Change::Remove if self.must_mark() => return Ok(Progress::Mark),
            Change::Remove => {
                if place.overdue {
                    self.end(place, Cause::Remove);
                } else {
                    self.check_tombstones()?;
                    self.insert_tombstone(place.hash, command.key, true)?;
                    self.note_client(place);
                }
                self.stats.remove_hits += 1;
                reply.reply(Outcome::Changed { previous: Some(entry) });
            }
        }
        Ok(Progress::Done)
    }

    fn apply_to_entry(
        &mut self,
        place: Place,
        command: &Command<'_>,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        match command.change {
            Change::Read => {
                self.stats.hits += 1;
                let bounded = self.bound.is_some();
                if let Some(record) = place.bucket.and_then(|at| self.table.get_bucket_mut(at)) {
                    if bounded {
                        record.count_use();
                    }
                    record.touch(now);
                    reply.reply(Outcome::Found(record.entry(self.versions)));
                }
                Ok(Progress::Done)
            }
            Change::Write { value, expiration } => {
                self.write(place, command.key, value, expiration, now, reply)
            }
            Change::Remove => {
                if self.must_mark() {
                    return Ok(Progress::Mark);
                }
                self.stats.remove_hits += 1;
                reply.reply(Outcome::Changed { previous: self.standing(place.bucket) });
                self.end(place, Cause::Remove);
                Ok(Progress::Done)
            }
        }
    }

    fn write(
        &mut self,
        place: Place,
        key: &[u8],
        value: Value<'_>,
        expiration: Expiration,
        now: Timestamp,
        reply: &mut impl Reply,
    ) -> Result<Progress, CacheError> {
        if self.must_mark() {
            return Ok(Progress::Mark);
        }
        if key.len() > MAX_KEY {
            return Err(CacheError::KeyTooLong { len: key.len(), max: MAX_KEY });
        }
        if place.bucket.is_none() && self.may_be_at_source(place.placement) {
            self.check_tombstones()?;
        }
        let number = Number::Stamp(self.stamp);
        let is_new = place.bucket.is_none();
        let standing = place.bucket.and_then(|at| self.table.get_bucket(at));
        let at_source = standing.is_some_and(Record::is_at_source);
        let mut draft =
            Draft { key, value, number, created: now, last_used: now, expiration, at_source };
        self.make_room(place.bucket, key, draft.memory())?;
        let previous = if place.overdue { None } else { self.standing(place.bucket) };
        reply.reply(Outcome::Changed { previous });
        self.stats.stores += 1;
        // Only now: what had to make room has stamps of its own.
        self.stamp = self.versions.next_stamp(self.stamp);
        draft.number = Number::Stamp(self.stamp);
        let bucket = self.put(place.hash, place.bucket, &draft);
        if is_new {
            self.note_client(place);
        }
        self.emit(Cause::Write, bucket);
        Ok(Progress::Done)
    }

    /// Notes, while there is no source, that the next one could bring back what a client has removed.
    fn note_change(&mut self) {
        self.changed |= self.link.is_none();
    }

    fn is_connected_over(&self, connection: ConnectionId) -> bool {
        self.link.as_ref().is_some_and(|link| link.connection == connection)
    }

    fn may_be_at_source(&self, placement: u32) -> bool {
        self.link.as_ref().is_some_and(|link| link.may_hold(placement))
    }

    /// Returns whether the source may have a key that is not here although its segment is complete: one that it
    /// places in another segment, in a way of its own. That shows only once all segments were read. Until then the
    /// source is asked for keys of complete segments too, as long as all that were removed there are remembered.
    fn may_be_misplaced(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| !link.is_complete() && link.space != SourceSpace::Unit)
            && !self.has_released()
    }

    /// Whether a change has to wait until it is recorded that clients change entries here.
    fn must_mark(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.marked)
    }

    /// Hash of a key in the table: keyed, unlike the placement hash.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Effects from now on wait for a reader.
    pub fn read_effects(&mut self) {
        self.outbox.open();
    }

    /// The effects since the last time.
    pub fn take_effects(&mut self) -> Effects {
        self.outbox.take()
    }

    /// Tells the cache and the member of all that was not told yet.
    pub fn settle_account(&mut self) {
        self.account.settle();
    }

    /// Counts since the start or the last reset.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Entries that had to make room, ever.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Entries that had to make room since the source was first connected, without those of clients: a connection that
    /// continues an earlier one counts on.
    #[must_use]
    pub fn evicted_since_source(&self) -> u64 {
        self.evicted - self.evicted_before - self.evicted_own
    }

    /// Entries that clients have written and that had to make room since then. No source has them, so they are nowhere
    /// else. A client's clear begins anew.
    #[must_use]
    pub fn evicted_own(&self) -> u64 {
        self.evicted_own
    }

    /// Imported entries that had to make room, without those that have come in again. Another
    /// source, or a fresh beginning, starts at 0.
    #[must_use]
    pub fn evicted_imported(&self) -> u64 {
        self.evicted_imported.count()
    }

    /// Starts counting anew.
    pub fn reset_stats(&mut self) {
        self.stats = Stats::default();
    }

    /// Entries, with those whose time is over and that nobody has met yet.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.account.entries()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that can end by themselves.
    #[must_use]
    pub fn mortal(&self) -> u64 {
        self.mortal
    }

    /// Entries that were not imported over the connection that there is, or over the last one.
    #[must_use]
    pub fn local_len(&self) -> u64 {
        self.len().saturating_sub(self.imported)
    }

    /// Tombstones.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// By how many entries the segment is larger than the same part of its source, as far as is known.
    #[must_use]
    pub fn balance(&self) -> i64 {
        self.balance + self.unremembered
    }

    /// Bytes that records and table take.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.account.bytes()
    }
}

/// Where a key's record stands or would stand.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    placement: u32,
    bucket: Option<usize>,
    /// Whether the time of the entry in the bucket is over: it counts as none here, and the source may
    /// still have it.
    overdue: bool,
}

/// What a key's record is.
#[derive(Clone, Copy)]
enum Found {
    /// There is none.
    Nothing,
    /// An entry, or a tombstone.
    Standing(usize),
    /// An imported entry whose time is over here; the source may still have it.
    Overdue(usize),
}

fn holds(condition: Condition, entry: &EntryRef<'_>) -> bool {
    match condition {
        Condition::Always | Condition::Present => true,
        Condition::Absent => false,
        Condition::Version(version) => entry.version() == version,
        Condition::Etag(etag) => Etag::of(entry.value().bytes()) == etag,
        Condition::NotEtag(etag) => Etag::of(entry.value().bytes()) != etag,
    }
}

#[cfg(test)]
mod tests;
