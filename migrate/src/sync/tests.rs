//! A sync job step by step, and on random days.

use proptest::prelude::*;
use store::Import;

use super::*;

const A: SourceSegment = SourceSegment(0);
const B: SourceSegment = SourceSegment(1);
const FIRST: UnitId = UnitId(0);
const SECOND: UnitId = UnitId(1);

/// A job for two segments on two servers.
fn two_servers() -> (SyncJob, Vec<Action>) {
    let settings = SyncSettings::default();
    SyncJob::start(SourceSpace::Segments(2), &Coverage::none(2), &[0, 1], settings)
}

fn unit(id: UnitId, segment: SourceSegment, server: usize) -> Unit {
    Unit { id, segments: Some(vec![segment]), server }
}

fn read(unit: UnitId, segment: SourceSegment) -> Event {
    Event::SegmentRead { unit, segment, failed: 0 }
}

fn lost(unit: UnitId) -> Event {
    Event::Lost { unit, reason: "connection reset".into() }
}

fn written(count: u64) -> Counts {
    Counts { read: count, written: count, ..Counts::default() }
}

#[test]
fn a_segment_that_failed_is_read_again_and_the_job_ends_when_all_are_complete() {
    let (mut job, actions) = two_servers();
    let (first, second) = (unit(FIRST, A, 0), unit(SECOND, B, 1));
    assert_eq!(actions, [Action::Read(first.clone()), Action::Read(second)]);

    let pause = Duration::from_millis(50);
    assert_eq!(job.on(lost(FIRST)), [Action::Wait { unit: FIRST, pause }]);
    assert_eq!(job.on(Event::Again { unit: FIRST }), [Action::Read(first)]);
    assert_eq!(job.on(Event::Applied { unit: SECOND, counts: written(7) }), []);
    assert_eq!(job.on(read(SECOND, B)), [Action::Complete(vec![B])]);
    assert_eq!(job.on(Event::UnitRead { unit: SECOND, failed: 0 }), []);
    assert_eq!(job.on(Event::Applied { unit: FIRST, counts: written(5) }), []);
    assert_eq!(job.on(read(FIRST, A)), [Action::Complete(vec![A])]);
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), [Action::End(Ending::Finished)]);
    assert_eq!(job.counts(), written(12));
}

#[test]
fn a_job_is_over_once_others_have_completed_everything_that_it_reads() {
    let complete = |segments: &[SourceSegment]| {
        let mut complete = Coverage::none(2);
        segments.iter().for_each(|segment| complete.insert(*segment));
        Event::Complete { segments: complete }
    };
    let over = [Action::Stop, Action::End(Ending::Finished)];
    let (mut job, _) = two_servers();
    assert_eq!(job.on(complete(&[])), []);
    assert_eq!(job.on(complete(&[A])), [], "the other one is still read");
    assert_eq!(job.on(complete(&[A, B])), over, "whatever hangs");
    assert_eq!((job.completed(), job.on(complete(&[A, B]))), (2, vec![]));
    // One that waits for the source to come back, and one that is paused.
    let (mut job, _) = two_servers();
    job.on(lost(FIRST));
    job.on(read(SECOND, B));
    job.on(Event::UnitRead { unit: SECOND, failed: 0 });
    assert_eq!(job.on(complete(&[B])), []);
    assert_eq!(job.on(complete(&[A, B])), over);
    let (mut job, _) = two_servers();
    job.on(Event::Pause);
    assert_eq!(job.on(complete(&[A, B])), over);
    // What could not be taken has to be said.
    let (mut job, _) = two_servers();
    job.on(Event::SegmentRead { unit: FIRST, segment: A, failed: 1 });
    assert_eq!(job.on(complete(&[A, B])), []);
    let (mut job, _) =
        SyncJob::start(SourceSpace::Unit, &Coverage::none(1), &[], SyncSettings::default());
    assert_eq!(job.on(Event::Complete { segments: Coverage::all(1) }), [], "it is read as a whole");
}

