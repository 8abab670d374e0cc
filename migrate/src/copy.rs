//! Drives a sync job: reads units from the source, brings their entries in, tells the job what happened
//! and does what it says.

use std::{sync::Arc, time::Duration};

use cluster::MetaCommand;
use rand::Rng;
use store::{Coverage, SourceSegment, SourceSpace};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    job::{JobHandle, Shared, Tagged, Teller, guarded},
    ledger::Purpose,
    read::{self, Reading},
    source::{SourceConnection, Walker},
    steering::{self, LONG_PAUSE, Steered, steering},
    sync::{Action, Ending, Event, SyncJob, SyncSettings, Unit, untaken},
    throttle::Rates,
    tombstones,
};

/// Events that wait for the job. Readers wait beyond it.
const MOST_EVENTS: usize = 256;

/// Time without an event after which a job looks whether others have completed what it still reads.
const LOOK: Duration = Duration::from_secs(1);

/// Why nothing can be copied any more from a source that has become one unit.
pub(crate) const FORGOTTEN: &str = "the source places its keys in a way of its own, and not all of the keys that were removed \
     here are remembered: they could come back. Disconnect with --force (force=true), and connect with --fresh \
     (fresh=true) to accept that";

/// Which part of the source a job copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that is not complete.
    All,
    /// These segments, because somebody iterates over them.
    Only(Vec<SourceSegment>),
}

/// What an operator asks of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Most entries in one answer of the source; the job decides unless it is given.
    pub read_batch: Option<u32>,
    /// Most units that are read at the same time.
    pub threads: Option<u32>,
    /// How fast it copies, at most, from its beginning; as it is configured unless it is given.
    pub rates: Option<Rates>,
}

