//! One run of copying every entry from the source, as steps.
//!
//! A decider: what happened goes in, what to do comes out. Units (groups of source segments on one
//! server) are read a few at a time; a source segment is complete once the source has said that it
//! gave all of it out, and all of that was applied. Nothing here opens a connection or waits.
//!
//! Start reading at [`SyncJob::on`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use store::{Coverage, SourceSegment, SourceSpace};

use crate::counts::Counts;

/// Most segments that are read in one iteration: a lost connection costs that much again.
pub const UNIT_SEGMENTS: usize = 8;

/// Most times that a unit is read again after a loss, in a row, before it is given up.
pub const MAX_ATTEMPTS: u32 = 12;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Number of a unit within its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub usize);

/// A group of source segments that are read in one iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its number.
    pub id: UnitId,
    /// Which segments; `None` is all there are, of a source that does not say which it has.
    pub segments: Option<Vec<SourceSegment>>,
    /// The source server that owns them, by its place in the topology.
    pub server: usize,
}

/// How a job goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSettings {
    /// Most units that are read at the same time.
    pub units: usize,
    /// Most units that are read from one server at the same time.
    pub units_per_server: usize,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self { units: 4, units_per_server: 2 }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Entries of a unit were applied.
    Applied {
        /// The unit.
        unit: UnitId,
        /// What became of them.
        counts: Counts,
    },
    /// The source has given out all of a segment, and all of it was applied, in order.
    SegmentRead {
        /// The unit.
        unit: UnitId,
        /// The segment.
        segment: SourceSegment,
        /// Entries of it that could not be taken.
        failed: u64,
    },
    /// Other jobs have completed these segments before the unit was read, so they are left out.
    CompleteAlready {
        /// The unit.
        unit: UnitId,
        /// The segments.
        segments: Vec<SourceSegment>,
    },
    /// These segments are complete by now, by this job or by others. If they are all that it has to read, it is over,
    /// whatever is still being read.
    Complete {
        /// The segments.
        segments: Coverage,
    },
    /// The iteration of a unit has come to its end.
    UnitRead {
        /// The unit.
        unit: UnitId,
        /// Entries of this iteration that could not be taken.
        failed: u64,
    },
    /// All segments of a unit were read at once, and nothing of it failed: it counts as a whole, or not at all.
    WholeUnitRead {
        /// The unit.
        unit: UnitId,
    },
    /// The iteration of a unit broke off.
    Lost {
        /// The unit.
        unit: UnitId,
        /// Why.
        reason: String,
    },
    /// A reader has ended by a fault of this program: reading again would meet it again.
    Died {
        /// What the fault is.
        reason: String,
    },
    /// An entry was not in the segment that it should be in by its hash.
    Misplaced,
    /// The source is another one than the one the job began with.
    SourceChanged {
        /// What gave it away.
        reason: String,
    },
    /// A pause after a loss is over.
    Again {
        /// The unit that waited.
        unit: UnitId,
    },
    /// A client has cleared the cache: there is nothing left to copy.
    Cleared,
    /// Nothing new is read until [`Event::Resume`].
    Pause,
    /// The pause lasts so long that the source may forget what it is asked for next.
    PauseIsLong,
    /// The job goes on.
    Resume,
    /// The job ends where it is.
    Cancel,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read a unit.
    Read(Unit),
    /// Record that these segments are complete.
    Complete(Vec<SourceSegment>),
    /// From now on the source is one unit: nothing of it is complete before all is.
    BecomeUnit,
    /// Say [`Event::Again`] after a pause.
    Wait {
        /// The unit that waits.
        unit: UnitId,
        /// For how long, before jitter.
        pause: Duration,
    },
    /// Have readers wait, each at its place, and say [`Event::PauseIsLong`] if it is not their turn again after a while.
    Hold,
    /// Let readers go on.
    GoOn,
    /// Stop reading, whatever is being read.
    Stop,
    /// The job is over.
    End(Ending),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is here.
    Finished,
    /// Not everything is here, and somebody has to decide what to do.
    Failed {
        /// Why.
        reason: String,
    },
    /// All of the source was read, and so many entries of it could not be taken: see the list of failures.
    Untaken {
        /// How many.
        entries: u64,
    },
    /// Somebody has ended it.
    Cancelled,
}

/// Says that so many entries could not be taken.
pub(crate) fn untaken(entries: u64) -> String {
    format!("{entries} {} could not be taken", if entries == 1 { "entry" } else { "entries" })
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Over,
}

