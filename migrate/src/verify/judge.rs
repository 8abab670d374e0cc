//! What a verification says of one key, and what it does about it.
//!
//! A decider. Nothing is called missing, different, expired or vanished by what a walk shows alone: the source
//! is asked again for each such key, and what it says then decides.

use store::{
    Answer, Cache, ConnectionId, EntryMetadata, Import, ImportRule, Settled, Standing, Timestamp,
};

use super::compare::{
    CREATED, INSTANT_TOLERANCE, Seen, has_surely_ended, may_have_ended, should_have_ended,
};
use crate::{clocks::SourceClocks, entry::SourceEntry, settings::check_key, source::ClearedAt};

/// Why an entry may be missing.
const REMOVED: &str = "it may have been removed here";

/// Why an entry is missing, and is not fetched.
const ENDED: &str = "a client's entry under this key, or under one that cannot be told from it, has ended here: \
                     what the source has may be older";

/// Why an entry is missing, and is not fetched.
const LATER: &str = "the source got it after a client had cleared the cache, since when nothing comes \
                     from the source: write it here, or remove it there";

/// Why an entry is missing, and is not fetched.
const TOO_LONG: &str =
    "its key is longer than limits.max-key: no client could read or remove it here";

/// Why an entry could not live on.
const NO_MEMORY: &str = "there is no memory for it";

/// What is said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the same on both sides.
    Same,
    /// A client has changed or removed it here.
    ChangedHere,
    /// It was brought in, and this differs.
    Different { what: &'static str, mended: bool },
    /// The source has it, and nothing is known of it here.
    Missing { why: Option<&'static str>, mended: bool },
    /// The same in a cache that has evicted entries of the source.
    MissingOrEvicted { mended: bool },
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
    /// It is as it was.
    Not,
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
                mended => Verdict::Different { what, mended: mended == Mended::Now },
            },
            Seen::Overdue => return self.refresh(key, theirs),
            Seen::Nothing => self.nothing(key, theirs, remembered()),
        })
    }

    fn nothing(&self, key: &[u8], theirs: &SourceEntry, remembered: Remembered) -> Verdict {
        if let Some(cleared) = remembered.cleared {
            return self.cleared(cleared, theirs);
        }
        if let Some(why) = self.may_be_outdated(key, remembered) {
            // What may have been removed here does not come back.
            return Verdict::Missing { why: Some(why), mended: false };
        }
        if check_key(self.cache, key, self.max_key).is_err() {
            return Verdict::Missing { why: Some(TOO_LONG), mended: false };
        }
        let is_evicted = self.cache.evicted_imported() > 0;
        match (self.mend(key, theirs, remembered), is_evicted) {
            (Mended::ByClient, _) => Verdict::ChangedHere,
            (mended, true) => Verdict::MissingOrEvicted { mended: mended == Mended::Now },
            (Mended::Now, false) => Verdict::Missing { why: None, mended: true },
            // A client's entry may have ended meanwhile.
            (_, false) => {
                Verdict::Missing { why: self.may_be_outdated(key, remembered), mended: false }
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
            Some(false) => Verdict::Missing { why: Some(LATER), mended: false },
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
            Err(_) => Some(Verdict::Missing { why: Some(NO_MEMORY), mended: false }),
        }
    }

    /// Fetches an entry again that is missing or different, if that is wanted.
    fn mend(&self, key: &[u8], theirs: &SourceEntry, remembered: Remembered) -> Mended {
        if !self.repair {
            return Mended::Not;
        }
        let mut mended = Mended::Not;
        let entries = [(key, theirs.imported())];
        self.cache.import(&entries, ImportRule::Repair, self.connection, self.now, |_, import| {
            mended = match import {
                Import::Written => Mended::Now,
                Import::KeptForClient => Mended::ByClient,
                Import::Tombstone => Mended::Removed,
                _ => Mended::Not,
            };
        });
        match mended {
            // A client has removed it since the source was asked, unless nobody knows what was removed here.
            Mended::Removed if self.may_be_outdated(key, remembered).is_none() => Mended::ByClient,
            Mended::Removed => Mended::Not,
            mended => mended,
        }
    }

    /// Why what the source has under a key of which nothing is known here may be older than what a client did with it.
    fn may_be_outdated(&self, key: &[u8], remembered: Remembered) -> Option<&'static str> {
        if remembered.forgets || self.cache.may_have_removed(key) {
            return Some(REMOVED);
        }
        self.cache.may_have_been_written(key).then_some(ENDED)
    }

    /// Milliseconds by which the end of this entry's lifespan may differ from its end at the source; `None` if
    /// by any number.
    fn uncertainty(&self, ours: &EntryMetadata) -> Option<u64> {
        let apart = self.clocks.difference(self.since).of(ours.created);
        let known = self.clocks.uncertainty(self.now)?;
        Some(known.saturating_add(apart.max(self.clocks.narrowed(self.now))))
    }
}
