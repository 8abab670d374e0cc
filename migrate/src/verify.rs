//! Proves that nothing was lost: reads every segment of the source again and compares.
//!
//! A verification reads units of the source's segments in parallel, like a copy: [`SyncJob`] decides what
//! is read when, and again after a loss. What was found of a unit counts once the unit was compared to its
//! end; an attempt that broke off is forgotten when the next one begins.

mod compare;
pub(crate) mod judge;
mod met;
mod report;
mod unfound;
mod unit;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use rand::Rng;
use store::{Cache, Coverage, SourceSpace};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::report::{Finding, Listed, VerifyReport};
use self::{
    report::{CANCELLED, FAILED, FINISHED, RUNNING},
    unit::{Broken, Comparison, MOST_KEYS},
};
use crate::{
    census::Census,
    copy::owners_in,
    job::{Tagged, Teller},
    source::{Doubt, PATIENCE, SourceConnection, Walker},
    steering::{self, LONG_PAUSE, Over, Steered, Steering, steering},
    sync::{Action, Ending, Event, SyncJob, SyncSettings, UNIT_SEGMENTS, Unit, UnitId, untaken},
    throttle::{Rates, Throttle},
};

/// Events that wait for the job. Readers wait beyond it.
const MOST_EVENTS: usize = 64;

/// What an operator asks of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyRequest {
    /// Set to fetch again what is missing or different.
    pub repair: bool,
    /// Most units that are compared at the same time.
    pub threads: Option<u32>,
    /// How fast it compares, at most, from its beginning; as it is configured unless it is given.
    pub rates: Option<Rates>,
}

/// A verification that runs, or has run.
#[derive(Clone)]
pub(crate) struct VerifyHandle {
    shared: Arc<Shared>,
    steering: Steering,
    cancelled: CancellationToken,
}

impl VerifyHandle {
    pub(crate) fn report(&self) -> VerifyReport {
        self.shared.report()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.shared.progress.lock().report.is_running()
    }

    /// What it was asked for; its rates may have changed since.
    pub(crate) fn request(&self) -> VerifyRequest {
        self.shared.request
    }

    /// Ends it where it is.
    pub(crate) fn cancel(&self) {
        self.cancelled.cancel();
        self.shared.end(CANCELLED, None);
    }

    /// Begins nothing new, or goes on. False if it hears nothing any more.
    pub(crate) fn tell(&self, order: Event) -> bool {
        self.steering.tell(order)
    }

    /// Returns whether it waits for [`Event::Resume`]: then nobody who joins it would know when it ends.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_running() && self.steering.is_told_to_pause()
    }

    pub(crate) fn throttle(&self, rates: Rates) {
        self.shared.throttle.set(rates);
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) -> VerifyReport {
        self.steering.over().await;
        self.report()
    }

    /// Waits until it is over. `None` if it is told to pause first.
    pub(crate) async fn ended_unless_paused(&self) -> Option<VerifyReport> {
        self.steering.unless_paused(self.ended()).await
    }
}

/// What a verification and those who look at it share.
struct Shared {
    cache: Arc<Cache>,
    request: VerifyRequest,
    throttle: Throttle,
    progress: Mutex<Progress>,
}

struct Progress {
    /// What is certain: that of units that were compared to their end.
    report: VerifyReport,
    /// What was found of each unit that is being compared, or was when it broke off.
    units: BTreeMap<UnitId, VerifyReport>,
    /// Entries of the source that had been evicted here and were gone at the end.
    evicted: Option<u64>,
}

impl Shared {
    fn report(&self) -> VerifyReport {
        // Known before the progress is held: units note what they have found while others ask the cache.
        let evicted = self.cache.evicted_imported();
        let progress = self.progress.lock();
        let mut report = progress.report.clone();
        progress.units.values().for_each(|unit| report.add(unit));
        report.excuse(progress.evicted.unwrap_or(evicted));
        report.throttle = self.throttle.rates();
        report
    }

    /// Begins a unit, perhaps again.
    fn begin(&self, unit: UnitId) {
        let units = &mut self.progress.lock().units;
        let found = units.remove(&unit).map(VerifyReport::begin_again);
        units.insert(unit, found.unwrap_or_default());
    }