#[test]
fn a_job_that_is_paused_while_it_reads_its_last_pages_is_over_with_them() {
    let (mut job, _) = two_servers();
    job.on(Event::Pause);
    job.on(read(FIRST, A));
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), [], "the other one is read");
    job.on(read(SECOND, B));
    let last = job.on(Event::UnitRead { unit: SECOND, failed: 0 });
    assert_eq!(last, [Action::End(Ending::Finished)]);
}

#[test]
fn a_unit_that_is_told_as_a_whole_counts_as_a_whole_or_not_at_all() {
    let (mut job, actions) = two_servers();
    let (first, second) = (unit(FIRST, A, 0), unit(SECOND, B, 1));
    assert_eq!(actions, [Action::Read(first.clone()), Action::Read(second.clone())]);
    assert_eq!(job.on(Event::Pause), [Action::Hold]);
    assert_eq!(job.on(Event::PauseIsLong), [Action::Stop]);
    assert_eq!(job.on(Event::WholeUnitRead { unit: FIRST }), [], "it was stopped");
    let again = [Action::GoOn, Action::Read(first.clone()), Action::Read(second)];
    assert_eq!(job.on(Event::Resume), again);
    let pause = Duration::from_millis(50);
    assert_eq!(job.on(lost(FIRST)), [Action::Wait { unit: FIRST, pause }], "nothing of it counts");
    assert_eq!(job.on(Event::Again { unit: FIRST }), [Action::Read(first)]);
    assert_eq!(job.on(Event::WholeUnitRead { unit: SECOND }), [Action::Complete(vec![B])]);
    let end = [Action::Complete(vec![A]), Action::End(Ending::Finished)];
    assert_eq!(job.on(Event::WholeUnitRead { unit: FIRST }), end);

    let settings = SyncSettings::default();
    let (mut job, _) = SyncJob::start(SourceSpace::Unit, &Coverage::none(1), &[], settings);
    let end = [Action::Complete(vec![A]), Action::End(Ending::Finished)];
    assert_eq!(job.on(Event::WholeUnitRead { unit: FIRST }), end);
}

#[test]
fn a_reader_that_died_ends_the_job_with_its_reason() {
    let (mut job, _) = two_servers();
    let reason = "index out of bounds".to_owned();
    let ended = Action::End(Ending::Failed { reason: reason.clone() });
    assert_eq!(job.on(Event::Died { reason }), [Action::Stop, ended]);
    assert_eq!(job.on(read(FIRST, A)), [], "it is over");
}

#[test]
fn a_job_counts_the_segments_that_were_left_for_it() {
    let mut complete = Coverage::none(4);
    complete.insert(A);
    let (space, settings) = (SourceSpace::Segments(4), SyncSettings::default());
    let (mut job, _) = SyncJob::start(space, &complete, &[0; 4], settings);
    assert_eq!((job.to_read(), job.completed()), (3, 0));
    let _ = job.on(read(FIRST, B));
    assert_eq!((job.to_read(), job.completed()), (3, 1));
    let _ = job.on(Event::Misplaced);
    assert_eq!((job.to_read(), job.completed()), (1, 0), "all of it is read again");
}

#[test]
fn what_is_complete_is_not_read_again() {
    let mut complete = Coverage::none(2);
    complete.insert(A);
    let settings = SyncSettings::default();
    let (_, actions) = SyncJob::start(SourceSpace::Segments(2), &complete, &[0, 0], settings);
    assert_eq!(actions, [Action::Read(unit(FIRST, B, 0))]);
    complete.insert(B);
    let (_, actions) = SyncJob::start(SourceSpace::Segments(2), &complete, &[0, 0], settings);
    assert_eq!(actions, [Action::End(Ending::Finished)]);
}

