//! The memory layout of an entry. No other file knows it.
//!
//! One allocation holds, in this order: stamp or version (8 bytes), flags (1), length of the key
//! (3), created and lifespan (8 + 8, if there is a lifespan), last used and max idle (8 + 8, if
//! there is a max idle), the key, the value. The last use of an imported entry shares its 8 bytes
//! with the last use at the source, which is in the bits that an instant does not need. A header of
//! 12 bytes keeps 16 + 100 bytes in the allocator's class of 128. A value over [`SHARED_FROM`]
//! bytes has its own allocation, so that a reader can share it instead of copying it under the
//! segment's lock.
#![expect(clippy::indexing_slicing, reason = "ranges are computed from the header written here")]

use std::{fmt, sync::Arc};

use crate::{
    memory::allocated,
    stamp::{Stamp, Version, VersionKey},
    time::{Expiration, Lifetime, Timestamp},
};

/// Values longer than this, in bytes, are shared instead of copied.
pub const SHARED_FROM: usize = 16 * 1024;

/// Longest key of an entry, in bytes. The setting for what clients may send is lower.
pub const MAX_KEY: usize = config::MAX_KEY;

const HEADER: usize = 12;
const PAIR: usize = 16;

/// Bits for the instant of the last use, enough until the year 2109.
const INSTANT_BITS: u32 = 42;
const INSTANT: u64 = (1 << INSTANT_BITS) - 1;
/// The bits above hold the last use at the source: the low bits of its seconds, which tell apart
/// instants within 48 days.
const SECONDS: u64 = u64::MAX >> INSTANT_BITS;
/// Seconds by which the last use at the source may be the later one, because its clock may differ.
const AHEAD: u64 = 24 * 60 * 60;

/// The flag byte.
mod flag {
    pub(super) const LIFESPAN: u8 = 1;
    pub(super) const MAX_IDLE: u8 = 1 << 1;
    pub(super) const TOMBSTONE: u8 = 1 << 2;
    /// Imported from the source that is connected now.
    pub(super) const IMPORTED: u8 = 1 << 3;
    /// The version is the source's, not a stamp. Without `IMPORTED`, an earlier source connection
    /// imported the entry; on a tombstone, such an entry has expired or was evicted.
    pub(super) const FOREIGN: u8 = 1 << 4;
    /// Two bits: how often the entry was used recently, for eviction.
    pub(super) const USES: u8 = 0b11 << 5;
    pub(super) const ONE_USE: u8 = 1 << 5;
    /// On a tombstone: the entry expired or was evicted; no client removed it.
    pub(super) const ENDED: u8 = 1 << 5;
    /// The source is known to have an entry under this key.
    pub(super) const AT_SOURCE: u8 = 1 << 7;
}

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this cluster wrote or removed it.
    Local,
    /// Imported from the source that is connected now.
    Imported,
}

/// A value in memory.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// Bytes next to the key, or in a read buffer.
    Inline(&'a [u8]),
    /// Bytes in a shared allocation.
    Shared(&'a Arc<[u8]>),
}

impl<'a> Value<'a> {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

/// Entry metadata: what is stored besides key and value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryMetadata {
    /// For compare-and-set.
    pub version: Version,
    /// When the entry was written; kept only with a lifespan.
    pub created: Option<Timestamp>,
    /// When the entry was last read or written; kept only with a max idle.
    pub last_used: Option<Timestamp>,
    /// Lifespan and max idle.
    pub expiration: Expiration,
}

impl EntryMetadata {
    /// Returns when the entry expires unless it is used before; `None` means never.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        let by_age = self.created.zip(self.expiration.lifespan).map(|(at, by)| at.after(by));
        let by_idling = self.last_used.zip(self.expiration.max_idle).map(|(at, by)| at.after(by));
        match (by_age, by_idling) {
            (Some(age), Some(idling)) => Some(age.min(idling)),
            (one, other) => one.or(other),
        }
    }
}

/// An entry, borrowed under the lock of its segment.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    head: &'a [u8],
    value: Value<'a>,
    versions: VersionKey,
}

