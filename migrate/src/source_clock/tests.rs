//! Facts about one clock, one by one. How they work together on many schedules is in `simulation`.

use super::*;

/// Our time.
const NOW: i64 = 1_000_000_000;

fn at(millis: i64) -> Timestamp {
    instant(NOW + millis)
}

/// An instant that a clock shows that is ahead of ours by `offset`.
fn theirs(millis: i64, offset: i64) -> u64 {
    u64::try_from(NOW + millis + offset).unwrap()
}

fn mortal(created: u64, seconds: u32) -> Reported {
    Reported { lifespan: Some((created, seconds)), max_idle: None }
}

fn over<'a>(
    clocks: impl IntoIterator<Item = &'a SourceClock>,
    now: Timestamp,
) -> Option<Timestamp> {
    over_by(clocks, Corrections::default(), now)
}

fn idle(last_used: u64, seconds: u32) -> Reported {
    Reported { lifespan: None, max_idle: Some((last_used, seconds)) }
}

/// Milliseconds that an entry has left, received by its key now.
fn left(clock: &mut SourceClock, reported: &Reported) -> i64 {
    let (lives, _) = clock.entry(reported, Obtained::ByKey, at(0), at(0));
    left_of(&lives)
}

fn left_of(lives: &Lives) -> i64 {
    let end = |instant: Option<Timestamp>, lifetime: Option<Lifetime>| {
        instant.zip(lifetime).map(|(instant, lifetime)| millis(instant.after(lifetime)) - NOW)
    };
    let ends = [
        end(lives.created, lives.expiration.lifespan),
        end(lives.last_used, lives.expiration.max_idle),
    ];
    ends.into_iter().flatten().min().unwrap()
}

fn read(clock: &mut SourceClock, now: i64, offset: i64) -> Option<Jump> {
    let date = theirs(now, offset) / 1_000 * 1_000;
    clock.read(date, at(now), at(now))
}

const OFFSETS: [i64; 9] =
    [0, 10_000, -10_000, 600_000, -600_000, 3_600_000, -3_600_000, 86_400_000, -86_400_000];

#[test]
fn an_entry_lives_here_as_long_as_at_the_source_once_the_clock_was_read() {
    for offset in OFFSETS {
        let mut clock = SourceClock::default();
        read(&mut clock, 0, offset);
        for (age, seconds) in [(0, 1), (250_000, 300), (3_000_000, 3_600), (1_000, 2_592_000)] {
            let real = i64::from(seconds) * 1_000 - age;
            let left = left(&mut clock, &mortal(theirs(-age, offset), seconds));
            assert!((real..=real + 999).contains(&left), "{offset}: {left} left of {real}");
        }
    }
}

#[test]
fn repeated_readings_narrow_the_interval() {
    let (mut clock, offset) = (SourceClock::default(), 600_123);
    let mut now = 0;
    for _ in 0..10 {
        read(&mut clock, now, offset);
        now = millis(clock.best_reading(at(now))) - NOW;
    }
    let known = clock.offset_at(at(now));
    assert!(known.uncertainty().unwrap() < 50, "{known:?}");
    assert!(known.low.unwrap() <= offset && known.high.unwrap() >= offset, "{known:?}");
    assert_eq!(clock.jumps(), 0);
    let later = clock.offset_at(at(now + 60_000)).uncertainty().unwrap();
    assert!(later > 1_000, "clocks drift: {later}");
}

#[test]
fn a_clock_that_is_watched_is_known_closely_once_its_second_has_turned() {
    for phase in (0..1_000).step_by(37) {
        for takes in [0, 10, 40] {
            let (mut clock, offset) = (SourceClock::default(), 600_000 + phase);
            let mut now = 0;
            let mut read = |now: &mut i64| {
                let sent = *now;
                let date = theirs(sent + takes / 2, offset) / 1_000 * 1_000;
                *now += takes;
                assert_eq!(clock.read(date, at(sent), at(*now)), None);
                clock.clone()
            };
            let mut known = read(&mut now);
            let begun = at(now);
            while let Some(next) = known.watch(begun, at(now)) {
                now = millis(next) - NOW;
                known = read(&mut now);
            }
            assert!(now <= 1_200, "it takes {now} ms");
            let known = known.offset_at(at(now));
            assert!(known.uncertainty().unwrap() <= CLOSE, "{phase}, {takes}: {known:?}");
            assert!((known.low.unwrap()..=known.high.unwrap()).contains(&offset), "{known:?}");
        }
    }
    let mut slow = SourceClock::default();
    slow.read(theirs(0, 0), at(0), at(5_000));
    assert_eq!(slow.watch(at(5_000), at(6_001)), None, "a slow server is not waited for");
    assert!(slow.watch(at(5_000), at(6_000)).is_some());
}

