//! What a verification says of one key, and what it does about it.
//!
//! A decider. Nothing is called missing, different, expired or vanished by what a walk shows alone: the source
//! is asked again for each such key, and what it says then decides.

use store::{
    Answer, Cache, CacheError, ConnectionId, EntryMetadata, Import, ImportRule, Settled, Standing,
    Timestamp,
};

use super::compare::{
    CREATED, INSTANT_TOLERANCE, Seen, has_surely_ended, may_have_ended, should_have_ended,
};
use crate::{clocks::SourceClocks, entry::SourceEntry, settings::check_key, source::ClearedAt};

/// Why an entry that is missing or different is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfetched {
    /// It may have been removed here.
    Removed,
    /// What the source has may be older than a client's entry that has ended here.
    Ended,
    /// Nothing comes from the source since a client has cleared the cache.
    Later,
    /// No request could name it.
    TooLong,
    /// There is no memory for it.
    NoMemory,
    /// It would evict another one.
    NoRoom,
    /// It is refused for another reason.
    Refused,
}

impl Unfetched {
    /// The reason for people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Removed => "it may have been removed here",
            Self::Ended => {
                "a client's entry under this key, or under one that cannot be told from it, has ended here: what the \
                 source has may be older"
            }
            Self::Later => {
                "the source got it after a client had cleared the cache, since when nothing comes from the source: \
                 write it here, or remove it there"
            }
            Self::TooLong => {
                "its key is longer than limits.max-key: no client could read or remove it here"
            }
            Self::NoMemory => "there is no memory for it",
            Self::NoRoom => "there is no room for it in the bound of the cache",
            Self::Refused => "it cannot be taken in here",
        }
    }

    /// What ends that, of all entries of which it is the reason.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Removed | Self::Ended => {
                "write or remove them here, or remove them from the source, and verify again"
            }
            Self::Later => "then verify again",
            Self::TooLong => {
                "remove them from the source and verify again, or raise it, which takes a restart and a new copy"
            }
            Self::NoMemory => {
                "make room, by dropping caches or removing entries that nobody needs, and repair again; or start with \
                 more --max-memory and copy everything again"
            }
            Self::NoRoom => "make the bound larger, and repair again",
            Self::Refused => "remove them from the source and verify again",
        }
    }
}

/// What is said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the same on both sides.
    Same,
    /// A client has changed or removed it here.
    ChangedHere,
    /// It was brought in, and this differs.
    Different { what: &'static str, why: Option<Unfetched>, mended: bool },
    /// The source has it, and nothing is known of it here.
    Missing { why: Option<Unfetched>, mended: bool },
    /// The same in a cache that has evicted entries of the source.
    MissingOrEvicted { why: Option<Unfetched>, mended: bool },
    /// It is not here because a client has cleared the cache. If that is not certain, the source may have got it
    /// after that.
    Cleared { certain: bool },
    /// The source has shown it, and does not have it any more.
    Expired,
    /// It was brought in and lives on here, while the source's has ended by itself. If that is not certain, it may also
    /// have been lost there.
    Outlived { certain: bool },
    /// It was brought in, and the source has it no more.
    Vanished,
}

/// What the connection remembers of its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// When a client has cleared the cache.
    pub(crate) cleared: Option<ClearedAt>,
    /// Keys may have been removed that are not remembered.
    pub(crate) forgets: bool,
}

/// What became of an entry that is missing or different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mended {
    /// It was put right.
    Now,
    /// A client has written in its place meanwhile.
    ByClient,
    /// It is known to be removed, or may be.
    Removed,
    /// It is as it was; perhaps because it cannot be fetched.
    Not(Option<Unfetched>),
}

impl Mended {
    /// Why it was not put right.
    fn why(self) -> Option<Unfetched> {
        match self {
            Self::Not(why) => why,
            Self::Now | Self::ByClient | Self::Removed => None,
        }
    }
}

/// Why an entry is not fetched that the cache refuses.
fn refused(error: &CacheError) -> Unfetched {
    match error {
        CacheError::OutOfMemory { .. } | CacheError::TooManyTombstones { .. } => {
            Unfetched::NoMemory
        }
        // Only a cache that evicts says so of what comes from its source.
        CacheError::Full => Unfetched::NoRoom,
        _ => Unfetched::Refused,
    }
}