impl<'a> EntryRef<'a> {
    /// Returns the key as stored.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        key(self.head)
    }

    /// Returns the value as stored.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.value
    }

    /// Returns the same entry with another value: its form in another media type.
    #[must_use]
    pub fn with_value<'b>(&self, value: &'b [u8]) -> EntryRef<'b>
    where
        'a: 'b,
    {
        EntryRef { head: self.head, value: Value::Inline(value), versions: self.versions }
    }

    /// Copies the entry out of its segment's lock; a large value is shared instead.
    #[must_use]
    pub fn take(&self) -> TakenEntry {
        let value = match self.value {
            Value::Inline(bytes) => bytes.into(),
            Value::Shared(bytes) => Arc::clone(bytes),
        };
        TakenEntry { head: self.head[..key_end(self.head)].into(), value, versions: self.versions }
    }

    /// Returns the version alone, which is what most conditions compare.
    #[must_use]
    pub fn version(&self) -> Version {
        let number = word(self.head, 0);
        if flags(self.head) & flag::FOREIGN == 0 {
            self.versions.version(Stamp::from_bits(number))
        } else {
            Version(number)
        }
    }

    /// Returns version, instants and expiration.
    #[must_use]
    pub fn metadata(&self) -> EntryMetadata {
        let mut metadata = EntryMetadata { version: self.version(), ..EntryMetadata::default() };
        if let Some(at) = lifespan_at(self.head) {
            metadata.created = Some(Timestamp::from_millis(word(self.head, at)));
            metadata.expiration.lifespan = Some(Lifetime::from_millis(word(self.head, at + 8)));
        }
        if let Some(at) = max_idle_at(self.head) {
            metadata.last_used = Some(Timestamp::from_millis(word(self.head, at) & INSTANT));
            metadata.expiration.max_idle = Some(Lifetime::from_millis(word(self.head, at + 8)));
        }
        metadata
    }

    /// Returns when an imported entry with a max idle was last used at the source, in whole
    /// seconds, as the source reported it with the entry; uses here do not change it. After 47 days
    /// of use here the value is lost, and a later instant is returned.
    #[must_use]
    pub fn last_used_at_source(&self) -> Option<Timestamp> {
        let at = max_idle_at(self.head).filter(|_| self.origin() == Origin::Imported)?;
        let (used, at_source) =
            (word(self.head, at) & INSTANT, word(self.head, at) >> INSTANT_BITS);
        let moved = (used / 1_000).wrapping_sub(at_source).wrapping_add(AHEAD) & SECONDS;
        let seconds = (used / 1_000 + AHEAD).saturating_sub(moved);
        Some(Timestamp::from_millis(seconds * 1_000))
    }

    /// Returns where the entry came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        if flags(self.head) & flag::IMPORTED == 0 { Origin::Local } else { Origin::Imported }
    }
}

/// A copy of an entry, for work that is too slow for the segment's lock.
#[derive(Clone)]
pub struct TakenEntry {
    head: Box<[u8]>,
    value: Arc<[u8]>,
    versions: VersionKey,
}

impl TakenEntry {
    /// Borrows the entry.
    #[must_use]
    pub fn entry(&self) -> EntryRef<'_> {
        EntryRef { head: &self.head, value: Value::Shared(&self.value), versions: self.versions }
    }
}

impl fmt::Debug for TakenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry().fmt(f)
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRef")
            .field("key", &self.key())
            .field("value", &self.value)
            .field("metadata", &self.metadata())
            .finish()
    }
}

/// A record to be written.
pub(crate) struct Draft<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Value<'a>,
    pub(crate) number: Number,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) expiration: Expiration,
    /// Whether the source is known to have an entry under this key.
    pub(crate) at_source: bool,
}

/// The 8-byte field that serves as both order and version.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    Stamp(Stamp),
    Source(Version),
}