#[test]
fn without_a_reading_instants_bound_the_clock_from_below_and_living_entries_from_above() {
    for offset in OFFSETS {
        let mut clock = SourceClock::default();
        left(&mut clock, &mortal(theirs(-2_000, offset), 300));
        let known = clock.offset_at(at(0));
        assert_eq!((known.low, known.high), (Some(offset - 2_000), Some(offset + 298_999)));
        assert!(!clock.is_read());
    }
}

#[test]
fn one_entry_dated_ahead_shortens_no_other_life() {
    // Written while the clock was ten minutes ahead; then the clock was set right.
    let future = mortal(theirs(0, 600_000), 3_600);
    for seconds in [300, 3_600] {
        let fresh = mortal(theirs(-1_000, 0), seconds);
        let mut clock = SourceClock::default();
        read(&mut clock, 0, 0);
        assert_eq!(left(&mut clock, &future), 3_600_000, "never more than its lifespan");
        let left = left(&mut clock, &fresh);
        let real = i64::from(seconds) * 1_000 - 1_000;
        assert!((real..=real + 999).contains(&left), "{left}");
    }
    // Without a reading, an entry that lives shows it.
    let mut clock = SourceClock::default();
    left(&mut clock, &future);
    let (lives, jump) = clock.entry(&mortal(theirs(-1_000, 0), 300), Obtained::ByKey, at(0), at(0));
    assert_eq!(jump, Some(Jump { millis: 299_999 - 600_000 }));
    assert!(left_of(&lives) >= 299_000);
    left(&mut clock, &future);
    assert!(left(&mut clock, &mortal(theirs(-1_000, 0), 300)) >= 299_000, "also later");
}

#[test]
fn an_entry_that_is_still_returned_is_alive_whatever_the_clocks_say() {
    let mut clock = SourceClock::default();
    read(&mut clock, 0, 0);
    // Set back by an hour a moment ago: it was written 50 minutes before that, to live for 5 minutes.
    let entry = mortal(theirs(-3_000_000, 0), 300);
    assert_eq!(left(&mut clock, &entry), 300_000);
    let (lives, _) = clock.entry(&entry, Obtained::InWalk, at(0), at(0));
    assert!(left_of(&lives) < 0, "a walk may have read it ahead: the source is asked for it");
    // Half a second that is left of a lifespan of 1.5 s is not reported.
    assert!(left(&mut clock, &mortal(theirs(-1_200, 0), 1)) > 0);
    assert!(left(&mut clock, &mortal(theirs(-200, 0), 0)) > 0);
    assert_eq!(left(&mut clock, &mortal(u64::MAX, 5)), 5_000);
}

#[test]
fn a_date_by_which_living_entries_are_over_is_not_the_sources_clock() {
    for obtained in [Obtained::ByKey, Obtained::InWalk] {
        let mut clock = SourceClock::default();
        read(&mut clock, 0, 600_000);
        // Created five seconds ago, by a clock that shows the same as ours.
        let entry = mortal(theirs(-5_000, 0), 120);
        clock.entry(&entry, obtained, at(1_000), at(1_010));
        assert!(!clock.is_disbelieved(), "the clock may just have been set");
        clock.read(theirs(1_005, 600_000), at(1_005), at(1_020));
        assert!(!clock.is_disbelieved(), "perhaps after this reading was asked for");
        assert_eq!(read(&mut clock, 6_000, 600_000), None);
        assert!(clock.is_disbelieved() && !clock.is_read());
        assert_eq!(read(&mut clock, 11_000, 600_000), None, "it is not read any more");
        assert_eq!(clock.jumps(), 0);
        assert_eq!(
            over([&clock], at(1_000_000)),
            None,
            "nothing ends without a word of the source"
        );
        let (lives, _) = clock.entry(&entry, obtained, at(12_000), at(12_000));
        assert_eq!(left_of(&lives), 120_000 + 12_000, "the longest life that is possible");
        // A walk that began before any reading says nothing of it.
        let mut clock = SourceClock::default();
        read(&mut clock, 0, 600_000);
        clock.entry(&mortal(theirs(-105_000, 0), 120), obtained, at(-10_000), at(1_000));
        read(&mut clock, 6_000, 600_000);
        assert!(!clock.is_disbelieved(), "it may have been set forward since");
    }
}