/// Compares keys of a cache with what its source says.
pub(crate) struct Judge<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) clocks: &'a SourceClocks,
    /// The connection over which the source is asked, and when it was made.
    pub(crate) connection: ConnectionId,
    pub(crate) since: Timestamp,
    /// Whether what is missing or different is fetched again.
    pub(crate) repair: bool,
    /// Most bytes of a key in a request.
    pub(crate) max_key: usize,
    pub(crate) now: Timestamp,
}

impl Judge<'_> {
    fn seen(&self, key: &[u8], theirs: &SourceEntry) -> Seen {
        let apart = self.clocks.difference(self.since);
        let seen = self.cache.inspect(key, self.now, |standing| Seen::of(standing, theirs, apart));
        match seen {
            // An earlier connection corrected its instants by what it knew of the clocks, which is not known any more.
            Seen::Other(CREATED) if self.cache.continues_earlier() => Seen::Same,
            seen => seen,
        }
    }

    /// Judges an entry that a walk has shown. `None` if the source has to be asked for it again.
    pub(crate) fn shown(&self, key: &[u8], theirs: &SourceEntry) -> Option<Verdict> {
        match self.seen(key, theirs) {
            Seen::Same => Some(Verdict::Same),
            Seen::ChangedHere => Some(Verdict::ChangedHere),
            Seen::Other(_) | Seen::Overdue | Seen::Nothing => None,
        }
    }

    /// Judges an entry that the source has just given when it was asked. `None` if that has become outdated
    /// meanwhile, and the source has to be asked again.
    pub(crate) fn given(
        &self,
        key: &[u8],
        theirs: &SourceEntry,
        remembered: impl Fn() -> Remembered,
    ) -> Option<Verdict> {
        Some(match self.seen(key, theirs) {
            Seen::Same => Verdict::Same,
            Seen::ChangedHere => Verdict::ChangedHere,
            Seen::Other(what) => match self.mend(key, theirs, remembered()) {
                Mended::ByClient => Verdict::ChangedHere,
                mended => {
                    Verdict::Different { what, why: mended.why(), mended: mended == Mended::Now }
                }
            },
            Seen::Overdue => return self.refresh(key, theirs),
            Seen::Nothing => self.nothing(key, theirs, remembered()),
        })
    }

    fn nothing(&self, key: &[u8], theirs: &SourceEntry, remembered: Remembered) -> Verdict {
        if let Some(cleared) = remembered.cleared {
            return self.cleared(cleared, theirs);
        }
        let is_evicted = self.cache.evicted_imported() > 0;
        if let Some(why) = self.may_be_outdated(key, remembered).map(Some) {
            // What may have been removed here does not come back.
            return match is_evicted {
                true => Verdict::MissingOrEvicted { why, mended: false },
                false => Verdict::Missing { why, mended: false },
            };
        }
        if check_key(self.cache, key, self.max_key).is_err() {
            return Verdict::Missing { why: Some(Unfetched::TooLong), mended: false };
        }
        match (self.mend(key, theirs, remembered), is_evicted) {
            (Mended::ByClient, _) => Verdict::ChangedHere,
            (mended, true) => {
                Verdict::MissingOrEvicted { why: mended.why(), mended: mended == Mended::Now }
            }
            (Mended::Now, false) => Verdict::Missing { why: None, mended: true },
            // A client's entry may have ended meanwhile.
            (mended, false) => {
                let why = mended.why().or_else(|| self.may_be_outdated(key, remembered));
                Verdict::Missing { why, mended: false }
            }
        }
    }

    /// Judges an entry that does not come because a client has cleared the cache: neither does what the source had
    /// then, nor what it got later.
    fn cleared(&self, cleared: ClearedAt, theirs: &SourceEntry) -> Verdict {
        let metadata = theirs.metadata();
        let uncertainty = self.uncertainty(metadata);
        let uncertainty = uncertainty.map(|by| by.saturating_add(INSTANT_TOLERANCE));
        match cleared.has_removed(metadata.created, uncertainty) {
            Some(false) => Verdict::Missing { why: Some(Unfetched::Later), mended: false },
            certain => Verdict::Cleared { certain: certain.is_some() },
        }
    }

    /// Judges a key that the source has just said it has nothing under. `shown` is whether a walk has shown it
    /// before. `None` if there is nothing to say.
    pub(crate) fn absent(&self, key: &[u8], shown: bool) -> Option<Verdict> {
        let ours = self.cache.inspect(key, self.now, |standing| match standing {
            // What is used here, the source does not hear of.
            Standing::Imported(ours) => {
                let last_used = ours.last_used_at_source();
                Some(EntryMetadata { last_used, ..ours.metadata() })
            }
            Standing::Local(_) | Standing::Tombstone | Standing::Overdue(_) | Standing::Unknown => {
                None
            }
        });
        match ours {
            None => shown.then_some(Verdict::Expired),
            Some(theirs) => {
                let uncertainty = self.uncertainty(&theirs);
                if may_have_ended(&theirs, self.now, uncertainty) {
                    let certain = has_surely_ended(&theirs, self.now, uncertainty);
                    Some(Verdict::Outlived { certain })
                } else {
                    Some(Verdict::Vanished)
                }
            }
        }
    }

    /// Returns whether an entry that the source has shown, and has not found by its key since, should have
    /// ended by itself. Otherwise somebody has just removed it, or the source does not find what it has: or else the
    /// clock of the source is not well known, and a second walk does not show it either.
    pub(super) fn should_have_ended(&self, shown: &EntryMetadata) -> bool {
        should_have_ended(shown, self.now)
    }

    /// Lets an entry live on whose time is over here, and that the source still has. `None` if a client was
    /// quicker, or if the source has told one something else since.
    fn refresh(&self, key: &[u8], theirs: &SourceEntry) -> Option<Verdict> {
        let answer = Answer::Entry(theirs.imported());
        match self.cache.settle(key, &answer, self.connection, self.now) {
            Ok(Settled::LivesOn | Settled::Ended) => Some(Verdict::Same),
            Ok(Settled::Unchanged) => None,
            Err(error) => Some(Verdict::Missing { why: Some(refused(&error)), mended: false }),
        }
    }

    /// Fetches an entry again that is missing or different, if that is wanted.
    fn mend(&self, key: &[u8], theirs: &SourceEntry, remembered: Remembered) -> Mended {
        if !self.repair {
            return Mended::Not(None);
        }
        let mut mended = Mended::Not(None);
        let entries = [(key, theirs.imported())];
        self.cache.import(&entries, ImportRule::Repair, self.connection, self.now, |_, import| {
            mended = match import {
                Import::Written => Mended::Now,
                Import::KeptForClient => Mended::ByClient,
                Import::Tombstone => Mended::Removed,
                Import::Failed(error) => Mended::Not(Some(refused(&error))),
                _ => Mended::Not(None),
            };
        });
        match mended {
            // A client has removed it since the source was asked, unless nobody knows what was removed here.
            Mended::Removed if self.may_be_outdated(key, remembered).is_none() => Mended::ByClient,
            Mended::Removed => Mended::Not(self.may_be_outdated(key, remembered)),
            mended => mended,
        }
    }

    /// Why what the source has under a key of which nothing is known here may be older than what a client did with it.
    fn may_be_outdated(&self, key: &[u8], remembered: Remembered) -> Option<Unfetched> {
        if self.cache.has_evicted(key) {
            return None;
        }
        if remembered.forgets || self.cache.may_have_removed(key) {
            return Some(Unfetched::Removed);
        }
        self.cache.may_have_been_written(key).then_some(Unfetched::Ended)
    }

    /// Milliseconds by which the end of this entry's lifespan may differ from its end at the source; `None` if
    /// by any number.
    fn uncertainty(&self, ours: &EntryMetadata) -> Option<u64> {
        let apart = self.clocks.difference(self.since).of(ours.created);
        let known = self.clocks.uncertainty(self.now)?;
        Some(known.saturating_add(apart.max(self.clocks.narrowed(self.now))))
    }
}

