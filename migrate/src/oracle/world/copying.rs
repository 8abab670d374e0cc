//! A synchronization, driven step by step.

use std::collections::{BTreeMap, VecDeque};

use cluster::MetaCommand;
use rand::Rng;
use store::{Import, ImportRule, Imported, SegmentId, SourceSegment, SourceSpace, Timestamp};

use super::{
    super::{
        model::KEYS,
        source::{SEGMENTS, SERVERS, key, placement},
    },
    World,
};
use crate::{
    counts::Counts,
    entry::SourceEntry,
    source_clock::Obtained,
    sync::{Action, Ending, Event, SyncJob, SyncSettings, Unit, UnitId},
};

/// A running synchronization.
pub(super) struct Copy {
    pub(super) job: SyncJob,
    pub(super) readings: BTreeMap<UnitId, UnitReading>,
    pub(super) waits: Vec<UnitId>,
    pub(super) to_complete: VecDeque<(SourceSpace, Vec<SourceSegment>)>,
    pub(super) counts: Counts,
    /// Whether everything was here when it began.
    pub(super) repeats: bool,
}

/// The iteration of one unit.
pub(super) struct UnitReading {
    pub(super) unit: Unit,
    pub(super) ahead: VecDeque<u32>,
    /// Keys of the segment that is read which are still to come; `None` before it is begun.
    pub(super) keys: Option<VecDeque<usize>>,
    pub(super) page: Vec<(usize, SourceEntry)>,
    pub(super) failed: BTreeMap<u32, u64>,
}

impl World {
    pub(super) fn synchronize(&mut self) -> Result<(), String> {
        if self.connection().is_none() || self.target.cache.check_served().is_err() {
            return Ok(());
        }
        if !self.believes() {
            return Ok(());
        }
        let link = self.target.cache.segment(SegmentId(0)).link().cloned();
        let Some(link) = link else { return Ok(()) };
        let Some(live) = &mut self.target.live else { return Ok(()) };
        if live.job.is_some() {
            return Ok(());
        }
        let owners: Vec<usize> = (0..SEGMENTS as usize).map(|segment| segment % SERVERS).collect();
        let settings = SyncSettings { units: 2, units_per_server: 1 };
        let (job, actions) = SyncJob::start(link.space, &link.complete, &owners, settings);
        live.job = Some(Copy {
            job,
            readings: BTreeMap::new(),
            waits: Vec::new(),
            to_complete: VecDeque::new(),
            counts: Counts::default(),
            repeats: link.is_complete(),
        });
        self.note("synchronize");
        self.follow_job(actions)
    }

    pub(super) fn tell_job(&mut self) -> Result<(), String> {
        let event = match self.random.random_range(0..5) {
            0 => Event::Pause,
            1 | 2 => Event::Resume,
            3 => Event::PauseIsLong,
            _ => Event::Cancel,
        };
        self.on(event)
    }

