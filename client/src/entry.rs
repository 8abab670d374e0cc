//! Results of operations.

use bytes::Bytes;
use hotrod::Metadata;

use crate::call::Answered;

/// An entry: value and entry metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Version and, where there are any, lifespan and max idle.
    pub metadata: Metadata,
    /// The value.
    pub value: Bytes,
}

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// For a conditional change; compare it for equality only.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// The entry that a change replaced or removed, or the one that prevented it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// From protocol version 4.0 on.
    pub metadata: Option<Metadata>,
    /// The value.
    pub value: Bytes,
}

/// Outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Done {
        /// The previous entry, if it was asked for and there was one. Before protocol version 4.0,
        /// an empty value looks like none.
        previous: Option<Previous>,
    },
    /// It was not made: the condition did not hold.
    Refused {
        /// The present entry, if it was asked for.
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