#[test]
fn what_another_job_has_completed_meanwhile_is_not_read_again_and_not_recorded_again() {
    let settings = SyncSettings::default();
    let (space, none) = (SourceSpace::Segments(2), Coverage::none(2));
    let (mut job, _) = SyncJob::start(space, &none, &[0, 0], settings);
    assert_eq!(job.on(Event::CompleteAlready { unit: FIRST, segments: vec![A] }), []);
    assert_eq!(job.completed(), 1);
    assert!(matches!(job.on(lost(FIRST))[..], [Action::Wait { .. }]));
    assert_eq!(job.on(Event::Again { unit: FIRST }), [Action::Read(unit(FIRST, B, 0))]);
    assert_eq!(job.on(read(FIRST, B)), [Action::Complete(vec![B])]);
    let ended = [Action::End(Ending::Finished)];
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), ended);

    let (mut job, _) = SyncJob::start(space, &none, &[0, 0], settings);
    assert_eq!(job.on(Event::CompleteAlready { unit: FIRST, segments: vec![A, B] }), []);
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), ended);
    // What could not be taken has come in by another job.
    let (mut job, _) = SyncJob::start(space, &none, &[0, 0], settings);
    let full = Event::SegmentRead { unit: FIRST, segment: A, failed: 1 };
    assert_eq!(job.on(full), []);
    assert!(matches!(job.on(lost(FIRST))[..], [Action::Wait { .. }]));
    let again = job.on(Event::Again { unit: FIRST });
    assert!(matches!(again[..], [Action::Read(_)]), "{again:?}");
    assert_eq!(job.on(Event::CompleteAlready { unit: FIRST, segments: vec![A] }), []);
    assert_eq!(job.on(read(FIRST, B)), [Action::Complete(vec![B])]);
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), ended);
    // A late word of a unit that is not read any more.
    let (mut job, _) = SyncJob::start(space, &none, &[0, 0], settings);
    let _ = job.on(Event::Misplaced);
    assert_eq!(job.on(Event::CompleteAlready { unit: FIRST, segments: vec![A] }), []);
    assert_eq!(job.completed(), 0);
}

#[test]
fn a_server_gets_a_few_iterations_at_a_time_of_a_few_segments_each() {
    let settings = SyncSettings { units: 3, units_per_server: 2 };
    let owners: Vec<usize> = (0..256).map(|segment| segment % 2).collect();
    let (_, actions) =
        SyncJob::start(SourceSpace::Segments(256), &Coverage::none(256), &owners, settings);
    let servers: Vec<usize> = actions
        .iter()
        .map(|action| match action {
            Action::Read(unit) => {
                assert_eq!(unit.segments.as_ref().unwrap().len(), UNIT_SEGMENTS);
                unit.server
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(servers, [0, 0, 1]);
}

#[test]
fn a_source_that_does_not_say_where_its_keys_are_is_complete_only_as_a_whole() {
    let settings = SyncSettings::default();
    let (mut job, actions) = SyncJob::start(SourceSpace::Unit, &Coverage::none(1), &[], settings);
    assert_eq!(actions, [Action::Read(Unit { id: FIRST, segments: None, server: 0 })]);
    let end = [Action::Complete(vec![A]), Action::End(Ending::Finished)];
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), end);
}

#[test]
fn a_source_that_places_keys_its_own_way_becomes_one_unit_and_nothing_counts_as_complete() {
    let mut complete = Coverage::none(3);
    complete.insert(SourceSegment(2));
    let settings = SyncSettings { units: 1, units_per_server: 1 };
    let (mut job, _) = SyncJob::start(SourceSpace::Segments(3), &complete, &[0, 1, 2], settings);
    assert_eq!(job.on(read(FIRST, A)), [Action::Complete(vec![A])]);
    // What was read, and what an earlier job had completed, is read again.
    let segments = [A, B, SourceSegment(2)];
    let actions = job.on(Event::Misplaced);
    let Some(Action::Read(first)) = actions.last() else { panic!("{actions:?}") };
    let first_id = first.id.0;
    let ids = [0, 1, 2].map(|place| UnitId(first_id + place));
    let reread = |place: usize| Action::Read(unit(ids[place], segments[place], place));
    assert_eq!(actions, [Action::Stop, Action::BecomeUnit, reread(0)]);
    assert_eq!(job.on(Event::Misplaced), [], "once is enough");
    for place in 0..2 {
        assert_eq!(job.on(read(ids[place], segments[place])), []);
        let event = Event::UnitRead { unit: ids[place], failed: 0 };
        assert_eq!(job.on(event), [reread(place + 1)]);
    }
    assert_eq!(job.on(read(ids[2], segments[2])), []);
    let end = [Action::Complete(vec![A]), Action::End(Ending::Finished)];
    assert_eq!(job.on(Event::UnitRead { unit: ids[2], failed: 0 }), end);
}

#[test]
fn an_entry_that_cannot_be_taken_keeps_its_segment_incomplete_and_fails_the_job_at_its_end() {
    let (mut job, _) = two_servers();
    let counts = Counts { read: 1, failed: 1, ..Counts::default() };
    job.on(Event::Applied { unit: FIRST, counts });
    assert_eq!(job.on(Event::SegmentRead { unit: FIRST, segment: A, failed: 1 }), []);
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 1 }), [], "the others go on");
    job.on(read(SECOND, B));
    let untaken = Ending::Untaken { entries: 1 };
    assert_eq!(job.on(Event::UnitRead { unit: SECOND, failed: 0 }), [Action::End(untaken)]);
    assert_eq!(job.failed().collect::<Vec<_>>(), [A]);
}

