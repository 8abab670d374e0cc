//! Instants and lifetimes, to the millisecond. Nothing here reads a clock.

use std::time::Duration;

/// Milliseconds since the Unix epoch, by the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the instant `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Returns the instant `by` later, or the last possible one.
    #[must_use]
    pub const fn after(self, by: Lifetime) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u64);

impl Lifetime {
    /// Returns a duration of `millis` milliseconds. An entry with a lifetime of zero expires at
    /// once.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns a duration of `seconds` seconds, or the longest possible one.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Returns the length in whole seconds, rounded down, as Hot Rod and REST show it.
    #[must_use]
    pub const fn whole_secs(self) -> u64 {
        self.0 / 1000
    }
}

impl From<Duration> for Lifetime {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Lifespan and max idle of an entry. `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Expiration {
    /// Time to live from the write.
    pub lifespan: Option<Lifetime>,
    /// Time to live from the last use.
    pub max_idle: Option<Lifetime>,
}

impl Expiration {
    /// Never expires.
    pub const NEVER: Self = Self { lifespan: None, max_idle: None };

    /// Removes a max idle that has no effect because the lifespan ends first. No server keeps such
    /// a max idle (`EmbeddedMetadata.Builder` in Infinispan's core).
    #[must_use]
    pub fn effective(self) -> Self {
        match (self.lifespan, self.max_idle) {
            (Some(lifespan), Some(max_idle)) if lifespan.0 > 0 && lifespan <= max_idle => {
                Self { max_idle: None, ..self }
            }
            _ => self,
        }
    }

    /// Returns whether the entry never expires.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        self.lifespan.is_none() && self.max_idle.is_none()
    }
}

#[cfg(test)]
mod tests {
    //! Which of the two limits have an effect.

    use super::*;

    #[test]
    fn a_max_idle_that_cannot_come_to_pass_is_left_out() {
        let both = |lifespan, max_idle| Expiration {
            lifespan: Some(Lifetime::from_millis(lifespan)),
            max_idle: Some(Lifetime::from_millis(max_idle)),
        };
        assert_eq!(both(100, 50).effective(), both(100, 50));
        assert_eq!(both(100, 100).effective().max_idle, None);
        assert_eq!(both(1_500, 10_000).effective().max_idle, None);
        assert_eq!(both(0, 10).effective(), both(0, 10), "over at once in any case");
    }
}
