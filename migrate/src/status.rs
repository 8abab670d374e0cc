//! Where a migration stands: one document, the same over REST and for the command line.

use std::collections::BTreeMap;

use cluster::{Connection, LostServer};
use serde::Serialize;
use store::{SourceSpace, Timestamp};

use crate::{
    census,
    clocks::ClockStatus,
    copy::FORGOTTEN,
    counts::Counts,
    job::{CopyStatus, FailedEntry},
    ledger::Here,
    loss::{LISTS, Losses, Standing, losing},
    migration::Migration,
    remote,
    sync::Ending,
    throttle::Rates,
    verify::VerifyReport,
};

/// Why nothing can be asked of a source that a restart has left.
pub(crate) const NOT_REACHED: &str = "the source was not reached since this server was started";

/// Stages of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// There is no source.
    Disconnected,
    /// There is one, and entries come over as they are asked for.
    Connected,
    /// All entries are being copied.
    Syncing,
    /// They were, until somebody said stop.
    Paused,
    /// Everything is here.
    Synced,
    /// And it was proven.
    Verified,
    /// Somebody has to decide something.
    Failed,
}

/// Where the migration of one cache stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name of the cache.
    pub cache: String,
    /// The stage that it is in.
    pub state: Stage,
    /// Set for a cache that was never connected to a source.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub never_connected: bool,
    /// How it was disconnected; unknown if that was before this server was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected: Option<Departure>,
    /// Why it cannot go on, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Who decides: this side. Writes are not mirrored to the source.
    pub authority: &'static str,
    /// How writes go to the source.
    pub mirror: &'static str,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// The last job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobStatus>,
    /// Entries that all finished jobs of this connection (or of the last one) wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<u64>,
    /// What became of the source's entries, over all synchronizations, reads and iterations: those of complete
    /// segments, each once. Of a cache that was disconnected since this server was started, what had become of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<Here>,
    /// What all synchronizations of this connection have read, what was read again included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synchronized: Option<Counts>,
    /// What was asked for before it was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_through: Option<ReadThrough>,
    /// Imported entries whose time was over here and that the source still had: they live on.
    pub lived_on: u64,
    /// Removed keys, and ended entries, that are remembered: each at least until its source segment is complete.
    pub tombstones: u64,
    /// Bytes that the tombstones of all caches take.
    pub tombstone_bytes: u64,
    /// Bytes that they may take. Beyond that, writes that could need more of them are refused.
    pub tombstone_limit_bytes: u64,
    /// Whether keys may have been removed here that are no longer remembered: verify cannot tell them from lost
    /// ones, and repair does not fetch them.
    pub may_have_forgotten: bool,
    /// The last verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyReport>,
    /// Whether a disconnect would be carried out now, because nothing is known that would be lost.
    pub can_disconnect: bool,
    /// What would be lost: a disconnect is refused.
    pub blockers: Vec<String>,
    /// What nobody knows: only a strict disconnect is refused.
    pub doubts: Vec<String>,
}

/// How a cache was disconnected from its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Departure {
    /// Whether it was `VERIFIED`, and nothing spoke against it.
    pub verified: bool,
    /// What was left behind, or may have been, because the operator has forced it.
    pub left_behind: Vec<String>,
    /// What was not known.
    pub notices: Vec<String>,
    /// What had become of the source's entries.
    #[serde(skip)]
    pub(crate) here: Option<Here>,
}

impl Departure {
    /// Whether everything of the source was here, and proven to be.
    pub(crate) fn text(&self) -> String {
        match (self.verified, self.left_behind.as_slice()) {
            (true, _) => "when it was VERIFIED".to_owned(),
            (false, []) => "without being verified".to_owned(),
            (false, left) => format!("by force, and has left behind: {}", left.join("; ")),
        }
    }
}

