//! Deadlines of operations.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time by which an operation must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// The timeout from which it was computed.
    pub(crate) after: Duration,
}

impl Deadline {
    pub(crate) fn after(after: Duration) -> Self {
        let now = Instant::now();
        // A clock cannot represent "for ever"; a century is long enough.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        Self { at: now.checked_add(after).unwrap_or(now + CENTURY), after }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }
}
