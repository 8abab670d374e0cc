//! Drives a sync job: reads units from the source, brings their entries in, tells the job what happened
//! and does what it says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cluster::MetaCommand;
use parking_lot::Mutex;
use rand::Rng;
use serde::Serialize;
use store::{CacheError, Coverage, SourceSegment, SourceSpace, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    counts::Counts,
    read::{self, Reading},
    source::SourceConnection,
    sync::{Action, Ending, Event, SyncJob, SyncSettings, Unit, UnitId},
    throttle::{Rates, Throttle},
};

/// Events that wait for the job. Readers wait beyond it.
const MOST_EVENTS: usize = 256;

/// What operators and clients want of the job and it has not heard yet.
const MOST_ORDERS: usize = 64;

/// Entries that could not be taken and are listed by key.
const MOST_FAILURES: usize = 1_000;

/// What a job copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// All that is not complete.
    All,
    /// These segments, because somebody iterates over them.
    Only(Vec<SourceSegment>),
}

/// A job that runs, or has run.
#[derive(Clone)]
pub(crate) struct JobHandle {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Event>,
    ended: watch::Receiver<bool>,
}

/// What a job and those who look at it share.
pub(crate) struct Shared {
    pub(crate) id: String,
    pub(crate) started: Timestamp,
    pub(crate) throttle: Throttle,
    pub(crate) batch: Option<u32>,
    pub(crate) entries_read: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    has_ended: AtomicBool,
    job: Mutex<SyncJob>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    by_segment: BTreeMap<u32, Counts>,
    failures: Vec<FailedEntry>,
    failed_more: u64,
    ending: Option<Ending>,
    ended: Option<Timestamp>,
}

/// An entry that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedEntry {
    /// Its key: as text if it is text, otherwise in hexadecimal behind `0x`.
    pub key: String,
    /// Why it could not be taken.
    pub reason: String,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyStatus {
    /// Its name.
    pub id: String,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Whether it was told to pause.
    pub paused: bool,
    /// Whether it waits for the source to come back.
    pub retrying: bool,
    /// What became of the entries.
    pub counts: Counts,
    /// The same for each source segment; segment 0 for a source that is one unit.
    pub by_segment: BTreeMap<u32, Counts>,
    /// Bytes of keys and values that were read.
    pub bytes: u64,
    /// Segments that are being read.
    pub in_progress: Vec<u32>,
    /// Segments that could not be read, or of which an entry could not be taken.
    pub failed: Vec<u32>,
    /// Entries that could not be taken, up to a thousand.
    pub failures: Vec<FailedEntry>,
    /// Entries beyond those.
    pub failures_not_listed: u64,
    /// How fast it copies, at most.
    pub rates: Rates,
}

/// An event of readers that were begun in this stretch between two stops.
pub(crate) struct Tagged {
    stretch: u64,
    event: Event,
}

/// Who tells a job what happens to one unit.
#[derive(Clone)]
pub(crate) struct Teller {
    stretch: u64,
    events: mpsc::Sender<Tagged>,
}

impl Teller {
    /// Tells the job; waits while it has too much to hear.
    pub(crate) async fn tell(&self, event: Event) {
        // A job that is over hears nothing any more.
        let _ = self.events.send(Tagged { stretch: self.stretch, event }).await;
    }
}

impl JobHandle {
    /// Tells the job what an operator, or a client, wants. False if it hears nothing any more.
    pub(crate) fn tell(&self, order: Event) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Waits until the job is over.
    pub(crate) async fn ended(&self) -> CopyStatus {
        let mut ended = self.ended.clone();
        // A job whose task is gone is over too.
        let _ = ended.wait_for(|ended| *ended).await;
        self.status()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.shared.throttle
    }

