//! When the entries of an account end.

use std::time::Duration;

use client::{Duration as Lifespan, RequestExpiration};

/// How long an entry lives that is to end before the migration does.
const SHORT: Duration = Duration::from_secs(2);

/// How long an entry lives that is to end long after it.
const LONG: Duration = Duration::from_secs(3_600);

/// How long an entry may idle that is to idle out long after it.
const LONG_IDLE: Duration = Duration::from_secs(1_800);

/// When an entry ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Immortal,
    Lifespan,
    MaxIdle,
    Both,
    /// It is over before the migration is.
    Short,
}

impl Life {
    /// How the entry lives that the source has under a key.
    pub(super) fn of(key: usize) -> Self {
        match key % 20 {
            0..8 => Self::Immortal,
            8..12 => Self::Lifespan,
            12..15 => Self::MaxIdle,
            15..19 => Self::Both,
            _ => Self::Short,
        }
    }

    fn lifespan(self) -> Option<Duration> {
        match self {
            Self::Immortal | Self::MaxIdle => None,
            Self::Lifespan | Self::Both => Some(LONG),
            Self::Short => Some(SHORT),
        }
    }

    fn max_idle(self) -> Option<Duration> {
        match self {
            Self::MaxIdle | Self::Both => Some(LONG_IDLE),
            Self::Immortal | Self::Lifespan | Self::Short => None,
        }
    }

    /// As it is asked for.
    pub(super) fn expiration(self) -> RequestExpiration {
        let of = |duration: Option<Duration>| duration.map_or(Lifespan::Infinite, in_millis);
        RequestExpiration { lifespan: of(self.lifespan()), max_idle: of(self.max_idle()) }
    }

    /// Lifespan and max idle in seconds, as servers show them.
    pub(super) fn seconds(self) -> (Option<u32>, Option<u32>) {
        let seconds =
            |duration: Option<Duration>| duration.and_then(|it| u32::try_from(it.as_secs()).ok());
        (seconds(self.lifespan()), seconds(self.max_idle()))
    }

    /// When its lifespan is over if it begins at this instant, both in milliseconds.
    pub(super) fn ends(self, begins: u64) -> Option<u64> {
        self.lifespan().map(|lifespan| begins.saturating_add(millis(lifespan)))
    }
}

fn in_millis(duration: Duration) -> Lifespan {
    Lifespan::Millis(millis(duration))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