/// The source.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its servers.
    pub servers: Vec<String>,
    /// Its cache.
    pub cache: String,
    /// The protocol version that is spoken with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Its segments; 1 if it is one unit.
    pub segments: u32,
    /// Segments of which everything is here.
    pub segments_complete: u32,
    /// Milliseconds that its clock is ahead of ours, at least; negative if it is behind.
    pub clock_skew_ms: i64,
    /// What is known of the clock of each of its servers.
    pub clocks: Vec<ClockStatus>,
    /// Whether it answers.
    pub reachable: bool,
    /// What is wrong if it does not, or if it does not give out its entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Entries that it had when it was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Its name.
    pub id: String,
    /// `running`, `paused`, `retrying`, `finished`, `failed` or `cancelled`.
    pub state: &'static str,
    /// When it was started, in milliseconds since the Unix epoch.
    pub started_at: u64,
    /// How long it has run.
    pub elapsed_ms: u64,
    /// Source segments.
    pub segments: Segments,
    /// What became of the entries.
    pub entries: Counts,
    /// The same by source segment.
    pub by_segment: BTreeMap<u32, Counts>,
    /// Entries of complete segments that were read more than once, because a segment had to be begun anew.
    pub read_again: u64,
    /// Bytes of keys and values that were read.
    pub bytes: u64,
    /// Entries in a second since it was started, resumed or throttled; 0 while it is paused.
    pub rate_entries_per_sec: u64,
    /// Seconds that it will take, if what is left is like what it has read since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
    /// How fast it copies, at most.
    pub throttle: Rates,
    /// Entries that could not be taken, up to a thousand.
    pub failures: Vec<FailedEntry>,
    /// Entries beyond those.
    pub failures_not_listed: u64,
}

/// Source segments of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segments {
    /// All of them.
    pub total: u32,
    /// Those of which everything is here.
    pub complete: u32,
    /// Those that are being read.
    pub in_progress: Vec<u32>,
    /// Those that could not be read, or of which an entry could not be taken.
    pub failed: Vec<u32>,
}

/// What was asked for before it was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadThrough {
    /// Keys that the source had.
    pub hits: u64,
    /// Keys that it did not have.
    pub misses: u64,
    /// Keys that it answered with an error.
    pub failed: u64,
    /// Keys of which it said nothing.
    pub silent: u64,
    /// Keys that it is being asked for.
    pub in_flight: usize,
    /// Entries that were brought in at once because clients iterate over them.
    pub for_iterations: u64,
    /// Entries that were brought in at once so that tombstones could be released.
    pub for_tombstones: u64,
}

/// What is said of a cache that has let go of its source, after a restart.
const LOST: &str = "what was taken over lived in memory only, and was lost with the process that ended: fill the \
                    cache again, or connect it again if the source still has it";

/// What a status is made from.
pub(crate) struct Facts<'a> {
    pub(crate) cache: &'a store::Cache,
    pub(crate) connection: Option<&'a Connection>,
    pub(crate) past: Option<&'a Connection>,
    /// How that was ended.
    pub(crate) departure: Option<&'a Departure>,
    /// Whether what the cache held after that was lost with an earlier process.
    pub(crate) lost: bool,
    pub(crate) live: Option<&'a Migration>,
    pub(crate) now: Timestamp,
}