impl Draft<'_> {
    /// Returns the bytes that the record will take from the allocator.
    pub(crate) fn memory(&self) -> usize {
        match self.value {
            Value::Inline(value) => allocated(self.head_len() + value.len()),
            Value::Shared(value) => shared_memory(self.head_len(), value.len()),
        }
    }

    /// Returns the bytes that a client's entry will take, with a long value in its own allocation.
    pub(crate) fn memory_of(key: &[u8], value: &[u8], expiration: Expiration) -> usize {
        let (number, at_source) = (Number::Stamp(Stamp::default()), false);
        let (created, last_used) = (Timestamp::default(), Timestamp::default());
        let inline = Value::Inline(value);
        let draft = Draft { key, value: inline, number, created, last_used, expiration, at_source };
        if value.len() > SHARED_FROM {
            shared_memory(draft.head_len(), value.len())
        } else {
            draft.memory()
        }
    }

    pub(crate) fn record(&self) -> Record {
        match self.value {
            Value::Inline(value) => {
                let mut bytes = Vec::with_capacity(self.head_len() + value.len());
                self.write_head(&mut bytes);
                bytes.extend_from_slice(value);
                Record::Packed(bytes.into_boxed_slice())
            }
            Value::Shared(value) => {
                let mut head = Vec::with_capacity(self.head_len());
                self.write_head(&mut head);
                let value = Arc::clone(value);
                Record::Shared(Box::new(SharedValue { head: head.into_boxed_slice(), value }))
            }
        }
    }

    /// Replaces `record` by this one, in the same memory if both have the same shape.
    pub(crate) fn replace(&self, record: &mut Record) {
        match (&mut *record, self.value) {
            (Record::Packed(bytes), Value::Inline(value))
                if bytes.len() == self.head_len() + value.len()
                    && flags(bytes) & (flag::LIFESPAN | flag::MAX_IDLE)
                        == self.flags() & (flag::LIFESPAN | flag::MAX_IDLE) =>
            {
                let uses = flags(bytes) & flag::USES;
                let at = bytes.len() - value.len();
                self.rewrite_head(bytes);
                bytes[8] |= uses;
                bytes[at..].copy_from_slice(value);
            }
            _ => *record = self.record(),
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = match self.number {
            Number::Stamp(_) => 0,
            Number::Source(_) => flag::IMPORTED | flag::FOREIGN,
        };
        if self.expiration.lifespan.is_some() {
            flags |= flag::LIFESPAN;
        }
        if self.expiration.max_idle.is_some() {
            flags |= flag::MAX_IDLE;
        }
        if self.at_source {
            flags |= flag::AT_SOURCE;
        }
        flags
    }

    fn head_len(&self) -> usize {
        let pairs = usize::from(self.expiration.lifespan.is_some())
            + usize::from(self.expiration.max_idle.is_some());
        HEADER + pairs * PAIR + self.key.len()
    }

    fn write_head(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.header());
        if let Some(lifespan) = self.expiration.lifespan {
            bytes.extend_from_slice(&pair(self.created.millis(), lifespan.millis()));
        }
        if let Some(max_idle) = self.expiration.max_idle {
            bytes.extend_from_slice(&pair(self.last_use(), max_idle.millis()));
        }
        bytes.extend_from_slice(self.key);
    }

    /// Writes all of the head except the key, over a head of the same shape and key.
    fn rewrite_head(&self, bytes: &mut [u8]) {
        bytes[..HEADER].copy_from_slice(&self.header());
        let mut at = HEADER;
        if let Some(lifespan) = self.expiration.lifespan {
            bytes[at..at + PAIR].copy_from_slice(&pair(self.created.millis(), lifespan.millis()));
            at += PAIR;
        }
        if let Some(max_idle) = self.expiration.max_idle {
            bytes[at..at + PAIR].copy_from_slice(&pair(self.last_use(), max_idle.millis()));
        }
    }

    /// Returns the 8 bytes for the last use here and at the source.
    fn last_use(&self) -> u64 {
        let used = self.last_used.millis().min(INSTANT);
        match self.number {
            Number::Stamp(_) => used,
            Number::Source(_) => used | (used / 1_000) << INSTANT_BITS,
        }
    }

    fn header(&self) -> [u8; HEADER] {
        let number = match self.number {
            Number::Stamp(stamp) => stamp.bits(),
            Number::Source(version) => version.0,
        };
        header(number, self.flags(), self.key.len())
    }
}

