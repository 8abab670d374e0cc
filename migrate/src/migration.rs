//! The migration of one cache while it is connected: its source, and the jobs that read from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use store::{Cache, CacheError, SourceSegment};
use tokio::time::Instant;

use crate::{
    copy::{self, Part, SyncRequest},
    job::{CopyStatus, JobHandle},
    relief::Relief,
    source::{ClearUnderWay, PATIENCE, SourceConnection, Walker},
    sync::{Ending, Event, UNIT_SEGMENTS},
    tombstones,
    verify::{self, VerifyHandle, VerifyReport, VerifyRequest},
};

/// Time between two looks whether the source still answers.
const LOOK: Duration = Duration::from_secs(1);

/// Time between two looks whether there are many tombstones.
const RELIEF: Duration = Duration::from_millis(200);

/// The migration of one cache while it is connected.
pub(crate) struct Migration {
    source: Arc<SourceConnection>,
    job: Mutex<Option<JobHandle>>,
    /// The job whose failure an operator has accepted.
    accepted: Mutex<Option<String>>,
    verification: Mutex<Option<Verification>>,
    /// What is known of those before that one.
    verified_before: Mutex<Before>,
    /// Held while segments are brought in for an iteration: one at a time is enough.
    bringing: tokio::sync::Mutex<()>,
    /// The copy that brings them in.
    copying: Mutex<Option<JobHandle>>,
    /// Entries that were brought in for iterations.
    brought: AtomicU64,
    /// Entries that were brought in because of tombstones.
    relieved: AtomicU64,
}

/// A verification that runs, or has run.
#[derive(Clone)]
struct Verification {
    handle: VerifyHandle,
    /// Entries that had been evicted when it began.
    evicted_before: u64,
}

/// What is known of verifications before the last one.
#[derive(Clone, Default)]
struct Before {
    /// What they have found, if that is still known.
    found: Option<VerifyReport>,
    /// Entries that had been evicted when the last of them began that came to its end.
    looked_for: u64,
    /// Those of them that it has not found here.
    not_found: u64,
}

impl Before {
    /// The same after another verification.
    fn with(self, report: VerifyReport, evicted_before: u64) -> Self {
        let (looked_for, not_found) = if report.is_finished() {
            (evicted_before, report.perhaps_evicted())
        } else {
            (self.looked_for, self.not_found)
        };
        Self { found: known(Some(report), self.found), looked_for, not_found }
    }

    /// Number of evicted entries that the last one that came to its end has found to be here again.
    fn found_again(&self) -> u64 {
        self.looked_for.saturating_sub(self.not_found)
    }
}

impl Migration {
    /// No job runs yet, and the source is watched from now on: until [`Migration::end`]. Verifications of an earlier
    /// connection that this one continues have looked for so many evicted entries.
    pub(crate) fn new(source: Arc<SourceConnection>, looked_for: u64) -> Arc<Self> {
        source.start();
        let migration = Arc::new(Self {
            source,
            job: Mutex::default(),
            accepted: Mutex::default(),
            verification: Mutex::default(),
            verified_before: Mutex::new(Before { looked_for, ..Before::default() }),
            bringing: tokio::sync::Mutex::default(),
            copying: Mutex::default(),
            brought: AtomicU64::new(0),
            relieved: AtomicU64::new(0),
        });
        let relieving = Arc::clone(&migration);
        migration.source.spawn(async move { relieving.relieve().await });
        migration
    }

    /// Brings in the segments with the most tombstones whenever there are many of them: what was removed, or
    /// has ended, may be forgotten once its segment is complete.
    async fn relieve(&self) {
        let mut relief = Relief::default();
        loop {
            tokio::time::sleep(RELIEF).await;
            let memory = self.cache().memory_limit();
            let link = self.source.link().filter(|link| !link.is_complete());
            let Some(link) = link.filter(|_| memory.has_many_tombstones()) else {
                relief.is_over();
                continue;
            };
            let clock = self.source.agreement().clock();
            if !relief.is_due(clock.now()) {
                continue;
            }
            let weights = tombstones::weights(self.cache(), &link);
            let heaviest = tombstones::heaviest(&weights, UNIT_SEGMENTS);
            let is_silent =
                self.source.health().problem.is_some() || self.source.changed().is_some();
            if heaviest.is_empty() || is_silent || self.cache().check_served().is_err() {
                continue;
            }
            // The limit is one for all caches of the member: others may have nearly all of it.
            let caches = self.source.agreement().container().caches();
            let all: Vec<u64> = caches.iter().map(|cache| cache.tombstones()).collect();
            if !tombstones::are_worth_it(self.cache().tombstones(), &all) {
                continue;
            }
            if relief.begin() {
                let (bytes, limit) = (memory.tombstones(), memory.tombstone_limit());
                tracing::warn!(
                    cache = %self.cache().name(), bytes, limit,
                    "many removed and expired keys have to be remembered until their segments are copied: the \
                     segments with the most of them are copied now"
                );
            }
            let _one = self.bringing.lock().await;
            match self.bring_missing(&heaviest, &self.relieved, &self.source.walker()).await {
                Ok(()) => relief.succeeded(),
                Err(error) if relief.failed(clock.now()) => tracing::warn!(
                    cache = %self.cache().name(), error = %error,
                    "segments were not copied, so the keys that were removed or have expired there have to be \
                     remembered on: this is tried again, less and less often"
                ),
                Err(_) => {}
            }
        }
    }

