//! How fast entries are copied or compared, at most, and whether that goes on at all.
//!
//! Whoever reads from the source takes a turn before it asks for the next page, and says afterwards what the page had. So
//! the source is asked for no more than it may be, and nobody holds entries while it waits.

use std::{ops::AddAssign, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// Pages that are read in a second, at least, where that is limited.
const PAGES: u64 = 8;

/// Time of which the entries and bytes may come together, if nothing was read for so long.
const BURST: Duration = Duration::from_millis(1_000 / PAGES);

/// Entries that the source may be asked for at once if a second allows them.
const FEW: u64 = 16;

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

/// Entries, and the bytes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    /// Returns whether a page of this size is full.
    pub(crate) fn fills(self, page: Self) -> bool {
        self.entries >= page.entries || self.bytes >= page.bytes
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, more: Self) {
        self.entries += more.entries;
        self.bytes += more.bytes;
    }
}

/// Holds a job to its rates, which may change while it runs, and has it wait while it is paused.
#[derive(Debug)]
pub(crate) struct Throttle {
    pace: Mutex<Pace>,
    /// Told of whatever may end a wait sooner than expected.
    changes: watch::Sender<()>,
}

/// What one may read now. Whatever it does not take is there for others once this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    throttle: &'t Throttle,
    expected: Amount,
    taken: Amount,
}

impl Turn<'_> {
    /// So much was read.
    pub(crate) fn took(mut self, taken: Amount) {
        self.taken = taken;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.throttle.correct(self.expected, self.taken);
    }
}

impl Throttle {
    /// Of a job that begins now: it has saved up nothing.
    pub(crate) fn new(rates: Rates) -> Self {
        let pace = Mutex::new(Pace::new(rates, Instant::now()));
        Self { pace, changes: watch::Sender::new(()) }
    }

    pub(crate) fn rates(&self) -> Rates {
        self.pace.lock().rates
    }

    pub(crate) fn set(&self, rates: Rates) {
        self.pace.lock().set(rates, Instant::now());
        self.changes.send_replace(());
    }

    /// Lets nobody begin a page, or lets them go on.
    pub(crate) fn hold(&self, holds: bool) {
        self.pace.lock().hold(holds, Instant::now());
        self.changes.send_replace(());
    }

    /// The most to read in one turn: no more than this.
    pub(crate) fn page(&self, most: Amount) -> Amount {
        let rates = self.rates();
        let part = |rate: Option<u64>, most: u64| {
            rate.map_or(most, |rate| (rate / PAGES).min(most).max(1))
        };
        Amount {
            entries: part(rates.entries_per_second, most.entries),
            bytes: part(rates.bytes_per_second, most.bytes),
        }
    }

    /// Most entries that the source may be asked for at once, of so many bytes each on average: those that may be read
    /// in a turn, or a few, but no more than `most`. It holds as long as a walk, which may be quicker later.
    pub(crate) fn batch(&self, most: u64, mean: Option<u64>) -> u32 {
        let Rates { entries_per_second, bytes_per_second } = self.rates();
        let by_bytes = bytes_per_second.zip(mean).map(|(rate, mean)| rate / mean.max(1));
        let in_a_second = entries_per_second.into_iter().chain(by_bytes);
        let at_once = in_a_second.map(|most| (most / PAGES).max(most.min(FEW)).max(1));
        u32::try_from(at_once.fold(most, u64::min)).unwrap_or(u32::MAX)
    }

    /// Waits until so much may be read. `None` while nobody is to begin anything: see [`Throttle::released`].
    pub(crate) async fn turn(&self, expected: Amount) -> Option<Turn<'_>> {
        let mut changes = self.changes.subscribe();
        loop {
            let wait = {
                let mut pace = self.pace.lock();
                if pace.holds {
                    return None;
                }
                pace.begin(expected, Instant::now())
            };
            if wait.is_zero() {
                return Some(Turn { throttle: self, expected, taken: Amount::default() });
            }
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Waits until pages may be begun again.
    pub(crate) async fn released(&self) {
        let mut changes = self.changes.subscribe();
        while self.pace.lock().holds {
            // Cannot fail: this is an end of it.
            let _ = changes.changed().await;
        }
    }

    /// As [`Throttle::turn`], for whoever has nothing to do before it waits for longer.
    pub(crate) async fn any_turn(&self, expected: Amount) -> Turn<'_> {
        loop {
            if let Some(turn) = self.turn(expected).await {
                return turn;
            }
            self.released().await;
        }
    }

