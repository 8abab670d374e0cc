//! Log lines about what may happen very often.

use parking_lot::Mutex;
use store::Timestamp;

/// Time after which a line is written again.
const PAUSE_MS: u64 = 60_000;

/// Lets one log line through in a minute, and counts what it is about.
#[derive(Debug, Default)]
pub struct Sparingly(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    written: Option<Timestamp>,
    since: u64,
}

impl Sparingly {
    /// Counts one more. If a line is to be written now, returns how many it stands for.
    pub fn count(&self, now: Timestamp) -> Option<u64> {
        let mut counted = self.0.lock();
        counted.since += 1;
        let is_due = |last: Timestamp| now.millis().saturating_sub(last.millis()) >= PAUSE_MS;
        counted.written.is_none_or(is_due).then(|| {
            counted.written = Some(now);
            std::mem::take(&mut counted.since)
        })
    }

    /// Returns whether a line is to be written now, for one that does not say how many it stands for.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.count(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    //! One line in a minute.

    use super::*;

    #[test]
    fn a_line_is_written_at_once_and_then_once_a_minute_for_all_of_them() {
        let log = Sparingly::default();
        let lines = [5, 6, 60_004, 60_005, 60_006].map(|at| log.count(Timestamp::from_millis(at)));
        assert_eq!(lines, [Some(1), None, None, Some(3), None]);
        assert!(log.is_due(Timestamp::from_millis(120_005)));
    }
}
