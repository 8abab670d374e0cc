//! How long something may take.

use std::time::Duration;

use tokio::time::Instant;

/// The end of some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// How long the time was.
    pub(crate) after: Duration,
}

impl Deadline {
    pub(crate) fn after(after: Duration) -> Self {
        let now = Instant::now();
        // "For ever" is not a time that a clock can show; a century is.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        Self { at: now.checked_add(after).unwrap_or(now + CENTURY), after }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }
}