    pub(crate) fn source(&self) -> &Arc<SourceConnection> {
        &self.source
    }

    /// The cache that is being filled.
    pub(crate) fn cache(&self) -> &Arc<Cache> {
        self.source.cache()
    }

    /// The job that has not ended, if there is one.
    pub(crate) fn running(&self) -> Option<JobHandle> {
        self.job.lock().as_ref().filter(|job| !job.has_ended()).cloned()
    }

    /// Copies everything that is not here.
    ///
    /// # Errors
    ///
    /// If the cache is not connected any more, or not all of the source can be brought in.
    pub(crate) fn synchronize(&self, request: SyncRequest) -> Result<JobHandle, String> {
        let job = copy::start(&self.source, &Part::All, request, self.source.walker())?;
        *self.job.lock() = Some(job.clone());
        Ok(job)
    }

    /// Copies these source segments now, whatever the job does.
    ///
    /// # Errors
    ///
    /// If that fails, or if the source gives out no entries for as long as it may take to answer other requests. The
    /// copy goes on then, and helps whoever asks for these segments again.
    pub(crate) async fn bring(
        self: &Arc<Self>,
        segments: &[SourceSegment],
    ) -> Result<(), CacheError> {
        // In a task of its own: the caller may be blocked on a client that does not read, while others wait for
        // the lock.
        let (migration, segments) = (Arc::clone(self), segments.to_vec());
        let (mut tell, told) = tokio::sync::oneshot::channel();
        let walker = self.source.walker();
        let walks = Arc::clone(&walker);
        self.source.spawn(async move {
            let _one = tokio::select! {
                one = migration.bringing.lock() => one,
                // The caller is gone: let the next one have the lock.
                () = tell.closed() => return,
            };
            let brought = migration.bring_missing(&segments, &migration.brought, &walks).await;
            if let Err(error) = &brought {
                tracing::warn!(cache = %migration.cache().name(), %error, "segments were not brought in");
            }
            // The caller may be gone; ignore a closed channel.
            let _ = tell.send(brought);
        });
        tokio::select! {
            told = told => told.unwrap_or(Err(CacheError::SourceSilent)),
            () = self.waited_in_vain(&walker) => Err(self.why_in_vain(&walker)),
        }
    }

    /// Waits until somebody has waited for a copy as long as the source may take to answer other requests, and the
    /// source has given out no entries meanwhile.
    async fn waited_in_vain(&self, walker: &Walker) {
        let (began, patience) = (Instant::now(), self.source.settings().source_timeout);
        let mut left = patience;
        while !left.is_zero() {
            tokio::time::sleep(left).await;
            let waited = self.copying.lock().as_ref().map_or(Duration::ZERO, JobHandle::waited);
            left = patience.saturating_sub(waited.min(began.elapsed()));
        }
        if self.source.walk_failure().is_none() {
            let millis = patience.as_millis();
            let reason = format!("a client has waited {millis} ms for them in vain");
            self.source.walk_failed(walker, None, reason, true);
        }
    }

    /// Why somebody has waited in vain for a copy with these walks. What others were told may be about other servers.
    fn why_in_vain(&self, walker: &Walker) -> CacheError {
        let failure = walker.failure().filter(|_| self.source.is_believed());
        match failure {
            Some(failure) if !failure.is_silence => CacheError::SourceFailed(failure.reason),
            _ => CacheError::SourceSilent,
        }
    }

    /// Brings these segments in, and adds the entries that were written to `written`.
    async fn bring_missing(
        &self,
        segments: &[SourceSegment],
        written: &AtomicU64,
        walker: &Arc<Walker>,
    ) -> Result<(), CacheError> {
        let missing: Vec<SourceSegment> = match self.source.link() {
            None => return Ok(()),
            Some(link) => segments
                .iter()
                .filter(|segment| !link.complete.contains(**segment))
                .copied()
                .collect(),
        };
        if missing.is_empty() {
            return Ok(());
        }
        let part = Part::Only(missing);
        let handle = copy::start(&self.source, &part, SyncRequest::default(), Arc::clone(walker))
            .map_err(CacheError::SourceFailed)?;
        *self.copying.lock() = Some(handle.clone());
        let status = self.while_it_answers(&handle).await;
        *self.copying.lock() = None;
        written.fetch_add(status.counts.written, Ordering::Relaxed);
        if status.ending == Some(Ending::Finished) {
            return Ok(());
        }
        match status.failure() {
            // It is there, and says why.
            Some(failure) if self.source.health().problem.is_none() => {
                Err(CacheError::SourceFailed(failure))
            }
            _ => Err(self.why_in_vain(walker)),
        }
    }

