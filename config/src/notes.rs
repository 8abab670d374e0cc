//! What was read beside the configuration itself: settings without an effect, and problems.

use std::{collections::HashSet, fmt};

use crate::{ConfigError, Options, Place};

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

/// All that was found in a document, whether or not it can be used.
#[derive(Clone, Debug)]
pub struct Reading<T> {
    /// What it says, as far as it could be read. To be used only if there are no problems.
    pub value: Option<T>,
    /// What has no effect, in the order of the document, each once.
    pub ignored: Vec<Ignored>,
    /// Everything that is wrong, in the order of the document.
    pub problems: Vec<ConfigError>,
}

/// Most notes that are kept of a document; nobody reads more.
const MAX_NOTES: usize = 1_000;

/// Most problems that are kept of a document.
const MAX_PROBLEMS: usize = 200;

/// Collects what has no effect while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) tolerance: Tolerance,
    room: Room,
    seen: HashSet<String>,
    ignored: Vec<Ignored>,
    problems: Vec<ConfigError>,
}

/// How many notes and problems are kept.
#[derive(Clone, Copy, Debug)]
struct Room {
    notes: usize,
    problems: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { notes: MAX_NOTES, problems: MAX_PROBLEMS }
    }
}

/// What is noted instead of refused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    /// Unknown names, and stores whose entries are then kept in memory only.
    pub(crate) lenient: bool,
    /// Authorization that is not there: everyone has every right.
    pub(crate) insecure: bool,
    /// Everything that is understood and could not be served.
    pub(crate) only_shown: bool,
    /// Media types that look like slips.
    pub(crate) stored: bool,
}

impl Notes {
    pub(crate) fn new(options: &Options<'_>) -> Self {
        let Options { lenient, insecure, only_shown, .. } = *options;
        let tolerance = Tolerance { lenient, insecure, only_shown, stored: false };
        Self { tolerance, ..Self::default() }
    }

    /// Notes of something that was read before, and is not refused now.
    pub(crate) fn tolerant() -> Self {
        let tolerance =
            Tolerance { lenient: true, insecure: true, only_shown: false, stored: true };
        Self { tolerance, ..Self::default() }
    }

    /// Notes of something that this program has stored.
    pub(crate) fn stored() -> Self {
        let tolerance = Tolerance { lenient: true, insecure: true, only_shown: true, stored: true };
        Self { tolerance, ..Self::default() }
    }

    /// Notes that `what` has no effect.
    pub(crate) fn ignore(&mut self, what: impl Into<String>, place: Place) {
        if self.ignored.len() >= self.room.notes {
            return;
        }
        let what = what.into();
        if self.seen.insert(what.clone()) {
            self.ignored.push(Ignored { what, line: place.line, column: place.column });
        }
    }

    /// Returns whether nothing comes of another name that is refused, so that what was meant need not be found out.
    pub(crate) const fn is_full_of_names(&self) -> bool {
        if self.tolerance.lenient {
            self.ignored.len() >= self.room.notes
        } else {
            self.problems.len() >= self.room.problems
        }
    }

    /// Records a problem. Reading goes on, so that every problem is found.
    pub(crate) fn problem(&mut self, problem: ConfigError) {
        if self.tolerance.only_shown && matches!(problem, ConfigError::Refused { .. }) {
            self.ignore(problem.to_string(), problem.place().unwrap_or(Place::START));
            return;
        }
        if self.problems.len() < self.room.problems && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The value of a result; records the problem if there is none.
    pub(crate) fn check<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|problem| self.problem(problem)).ok()
    }

    /// Records a problem; in a document that is read leniently, a note.
    pub(crate) fn refuse(&mut self, problem: ConfigError) {
        if self.tolerance.lenient {
            self.ignore(problem.to_string(), problem.place().unwrap_or(Place::START));
        } else {
            self.problem(problem);
        }
    }

    /// Notes for a part of the same document, for which there is as much room as is left.
    pub(crate) fn of_part(&self) -> Self {
        let room = Room {
            notes: self.room.notes.saturating_sub(self.ignored.len()),
            problems: self.room.problems.saturating_sub(self.problems.len()),
        };
        Self { tolerance: self.tolerance, room, ..Self::default() }
    }

    /// Takes in the notes and problems of a part.
    pub(crate) fn absorb(&mut self, mut part: Self) {
        part.take_problems().into_iter().for_each(|problem| self.problem(problem));
        for Ignored { what, line, column } in part.ignored {
            self.ignore(what, Place { line, column });
        }
    }

    /// Returns whether there are problems.
    pub(crate) const fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Takes out the problems.
    pub(crate) fn take_problems(&mut self) -> Vec<ConfigError> {
        std::mem::take(&mut self.problems)
    }

    /// What was noted.
    pub(crate) fn whats(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(|ignored| ignored.what.as_str())
    }

    /// A value with all that was noted, or why there is none.
    ///
    /// # Errors
    ///
    /// If problems were recorded: all of them. A missing value implies a problem.
    pub(crate) fn with<T>(self, value: Option<T>) -> Result<Parsed<T>, ConfigError> {
        let Reading { value, ignored, problems } = self.reading(value);
        match value {
            Some(value) if problems.is_empty() => Ok(Parsed { value, ignored }),
            _ => Err(ConfigError::all(problems)),
        }
    }

    /// A value with all that was noted, whether or not there are problems.
    pub(crate) fn reading<T>(mut self, value: Option<T>) -> Reading<T> {
        self.ignored.sort_by_key(|ignored| (ignored.line, ignored.column));
        self.problems.sort_by_key(ConfigError::place);
        Reading { value, ignored: self.ignored, problems: self.problems }
    }
}