#[test]
fn a_clock_that_is_set_is_still_believed() {
    for jump in [-600_000, -3_600_000] {
        for waits in [1_000, 6_000, 60_000] {
            let mut clock = SourceClock::default();
            read(&mut clock, 0, 600_000);
            // Set back, and an entry is written and returned before the clock is read again.
            let entry = mortal(theirs(waits, 600_000 + jump), 2);
            clock.entry(&entry, Obtained::ByKey, at(waits), at(waits));
            read(&mut clock, waits + 100, 600_000 + jump);
            read(&mut clock, waits + 5_000, 600_000 + jump);
            assert!(!clock.is_disbelieved() && clock.is_read(), "{jump}, {waits}");
            let known = clock.offset_at(at(waits + 5_000));
            assert!(known.low.unwrap() <= 600_000 + jump, "{jump}, {waits}: {known:?}");
        }
    }
}

#[test]
fn a_date_that_lies_is_not_believed_however_rarely_it_is_read() {
    let mut clock = SourceClock::default();
    read(&mut clock, 0, 600_000);
    read(&mut clock, 1_000, 600_000);
    let entry = mortal(theirs(60_000, 0), 120);
    clock.entry(&entry, Obtained::ByKey, at(61_000), at(61_000));
    read(&mut clock, 62_000, 600_000);
    assert!(clock.is_disbelieved());
}

#[test]
fn a_date_behind_new_entries_is_not_the_sources_clock() {
    const DAY: i64 = 86_400_000;
    // Written a minute after the first reading, and received a second later.
    let entry = mortal(theirs(60_000, 0), 3_600);
    let new = |clock: &mut SourceClock| {
        clock.written_since(&entry, at(1_000), at(61_000));
        clock.entry(&entry, Obtained::ByKey, at(60_990), at(61_000))
    };
    let mut clock = SourceClock::default();
    read(&mut clock, 0, -2 * DAY);
    new(&mut clock);
    assert!(!clock.is_disbelieved(), "the clock may just have been set");
    assert_eq!(read(&mut clock, 62_000, -2 * DAY), None);
    assert!(clock.is_disbelieved() && !clock.is_read());
    let known = clock.offset_at(at(61_000));
    assert_eq!((known.low, known.high), (Some(-1_000), Some(59_600)), "{known:?}");
    // An entry that is 50 minutes old has 10 left.
    let old = mortal(theirs(-3_000_000, 0), 3_600);
    let (lives, _) = clock.entry(&old, Obtained::InWalk, at(62_000), at(62_000));
    let real = 600_000 - 62_000;
    assert!((real..real + 63_000).contains(&(left_of(&lives) - 62_000)), "{lives:?}");
}

#[test]
fn a_clock_that_is_set_back_before_or_after_an_entry_is_written_is_still_believed() {
    const HOUR: i64 = 3_600_000;
    for back in [HOUR, 24 * HOUR] {
        // Written before it was set back: nothing is known of when.
        let mut clock = SourceClock::default();
        read(&mut clock, 0, -back);
        clock.entry(&mortal(theirs(-5_000, 0), 3_600), Obtained::ByKey, at(1_000), at(1_010));
        read(&mut clock, 5_000, -back);
        assert!(!clock.is_disbelieved());
        // Written, then set back, then read.
        let entry = mortal(theirs(10_000, 0), 3_600);
        let mut clock = SourceClock::default();
        read(&mut clock, 0, 0);
        read(&mut clock, 30_000, -back);
        clock.written_since(&entry, at(1_000), at(31_000));
        read(&mut clock, 32_000, -back);
        assert!(!clock.is_disbelieved(), "the readings do not agree since it was not there");
        // Set forward and read after it has come.
        let mut clock = SourceClock::default();
        read(&mut clock, 0, -back);
        clock.written_since(&entry, at(1_000), at(31_000));
        read(&mut clock, 32_000, 0);
        read(&mut clock, 33_000, 0);
        assert!(!clock.is_disbelieved());
    }
}

