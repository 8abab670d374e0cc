//! Read-through: what is not here is asked for at the source, once at a time for each key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry as Place};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

use crate::entry::SourceEntry;

/// Most keys that are asked for at the same time. Beyond it a request waits, and its connection is not
/// read any further.
const MOST_LOADS: usize = 1_024;

/// Losses in a row after which the source is left alone for a moment.
const BREAKS_AFTER: u32 = 8;

/// How long it is left alone.
const BREAK: Duration = Duration::from_millis(500);

/// What the source said of a key.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    /// It has no entry.
    Absent,
    /// It has this one.
    Entry(Arc<SourceEntry>),
    /// It answered with an error, or refuses to be asked: it is there, and this is what it says.
    Failed(Arc<str>),
    /// It did not say anything that can be believed, in time.
    Silent,
}

/// A load that may have several waiters.
type Flight = Shared<BoxFuture<'static, Loaded>>;

/// Loads entries for the commands of one cache.
pub(crate) struct Loader {
    state: Arc<State>,
    tasks: TaskTracker,
}

/// What loads share with those who wait for them.
struct State {
    flights: DashMap<Box<[u8]>, Flight>,
    places: Semaphore,
    breaker: Mutex<Breaker>,
    counts: LoadCounts,
}

/// Removes a load from those in flight once it has ended.
struct Landing<'a> {
    flights: &'a DashMap<Box<[u8]>, Flight>,
    key: Box<[u8]>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.flights.remove(&self.key);
    }
}

/// Leaves a source alone that does not answer.
#[derive(Default)]
struct Breaker {
    /// Losses in a row.
    losses: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
}

/// What came of loads so far, however many have waited for each.
#[derive(Debug, Default)]
pub(crate) struct LoadCounts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) silent: AtomicU64,
}

impl Loader {
    /// A loader whose loads are tasks among these.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        let state = State {
            flights: DashMap::new(),
            places: Semaphore::new(MOST_LOADS),
            breaker: Mutex::default(),
            counts: LoadCounts::default(),
        };
        Self { state: Arc::new(state), tasks }
    }

    /// What the source says of `key`, by `ask`. Whoever comes while it is being asked waits for the same
    /// answer.
    pub(crate) async fn load(
        &self,
        key: &[u8],
        ask: impl FnOnce() -> BoxFuture<'static, Loaded>,
    ) -> Loaded {
        if self.state.is_broken() {
            self.counts().silent.fetch_add(1, Ordering::Relaxed);
            return Loaded::Silent;
        }
        let flight = match self.state.flights.entry(key.into()) {
            Place::Occupied(flight) => flight.get().clone(),
            Place::Vacant(place) => place.insert(self.depart(key.into(), ask())).clone(),
        };
        flight.await
    }

    /// A task of its own: it comes to its end although the first one that waits for it may leave.
    fn depart(&self, key: Box<[u8]>, ask: BoxFuture<'static, Loaded>) -> Flight {
        let state = Arc::clone(&self.state);
        let task = self.tasks.spawn(async move {
            // However the task ends, the next one that comes asks anew.
            let _landing = Landing { flights: &state.flights, key };
            let place = state.places.acquire().await;
            let loaded = ask.await;
            drop(place);
            state.count(&loaded);
            loaded
        });
        task.map(|loaded| loaded.unwrap_or(Loaded::Silent)).boxed().shared()
    }

    pub(crate) fn counts(&self) -> &LoadCounts {
        &self.state.counts
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state.flights.len()
    }
}

impl State {
    /// Returns whether the source is left alone for now. One load a moment finds out whether it is back.
    fn is_broken(&self) -> bool {
        let mut breaker = self.breaker.lock();
        match breaker.until {
            Some(until) if Instant::now() < until => true,
            Some(_) => {
                breaker.until = Some(Instant::now() + BREAK);
                false
            }
            None => false,
        }
    }

    fn count(&self, loaded: &Loaded) {
        let counter = match loaded {
            Loaded::Absent => &self.counts.misses,
            Loaded::Entry(_) => &self.counts.hits,
            Loaded::Failed(_) => &self.counts.failed,
            Loaded::Silent => &self.counts.silent,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut breaker = self.breaker.lock();
        if matches!(loaded, Loaded::Silent) {
            breaker.losses += 1;
            if breaker.losses >= BREAKS_AFTER {
                breaker.until.get_or_insert_with(|| Instant::now() + BREAK);
            }
        } else {
            *breaker = Breaker::default();
        }
    }
}

#[cfg(test)]
mod tests {
    //! Loads that meet, and a source that is away.