    fn note(&self, unit: UnitId, note: impl FnOnce(&mut VerifyReport)) {
        note(self.progress.lock().units.entry(unit).or_default());
    }

    /// Begins everything again, as one unit: of what was found, only what was put right is kept.
    fn begin_as_unit(&self) {
        let progress = &mut *self.progress.lock();
        let VerifyReport { state, repair, paused, source_entries_before, .. } =
            progress.report.clone();
        let begun = VerifyReport {
            state,
            repair,
            paused,
            source_entries_before,
            segments: 1,
            ..VerifyReport::default()
        };
        let mut found = std::mem::replace(&mut progress.report, begun);
        std::mem::take(&mut progress.units).values().for_each(|unit| found.add(unit));
        progress.units.insert(UnitId(0), found.begin_again());
    }

    /// A unit was compared to its end.
    fn settle(&self, unit: UnitId) {
        let mut progress = self.progress.lock();
        if let Some(found) = progress.units.remove(&unit) {
            progress.report.add(&found);
        }
    }

    fn set_paused(&self, paused: bool) {
        let report = &mut self.progress.lock().report;
        // One that was cancelled waits for nothing.
        report.paused = paused && report.is_running();
    }

    /// Notes how it ended, unless that is known.
    fn end(&self, state: &str, reason: Option<String>) {
        // What is evicted later is no excuse.
        let evicted = self.cache.evicted_imported();
        let progress = &mut *self.progress.lock();
        if progress.report.is_running() {
            let report = &mut progress.report;
            (report.state, report.reason, report.paused) = (state.to_owned(), reason, false);
            progress.evicted = Some(evicted);
        }
    }
}

/// Notes that a verification has ended, and says that it is over, whatever ends its task.
struct End {
    shared: Arc<Shared>,
    _over: Over,
}

impl Drop for End {
    fn drop(&mut self) {
        let reason = match std::thread::panicking() {
            true => "it ended by a fault of the server, please report it",
            false => "the cache was disconnected from its source",
        };
        self.shared.end(FAILED, Some(reason.into()));
    }
}

/// Starts a verification of a cache all of whose source segments are complete.
pub(crate) fn start(connection: &Arc<SourceConnection>, request: VerifyRequest) -> VerifyHandle {
    let settings = connection.settings();
    let units = request.threads.map_or(settings.sync.units, |threads| threads as usize);
    let sync = SyncSettings { units, ..settings.sync };
    let repair = request.repair;
    let report = VerifyReport { state: RUNNING.into(), repair, ..VerifyReport::default() };
    let shared = Arc::new(Shared {
        cache: Arc::clone(connection.cache()),
        request,
        throttle: Throttle::new(request.rates.unwrap_or(settings.rates)),
        progress: Mutex::new(Progress { report, units: BTreeMap::new(), evicted: None }),
    });
    let (steering, Steered { orders, over }) = steering();
    let (events, heard) = mpsc::channel(MOST_EVENTS);
    let cancelled = CancellationToken::new();
    let end = End { shared: Arc::clone(&shared), _over: over };
    let driver = Driver {
        connection: Arc::clone(connection),
        walker: connection.walker(),
        shared: Arc::clone(&shared),
        settings: sync,
        most_readers: 1,
        space: SourceSpace::Unit,
        repair,
        stretch: 0,
        held_until: None,
        events,
        readers: JoinSet::new(),
        ending: None,
    };
    let cancel = cancelled.clone();
    connection.spawn(async move {
        let verified = cancel.run_until_cancelled(driver.run(heard, orders)).await;
        match verified {
            Some(Ok(())) => end.shared.end(FINISHED, None),
            Some(Err(Unfinished::Failed(reason))) => end.shared.end(FAILED, Some(reason)),
            Some(Err(Unfinished::Cancelled)) | None => end.shared.end(CANCELLED, None),
        }
    });
    VerifyHandle { shared, steering, cancelled }
}

/// Why a verification did not come to its end.
enum Unfinished {
    Failed(String),
    Cancelled,
}