#[test]
fn an_entry_that_fails_twice_is_one_that_could_not_be_taken() {
    let settings = SyncSettings::default();
    let (mut job, _) =
        SyncJob::start(SourceSpace::Segments(2), &Coverage::none(2), &[0, 0], settings);
    let one = Counts { read: 1, failed: 1, ..Counts::default() };
    for again in [false, true] {
        let _ = job.on(Event::Applied { unit: FIRST, counts: one });
        assert_eq!(job.on(Event::SegmentRead { unit: FIRST, segment: A, failed: 1 }), []);
        if !again {
            assert!(matches!(job.on(lost(FIRST))[..], [Action::Wait { .. }]));
            assert!(matches!(job.on(Event::Again { unit: FIRST })[..], [Action::Read(_)]));
        }
    }
    assert_eq!(job.on(read(FIRST, B)), [Action::Complete(vec![B])]);
    let ended = Action::End(Ending::Untaken { entries: 1 });
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 1 }), [ended]);
    assert_eq!(job.counts().failed, 2, "both readings are counted");
}

#[test]
fn a_source_that_stays_away_fails_the_job_only_when_nothing_else_can_be_read() {
    let (mut job, _) = two_servers();
    let mut pauses = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        let actions = job.on(lost(FIRST));
        let [Action::Wait { unit: FIRST, pause }] = actions[..] else { panic!("{actions:?}") };
        pauses.push(pause);
        assert_eq!(job.on(Event::Again { unit: FIRST }).len(), 1);
    }
    assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST_PAUSE), "{pauses:?}");
    assert_eq!(job.on(lost(FIRST)), [], "given up, while the other is still read");
    assert_eq!(job.on(read(SECOND, B)), [Action::Complete(vec![B])]);
    let reason = "1 of the source's segments could not be read: connection reset".into();
    let failed = Ending::Failed { reason };
    assert_eq!(job.on(Event::UnitRead { unit: SECOND, failed: 0 }), [Action::End(failed)]);
}

