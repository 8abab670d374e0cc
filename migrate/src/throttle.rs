//! How fast entries are copied, at most.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// Most entries and bytes in a second. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rates {
    /// Most entries in a second.
    pub entries_per_second: Option<u64>,
    /// Most bytes in a second.
    pub bytes_per_second: Option<u64>,
}

impl Rates {
    /// Returns whether neither is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether nothing could ever be copied.
    #[must_use]
    pub fn is_standstill(&self) -> bool {
        self.entries_per_second == Some(0) || self.bytes_per_second == Some(0)
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.entries_per_second, self.bytes_per_second) {
            (None, None) => f.write_str("none"),
            (Some(entries), None) => write!(f, "{entries} entries/s"),
            (None, Some(bytes)) => write!(f, "{bytes} bytes/s"),
            (Some(entries), Some(bytes)) => write!(f, "{entries} entries/s, {bytes} bytes/s"),
        }
    }
}

/// Holds a job to its rates, which may change while it runs.
#[derive(Debug)]
pub(crate) struct Throttle {
    pace: Mutex<Pace>,
    /// Told of other rates.
    changes: watch::Sender<()>,
}

impl Throttle {
    pub(crate) fn new(rates: Rates) -> Self {
        let pace = Mutex::new(Pace { rates, entries_due: None, bytes_due: None });
        Self { pace, changes: watch::Sender::new(()) }
    }

    pub(crate) fn rates(&self) -> Rates {
        self.pace.lock().rates
    }

    pub(crate) fn set(&self, rates: Rates) {
        *self.pace.lock() = Pace { rates, entries_due: None, bytes_due: None };
        self.changes.send_replace(());
    }

    /// Waits until so much may be copied; or until there are other rates, to which the next one keeps.
    pub(crate) async fn take(&self, entries: u64, bytes: u64) {
        let mut changes = self.changes.subscribe();
        let wait = self.pace.lock().take(entries, bytes, Instant::now());
        if !wait.is_zero() {
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }
}

/// When the next entry and the next byte are due. A decider: the time goes in, the wait comes out.
#[derive(Debug)]
struct Pace {
    rates: Rates,
    entries_due: Option<Instant>,
    bytes_due: Option<Instant>,
}

impl Pace {
    fn take(&mut self, entries: u64, bytes: u64, now: Instant) -> Duration {
        let entries = advance(&mut self.entries_due, self.rates.entries_per_second, entries, now);
        let bytes = advance(&mut self.bytes_due, self.rates.bytes_per_second, bytes, now);
        entries.max(bytes)
    }
}

/// Time until `amount` may pass. What was not used is not saved up.
fn advance(due: &mut Option<Instant>, rate: Option<u64>, amount: u64, now: Instant) -> Duration {
    let Some(rate) = rate else { return Duration::ZERO };
    let nanos = u128::from(amount) * 1_000_000_000 / u128::from(rate.max(1));
    let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    let start = due.map_or(now, |due| due.max(now));
    *due = start.checked_add(takes);
    start - now
}

#[cfg(test)]
mod tests {
    //! Rates, by the time that is told.

    use super::*;

    #[test]
    fn the_slower_of_both_rates_decides() {
        let rates = Rates { entries_per_second: Some(100), bytes_per_second: Some(1_000) };
        let mut pace = Pace { rates, entries_due: None, bytes_due: None };
        let start = Instant::now();
        assert_eq!(pace.take(10, 10, start), Duration::ZERO);
        assert_eq!(pace.take(10, 500, start), Duration::from_millis(100), "the entries");
        assert_eq!(pace.take(1, 1, start), Duration::from_millis(510), "the bytes");
        let later = start + Duration::from_secs(10);
        assert_eq!(pace.take(10, 10, later), Duration::ZERO, "nothing is owed any more");
        assert_eq!(pace.take(10, 10, later), Duration::from_millis(100), "and nothing saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_other_rates() {
        let slow = Rates { entries_per_second: Some(1), bytes_per_second: None };
        let throttle = Throttle::new(slow);
        throttle.take(1_000, 0).await;
        let begin = Instant::now();
        let lift = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            throttle.set(Rates::default());
        };
        tokio::join!(throttle.take(1_000, 0), lift);
        assert_eq!(begin.elapsed().as_secs(), 1);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace { rates: Rates::default(), entries_due: None, bytes_due: None };
        assert_eq!(pace.take(u64::MAX, u64::MAX, Instant::now()), Duration::ZERO);
    }
}
