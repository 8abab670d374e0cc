//! What was read beside the configuration itself: what has no meaning here, said once.

use std::{collections::HashSet, fmt};

use crate::{ConfigError, Place};

/// Something in a document that is understood and has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// What it is, and why it has no effect if that is not plain.
    pub what: String,
    /// Line of the first one.
    pub line: u32,
    /// Column of the first one.
    pub column: u32,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, column {})", self.what, self.line, self.column)
    }
}

/// What a document says, and what of it has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What it says.
    pub value: T,
    /// What has no effect, in the order of the document, each once.
    pub ignored: Vec<Ignored>,
}

impl<T> Parsed<T> {
    /// The same with another value.
    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> Parsed<U> {
        Parsed { value: map(self.value), ignored: self.ignored }
    }
}

/// Most notes that are kept of a document; nobody reads more.
const MAX_NOTES: usize = 1_000;

/// Collects what has no effect while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    lenient: bool,
    seen: HashSet<String>,
    ignored: Vec<Ignored>,
}

impl Notes {
    pub(crate) fn new(lenient: bool) -> Self {
        Self { lenient, ..Self::default() }
    }

    /// Notes that `what` has no effect.
    pub(crate) fn ignore(&mut self, what: impl Into<String>, place: Place) {
        if self.is_full() {
            return;
        }
        let what = what.into();
        if self.seen.insert(what.clone()) {
            self.ignored.push(Ignored { what, line: place.line, column: place.column });
        }
    }

    /// Whether nothing more is noted.
    pub(crate) const fn is_full(&self) -> bool {
        self.ignored.len() >= MAX_NOTES
    }

    /// An error; a note in a document that is read leniently.
    pub(crate) fn refuse(&mut self, error: ConfigError) -> Result<(), ConfigError> {
        if !self.lenient {
            return Err(error);
        }
        self.ignore(error.to_string(), error.place().unwrap_or(Place::START));
        Ok(())
    }

    /// Notes for a part of the same document.
    pub(crate) fn of_part(&self) -> Self {
        Self::new(self.lenient)
    }

    /// Takes in the notes of a part.
    pub(crate) fn absorb(&mut self, part: Self) {
        for Ignored { what, line, column } in part.ignored {
            self.ignore(what, Place { line, column });
        }
    }

    /// What was noted.
    pub(crate) fn whats(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(|ignored| ignored.what.as_str())
    }

    pub(crate) fn with<T>(mut self, value: T) -> Parsed<T> {
        self.ignored.sort_by_key(|ignored| (ignored.line, ignored.column));
        Parsed { value, ignored: self.ignored }
    }
}