impl Facts<'_> {
    /// Where the migration stands.
    pub(crate) fn status(&self) -> Status {
        let job = self.live.and_then(Migration::job_status);
        let verify = self.live.and_then(Migration::verify_report);
        let problem = self.problem(job.as_ref());
        let known = self.live.and_then(Migration::known_differences);
        let state = self.stage(job.as_ref(), known.as_ref(), problem.as_deref());
        let losses = self.losses_by(job.as_ref(), known.as_ref(), problem.as_deref());
        let (blockers, doubts) = (losses.all_blockers(), losses.all_doubts());
        let known = self.connection.or(self.past);
        Status {
            cache: self.cache.name().to_string(),
            state,
            never_connected: self.connection.is_none() && self.past.is_none(),
            disconnected: self.departure.filter(|_| self.connection.is_none()).cloned(),
            authority: "target",
            mirror: "none",
            source: self.connection.map(|connection| self.source(connection)),
            job: job.as_ref().map(|job| self.job(job)),
            imported: known.and_then(|connection| connection.imported),
            here: self
                .here()
                .or_else(|| self.departure.filter(|_| self.connection.is_none())?.here),
            synchronized: self.live.map(|live| live.source().ledger().lock().synchronized()),
            read_through: self.live.map(read_through),
            lived_on: self.cache.lived_on(),
            tombstones: self.cache.tombstones(),
            tombstone_bytes: self.cache.memory_limit().tombstones(),
            tombstone_limit_bytes: self.cache.memory_limit().tombstone_limit(),
            may_have_forgotten: self.connection.is_some_and(|connection| connection.forgets)
                || (self.connection.is_some() && self.cache.has_forgotten()),
            verify,
            can_disconnect: self.connection.is_some() && blockers.is_empty(),
            blockers,
            doubts,
            problem: problem.or_else(|| self.lost()),
        }
    }

    /// What became of the source's entries, while there is a source.
    pub(crate) fn here(&self) -> Option<Here> {
        let here = self.live?.source().ledger().lock().here();
        let segments = self.connection.map(|connection| connection.space.count());
        let here = here.with_since(self.cache.brought_in(), segments == Some(here.segments));
        Some(Here { clients_evicted: self.cache.evicted_own(), ..here })
    }

    /// What a restart has lost of a cache that has let go of its source, until it is connected again.
    pub(crate) fn lost(&self) -> Option<String> {
        let is_unfilled = self.past.is_some_and(|past| past.complete.is_empty());
        (self.lost && self.connection.is_none() && is_unfilled).then(|| LOST.into())
    }

    fn is_complete(&self) -> bool {
        self.connection.is_some_and(|it| it.complete.is_whole())
    }

    fn problem(&self, job: Option<&CopyStatus>) -> Option<String> {
        self.connection?;
        if let Err(error) = self.cache.check_served() {
            return Some(error.to_string());
        }
        let Some(live) = self.live else {
            return Some(NOT_REACHED.into());
        };
        // Where everything is here, nobody needs it any more.
        if let Some(reason) = live.source().changed().filter(|_| !self.is_complete()) {
            return Some(format!("{reason}; accept-source-loss goes on with what it has now"));
        }
        if self.cache.is_sealed() && !self.is_complete() {
            return Some(FORGOTTEN.into());
        }
        let job = job.filter(|_| !self.is_complete())?;
        let is_failed = matches!(job.ending, Some(Ending::Failed { .. }));
        if is_failed && live.has_accepted(job) {
            // The rest is to be read from the source as it is now.
            return None;
        }
        let failure = job.failure()?;
        if !matches!(job.ending, Some(Ending::Untaken { .. })) {
            return Some(format!("{failure}; synchronize again to read the rest"));
        }
        let lists = match (job.failed_entries(), job.failures_not_listed) {
            (0 | 1, _) => String::new(),
            (_, 0) => format!(" ({LISTS} lists them)"),
            _ => format!(" ({LISTS} lists the first of them)"),
        };
        Some(format!("{failure}{lists}; synchronize again once that is mended"))
    }

    fn stage(
        &self,
        job: Option<&CopyStatus>,
        verify: Option<&VerifyReport>,
        problem: Option<&str>,
    ) -> Stage {
        if self.connection.is_none() {
            return Stage::Disconnected;
        }
        if problem.is_some() {
            return Stage::Failed;
        }
        if self.is_complete() {
            // What was evicted since then was not compared.
            let is_evicted = self.live.is_some_and(|live| live.evicted_unverified() > 0);
            // Nor was what the source has lost before.
            let is_shrunk = self.connection.and_then(census::shrunk).is_some();
            // Nor what an earlier connection brought in, since this one began anew.
            let is_whole = !is_evicted && !is_shrunk && self.cache.adopted() == 0;
            // Nor what only servers had that have gone.
            let is_whole = is_whole && !self.has_lost_servers();
            // Nor is anything that clients had written and that was evicted.
            let is_whole = is_whole && self.cache.evicted_own() == 0;
            let proven = verify.is_some_and(VerifyReport::is_proof) && is_whole;
            return if proven { Stage::Verified } else { Stage::Synced };
        }
        match job {
            Some(job) if job.ended.is_none() && job.paused => Stage::Paused,
            Some(job) if job.ended.is_none() => Stage::Syncing,
            _ => Stage::Connected,
        }
    }

    /// Whether servers of the source have gone before everything was copied, or may have.
    fn has_lost_servers(&self) -> bool {
        let is_cleared = self.connection.is_some_and(|connection| connection.cleared);
        let may_have = self.live.is_some_and(|live| !live.source().unheard().is_empty());
        !is_cleared && (may_have || losing(&self.lost_servers()).is_some())
    }

    /// Servers of the source that have gone since it was connected.
    fn lost_servers(&self) -> Vec<LostServer> {
        match (self.live, self.connection) {
            (Some(live), _) => live.source().lost(),
            (None, Some(connection)) => connection.lost.gone.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// What speaks against disconnecting now.
    pub(crate) fn losses(&self) -> Losses {
        let job = self.live.and_then(Migration::job_status);
        let problem = self.problem(job.as_ref());
        let known = self.live.and_then(Migration::known_differences);
        self.losses_by(job.as_ref(), known.as_ref(), problem.as_deref())
    }

    fn losses_by(
        &self,
        job: Option<&CopyStatus>,
        verified: Option<&VerifyReport>,
        problem: Option<&str>,
    ) -> Losses {
        let Some(connection) = self.connection else { return Losses::default() };
        let not_shown = self.live.and_then(|live| live.source().not_shown());
        let shrunk = census::shrunk(connection);
        let changed = self.live.and_then(|live| live.source().changed());
        let lost = self.lost_servers();
        let unheard = self.live.map_or_else(Vec::new, |live| live.source().unheard());
        let silent = self.source_problem();
        let last = self.live.and_then(Migration::verify_report);
        let standing = Standing {
            lost: &lost,
            unheard: &unheard,
            complete: connection.complete.len(),
            segments: connection.space.count(),
            problem,
            job,
            verified,
            last: last.as_ref(),
            silent: silent.as_deref(),
            changed: changed.as_deref(),
            not_shown: not_shown.as_deref(),
            shrunk: shrunk.as_deref(),
            cleared: connection.cleared,
            evicted: self.live.map_or(0, Migration::evicted_unverified),
            evicted_in_all: self.cache.evicted_since_source() + self.cache.evicted_own(),
            evicted_own: self.cache.evicted_own(),
            adopted: self.cache.adopted(),
            full: self.is_full(),
        };
        standing.losses()
    }

    /// Whether there is no memory now for another entry as large as those of the cache are.
    fn is_full(&self) -> bool {
        let entry = self.cache.memory() / self.cache.approximate_len().max(1);
        self.cache.memory_limit().refuses(usize::try_from(entry).unwrap_or(usize::MAX))
    }

    /// Why the source does not answer, or gives out no entries.
    fn source_problem(&self) -> Option<String> {
        let source = self.live?.source();
        source.health().problem.or_else(|| Some(source.walk_failure()?.text()))
    }

    fn source(&self, connection: &Connection) -> SourceStatus {
        let health = self.live.map(|live| live.source().health());
        SourceStatus {
            servers: match self.live {
                Some(live) => live.source().servers().names,
                None => vec![remote::servers(&connection.remote)],
            },
            cache: remote::cache_name(&connection.remote, self.cache.name()),
            protocol: self.live.map(|live| live.source().remote().protocol_version().to_string()),
            segments: match connection.space {
                SourceSpace::Segments(count) => count,
                SourceSpace::Unit => 1,
            },
            segments_complete: connection.complete.len(),
            clock_skew_ms: self.live.map_or(0, |live| live.source().clocks().skew(self.now)),
            clocks: self.live.map_or_else(Vec::new, |live| live.source().clocks().status(self.now)),
            reachable: health.as_ref().is_some_and(|health| health.problem.is_none()),
            problem: self.source_problem(),
            entries: health.and_then(|health| health.entries),
        }
    }

    fn job(&self, job: &CopyStatus) -> JobStatus {
        let until = job.ended.unwrap_or(self.now);
        let elapsed_ms = until.millis().saturating_sub(job.started.millis());
        let speed = Speed::of(job, until);
        let total = self.connection.map_or(1, |it| it.space.count());
        let complete = self.connection.map_or(0, |it| it.complete.len());
        JobStatus {
            id: job.id.clone(),
            state: state_name(job),
            started_at: job.started.millis(),
            elapsed_ms,
            segments: Segments {
                total,
                complete,
                in_progress: job.in_progress.clone(),
                failed: job.failed.clone(),
            },
            entries: job.counts,
            by_segment: job.by_segment.clone(),
            read_again: job.read_again,
            bytes: job.bytes,
            rate_entries_per_sec: speed.entries_per_sec(job),
            eta_seconds: speed.eta(job, self.live.and_then(|live| live.source().health().entries)),
            throttle: job.rates,
            failures: job.failures.clone(),
            failures_not_listed: job.failures_not_listed,
        }
    }
}

fn state_name(job: &CopyStatus) -> &'static str {
    match &job.ending {
        Some(Ending::Finished) => "finished",
        Some(Ending::Failed { .. } | Ending::Untaken { .. }) => "failed",
        Some(Ending::Cancelled) => "cancelled",
        None if job.ended.is_some() => "cancelled",
        None if job.paused => "paused",
        None if job.retrying => "retrying",
        None => "running",
    }
}

