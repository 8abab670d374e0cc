//! What people see. Who does not read to the end, such as `head`, is not told the rest.

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