    pub(crate) fn status(&self) -> CopyStatus {
        let (job, progress) = (self.shared.job.lock(), self.shared.progress.lock());
        CopyStatus {
            id: self.shared.id.clone(),
            started: self.shared.started,
            ended: progress.ended,
            ending: progress.ending.clone(),
            paused: job.is_paused(),
            retrying: job.is_retrying(),
            counts: job.counts(),
            by_segment: progress.by_segment.clone(),
            bytes: self.shared.bytes_read.load(Ordering::Relaxed),
            in_progress: job.in_progress().map(|segment| segment.0).collect(),
            failed: job.failed().map(|segment| segment.0).collect(),
            failures: progress.failures.clone(),
            failures_not_listed: progress.failed_more,
            rates: self.shared.throttle.rates(),
        }
    }
}

impl Shared {
    /// Counts what became of entries of a unit: at once, so that nothing is forgotten if the reader ends.
    pub(crate) fn count(&self, unit: UnitId, counts: Counts, by_segment: &BTreeMap<u32, Counts>) {
        // Counting has no consequences.
        let _ = self.job.lock().on(Event::Applied { unit, counts });
        let mut progress = self.progress.lock();
        for (segment, counts) in by_segment {
            *progress.by_segment.entry(*segment).or_default() += *counts;
        }
    }

    /// Notes an entry that could not be taken.
    pub(crate) fn fail(&self, key: &[u8], error: &CacheError) {
        let mut progress = self.progress.lock();
        if progress.failures.len() < MOST_FAILURES {
            let reason = error.to_string();
            progress.failures.push(FailedEntry { key: shown(key), reason });
        } else {
            progress.failed_more += 1;
        }
    }

    /// How the source divides its keys, as far as the job knows.
    pub(crate) fn space(&self) -> SourceSpace {
        self.job.lock().space()
    }

    /// Most entries in one answer of the source: so many that it has about a mebibyte.
    pub(crate) fn next_batch(&self) -> u32 {
        const FIRST: u32 = 256;
        const BYTES: u64 = 1024 * 1024;
        if let Some(batch) = self.batch {
            return batch;
        }
        let entries = self.entries_read.load(Ordering::Relaxed);
        match self.bytes_read.load(Ordering::Relaxed).checked_div(entries) {
            None => FIRST,
            Some(mean) => u32::try_from(BYTES / mean.max(1)).unwrap_or(u32::MAX).clamp(16, 10_000),
        }
    }
}

/// A key as people can read it, or its beginning if it is long.
pub(crate) fn shown(key: &[u8]) -> String {
    const MOST: usize = 1_024;
    match str::from_utf8(key) {
        Ok(text) if !text.contains(char::is_control) => text.chars().take(MOST).collect(),
        _ => key.iter().take(MOST).fold("0x".to_owned(), |mut hex, byte| {
            hex.push_str(&format!("{byte:02x}"));
            hex
        }),
    }
}

/// What an operator asks of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Most entries in one answer of the source; the job decides unless it is given.
    pub read_batch: Option<u32>,
    /// Most units that are read at the same time.
    pub threads: Option<u32>,
}

/// Starts a job.
///
/// # Errors
///
/// If the cache is not connected any more.
pub(crate) async fn start(
    connection: &Arc<SourceConnection>,
    copy: Copy,
    settings: SyncSettings,
    rates: Rates,
) -> Result<JobHandle, String> {
    start_with(connection, copy, settings, rates, None).await
}

