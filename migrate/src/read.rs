//! Reads one unit from the source and brings its entries in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use client::{ClientError, Item, Iterate, SegmentSet};
use futures_util::future::join_all;
use media::hash;
use store::{
    Import, ImportRule, Imported, Lifetime, SourceSegment, SourceSpace, Standing, Timestamp,
};
use tokio::sync::SemaphorePermit;

use crate::{
    clocks::ServerClock,
    counts::Counts,
    entry::SourceEntry,
    job::{Shared, Teller},
    loader::Loaded,
    settings::{ByteBudget, check_key},
    source::{Doubt, PATIENCE, SourceConnection, Walker},
    source_clock::Obtained,
    stored_key::StoredKey,
    sync::{Event, Unit},
    tally::Tally,
    throttle::{Amount, Turn},
};

/// Entries that are brought in together, at most, and about the most bytes.
const PAGE: Amount = Amount { entries: 256, bytes: 256 * 1024 };

/// Keys that the source is asked for at the same time.
const AT_ONCE: usize = 16;

/// Time for which segments that the source has given out wait, at least, until it is seen to be still the same. The source
/// can be asked who it is only between two answers, whose length [`Shared::next_batch`] bounds.
const CONFIRM: Lifetime = Lifetime::from_millis(1_000);

/// What it takes to read a unit.
pub(crate) struct Reading {
    pub(crate) connection: Arc<SourceConnection>,
    pub(crate) walker: Arc<Walker>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) teller: Teller,
    pub(crate) unit: Unit,
}

/// Reads a unit, and tells the job what came of it.
pub(crate) async fn read(mut reading: Reading) {
    let unit = reading.unit.id;
    let segments = leave_out_complete(&mut reading);
    if !segments.is_empty() {
        reading.teller.tell(Event::CompleteAlready { unit, segments }).await;
    }
    let event = match read_unit(&reading).await {
        Ok(failed) => Event::UnitRead { unit, failed },
        Err(Broken::Changed(reason)) => Event::SourceChanged { reason },
        Err(Broken::Lost(reason)) => Event::Lost { unit, reason },
    };
    reading.teller.tell(event).await;
}

/// Leaves out the segments that other jobs have completed since the unit was planned, and returns them. If one of
/// their keys is met all the same, the source has it in another segment.
fn leave_out_complete(reading: &mut Reading) -> Vec<SourceSegment> {
    let (Some(link), Some(segments)) = (reading.connection.link(), &mut reading.unit.segments)
    else {
        return Vec::new();
    };
    if link.space != reading.shared.space() || link.space == SourceSpace::Unit {
        return Vec::new();
    }
    // The ledger hears of a segment just after it is complete. Until then, nobody else counts its entries.
    let ledger = reading.connection.ledger().lock();
    let is_complete = |segment: &mut SourceSegment| {
        link.complete.contains(*segment) && ledger.is_complete(segment.0)
    };
    segments.extract_if(.., is_complete).collect()
}

/// Why a unit was not read to its end.
enum Broken {
    Lost(String),
    Changed(String),
}

impl From<Doubt> for Broken {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::Silent(reason) => Self::Lost(reason),
            Doubt::Another(reason) => Self::Changed(reason),
        }
    }
}