    use client::Bytes;
    use std::sync::atomic::AtomicU32;

    use futures_util::future::join_all;
    use store::Timestamp;

    use super::*;
    use crate::{clocks::tests::synchronous, source_clock::Obtained};

    fn entry() -> Loaded {
        let (value, metadata) = (Bytes::from_static(b"v"), client::Metadata::default());
        let now = Timestamp::from_millis(1);
        let clock = synchronous(now);
        let entry = SourceEntry::new(value, &metadata, &clock, Obtained::ByKey, now, now);
        Loaded::Entry(Arc::new(entry))
    }

    #[tokio::test]
    async fn a_load_that_panics_counts_as_silence_and_the_next_one_asks_anew() {
        let loader = Loader::new(TaskTracker::new());
        let panics = || async { panic!("a broken load") }.boxed();
        assert!(matches!(loader.load(b"k", panics).await, Loaded::Silent));
        let loaded = loader.load(b"k", || async { entry() }.boxed()).await;
        assert!(matches!(loaded, Loaded::Entry(_)));
        assert_eq!(loader.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_readers_of_one_key_ask_once() {
        let loader = Loader::new(TaskTracker::new());
        let asked = Arc::new(AtomicU32::new(0));
        let loads = (0..1_000).map(|_| {
            let asked = Arc::clone(&asked);
            loader.load(b"k", move || {
                async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    entry()
                }
                .boxed()
            })
        });
        let loaded = join_all(loads).await;
        assert!(loaded.iter().all(|loaded| matches!(loaded, Loaded::Entry(_))));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(loader.in_flight(), 0);
        assert_eq!(loader.counts().hits.load(Ordering::Relaxed), 1);
        loader.load(b"k", || async { Loaded::Absent }.boxed()).await;
        assert_eq!(loader.counts().misses.load(Ordering::Relaxed), 1, "a later reader asks again");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_keys_are_asked_for_at_a_time() {
        let loader = Loader::new(TaskTracker::new());
        let at_once = Arc::new(AtomicU32::new(0));
        let most = Arc::new(AtomicU32::new(0));
        let keys: Vec<[u8; 4]> = (0..3_000_u32).map(u32::to_be_bytes).collect();
        let loads = keys.iter().map(|key| {
            let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
            loader.load(key, move || {
                async move {
                    let now = at_once.fetch_add(1, Ordering::Relaxed) + 1;
                    most.fetch_max(now, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    at_once.fetch_sub(1, Ordering::Relaxed);
                    Loaded::Absent
                }
                .boxed()
            })
        });
        join_all(loads).await;
        assert_eq!(most.load(Ordering::Relaxed), 1_024);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_answers_with_errors_is_there() {
        let loader = Loader::new(TaskTracker::new());
        let load = |key: &'static [u8], loaded: Loaded| {
            loader.load(key, move || async move { loaded }.boxed())
        };
        for round in 0..3 {
            // One loss less than the source is left alone after, and then an error.
            for _ in 1..BREAKS_AFTER {
                load(b"lost", Loaded::Silent).await;
            }
            for _ in 0..3 * BREAKS_AFTER {
                let failed = load(b"bad", Loaded::Failed("ISPN000495".into())).await;
                assert!(
                    matches!(failed, Loaded::Failed(text) if *text == *"ISPN000495"),
                    "{round}"
                );
            }
        }
        assert!(matches!(load(b"good", entry()).await, Loaded::Entry(_)), "others are asked for");
        let counts = loader.counts();
        assert_eq!(counts.failed.load(Ordering::Relaxed), 9 * u64::from(BREAKS_AFTER));
        assert_eq!(counts.silent.load(Ordering::Relaxed), 3 * u64::from(BREAKS_AFTER - 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_away_is_left_alone_and_found_again() {
        let loader = Loader::new(TaskTracker::new());
        let asked = AtomicU32::new(0);
        let load = |back: bool| {
            let asked = &asked;
            loader.load(b"k", move || {
                asked.fetch_add(1, Ordering::Relaxed);
                async move { if back { Loaded::Absent } else { Loaded::Silent } }.boxed()
            })
        };
        for _ in 0..100 {
            assert!(matches!(load(false).await, Loaded::Silent));
        }
        assert_eq!(asked.load(Ordering::Relaxed), BREAKS_AFTER);
        tokio::time::advance(BREAK).await;
        assert!(matches!(load(true).await, Loaded::Absent), "one finds out");
        assert!(matches!(load(true).await, Loaded::Absent), "and all go on");
    }
}
