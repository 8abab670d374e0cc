//! Clients that want to log in, which nobody can do here yet.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Least time between two warnings: a client that cannot log in tries again and again.
const WARNING: Duration = Duration::from_secs(60);

/// Attempts to log in, all of which are refused.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Option<Instant>>);

impl Logins {
    /// Warns of an attempt, unless the log has the warning already.
    pub(crate) fn refused(&self) {
        if self.is_to_be_told(Instant::now()) {
            tracing::warn!(
                "a Hot Rod client wants to log in, and there is no authentication of clients yet: most clients do not \
                 connect then. Take user and password (or token) out of its configuration"
            );
        }
    }

    fn is_to_be_told(&self, now: Instant) -> bool {
        let mut told = self.0.lock();
        let is_due = told.is_none_or(|told| now.duration_since(told) >= WARNING);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    //! How often the log says it.

    use super::*;

    #[test]
    fn a_client_that_tries_again_and_again_is_told_of_once_a_minute() {
        let (logins, start) = (Logins::default(), Instant::now());
        let told =
            (0..180).filter(|second| logins.is_to_be_told(start + Duration::from_secs(*second)));
        assert_eq!(told.collect::<Vec<_>>(), [0, 60, 120]);
    }
}
