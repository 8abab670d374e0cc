//! The state of a running copy: shared by its driver, its readers, and everyone who looks at it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde::Serialize;
use store::{CacheError, SourceSegment, SourceSpace, Timestamp};
use tokio::sync::mpsc;

use crate::{
    copy::SyncRequest,
    counts::Counts,
    ledger::{Ledger, Purpose},
    steering::Steering,
    stored_key::StoredKey,
    sync::{Action, Ending, Event, SyncJob, UnitId, untaken},
    throttle::{Amount, Rates, Throttle},
    waits::Waits,
};

/// Entries that could not be taken and are listed by key.
const MOST_FAILURES: usize = 1_000;

/// A job that runs, or has run.
#[derive(Clone)]
pub(crate) struct JobHandle {
    shared: Arc<Shared>,
    steering: Steering,
}

/// What a job and those who look at it share.
pub(crate) struct Shared {
    pub(crate) id: String,
    pub(crate) started: Timestamp,
    pub(crate) throttle: Throttle,
    /// What it was asked for; its rates may have changed since.
    request: SyncRequest,
    pub(crate) entries_read: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) waits: Waits,
    has_ended: AtomicBool,
    purpose: Purpose,
    ledger: Arc<Mutex<Ledger>>,
    job: Mutex<SyncJob>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    by_segment: BTreeMap<u32, Counts>,
    /// Entries of segments that are not complete and could not be taken: their segments and keys as they are shown, and
    /// the reasons.
    failures: BTreeMap<(u32, String), String>,
    /// Those beyond the list, some of them perhaps twice.
    failed_more: BTreeMap<u32, u64>,
    ending: Option<Ending>,
    ended: Option<Timestamp>,
    /// What the last reading of each segment has met; of a source that is one unit, of each group of segments
    /// that it gave out together, under the first of them.
    readings: BTreeMap<u32, Counts>,
    /// Entries of complete segments that were read more than once.
    read_again: u64,
    pace: Pace,
}

/// Where a job stood when it was started, resumed or throttled: how fast it is shows from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) since: Timestamp,
    /// Segments that it had completed.
    pub(crate) completed: u32,
    /// Entries that it had read.
    pub(crate) read: u64,
}

/// An entry that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedEntry {
    /// Its key: as text if it is or stands for a text, otherwise in hexadecimal behind `0x`.
    pub key: String,
    /// Why it could not be taken.
    pub reason: String,
}

/// Where a job stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Entries of complete segments that it has read more than once, because it had to begin a segment anew: each
    /// time but the last.
    pub read_again: u64,
    /// Bytes of keys and values that were read.
    pub bytes: u64,
    /// Whether the source is one unit.
    pub is_unit: bool,
    /// Segments that were not complete when it began.
    pub to_read: u32,
    /// Those of them that are complete.
    pub completed: u32,
    /// From where on its speed is measured.
    pub pace: Pace,
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

impl CopyStatus {
    /// Entries that could not be taken so far, and were not taken later.
    pub(crate) fn failed_entries(&self) -> u64 {
        self.failures.len() as u64 + self.failures_not_listed
    }

    /// Why the job failed, if it has, with the first entry that could not be taken, if that is why.
    pub(crate) fn failure(&self) -> Option<String> {
        match self.ending.as_ref()? {
            Ending::Finished | Ending::Cancelled => None,
            Ending::Failed { reason } => Some(reason.clone()),
            Ending::Untaken { entries } => Some(match self.failures.first() {
                None => untaken(*entries),
                Some(FailedEntry { key, reason }) => {
                    let first = if *entries == 1 { "" } else { "the first of them " };
                    format!("{}, {first}{}: {reason}", untaken(*entries), shortened(key))
                }
            }),
        }
    }
}

/// An event of readers that were begun in this stretch between two stops.
pub(crate) struct Tagged {
    pub(crate) stretch: u64,
    pub(crate) event: Event,
}

