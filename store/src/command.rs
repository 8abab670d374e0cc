//! What the store is asked of one key, and what it answers.

use crate::{
    entry::{Draft, EntryMetadata, EntryRef, TakenEntry, Value},
    source::ConnectionId,
    stamp::{Stamp, Version},
    time::Expiration,
};

/// What is asked of one key.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The key as it is stored.
    pub key: &'a [u8],
    /// What has to hold.
    pub condition: Condition,
    /// What is done then.
    pub change: Change<'a>,
    /// What the source said of this key, once it was asked.
    pub source: Source<'a>,
    /// Whether the answer shows the entry that stood there. If so, an unknown key is asked for at the
    /// source first.
    pub wants_previous: bool,
}

impl<'a> Command<'a> {
    /// A command without a word from the source.
    #[must_use]
    pub fn new(key: &'a [u8], condition: Condition, change: Change<'a>) -> Self {
        Self { key, condition, change, source: Source::NotAsked, wants_previous: false }
    }

    /// Reads the entry under `key`.
    #[must_use]
    pub fn read(key: &'a [u8]) -> Self {
        Self::new(key, Condition::Always, Change::Read)
    }

    /// Writes `value` under `key`, whatever stood there.
    #[must_use]
    pub fn write(key: &'a [u8], value: &'a [u8], expiration: Expiration) -> Self {
        let change = Change::Write { value: Value::Inline(value), expiration };
        Self::new(key, Condition::Always, change)
    }

    /// Removes the entry under `key`.
    #[must_use]
    pub fn remove(key: &'a [u8]) -> Self {
        Self::new(key, Condition::Always, Change::Remove)
    }

    /// Returns whether its effect or its answer depends on an entry that only the source may know.
    #[must_use]
    pub fn depends_on_entry(&self) -> bool {
        let blind_write = matches!(self.change, Change::Write { .. })
            && self.condition == Condition::Always
            && !self.wants_previous;
        !blind_write
    }

    /// Returns whether there may be more in the cache after it than before.
    pub(crate) fn may_add(&self) -> bool {
        matches!(self.change, Change::Write { .. })
            || matches!(self.source, Source::Asked(_, Answer::Entry(_)))
    }

    /// Returns whether it may be carried out although the source is silent: a plain removal, which leaves a
    /// tombstone in any case.
    #[must_use]
    pub fn may_go_without_source(&self) -> bool {
        matches!(self.change, Change::Remove)
            && self.condition == Condition::Always
            && !self.wants_previous
    }
}

/// What has to hold of the entry for the change to be made. All but `Always` and `Absent` fail on a
/// key without an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no entry.
    Absent,
    /// There is one.
    Present,
    /// There is one of this version.
    Version(Version),
    /// There is one whose value has this entity tag (REST).
    Etag(Etag),
    /// There is none whose value has this entity tag (REST).
    NotEtag(Etag),
}

impl Condition {
    /// Returns whether it fails on a key without an entry.
    #[inline]
    #[must_use]
    pub fn asks_for_entry(self) -> bool {
        match self {
            Self::Always | Self::Absent | Self::NotEtag(_) => false,
            Self::Present | Self::Version(_) | Self::Etag(_) => true,
        }
    }
}

/// Placement hash of a value: the entity tag that REST shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etag(pub i32);

impl Etag {
    /// Entity tag of a value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(media::hash::hash(value).cast_signed())
    }
}

/// What is done to the entry.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Nothing: it is read, and counts as used.
    Read,
    /// It gets this value and expiration.
    Write {
        /// The value as it is stored.
        value: Value<'a>,
        /// When the entry ends by itself.
        expiration: Expiration,
    },
    /// It goes.
    Remove,
}

/// What the source said of the key.
#[derive(Clone, Copy, Debug, Default)]
pub enum Source<'a> {
    /// Nothing yet: ask it if it may know more than we do.
    #[default]
    NotAsked,
    /// It shall not be asked.
    Skip,
    /// It was asked over this connection. Over any other, the answer counts as not asked.
    Asked(ConnectionId, Answer<'a>),
}

/// How the source answered.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It has no entry.
    Absent,
    /// It has this entry.
    Entry(Imported<'a>),
    /// It did not answer in time.
    Silent,
}

/// An entry as the source reports it.
#[derive(Clone, Copy, Debug)]
pub struct Imported<'a> {
    /// The value as the source stores it.
    pub value: Value<'a>,
    /// The source's version, instants and expiration.
    pub metadata: EntryMetadata,
}

impl Imported<'_> {
    /// Bytes that it takes under `key`.
    pub(crate) fn memory(&self, key: &[u8]) -> usize {
        Draft::memory_of(key, self.value.bytes(), self.metadata.expiration)
    }
}

