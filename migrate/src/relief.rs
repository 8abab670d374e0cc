//! When segments are copied because too many removed and expired keys have to be remembered.
//!
//! A decider: the time goes in, and whether to copy now, or to say something, comes out. What keeps a copy from
//! succeeding, such as memory that is full, is rarely over a second later; so attempts that fail become rarer, and
//! people are told once.

use store::{Lifetime, Timestamp};

/// Time to rest after the first attempt that failed. It doubles with each further one.
const FIRST_REST: u64 = 1_000;

/// Longest time to rest.
const LONGEST_REST: u64 = 60_000;

/// How one cache is relieved of its tombstones.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    /// Whether people were told that segments are copied for their tombstones.
    told: bool,
    /// Attempts in a row that failed.
    failures: u32,
    /// When the next attempt is due.
    due: Timestamp,
}

impl Relief {
    /// There are not many tombstones any more.
    pub(crate) fn is_over(&mut self) {
        *self = Self::default();
    }

    /// Returns whether it is time for an attempt.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due <= now
    }

    /// Begins an attempt. Returns whether to tell people that segments are copied for their tombstones.
    pub(crate) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// The segments were copied: the next ones may follow at once.
    pub(crate) fn succeeded(&mut self) {
        (self.failures, self.due) = (0, Timestamp::default());
    }

    /// They were not. Returns whether to tell people why: it was different before.
    pub(crate) fn failed(&mut self, now: Timestamp) -> bool {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.due = now.after(Lifetime::from_millis(rest));
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    //! A day on which nothing fits in.

    use super::*;

    #[test]
    fn attempts_that_fail_become_rarer_and_are_told_once() {
        let (mut relief, mut attempts, mut told) = (Relief::default(), Vec::new(), Vec::new());
        for second in 0..600 {
            let now = Timestamp::from_millis(1_000_000 + second * 1_000);
            if relief.is_due(now) {
                attempts.push(second);
                told.push((relief.begin(), relief.failed(now)));
            }
        }
        assert_eq!(attempts[..8], [0, 1, 3, 7, 15, 31, 63, 123]);
        assert_eq!(attempts.len(), 7 + (599 - 63) / 60, "{attempts:?}");
        assert_eq!(told[0], (true, true));
        assert!(told[1..].iter().all(|told| *told == (false, false)));
    }

    #[test]
    fn one_that_succeeds_is_followed_at_once_and_what_fails_later_is_told_again() {
        let (mut relief, now) = (Relief::default(), Timestamp::from_millis(1_000));
        assert!(relief.begin() && relief.failed(now) && !relief.failed(now));
        assert!(!relief.is_due(now));
        relief.succeeded();
        assert!(relief.is_due(now));
        assert!(!relief.begin(), "it still goes on");
        assert!(relief.failed(now));
        assert!(relief.is_due(Timestamp::from_millis(2_000)));
        relief.is_over();
        assert!(relief.is_due(now) && relief.begin());
    }
}
