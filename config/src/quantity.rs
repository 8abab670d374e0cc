//! Times and sizes as people write them.

use std::{fmt, str::FromStr, time::Duration};

/// Units of time, in milliseconds.
const TIMES: &[(&str, u64)] =
    &[("", 1), ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size, in bytes.
const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A time such as `500`, `500ms`, `5s`, `1.5h`: milliseconds unless it says otherwise.
pub(crate) fn time(text: &str) -> Option<Duration> {
    amount(text, TIMES).map(Duration::from_millis)
}

/// A time with the largest unit that leaves no fraction, as Infinispan writes its defaults.
pub(crate) fn as_time(time: Duration) -> String {
    let millis = time.as_millis();
    let divides = |(_, unit): &&(&str, u64)| millis.is_multiple_of(u128::from(*unit));
    match TIMES.iter().skip(1).rfind(divides) {
        Some((name, unit)) if millis > 0 => format!("{}{name}", millis / u128::from(*unit)),
        _ => millis.to_string(),
    }
}

/// A size such as `512`, `512MB`, `1GiB`: bytes unless it says otherwise.
pub(crate) fn size(text: &str) -> Option<u64> {
    amount(text, SIZES)
}

/// Returns whether a number means "no limit".
pub(crate) fn is_unlimited(text: &str) -> bool {
    text.trim() == "-1"
}

/// Returns whether a time is negative, which means "never".
pub(crate) fn is_never(text: &str) -> bool {
    text.trim().strip_prefix('-').is_some_and(|rest| amount(rest, TIMES).is_some())
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at_checked(digits.unwrap_or(text.len()))?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if unit.is_empty() && number.contains('.') || fraction.len() > 9 {
        return None;
    }
    let whole: u64 =
        if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    let parts: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = u128::from(parts) * u128::from(*factor) / u128::from(scale);
    whole.checked_mul(*factor)?.checked_add(u64::try_from(parts).ok()?)
}

/// A number of bytes, written with the largest unit that leaves no fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        size(text).map(Self).ok_or_else(|| NotASize(text.into()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, unit): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*unit);
        match SIZES.iter().skip(2).filter(divides).max_by_key(|(_, unit)| *unit) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a size such as 512MB or 1GiB")]
pub struct NotASize(String);

/// How much memory the server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// This part of the memory that the machine or container has, 1 to 100.
    Percent(u8),
}

impl MemoryLimit {
    /// The limit in bytes where there are `total`.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}

/// Least bytes of a limit of memory: the caches themselves take some.
const LEAST_MEMORY: u64 = 1_000_000;

impl FromStr for MemoryLimit {
    type Err = NotAMemoryLimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let limit = match text.trim().strip_suffix('%') {
            Some(percent) => percent
                .trim_end()
                .parse()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .map(Self::Percent),
            // A number without a unit is easily meant as megabytes.
            None => size(text).filter(|bytes| *bytes >= LEAST_MEMORY).map(Self::Bytes),
        };
        limit.ok_or_else(|| NotAMemoryLimit(text.into()))
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => ByteSize(*bytes).fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text is not a limit of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a limit of memory such as 80% or 512MB, and at least 1MB")]
pub struct NotAMemoryLimit(String);

#[cfg(test)]
mod tests {
    //! Every spelling, and those that are none.

    use super::*;

    #[test]
    fn a_time_is_milliseconds_or_says_its_unit() {
        for (text, millis) in [
            ("0", 0),
            ("500", 500),
            ("500ms", 500),
            ("5s", 5_000),
            ("1 m", 60_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(time("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(time(".5d"), Some(Duration::from_hours(12)));
        for text in
            ["", "s", "-1", "5 years", "1.5", "1.", "1.s", "1..2s", "99999999999999999999", "٣s"]
        {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_with_its_largest_unit() {
        for (millis, text) in [
            (0, "0"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (15_000, "15s"),
            (60_000, "1m"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(as_time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_negative_time_is_never() {
        for (text, never) in
            [("-1", true), (" -5s", true), ("0", false), ("-", false), ("-x", false)]
        {
            assert_eq!(is_never(text), never, "{text}");
        }
    }

    #[test]
    fn a_size_is_bytes_or_says_its_unit() {
        for (text, bytes) in [
            ("512", 512),
            ("512B", 512),
            ("1KB", 1_000),
            ("1KiB", 1_024),
            ("512MB", 512_000_000),
            ("1.5GB", 1_500_000_000),
            ("1 GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "GB", "1XB", "-5", "1.5", "18446744073709551616", "20000000000GB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_written_as_short_as_it_is_exact() {
        for text in ["1GB", "1GiB", "512MB", "1500MB", "1023", "1KiB", "0"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_limit_of_memory_is_a_part_or_a_size() {
        assert_eq!("80%".parse(), Ok(MemoryLimit::Percent(80)));
        assert_eq!("512MB".parse(), Ok(MemoryLimit::Bytes(512_000_000)));
        assert_eq!(MemoryLimit::Percent(80).of(1_000), 800);
        assert_eq!("1MB".parse(), Ok(MemoryLimit::Bytes(1_000_000)));
        for text in ["0%", "101%", "x%", "0", "5", "999999", "999KB", ""] {
            assert_eq!(text.parse::<MemoryLimit>(), Err(NotAMemoryLimit(text.into())));
        }
    }
}