    /// Waits for the end of a copy that somebody waits for: it is cancelled while the source is silent, or gives out no
    /// entries.
    async fn while_it_answers(&self, copy: &JobHandle) -> CopyStatus {
        loop {
            if let Ok(status) = tokio::time::timeout(LOOK, copy.ended()).await {
                return status;
            }
            if self.source.health().problem.is_some() || copy.waited() >= PATIENCE {
                copy.tell(Event::Cancel);
                return copy.ended().await;
            }
        }
    }

    /// Entries that were brought in because of tombstones.
    pub(crate) fn relieved(&self) -> u64 {
        self.relieved.load(Ordering::Relaxed)
    }

    /// Entries that were brought in for iterations.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::Relaxed)
    }

    /// Entries that were evicted since there is a source, also over an earlier connection that this one continues,
    /// and that no verification has looked for: one that has come to its end has seen which of those before it
    /// are missing.
    pub(crate) fn evicted_unverified(&self) -> u64 {
        self.cache().evicted_since_source().saturating_sub(self.verifications().looked_for)
    }

    /// Returns how many of all evicted entries a verification has found to be here again.
    pub(crate) fn looked_for(&self) -> u64 {
        self.verifications().found_again()
    }

    /// A client clears the cache: there is nothing left to copy.
    pub(crate) fn cleared(&self) -> ClearUnderWay {
        if let Some(job) = &*self.job.lock() {
            job.tell(Event::Cleared);
        }
        self.source.clear_begins()
    }

    /// Compares everything with the source, or joins the running verification, which keeps to the rates of the request
    /// then: it comes with what it was asked for. `None` if that one repairs and this one shall not, or the other way
    /// round.
    pub(crate) fn verify(
        &self,
        request: VerifyRequest,
    ) -> Option<(VerifyHandle, Option<VerifyRequest>)> {
        let mut verification = self.verification.lock();
        let last = verification.as_ref().map(|last| &last.handle);
        if let Some(running) = last.filter(|running| running.is_running()) {
            let begun = running.request();
            if begun.repair != request.repair {
                return None;
            }
            if let Some(rates) = request.rates {
                running.throttle(rates);
            }
            return Some((running.clone(), Some(begun)));
        }
        if let Some(Verification { handle, evicted_before }) = &*verification {
            let mut before = self.verified_before.lock();
            *before = std::mem::take(&mut *before).with(handle.report(), *evicted_before);
        }
        let evicted_before = self.cache().evicted_since_source();
        let handle = verify::start(&self.source, request);
        self.log_verification(handle.clone(), request);
        *verification = Some(Verification { handle: handle.clone(), evicted_before });
        Some((handle, None))
    }

    /// Writes to the log that a verification begins, and how it ends.
    fn log_verification(&self, handle: VerifyHandle, request: VerifyRequest) {
        let cache = self.cache().name().clone();
        tracing::info!(%cache, repair = request.repair, "verifying");
        self.source.spawn(async move {
            let report = handle.ended().await;
            let VerifyReport { state, compared, same, repaired, evicted, .. } = &report;
            let (differences, perhaps_evicted) = (report.differences(), report.perhaps_evicted());
            // What was evicted meanwhile may have been compared before.
            if report.is_proof() && *evicted == 0 {
                tracing::info!(
                    %cache, state, compared, same, repaired, evicted, differences,
                    "verification ended"
                );
            } else {
                let why = report.reason.as_ref().or(report.doubt.as_ref());
                let why = why.map_or("none", String::as_str);
                tracing::warn!(
                    %cache, state, compared, same, repaired, evicted, differences, perhaps_evicted, why,
                    "verification ended, and does not prove that everything is here"
                );
            }
        });
    }

    /// Ends the verification that runs. False if there is none.
    pub(crate) fn cancel_verification(&self) -> bool {
        self.running_verification().map(|running| running.cancel()).is_some()
    }

    /// The verification that has not ended, if there is one.
    pub(crate) fn running_verification(&self) -> Option<VerifyHandle> {
        let last = self.verification.lock().as_ref().map(|last| last.handle.clone());
        last.filter(VerifyHandle::is_running)
    }

    /// What the last job was asked for, at the rates that it had at the end.
    pub(crate) fn last_request(&self) -> SyncRequest {
        self.job.lock().as_ref().map(JobHandle::request).unwrap_or_default()
    }

    /// The last job, as it stands.
    pub(crate) fn job_status(&self) -> Option<CopyStatus> {
        self.job.lock().as_ref().map(JobHandle::status)
    }

    /// An operator has accepted why the last job failed.
    pub(crate) fn accept_failure(&self) {
        *self.accepted.lock() = self.job_status().map(|job| job.id);
    }

    /// Returns whether an operator has accepted why this job failed.
    pub(crate) fn has_accepted(&self, job: &CopyStatus) -> bool {
        self.accepted.lock().as_ref() == Some(&job.id)
    }

    /// The last verification, as it stands.
    pub(crate) fn verify_report(&self) -> Option<VerifyReport> {
        self.verification.lock().as_ref().map(|last| last.handle.report())
    }

    /// What is known of differences.
    pub(crate) fn known_differences(&self) -> Option<VerifyReport> {
        self.verifications().found
    }

    /// What is known of all verifications.
    fn verifications(&self) -> Before {
        let verification = self.verification.lock();
        let before = self.verified_before.lock().clone();
        match &*verification {
            Some(last) => before.with(last.handle.report(), last.evicted_before),
            None => before,
        }
    }

    /// Lets go of the source. When this returns, nothing is asked of it any more.
    pub(crate) async fn end(&self) {
        self.source.end().await;
    }
}