#[test]
fn lifetimes_are_uncertain_where_entries_are_dated_ahead_of_the_readings() {
    const DAY: i64 = 86_400_000;
    let mut clock = SourceClock::default();
    read(&mut clock, 0, -2 * DAY);
    assert_eq!(clock.offset_at(at(0)).uncertainty(), Some(999));
    let old = mortal(theirs(-3_000_000, 0), 3_600);
    assert_eq!(left(&mut clock, &old), 3_600_000, "it may have been written before a setting");
    let known = clock.offset_at(at(0));
    assert_eq!(known.most(), Some(600_999), "it is not over");
    assert!(known.uncertainty() > Some(2 * DAY as u64));
    assert_eq!((known.skew(), known.width()), (-2 * DAY + 999, Some(999)), "as the clock shows");
    // Another one narrows it.
    left(&mut clock, &mortal(theirs(-1_000, 0), 300));
    assert_eq!(clock.offset_at(at(0)).most(), Some(299_999));
    // One that contradicts it was written after another setting.
    left(&mut clock, &mortal(theirs(0, 400_000), 300));
    assert_eq!(clock.offset_at(at(0)).most(), Some(700_999));
    // A reading that is ahead of all of them leaves nothing uncertain.
    read(&mut clock, 1_000, DAY);
    assert_eq!(clock.offset_at(at(1_000)).uncertainty(), Some(999));
    // What only idles counts as well.
    let mut clock = SourceClock::default();
    read(&mut clock, 0, -2 * DAY);
    left(&mut clock, &idle(theirs(-50_000, 0), 60));
    assert_eq!(clock.offset_at(at(0)).most(), Some(10_999));
}

#[test]
fn lifetimes_are_certain_again_once_a_clock_that_was_set_back_has_passed_the_entries_that_were_ahead()
 {
    const DAYS: u32 = 30 * 86_400;
    let mut clock = SourceClock::default();
    // Written, then set back by two seconds, then read.
    read(&mut clock, 0, -2_000);
    let entry = mortal(theirs(0, 0), DAYS);
    left(&mut clock, &entry);
    let uncertain = |clock: &SourceClock, now| clock.offset_at(at(now)).uncertainty().unwrap();
    assert!(uncertain(&clock, 0) > 1_000_000_000);
    assert!(uncertain(&clock, 1_900) > 1_000_000_000, "it is not certainly there yet");
    assert!(uncertain(&clock, 3_000) < 1_100, "{clock:?}");
    for now in [500, 1_000, 3_000] {
        read(&mut clock, now, -2_000);
    }
    assert!(uncertain(&clock, 3_000) < 1_000, "{clock:?}");
    // Nothing is taken over from it by the next one that is ahead.
    let next = mortal(theirs(3_000, 0), 60);
    clock.entry(&next, Obtained::ByKey, at(3_000), at(3_000));
    assert_eq!(clock.offset_at(at(3_000)).most(), Some(60_999));
    // Of two, the newer one counts.
    let mut clock = SourceClock::default();
    read(&mut clock, 0, -2_000);
    left(&mut clock, &mortal(theirs(5_000, 0), DAYS));
    left(&mut clock, &entry);
    assert!(uncertain(&clock, 3_000) > 1_000_000_000);
    assert!(uncertain(&clock, 8_000) < 1_200, "{clock:?}");
}

#[test]
fn a_use_is_now_where_the_entry_was_asked_for_by_its_key() {
    let mut clock = SourceClock::default();
    read(&mut clock, 0, 0);
    assert_eq!(left(&mut clock, &idle(theirs(-9_000, 0), 10)), 10_000);
    let (lives, _) = clock.entry(&idle(theirs(-9_000, 0), 10), Obtained::InWalk, at(0), at(0));
    assert!((1_000..=1_999).contains(&left_of(&lives)), "{lives:?}");
}

#[test]
fn a_jump_is_counted_once_with_its_direction() {
    for jump in [10_000, -10_000, 3_600_000, -3_600_000] {
        let mut clock = SourceClock::default();
        read(&mut clock, 0, 0);
        let seen = read(&mut clock, 1_000, jump).unwrap();
        assert!((seen.millis - jump).abs() <= 2_000, "{seen:?} of {jump}");
        assert_eq!(seen.millis.signum(), jump.signum());
        assert_eq!(read(&mut clock, 2_000, jump), None);
        assert_eq!(clock.jumps(), 1);
        let known = clock.offset_at(at(2_000));
        assert!(known.low.unwrap() <= jump && known.high.unwrap() >= jump);
    }
    let mut clock = SourceClock::default();
    read(&mut clock, 0, 0);
    assert_eq!(read(&mut clock, 1_000, 500), None, "clocks that are slewed do not jump");
}

