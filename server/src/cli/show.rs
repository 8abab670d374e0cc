//! What people see.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

/// A result, on standard output.
pub(super) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// What happens meanwhile, on standard error.
pub(super) fn note(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// An error with all of its causes.
pub(super) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
