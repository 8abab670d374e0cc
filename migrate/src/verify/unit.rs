//! Compares one unit of the source's segments.
//!
//! A source reads ahead, entries end and change meanwhile, and clocks differ: so the source is asked again for
//! each key that is not here as its walk has shown it. [`Judge`] says what comes of that.

use std::{hash::RandomState, ops::ControlFlow, sync::Arc};

use client::{Bytes, ClientError, Item, Iterate, SegmentSet};
use futures_util::{StreamExt, TryStreamExt, stream};
use media::hash;
use store::{EntryMetadata, SegmentId, SourceSegment, SourceSpace, Timestamp, Walk, WalkStep};
use tokio::sync::SemaphorePermit;

use super::{
    Shared,
    judge::{Judge, Remembered, Verdict},
    met::{Meeting, Met},
    report::VerifyReport,
    unfound::Unfound,
};
use crate::{
    entry::SourceEntry,
    loader::Loaded,
    overlap::overlap,
    read,
    settings::ByteBudget,
    source::{Doubt, PATIENCE, SourceConnection, Walker},
    source_clock::Obtained,
    stored_key::StoredKey,
    sync::Unit,
    throttle::Amount,
};

/// Keys that are remembered at the same time, by all units that are compared together: 80 MB at most.
pub(super) const MOST_KEYS: usize = 2 * 1024 * 1024;

/// Most times that a unit is walked because its keys are too many to be remembered at once.
const MOST_PASSES: u64 = 1 << 16;

/// Entries that are compared together, at most, and about the most bytes.
pub(super) const PAGE: Amount = Amount { entries: 256, bytes: 256 * 1024 };

/// Most entries in one answer of the source.
pub(super) const BATCH: u64 = 1_000;

/// Times that the source is asked for a key that clients keep changing here meanwhile.
const MOST_ASKED: usize = 16;

/// Keys that the source is asked for again at the same time.
const AT_ONCE: usize = 16;

/// Steps of a walk here after which others have their turn.
const STRETCH: u64 = 64;

/// What it takes to compare a unit.
pub(super) struct Comparison {
    pub(super) connection: Arc<SourceConnection>,
    pub(super) walker: Arc<Walker>,
    pub(super) shared: Arc<Shared>,
    pub(super) repair: bool,
    /// Most keys that are remembered.
    pub(super) most_keys: usize,
    /// How the source divides its keys.
    pub(super) space: SourceSpace,
    pub(super) unit: Unit,
}

/// Why a unit was not compared to its end.
pub(super) enum Broken {
    Doubt(Doubt),
    /// The source places its keys in a way of its own: where a key belongs is not known.
    Misplaced,
}

/// Why a pass over a unit was not brought to its end.
enum PassBroken {
    Unit(Broken),
    TooManyKeys,
}

impl From<Doubt> for Broken {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt)
    }
}

impl From<Doubt> for PassBroken {
    fn from(doubt: Doubt) -> Self {
        Self::Unit(doubt.into())
    }
}

/// An entry as the walk has shown it.
struct Shown {
    key: Bytes,
    entry: SourceEntry,
}

/// Entries that the walk has shown and that are not compared yet, with their share of the bytes that all jobs may hold.
#[derive(Default)]
struct Page<'b> {
    entries: Vec<Shown>,
    held: Option<SemaphorePermit<'b>>,
}

impl<'b> Page<'b> {
    /// Holds so many bytes more, if they are free.
    fn try_hold(&mut self, budget: &'b ByteBudget, bytes: usize) -> bool {
        let held = budget.try_hold(bytes);
        held.map(|more| self.merge(more)).is_some()
    }

    fn merge(&mut self, more: SemaphorePermit<'b>) {
        match &mut self.held {
            Some(all) => all.merge(more),
            none => *none = Some(more),
        }
    }
}

/// A key that the source is asked for again.
pub(super) struct Asked {
    pub(super) key: Bytes,
    /// What the walk has shown of it, if it has.
    pub(super) shown: Option<EntryMetadata>,
    /// Bytes that the answer will have, about.
    pub(super) bytes: usize,
}

/// Asks the source for an entry of about `expected` bytes, once the budget has room for them. `None` if it turns out
/// to have more, for which there is no room: `expected` says then how many.
async fn ask_within<'b>(
    budget: &'b ByteBudget,
    expected: &mut usize,
    ask: impl Future<Output = Loaded>,
) -> Option<(Loaded, Option<SemaphorePermit<'b>>)> {
    let mut held = budget.hold(*expected).await;
    let answer = ask.await;
    if let Loaded::Entry(entry) = &answer
        && entry.value().len() > *expected
    {
        // Waiting for the rest while this is held, all who ask could wait for each other.
        let Some(more) = budget.try_hold(entry.value().len() - *expected) else {
            *expected = entry.value().len();
            return None;
        };
        match &mut held {
            Some(all) => all.merge(more),
            none => *none = Some(more),
        }
    }
    Some((answer, held))
}

