//! What operations give back.

use bytes::Bytes;
use hotrod::Metadata;

use crate::call::Answered;

/// An entry: its value, and what is known beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Version, and instants and lifetimes where there is an end.
    pub metadata: Metadata,
    /// The value.
    pub value: Bytes,
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// For a conditional change; it can only be compared.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// The entry that stood under a key before a change, or that stands in the way of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// From protocol version 4.0 on.
    pub metadata: Option<Metadata>,
    /// The value.
    pub value: Bytes,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Done {
        /// What stood there before, if it was asked for and there was something. Before protocol version
        /// 4.0, an empty value cannot be told from none.
        previous: Option<Previous>,
    },
    /// It was not made: the condition does not hold.
    Refused {
        /// What stands there, if it was asked for.
        current: Option<Previous>,
    },
    /// It was not made: there is no entry.
    Missing,
}

impl Changed {
    /// Returns whether the change was made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    pub(crate) fn of(changed: hotrod::Changed<'_>, answered: &Answered) -> Self {
        let owned = |previous: Option<hotrod::Previous<'_>>| {
            previous.map(|previous| Previous {
                metadata: previous.metadata,
                value: answered.bytes(previous.value.get()),
            })
        };
        match changed {
            hotrod::Changed::Done => Self::Done { previous: None },
            hotrod::Changed::DoneAfter(previous) => Self::Done { previous: owned(previous) },
            hotrod::Changed::Refused => Self::Refused { current: None },
            hotrod::Changed::RefusedBy(current) => Self::Refused { current: owned(current) },
            hotrod::Changed::Missing => Self::Missing,
        }
    }
}
