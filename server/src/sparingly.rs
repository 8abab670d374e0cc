//! Log lines about what may happen very often.

use parking_lot::Mutex;
use store::Timestamp;

/// Time after which a line is written again.
const PAUSE_MS: u64 = 60_000;

/// Lets one log line through in a minute.
#[derive(Debug, Default)]
pub(crate) struct Sparingly(Mutex<Option<Timestamp>>);

impl Sparingly {
    /// Returns whether the line is to be written now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|last| now.millis().saturating_sub(last.millis()) >= PAUSE_MS);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    //! One line in a minute.

    use super::*;

    #[test]
    fn a_line_is_written_at_once_and_then_once_a_minute() {
        let log = Sparingly::default();
        let due = [5, 6, 60_004, 60_005, 60_006].map(|at| log.is_due(Timestamp::from_millis(at)));
        assert_eq!(due, [true, false, false, true, false]);
    }
}