#[test]
fn progress_makes_up_for_earlier_losses() {
    let settings = SyncSettings::default();
    let (mut job, _) =
        SyncJob::start(SourceSpace::Segments(2), &Coverage::none(2), &[0, 0], settings);
    for _ in 0..MAX_ATTEMPTS {
        job.on(lost(FIRST));
        job.on(Event::Again { unit: FIRST });
    }
    job.on(read(FIRST, A));
    let pause = Duration::from_millis(50);
    assert_eq!(job.on(lost(FIRST)), [Action::Wait { unit: FIRST, pause }]);
    let rest = unit(FIRST, B, 0);
    assert_eq!(job.on(Event::Again { unit: FIRST }), [Action::Read(rest)], "without what is read");
}

#[test]
fn a_source_that_ends_an_iteration_too_early_is_asked_again() {
    let (mut job, _) = two_servers();
    let actions = job.on(Event::UnitRead { unit: FIRST, failed: 0 });
    assert!(matches!(actions[..], [Action::Wait { unit: FIRST, .. }]), "{actions:?}");
}

#[test]
fn another_source_stops_the_job_at_once() {
    let (mut job, _) = two_servers();
    let reason = String::from("it was started again");
    let failed = Ending::Failed { reason: reason.clone() };
    assert_eq!(job.on(Event::SourceChanged { reason }), [Action::Stop, Action::End(failed)]);
    assert_eq!(job.on(read(FIRST, A)), [], "a late answer completes nothing");
    assert_eq!(job.on(Event::Applied { unit: FIRST, counts: written(3) }), []);
    assert_eq!(job.counts(), written(3), "what was applied is counted");
}

#[test]
fn what_was_begun_goes_on_where_it_was_after_a_short_pause() {
    let (mut job, _) = two_servers();
    assert_eq!(job.on(Event::Pause), [Action::Hold]);
    assert_eq!(job.on(Event::Pause), [], "it is paused");
    assert!(job.is_paused());
    assert_eq!(job.on(read(SECOND, B)), [Action::Complete(vec![B])], "of the page before");
    assert_eq!(job.on(Event::UnitRead { unit: SECOND, failed: 0 }), []);
    assert_eq!(job.on(Event::Resume), [Action::GoOn]);
    assert_eq!(job.on(Event::PauseIsLong), [], "it is over");
    assert_eq!(job.on(read(FIRST, A)), [Action::Complete(vec![A])]);
    assert_eq!(job.on(Event::UnitRead { unit: FIRST, failed: 0 }), [Action::End(Ending::Finished)]);
}

#[test]
fn what_ends_or_breaks_off_in_a_pause_has_its_consequences_when_that_is_over() {
    let (mut job, _) = two_servers();
    job.on(Event::Pause);
    let pause = Duration::from_millis(50);
    assert_eq!(job.on(lost(FIRST)), [Action::Wait { unit: FIRST, pause }]);
    assert_eq!(job.on(Event::Again { unit: FIRST }), []);
    job.on(read(SECOND, B));
    assert_eq!(job.on(Event::UnitRead { unit: SECOND, failed: 0 }), []);
    assert_eq!(job.on(Event::Resume), [Action::GoOn, Action::Read(unit(FIRST, A, 0))]);
}

#[test]
fn a_long_pause_gives_the_source_a_rest_and_a_resume_reads_what_was_begun_from_its_start() {
    let (mut job, _) = two_servers();
    job.on(read(SECOND, B));
    assert_eq!(job.on(Event::Pause), [Action::Hold]);
    assert_eq!(job.on(Event::PauseIsLong), [Action::Stop]);
    assert!(job.is_paused());
    assert_eq!(job.on(lost(FIRST)), [], "of an iteration that was stopped");
    let again = [Action::GoOn, Action::Read(unit(FIRST, A, 0)), Action::Read(unit(SECOND, B, 1))];
    assert_eq!(job.on(Event::Resume), again);
    assert_eq!(job.on(Event::Cancel), [Action::Stop, Action::End(Ending::Cancelled)]);
}