/// Who tells a job what happens to one unit.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) stretch: u64,
    pub(crate) events: mpsc::Sender<Tagged>,
}

impl Teller {
    /// Tells the job; waits while it has too much to hear.
    pub(crate) async fn tell(&self, event: Event) {
        // A job that is over hears nothing any more.
        let _ = self.events.send(Tagged { stretch: self.stretch, event }).await;
    }
}

impl JobHandle {
    /// Looks at, and steers, the job that has these.
    pub(crate) fn new(shared: Arc<Shared>, steering: Steering) -> Self {
        Self { shared, steering }
    }

    /// Tells the job what an operator, or a client, wants. False if it hears nothing any more.
    pub(crate) fn tell(&self, order: Event) -> bool {
        self.steering.tell(order)
    }

    /// Returns whether it waits for [`Event::Resume`].
    pub(crate) fn is_paused(&self) -> bool {
        !self.has_ended() && self.steering.is_told_to_pause()
    }

    /// Waits until the job is over.
    pub(crate) async fn ended(&self) -> CopyStatus {
        self.steering.over().await;
        self.status()
    }

    /// Waits until the job is over. `None` if it is told to pause first.
    pub(crate) async fn ended_unless_paused(&self) -> Option<CopyStatus> {
        self.steering.unless_paused(self.ended()).await
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    /// Time that it has waited since the source last gave out entries.
    pub(crate) fn waited(&self) -> Duration {
        self.shared.waits.waited()
    }

    /// Changes how fast it copies, at most.
    pub(crate) fn throttle(&self, rates: Rates, now: Timestamp) {
        self.shared.throttle.set(rates);
        self.shared.restart_pace(now);
    }

    /// What a job would be asked for that goes on where this one ended: the same, at the rates that it has now.
    pub(crate) fn request(&self) -> SyncRequest {
        SyncRequest { rates: Some(self.shared.throttle.rates()), ..self.shared.request }
    }

    pub(crate) fn status(&self) -> CopyStatus {
        let (job, progress) = (self.shared.job.lock(), self.shared.progress.lock());
        CopyStatus {
            id: self.shared.id.clone(),
            started: self.shared.started,
            ended: progress.ended,
            ending: progress.ending.clone(),
            paused: job.is_paused() || self.is_paused(),
            retrying: job.is_retrying(),
            counts: job.counts(),
            by_segment: progress.by_segment.clone(),
            read_again: progress.read_again,
            bytes: self.shared.bytes_read.load(Ordering::Relaxed),
            is_unit: job.space() == SourceSpace::Unit,
            to_read: job.to_read(),
            completed: job.completed(),
            pace: progress.pace,
            in_progress: job.in_progress().map(|segment| segment.0).collect(),
            failed: job.failed().map(|segment| segment.0).collect(),
            failures: progress.failed(),
            failures_not_listed: progress.failed_more.values().sum(),
            rates: self.shared.throttle.rates(),
        }
    }
}

impl Shared {
    /// Of a job that starts now.
    pub(crate) fn new(
        job: SyncJob,
        purpose: Purpose,
        ledger: Arc<Mutex<Ledger>>,
        (rates, request): (Rates, SyncRequest),
        now: Timestamp,
    ) -> Self {
        let pace = Pace { since: now, ..Pace::default() };
        Self {
            purpose,
            ledger,
            id: format!("{:016x}", rand::random::<u64>()),
            started: now,
            throttle: Throttle::new(rates),
            request,
            entries_read: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            waits: Waits::new(),
            has_ended: AtomicBool::new(false),
            job: Mutex::new(job),
            progress: Mutex::new(Progress { pace, ..Progress::default() }),
        }
    }

    /// Tells the job what happened. What to do about it.
    pub(crate) fn on(&self, event: Event) -> Vec<Action> {
        self.job.lock().on(event)
    }