struct Driver {
    connection: Arc<SourceConnection>,
    walker: Arc<Walker>,
    shared: Arc<Shared>,
    settings: SyncSettings,
    /// Units that can be compared at the same time: they share the memory for keys.
    most_readers: usize,
    space: SourceSpace,
    repair: bool,
    stretch: u64,
    /// Until when readers keep their places while it is paused.
    held_until: Option<Instant>,
    events: mpsc::Sender<Tagged>,
    readers: JoinSet<()>,
    ending: Option<Ending>,
}

impl Driver {
    async fn run(
        mut self,
        mut heard: mpsc::Receiver<Tagged>,
        mut ordered: mpsc::Receiver<Event>,
    ) -> Result<(), Unfinished> {
        let failed = |reason: &str| Unfinished::Failed(reason.into());
        let link = self.connection.link();
        let link = link.ok_or_else(|| failed("the cache is not connected to a source"))?;
        let segments = link.space.count();
        self.shared.progress.lock().report.segments = segments;
        // Where the keys of a unit are is not known: only all of them together are compared.
        let owners = match link.space {
            SourceSpace::Segments(_) => owners_in(&self.connection, link.space),
            SourceSpace::Unit => Vec::new(),
        };
        self.most_readers = most_readers(self.settings, &owners);
        let evicted_before = self.connection.cache().evicted();
        let census = self.connection.census_before(PATIENCE).await;
        self.shared.progress.lock().report.source_entries_before = census.entries;
        let none = Coverage::none(segments);
        self.space = link.space;
        let (mut job, actions) = SyncJob::start(link.space, &none, &owners, self.settings);
        self.follow(actions).await;
        while self.ending.is_none() {
            let actions = tokio::select! {
                Some(order) = ordered.recv() => job.on(order),
                Some(Tagged { stretch, event }) = heard.recv() => match event {
                    Event::Misplaced => self.begin_as_unit(&mut job, stretch).await,
                    event => self.hear(&mut job, stretch, event),
                },
                () = steering::over_at(self.held_until) => {
                    self.held_until = None;
                    job.on(Event::PauseIsLong)
                }
                Some(ended) = self.readers.join_next(), if !self.readers.is_empty() => {
                    ended.map_or_else(|error| job.on(died(&error)), |()| Vec::new())
                }
            };
            self.shared.set_paused(job.is_paused());
            self.follow(actions).await;
        }
        let evicted = self.connection.cache().evicted() - evicted_before;
        self.shared.progress.lock().report.evict(evicted);
        match self.ending.take() {
            Some(Ending::Finished) => self.conclude(census).await.map_err(Unfinished::Failed),
            Some(Ending::Failed { reason }) => Err(Unfinished::Failed(reason)),
            Some(Ending::Untaken { entries }) => Err(Unfinished::Failed(untaken(entries))),
            Some(Ending::Cancelled) | None => Err(Unfinished::Cancelled),
        }
    }

    /// The source places its keys in a way of its own: all of them together are compared, from the beginning.
    async fn begin_as_unit(&mut self, job: &mut SyncJob, stretch: u64) -> Vec<Action> {
        if stretch != self.stretch {
            return Vec::new();
        }
        let cache = self.connection.cache().name();
        tracing::warn!(%cache, "the source places its keys in a way of its own: it is compared as one unit");
        self.stretch += 1;
        self.readers.shutdown().await;
        self.space = SourceSpace::Unit;
        self.shared.begin_as_unit();
        let is_paused = job.is_paused();
        let (whole, mut actions) =
            SyncJob::start(self.space, &Coverage::none(1), &[], self.settings);
        *job = whole;
        if is_paused {
            actions.extend(job.on(Event::Pause));
        }
        actions
    }

    fn hear(&self, job: &mut SyncJob, stretch: u64, event: Event) -> Vec<Action> {
        if stretch != self.stretch {
            return Vec::new();
        }
        match event {
            Event::WholeUnitRead { unit } => self.shared.settle(unit),
            Event::SourceChanged { .. } => self.shared.progress.lock().report.lost_source = true,
            _ => {}
        }
        job.on(event)
    }

