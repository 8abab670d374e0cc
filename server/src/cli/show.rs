//! What people see. The reader may stop early, as `head` does: errors of writing are ignored.

use std::io::Write as _;

use migrate::Rates;

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
    format!("{} {}", grouped(number), if number == 1 { one } else { several })
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How fast something is at most, if there is a limit.
pub(super) fn rates(rates: Rates) -> Option<String> {
    let entries = rates.entries_per_second.map(|rate| counted(rate, "entry/s", "entries/s"));
    let bytes = rates.bytes_per_second.map(|rate| counted(rate, "byte/s", "bytes/s"));
    let both: Vec<String> = entries.into_iter().chain(bytes).collect();
    (!both.is_empty()).then(|| both.join(", "))
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
        assert_eq!(counted(1_000, "cache", "caches"), "1,000 caches");
    }

    #[test]
    fn rates_are_shown_if_there_are_any() {
        let shown = |entries_per_second, bytes_per_second| {
            rates(Rates { entries_per_second, bytes_per_second })
        };
        assert_eq!(shown(None, None), None);
        assert_eq!(shown(Some(1), None).as_deref(), Some("1 entry/s"));
        let both = shown(Some(1_000), Some(1_048_576));
        assert_eq!(both.as_deref(), Some("1,000 entries/s, 1,048,576 bytes/s"));
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1_000, 12_345, 100_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,345", "100,000", "1,234,567"]);
    }
}
