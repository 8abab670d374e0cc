//! What is taken is counted and given back; connections that wait are let in or closed.

use futures_util::FutureExt;

use super::*;

fn peer() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

fn budget(bytes: u64) -> Arc<Budget> {
    Budget::new(bytes, None, Timestamp::from_millis(5_000))
}

#[tokio::test]
async fn only_what_is_beyond_the_free_bytes_of_each_connection_is_counted() {
    let budget = budget(1_000);
    let (one, other) = (budget.share(peer()), budget.share(peer()));
    let (mut read, mut written, mut others) = (one.charge(), one.charge(), other.charge());
    read.set(FREE - 100);
    others.set(FREE);
    assert_eq!(budget.used(), 0);
    written.set(300);
    assert_eq!(budget.used(), 200, "both parts of a connection share what is free");
    read.set(FREE);
    assert_eq!((budget.used(), written.bytes()), (300, 300));
    assert!(one.has_room(700) && !one.has_room(701));
    let reserved = one.reserve(400).await.unwrap();
    assert_eq!(budget.used(), 700);
    written.merge(reserved);
    assert_eq!((written.bytes(), budget.used()), (700, 700));
    drop(written);
    assert_eq!(budget.used(), 0);
    read.set(0);
    assert!(one.has_room(FREE), "nobody has to ask for what is free");
    drop((read, one));
    assert_eq!((budget.used(), budget.connections()), (0, 1));
}

#[tokio::test]
async fn what_never_fits_is_refused_at_once() {
    let budget = budget(1_000);
    let share = budget.share(peer());
    assert_eq!(share.reserve(501).await.unwrap_err(), NoRoom::TooLarge { most: 500 });
    let mut charge = share.charge();
    charge.set(400);
    assert_eq!(charge.grow_to(501).await, Err(NoRoom::TooLarge { most: 500 }));
    assert_eq!(charge.grow_to(500).await, Ok(()));
    assert_eq!((charge.grow_to(300).await, charge.bytes()), (Ok(()), 500));
}

#[tokio::test]
async fn a_connection_that_waits_for_room_goes_on_once_there_is_some() {
    let budget = budget(1_000);
    let (one, other) = (budget.share(peer()), budget.share(peer()));
    let mut charge = one.charge();
    charge.set(FREE + 900);
    let mut mine = other.charge();
    mine.set(FREE);
    let waiting = tokio::spawn(async move { other.reserve(200).await.map(|got| got.bytes()) });
    let wanted = || budget.connections.lock().values().map(|one| one.seen().wanted).sum::<u64>();
    while wanted() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((wanted(), budget.used()), (200, 900));
    budget.enforce(Timestamp::from_millis(5_500));
    charge.set(FREE + 800);
    assert_eq!(waiting.await.unwrap(), Ok(200));
    assert_eq!(wanted(), 0);
}

#[tokio::test]
async fn a_connection_without_progress_is_closed_and_makes_room_for_others() {
    let budget = budget(1_000);
    let (one, other) = (budget.share(peer()), budget.share(peer()));
    let mut charge = one.charge();
    charge.set(FREE + 1_000);
    one.does(Doing::Sending);
    let mut mine = other.charge();
    mine.set(FREE);
    let at = |millis| budget.enforce(Timestamp::from_millis(millis));
    at(7_000);
    other.moved();
    assert!(!one.connection_is_closed(), "they take no more than they may");
    let closing = async {
        tokio::task::yield_now().await;
        at(7_100);
        one.closed().await;
        assert_eq!(one.reserve(1).await.unwrap_err(), NoRoom::Closed);
        drop(charge);
    };
    let (room, ()) = tokio::join!(other.reserve(500), closing);
    assert_eq!(room.unwrap().bytes(), 500);
    assert!(!other.connection_is_closed());
    let closed: Vec<_> = budget.closed().filter(|(_, closed)| *closed > 0).collect();
    assert_eq!(closed, [("memory", 1)]);
}

#[tokio::test]
async fn a_byte_now_and_then_is_no_progress() {
    let budget = budget(1_000);
    let share = budget.share(peer());
    let at = |millis| budget.enforce(Timestamp::from_millis(millis));
    share.does(Doing::Receiving);
    at(30_000);
    share.passed(FREE - 1);
    assert_eq!(share.moved_at(), 5_000);
    share.passed(1);
    assert_eq!(share.moved_at(), 30_000);
    at(60_000);
    share.passed(FREE - 1);
    at(60_001);
    assert!(share.connection_is_closed(), "30 s later");

    let share = budget.share(peer());
    share.does(Doing::Working);
    share.does(Doing::Receiving);
    at(70_000);
    share.does(Doing::Sending);
    share.does(Doing::Receiving);
    assert_eq!(share.moved_at(), 60_001, "small requests beside a large one do not help it");
    share.does(Doing::Working);
    assert_eq!(share.moved_at(), 70_000);
}