/// As [`start`], with the number of entries that the source is asked for at a time.
pub(crate) async fn start_with(
    connection: &Arc<SourceConnection>,
    copy: Copy,
    settings: SyncSettings,
    rates: Rates,
    batch: Option<u32>,
) -> Result<JobHandle, String> {
    let link = connection.link().ok_or("the cache is not connected to a source")?;
    let owners = owners_in(connection, link.space);
    let complete = match (&copy, link.space) {
        (Copy::Only(wanted), SourceSpace::Segments(count)) => {
            let mut complete = Coverage::none(count);
            let unwanted =
                (0..count).map(SourceSegment).filter(|segment| !wanted.contains(segment));
            unwanted.for_each(|segment| complete.insert(segment));
            complete
        }
        _ => link.complete.clone(),
    };
    let (job, actions) = SyncJob::start(link.space, &complete, &owners, settings);
    let (events, heard) = mpsc::channel(MOST_EVENTS);
    let (orders, ordered) = mpsc::channel(MOST_ORDERS);
    let (end, ended) = watch::channel(false);
    let shared = Arc::new(Shared {
        id: format!("{:016x}", rand::random::<u64>()),
        started: connection.agreement().clock().now(),
        throttle: Throttle::new(rates),
        batch,
        entries_read: AtomicU64::new(0),
        bytes_read: AtomicU64::new(0),
        has_ended: AtomicBool::new(false),
        job: Mutex::new(job),
        progress: Mutex::default(),
    });
    let handle = JobHandle { shared: Arc::clone(&shared), orders, ended };
    let driver = Driver {
        connection: Arc::clone(connection),
        shared,
        records: copy == Copy::All,
        events,
        stretch: 0,
        readers: JoinSet::new(),
        to_complete: Vec::new(),
        completing: JoinSet::new(),
        ending: None,
    };
    connection.spawn(driver.run(actions, heard, ordered, end));
    Ok(handle)
}

/// The server that owns each of the source's segments, by its place in the list of servers. Empty if the
/// source does not say.
fn owners(connection: &SourceConnection) -> Vec<usize> {
    let Some(topology) = connection.remote().topology() else { return Vec::new() };
    let primary = |owners: &Vec<u32>| owners.first().map_or(0, |owner| *owner as usize);
    topology.owners.iter().map(primary).collect()
}

/// The same for a source that is divided in this way. Where it does not say who owns what, or says it of
/// other segments, anybody is asked.
fn owners_in(connection: &SourceConnection, space: SourceSpace) -> Vec<usize> {
    let owners = owners(connection);
    match space {
        SourceSpace::Segments(count) if owners.len() != count as usize => vec![0; count as usize],
        SourceSpace::Segments(_) | SourceSpace::Unit => owners,
    }
}

struct Driver {
    connection: Arc<SourceConnection>,
    shared: Arc<Shared>,
    /// Whether the job is one that an operator asked for: its end is recorded.
    records: bool,
    events: mpsc::Sender<Tagged>,
    /// Grows at every stop: what readers of an earlier stretch still have to tell is not heard.
    stretch: u64,
    readers: JoinSet<()>,
    to_complete: Vec<SourceSegment>,
    completing: JoinSet<Result<(), String>>,
    ending: Option<Ending>,
}

impl Driver {
    async fn run(
        mut self,
        actions: Vec<Action>,
        mut heard: mpsc::Receiver<Tagged>,
        mut ordered: mpsc::Receiver<Event>,
        end: watch::Sender<bool>,
    ) {
        self.follow(actions).await;
        while self.ending.is_none() || !self.completing.is_empty() || !self.to_complete.is_empty() {
            self.complete();
            let actions = tokio::select! {
                Some(order) = ordered.recv(), if self.ending.is_none() => {
                    self.shared.job.lock().on(order)
                }
                Some(tagged) = heard.recv(), if self.ending.is_none() => self.hear(tagged),
                Some(completed) = self.completing.join_next(), if !self.completing.is_empty() => {
                    self.completed(completed)
                }
                Some(_reader) = self.readers.join_next(), if !self.readers.is_empty() => Vec::new(),
            };
            self.follow(actions).await;
        }
        self.record_end().await;
        self.shared.has_ended.store(true, Ordering::Release);
        end.send_replace(true);
    }

    fn hear(&mut self, tagged: Tagged) -> Vec<Action> {
        if tagged.stretch != self.stretch {
            return Vec::new();
        }
        self.shared.job.lock().on(tagged.event)
    }