#[test]
fn a_clear_by_a_client_leaves_nothing_to_copy() {
    let (mut job, _) = two_servers();
    assert_eq!(job.on(Event::Cleared), [Action::Stop, Action::End(Ending::Finished)]);
}

#[test]
fn counts_add_up() {
    let mut counts = Counts::default();
    for import in [
        Import::Written,
        Import::AlreadyHere,
        Import::KeptForClient,
        Import::Tombstone,
        Import::Failed(store::CacheError::Full),
    ] {
        counts.count(&import);
    }
    counts.count_expired();
    assert!(counts.add_up());
    assert_eq!((counts.read, counts.written, counts.failed), (6, 1, 1));
}

/// One thing that may happen on a random day.
#[derive(Clone, Debug)]
enum Luck {
    Step,
    Lose,
    EndEarly,
    PauseAndResume,
    PauseForLong,
    Misplace,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_segment_is_read_to_its_end_whatever_happens(
        owners in proptest::collection::vec(0_usize..3, 1..40),
        earlier in proptest::collection::vec(any::<bool>(), 40),
        luck in proptest::collection::vec(
            prop_oneof![
                20 => Just(Luck::Step), 3 => Just(Luck::Lose), 1 => Just(Luck::EndEarly),
                1 => Just(Luck::PauseAndResume), 1 => Just(Luck::PauseForLong), 1 => Just(Luck::Misplace),
            ],
            0..400,
        ),
        choices in proptest::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let segments = u32::try_from(owners.len()).unwrap();
        let mut complete = Coverage::none(segments);
        earlier.iter().zip(0..segments).filter(|(done, _)| **done).for_each(|(_, segment)| {
            complete.insert(SourceSegment(segment));
        });
        let space = SourceSpace::Segments(segments);
        let settings = SyncSettings::default();
        let (job, actions) = SyncJob::start(space, &complete, &owners, settings);
        let mut day = Day { job, open: BTreeMap::new(), pausing: Vec::new(), read: BTreeSet::new(), complete, ended: None };
        day.follow(actions);
        for (luck, choice) in luck.iter().zip(&choices) {
            day.happen(luck, choice);
        }
        // From now on nothing goes wrong any more.
        for choice in choices.iter().cycle().take(100_000) {
            if day.ended.is_some() {
                break;
            }
            day.happen(&Luck::Step, choice);
        }
        match day.ended.expect("the job ends") {
            Ending::Finished => {
                prop_assert!(day.complete.len() >= day.job.space().count());
                // Of a unit, nothing counts that was read before it was known to be one.
                let all = day.job.space() != SourceSpace::Unit || day.read.len() == owners.len();
                prop_assert!(all, "{:?}", day.read);
            }
            Ending::Failed { .. } | Ending::Untaken { .. } => prop_assert!(day.job.failed().next().is_some()),
            Ending::Cancelled => panic!("nobody has cancelled it"),
        }
    }
}

/// A source and a driver, as far as the job can see them.
struct Day {
    job: SyncJob,
    /// Iterations that are open, and how many of their segments were given out.
    open: BTreeMap<UnitId, (Unit, usize)>,
    pausing: Vec<UnitId>,
    read: BTreeSet<SourceSegment>,
    complete: Coverage,
    ended: Option<Ending>,
}