#[tokio::test]
async fn one_that_has_waited_for_long_comes_before_smaller_ones() {
    let budget = budget(1_000);
    let share = || budget.share(peer());
    let (holder, large, small) = (share(), share(), share());
    let mut held = holder.charge();
    held.set(FREE + 700);
    let mut charges = [&large, &small].map(|share| share.charge());
    charges.iter_mut().for_each(|charge| charge.set(FREE));
    let at = |millis| budget.enforce(Timestamp::from_millis(millis));
    let story = async {
        tokio::task::yield_now().await;
        let none = small.reserve(100).await.unwrap();
        drop(none);
        at(6_001);
        assert!(
            small.reserve(100).now_or_never().is_none(),
            "it would take what the other waits for"
        );
        assert!(holder.reserve(100).now_or_never().is_some(), "one that takes something goes on");
        held.set(FREE);
    };
    let (got, ()) = tokio::join!(large.reserve(400), story);
    assert_eq!(got.unwrap().bytes(), 400);
    assert!(small.reserve(100).now_or_never().is_some(), "nobody waits any more");
}

#[tokio::test]
async fn a_wait_for_room_does_not_count_as_silence_of_the_peer() {
    let budget = budget(40_000);
    let (one, other) = (budget.share(peer()), budget.share(peer()));
    let mut charge = one.charge();
    charge.set(FREE + 40_000);
    one.does(Doing::Working);
    other.does(Doing::Receiving);
    let going_on = async {
        for millis in [20_000, 40_000] {
            budget.enforce(Timestamp::from_millis(millis));
            tokio::task::yield_now().await;
        }
        drop(charge);
    };
    let (reserved, ()) = tokio::join!(other.reserve(FREE + 1), going_on);
    budget.enforce(Timestamp::from_millis(50_000));
    assert!(reserved.is_ok() && !other.connection_is_closed());
    budget.enforce(Timestamp::from_millis(70_001));
    assert!(other.connection_is_closed(), "its peer has had 30 s since");
}

#[tokio::test]
async fn what_a_connection_waits_for_is_the_largest_of_its_waits() {
    let budget = budget(1_000);
    let (one, other) = (budget.share(peer()), budget.share(peer()));
    let (mut held, mut mine) = (one.charge(), other.charge());
    held.set(FREE + 1_000);
    mine.set(FREE);
    let seen = || {
        let connections = budget.connections.lock();
        connections.values().map(|one| one.seen()).find(|seen| seen.bytes == 0).unwrap()
    };
    let at = |millis| budget.enforce(Timestamp::from_millis(millis));
    let mut waits = [100, 300, 300, 200].map(|bytes| Box::pin(other.reserve(bytes)));
    for wait in &mut waits {
        assert!(wait.now_or_never().is_none());
    }
    let [small, large, same, last] = waits;
    assert_eq!((seen().wanted, seen().since), (300, 5_000));
    at(5_100);
    drop(large);
    assert_eq!((seen().wanted, seen().since), (300, 5_100), "its turn is over");
    drop(same);
    assert_eq!(seen().wanted, 200);
    drop((small, last));
    assert_eq!(seen().wanted, 0);
}

#[tokio::test]
async fn nobody_goes_for_what_a_closed_connection_has_not_given_back_yet() {
    let budget = budget(1_000);
    let shares = [(); 3].map(|()| budget.share(peer()));
    let mut charges = shares.each_ref().map(|share| share.charge());
    for (share, charge) in shares.iter().zip(&mut charges) {
        share.does(Doing::Receiving);
        charge.set(FREE + 400);
    }
    let closed = || shares.iter().filter(|share| share.connection_is_closed()).count();
    for millis in [7_000, 7_100, 7_200] {
        budget.enforce(Timestamp::from_millis(millis));
        assert_eq!(closed(), 1, "the others fit");
    }
    let waits = budget.share(peer());
    let mut mine = waits.charge();
    mine.set(FREE);
    let mut wait = Box::pin(waits.reserve(300));
    assert!((&mut wait).now_or_never().is_none());
    budget.enforce(Timestamp::from_millis(7_300));
    assert_eq!(closed(), 2, "one more takes what is wanted");
}

#[tokio::test]
async fn one_that_is_held_up_by_its_peer_does_not_keep_others_out() {
    let budget = budget(1_000);
    let share = || budget.share(peer());
    let (slow, holder, other) = (share(), share(), share());
    let mut charges = [&slow, &holder, &other].map(|share| share.charge());
    charges.iter_mut().for_each(|charge| charge.set(FREE));
    let held = holder.reserve(500).await.unwrap();
    let more = holder.reserve(500).await.unwrap();
    let mut wait = Box::pin(slow.reserve(400));
    assert!((&mut wait).now_or_never().is_none());
    drop((held, more));
    let at = |millis| budget.enforce(Timestamp::from_millis(millis));
    at(6_001);
    assert!(other.reserve(100).now_or_never().is_none(), "the other one comes first");
    let held_up = slow.hold_up();
    at(6_101);
    assert!(other.reserve(100).now_or_never().is_some(), "there is room");
    drop(held_up);
    at(6_201);
    assert!(other.reserve(100).now_or_never().is_none(), "it can take its turn again");
    assert!(wait.now_or_never().is_some());
}