/// What came of a command.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// There is no entry; nothing changed.
    Missing,
    /// The entry that was read.
    Found(EntryRef<'a>),
    /// The change was made; `previous` stood there before.
    Changed {
        /// What stood there before, if anything.
        previous: Option<EntryRef<'a>>,
    },
    /// The condition did not hold; nothing changed.
    Refused {
        /// The entry as it stands.
        current: EntryRef<'a>,
    },
}

impl Outcome<'_> {
    /// The outcome, taken along from under the lock of the segment.
    #[must_use]
    pub fn take(&self) -> TakenOutcome {
        match self {
            Self::Missing => TakenOutcome::Missing,
            Self::Found(entry) => TakenOutcome::Found(entry.take()),
            Self::Changed { previous } => {
                TakenOutcome::Changed { previous: previous.map(|previous| previous.take()) }
            }
            Self::Refused { current } => TakenOutcome::Refused { current: current.take() },
        }
    }
}

/// An [`Outcome`] that was taken along.
#[derive(Clone, Debug)]
pub enum TakenOutcome {
    /// See [`Outcome::Missing`].
    Missing,
    /// See [`Outcome::Found`].
    Found(TakenEntry),
    /// See [`Outcome::Changed`].
    Changed {
        /// What stood there before, if anything.
        previous: Option<TakenEntry>,
    },
    /// See [`Outcome::Refused`].
    Refused {
        /// The entry as it stood.
        current: TakenEntry,
    },
}

impl TakenOutcome {
    /// The outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Missing => Outcome::Missing,
            Self::Found(entry) => Outcome::Found(entry.entry()),
            Self::Changed { previous } => {
                Outcome::Changed { previous: previous.as_ref().map(TakenEntry::entry) }
            }
            Self::Refused { current } => Outcome::Refused { current: current.entry() },
        }
    }
}

/// Where an outcome is written. It is called once, under the segment's lock, and only if the command
/// came to its end.
pub trait Reply {
    /// Takes the outcome in.
    fn reply(&mut self, outcome: Outcome<'_>);
}

impl<F: FnMut(Outcome<'_>)> Reply for F {
    fn reply(&mut self, outcome: Outcome<'_>) {
        self(outcome);
    }
}

/// How far a command came without waiting. Of `Load` and `Mark` nothing has changed yet: the command
/// is asked again with a new time once what it names has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Completed.
    Done,
    /// Completed, but the answer leaves only once every in-sync copy has this stamp.
    Held(Stamp),
    /// The entry may still be at the source.
    Load,
    /// Wait until "clients have written here" is durable, then retry.
    Mark,
}

/// Why a cache is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fence {
    /// The process that held what clients had changed is gone, and its source still has older entries.
    #[error(
        "entries written here were lost with the process, and the source has older ones: \
         accept-loss goes on without them"
    )]
    Lost,
    /// The cache is configured with a source that was not reached yet.
    #[error("the source of the cache was not reached yet")]
    NoSource,
}

/// A command failed. "No such entry" and "the condition did not hold" are [`Outcome`]s instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The segment is moving or fenced; nothing changed, the client may try again.
    #[error("this member is not the primary of the key's segment")]
    NotExecuted,

    /// The cache waits for its operator; nothing changed.
    #[error(transparent)]
    Fenced(Fence),

    /// The member's memory limit is reached; nothing changed.
    #[error("the memory limit of {limit} bytes for entries is reached")]
    OutOfMemory {
        /// The member's limit in bytes.
        limit: u64,
    },

    /// What was removed or has ended here has to be remembered until its segment is copied from the source, and
    /// that takes all the memory that it may; nothing changed.
    #[error(
        "the removed and expired keys that have to be remembered until their segments are copied take all of \
         the {limit} bytes that they may: synchronize, and see whether the source answers"
    )]
    TooManyTombstones {
        /// Bytes that tombstones may take.
        limit: u64,
    },

    /// The cache is full and refuses instead of evicting; nothing changed.
    #[error("the cache is full")]
    Full,

    /// The source did not answer, and the answer depends on it; nothing changed.
    #[error("the source cannot be reached, or did not answer in time")]
    SourceSilent,

    /// The source answered that it cannot tell, or could not be read; nothing changed.
    #[error("the source could not be read: {0}")]
    SourceFailed(String),

    /// The source is not believed any more, and the answer depends on it; nothing changed.
    #[error("the source was started again, or is another one: an operator has to accept it")]
    SourceDoubted,

    /// What has to be recorded first cannot be; nothing changed.
    #[error("the metadata could not be stored: {0}")]
    NotStored(String),

    /// The key is longer than an entry can hold; nothing changed.
    #[error("the key of {len} bytes is longer than {max} bytes, the most that an entry can have")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest there can be.
        max: usize,
    },

    /// Clients cannot send the key, because requests have a limit; nothing changed.
    #[error("the key of {len} bytes is longer than {max} bytes: raise limits.max-key")]
    KeyBeyondLimit {
        /// Its length in bytes, in the shortest form that a client can send.
        len: usize,
        /// The longest that is read from clients.
        max: usize,
    },
}