    /// Tells the job which segments have the most tombstones.
    pub(crate) fn weigh(&self, weights: &BTreeMap<SourceSegment, u64>) {
        self.job.lock().weigh(weights);
    }

    /// What became of the entries so far.
    pub(crate) fn counts(&self) -> Counts {
        self.job.lock().counts()
    }

    /// Notes how the job ended.
    pub(crate) fn end(&self, ending: Ending, now: Timestamp) {
        let mut progress = self.progress.lock();
        (progress.ending, progress.ended) = (Some(ending), Some(now));
        self.has_ended.store(true, Ordering::Release);
    }

    /// Counts what became of entries of a unit: at once, so that nothing is forgotten if the reader ends.
    pub(crate) fn count(&self, unit: UnitId, counts: Counts, by_segment: &BTreeMap<u32, Counts>) {
        // Both are held, as by whoever looks: the whole is always the sum of its parts.
        let (mut job, mut progress) = (self.job.lock(), self.progress.lock());
        // Counting has no consequences.
        let _ = job.on(Event::Applied { unit, counts });
        let mut ledger = self.ledger.lock();
        for (segment, counts) in by_segment {
            *progress.by_segment.entry(*segment).or_default() += *counts;
            ledger.applied(self.purpose, *segment, *counts);
        }
    }

    /// Notes what a reading of these segments has met, which were given out together. An earlier reading of
    /// them counts no more.
    pub(crate) fn note_reading(&self, segments: &[u32], readings: &BTreeMap<u32, Counts>) {
        let mut progress = self.progress.lock();
        for segment in segments {
            progress.readings.remove(segment);
        }
        progress.readings.extend(readings);
    }

    /// How many entries the source has shown of these segments when they were read last.
    pub(crate) fn shown_of(
        &self,
        space: SourceSpace,
        segments: &[SourceSegment],
    ) -> Vec<(SourceSegment, u64)> {
        let progress = self.progress.lock();
        let shown = |segment: &SourceSegment| match space {
            SourceSpace::Segments(_) => progress.readings.get(&segment.0).map_or(0, |of| of.read),
            SourceSpace::Unit => progress.readings.values().map(|of| of.read).sum(),
        };
        segments.iter().map(|segment| (*segment, shown(segment))).collect()
    }

    /// These segments of a source that is divided in this way are complete by what was read of them last.
    pub(crate) fn settle(&self, space: SourceSpace, segments: &[SourceSegment]) {
        let mut progress = self.progress.lock();
        // What could not be taken of them at first was taken in the end.
        let is_open = |of: u32| {
            matches!(space, SourceSpace::Segments(_)) && !segments.contains(&SourceSegment(of))
        };
        progress.failures.retain(|(of, _), _| is_open(*of));
        progress.failed_more.retain(|of, _| is_open(*of));
        let mut ledger = self.ledger.lock();
        for segment in segments {
            let mut reading = Counts::default();
            let all_read = match space {
                SourceSpace::Segments(_) => {
                    reading += progress.readings.remove(&segment.0).unwrap_or_default();
                    progress.by_segment.get(&segment.0).map_or(0, |all| all.read)
                }
                SourceSpace::Unit => {
                    progress.readings.values().for_each(|part| reading += *part);
                    progress.by_segment.values().map(|all| all.read).sum()
                }
            };
            progress.read_again += all_read.saturating_sub(reading.read);
            ledger.completed(self.purpose, segment.0, reading);
        }
    }

    /// What was read so far is read again: the source is one unit.
    pub(crate) fn become_unit(&self) {
        self.progress.lock().readings.clear();
        self.ledger.lock().become_unit();
    }

    /// Measures from now on how fast the job is.
    pub(crate) fn restart_pace(&self, now: Timestamp) {
        let (job, mut progress) = (self.job.lock(), self.progress.lock());
        progress.pace = Pace { since: now, completed: job.completed(), read: job.counts().read };
    }