    /// So much was read, without a turn.
    pub(crate) fn took(&self, taken: Amount) {
        self.correct(Amount::default(), taken);
    }

    fn correct(&self, expected: Amount, taken: Amount) {
        if expected == taken {
            return;
        }
        self.pace.lock().correct(expected, taken);
        self.changes.send_replace(());
    }
}

/// Until when what was read takes at its rates. A decider: the time goes in, the wait comes out.
#[derive(Debug)]
struct Pace {
    rates: Rates,
    entries_paid: Instant,
    bytes_paid: Instant,
    holds: bool,
}

impl Pace {
    fn new(rates: Rates, now: Instant) -> Self {
        Self { rates, entries_paid: now, bytes_paid: now, holds: false }
    }

    fn set(&mut self, rates: Rates, now: Instant) {
        *self = Self { holds: self.holds, ..Self::new(rates, now) };
    }

    /// What was not used while everybody was held is not saved up.
    fn hold(&mut self, holds: bool, now: Instant) {
        self.holds = holds;
        self.entries_paid = self.entries_paid.max(now);
        self.bytes_paid = self.bytes_paid.max(now);
    }

    /// Begins to read so much, or returns the time until that may be begun.
    fn begin(&mut self, amount: Amount, now: Instant) -> Duration {
        let paid = |before: Instant, cost: Duration| {
            let since = now.checked_sub(BURST.max(cost)).unwrap_or(now);
            later(before.max(since), cost)
        };
        let entries = paid(self.entries_paid, cost(self.rates.entries_per_second, amount.entries));
        let bytes = paid(self.bytes_paid, cost(self.rates.bytes_per_second, amount.bytes));
        let wait = entries.max(bytes).saturating_duration_since(now);
        if wait.is_zero() {
            (self.entries_paid, self.bytes_paid) = (entries, bytes);
        }
        wait
    }

    fn correct(&mut self, expected: Amount, taken: Amount) {
        let correct = |paid: &mut Instant, rate, expected, taken| {
            let more = later(*paid, cost(rate, taken));
            *paid = more.checked_sub(cost(rate, expected)).unwrap_or(more);
        };
        let (entries, bytes) = (self.rates.entries_per_second, self.rates.bytes_per_second);
        correct(&mut self.entries_paid, entries, expected.entries, taken.entries);
        correct(&mut self.bytes_paid, bytes, expected.bytes, taken.bytes);
    }
}

