//! Instants as HTTP writes them, to the second.

use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use store::Timestamp;

/// As in `Last-Modified`; `None` for instants beyond the year 9999.
pub(crate) fn write(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.millis()).ok()?).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// The instant that a header names; `None` if it names none, which HTTP has servers pass over.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let at = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    //! Dates of RFC 9110.

    use super::*;

    #[test]
    fn dates_are_written_and_read_to_the_second() {
        let at = Timestamp::from_millis(1_795_342_064_107);
        let text = write(at).unwrap();
        assert_eq!(text, "Sun, 22 Nov 2026 10:07:44 GMT");
        assert_eq!(parse(&text), Some(Timestamp::from_millis(1_795_342_064_000)));
    }

    #[test]
    fn what_is_no_date_says_nothing() {
        for text in ["", "garbage", "Sun, 99 Nov 2026 10:07:44 GMT", "-1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(write(Timestamp::from_millis(u64::MAX)), None);
    }
}