/// Reads a unit. Returns the number of entries that could not be taken.
async fn read_unit(reading: &Reading) -> Result<u64, Broken> {
    let Reading { connection, shared, unit, .. } = reading;
    if let Some(reason) = connection.changed() {
        return Err(Broken::Changed(reason));
    }
    if unit.segments.as_ref().is_some_and(Vec::is_empty) {
        return Ok(0);
    }
    let segments = unit
        .segments
        .as_ref()
        .map(|segments| segments.iter().map(|segment| segment.0).collect::<SegmentSet>());
    let server = segments.as_ref().and_then(|_| server(connection, unit));
    let working = shared.waits.work();
    let hearing = connection.hearing(&reading.walker, server.clone(), Some(&working));
    let lost = |error: ClientError| Broken::Lost(hearing.failed(&error));
    let batch = shared.next_batch();
    let iterate = Iterate { server, segments, batch, with_metadata: true, keys_only: false };
    let remote = connection.remote().with_timeout(PATIENCE);
    let asked = connection.agreement().clock().now();
    let mut iteration = hearing.wait(remote.iterate(iterate)).await.map_err(lost)?;
    // Only after the connection is there: it leads to the process that is asked now, or breaks. Over a new one, the
    // right instants to ask may have to be waited for.
    let is_known = iteration.is_known();
    let check = connection.check_iteration(&mut iteration);
    if is_known {
        hearing.wait(check).await?;
    } else {
        check.await?;
    }
    let clock = connection.clocks().of(iteration.server());
    let mut page = Page::new(reading, clock, asked, batch);
    let mut confirmed = asked;
    let mut is_between_answers = true;
    loop {
        while !page.may_go_on().await {
            // What the source has given out so far is not read again, however long the pause is.
            if is_between_answers && page.has_untold() {
                hearing.wait(connection.confirm_iteration(&mut iteration)).await?;
                page.tell_finished().await;
            }
            shared.throttle.released().await;
        }
        let item = hearing.next(&mut iteration).await.map_err(lost)?;
        is_between_answers = matches!(item, Some(Item::Finished(_)));
        match item {
            Some(Item::Entry { key, value, metadata }) => {
                page.add(key, value, &metadata.unwrap_or_default()).await;
            }
            Some(Item::Finished(finished)) => {
                page.apply().await;
                page.finish(&finished);
                let now = connection.agreement().clock().now();
                if now > confirmed.after(CONFIRM) {
                    hearing.wait(connection.confirm_iteration(&mut iteration)).await?;
                    page.tell_finished().await;
                    confirmed = now;
                }
            }
            None => break,
        }
    }
    page.apply().await;
    page.end();
    hearing.wait(connection.confirm_iteration(&mut iteration)).await?;
    page.tell_finished().await;
    // The end is as good as it was heard of; that the server forgets the walk can fail.
    let _ = iteration.end().await;
    Ok(page.failed_in(None))
}

/// The server that owns the segments of a unit.
pub(crate) fn server(connection: &SourceConnection, unit: &Unit) -> Option<client::ServerAddress> {
    connection.remote().topology()?.servers.get(unit.server).cloned()
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

/// Does something that takes so many bytes each, for every one of `sizes`: as many at the same time as the budget has
/// room for, but no more than [`AT_ONCE`]. Where it has no room, one at a time: who waited for more while holding some
/// could wait for others who do the same. `done` gets what came of each, with its room.
async fn each_in_room<'b, T, F: Future<Output = T>>(
    budget: &'b ByteBudget,
    sizes: &[usize],
    work: impl Fn(usize) -> F,
    mut done: impl FnMut(usize, T, Option<SemaphorePermit<'b>>) -> Next,
) {
    let mut left = sizes.iter().copied().enumerate().peekable();
    let mut next = Next::GoOn;
    while next == Next::GoOn && left.peek().is_some() {
        let mut begun = Vec::new();
        while begun.len() < AT_ONCE
            && let Some((place, size)) = left.peek().copied()
        {
            let room = budget.try_hold(size);
            if room.is_none() && !begun.is_empty() {
                break;
            }
            left.next();
            let has_room = room.is_some();
            begun.push((place, room));
            if !has_room {
                break;
            }
        }
        let results = join_all(begun.iter().map(|(place, _)| work(*place))).await;
        for ((place, room), result) in begun.into_iter().zip(results) {
            if done(place, result, room) == Next::Stop {
                next = Next::Stop;
            }
        }
    }
}

/// Room for so many bytes: a part of what is held, or that and what is free; `None` if that is not enough.
fn room_for<'b>(
    budget: &'b ByteBudget,
    held: Option<SemaphorePermit<'b>>,
    bytes: usize,
) -> Option<SemaphorePermit<'b>> {
    let Some(mut held) = held else { return budget.try_hold(bytes) };
    let more = bytes.saturating_sub(held.num_permits());
    held.merge(budget.try_hold(more)?);
    // The rest is free again.
    let beyond = held.num_permits().saturating_sub(bytes);
    drop(held.split(beyond));
    Some(held)
}