/// One run of copying every entry from the source.
#[derive(Debug)]
pub struct SyncJob {
    settings: SyncSettings,
    space: SourceSpace,
    phase: Phase,
    /// The server that owns each segment which the source is iterated by.
    owners: Vec<usize>,
    /// Units made so far.
    units: usize,
    /// Segments that were not complete when it began.
    to_read: u32,
    waiting: VecDeque<Unit>,
    pausing: BTreeMap<UnitId, Unit>,
    reading: BTreeMap<UnitId, Unit>,
    attempts: BTreeMap<UnitId, u32>,
    given_up: Vec<(Unit, String)>,
    /// Segments that the source has given out completely in this job.
    read: BTreeSet<SourceSegment>,
    /// Segments of which an entry could not be taken.
    defective: BTreeSet<SourceSegment>,
    /// Entries that could not be taken when a unit was last read to its end.
    failed: BTreeMap<UnitId, u64>,
    complete: Coverage,
    counts: Counts,
}

impl SyncJob {
    /// A job for all segments of the source that are not complete. `owners` are the servers (by their
    /// place in the topology) that own each of the segments which the source is iterated by; empty if
    /// it does not say.
    #[must_use]
    pub fn start(
        space: SourceSpace,
        complete: &Coverage,
        owners: &[usize],
        settings: SyncSettings,
    ) -> (Self, Vec<Action>) {
        Self::start_with(space, complete, owners, settings, &BTreeMap::new())
    }

    /// The same, with the units first whose segments have the greatest weights.
    #[must_use]
    pub fn start_with(
        space: SourceSpace,
        complete: &Coverage,
        owners: &[usize],
        settings: SyncSettings,
        weights: &BTreeMap<SourceSegment, u64>,
    ) -> (Self, Vec<Action>) {
        let mut job = Self {
            settings,
            space,
            phase: Phase::Running,
            owners: owners.to_vec(),
            units: 0,
            to_read: space.count().saturating_sub(complete.len()),
            waiting: VecDeque::new(),
            pausing: BTreeMap::new(),
            reading: BTreeMap::new(),
            attempts: BTreeMap::new(),
            given_up: Vec::new(),
            read: BTreeSet::new(),
            defective: BTreeSet::new(),
            failed: BTreeMap::new(),
            complete: complete.clone(),
            counts: Counts::default(),
        };
        if complete.len() < space.count() {
            let by_segment = matches!(space, SourceSpace::Segments(_));
            job.plan(|segment| !by_segment || !complete.contains(segment));
        }
        job.weigh(weights);
        let actions = job.go_on();
        (job, actions)
    }

    /// From now on the units come first whose segments have the greatest weights: the tombstones that wait for
    /// them.
    pub fn weigh(&mut self, weights: &BTreeMap<SourceSegment, u64>) {
        if weights.is_empty() {
            return;
        }
        let weight = |unit: &Unit| {
            let segments = unit.segments.iter().flatten();
            segments.filter_map(|segment| weights.get(segment)).sum::<u64>()
        };
        self.waiting.make_contiguous().sort_by_key(|unit| std::cmp::Reverse(weight(unit)));
    }

    /// Puts the segments that are wanted into units.
    fn plan(&mut self, wanted: impl Fn(SourceSegment) -> bool) {
        let servers: BTreeSet<usize> = self.owners.iter().copied().collect();
        let mut units = Vec::new();
        for server in servers {
            let owned =
                (0..).map(SourceSegment).zip(&self.owners).filter(|(_, owner)| **owner == server);
            let owned: Vec<SourceSegment> =
                owned.map(|(segment, _)| segment).filter(|segment| wanted(*segment)).collect();
            units.extend(owned.chunks(UNIT_SEGMENTS).map(|group| (Some(group.to_vec()), server)));
        }
        if self.owners.is_empty() {
            units.push((None, 0));
        }
        for (segments, server) in units {
            self.waiting.push_back(Unit { id: UnitId(self.units), segments, server });
            self.units += 1;
        }
    }