    async fn follow(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Read(unit) => self.read(unit),
                Action::Complete(segments) => self.to_complete.extend(segments),
                Action::BecomeUnit => self.become_unit().await,
                Action::Wait { unit, pause } => {
                    let teller = self.teller();
                    let jitter = rand::rng().random_range(0.5..1.5);
                    self.readers.spawn(async move {
                        tokio::time::sleep(pause.mul_f64(jitter)).await;
                        teller.tell(Event::Again { unit }).await;
                    });
                }
                Action::Stop => {
                    self.stretch += 1;
                    self.readers.shutdown().await;
                }
                Action::End(ending) => {
                    self.ending = Some(ending);
                    self.readers.shutdown().await;
                }
            }
        }
    }

    fn teller(&self) -> Teller {
        Teller { stretch: self.stretch, events: self.events.clone() }
    }

    fn read(&mut self, unit: Unit) {
        let reading = Reading {
            connection: Arc::clone(&self.connection),
            shared: Arc::clone(&self.shared),
            teller: self.teller(),
            unit,
        };
        self.readers.spawn(read::read(reading));
    }

    /// Records the segments that are complete, all that have come since the last record.
    fn complete(&mut self) {
        if self.to_complete.is_empty() || !self.completing.is_empty() {
            return;
        }
        let segments = std::mem::take(&mut self.to_complete);
        let cache = self.connection.cache().name().clone();
        let (since, space) = (self.connection.since(), self.shared.space());
        let agreement = Arc::clone(self.connection.agreement());
        self.completing.spawn(async move {
            let complete = MetaCommand::Complete { cache, since, space, segments };
            agreement.propose(complete).await.map_err(|error| error.to_string())
        });
    }

    fn completed(
        &mut self,
        completed: Result<Result<(), String>, tokio::task::JoinError>,
    ) -> Vec<Action> {
        let reason = match completed {
            Ok(Ok(())) => return Vec::new(),
            Ok(Err(reason)) => reason,
            Err(panicked) => panicked.to_string(),
        };
        // A checkpoint that cannot be written ends the job: what it says would not be true.
        let reason = format!("complete segments cannot be recorded: {reason}");
        self.to_complete.clear();
        self.ending = Some(Ending::Failed { reason });
        self.readers.abort_all();
        self.shared.job.lock().on(Event::Cancel);
        Vec::new()
    }

    async fn become_unit(&mut self) {
        let name = self.connection.cache().name().clone();
        tracing::warn!(cache = %name, "the source places its keys in a way of its own: it is one unit");
        self.to_complete.clear();
        while self.completing.join_next().await.is_some() {}
        let become_unit = MetaCommand::BecomeUnit { cache: name };
        if let Err(error) = self.connection.agreement().propose(become_unit).await {
            let reason = error.to_string();
            self.ending = Some(Ending::Failed { reason });
            self.readers.abort_all();
        }
    }

    async fn record_end(&mut self) {
        // What they have brought in is counted before the count is written down.
        self.readers.shutdown().await;
        let connection = &self.connection;
        let counts = self.shared.job.lock().counts();
        let ending = self.ending.take().unwrap_or(Ending::Cancelled);
        if self.records && ending != Ending::Finished {
            connection.left_unfinished(counts.written);
        }
        if self.records && ending == Ending::Finished {
            let cache = connection.cache().name().clone();
            let imported = counts.written + connection.take_unfinished();
            let finish = MetaCommand::Finish { cache, imported };
            if let Err(error) = connection.agreement().propose(finish).await {
                tracing::warn!(cache = %connection.cache().name(), %error, "the end is not recorded");
            }
        }
        if self.records {
            let (cache, written) = (connection.cache().name(), counts.written);
            tracing::info!(%cache, written, read = counts.read, ?ending, "synchronization ended");
        }
        let mut progress = self.shared.progress.lock();
        progress.ending = Some(ending);
        progress.ended = Some(connection.agreement().clock().now());
    }
}

/// Most time that the source may say nothing in the middle of an iteration.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