/// Starts a job. Why its walks fail is known as long as `walker` is held.
///
/// # Errors
///
/// If the cache is not connected any more, or not all of the source can be brought in.
pub(crate) fn start(
    connection: &Arc<SourceConnection>,
    part: &Part,
    request: SyncRequest,
    walker: Arc<Walker>,
) -> Result<JobHandle, String> {
    let settings = connection.settings();
    let rates = request.rates.unwrap_or(settings.rates);
    let units = request.threads.map_or(settings.sync.units, |threads| threads as usize);
    let settings = SyncSettings { units, ..settings.sync };
    let link = connection.link().ok_or("the cache is not connected to a source")?;
    if connection.cache().is_sealed() && !link.is_complete() {
        return Err(FORGOTTEN.into());
    }
    let owners = owners_in(connection, link.space);
    let complete = match (part, link.space) {
        (Part::Only(wanted), SourceSpace::Segments(count)) => {
            let mut complete = Coverage::none(count);
            let unwanted =
                (0..count).map(SourceSegment).filter(|segment| !wanted.contains(segment));
            unwanted.for_each(|segment| complete.insert(segment));
            complete
        }
        _ => link.complete.clone(),
    };
    let weights = tombstones::weights(connection.cache(), &link);
    let (job, actions) = SyncJob::start_with(link.space, &complete, &owners, settings, &weights);
    let (events, heard) = mpsc::channel(MOST_EVENTS);
    let (steering, Steered { orders, over }) = steering();
    let now = connection.agreement().clock().now();
    let purpose = match part {
        Part::All => Purpose::Synchronization,
        Part::Only(_) => Purpose::Ahead,
    };
    let ledger = Arc::clone(connection.ledger());
    let shared = Arc::new(Shared::new(job, purpose, ledger, (rates, request), now));
    let handle = JobHandle::new(Arc::clone(&shared), steering);
    let driver = Driver {
        connection: Arc::clone(connection),
        walker,
        shared: Arc::clone(&shared),
        records: purpose == Purpose::Synchronization,
        events,
        stretch: 0,
        held_until: None,
        readers: JoinSet::new(),
        to_complete: Vec::new(),
        completing: JoinSet::new(),
        ending: None,
    };
    let (source, records) = (Arc::clone(connection), driver.records);
    connection.spawn(async move {
        if let Err(reason) = guarded(driver.run(actions, heard, orders)).await {
            tracing::error!(cache = %source.cache().name(), reason, "a copy has failed");
            if records {
                source.left_unfinished(shared.counts().written);
            }
            shared.end(Ending::Failed { reason }, source.agreement().clock().now());
        }
        drop(over);
    });
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
pub(crate) fn owners_in(connection: &SourceConnection, space: SourceSpace) -> Vec<usize> {
    let owners = owners(connection);
    match space {
        SourceSpace::Segments(count) if owners.len() != count as usize => vec![0; count as usize],
        SourceSpace::Segments(_) | SourceSpace::Unit => owners,
    }
}

struct Driver {
    connection: Arc<SourceConnection>,
    walker: Arc<Walker>,
    shared: Arc<Shared>,
    /// Whether the job is one that an operator asked for: its end is recorded.
    records: bool,
    events: mpsc::Sender<Tagged>,
    /// Grows at every stop: what readers of an earlier stretch still have to tell is not heard.
    stretch: u64,
    /// Until when readers keep their places while the job is paused.
    held_until: Option<Instant>,
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
    ) {
        self.follow(actions).await;
        while self.ending.is_none() || !self.completing.is_empty() || !self.to_complete.is_empty() {
            self.complete();
            let actions = tokio::select! {
                Some(order) = ordered.recv(), if self.ending.is_none() => self.obey(order),
                Some(tagged) = heard.recv(), if self.ending.is_none() => self.hear(tagged),
                Some(completed) = self.completing.join_next(), if !self.completing.is_empty() => {
                    self.completed(completed)
                }
                () = steering::over_at(self.held_until), if self.ending.is_none() => {
                    self.held_until = None;
                    self.shared.on(Event::PauseIsLong)
                }
                Some(_reader) = self.readers.join_next(), if !self.readers.is_empty() => Vec::new(),
                () = tokio::time::sleep(LOOK), if self.ending.is_none() => self.look(),
            };
            self.follow(actions).await;
        }
        self.record_end().await;
    }

    fn obey(&self, order: Event) -> Vec<Action> {
        if order == Event::Resume {
            self.shared.restart_pace(self.connection.agreement().clock().now());
        }
        self.shared.on(order)
    }

    fn hear(&mut self, tagged: Tagged) -> Vec<Action> {
        if tagged.stretch != self.stretch {
            return Vec::new();
        }
        if let (Event::UnitRead { .. } | Event::Lost { .. }, Some(link)) =
            (&tagged.event, self.connection.link())
        {
            // Clients go on: other segments may have the most tombstones by now.
            self.shared.weigh(&tombstones::weights(self.connection.cache(), &link));
        }
        self.shared.on(tagged.event)
    }

    /// Ends the job if others have completed everything that it still reads: its readers may wait for the source for
    /// long.
    fn look(&self) -> Vec<Action> {
        let link = self.connection.link().filter(|link| link.space == self.shared.space());
        let Some(link) = link else { return Vec::new() };
        let mut segments = Coverage::none(link.space.count());
        let ledger = self.connection.ledger().lock();
        // The ledger hears of a segment just after it is complete.
        let complete = link.complete.iter().filter(|segment| ledger.is_complete(segment.0));
        complete.for_each(|segment| segments.insert(segment));
        drop(ledger);
        self.shared.on(Event::Complete { segments })
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
            walker: Arc::clone(&self.walker),
            shared: Arc::clone(&self.shared),
            teller: self.teller(),
            unit,
        };
        let teller = self.teller();
        self.readers.spawn(async move {
            if let Err(reason) = guarded(read::read(reading)).await {
                teller.tell(Event::Died { reason }).await;
            }
        });
    }

    /// Records the segments that are complete, all that have come since the last record.
    fn complete(&mut self) {
        if self.to_complete.is_empty() || !self.completing.is_empty() {
            return;
        }
        let segments = std::mem::take(&mut self.to_complete);
        let cache = self.connection.cache().name().clone();
        let (since, space) = (self.connection.since(), self.shared.space());
        let (connection, shared) = (Arc::clone(&self.connection), Arc::clone(&self.shared));
        self.completing.spawn(async move {
            let shown = shared.shown_of(space, &segments);
            let complete = MetaCommand::Complete { cache, since, space, segments: shown };
            connection.record_count().await;
            connection.record(complete).await?;
            // Only what is recorded counts as here.
            shared.settle(space, &segments);
            tombstones::release(connection.cache(), space, &segments).await;
            Ok(())
        });
    }

    fn completed(
        &mut self,
        completed: Result<Result<(), String>, tokio::task::JoinError>,
    ) -> Vec<Action> {
        let reason = match completed {
            Ok(Ok(())) => return Vec::new(),
            Ok(Err(_)) if self.records && self.has_become_unit() => {
                // Another job has found that out. What was read in parts goes for nothing here too.
                return self.shared.on(Event::Misplaced);
            }
            Ok(Err(reason)) => reason,
            Err(panicked) => panicked.to_string(),
        };
        // A checkpoint that cannot be written ends the job: what it says would not be true.
        let reason = format!("complete segments cannot be recorded: {reason}");
        self.to_complete.clear();
        self.ending = Some(Ending::Failed { reason });
        self.readers.abort_all();
        self.shared.on(Event::Cancel);
        Vec::new()
    }

    /// Returns whether the source has turned out to be one unit since this job took it to be divided in segments.
    fn has_become_unit(&self) -> bool {
        self.connection.link().is_some_and(|link| link.space != self.shared.space())
    }

    async fn become_unit(&mut self) {
        let name = self.connection.cache().name().clone();
        tracing::warn!(cache = %name, "the source places its keys in a way of its own: it is one unit");
        self.to_complete.clear();
        // What is being recorded is counted by the division that it was read in.
        while self.completing.join_next().await.is_some() {}
        self.shared.become_unit();
        let become_unit = MetaCommand::BecomeUnit { cache: name };
        let reason = match self.connection.record(become_unit).await {
            Err(reason) => reason,
            // What was complete would be read again: what was removed there and is not remembered would come back.
            Ok(()) if self.connection.cache().is_sealed() => FORGOTTEN.to_owned(),
            Ok(()) => return,
        };
        self.ending = Some(Ending::Failed { reason });
        self.readers.abort_all();
    }

    async fn record_end(mut self) {
        // What they have brought in is counted before the count is written down.
        self.readers.shutdown().await;
        let connection = &self.connection;
        let counts = self.shared.counts();
        let ending = self.ending.take().unwrap_or(Ending::Cancelled);
        if self.records && ending != Ending::Finished {
            connection.left_unfinished(counts.written);
            connection.keep_count().await;
        }
        if self.records && ending == Ending::Finished {
            let cache = connection.cache().name().clone();
            connection.settle_servers().await;
            connection.forget_walk_failures();
            connection.count_shown().await;
            let imported = counts.written + connection.take_unfinished();
            let finish = MetaCommand::Finish { cache, imported };
            if let Err(error) = connection.record(finish).await {
                tracing::warn!(cache = %connection.cache().name(), %error, "the end is not recorded");
            }
        }
        if self.records {
            let (cache, written) = (connection.cache().name(), counts.written);
            let read = counts.read;
            let reason = match &ending {
                Ending::Finished | Ending::Cancelled => None,
                Ending::Failed { reason } => Some(reason.clone()),
                Ending::Untaken { entries } => Some(untaken(*entries)),
            };
            match reason {
                None if ending == Ending::Cancelled => {
                    tracing::info!(%cache, written, read, "synchronization cancelled");
                }
                None => tracing::info!(%cache, written, read, "synchronization ended"),
                Some(reason) => tracing::warn!(
                    %cache, written, read, reason,
                    "synchronization ended without everything"
                ),
            }
        }
        // What its walks have met ends before it is seen to be over.
        drop(self.walker);
        self.shared.end(ending, connection.agreement().clock().now());
    }
}