    /// Notes an entry of a segment that could not be taken; of one that was read before, why not now.
    pub(crate) fn fail<'a>(&self, segment: u32, key: impl Into<StoredKey<'a>>, error: &CacheError) {
        let (failed, reason) = ((segment, key.into().to_string()), error.to_string());
        let progress = &mut *self.progress.lock();
        if progress.failures.len() < MOST_FAILURES || progress.failures.contains_key(&failed) {
            progress.failures.insert(failed, reason);
        } else {
            *progress.failed_more.entry(segment).or_default() += 1;
        }
    }

    /// How the source divides its keys, as far as the job knows.
    pub(crate) fn space(&self) -> SourceSpace {
        self.job.lock().space()
    }

    /// Most entries in one answer of the source: so many that it has about a mebibyte, and no more than may be copied
    /// at once, as fast as that is when the walk begins.
    pub(crate) fn next_batch(&self) -> u32 {
        const FIRST: u64 = 256;
        const BYTES: u64 = 1024 * 1024;
        if let Some(batch) = self.request.read_batch {
            return batch;
        }
        let mean = self.mean_size();
        let of_size = mean.map_or(FIRST, |mean| (BYTES / mean).clamp(16, 10_000));
        self.throttle.batch(of_size, mean)
    }

    /// Bytes of an entry, on average; `None` if none was read.
    fn mean_size(&self) -> Option<u64> {
        let entries = self.entries_read.load(Ordering::Relaxed);
        let mean = self.bytes_read.load(Ordering::Relaxed).checked_div(entries);
        mean.map(|mean| mean.max(1))
    }

    /// What a page of this size may be expected to have, of which an answer of the source has `batch` entries.
    pub(crate) fn expected(&self, page: Amount, batch: u32) -> Amount {
        let entries = page.entries.min(batch.into());
        let bytes = self.mean_size().map_or(u64::MAX, |mean| mean.saturating_mul(entries));
        Amount { entries, bytes: page.bytes.min(bytes) }
    }
}

impl Progress {
    /// The entries that could not be taken and are listed.
    fn failed(&self) -> Vec<FailedEntry> {
        let failed = |((_, key), reason): (&(u32, String), &String)| FailedEntry {
            key: key.clone(),
            reason: reason.clone(),
        };
        self.failures.iter().map(failed).collect()
    }
}

/// Runs work of which a fault of this program must not go unnoticed: the text of a panic is its error.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, String> {
    std::panic::AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "no reason was given".into());
        format!("it ended by a fault of the server, please report it: {text}")
    })
}