#[cfg(test)]
mod tests {
    //! What becomes of an entry for which there is no memory.

    use std::sync::Arc;

    use client::{Bytes, Metadata};
    use config::{CacheConfig, CacheMode};
    use store::{Imported, Link, MemoryLimit, SourceSpace, Value, VersionKey};

    use super::*;
    use crate::{clocks::tests::synchronous, source_clock::Obtained};

    const NOW: Timestamp = Timestamp::from_millis(100_000);
    const CONNECTION: ConnectionId = ConnectionId(1);

    #[test]
    fn what_finds_no_memory_says_so() {
        let (config, memory) = (CacheConfig::new(CacheMode::Local), MemoryLimit::new(400_000));
        let (name, versions) = ("orders".parse().unwrap(), VersionKey::new(7));
        let cache = Cache::new(name, Arc::new(config), versions, memory, NOW);
        cache.connect(&Link::new(CONNECTION, SourceSpace::Unit, NOW));
        let imported =
            |value| Imported { value: Value::Inline(value), metadata: EntryMetadata::default() };
        let here: [(&[u8], Imported<'_>); 1] = [(b"here", imported(b"small"))];
        cache.import(&here, ImportRule::Copy, CONNECTION, NOW, |_, import| {
            assert_eq!(import, Import::Written);
        });
        let clocks = SourceClocks::new("orders".parse().unwrap());
        let judge = |repair| Judge {
            cache: &cache,
            clocks: &clocks,
            connection: CONNECTION,
            since: NOW,
            repair,
            max_key: 100,
            now: NOW,
        };
        let large = |version| {
            let (value, metadata) =
                (Bytes::from(vec![7; 1_000_000]), Metadata { version, ..Metadata::default() });
            SourceEntry::new(value, &metadata, &synchronous(NOW), Obtained::ByKey, NOW, NOW)
        };
        let remembered = || Remembered { cleared: None, forgets: false };
        let given = |repair, key: &[u8]| judge(repair).given(key, &large(9), remembered).unwrap();
        let why = Some(Unfetched::NoMemory);
        assert_eq!(given(false, b"new"), Verdict::Missing { why: None, mended: false });
        assert_eq!(given(true, b"new"), Verdict::Missing { why, mended: false });
        let different = |why| Verdict::Different { what: "value", why, mended: false };
        assert_eq!(given(false, b"here"), different(None));
        assert_eq!(given(true, b"here"), different(why));
    }

    #[test]
    fn what_would_evict_another_entry_is_not_fetched() {
        let memory = config::MemoryConfig { max_count: Some(2), ..Default::default() };
        let config = CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) };
        let (name, versions) = ("orders".parse().unwrap(), VersionKey::new(7));
        let cache = Cache::new(name, Arc::new(config), versions, MemoryLimit::unlimited(), NOW);
        cache.connect(&Link::new(CONNECTION, SourceSpace::Unit, NOW));
        let clocks = SourceClocks::new("orders".parse().unwrap());
        let given = |key: &[u8], version| {
            let metadata = Metadata { version, ..Metadata::default() };
            let (value, clock) = (Bytes::from_static(b"v"), synchronous(NOW));
            let theirs = SourceEntry::new(value, &metadata, &clock, Obtained::ByKey, NOW, NOW);
            let judge = Judge {
                cache: &cache,
                clocks: &clocks,
                connection: CONNECTION,
                since: NOW,
                repair: true,
                max_key: 100,
                now: NOW,
            };
            let remembered = || Remembered { cleared: None, forgets: false };
            judge.given(key, &theirs, remembered).unwrap()
        };
        let mended = Verdict::Missing { why: None, mended: true };
        assert_eq!((given(b"one", 1), given(b"other", 1)), (mended, mended));
        let why = Some(Unfetched::NoRoom);
        assert_eq!(given(b"third", 1), Verdict::Missing { why, mended: false });
        let different = Verdict::Different { what: "version", why: None, mended: true };
        assert_eq!(given(b"one", 2), different);
        assert_eq!(given(b"other", 1), Verdict::Same);
    }
}
