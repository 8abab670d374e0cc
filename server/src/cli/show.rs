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
    note(format_args!("error: {}", chain(error)));
}

/// An error and its causes in one text. A cause that the text before it ends with is not repeated.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A number and what it counts.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    //! What people read.

    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("nofile: {source}")]
        struct Unreadable {
            source: std::io::Error,
        }
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = anyhow::Error::from(Unreadable { source: missing() });
        assert_eq!(chain(&error), "nofile: entity not found");
        let error = Err::<(), _>(missing()).context("nofile").unwrap_err();
        assert_eq!(
            chain(&error.context("it cannot start")),
            "it cannot start: nofile: entity not found"
        );
    }

    #[test]
    fn one_is_not_several() {
        assert_eq!(counted(1, "cache", "caches"), "1 cache");
        assert_eq!(counted(0, "cache", "caches"), "0 caches");
    }
}