/// How fast a job is, since it was started, resumed or throttled.
#[derive(Debug)]
struct Speed {
    millis: u64,
    completed: u32,
    read: u64,
}

impl Speed {
    fn of(job: &CopyStatus, until: Timestamp) -> Self {
        Self {
            millis: until.millis().saturating_sub(job.pace.since.millis()),
            completed: job.completed.saturating_sub(job.pace.completed),
            read: job.counts.read.saturating_sub(job.pace.read),
        }
    }

    fn entries_per_sec(&self, job: &CopyStatus) -> u64 {
        if is_paused(job) { 0 } else { self.read.saturating_mul(1_000) / self.millis.max(1) }
    }

    /// Seconds that the rest takes: the job's other segments; of a source that is one unit, its other entries.
    fn eta(&self, job: &CopyStatus, entries: Option<u64>) -> Option<u64> {
        if job.ended.is_some() || is_paused(job) || job.retrying {
            return None;
        }
        let (left, done) = if job.is_unit {
            (entries?.saturating_sub(job.counts.read), self.read)
        } else {
            (job.to_read.saturating_sub(job.completed).into(), self.completed.into())
        };
        Some(self.millis.saturating_mul(left).checked_div(done)? / 1_000)
    }
}

fn is_paused(job: &CopyStatus) -> bool {
    job.ended.is_none() && job.paused
}