    pub(super) fn on(&mut self, event: Event) -> Result<(), String> {
        let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) else {
            return Ok(());
        };
        let actions = copy.job.on(event);
        self.follow_job(actions)
    }

    pub(super) fn follow_job(&mut self, actions: Vec<Action>) -> Result<(), String> {
        for action in actions {
            let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) else {
                return Ok(());
            };
            match action {
                Action::Read(unit) => {
                    let all = || (0..SEGMENTS).collect();
                    let ahead = unit.segments.as_ref().map_or_else(all, |segments| {
                        segments.iter().map(|segment| segment.0).collect()
                    });
                    let (keys, page, failed) = (None, Vec::new(), BTreeMap::new());
                    let id = unit.id;
                    let reading = UnitReading { unit, ahead, keys, page, failed };
                    copy.readings.insert(id, reading);
                }
                Action::Complete(segments) => {
                    copy.to_complete.push_back((copy.job.space(), segments));
                }
                Action::BecomeUnit => {
                    copy.to_complete.clear();
                    let forgotten = self.target.cache.has_forgotten();
                    self.note("the source is one unit");
                    self.propose(MetaCommand::BecomeUnit { cache: self.target.name.clone() })?;
                    if forgotten {
                        return self.end_job(&Ending::Cancelled);
                    }
                }
                Action::Wait { unit, .. } => copy.waits.push(unit),
                // Readers go on to the end of their pages, however long that takes them.
                Action::Hold | Action::GoOn => {}
                Action::Stop => {
                    copy.readings.clear();
                    copy.waits.clear();
                }
                Action::End(ending) => return self.end_job(&ending),
            }
        }
        Ok(())
    }

    pub(super) fn end_job(&mut self, ending: &Ending) -> Result<(), String> {
        self.complete_all_pending()?;
        let job = self.target.live.as_mut().and_then(|live| live.job.take());
        let Some(copy) = job else { return Ok(()) };
        self.note(format!("the job ends as {ending:?}: {:?}", copy.counts));
        if !copy.counts.add_up() {
            return Err(format!("the counts do not add up: {:?}", copy.counts));
        }
        if copy.repeats && copy.counts.written > 0 {
            return Err(format!("a repeated job writes {} entries", copy.counts.written));
        }
        if *ending == Ending::Finished {
            self.tally.finished += 1;
            let (cache, imported) = (self.target.name.clone(), copy.counts.written);
            self.propose(MetaCommand::Finish { cache, imported })?;
        }
        Ok(())
    }

    pub(super) fn complete_all_pending(&mut self) -> Result<(), String> {
        while self.complete_one()? {}
        Ok(())
    }

    pub(super) fn complete_one(&mut self) -> Result<bool, String> {
        let Some(live) = &mut self.target.live else { return Ok(false) };
        let next = live.job.as_mut().and_then(|copy| copy.to_complete.pop_front());
        let Some((space, segments)) = next else { return Ok(false) };
        let (cache, since) = (self.target.name.clone(), live.id.0);
        let since = Timestamp::from_millis(since);
        // How many the source has shown of them does not matter here.
        let counted = segments.iter().map(|segment| (*segment, 0)).collect();
        let complete = MetaCommand::Complete { cache, since, space, segments: counted };
        let _ = self.propose(complete);
        self.note(format!("complete: {segments:?}"));
        for number in 0..KEYS {
            if segments.contains(&space.segment_of(placement(number))) {
                self.expect_here(number, "its segment is complete")?;
            }
        }
        Ok(true)
    }

    pub(super) fn go_on_with_job(&mut self) -> Result<(), String> {
        if self.random.random_bool(0.2) && self.complete_one()? {
            return Ok(());
        }
        if self.target.live.as_ref().is_none_or(|live| live.job.is_none()) {
            return match (self.random.random_bool(0.2), self.connection()) {
                (true, None) => self.connect(),
                (true, Some(_)) => self.synchronize(),
                (false, _) => self.go_on_with_verification(),
            };
        }
        let waits = self.target.live.as_mut().and_then(|live| live.job.as_mut()?.waits.pop());
        if let Some(unit) = waits {
            return self.on(Event::Again { unit });
        }
        let units: Vec<UnitId> = self
            .target
            .live
            .iter()
            .filter_map(|live| live.job.as_ref())
            .flat_map(|copy| copy.readings.keys().copied())
            .collect();
        if units.is_empty() {
            return Ok(());
        }
        let id = units[self.random.random_range(0..units.len())];
        if !self.believes() {
            let doubted = self.target.live.as_ref().is_some_and(|live| live.doubted);
            let reason = String::from("it is gone");
            let event = if doubted { Event::SourceChanged { reason } } else { self.lose(id) };
            return self.on(event);
        }
        if self.random.random_bool(0.03) {
            let lost = self.lose(id);
            return self.on(lost);
        }
        self.read_on(id)
    }

    pub(super) fn lose(&mut self, unit: UnitId) -> Event {
        if let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) {
            copy.readings.remove(&unit);
        }
        Event::Lost { unit, reason: "the connection is lost".into() }
    }

    /// One step of the iteration of a unit.
    pub(super) fn read_on(&mut self, id: UnitId) -> Result<(), String> {
        let applies = self.random.random_bool(0.4);
        let ours = self.ours();
        let Some(live) = &mut self.target.live else { return Ok(()) };
        let Some(copy) = &mut live.job else { return Ok(()) };
        let Some(reading) = copy.readings.get_mut(&id) else { return Ok(()) };
        let source = &self.sources[live.source];
        if applies && !reading.page.is_empty() {
            return self.apply_page(id);
        }
        let Some(&segment) = reading.ahead.front() else {
            if !reading.page.is_empty() {
                return self.apply_page(id);
            }
            let failed = reading.failed.values().sum();
            let event = Event::UnitRead { unit: id, failed };
            // The job has asked for it and forgets it by itself.
            let unfinished = copy.readings.remove(&id);
            drop(unfinished);
            return self.on(event);
        };
        let keys = reading.keys.get_or_insert_with(|| {
            source.entries.keys().copied().filter(|key| source.segment(*key) == segment).collect()
        });
        if let Some(number) = keys.pop_front() {
            if let Some((value, metadata)) = source.report(number) {
                let clock = live.clocks.of(&source.server(source.owner(number)));
                let walked = Obtained::InWalk;
                let entry = SourceEntry::new(value, &metadata, &clock, walked, ours, ours);
                reading.page.push((number, entry));
            }
            return Ok(());
        }
        if !reading.page.is_empty() {
            return self.apply_page(id);
        }
        reading.ahead.pop_front();
        reading.keys = None;
        let failed = match copy.job.space() {
            SourceSpace::Segments(_) => reading.failed.get(&segment).copied().unwrap_or(0),
            SourceSpace::Unit => reading.failed.values().sum(),
        };
        self.on(Event::SegmentRead { unit: id, segment: SourceSegment(segment), failed })
    }

    pub(super) fn apply_page(&mut self, id: UnitId) -> Result<(), String> {
        let ours = self.ours();
        let Some(live) = &mut self.target.live else { return Ok(()) };
        let connection = live.id;
        let Some(copy) = &mut live.job else { return Ok(()) };
        let space = copy.job.space();
        let Some(reading) = copy.readings.get_mut(&id) else { return Ok(()) };
        let page = std::mem::take(&mut reading.page);
        let placed = |number: usize| space.segment_of(placement(number));
        if let (Some(segments), SourceSpace::Segments(_)) = (&reading.unit.segments, space)
            && page.iter().any(|(number, _)| !segments.contains(&placed(*number)))
        {
            return self.on(Event::Misplaced);
        }
        let keys: Vec<Vec<u8>> = page.iter().map(|(number, _)| key(*number)).collect();
        let entries: Vec<(&[u8], Imported<'_>)> = keys
            .iter()
            .zip(&page)
            .map(|(key, (_, entry))| (key.as_slice(), entry.imported()))
            .collect();
        let (mut counts, mut brought) = (Counts::default(), Vec::new());
        let steps = &mut self.steps;
        self.target.cache.import(&entries, ImportRule::Copy, connection, ours, |index, import| {
            counts.count(&import);
            let number = page[index].0;
            steps.push(format!("          import key {number}, {:?}: {import:?}", page[index].1));
            match import {
                Import::Written | Import::AlreadyHere => brought.push(index),
                Import::Failed(_) | Import::Outdated => {
                    *reading.failed.entry(placed(number).0).or_default() += 1;
                }
                Import::KeptForClient | Import::Tombstone => {}
            }
        });
        copy.counts += counts;
        self.take_effects();
        self.tally.written += counts.written;
        if counts.failed > 0 {
            return Err(format!("entries are refused: {counts:?}"));
        }
        for index in brought {
            let (number, entry) = &page[index];
            self.bring_entry(*number, entry);
            self.bring(*number, self.now);
        }
        self.on(Event::Applied { unit: id, counts })
    }
}