#[test]
fn a_lifespan_is_surely_over_once_the_sources_clock_has_passed_its_end() {
    let mut clock = SourceClock::default();
    let entry = mortal(theirs(-1_000, 600_000), 2);
    assert_eq!(over([&clock], at(0)), None);
    read(&mut clock, 0, 600_000);
    let (lives, _) = clock.entry(&entry, Obtained::ByKey, at(0), at(0));
    let end = lives.created.unwrap().after(lives.expiration.lifespan.unwrap());
    assert!(over([&clock], at(0)).unwrap() < end);
    read(&mut clock, 1_900, 600_000);
    assert!(over([&clock], at(1_900)).unwrap() < end, "whole seconds may have been cut off");
    read(&mut clock, 4_000, 600_000);
    assert!(over([&clock], at(4_000)).unwrap() > end);
    let unknown = SourceClock::default();
    assert_eq!(over([&clock, &unknown], at(4_000)), None, "one clock is not known");
    read(&mut clock, 5_000, -3_000_000);
    assert_eq!(over([&clock], at(5_000)), None, "set back, it may have it still");
    read(&mut clock, 6_000, 600_000);
    assert_eq!(over([&clock], at(6_000)), None, "or two servers answer in turn under one address");
}

#[test]
fn a_clock_that_cannot_be_read_any_more_is_taken_to_go_on() {
    for offset in OFFSETS {
        let mut clock = SourceClock::default();
        assert_eq!(over([&clock], at(0)), None, "it was never read");
        read(&mut clock, 0, offset);
        let entry = mortal(theirs(-1_000, offset), 600);
        let (lives, _) = clock.entry(&entry, Obtained::ByKey, at(0), at(0));
        let end = lives.created.unwrap().after(lives.expiration.lifespan.unwrap());
        assert!(over([&clock], at(599_000)).unwrap() < end, "{offset}");
        // Clocks drift apart.
        assert!(over([&clock], at(601_000)).unwrap() < end, "{offset}");
        assert!(over([&clock], at(610_000)).unwrap() > end, "{offset}");
        assert_eq!(over([&clock, &SourceClock::default()], at(610_000)), None);
    }
}

#[test]
fn before_the_first_entry_the_clocks_difference_does_not_count_as_time_that_has_passed() {
    for offset in OFFSETS {
        let mut clock = SourceClock::default();
        read(&mut clock, 0, offset);
        let before = over([&clock], at(0)).unwrap();
        assert!(before <= at(0), "{offset}: {before:?}");
        for obtained in [Obtained::InWalk, Obtained::ByKey] {
            let entry = mortal(theirs(-500, offset), 1);
            let (lives, _) = clock.entry(&entry, obtained, at(0), at(0));
            let end = lives.created.unwrap().after(lives.expiration.lifespan.unwrap());
            assert!(end >= before, "{offset}: it lives, and counts as over");
        }
    }
}

#[test]
fn an_entry_that_ends_while_its_answer_is_on_the_way_gets_no_second_life() {
    let mut clock = SourceClock::default();
    read(&mut clock, 0, 0);
    // Half a second is left of an hour when it is asked for, and the answer takes five.
    let entry = mortal(theirs(-3_599_500, 0), 3_600);
    let (lives, jump) = clock.entry(&entry, Obtained::ByKey, at(0), at(5_000));
    assert!(left_of(&lives) <= 500 + 999, "{lives:?}");
    assert_eq!(jump, None);
    // One that was over long before it was asked for, and was returned: the clocks are wrong.
    let entry = mortal(theirs(-7_200_000, 0), 3_600);
    let (lives, _) = clock.entry(&entry, Obtained::ByKey, at(0), at(5_000));
    assert_eq!(left_of(&lives), 3_605_000);
}

#[test]
fn nothing_overflows() {
    let extremes = [0, 1, u64::MAX / 2, u64::MAX];
    for created in extremes {
        for date in extremes {
            let mut clock = SourceClock::default();
            for seconds in [0, u32::MAX] {
                let reported = Reported {
                    lifespan: Some((created, seconds)),
                    max_idle: Some((created, seconds)),
                };
                for obtained in [Obtained::ByKey, Obtained::InWalk] {
                    clock.entry(&reported, obtained, at(0), at(0));
                    clock.read(date, at(0), at(1));
                    clock.offset_at(at(2)).uncertainty();
                    clock.best_reading(at(2));
                    over([&clock], Timestamp::from_millis(u64::MAX));
                }
            }
        }
    }
}