/// What is known of differences: by the last verification; or, if that ended early and has found no difference, by the last
/// one before it that has found something. That everything was the same before proves nothing once another one has begun.
fn known(last: Option<VerifyReport>, before: Option<VerifyReport>) -> Option<VerifyReport> {
    match last {
        Some(last) if last.has_ended_early() && last.differences() == 0 => {
            before.filter(VerifyReport::has_findings).or(Some(last))
        }
        last => last,
    }
}

#[cfg(test)]
mod tests {
    //! What a verification leaves that did not come to its end.

    use super::*;

    fn report(state: &str, missing: u64) -> VerifyReport {
        VerifyReport { state: state.to_owned(), missing, ..VerifyReport::default() }
    }

    #[test]
    fn what_was_found_stays_known_and_that_nothing_was_found_does_not() {
        let known = |last: (&str, u64), before: Option<(&str, u64)>| {
            let before = before.map(|(state, missing)| report(state, missing));
            let known = known(Some(report(last.0, last.1)), before).unwrap();
            (known.state, known.missing)
        };
        let is = |state: &str, missing| (state.to_owned(), missing);
        assert_eq!(super::known(None, None), None);
        assert_eq!(known(("finished", 0), Some(("finished", 5))), is("finished", 0));
        assert_eq!(known(("running", 0), Some(("finished", 5))), is("running", 0));
        for ended in ["cancelled", "silent"] {
            assert_eq!(known((ended, 0), None), is(ended, 0), "one was run");
            assert_eq!(known((ended, 0), Some(("finished", 5))), is("finished", 5));
            assert_eq!(known((ended, 0), Some(("finished", 0))), is(ended, 0), "no proof any more");
            assert_eq!(known((ended, 2), Some(("finished", 0))), is(ended, 2));
            assert_eq!(known((ended, 3), Some(("finished", 5))), is(ended, 3));
        }
        let evicted = VerifyReport { missing_or_evicted: 1, ..report("finished", 0) };
        let cancelled = Some(report("cancelled", 0));
        assert_eq!(super::known(cancelled, Some(evicted.clone())), Some(evicted.clone()));
        // What is missing while entries are evicted counts as evicted until a verification has come to its end.
        let met_evicted = VerifyReport { missing_or_evicted: 1, ..report("cancelled", 0) };
        for before in [report("finished", 5), evicted] {
            assert_eq!(super::known(Some(met_evicted.clone()), Some(before.clone())), Some(before));
        }
        let before = Some(report("finished", 0));
        assert_eq!(super::known(Some(met_evicted.clone()), before), Some(met_evicted));
    }

    #[test]
    fn what_was_looked_for_stays_known_although_another_one_ends_early() {
        let looked_for = |ended: &[(&str, u64)]| {
            let all = ended.iter().fold(Before::default(), |before, (state, evicted)| {
                before.with(report(state, 0), *evicted)
            });
            all.looked_for
        };
        assert_eq!(looked_for(&[]), 0);
        assert_eq!(looked_for(&[("finished", 3), ("cancelled", 7), ("silent", 8)]), 3);
        assert_eq!(looked_for(&[("finished", 3), ("finished", 7), ("running", 9)]), 7);
        let missed =
            |state, entries| VerifyReport { missing_or_evicted: entries, ..report(state, 0) };
        let before = Before::default().with(missed("finished", 90), 100);
        assert_eq!(before.found_again(), 10);
        assert_eq!(before.with(missed("cancelled", 3), 100).found_again(), 10);
    }
}
