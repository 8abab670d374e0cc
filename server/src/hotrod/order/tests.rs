//! Orders that must be kept, and waits that must end.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use config::{CacheConfig, CacheMode};
use migrate::{Silences, Turn};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use store::{Cache, ConnectionId, MemoryLimit, Timestamp, VersionKey};
use tokio::time::Instant;

use super::*;

const CACHE: CacheId = CacheId(1);

fn claim(keys: Keys, access: Access) -> Claim {
    Claim { cache: CACHE, keys, access }
}

fn read(key: u64) -> Option<Claim> {
    Some(claim(Keys::One(key), Access::Read))
}

fn change(key: u64) -> Option<Claim> {
    Some(claim(Keys::One(key), Access::Change))
}

fn all(access: Access) -> Option<Claim> {
    Some(claim(Keys::All, access))
}

/// Defers requests, each of which is expected to start at once or not.
fn deferred<const N: usize>(requests: [(Option<Claim>, bool); N]) -> (Order, [Ticket; N]) {
    let mut order = Order::default();
    let tickets = requests.map(|(claim, starts)| {
        let (ticket, ready) = order.defer(claim.clone());
        assert_eq!(ready, starts, "{claim:?}");
        ticket
    });
    (order, tickets)
}

#[test]
fn changes_of_one_key_run_one_after_the_other_in_the_order_they_came() {
    let (mut order, [first, second, third]) =
        deferred([(change(1), true), (change(1), false), (change(1), false)]);
    assert_eq!(order.finish(first), [second]);
    assert_eq!(order.finish(second), [third]);
    assert_eq!(order.finish(third), []);
    assert!(order.is_empty() && order.lanes.is_empty());
}

#[test]
fn a_request_that_claims_many_keys_is_waited_for_once() {
    let many = Some(claim(Keys::Some((0..1_000).collect()), Access::Change));
    let (mut order, [first, walk, again]) =
        deferred([(many.clone(), true), (all(Access::Follow), false), (many, false)]);
    assert_eq!(
        order.requests[&first].blocks,
        [walk, again],
        "memory for each request, not each key"
    );
    assert_eq!(order.finish(first), [walk, again]);
    assert_eq!((order.finish(walk), order.finish(again)), (vec![], vec![]));
    assert!(order.is_empty() && order.lanes.is_empty());
}

#[test]
fn reads_of_one_key_share_it_and_a_change_waits_for_all_of_them() {
    let (mut order, [first, one, other, last]) =
        deferred([(change(1), true), (read(1), false), (read(1), false), (change(1), false)]);
    assert_eq!(order.finish(first), [one, other]);
    assert_eq!(order.finish(other), []);
    assert_eq!(order.finish(one), [last]);
}

#[test]
fn a_read_does_not_pass_a_change_that_waits_for_another_read() {
    let (mut order, [first, second, third]) =
        deferred([(read(1), true), (change(1), false), (read(1), false)]);
    assert!(order.would_overtake(&claim(Keys::One(1), Access::Read)));
    assert_eq!(order.finish(first), [second]);
    assert_eq!(order.finish(second), [third]);
}

#[test]
fn other_keys_and_other_caches_wait_for_nobody() {
    let (order, _) = deferred([(change(1), true), (change(2), true), (None, true)]);
    assert!(!order.would_overtake(&claim(Keys::One(3), Access::Change)));
    let elsewhere = Claim { cache: CacheId(2), ..claim(Keys::All, Access::Change) };
    assert!(!order.would_overtake(&elsewhere));
}

#[test]
fn many_keys_wait_for_each_of_them_and_are_waited_for_at_each() {
    let some = |keys: &[u64]| Some(claim(Keys::Some(keys.to_vec()), Access::Change));
    let (mut order, [one, many, three, four]) = deferred([
        (change(1), true),
        // One key twice: it does not wait for itself.
        (some(&[3, 1, 2, 3]), false),
        (read(3), false),
        (change(4), true),
    ]);
    assert_eq!(order.finish(four), []);
    assert_eq!(order.finish(one), [many]);
    assert_eq!(order.finish(many), [three]);
}

#[test]
fn a_clear_waits_for_everything_before_it_and_holds_back_everything_after_it() {
    let (mut order, [one, two, clear, three, size]) = deferred([
        (change(1), true),
        (read(2), true),
        (all(Access::Change), false),
        (read(3), false),
        (all(Access::Read), false),
    ]);
    assert_eq!(order.finish(one), []);
    assert_eq!(order.finish(two), [clear]);
    assert_eq!(order.finish(clear), [three, size]);
    let change = claim(Keys::One(9), Access::Change);
    assert!(order.would_overtake(&change), "the size is not known yet");
    assert!(!order.would_overtake(&claim(Keys::One(9), Access::Read)));
    assert_eq!(order.finish(size), []);
    assert!(!order.would_overtake(&change));
}

