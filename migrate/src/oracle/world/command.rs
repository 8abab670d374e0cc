//! What clients ask, and what they are told.

use std::fmt;

use store::{
    Answer, Change, Command, Condition, ConnectionId, EntryRef, Expiration, Lifetime, Outcome,
    Timestamp, Version,
};

use super::{BEGINNING, signed_millis};
use crate::entry::SourceEntry;

/// What a client asks of one key.
#[derive(Clone)]
pub(super) enum Kind {
    Get,
    Put(Vec<u8>, Expiration),
    GetAndPut(Vec<u8>, Expiration),
    PutIfAbsent(Vec<u8>, Expiration),
    Replace(Vec<u8>, Expiration),
    ReplaceUnmodified(Seen, Vec<u8>, Expiration),
    Remove,
    GetAndRemove,
    RemoveUnmodified(Seen),
}

/// An entry as a client has seen it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) version: Version,
    pub(super) value: Vec<u8>,
}

pub(super) struct Operation {
    pub(super) key: usize,
    pub(super) kind: Kind,
    pub(super) began: i64,
    pub(super) said: Option<(ConnectionId, Answered, i64)>,
    pub(super) waits: Option<u64>,
}

/// How a source answered, as far as it is kept.
#[derive(Clone)]
pub(super) enum Answered {
    Absent,
    Entry(SourceEntry),
    Silent,
}

/// What a client was told.
pub(super) struct Told {
    /// What stood under the key, as far as it says so.
    pub(super) saw: Option<Option<Vec<u8>>>,
    /// Whether the change was made.
    pub(super) is_changed: bool,
    /// The entry as it stands, if the change was not made.
    pub(super) current: Option<Seen>,
}

impl Kind {
    pub(super) fn command<'a>(&'a self, key: &'a [u8]) -> Command<'a> {
        let write = |condition, value: &'a [u8], expiration| Command {
            condition,
            ..Command::write(key, value, expiration)
        };
        match self {
            Self::Get => Command::read(key),
            Self::Put(value, expiration) => write(Condition::Always, value, *expiration),
            Self::GetAndPut(value, expiration) => {
                Command { wants_previous: true, ..write(Condition::Always, value, *expiration) }
            }
            Self::PutIfAbsent(value, expiration) => write(Condition::Absent, value, *expiration),
            Self::Replace(value, expiration) => write(Condition::Present, value, *expiration),
            Self::ReplaceUnmodified(seen, value, expiration) => {
                write(Condition::Version(seen.version), value, *expiration)
            }
            Self::Remove => Command::remove(key),
            Self::GetAndRemove => Command { wants_previous: true, ..Command::remove(key) },
            Self::RemoveUnmodified(seen) => {
                Command::new(key, Condition::Version(seen.version), Change::Remove)
            }
        }
    }

    /// What a client is told.
    pub(super) fn told(&self, outcome: &Outcome<'_>) -> Told {
        let value = |entry: &EntryRef<'_>| entry.value().bytes().to_vec();
        let seen = |entry: &EntryRef<'_>| Seen { version: entry.version(), value: value(entry) };
        let (saw, current) = match (self, outcome) {
            (_, Outcome::Missing) => (Some(None), None),
            (_, Outcome::Found(entry) | Outcome::Refused { current: entry }) => {
                (Some(Some(value(entry))), Some(seen(entry)))
            }
            (Self::PutIfAbsent(..), Outcome::Changed { .. }) => (Some(None), None),
            // A version is never used twice.
            (
                Self::ReplaceUnmodified(seen, ..) | Self::RemoveUnmodified(seen),
                Outcome::Changed { .. },
            ) => (Some(Some(seen.value.clone())), None),
            (Self::GetAndPut(..), Outcome::Changed { previous }) => {
                (Some(previous.as_ref().map(value)), None)
            }
            (_, Outcome::Changed { previous: Some(entry) }) => (Some(Some(value(entry))), None),
            // Nobody knows whether there was one.
            (_, Outcome::Changed { previous: None }) => (None, None),
        };
        Told { saw, is_changed: matches!(outcome, Outcome::Changed { .. }), current }
    }
}

impl Answered {
    pub(super) fn answer(&self) -> Answer<'_> {
        match self {
            Self::Absent => Answer::Absent,
            Self::Entry(entry) => Answer::Entry(entry.imported()),
            Self::Silent => Answer::Silent,
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value, expiration) = match self {
            Self::Get => return f.write_str("get"),
            Self::Remove => return f.write_str("remove"),
            Self::GetAndRemove => return f.write_str("get and remove"),
            Self::RemoveUnmodified(seen) => {
                return write!(f, "remove if unmodified {}", text(&seen.value));
            }
            Self::Put(value, expiration) => ("put", value, expiration),
            Self::GetAndPut(value, expiration) => ("get and put", value, expiration),
            Self::ReplaceUnmodified(_, value, expiration) => {
                ("replace if unmodified", value, expiration)
            }
            Self::PutIfAbsent(value, expiration) => ("put if absent", value, expiration),
            Self::Replace(value, expiration) => ("replace", value, expiration),
        };
        let millis = |lifetime: Option<Lifetime>| lifetime.map(signed_millis);
        let (lifespan, idle) = (millis(expiration.lifespan), millis(expiration.max_idle));
        write!(f, "{name} {} for {lifespan:?} ms, idle {idle:?} ms", text(value))
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {:?}, begun {}", self.key, self.kind, self.began - BEGINNING)?;
        match &self.said {
            Some((over, answered, at)) => {
                write!(f, ", told {answered:?} over {} at {}", over.0, at - BEGINNING)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Silent => f.write_str("silence"),
            Self::Entry(entry) => {
                let ends = entry.metadata().ends().map(Timestamp::millis);
                write!(f, "{} until {ends:?}", text(entry.value()))
            }
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saw = self.saw.as_ref().map(|saw| saw.as_deref().map(text));
        write!(f, "changes {}, sees {saw:?}", self.is_changed)
    }
}

/// A value as people read it.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
