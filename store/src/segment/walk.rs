//! A walk over one segment that shows each key once, however its table changes meanwhile.
//!
//! First the hashes of all records are gathered, then the records are looked up by them, each hash
//! once. A table that grows, shrinks or is rearranged while hashes are gathered makes that start over;
//! nothing was shown yet. While records are looked up, it does not matter where they are. So:
//!
//! - An entry that is there all the time is shown: its bucket is looked at while the table stays as it
//!   is, and it is found by its hash.
//! - No key is shown twice: each hash is looked up once, and keys of the same hash are shown together.
//!
//! A cursor holds a bounded number of hashes, whatever the size of the segment. If there are more, it
//! keeps the smallest ones, shows their records, and goes on with the hashes above them.

use std::ops::ControlFlow;

use super::{Segment, Step};
use crate::{cache::BACKGROUND_STEP, entry::EntryRef, time::Timestamp};

/// Place of a walk in one segment.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The smallest hash that was not looked up yet.
    from: u64,
    /// The largest hash that is being gathered or looked up.
    upto: u64,
    stage: Stage,
    /// When the source had been asked for what was overdue. What has become overdue since then is shown.
    settled: Option<Timestamp>,
    /// Gathered in any order, and looked up in falling order from the last one on.
    hashes: Vec<u64>,
}

#[derive(Debug)]
enum Stage {
    Gather(Scan),
    /// All hashes of the range are gathered, and are to be put in order.
    Gathered,
    Show,
}

/// A look at every bucket of a table that stays as it is.
#[derive(Clone, Copy, Debug)]
struct Scan {
    /// Of the table, once the scan has begun.
    generation: Option<u64>,
    bucket: usize,
    /// Buckets that are looked at under one lock. The number doubles whenever the scan starts over, so
    /// that it comes to its end however often that happens.
    buckets: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self { generation: None, bucket: 0, buckets: BACKGROUND_STEP }
    }
}

impl Default for Cursor {
    fn default() -> Self {
        let stage = Stage::Gather(Scan::default());
        Self { from: 0, upto: u64::MAX, stage, settled: None, hashes: Vec::new() }
    }
}

impl Cursor {
    /// Begins another segment, with the memory that it has.
    pub(crate) fn restart(&mut self) {
        self.hashes.clear();
        (self.from, self.upto, self.stage) = (0, u64::MAX, Stage::Gather(Scan::default()));
    }

    /// The source was asked for what was overdue at this time.
    pub(crate) fn settled_at(&mut self, at: Timestamp) {
        self.settled = Some(at);
    }

    /// Bytes that the hashes take.
    pub(crate) fn memory(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// Hashes that there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.hashes.capacity()
    }

    /// Does what the next step needs and takes longer than a segment's lock may be held: puts the
    /// hashes in order, or drops the larger half of them once there are `most`.
    pub(crate) fn prepare(&mut self, most: usize) {
        match self.stage {
            Stage::Gather(_) if self.hashes.len() >= most => {
                let half = (most / 2).max(1);
                let (_, &mut largest, _) = self.hashes.select_nth_unstable(half - 1);
                self.hashes.truncate(half);
                self.upto = largest;
            }
            Stage::Gathered => {
                self.hashes.sort_unstable_by(|one, other| other.cmp(one));
                self.hashes.dedup();
                self.stage = Stage::Show;
            }
            Stage::Gather(_) | Stage::Show => {}
        }
    }

    /// Begins the hashes above those that were looked up. False if there are none.
    fn advance(&mut self) -> bool {
        let Some(from) = self.upto.checked_add(1) else { return false };
        (self.from, self.upto, self.stage) = (from, u64::MAX, Stage::Gather(Scan::default()));
        true
    }
}

impl Segment {
    /// Takes a walk one bounded step on: gathers hashes, of which the cursor then has at most `most`, or
    /// shows living entries. [`Cursor::prepare`] comes before it. Once `visit` has enough, only entries
    /// whose keys have the same hash as the last one follow in this step.
    pub(crate) fn walk(
        &self,
        cursor: &mut Cursor,
        most: usize,
        now: Timestamp,
        visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Step {
        match cursor.stage {
            Stage::Gather(mut scan) => {
                let gathered = self.gather(&mut scan, cursor, most);
                cursor.stage = match gathered {
                    Step::More => Stage::Gather(scan),
                    Step::End => Stage::Gathered,
                };
                if gathered == Step::More || !cursor.hashes.is_empty() {
                    return Step::More;
                }
            }
            Stage::Gathered | Stage::Show => self.show(cursor, now, visit),
        }
        if cursor.hashes.is_empty() && !cursor.advance() { Step::End } else { Step::More }
    }

    fn gather(&self, scan: &mut Scan, cursor: &mut Cursor, most: usize) -> Step {
        if scan.generation != Some(self.generation) {
            let moved = scan.generation.is_some();
            let buckets = if moved { scan.buckets.saturating_mul(2) } else { scan.buckets };
            *scan = Scan { generation: Some(self.generation), bucket: 0, buckets };
            cursor.hashes.clear();
        }
        let end = self.table.num_buckets().min(scan.bucket.saturating_add(scan.buckets));
        while scan.bucket < end && cursor.hashes.len() < most {
            if let Some(record) = self.table.get_bucket(scan.bucket)
                && !record.is_tombstone()
                && let hash = self.hash(record.key())
                && (cursor.from..=cursor.upto).contains(&hash)
            {
                cursor.hashes.push(hash);
            }
            scan.bucket += 1;
        }
        if scan.bucket < self.table.num_buckets() { Step::More } else { Step::End }
    }

    fn show(
        &self,
        cursor: &mut Cursor,
        now: Timestamp,
        mut visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) {
        for _ in 0..BACKGROUND_STEP {
            let Some(hash) = cursor.hashes.pop() else { return };
            let mut enough = ControlFlow::Continue(());
            for record in self.table.iter_hash(hash) {
                let lives_on = |at| !record.is_expired(at) && self.is_overdue(record, now);
                let is_living = !record.is_tombstone()
                    && (!record.is_expired(now) || cursor.settled.is_some_and(lives_on));
                if is_living && self.hash(record.key()) == hash {
                    let entry = visit(record.entry(self.versions));
                    enough = if enough.is_break() { enough } else { entry };
                }
            }
            if enough.is_break() {
                return;
            }
        }
    }
}