impl Comparison {
    /// Compares the unit, in as many passes as its keys need.
    pub(super) async fn run(&self) -> Result<(), Broken> {
        let hashers = [RandomState::new(), RandomState::new()];
        let mut passes = self.expected_passes();
        loop {
            self.shared.begin(self.unit.id);
            match self.passes(&hashers, passes).await {
                Ok(()) => break,
                Err(PassBroken::TooManyKeys) if passes < MOST_PASSES => passes *= 2,
                Err(PassBroken::TooManyKeys) => {
                    let text = "the source gives out more and more keys without an end";
                    return Err(Doubt::Another(text.into()).into());
                }
                Err(PassBroken::Unit(broken)) => return Err(broken),
            }
        }
        let segments = self.unit.segments.as_ref().map_or(1, Vec::len);
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        self.note(|report| report.segments_compared += segments);
        Ok(())
    }

    async fn passes(&self, hashers: &[RandomState; 2], passes: u64) -> Result<(), PassBroken> {
        for pass in 0..passes {
            self.pass(Met::new(hashers, pass, passes, self.most_keys.max(1))).await?;
        }
        Ok(())
    }

    /// Passes that the unit will need if the source has as many entries as it said.
    fn expected_passes(&self) -> u64 {
        let entries = self.connection.health().entries.unwrap_or(0);
        let segments = u64::from(self.space.count());
        let of_unit = self.unit.segments.as_ref().map_or(segments, |unit| unit.len() as u64);
        let expected = entries.saturating_mul(of_unit) / segments.max(1);
        // A share is not exactly as large as the others.
        let expected = expected.saturating_add(expected / 8);
        (expected / self.most_keys.max(1) as u64 + 1).min(MOST_PASSES)
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut VerifyReport)) {
        self.shared.note(self.unit.id, note);
    }

    /// Counts what is said of a key.
    fn count(&self, key: &[u8], verdict: Verdict) {
        let config = self.connection.cache().config();
        let key = StoredKey::of(key, config.encoding.key.as_ref());
        self.note(|report| report.count(key, verdict));
    }

    fn now(&self) -> Timestamp {
        self.connection.agreement().clock().now()
    }

    fn segments(&self) -> Option<SegmentSet> {
        let segments = self.unit.segments.as_ref();
        segments.map(|segments| segments.iter().map(|segment| segment.0).collect())
    }

    /// Walks over the unit at the source, then over what was brought in of it.
    async fn pass(&self, mut met: Met) -> Result<(), PassBroken> {
        let connection = &self.connection;
        let segments = self.segments();
        let server = segments.as_ref().and_then(|_| read::server(connection, &self.unit));
        let hearing = connection.hearing(&self.walker, server.clone(), None);
        let silent = |error: ClientError| Doubt::Silent(hearing.failed(&error));
        let iterate = Iterate {
            server,
            segments: segments.clone(),
            batch: self.shared.throttle.batch(BATCH, None),
            with_metadata: true,
            keys_only: false,
        };
        let remote = connection.remote().with_timeout(PATIENCE);
        let asked = self.now();
        let mut iteration = hearing.wait(remote.iterate(iterate)).await.map_err(silent)?;
        connection.check_iteration(&mut iteration).await?;
        let clock = connection.clocks().of(iteration.server());
        let mut left = segments.unwrap_or_default();
        let budget = &connection.settings().buffer;
        let throttle = &self.shared.throttle;
        let (mut page, mut read) = (Page::default(), Amount::default());
        let mut unfound = Vec::new();
        let mut most = throttle.page(PAGE);
        let mut turn = throttle.any_turn(most).await;
        while let Some(item) = hearing.next(&mut iteration).await.map_err(silent)? {
            let is_end_of_batch = matches!(item, Item::Finished(_));
            match item {
                Item::Entry { key, value, metadata } => {
                    if !self.is_of_unit(&key) {
                        return Err(PassBroken::Unit(Broken::Misplaced));
                    }
                    let size = key.len() + value.len();
                    read += Amount { entries: 1, bytes: size as u64 };
                    match met.meet(&key) {
                        Meeting::New => {
                            if !page.try_hold(budget, size) {
                                // What this reader holds comes first, or all readers could wait for each other.
                                let more = self.compare_page(&mut page).await?;
                                self.keep_unfound(&mut unfound, more);
                                page.held = budget.hold(size).await;
                            }
                            let metadata = metadata.unwrap_or_default();
                            let (walked, now) = (Obtained::InWalk, self.now());
                            let entry =
                                SourceEntry::new(value, &metadata, &clock, walked, asked, now);
                            page.entries.push(Shown { key, entry });
                        }
                        Meeting::Again | Meeting::OfAnotherPass => {}
                        Meeting::TooMany => return Err(PassBroken::TooManyKeys),
                    }
                }
                Item::Finished(finished) => {
                    left = left.iter().filter(|segment| !finished.contains(*segment)).collect();
                }
            }
            if read.fills(most) || (is_end_of_batch && read.entries > 0) {
                let more = self.compare_page(&mut page).await?;
                self.keep_unfound(&mut unfound, more);
                turn.took(std::mem::take(&mut read));
                most = throttle.page(PAGE);
                turn = throttle.any_turn(most).await;
            }
        }
        drop(turn);
        if left.iter().next().is_some() {
            let early = "the source ended an iteration without all of its segments";
            return Err(Doubt::Silent(early.into()).into());
        }
        connection.confirm_iteration(&mut iteration).await?;
        let _ = iteration.end().await;
        self.look_again(unfound).await?;
        self.compare_others(&met).await?;
        // A cache that was removed meanwhile has no entry, and says so of each.
        Ok(connection.check_identity().await?)
    }

    /// Returns whether a key belongs to this unit. One in another segment than its own would be compared by nobody, or twice.
    fn is_of_unit(&self, key: &[u8]) -> bool {
        match (&self.unit.segments, self.space) {
            (Some(segments), SourceSpace::Segments(_)) => {
                segments.contains(&self.space.segment_of(hash::hash(key)))
            }
            (None, _) | (_, SourceSpace::Unit) => true,
        }
    }

    /// Compares what the walk has shown. Returns what the source has not found by key.
    async fn compare_page(&self, page: &mut Page<'_>) -> Result<Vec<Unfound>, Doubt> {
        let mut doubtful = Vec::new();
        for Shown { key, entry } in page.entries.drain(..) {
            match self.judge().shown(&key, &entry) {
                Some(verdict) => self.count(&key, verdict),
                None => {
                    let (shown, bytes) = (Some(*entry.metadata()), entry.value().len());
                    doubtful.push(Asked { key, shown, bytes });
                }
            }
        }
        page.held = None;
        let unfound = self.ask_again(doubtful).await?;
        tokio::task::yield_now().await;
        Ok(unfound)
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            cache: self.connection.cache(),
            clocks: self.connection.clocks(),
            connection: self.connection.id(),
            since: self.connection.since(),
            repair: self.repair,
            max_key: self.connection.settings().max_key,
            now: self.now(),
        }
    }

    /// Asks the source again for keys that are not here as the walk has shown them, or that it has not shown. Returns
    /// those that it has shown and does not find, although they cannot have ended by themselves: they are not counted.
    pub(super) async fn ask_again(&self, keys: Vec<Asked>) -> Result<Vec<Unfound>, Doubt> {
        let asked = keys.into_iter().map(|Asked { key, shown, bytes }| async move {
            let unfound = self.ask_for(&key, shown, bytes).await?;
            Ok(unfound.map(|shown| (key, shown)))
        });
        let asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        asked.try_filter_map(|unfound| async move { Ok(unfound) }).try_collect().await
    }

    /// Asks the source for a key, and counts what comes of it. Returns what a walk has shown of the key if the source
    /// does not find it, and it cannot have ended by itself: that is not counted.
    async fn ask_for(
        &self,
        key: &[u8],
        shown: Option<EntryMetadata>,
        mut expected: usize,
    ) -> Result<Option<EntryMetadata>, Doubt> {
        let budget = &self.connection.settings().buffer;
        for _ in 0..MOST_ASKED {
            let asked = ask_within(budget, &mut expected, self.connection.ask(key)).await;
            let Some((answer, _held)) = asked else { continue };
            match answer {
                // Judged before the report is held: whoever reads it may hold what is asked here.
                Loaded::Entry(theirs) => {
                    if let Some(verdict) = self.judge().given(key, &theirs, || self.remembered()) {
                        self.count(key, verdict);
                        return Ok(None);
                    }
                }
                Loaded::Absent => {
                    let judge = self.judge();
                    let verdict = judge.absent(key, shown.is_some());
                    if verdict == Some(Verdict::Expired)
                        && let Some(shown) = shown.filter(|shown| !judge.should_have_ended(shown))
                    {
                        return Ok(Some(shown));
                    }
                    if let Some(verdict) = verdict {
                        self.count(key, verdict);
                    }
                    return Ok(None);
                }
                Loaded::Failed(text) => return Err(Doubt::Silent(text.to_string())),
                Loaded::Silent => {
                    return Err(match self.connection.changed() {
                        Some(reason) => Doubt::Another(reason),
                        None => Doubt::Silent(
                            "the source did not answer when it was asked again".into(),
                        ),
                    });
                }
            }
        }
        Err(Doubt::Silent("an entry changes whenever it is compared".into()))
    }

    fn remembered(&self) -> Remembered {
        let name = self.connection.cache().name().as_str();
        self.connection.agreement().see(|metadata| {
            let connection = metadata.cache(name).and_then(|known| known.connection.as_ref());
            Remembered {
                cleared: connection.filter(|it| it.cleared).map(|_| self.connection.cleared_at()),
                forgets: connection.is_some_and(|connection| connection.forgets),
            }
        })
    }

    /// The segments here that have keys of the unit.
    fn own_segments(&self) -> Vec<SegmentId> {
        let (ours, theirs) = (self.connection.cache().segment_count(), self.space.count());
        let overlaps = |id: &SegmentId| {
            self.unit.segments.as_ref().is_none_or(|segments| {
                let shares = |segment: &SourceSegment| overlap((id.0, ours), (segment.0, theirs));
                segments.iter().any(shares)
            })
        };
        self.connection.cache().segment_ids().filter(overlaps).collect()
    }

    /// Looks at entries that were brought in and that the walk has not shown. The source is asked for each,
    /// a page at a time.
    async fn compare_others(&self, met: &Met) -> Result<(), Doubt> {
        let cache = self.connection.cache();
        let mut walk = Walk::new(Arc::clone(cache), self.own_segments());
        let (mut others, mut bytes) = (Vec::new(), 0);
        for step in 1_u64.. {
            let walked = walk.step(self.now(), |entry| {
                let imported = entry.origin() == store::Origin::Imported;
                if imported && met.misses(entry.key()) && self.is_of_unit(entry.key()) {
                    let (key, expected) = (entry.key(), entry.value().bytes().len());
                    let key = Bytes::copy_from_slice(key);
                    others.push(Asked { key, shown: None, bytes: expected });
                    bytes += entry.key().len();
                }
                // Keys may be long.
                match bytes as u64 >= PAGE.bytes {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            let walked = walked.map_err(|error| Doubt::Another(error.to_string()))?;
            let is_full = others.len() as u64 >= PAGE.entries || bytes as u64 >= PAGE.bytes;
            if is_full || walked == WalkStep::End {
                // Of what the walk has not shown, nothing is unfound.
                self.ask_again(std::mem::take(&mut others)).await?;
                bytes = 0;
            }
            if walked == WalkStep::End {
                return Ok(());
            }
            if step % STRETCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! How much of what the source answers is held at the same time.

    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use client::Metadata;
    use futures_util::future::join_all;

    use super::*;
    use crate::clocks::tests::synchronous;

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn entry(bytes: usize) -> Loaded {
        let (value, clock) = (Bytes::from(vec![7; bytes]), synchronous(NOW));
        let metadata = Metadata::default();
        Loaded::Entry(SourceEntry::new(value, &metadata, &clock, Obtained::ByKey, NOW, NOW).into())
    }

    #[tokio::test(start_paused = true)]
    async fn the_source_is_asked_for_no_more_than_the_budget_has_room_for() {
        let budget = ByteBudget::new(25);
        let (asking, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || async {
            let mut expected = 10;
            let answer = async {
                most.fetch_max(asking.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
                asking.fetch_sub(1, Ordering::Relaxed);
                entry(10)
            };
            assert!(ask_within(&budget, &mut expected, answer).await.is_some());
        };
        join_all((0..16).map(|_| ask())).await;
        assert_eq!((most.load(Ordering::Relaxed), budget.held()), (2, 0));
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_expected_is_asked_for_again_with_room_for_it() {
        let budget = ByteBudget::new(25);
        let other = budget.hold(10).await;
        let mut expected = 10;
        let (_, held) = ask_within(&budget, &mut expected, async { entry(15) }).await.unwrap();
        assert_eq!((budget.held(), expected), (25, 10));
        drop(held);
        assert!(ask_within(&budget, &mut expected, async { entry(100) }).await.is_none());
        assert_eq!((budget.held(), expected), (10, 100));
        drop(other);
        // One may be larger than all of the budget.
        let (_, held) = ask_within(&budget, &mut expected, async { entry(100) }).await.unwrap();
        assert_eq!(budget.held(), 25);
        drop(held);
    }
}
