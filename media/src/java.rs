//! Numbers and instants in Java's text form.

use std::fmt::{Display, LowerExp};

/// Formats a number like `Double.toString`.
pub(crate) fn double(value: f64) -> String {
    if value.is_finite() { decimal(value) } else { special(value) }
}

/// Formats a number like `Float.toString`.
pub(crate) fn float(value: f32) -> String {
    if value.is_finite() { decimal(value) } else { special(value.into()) }
}

/// Formats an instant like `Instant.toString`: ISO 8601 in UTC, with as many groups of three
/// decimals as needed.
pub(crate) fn instant(seconds: i64, nanos: i32) -> String {
    let seconds = seconds.saturating_add(nanos.div_euclid(NANOS_A_SECOND).into());
    let nanos = nanos.rem_euclid(NANOS_A_SECOND);
    let (year, month, day) = date(seconds.div_euclid(SECONDS_A_DAY));
    let second = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+05}"),
    };
    let fraction = match nanos {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => format!(".{:06}", nanos / 1000),
        nanos => format!(".{nanos:09}"),
    };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

const NANOS_A_SECOND: i32 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;
const DAYS_IN_400_YEARS: i64 = 146_097;

/// Returns year, month and day of a day counted from 1970. Years begin in March in this
/// computation, so that the leap day is the last day.
fn date(day: i64) -> (i64, i64, i64) {
    let from_year_0 = day + 719_468;
    let cycle = from_year_0.div_euclid(DAYS_IN_400_YEARS);
    let day = from_year_0.rem_euclid(DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

fn special(value: f64) -> String {
    let name = match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    name.to_owned()
}

/// Returns the shortest digits that round-trip; if one digit is enough, the closest two.
fn decimal<T: Display + LowerExp>(value: T) -> String {
    let shortest = format!("{value:e}");
    let one_digit = shortest.split('e').next().is_some_and(|digits| !digits.contains('.'));
    let scientific = if one_digit { format!("{value:.1e}") } else { shortest };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    match exponent {
        _ if digits.is_empty() => format!("{sign}0.0"),
        -3..0 => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            format!("{sign}0.{}{digits}", "0".repeat(zeros))
        }
        0..7 => {
            let before = usize::try_from(exponent).unwrap_or(0) + 1;
            let padded = format!("{digits:0<before$}");
            let (whole, fraction) = padded.split_at(before);
            format!("{sign}{whole}.{}", or_zero(fraction))
        }
        _ => {
            let (first, fraction) = digits.split_at(1);
            format!("{sign}{first}.{}E{exponent}", or_zero(fraction))
        }
    }
}

fn or_zero(fraction: &str) -> &str {
    if fraction.is_empty() { "0" } else { fraction }
}

#[cfg(test)]
mod tests {
    //! Compares with what Java 19 and later print.

    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.00123, "0.00123"),
            (0.0001, "1.0E-4"),
            (1234567.0, "1234567.0"),
            (9999999.999, "9999999.999"),
            (1e7, "1.0E7"),
            (12345678.9, "1.23456789E7"),
            (1e23, "1.0E23"),
            (2e23, "2.0E23"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn floats_have_digits_of_their_own() {
        for (value, text) in [
            (0.1, "0.1"),
            (3.3, "3.3"),
            (16777216.0, "1.6777216E7"),
            (f32::MAX, "3.4028235E38"),
            (1.4e-45, "1.4E-45"),
            (f32::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn instants_are_written_as_java_writes_them() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (1_744_288_313, 308_361_201, "2025-04-10T12:31:53.308361201Z"),
            (951_782_400, 120_000_000, "2000-02-29T00:00:00.120Z"),
            (951_868_799, 1000, "2000-02-29T23:59:59.000001Z"),
            (0, -1, "1969-12-31T23:59:59.999999999Z"),
            (253_402_300_800, 0, "+10000-01-01T00:00:00Z"),
            (-62_198_755_200, 0, "-0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(instant(seconds, nanos), text);
        }
        for seconds in [i64::MIN, i64::MAX] {
            assert!(instant(seconds, i32::MIN).ends_with('Z'));
        }
    }
}