/// Entries that were read and are not brought in yet.
struct Page<'r> {
    reading: &'r Reading,
    /// The clock of the server that is read.
    clock: Arc<ServerClock>,
    /// When the walk began.
    asked: Timestamp,
    entries: Vec<(client::Bytes, SourceEntry)>,
    bytes: usize,
    held: Option<SemaphorePermit<'r>>,
    /// Entries in an answer of the source.
    batch: u32,
    /// What this page may have, and leave to read it.
    turn: Option<(Amount, Turn<'r>)>,
    /// What became of the entries, in this reading.
    tally: Tally,
    /// Segments that are finished.
    finished: BTreeSet<u32>,
    /// Those of them that the job has not heard of: see [`SourceConnection::confirm_iteration`].
    untold: Vec<u32>,
    /// Those that it has heard of.
    told: BTreeSet<u32>,
    misplaced: bool,
}

impl<'r> Page<'r> {
    fn new(reading: &'r Reading, clock: Arc<ServerClock>, asked: Timestamp, batch: u32) -> Self {
        Self {
            reading,
            clock,
            asked,
            entries: Vec::new(),
            bytes: 0,
            held: None,
            batch,
            turn: None,
            tally: Tally::new(reading.connection.cache().memory_limit()),
            finished: BTreeSet::new(),
            untold: Vec::new(),
            told: BTreeSet::new(),
            misplaced: false,
        }
    }

    /// Waits until the source may be asked for more. False while the job is paused.
    async fn may_go_on(&mut self) -> bool {
        if self.turn.is_none() {
            let shared = &self.reading.shared;
            let page = shared.throttle.page(PAGE);
            let turn = shared.throttle.turn(shared.expected(page, self.batch)).await;
            self.turn = turn.map(|turn| (page, turn));
        }
        self.turn.is_some()
    }

    fn is_full(&self) -> bool {
        let most = self.turn.as_ref().map_or(PAGE, |(most, _)| *most);
        Amount { entries: self.entries.len() as u64, bytes: self.bytes as u64 }.fills(most)
    }

    async fn add(&mut self, key: client::Bytes, value: client::Bytes, metadata: &client::Metadata) {
        let connection = &self.reading.connection;
        let size = key.len() + value.len();
        let held = match connection.settings().buffer.try_hold(size) {
            Some(held) => Some(held),
            None => {
                // What this reader holds comes first, or all readers could wait for each other.
                self.apply().await;
                connection.settings().buffer.hold(size).await
            }
        };
        match (&mut self.held, held) {
            (Some(all), Some(more)) => all.merge(more),
            (none, more) => *none = more,
        }
        let now = connection.agreement().clock().now();
        let (clock, walked) = (&self.clock, Obtained::InWalk);
        let entry = SourceEntry::new(value, metadata, clock, walked, self.asked, now);
        self.entries.push((key, entry));
        self.bytes += size;
        // What the buffer had no room for is not held while it waits for the next turn.
        if self.is_full() || self.turn.is_none() {
            self.apply().await;
        }
    }

    /// Asks the source by key for those held entries whose time is over here. The walk shows them, so they may well
    /// be alive, whatever the clocks say; only what the source does not have either has expired. Returns which of them
    /// have. Where the source says nothing, or gives so much more that there is no room for it, they come in as they are,
    /// and it is asked again before they end.
    async fn ask_for_overdue(&mut self) -> BTreeSet<usize> {
        let connection = &self.reading.connection;
        let (cache, clock) = (connection.cache(), connection.agreement().clock());
        let now = clock.now();
        let is_over = |(key, entry): &(client::Bytes, SourceEntry)| {
            entry.metadata().ends().is_some_and(|end| end <= now)
                && cache.inspect(key, now, |standing| matches!(standing, Standing::Unknown))
        };
        let entries = self.entries.iter().enumerate();
        let overdue: Vec<(usize, client::Bytes, usize)> = entries
            .filter(|(_, entry)| is_over(entry))
            .map(|(index, (key, entry))| (index, key.clone(), entry.value().len()))
            .collect();
        let sizes: Vec<usize> = overdue.iter().map(|(_, _, size)| *size).collect();
        let (patience, budget) =
            (connection.settings().source_timeout, &connection.settings().buffer);
        let mut expired = BTreeSet::new();
        let ask = |place: usize| {
            let key = overdue.get(place).map(|(_, key, _)| key.clone()).unwrap_or_default();
            async move { tokio::time::timeout(patience, connection.ask(&key)).await }
        };
        let (entries, held) = (&mut self.entries, &mut self.held);
        each_in_room(budget, &sizes, ask, |place, answer, room| {
            let Some((index, _, size)) = overdue.get(place) else { return Next::Stop };
            match answer {
                Ok(Loaded::Entry(alive)) => {
                    // As large as it was, it has the room of what the walk has shown.
                    let more = alive.value().len().saturating_sub(*size);
                    if let Some((_, entry)) = entries.get_mut(*index)
                        && let Some(more) = room_for(budget, room, more)
                    {
                        *entry = SourceEntry::clone(&alive);
                        match held.as_mut() {
                            Some(all) => all.merge(more),
                            None => *held = Some(more),
                        }
                    }
                    Next::GoOn
                }
                Ok(Loaded::Absent) => {
                    expired.insert(*index);
                    Next::GoOn
                }
                Ok(Loaded::Failed(_)) => Next::GoOn,
                Ok(Loaded::Silent) | Err(_) => Next::Stop,
            }
        })
        .await;
        expired
    }