/// A shown key in a sentence, or its beginning if it is long: what follows it must not be cut off.
fn shortened(key: &str) -> String {
    const MOST: usize = 100;
    match key.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", key.get(..end).unwrap_or_default()),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! What a fault leaves, and how failures and batches are bounded.

    use store::Coverage;

    use super::*;
    use crate::sync::SyncSettings;

    const FOUR: SourceSpace = SourceSpace::Segments(4);

    fn shared(rates: Rates) -> Shared {
        let settings = SyncSettings::default();
        let (job, _) = SyncJob::start(FOUR, &Coverage::none(4), &[], settings);
        Shared::new(
            job,
            Purpose::Synchronization,
            Arc::default(),
            (rates, SyncRequest::default()),
            Timestamp::default(),
        )
    }

    #[test]
    fn what_fails_again_is_listed_once_and_what_was_taken_in_the_end_not_at_all() {
        let shared = shared(Rates::default());
        let more = 7;
        let error = |max| CacheError::KeyTooLong { len: 9, max };
        for max in [1, 2] {
            for number in 0..MOST_FAILURES {
                shared.fail(0, format!("key {number}").as_bytes(), &error(max));
            }
        }
        (0..more).for_each(|number| shared.fail(1, &[number][..], &error(3)));
        let listed = || {
            let progress = shared.progress.lock();
            let more: u64 = progress.failed_more.values().sum();
            (progress.failed(), more)
        };
        let (failed, beyond) = listed();
        assert_eq!((failed.len(), beyond), (MOST_FAILURES, u64::from(more)));
        assert!(
            failed.iter().all(|failed| failed.reason == error(2).to_string()),
            "the last reason"
        );
        shared.settle(FOUR, &[SourceSegment(1)]);
        assert_eq!((listed().0.len(), listed().1), (MOST_FAILURES, 0));
        shared.settle(FOUR, &[SourceSegment(0)]);
        assert_eq!(listed(), (Vec::new(), 0));
    }

    #[test]
    fn what_was_read_of_a_segment_before_it_began_anew_was_read_again() {
        let shared = shared(Rates::default());
        let read = |segment: u32, entries| {
            let counts = Counts { read: entries, written: entries, ..Counts::default() };
            shared.count(UnitId(0), counts, &BTreeMap::from([(segment, counts)]));
            BTreeMap::from([(segment, counts)])
        };
        let again = || shared.progress.lock().read_again;
        read(0, 5);
        assert_eq!(again(), 0, "nobody knows yet whether it begins anew");
        shared.note_reading(&[0], &read(0, 8));
        shared.note_reading(&[1], &read(1, 3));
        shared.settle(FOUR, &[SourceSegment(0), SourceSegment(1), SourceSegment(2)]);
        assert_eq!(again(), 5);
    }

    #[test]
    fn the_first_entry_is_named_only_where_entries_are_why_a_job_failed() {
        let failure = |count: usize, ending| {
            let entry = |key| FailedEntry { key, reason: "too long".into() };
            let failures = (0..count).map(|number| entry(format!("k{number}"))).collect();
            CopyStatus { failures, ending: Some(ending), ..CopyStatus::default() }.failure()
        };
        let untaken = |entries| Ending::Untaken { entries };
        let one = failure(1, untaken(1)).unwrap();
        assert_eq!(one, "1 entry could not be taken, k0: too long");
        let two = failure(2, untaken(2)).unwrap();
        assert_eq!(two, "2 entries could not be taken, the first of them k0: too long");
        let reason = "3 of the source's segments could not be read: timed out".to_owned();
        for count in 0..3 {
            let failed = Ending::Failed { reason: reason.clone() };
            assert_eq!(failure(count, failed), Some(reason.clone()));
            assert_eq!(failure(count, Ending::Cancelled), None);
        }
    }

    #[test]
    fn a_batch_has_about_a_mebibyte_and_no_more_than_may_be_copied_at_once() {
        let batch = |entries: Option<u64>, bytes: Option<u64>, read: (u64, u64)| {
            let shared = shared(Rates { entries_per_second: entries, bytes_per_second: bytes });
            shared.entries_read.store(read.0, Ordering::Relaxed);
            shared.bytes_read.store(read.1, Ordering::Relaxed);
            shared.next_batch()
        };
        assert_eq!(batch(None, None, (0, 0)), 256);
        assert_eq!(batch(None, None, (10, 10_240)), 1_024);
        assert_eq!(batch(Some(800), None, (10, 10_240)), 100);
        assert_eq!(batch(Some(10), None, (0, 0)), 10);
        assert_eq!(batch(Some(8_000), Some(204_800), (10, 10_240)), 25);
        assert_eq!(batch(None, Some(100), (10, 10_240)), 1, "at least one");
        assert_eq!(batch(Some(1_000_000_000_000), None, (10, 10_240)), 1_024);
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_text() {
        assert_eq!(guarded(async { 7 }).await, Ok(7));
        let died: Result<(), _> = guarded(async { panic!("index {}", 9) }).await;
        assert!(died.unwrap_err().ends_with("please report it: index 9"));
        let died: Result<(), _> = guarded(async { panic!("plain") }).await;
        assert!(died.unwrap_err().ends_with("plain"));
    }
}