/// A record in its segment: an entry or a tombstone.
pub(crate) enum Record {
    Packed(Box<[u8]>),
    Shared(Box<SharedValue>),
}

/// A record whose value has its own allocation. `head` has the layout above, without a value.
pub(crate) struct SharedValue {
    head: Box<[u8]>,
    value: Arc<[u8]>,
}

impl Record {
    /// Creates the tombstone of a removed, expired or evicted local entry.
    pub(crate) fn tombstone(key: &[u8], stamp: Stamp, at_source: bool, ended: bool) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + key.len());
        let flags = flag::TOMBSTONE
            | if at_source { flag::AT_SOURCE } else { 0 }
            | if ended { flag::ENDED } else { 0 };
        bytes.extend_from_slice(&header(stamp.bits(), flags, key.len()));
        bytes.extend_from_slice(key);
        Self::Packed(bytes.into_boxed_slice())
    }

    /// Returns the bytes that a tombstone of this key takes from the allocator.
    pub(crate) fn tombstone_memory(key: &[u8]) -> usize {
        allocated(HEADER + key.len())
    }

    #[inline]
    fn head(&self) -> &[u8] {
        match self {
            Self::Packed(bytes) => bytes,
            Self::Shared(shared) => &shared.head,
        }
    }

    fn head_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Packed(bytes) => bytes,
            Self::Shared(shared) => &mut shared.head,
        }
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        key(self.head())
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        flags(self.head()) & flag::TOMBSTONE != 0
    }

    /// Returns whether it is the tombstone of an entry that a client removed, not of one that
    /// expired or was evicted.
    pub(crate) fn is_removal(&self) -> bool {
        flags(self.head()) & (flag::TOMBSTONE | flag::ENDED) == flag::TOMBSTONE
    }

    pub(crate) fn is_imported(&self) -> bool {
        flags(self.head()) & flag::IMPORTED != 0
    }

    /// Returns whether it was imported over a source connection that the present one does not
    /// continue, and no client has written or removed it since; or whether it is the tombstone of
    /// such an entry.
    pub(crate) fn is_adopted(&self) -> bool {
        flags(self.head()) & (flag::IMPORTED | flag::FOREIGN) == flag::FOREIGN
    }

    /// Marks it as the tombstone of an adopted entry.
    pub(crate) fn remains_of_adopted(&mut self) {
        self.head_mut()[8] |= flag::FOREIGN;
    }

    /// Returns whether it was written here after the write with `stamp`.
    pub(crate) fn is_newer_than(&self, stamp: Stamp) -> bool {
        let head = self.head();
        flags(head) & flag::FOREIGN == 0 && Stamp::from_bits(word(head, 0)) > stamp
    }

    /// Returns whether it can expire.
    pub(crate) fn is_mortal(&self) -> bool {
        flags(self.head()) & (flag::LIFESPAN | flag::MAX_IDLE) != 0
    }

    /// Returns whether the source is known to have an entry under this key.
    pub(crate) fn is_at_source(&self) -> bool {
        flags(self.head()) & flag::AT_SOURCE != 0
    }

    /// Records that the source has an entry under this key.
    pub(crate) fn seen_at_source(&mut self) {
        self.head_mut()[8] |= flag::AT_SOURCE;
    }

    /// Returns by how much the record makes the cache larger than its source, as far as is known: 1
    /// for an entry that the source does not have, -1 for a tombstone of an entry that it has.
    pub(crate) fn balance(&self) -> i64 {
        match flags(self.head()) & (flag::TOMBSTONE | flag::AT_SOURCE) {
            0 => 1,
            both if both == flag::TOMBSTONE | flag::AT_SOURCE => -1,
            _ => 0,
        }
    }

    /// Makes it count as local, because the source connection it came through is gone.
    pub(crate) fn forget_source(&mut self) {
        self.head_mut()[8] &= !(flag::IMPORTED | flag::AT_SOURCE);
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        let head = self.head();
        let passed = |at, bits| {
            let begins = Timestamp::from_millis(word(head, at) & bits);
            begins.after(Lifetime::from_millis(word(head, at + 8))) <= now
        };
        self.is_mortal()
            && (lifespan_at(head).is_some_and(|at| passed(at, u64::MAX))
                || max_idle_at(head).is_some_and(|at| passed(at, INSTANT)))
    }

    /// Returns whether it has a lifespan that ended before this instant.
    pub(crate) fn lifespan_ended_before(&self, at: Timestamp) -> bool {
        let head = self.head();
        lifespan_at(head).is_some_and(|from| {
            let created = Timestamp::from_millis(word(head, from));
            created.after(Lifetime::from_millis(word(head, from + 8))) < at
        })
    }

    /// Records a use of the entry.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        let head = self.head_mut();
        if let Some(at) = max_idle_at(head) {
            let used = word(head, at) & !INSTANT | now.millis().min(INSTANT);
            head[at..at + 8].copy_from_slice(&used.to_ne_bytes());
        }
    }

    /// Counts a recent use, up to three.
    pub(crate) fn count_use(&mut self) {
        let head = self.head_mut();
        if head[8] & flag::USES != flag::USES {
            head[8] += flag::ONE_USE;
        }
    }

    /// Takes one recent use away. Returns whether there was one; if not, the entry may be evicted.
    pub(crate) fn forgive_use(&mut self) -> bool {
        let head = self.head_mut();
        let used = head[8] & flag::USES != 0;
        if used {
            head[8] -= flag::ONE_USE;
        }
        used
    }

    /// Returns the bytes that it takes from the allocator.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Packed(bytes) => allocated(bytes.len()),
            Self::Shared(shared) => shared_memory(shared.head.len(), shared.value.len()),
        }
    }

    pub(crate) fn entry(&self, versions: VersionKey) -> EntryRef<'_> {
        let value = match self {
            Self::Packed(bytes) => Value::Inline(&bytes[key_end(bytes)..]),
            Self::Shared(shared) => Value::Shared(&shared.value),
        };
        EntryRef { head: self.head(), value, versions }
    }
}