#[test]
fn an_iteration_follows_earlier_changes_and_holds_back_nobody() {
    let (mut order, [put, start, _]) =
        deferred([(change(1), true), (all(Access::Follow), false), (change(2), true)]);
    assert_eq!(order.finish(put), [start]);
    let (order, _) = deferred([(all(Access::Follow), true)]);
    assert!(!order.would_overtake(&claim(Keys::All, Access::Change)));
}

#[test]
fn very_many_keys_are_remembered_as_the_whole_cache() {
    let many = |from: u64| {
        let keys = (from..from + MOST_KEYS as u64 / 2 + 1).collect();
        Some(claim(Keys::Some(keys), Access::Change))
    };
    let (mut order, [one, other]) = deferred([(many(0), true), (many(1 << 32), false)]);
    assert!(order.named <= MOST_KEYS);
    assert_eq!(order.finish(one), [other]);
    assert_eq!(order.finish(other), []);
    assert_eq!((order.named, order.lanes.len()), (0, 0));
}

#[test]
fn many_reads_of_a_whole_cache_do_not_make_every_change_remember_each_of_them() {
    let mut order = Order::default();
    let reads: Vec<_> = (0..100).map(|_| order.defer(all(Access::Read)).0).collect();
    let (put, _) = order.defer(change(1));
    let edges: usize = order.requests.values().map(|request| request.blocks.len()).sum();
    assert!(edges < 300, "{edges}");
    let mut ready = Vec::new();
    for read in reads {
        ready.extend(order.finish(read));
    }
    assert!(ready.contains(&put));
}

/// A request of the random test: its claim, and whether it has started.
struct Sent {
    ticket: Ticket,
    claim: Claim,
    started: bool,
}

fn overlap(one: &Claim, other: &Claim) -> bool {
    one.cache == other.cache
        && match (&one.keys, &other.keys) {
            (Keys::All, _) | (_, Keys::All) => true,
            _ => one.each().any(|key| other.each().any(|other| other == key)),
        }
}

/// Returns whether `later` has to wait for `earlier`.
fn must_follow(earlier: &Claim, later: &Claim) -> bool {
    let conflict = match (earlier.access, later.access) {
        (Access::Follow, _) | (Access::Read, Access::Read | Access::Follow) => false,
        (Access::Read | Access::Change, Access::Change) | (Access::Change, _) => true,
    };
    conflict && overlap(earlier, later)
}

fn random_claim(random: &mut StdRng) -> Claim {
    let cache = CacheId(random.random_range(0..2));
    let keys = match random.random_range(0..12) {
        0 => Keys::All,
        1..4 => {
            let count = random.random_range(1..6);
            Keys::Some((0..count).map(|_| random.random_range(0..8)).collect())
        }
        _ => Keys::One(random.random_range(0..8)),
    };
    let access = match random.random_range(0..20) {
        0 if keys == Keys::All => Access::Follow,
        0..11 => Access::Read,
        _ => Access::Change,
    };
    Claim { cache, keys, access }
}

#[test]
fn whatever_finishes_first_the_order_of_each_key_is_kept_and_everybody_has_a_turn() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seed.map_or(0..500, |seed| seed..seed + 1) {
        run(seed);
    }
}

/// Sends random requests, finishes those that have started in a random order, and checks at each start
/// that exactly the requests it must follow are gone.
fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut order = Order::default();
    let mut sent: Vec<Sent> = Vec::new();
    let mut left = 300;
    while left > 0 || !sent.is_empty() {
        if left > 0 && sent.len() < 40 && random.random_bool(0.55) {
            left -= 1;
            let claim = random_claim(&mut random);
            let waits = sent.iter().any(|older| must_follow(&older.claim, &claim));
            assert_eq!(order.would_overtake(&claim), waits, "seed {seed}: {claim:?}");
            let (ticket, ready) = order.defer(Some(claim.clone()));
            assert_eq!(ready, !waits, "seed {seed}: {claim:?}");
            sent.push(Sent { ticket, claim, started: ready });
        } else {
            let running: BTreeSet<_> = sent
                .iter()
                .filter(|request| request.started)
                .map(|request| request.ticket)
                .collect();
            let Some(&ticket) = running.iter().choose(&mut random) else {
                assert!(sent.is_empty(), "seed {seed}: {} requests wait for ever", sent.len());
                continue;
            };
            sent.retain(|request| request.ticket != ticket);
            for ready in order.finish(ticket) {
                start(&mut sent, ready, seed);
            }
        }
        assert_eq!(order.len(), sent.len());
    }
    assert!(order.is_empty() && order.lanes.is_empty() && order.named == 0, "seed {seed}");
}

fn start(sent: &mut [Sent], ready: Ticket, seed: u64) {
    let at = sent.iter().position(|request| request.ticket == ready).expect("a known request");
    let (older, rest) = sent.split_at_mut(at);
    let request = &mut rest[0];
    assert!(!request.started, "seed {seed}: it starts twice");
    request.started = true;
    let overtaken = older.iter().find(|older| must_follow(&older.claim, &request.claim));
    assert!(overtaken.is_none(), "seed {seed}: {:?} overtakes", request.claim);
}

