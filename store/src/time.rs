//! Instants and lifetimes, to the millisecond. Nothing here reads a clock.

use std::time::Duration;

/// Milliseconds since the Unix epoch, as the server's clock counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The instant `by` later; the end of time where that does not fit.
    #[must_use]
    pub const fn after(self, by: Lifetime) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

/// A length of time in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u64);

impl Lifetime {
    /// `millis` milliseconds. Zero is a lifetime: what has it ends at once.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// `seconds` seconds; the longest lifetime where that does not fit.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Length in whole seconds, cut off: what Hot Rod and REST show.
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

/// When an entry ends by itself. `None` is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Expiration {
    /// Time to live from the write.
    pub lifespan: Option<Lifetime>,
    /// Time to live from the last use.
    pub max_idle: Option<Lifetime>,
}

impl Expiration {
    /// Never.
    pub const NEVER: Self = Self { lifespan: None, max_idle: None };

    /// The same without a max idle that cannot come to pass, because the lifespan is over first: no
    /// server keeps one (`EmbeddedMetadata.Builder` in Infinispan's core).
    #[must_use]
    pub fn effective(self) -> Self {
        match (self.lifespan, self.max_idle) {
            (Some(lifespan), Some(max_idle)) if lifespan.0 > 0 && lifespan <= max_idle => {
                Self { max_idle: None, ..self }
            }
            _ => self,
        }
    }

    /// Returns whether nothing ends the entry by itself.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        self.lifespan.is_none() && self.max_idle.is_none()
    }
}

#[cfg(test)]
mod tests {
    //! Which ends count.

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