    /// Takes in what happened and says what to do about it.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        if let Event::Applied { counts, .. } = event {
            // What was applied is counted, also of a job that is over by now.
            self.counts += counts;
            return Vec::new();
        }
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match event {
            Event::Applied { .. } => Vec::new(),
            Event::SegmentRead { unit, segment, failed } => {
                self.segment_read(unit, segment, failed)
            }
            Event::CompleteAlready { unit, segments } => {
                if self.reading.contains_key(&unit) && self.space != SourceSpace::Unit {
                    self.read.extend(&segments);
                    // What could not be taken of them is here by another job.
                    self.defective.retain(|segment| !segments.contains(segment));
                    segments.into_iter().for_each(|segment| self.complete.insert(segment));
                }
                Vec::new()
            }
            Event::Complete { segments } => self.complete_by_now(&segments),
            Event::UnitRead { unit, failed } => self.unit_read(unit, failed),
            Event::WholeUnitRead { unit } => self.whole_unit_read(unit),
            Event::Lost { unit, reason } => self.lost(unit, reason),
            Event::Misplaced => self.become_unit(),
            Event::SourceChanged { reason } | Event::Died { reason } => self.fail(reason),
            Event::Again { unit } => {
                self.waiting.extend(self.pausing.remove(&unit));
                self.go_on()
            }
            Event::Cleared => self.end(Ending::Finished),
            Event::Pause if self.phase == Phase::Paused => Vec::new(),
            Event::Pause => {
                self.phase = Phase::Paused;
                vec![Action::Hold]
            }
            Event::PauseIsLong if self.phase != Phase::Paused => Vec::new(),
            Event::PauseIsLong => {
                let stopped = std::mem::take(&mut self.reading);
                // What was being read is read again from its start, without segments that are complete.
                stopped.into_values().rev().for_each(|unit| self.waiting.push_front(unit));
                // With the readers, those end that wait for the source to come back.
                self.waiting.extend(std::mem::take(&mut self.pausing).into_values());
                vec![Action::Stop]
            }
            Event::Resume => {
                self.phase = Phase::Running;
                let mut actions = vec![Action::GoOn];
                actions.extend(self.go_on());
                actions
            }
            Event::Cancel => self.end(Ending::Cancelled),
        }
    }

    fn segment_read(&mut self, unit: UnitId, segment: SourceSegment, failed: u64) -> Vec<Action> {
        // A late answer to an attempt that was given up counts for nothing.
        let asked = self.reading.get(&unit).and_then(|unit| unit.segments.as_ref());
        if !asked.is_some_and(|segments| segments.contains(&segment)) {
            return Vec::new();
        }
        self.attempts.remove(&unit);
        if failed > 0 {
            self.defective.insert(segment);
            return Vec::new();
        }
        self.read.insert(segment);
        self.defective.remove(&segment);
        match self.space {
            SourceSpace::Segments(_) if !self.complete.contains(segment) => {
                self.complete.insert(segment);
                vec![Action::Complete(vec![segment])]
            }
            SourceSpace::Segments(_) | SourceSpace::Unit => Vec::new(),
        }
    }

    /// Ends the job if everything that it has to read is here.
    fn complete_by_now(&mut self, complete: &Coverage) -> Vec<Action> {
        let given_up = self.given_up.iter().map(|(unit, _)| unit);
        let left = self.waiting.iter().chain(self.pausing.values()).chain(self.reading.values());
        let segments =
            left.chain(given_up).map(|unit| unit.segments.as_deref().unwrap_or_default());
        let left: BTreeSet<SourceSegment> = segments.flatten().copied().collect();
        let is_here = !left.is_empty()
            && self.defective.is_empty()
            && left.iter().all(|segment| complete.contains(*segment));
        if self.space == SourceSpace::Unit || !is_here {
            return Vec::new();
        }
        left.into_iter().for_each(|segment| self.complete.insert(segment));
        self.end(Ending::Finished)
    }

    fn unit_read(&mut self, id: UnitId, failed: u64) -> Vec<Action> {
        let Some(unit) = self.reading.remove(&id) else { return Vec::new() };
        self.failed.insert(id, failed);
        if unit.segments.is_none() && failed > 0 {
            self.defective.insert(SourceSegment(0));
        }
        let settled = |segment: &SourceSegment| {
            self.read.contains(segment) || self.defective.contains(segment)
        };
        let unsettled =
            unit.segments.as_ref().is_some_and(|segments| !segments.iter().all(settled));
        if unsettled {
            self.reading.insert(id, unit);
            return self
                .lost(id, "the source ended an iteration without all of its segments".into());
        }
        self.go_on()
    }

    fn whole_unit_read(&mut self, id: UnitId) -> Vec<Action> {
        let segments = self.reading.get(&id).and_then(|unit| unit.segments.clone());
        let segments = segments.into_iter().flatten();
        let mut actions: Vec<Action> =
            segments.flat_map(|segment| self.segment_read(id, segment, 0)).collect();
        actions.extend(self.unit_read(id, 0));
        actions
    }

    fn lost(&mut self, id: UnitId, reason: String) -> Vec<Action> {
        let Some(mut unit) = self.reading.remove(&id) else { return Vec::new() };
        if let Some(segments) = &mut unit.segments {
            segments.retain(|segment| !self.read.contains(segment));
            if segments.is_empty() {
                return self.go_on();
            }
        }
        let attempts = self.attempts.entry(id).or_insert(0);
        *attempts += 1;
        if *attempts > MAX_ATTEMPTS {
            self.given_up.push((unit, reason));
            return self.go_on();
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (*attempts - 1).min(16)).min(LONGEST_PAUSE);
        self.pausing.insert(id, unit);
        let mut actions = vec![Action::Wait { unit: id, pause }];
        actions.extend(self.go_on());
        actions
    }

    /// The source places its keys in another way than by the hash that we know. What was taken for a
    /// complete segment may not be one.
    fn become_unit(&mut self) -> Vec<Action> {
        if self.space == SourceSpace::Unit {
            return Vec::new();
        }
        self.to_read = 1;
        self.complete = Coverage::none(1);
        self.space = SourceSpace::Unit;
        // An entry may have been refused because its segment was taken for complete, so everything is
        // read again.
        self.waiting.clear();
        self.reading.clear();
        self.pausing.clear();
        self.given_up.clear();
        self.read.clear();
        self.defective.clear();
        self.failed.clear();
        self.plan(|_| true);
        let mut actions = vec![Action::Stop, Action::BecomeUnit];
        actions.extend(self.go_on());
        actions
    }

    fn fail(&mut self, reason: String) -> Vec<Action> {
        self.end(Ending::Failed { reason })
    }

    fn end(&mut self, ending: Ending) -> Vec<Action> {
        self.phase = Phase::Over;
        self.waiting.clear();
        let mut actions = Vec::new();
        if !self.reading.is_empty() || !self.pausing.is_empty() {
            actions.push(Action::Stop);
        }
        self.reading.clear();
        self.pausing.clear();
        actions.push(Action::End(ending));
        actions
    }

    /// Begins what may be begun, and ends the job if nothing is left: a pause that comes with the last page too.
    fn go_on(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        match self.phase {
            Phase::Running => {
                while let Some(unit) = self.next_unit() {
                    self.reading.insert(unit.id, unit.clone());
                    actions.push(Action::Read(unit));
                }
            }
            Phase::Paused => {}
            Phase::Over => return actions,
        }
        if self.reading.is_empty() && self.pausing.is_empty() && self.waiting.is_empty() {
            actions.extend(self.conclude());
        }
        actions
    }

    fn next_unit(&mut self) -> Option<Unit> {
        if self.reading.len() >= self.settings.units {
            return None;
        }
        let of_server = |server| self.reading.values().filter(|unit| unit.server == server).count();
        let free = |unit: &Unit| of_server(unit.server) < self.settings.units_per_server;
        let place = self.waiting.iter().position(free)?;
        self.waiting.remove(place)
    }

    fn conclude(&mut self) -> Vec<Action> {
        if let Some((unit, reason)) = self.given_up.first() {
            // What is read as a whole names no segments.
            let segments: usize = self
                .given_up
                .iter()
                .map(|(unit, _)| unit.segments.as_ref().map_or(0, Vec::len))
                .sum();
            let what = match segments {
                0 => "the source could not be read".to_owned(),
                1 => "1 of the source's segments could not be read".to_owned(),
                _ => format!("{segments} of the source's segments could not be read"),
            };
            let reason = format!("{what}: {reason}");
            tracing::debug!(?unit, "given up");
            return self.fail(reason);
        }
        if !self.defective.is_empty() {
            // What was read twice has not failed twice.
            return self.end(Ending::Untaken { entries: self.failed.values().sum() });
        }
        let mut actions = Vec::new();
        if self.space == SourceSpace::Unit && !self.complete.contains(SourceSegment(0)) {
            self.complete.insert(SourceSegment(0));
            actions.push(Action::Complete(vec![SourceSegment(0)]));
        }
        if self.complete.len() < self.space.count() {
            return self.fail("not all of the source's segments were read".into());
        }
        actions.extend(self.end(Ending::Finished));
        actions
    }

    /// What became of the entries so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How the source divides its keys, as far as is known.
    #[must_use]
    pub fn space(&self) -> SourceSpace {
        self.space
    }

    /// Segments that are being read.
    pub fn in_progress(&self) -> impl Iterator<Item = SourceSegment> + '_ {
        self.reading.values().filter_map(|unit| unit.segments.as_ref()).flatten().copied()
    }

    /// Segments that were given up, or of which an entry could not be taken.
    pub fn failed(&self) -> impl Iterator<Item = SourceSegment> + '_ {
        let given_up =
            self.given_up.iter().filter_map(|(unit, _)| unit.segments.as_ref()).flatten();
        given_up.chain(&self.defective).copied()
    }

    /// Segments that were not complete when the job began.
    #[must_use]
    pub fn to_read(&self) -> u32 {
        self.to_read
    }

    /// Those of them that are complete by now.
    #[must_use]
    pub fn completed(&self) -> u32 {
        self.to_read.saturating_sub(self.space.count().saturating_sub(self.complete.len()))
    }

    /// Returns whether nothing new is begun.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.phase == Phase::Paused
    }

    /// Returns whether some unit waits for the source to come back.
    #[must_use]
    pub fn is_retrying(&self) -> bool {
        !self.pausing.is_empty()
    }
}

#[cfg(test)]
mod tests;