impl Day {
    fn follow(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert_eq!(self.ended, None, "{action:?} after the end");
            match action {
                Action::Read(unit) => {
                    let of_server =
                        self.open.values().filter(|(open, _)| open.server == unit.server);
                    assert!(of_server.count() < 2 && self.open.len() < 4);
                    assert_eq!(self.open.insert(unit.id, (unit, 0)), None, "read twice at a time");
                }
                Action::Complete(segments) => {
                    for segment in segments {
                        let by_segment = matches!(self.job.space(), SourceSpace::Segments(_));
                        assert!(
                            !by_segment || self.read.contains(&segment),
                            "{segment:?} not read"
                        );
                        self.complete.insert(segment);
                    }
                }
                Action::BecomeUnit => {
                    self.complete = Coverage::none(1);
                    self.read.clear();
                }
                Action::Wait { unit, .. } => {
                    self.open.remove(&unit);
                    self.pausing.push(unit);
                }
                Action::Hold | Action::GoOn => {}
                Action::Stop => {
                    self.open.clear();
                    self.pausing.clear();
                }
                Action::End(ending) => self.ended = Some(ending),
            }
        }
    }

    fn happen(&mut self, luck: &Luck, choice: &prop::sample::Index) {
        let ids: Vec<UnitId> = self.open.keys().copied().collect();
        if !self.pausing.is_empty() && (ids.is_empty() || choice.index(2) == 0) {
            let unit = self.pausing.swap_remove(choice.index(self.pausing.len()));
            return self.tell(Event::Again { unit });
        }
        if ids.is_empty() {
            return;
        }
        let id = ids[choice.index(ids.len())];
        match luck {
            Luck::Step => {
                let (unit, given) = self.open.get_mut(&id).unwrap();
                let segments = unit.segments.clone().unwrap();
                if let Some(segment) = segments.get(*given) {
                    *given += 1;
                    self.read.insert(*segment);
                    self.tell(read(id, *segment));
                } else {
                    self.open.remove(&id);
                    self.tell(Event::UnitRead { unit: id, failed: 0 });
                }
            }
            Luck::Lose => {
                self.open.remove(&id);
                self.tell(lost(id));
            }
            Luck::EndEarly => {
                self.open.remove(&id);
                self.tell(Event::UnitRead { unit: id, failed: 0 });
            }
            Luck::PauseAndResume => {
                self.tell(Event::Pause);
                self.tell(Event::Resume);
            }
            Luck::PauseForLong => {
                self.tell(Event::Pause);
                self.tell(Event::PauseIsLong);
                self.tell(Event::Resume);
            }
            Luck::Misplace => self.tell(Event::Misplaced),
        }
    }

    fn tell(&mut self, event: Event) {
        if self.ended.is_none() {
            let actions = self.job.on(event);
            self.follow(actions);
        }
    }
}

#[test]
fn units_with_the_most_tombstones_are_read_first() {
    let (space, complete) = (SourceSpace::Segments(64), Coverage::none(64));
    let weights = |of: &[(u32, u64)]| {
        of.iter().map(|(segment, weight)| (SourceSegment(*segment), *weight)).collect()
    };
    let settings = SyncSettings { units: 1, units_per_server: 1 };
    let owners = vec![0; 64];
    let firsts = |actions: &[Action]| -> Vec<u32> {
        let of_unit = |action: &Action| match action {
            Action::Read(unit) => unit.segments.as_ref().map(|segments| segments[0].0),
            _ => None,
        };
        actions.iter().filter_map(of_unit).collect()
    };
    let start = weights(&[(20, 5), (40, 3), (41, 3), (1, 1)]);
    let (mut job, actions) = SyncJob::start_with(space, &complete, &owners, settings, &start);
    assert_eq!(firsts(&actions), [40], "its segments have 6 together");
    job.weigh(&weights(&[(63, 9), (20, 5)]));
    let read = |job: &mut SyncJob, first: u32| {
        let unit = UnitId(first as usize / 8);
        let segments = (first..first + 8).map(SourceSegment);
        for segment in segments {
            job.on(Event::SegmentRead { unit, segment, failed: 0 });
        }
        job.on(Event::UnitRead { unit, failed: 0 })
    };
    assert_eq!(firsts(&read(&mut job, 40)), [56], "clients went on elsewhere");
    job.weigh(&BTreeMap::new());
    assert_eq!(firsts(&read(&mut job, 56)), [16]);
    assert_eq!(firsts(&read(&mut job, 16)), [0], "then in order");
}
