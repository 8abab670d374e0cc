//! Proves that nothing was lost: reads every segment of the source again and compares.

mod report;

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
    sync::Arc,
};

use client::{Item, Iterate, SegmentSet};
use media::hash;
use parking_lot::Mutex;
use store::{
    EntryMetadata, Import, ImportRule, Lifetime, SegmentId, SourceSegment, SourceSpace, Standing,
    Timestamp, Walk, WalkStep,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::report::{CANCELLED, FINISHED, RUNNING};
pub use self::report::{Finding, Listed, VerifyReport};
use crate::{
    entry::SourceEntry,
    overlap::overlap,
    source::{Doubt, PATIENCE, SourceConnection, chain},
    source_clock::Obtained,
    sync::UNIT_SEGMENTS,
};

/// Most times that a group of segments is read again after a loss.
const MAX_ATTEMPTS: u32 = 8;

/// Milliseconds that an instant may differ by: a source reports whole seconds.
const INSTANT_TOLERANCE: u64 = 1_000;

/// A verification that runs, or has run.
#[derive(Clone)]
pub(crate) struct VerifyHandle {
    report: Arc<Mutex<VerifyReport>>,
    ended: watch::Receiver<bool>,
    cancelled: CancellationToken,
}

impl VerifyHandle {
    pub(crate) fn report(&self) -> VerifyReport {
        self.report.lock().clone()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.report.lock().is_running()
    }

    /// Ends it where it is.
    pub(crate) fn cancel(&self) {
        self.cancelled.cancel();
        self.report.lock().state = CANCELLED.into();
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) -> VerifyReport {
        let mut ended = self.ended.clone();
        if ended.wait_for(|ended| *ended).await.is_err() {
            // Its task went with the connection.
            self.report.lock().state = "the source was let go of".into();
        }
        self.report()
    }
}

/// Starts a verification of a cache all of whose source segments are complete.
pub(crate) fn start(connection: &Arc<SourceConnection>, repair: bool) -> VerifyHandle {
    let report = Arc::new(Mutex::new(VerifyReport {
        state: RUNNING.into(),
        repair,
        ..VerifyReport::default()
    }));
    let (end, ended) = watch::channel(false);
    let run = Run { connection: Arc::clone(connection), report: Arc::clone(&report), repair };
    let cancelled = CancellationToken::new();
    let cancel = cancelled.clone();
    connection.spawn(async move {
        let verified = cancel.run_until_cancelled(run.verify()).await;
        let state = match verified {
            // Who has cancelled it was told that it ends so, even at the last moment.
            _ if cancel.is_cancelled() => CANCELLED.to_owned(),
            Some(Ok(())) => FINISHED.to_owned(),
            Some(Err(reason)) => reason,
            None => CANCELLED.to_owned(),
        };
        run.report.lock().state = state;
        end.send_replace(true);
    });
    VerifyHandle { report, ended, cancelled }
}

struct Run {
    connection: Arc<SourceConnection>,
    report: Arc<Mutex<VerifyReport>>,
    repair: bool,
}

/// Segments that are read in one iteration, and what was seen of them.
struct Group {
    segments: Option<SegmentSet>,
    server: Option<client::ServerAddress>,
}

impl Run {
    async fn verify(&self) -> Result<(), String> {
        let connection = &self.connection;
        let link = connection.link().ok_or("the cache is not connected to a source")?;
        let groups = self.groups(link.space);
        self.report.lock().segments = link.space.count();
        let before = connection.cache().evicted();
        for group in groups {
            self.with_patience(&group, link.space).await?;
        }
        self.report.lock().evict(connection.cache().evicted() - before);
        Ok(())
    }

    fn groups(&self, space: SourceSpace) -> Vec<Group> {
        let by_owner = self.connection.remote().segments_by_owner();
        // Where the keys of a unit are is not known: only all of them together are compared.
        if by_owner.is_empty() || space == SourceSpace::Unit {
            return vec![Group { segments: None, server: None }];
        }
        let mut groups = Vec::new();
        for (server, owned) in by_owner {
            let owned: Vec<u32> = owned.iter().collect();
            groups.extend(owned.chunks(UNIT_SEGMENTS).map(|group| Group {
                segments: Some(group.iter().copied().collect()),
                server: Some(server.clone()),
            }));
        }
        groups
    }

    /// Compares a group, again from its start if the source is lost meanwhile.
    async fn with_patience(&self, group: &Group, space: SourceSpace) -> Result<(), String> {
        let before = self.report.lock().clone();
        let mut attempts = 0;
        loop {
            match self.compare_group(group, space).await {
                Ok(()) => return Ok(()),
                Err(Doubt::Another(reason)) => return Err(reason),
                Err(Doubt::Silent(reason)) => {
                    attempts += 1;
                    if attempts == MAX_ATTEMPTS {
                        return Err(reason);
                    }
                    // What was counted of this attempt is counted again.
                    *self.report.lock() = before.clone();
                    tokio::time::sleep(std::time::Duration::from_millis(100 << attempts)).await;
                }
            }
        }
    }

    async fn compare_group(&self, group: &Group, space: SourceSpace) -> Result<(), Doubt> {
        let connection = &self.connection;
        let silent = |error: client::ClientError| Doubt::Silent(chain(&error));
        let remote = connection.remote().with_timeout(PATIENCE);
        let iterate = Iterate {
            segments: group.segments.clone(),
            batch: 1_000,
            with_metadata: true,
            keys_only: false,
            server: group.server.clone(),
        };
        let asked = connection.agreement().clock().now();
        let mut iteration = remote.iterate(iterate).await.map_err(silent)?;
        connection.check_iteration(&mut iteration).await?;
        let clock = connection.clocks().of(iteration.server());
        let mut seen = Met::default();
        let mut left = group.segments.clone().unwrap_or_default();
        while let Some(item) = iteration.next().await.map_err(silent)? {
            match item {
                Item::Entry { key, value, metadata } => {
                    // An entry may be given twice: nothing counts on once.
                    if seen.insert(&key) {
                        let metadata = metadata.unwrap_or_default();
                        let now = connection.agreement().clock().now();
                        let walked = Obtained::InWalk;
                        let theirs = SourceEntry::new(value, &metadata, &clock, walked, asked, now);
                        self.compare(&key, &theirs, now);
                    }
                }
                Item::Finished(finished) => {
                    left = left.iter().filter(|segment| !finished.contains(*segment)).collect();
                }
            }
        }
        if left.iter().next().is_some() {
            let early = "the source ended an iteration without all of its segments";
            return Err(Doubt::Silent(early.into()));
        }
        let _ = iteration.end().await;
        self.look_for_vanished(group, space, &seen).await?;
        let compared = group.segments.as_ref().map_or(1, |segments| segments.iter().count());
        self.report.lock().segments_compared += u32::try_from(compared).unwrap_or(u32::MAX);
        Ok(())
    }

    fn compare(&self, key: &[u8], theirs: &SourceEntry, now: Timestamp) {
        let connection = &self.connection;
        let seen = connection.cache().inspect(key, now, |standing| match standing {
            Standing::Local(_) | Standing::Tombstone => Seen::ChangedHere,
            Standing::Unknown => Seen::Nothing,
            Standing::Overdue(_) => Seen::Overdue,
            Standing::Imported(ours) => {
                let skew = connection.clocks().difference();
                match difference(&ours.metadata(), ours.value().bytes(), theirs, skew) {
                    None => Seen::Same,
                    Some(what) => Seen::Other(what),
                }
            }
        });
        // Found out before the report is held: who reads it may hold what is asked here.
        let verdict = match seen {
            Seen::Same => Verdict::Same,
            Seen::Overdue => {
                self.refresh(key, theirs, now);
                Verdict::Same
            }
            Seen::ChangedHere => Verdict::Found(Finding::ChangedHere, None, false),
            Seen::Nothing if theirs.metadata().ends().is_some_and(|end| ends_about(end, now)) => {
                Verdict::Expired
            }
            Seen::Nothing if self.was_cleared() => Verdict::Cleared,
            Seen::Nothing if self.may_be_removed(key) => {
                Verdict::Found(Finding::Missing, Some("it may have been removed here"), false)
            }
            Seen::Nothing => Verdict::Found(Finding::Missing, None, self.mend(key, theirs, now)),
            Seen::Other(what) => {
                Verdict::Found(Finding::Different, Some(what), self.mend(key, theirs, now))
            }
        };
        let mut report = self.report.lock();
        report.compared += 1;
        match verdict {
            Verdict::Same => report.same += 1,
            Verdict::Expired => report.expired += 1,
            Verdict::Cleared => report.cleared += 1,
            Verdict::Found(finding, what, repaired) => report.note(finding, key, what, repaired),
        }
    }

    /// Lets an entry live on whose time is over here, and that the source still has.
    fn refresh(&self, key: &[u8], theirs: &SourceEntry, now: Timestamp) {
        let (entries, over) = ([(key, theirs.imported())], self.connection.id());
        self.connection.cache().import(&entries, ImportRule::Copy, over, now, |_, _| {});
    }

    fn was_cleared(&self) -> bool {
        self.knows(|connection| connection.cleared)
    }

    /// Whether a key without a record may be one that a client has removed: then it must not come back.
    fn may_be_removed(&self, key: &[u8]) -> bool {
        self.connection.cache().may_have_forgotten(key)
            || self.knows(|connection| connection.forgets)
    }

    fn knows(&self, what: impl Fn(&cluster::Connection) -> bool) -> bool {
        let name = self.connection.cache().name().as_str();
        self.connection.agreement().see(|metadata| {
            metadata.cache(name).and_then(|known| known.connection.as_ref()).is_some_and(&what)
        })
    }

    fn mend(&self, key: &[u8], theirs: &SourceEntry, now: Timestamp) -> bool {
        if !self.repair {
            return false;
        }
        let mut mended = false;
        let entries = [(key, theirs.imported())];
        let over = self.connection.id();
        self.connection.cache().import(&entries, ImportRule::Repair, over, now, |_, import| {
            mended = import == Import::Written;
        });
        mended
    }

    /// Entries that were brought in from these segments and that the source has no more.
    async fn look_for_vanished(
        &self,
        group: &Group,
        space: SourceSpace,
        seen: &Met,
    ) -> Result<(), Doubt> {
        let connection = &self.connection;
        let of_group = |key: &[u8]| {
            let SourceSegment(segment) = space.segment_of(hash::hash(key));
            group.segments.as_ref().is_none_or(|segments| segments.contains(segment))
        };
        let (ours, theirs) = (connection.cache().segment_count(), space.count());
        let may_hold = |id: &SegmentId| {
            group.segments.as_ref().is_none_or(|segments| {
                segments.iter().any(|segment| overlap((id.0, ours), (segment, theirs)))
            })
        };
        let mut suspects = Vec::new();
        let segments = connection.cache().segment_ids().filter(may_hold);
        let mut walk = Walk::new(Arc::clone(connection.cache()), segments);
        for step in 1_u64.. {
            let now = connection.agreement().clock().now();
            let walked = walk.step(now, |entry| {
                let imported = entry.origin() == store::Origin::Imported;
                if imported && !seen.contains(entry.key()) && of_group(entry.key()) {
                    suspects.push(Box::<[u8]>::from(entry.key()));
                }
                ControlFlow::Continue(())
            });
            if walked.map_err(|error| Doubt::Another(error.to_string()))? == WalkStep::End {
                break;
            }
            if step % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for key in suspects {
            let answer = connection.remote().contains_key(&key).await;
            if answer.map_err(|error| Doubt::Silent(chain(&error)))? {
                continue;
            }
            let now = connection.agreement().clock().now();
            let still = connection
                .cache()
                .inspect(&key, now, |standing| matches!(standing, Standing::Imported(_)));
            if still {
                self.report.lock().note(Finding::Vanished, &key, None, false);
            }
        }
        Ok(())
    }
}

/// What is to be reported of a key.
enum Verdict {
    Same,
    Expired,
    Cleared,
    /// What it is, what differs, and whether it was put right.
    Found(Finding, Option<&'static str>, bool),
}

/// Keys that were met, as far as 128 bits tell them apart which nobody can foresee: a source may have very
/// many.
#[derive(Default)]
struct Met {
    hashers: [RandomState; 2],
    hashes: HashSet<[u64; 2]>,
}

impl Met {
    /// False if it was met before.
    fn insert(&mut self, key: &[u8]) -> bool {
        self.hashes.insert(self.hash(key))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.hashes.contains(&self.hash(key))
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }
}

/// What is known here of a key of the source.
enum Seen {
    Same,
    /// Its time is over here, though not at the source.
    Overdue,
    Other(&'static str),
    ChangedHere,
    Nothing,
}

/// What differs between an entry that was brought in and the source's. When it was last used is not
/// compared: reading moves that.
fn difference(
    ours: &EntryMetadata,
    value: &[u8],
    theirs: &SourceEntry,
    skew: u64,
) -> Option<&'static str> {
    let metadata = theirs.metadata();
    let seconds = |lifetime: Option<Lifetime>| lifetime.map(Lifetime::whole_secs);
    let created = ours.created.zip(metadata.created);
    if ours.version != metadata.version {
        return Some("version");
    }
    if seconds(ours.expiration.lifespan) != seconds(metadata.expiration.lifespan) {
        return Some("lifespan");
    }
    if seconds(ours.expiration.max_idle) != seconds(metadata.expiration.max_idle) {
        return Some("max idle");
    }
    // An entry may have come before the source's clock was known as well as it is now.
    let is_off = |(ours, theirs): (Timestamp, Timestamp)| {
        let difference = ours.millis().abs_diff(theirs.millis());
        difference > INSTANT_TOLERANCE.saturating_add(skew)
    };
    if created.is_some_and(is_off) {
        return Some("created");
    }
    (value != theirs.value()).then_some("value")
}

/// Whether an entry that ends then has ended by now, as far as whole seconds tell.
fn ends_about(end: Timestamp, now: Timestamp) -> bool {
    end.millis() <= now.millis() + INSTANT_TOLERANCE
}

#[cfg(test)]
mod tests {
    //! What counts as a difference.

    use client::{Bytes, Metadata};
    use store::{Expiration, Version};

    use super::*;
    use crate::clocks::tests::synchronous;

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn theirs(version: u64, lifespan: Option<u32>, since: u64) -> SourceEntry {
        let lifespan = lifespan.map(|seconds| client::Lifetime { since, seconds });
        let metadata = Metadata { lifespan, max_idle: None, version };
        let (value, clock) = (Bytes::from_static(b"v"), synchronous(NOW));
        SourceEntry::new(value, &metadata, &clock, Obtained::InWalk, NOW, NOW)
    }

    fn ours(version: u64, lifespan_ms: Option<u64>, since: u64) -> EntryMetadata {
        EntryMetadata {
            version: Version(version),
            created: lifespan_ms.map(|_| Timestamp::from_millis(since)),
            last_used: None,
            expiration: Expiration {
                lifespan: lifespan_ms.map(Lifetime::from_millis),
                max_idle: None,
            },
        }
    }

    #[test]
    fn an_entry_is_the_same_if_all_that_a_client_can_see_of_it_is() {
        let same = |ours: EntryMetadata, value: &[u8], theirs: SourceEntry| {
            difference(&ours, value, &theirs, 0)
        };
        assert_eq!(same(ours(1, None, 0), b"v", theirs(1, None, 0)), None);
        assert_eq!(same(ours(1, None, 0), b"w", theirs(1, None, 0)), Some("value"));
        assert_eq!(same(ours(1, None, 0), b"v", theirs(2, None, 0)), Some("version"));
        assert_eq!(same(ours(1, None, 0), b"v", theirs(1, Some(9), 50_000)), Some("lifespan"));
        let nine = || ours(1, Some(9_400), 50_000);
        assert_eq!(same(nine(), b"v", theirs(1, Some(9), 50_900)), None, "whole seconds");
        assert_eq!(same(nine(), b"v", theirs(1, Some(9), 52_000)), Some("created"));
        let better_known = difference(&nine(), b"v", &theirs(1, Some(9), 52_000), 2_000);
        assert_eq!(better_known, None, "the clock is better known than it was");
    }
}