/// The time that so much takes at this rate.
fn cost(rate: Option<u64>, amount: u64) -> Duration {
    let Some(rate) = rate else { return Duration::ZERO };
    let nanos = u128::from(amount) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn later(instant: Instant, by: Duration) -> Instant {
    instant.checked_add(by).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    //! Rates, by the time that is told.

    use super::*;

    fn rates(entries: Option<u64>, bytes: Option<u64>) -> Rates {
        Rates { entries_per_second: entries, bytes_per_second: bytes }
    }

    fn amount(entries: u64, bytes: u64) -> Amount {
        Amount { entries, bytes }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_slower_of_both_rates_decides_and_a_beginning_has_nothing_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(rates(Some(100), Some(1_000)), start);
        assert_eq!(pace.begin(amount(10, 10), start), millis(100), "the entries");
        assert_eq!(pace.begin(amount(1, 500), start), millis(500), "the bytes");
        let then = start + millis(100);
        assert_eq!(pace.begin(amount(10, 10), then), Duration::ZERO);
        assert_eq!(pace.begin(amount(10, 10), then), millis(100));
        let later = start + Duration::from_secs(10);
        assert_eq!(pace.begin(amount(12, 10), later), Duration::ZERO, "an eighth of a second");
        assert_eq!(pace.begin(amount(10, 10), later), millis(95), "and no more is saved up");
    }

    #[test]
    fn what_a_turn_does_not_take_is_there_for_others_and_more_than_that_is_owed() {
        let start = Instant::now();
        let mut pace = Pace::new(rates(Some(100), None), start);
        let then = start + millis(100);
        assert_eq!(pace.begin(amount(10, 0), then), Duration::ZERO);
        pace.correct(amount(10, 0), amount(4, 999));
        assert_eq!(pace.begin(amount(6, 0), then), Duration::ZERO);
        pace.correct(amount(6, 0), amount(26, 0));
        assert_eq!(pace.begin(amount(1, 0), then), millis(210));
    }

    #[test]
    fn neither_other_rates_nor_a_pause_give_anything_away() {
        let start = Instant::now();
        let mut pace = Pace::new(rates(Some(100), None), start);
        let mut read = 0;
        for step in 0..100 {
            let now = start + millis(10) * step;
            match step % 3 {
                0 => pace.set(rates(Some(100), None), now),
                1 => pace.hold(true, now),
                _ => pace.hold(false, now),
            }
            read += u32::from(pace.begin(amount(1, 0), now).is_zero());
        }
        assert!(read <= 100, "{read} in a second");
    }

    /// Entries that as many readers read in so many seconds, a page at a time.
    async fn read(throttle: &Throttle, readers: usize, seconds: u64) -> u64 {
        let end = Instant::now() + Duration::from_secs(seconds);
        let one = async || {
            let mut read = 0;
            loop {
                let page = throttle.page(amount(256, 1_000_000));
                let turn = throttle.any_turn(page).await;
                if Instant::now() > end {
                    return read;
                }
                tokio::time::sleep(millis(3)).await;
                turn.took(page);
                read += page.entries;
            }
        };
        let all = futures_util::future::join_all((0..readers).map(|_| one())).await;
        all.into_iter().sum()
    }

    #[tokio::test(start_paused = true)]
    async fn as_much_is_read_as_may_be_however_many_read() {
        for rate in [1, 7, 20, 100, 100_000] {
            for readers in [1, 2, 7] {
                let throttle = Throttle::new(rates(Some(rate), None));
                let first = read(&throttle, readers, 1).await;
                assert!(first <= rate, "{first} in the first second, at {rate}");
                let throttle = Throttle::new(rates(Some(rate), None));
                let all = read(&throttle, readers, 10).await;
                // One reader that waits for a slow source cannot be that fast.
                let least = if readers == 1 && rate == 100_000 { 0 } else { rate * 9 };
                assert!((least..=rate * 10).contains(&all), "{all} in ten seconds, at {rate}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_other_rates_and_by_a_turn_that_takes_nothing() {
        let throttle = Throttle::new(rates(Some(1), None));
        let begin = Instant::now();
        let lift = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            throttle.set(Rates::default());
        };
        tokio::join!(throttle.any_turn(amount(1_000, 0)), lift);
        assert_eq!(begin.elapsed().as_secs(), 1);
        throttle.set(rates(Some(1), None));
        let begin = Instant::now();
        let turn = throttle.any_turn(amount(1, 0)).await;
        let back = async {
            tokio::time::sleep(millis(10)).await;
            drop(turn);
        };
        tokio::join!(throttle.any_turn(amount(1, 0)), back);
        assert_eq!(begin.elapsed(), millis(1_010));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_begins_anything_while_it_is_held() {
        let throttle = Throttle::new(Rates::default());
        throttle.hold(true);
        assert!(throttle.turn(amount(1, 1)).await.is_none());
        let begin = Instant::now();
        let release = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            throttle.set(Rates::default());
            tokio::time::sleep(Duration::from_secs(5)).await;
            throttle.hold(false);
        };
        tokio::join!(throttle.any_turn(amount(1, 1)), release);
        assert_eq!(begin.elapsed().as_secs(), 10);
        assert!(throttle.turn(amount(1, 1)).await.is_some());
    }

    #[test]
    fn a_page_is_an_eighth_of_what_a_second_allows_and_one_entry_at_least() {
        let page = |entries, bytes| Throttle::new(rates(entries, bytes)).page(amount(256, 4_096));
        assert_eq!(page(None, None), amount(256, 4_096));
        assert_eq!(page(Some(100), Some(8)), amount(12, 1));
        assert_eq!(page(Some(7), Some(8_000)), amount(1, 1_000));
        assert_eq!(page(Some(1_000_000), Some(1_000_000)), amount(256, 4_096));
    }

    #[test]
    fn the_source_is_asked_for_a_page_or_a_few_at_once_and_for_no_more_than_a_second_allows() {
        let batch = |entries, bytes, mean| Throttle::new(rates(entries, bytes)).batch(1_000, mean);
        assert_eq!(batch(None, None, None), 1_000);
        assert_eq!(batch(Some(800), None, None), 100);
        assert_eq!(batch(Some(80), None, None), 16);
        assert_eq!(batch(Some(5), None, None), 5);
        assert_eq!(batch(Some(80_000), Some(80_000), None), 1_000);
        assert_eq!(batch(Some(80_000), Some(80_000), Some(100)), 100);
        assert_eq!(batch(None, Some(80), Some(100)), 1, "at least one");
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(Rates::default(), Instant::now());
        assert_eq!(pace.begin(amount(u64::MAX, u64::MAX), Instant::now()), Duration::ZERO);
    }
}
