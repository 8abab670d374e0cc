//! How long a server of a source is waited for that does not answer, while those that do are other processes than
//! before.
//!
//! A decider.

use std::time::Duration;

use tokio::time::Instant;

/// Longest wait. A cluster has found out by then that one of its members is gone, and announces it no more.
const UNHEARD: Duration = Duration::from_secs(60);

/// Since when a server is waited for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    since: Option<Instant>,
}

impl Waiting {
    /// Returns whether to wait on. `is_unheard` says whether the only server that may still be the process that it was
    /// is one that has not answered, this time; any other answer, or none at all, ends the wait.
    pub(super) fn goes_on(&mut self, is_unheard: bool, now: Instant) -> bool {
        if !is_unheard {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) < UNHEARD
    }
}

#[cfg(test)]
mod tests {
    //! When the wait is over.

    use super::*;

    #[test]
    fn a_server_is_waited_for_a_minute_each_time() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        assert!(waiting.goes_on(true, begun) && waiting.goes_on(true, after(59)));
        assert!(!waiting.goes_on(true, after(60)) && !waiting.goes_on(true, after(61)));
        // It was heard, or nobody was.
        assert!(!waiting.goes_on(false, after(62)));
        assert!(waiting.goes_on(true, after(100)) && waiting.goes_on(true, after(159)));
        assert!(!waiting.goes_on(true, after(160)));
    }
}