/// How long each request waits for a source that says nothing.
const PATIENCE: Duration = Duration::from_millis(1_500);

const CONNECTION: ConnectionId = ConnectionId(1);

/// Requests of one connection about few keys, of which only a source knows that says nothing.
struct Unanswered {
    seed: u64,
    /// Most time that one of them may take.
    most: Duration,
    order: Order,
    cache: Arc<Cache>,
    silences: Arc<Silences>,
    /// All that were sent and have not ended: what they are about, and when they came.
    sent: HashMap<Ticket, (Option<u64>, Turn, Instant)>,
    /// Those that have started: when they end, and whether they have asked.
    started: Vec<(Instant, Ticket, bool)>,
    /// Until when the source is being asked for a key; for its size without one.
    asked_until: HashMap<Option<u64>, Instant>,
    questions: usize,
}

impl Unanswered {
    fn new(seed: u64, most: Duration) -> Self {
        let config = Arc::new(CacheConfig::new(CacheMode::Local));
        let (memory, now) = (MemoryLimit::unlimited(), Timestamp::from_millis(1));
        let cache = Cache::new("c".parse().unwrap(), config, VersionKey::new(1), memory, now);
        Self {
            seed,
            most,
            order: Order::default(),
            cache: Arc::new(cache),
            silences: Arc::default(),
            sent: HashMap::new(),
            started: Vec::new(),
            asked_until: HashMap::new(),
            questions: 0,
        }
    }

    fn send(&mut self, key: Option<u64>, access: Access) {
        let claim = claim(key.map_or(Keys::All, Keys::One), access);
        let (ticket, starts) = self.order.defer(Some(claim));
        self.sent.insert(ticket, (key, Turn::begin(&self.silences), Instant::now()));
        if starts {
            self.start(ticket);
        }
    }

    fn start(&mut self, ticket: Ticket) {
        let (key, turn, _) = &self.sent[&ticket];
        let (now, bytes) = (Instant::now(), key.map(u64::to_be_bytes));
        let bytes = bytes.as_ref().map(|bytes| &bytes[..]);
        if turn.heard_nothing(&self.cache, bytes, CONNECTION) {
            return self.started.push((now, ticket, false));
        }
        // Whoever comes while it is being asked waits for the same answer.
        let until = self.asked_until.entry(*key).or_insert(now);
        if *until <= now {
            (*until, self.questions) = (now + PATIENCE, self.questions + 1);
        }
        self.started.push((*until, ticket, true));
    }

    /// Lets time pass, and ends the requests whose time comes.
    async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(next) = self.started.iter().min().copied().filter(|next| next.0 <= until) {
            tokio::time::advance(next.0 - Instant::now()).await;
            self.started.retain(|other| *other != next);
            self.end(next.1, next.2);
        }
        tokio::time::advance(until - Instant::now()).await;
    }

    fn end(&mut self, ticket: Ticket, asked: bool) {
        let (key, turn, sent) = self.sent.remove(&ticket).unwrap();
        let (seed, bytes) = (self.seed, key.map(u64::to_be_bytes));
        if asked {
            turn.note(&self.cache, bytes.as_ref().map(|bytes| &bytes[..]), CONNECTION);
        }
        assert!(sent.elapsed() <= self.most, "seed {seed}: {key:?} took {:?}", sent.elapsed());
        for ready in self.order.finish(ticket) {
            self.start(ready);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_says_nothing_is_waited_for_once_by_all_that_wait_for_each_other() {
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut unanswered = Unanswered::new(seed, PATIENCE);
        for _ in 0..200 {
            let access = if random.random_bool(0.3) { Access::Read } else { Access::Change };
            unanswered.send(Some(random.random_range(0..4)), access);
            unanswered.pass(Duration::from_millis(random.random_range(0..100))).await;
        }
        unanswered.pass(PATIENCE).await;
        assert!(unanswered.order.is_empty() && unanswered.sent.is_empty(), "seed {seed}");
        let questions = unanswered.questions;
        unanswered.send(Some(0), Access::Change);
        assert_eq!(unanswered.questions, questions + 1, "the source may be back");
    }
}

#[tokio::test(start_paused = true)]
async fn sizes_and_changes_in_turn_do_not_add_up_what_they_wait_for() {
    // The first change waits for its key, and the first size for itself behind it.
    let mut unanswered = Unanswered::new(0, 2 * PATIENCE);
    for _ in 0..50 {
        unanswered.send(Some(1), Access::Change);
        unanswered.send(None, Access::Read);
    }
    unanswered.pass(2 * PATIENCE).await;
    assert!(unanswered.sent.is_empty());
    assert_eq!(unanswered.questions, 2);
}
