//! Which connections go, and which stay.

use super::*;

const MINUTE: u64 = 60_000;

fn seen(bytes: u64, moved: u64, doing: Doing) -> Seen {
    Seen { bytes, moved, doing, wanted: 0, since: 0, is_held_up: false, is_reserved: false }
}

fn going(all: &[Seen], limit: u64, idle: Option<Duration>, now: u64) -> Vec<(usize, Reason)> {
    let used = all.iter().map(|seen| seen.bytes).sum();
    judge(all, used, Limits { bytes: limit, idle }, now)
}

fn places(all: &[Seen], limit: u64, now: u64) -> Vec<usize> {
    let going = going(all, limit, None, now);
    assert!(going.iter().all(|(_, reason)| *reason == Reason::Memory), "{going:?}");
    going.iter().map(|(place, _)| *place).collect()
}

#[test]
fn the_longest_without_progress_go_first_and_no_more_than_need_be() {
    let all = [
        seen(50, 5_000, Doing::Sending),
        seen(50, 1_000, Doing::Receiving),
        seen(0, 0, Doing::Nothing),
        seen(50, 3_000, Doing::Nothing),
        seen(50, 9_500, Doing::Receiving),
        seen(50, 0, Doing::Working),
    ];
    let places = |limit| places(&all, limit, 10_000);
    assert!(places(250).is_empty(), "it is just enough");
    assert_eq!(places(249), [1]);
    assert_eq!(places(151), [1, 3]);
    assert_eq!(
        places(0),
        [1, 3, 0],
        "the others have moved, take nothing, or have to be carried out"
    );
}

#[test]
fn connections_that_wait_for_room_go_last_and_room_is_made_for_one_at_a_time() {
    let waits = |moved, wanted| Seen { wanted, since: moved, ..seen(50, moved, Doing::Receiving) };
    let all = [waits(0, 50), seen(50, 8_000, Doing::Receiving), seen(50, 7_000, Doing::Sending)];
    assert_eq!(places(&all, 200, 10_000), [] as [usize; 0]);
    assert_eq!(places(&all, 199, 10_000), [2]);
    assert_eq!(places(&all, 101, 10_000), [2, 1]);
    assert_eq!(places(&all, 99, 10_000), [2, 1, 0]);
    let more = [all[0], all[1], all[2], waits(0, 40), waits(0, 50)];
    assert_eq!(places(&more, 299, 10_000), [2], "not 140 bytes");
    assert_eq!(going(&[waits(0, 1)], 60, None, 2 * MINUTE), [], "its peer is not to blame");
    let answer = Seen { wanted: 50, ..seen(50, 0, Doing::Working) };
    assert_eq!(places(&[answer], 99, 10_000), [0], "nobody else can give way");
}

#[test]
fn the_longer_others_wait_the_less_silence_is_needed() {
    let held = |silence: u64| seen(100, 10_000 - silence, Doing::Receiving);
    let all = |silence: u64, waited: u64| {
        let waits = Seen { wanted: 1, since: 10_000 - waited, ..seen(0, 10_000, Doing::Working) };
        places(&[held(silence), waits], 100, 10_000)
    };
    assert_eq!(all(1_000, 0), [] as [usize; 0]);
    assert_eq!(all(1_001, 0), [0]);
    assert_eq!(all(900, 800), [] as [usize; 0]);
    assert_eq!(all(901, 800), [0]);
    assert_eq!(all(250, 10_000), [] as [usize; 0], "who is seen to go on is left alone");
    assert_eq!(all(251, 10_000), [0]);
}

#[test]
fn the_one_that_has_waited_longest_comes_first_after_a_second() {
    let waits = |since| Seen { wanted: 1, since, ..seen(0, 0, Doing::Receiving) };
    let all = [seen(9, 0, Doing::Sending), waits(6_000), waits(5_000), waits(5_500)];
    assert_eq!(first(&all, 6_000), None);
    assert_eq!(first(&all, 6_001), Some(2));
    assert_eq!(first(&all[..1], 60_000), None);
}

#[test]
fn one_that_is_held_up_by_its_peer_neither_comes_first_nor_has_room_made_for_it() {
    let wants = |wanted, since| Seen { wanted, since, ..seen(0, 10_000, Doing::Working) };
    let held_up =
        Seen { wanted: 80, since: 0, is_held_up: true, ..seen(20, 5_000, Doing::Sending) };
    assert_eq!(first(&[held_up], 10_000), None);
    assert_eq!(first(&[held_up, wants(1, 5_000)], 10_000), Some(1));
    let holder = |moved| seen(80, moved, Doing::Receiving);
    assert_eq!(places(&[held_up, holder(0)], 100, 10_000), [] as [usize; 0]);
    assert_eq!(places(&[held_up, holder(0), wants(1, 10_000)], 100, 10_000), [1]);
    assert_eq!(
        places(&[held_up, holder(9_500), wants(1, 10_000)], 100, 10_000),
        [0],
        "the wait of one that is held up does not make the silence shorter that others may keep"
    );
    assert_eq!(
        places(&[holder(6_000), held_up], 99, 10_000),
        [1],
        "it goes as those do that do not wait"
    );
}

#[test]
fn each_silence_has_its_own_end() {
    let at = |doing, silence| going(&[seen(0, MINUTE, doing)], 9, None, MINUTE + silence);
    assert_eq!(at(Doing::Receiving, 30_000), []);
    assert_eq!(at(Doing::Receiving, 30_001), [(0, Reason::Request)]);
    assert_eq!(at(Doing::Sending, 60_000), []);
    assert_eq!(at(Doing::Sending, 60_001), [(0, Reason::Answer)]);
    assert_eq!(at(Doing::Working, 10 * MINUTE), [], "it is for us to go on");
    assert_eq!(at(Doing::Nothing, 10 * MINUTE), []);
    let reserved = |doing, silence| {
        let seen = Seen { is_reserved: true, ..seen(0, MINUTE, doing) };
        going(&[seen], 9, None, MINUTE + silence)
    };
    assert_eq!(reserved(Doing::Sending, 5_000), []);
    assert_eq!(reserved(Doing::Sending, 5_001), [(0, Reason::Answer)]);
    assert_eq!(reserved(Doing::Receiving, 5_001), [(0, Reason::Request)]);
    assert_eq!(reserved(Doing::Working, 10 * MINUTE), [], "a synchronization may take as long");
    let idle = Some(Duration::from_secs(90));
    let all = [seen(0, 0, Doing::Nothing), seen(0, 0, Doing::Working)];
    assert_eq!(going(&all, 9, idle, 90_000), []);
    assert_eq!(going(&all, 9, idle, 90_001), [(0, Reason::Idle)]);
}

#[test]
fn what_overdue_connections_give_back_need_not_be_taken_from_others() {
    let all = [seen(50, 0, Doing::Receiving), seen(50, 40_000, Doing::Receiving)];
    let limits = Limits { bytes: 50, idle: None };
    assert_eq!(judge(&all, 100, limits, 45_000), [(0, Reason::Request)]);
}

#[test]
fn a_number_is_what_it_was_made_of() {
    for doing in [Doing::Nothing, Doing::Receiving, Doing::Working, Doing::Sending] {
        assert_eq!(Doing::from(doing as u8), doing);
    }
}