    /// Brings in what is held.
    async fn apply(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let expired = self.ask_for_overdue().await;
        let Reading { connection, shared, teller, unit, .. } = self.reading;
        let space = shared.space();
        let entries: Vec<(&[u8], Imported<'_>)> =
            self.entries.iter().map(|(key, entry)| (&key[..], entry.imported())).collect();
        let segment_of = |key: &[u8]| space.segment_of(hash::hash(key));
        if let Some(segments) = &unit.segments
            && matches!(space, SourceSpace::Segments(_))
            && !self.misplaced
        {
            let cache = connection.cache();
            let now = connection.agreement().clock().now();
            self.misplaced = entries.iter().any(|(key, _)| {
                let segment = segment_of(key);
                let is_late = || {
                    // Of a segment that counts as complete: unless it is known, it would be left out.
                    cache.inspect(key, now, |standing| matches!(standing, Standing::Unknown))
                };
                !segments.contains(&segment) || (self.told.contains(&segment.0) && is_late())
            });
            if self.misplaced {
                // The job stops its readers and begins anew: what is held comes again.
                teller.tell(Event::Misplaced).await;
            }
        }
        if self.misplaced {
            return self.drop_held();
        }
        let now = connection.agreement().clock().now();
        let over = connection.id();
        let max = connection.settings().max_key;
        let tally = &mut self.tally;
        let mut count = |key: &[u8], import: &Import| tally.count(segment_of(key).0, key, import);
        let mut refused = Vec::new();
        let mut ended = Vec::new();
        let mut living = Vec::with_capacity(entries.len());
        for (index, (key, imported)) in entries.iter().enumerate() {
            if expired.contains(&index) {
                ended.push(*key);
            } else if let Err(error) = check_key(connection.cache(), key, max) {
                // Clients could neither read nor remove it.
                count(key, &Import::Failed(error.clone()));
                refused.push((*key, error));
            } else {
                living.push((*key, *imported));
            }
        }
        let entries = living;
        connection.cache().import(&entries, ImportRule::Copy, over, now, |index, import| {
            let Some((key, _)) = entries.get(index) else { return };
            count(key, &import);
            // Noted below: the segment is locked here.
            if let Import::Failed(error) = import {
                refused.push((*key, error));
            }
        });
        let config = connection.cache().config();
        for (key, error) in refused {
            let key_type = config.encoding.key.as_ref();
            shared.fail(segment_of(key).0, StoredKey::of(key, key_type), &error);
        }
        for key in ended {
            tally.count_expired(segment_of(key).0, key);
        }
        let by_segment = tally.take();
        let mut counts = Counts::default();
        by_segment.values().for_each(|of_segment| counts += *of_segment);
        shared.count(unit.id, counts, &by_segment);
        use std::sync::atomic::Ordering::Relaxed;
        // With those that were shown before: they take time and bytes, too.
        let (shown, bytes) = (self.entries.len() as u64, self.bytes as u64);
        shared.entries_read.fetch_add(shown, Relaxed);
        shared.bytes_read.fetch_add(bytes, Relaxed);
        drop(entries);
        let taken = Amount { entries: shown, bytes };
        match self.turn.take() {
            Some((_, turn)) => turn.took(taken),
            None => shared.throttle.took(taken),
        }
        // Other readers need the memory while this one waits for its next turn.
        self.drop_held();
    }

    fn drop_held(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.held = None;
    }

    /// Entries of this segment, or of all, that could not be taken. Where keys are in a way of their own,
    /// an entry may be of any segment.
    fn failed_in(&self, segment: Option<u32>) -> u64 {
        let by_segment = matches!(self.reading.shared.space(), SourceSpace::Segments(_));
        self.tally.failed_in(segment.filter(|_| by_segment))
    }

    /// Notes what was met of segments that are finished: of each, or of all together if the source is one unit.
    fn note(&mut self, finished: &[u32]) {
        let shared = &self.reading.shared;
        let mut readings = BTreeMap::new();
        if matches!(shared.space(), SourceSpace::Segments(_)) {
            for segment in finished {
                readings.insert(*segment, self.tally.finish(*segment));
            }
        } else if let Some(first) = finished.first() {
            readings.insert(*first, self.tally.finish_all());
        }
        shared.note_reading(finished, &readings);
    }

    /// The iteration is at its end. A source that does not say which segments it has may name some of them as
    /// finished all the same: whatever was in none of those is noted apart, under a number that none has.
    fn end(&mut self) {
        if self.reading.unit.segments.is_none() {
            self.note(&[u32::MAX]);
        }
    }

    /// The source has given out all of these segments, and all of it is brought in.
    fn finish(&mut self, finished: &SegmentSet) {
        let first_time = finished.iter().filter(|segment| self.finished.insert(*segment));
        let first_time: Vec<u32> = first_time.collect();
        self.note(&first_time);
        self.untold.extend(first_time);
    }

    /// Returns whether there are finished segments that the job has not heard of.
    fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Tells the job of all segments that are finished, once the source was seen to be still the same.
    async fn tell_finished(&mut self) {
        let Reading { teller, unit, .. } = self.reading;
        for segment in std::mem::take(&mut self.untold) {
            self.told.insert(segment);
            let failed = self.failed_in(Some(segment));
            let segment = SourceSegment(segment);
            teller.tell(Event::SegmentRead { unit: unit.id, segment, failed }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    //! How much is asked for at the same time.

    use std::{
        cell::{Cell, RefCell},
        time::Duration,
    };

    use super::*;

    /// Most that were asked for together, and in which order they were done.
    async fn asked(budget: &ByteBudget, sizes: &[usize], stop_at: usize) -> (usize, Vec<usize>) {
        let (asking, most, done) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
        let ask = |_| async {
            asking.set(asking.get() + 1);
            most.set(most.get().max(asking.get()));
            tokio::time::sleep(Duration::from_millis(5)).await;
            asking.set(asking.get() - 1);
        };
        each_in_room(budget, sizes, ask, |place, (), _room| {
            done.borrow_mut().push(place);
            if place == stop_at { Next::Stop } else { Next::GoOn }
        })
        .await;
        (most.get(), done.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn the_copy_asks_for_no_more_than_the_budget_has_room_for() {
        let budget = ByteBudget::new(25);
        let all = |count| (0..count).collect::<Vec<_>>();
        assert_eq!(asked(&budget, &[10; 7], 99).await, (2, all(7)));
        assert_eq!(asked(&budget, &[1; 40], 99).await, (AT_ONCE, all(40)));
        assert_eq!(asked(&budget, &[0; 40], 99).await, (AT_ONCE, all(40)));
        assert_eq!(asked(&budget, &[10; 7], 2).await, (2, all(4)), "the source says nothing");
        let others = budget.hold(20).await;
        assert_eq!(asked(&budget, &[10; 3], 99).await, (1, all(3)), "one by one");
        drop(others);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_expected_takes_room_that_is_free_or_none() {
        let budget = ByteBudget::new(25);
        let held =
            |room: &Option<SemaphorePermit<'_>>| room.as_ref().map(SemaphorePermit::num_permits);
        let room = room_for(&budget, budget.try_hold(10), 4);
        assert_eq!((held(&room), budget.held()), (Some(4), 4), "the rest is free again");
        let more = room_for(&budget, budget.try_hold(10), 21);
        assert_eq!((held(&more), budget.held()), (Some(21), 25));
        assert!(room_for(&budget, None, 1).is_none());
        drop((room, more));
        assert!(room_for(&budget, budget.try_hold(10), 26).is_none());
        assert_eq!(held(&room_for(&budget, None, 5)), Some(5));
        assert_eq!(budget.held(), 0);
    }
}