fn shared_memory(head: usize, value: usize) -> usize {
    // The two counts in front of the shared bytes.
    const COUNTS: usize = 16;
    allocated(size_of::<SharedValue>()) + allocated(head) + allocated(COUNTS + value)
}

fn header(number: u64, flags: u8, key_len: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&number.to_ne_bytes());
    header[8] = flags;
    header[9..].copy_from_slice(&key_len.to_le_bytes()[..3]);
    header
}

fn pair(at: u64, by: u64) -> [u8; PAIR] {
    let mut pair = [0; PAIR];
    pair[..8].copy_from_slice(&at.to_ne_bytes());
    pair[8..].copy_from_slice(&by.to_ne_bytes());
    pair
}

#[inline]
fn flags(head: &[u8]) -> u8 {
    head[8]
}

fn lifespan_at(head: &[u8]) -> Option<usize> {
    (flags(head) & flag::LIFESPAN != 0).then_some(HEADER)
}

fn max_idle_at(head: &[u8]) -> Option<usize> {
    (flags(head) & flag::MAX_IDLE != 0)
        .then(|| HEADER + usize::from(flags(head) & flag::LIFESPAN != 0) * PAIR)
}

#[inline]
fn key_start(head: &[u8]) -> usize {
    // LIFESPAN and MAX_IDLE are the two lowest bits, a pair each.
    HEADER
        + PAIR * usize::from((flags(head) & flag::LIFESPAN) + ((flags(head) & flag::MAX_IDLE) >> 1))
}

#[inline]
fn key_end(head: &[u8]) -> usize {
    key_start(head)
        + usize::from(head[9])
        + (usize::from(head[10]) << 8)
        + (usize::from(head[11]) << 16)
}

#[inline]
fn key(head: &[u8]) -> &[u8] {
    &head[key_start(head)..key_end(head)]
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests;