    async fn follow(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Read(unit) => self.compare(unit),
                Action::Wait { unit, pause } => {
                    let teller = self.teller();
                    let jitter = rand::rng().random_range(0.5..1.5);
                    self.readers.spawn(async move {
                        tokio::time::sleep(pause.mul_f64(jitter)).await;
                        teller.tell(Event::Again { unit }).await;
                    });
                }
                Action::Hold => {
                    self.shared.throttle.hold(true);
                    self.held_until = Some(Instant::now() + LONG_PAUSE);
                }
                Action::GoOn => {
                    self.shared.throttle.hold(false);
                    self.held_until = None;
                }
                Action::Stop => {
                    self.stretch += 1;
                    self.held_until = None;
                    self.readers.shutdown().await;
                }
                Action::End(ending) => {
                    self.readers.shutdown().await;
                    self.ending = Some(ending);
                }
                // Verifying completes nothing, and finds out nothing about where keys are.
                Action::Complete(_) | Action::BecomeUnit => {}
            }
        }
    }

    fn teller(&self) -> Teller {
        Teller { stretch: self.stretch, events: self.events.clone() }
    }

    fn compare(&mut self, unit: Unit) {
        let teller = self.teller();
        // A source that is one unit is read by one reader.
        let readers = if unit.segments.is_none() { 1 } else { self.most_readers };
        let comparison = Comparison {
            connection: Arc::clone(&self.connection),
            walker: Arc::clone(&self.walker),
            shared: Arc::clone(&self.shared),
            repair: self.repair,
            space: self.space,
            most_keys: MOST_KEYS / readers,
            unit,
        };
        self.readers.spawn(async move {
            let id = comparison.unit.id;
            // One event for the whole unit: an attempt that breaks off is forgotten, and so must be all that it
            // has told.
            let event = match comparison.run().await {
                Ok(()) => Event::WholeUnitRead { unit: id },
                Err(Broken::Misplaced) => Event::Misplaced,
                Err(Broken::Doubt(Doubt::Silent(reason))) => Event::Lost { unit: id, reason },
                Err(Broken::Doubt(Doubt::Another(reason))) => Event::SourceChanged { reason },
            };
            teller.tell(event).await;
        });
    }

    async fn conclude(&self, before: Census) -> Result<(), String> {
        let after = self.connection.census_after(PATIENCE).await;
        self.connection.settle_servers().await;
        let cleared = self.connection.cleared_at();
        let report = &mut self.shared.progress.lock().report;
        cleared.had.into_iter().for_each(|had| report.bound_cleared(had));
        report.conclude(before, after)
    }
}

/// Units that can be compared at the same time, whatever number was asked for, of segments with these owners.
fn most_readers(settings: SyncSettings, owners: &[usize]) -> usize {
    let mut segments = BTreeMap::<usize, usize>::new();
    owners.iter().for_each(|server| *segments.entry(*server).or_default() += 1);
    let of_server =
        |segments: &usize| segments.div_ceil(UNIT_SEGMENTS).min(settings.units_per_server);
    let readers: usize = segments.values().map(of_server).sum();
    readers.min(settings.units).max(1)
}

fn died(error: &JoinError) -> Event {
    Event::SourceChanged { reason: format!("it ended by a fault of the server: {error}") }
}

#[cfg(test)]
mod tests {
    //! How the memory for keys is divided.

    use super::*;

    #[test]
    fn units_that_cannot_be_compared_at_the_same_time_take_no_part_of_the_memory() {
        let readers = |units, owners: &[usize]| {
            most_readers(SyncSettings { units, units_per_server: 2 }, owners)
        };
        let one_server = vec![0; 256];
        let two_servers: Vec<usize> = (0..256).map(|segment| segment % 2).collect();
        for (units, owners, expected) in [
            (4, &one_server, 2),
            (4, &two_servers, 4),
            (3, &two_servers, 3),
            (1_000_000_000, &two_servers, 4),
            (1_000_000_000, &vec![0; 8], 1),
            (1_000_000_000, &vec![0; 9], 2),
            (0, &two_servers, 1),
            (4, &Vec::new(), 1),
        ] {
            assert_eq!(
                readers(units, owners),
                expected,
                "{units} units of {} segments",
                owners.len()
            );
        }
    }
}