fn read_through(live: &Migration) -> ReadThrough {
    use std::sync::atomic::Ordering::Relaxed;
    let counts = live.source().load_counts();
    ReadThrough {
        hits: counts.hits.load(Relaxed),
        misses: counts.misses.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        silent: counts.silent.load(Relaxed),
        in_flight: live.source().loads_in_flight(),
        for_iterations: live.brought(),
        for_tombstones: live.relieved(),
    }
}

#[cfg(test)]
mod tests {
    //! How long a job will take.

    use super::*;
    use crate::job::Pace;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn job(to_read: u32, completed: u32, read: u64, pace: Pace) -> CopyStatus {
        let counts = Counts { read, ..Counts::default() };
        CopyStatus { to_read, completed, counts, pace, ..CopyStatus::default() }
    }

    fn told(job: &CopyStatus, now: u64, entries: Option<u64>) -> (u64, Option<u64>) {
        let speed = Speed::of(job, at(now));
        (speed.entries_per_sec(job), speed.eta(job, entries))
    }

    #[test]
    fn what_an_earlier_job_has_copied_makes_this_one_no_faster() {
        // 150 of 256 segments were complete before.
        let pace = Pace { since: at(100), ..Pace::default() };
        assert_eq!(told(&job(106, 0, 10, pace), 102, None), (5, None), "nothing is known yet");
        assert_eq!(told(&job(106, 6, 120, pace), 110, None), (12, Some(166)));
    }

    #[test]
    fn a_job_is_as_fast_as_since_it_was_throttled_or_resumed() {
        let pace = Pace { since: at(100), completed: 50, read: 1_000 };
        assert_eq!(told(&job(100, 60, 1_100, pace), 110, None), (10, Some(40)));
        let paused = CopyStatus { paused: true, ..job(100, 60, 1_100, pace) };
        assert_eq!(told(&paused, 110, None), (0, None));
        let waiting = CopyStatus { retrying: true, ..job(100, 60, 1_100, pace) };
        assert_eq!(told(&waiting, 110, None), (10, None), "the source is away");
        let ended = CopyStatus { ended: Some(at(110)), ..job(100, 100, 1_500, pace) };
        assert_eq!(told(&ended, 110, None), (50, None));
    }

    #[test]
    fn one_unit_takes_as_long_as_its_other_entries() {
        let pace = Pace { since: at(0), ..Pace::default() };
        let unit = CopyStatus { is_unit: true, ..job(1, 0, 100, pace) };
        assert_eq!(told(&unit, 10, Some(400)), (10, Some(30)));
        assert_eq!(told(&unit, 10, None), (10, None), "it did not say how many");
        assert_eq!(
            told(&job(1, 0, 100, pace), 10, Some(400)),
            (10, None),
            "the last of many segments"
        );
    }
}
