//! What people see. The reader may stop early, as `head` does: errors of writing are ignored.

use std::io::Write as _;

/// A result, on standard output.
pub(super) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What happens meanwhile, on standard error.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An error with all of its causes.
pub(super) fn error(error: &anyhow::Error) {
    note(format_args!("error: {error:#}"));
}

/// A number and what it counts.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
