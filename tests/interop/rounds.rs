//! Rounds of a migration in random steps, with real processes, while clients work: the source is reached under
//! several names, clocks are apart and are set, the target is killed and started again, the source stands
//! still. After each answer, and at the end of each round, every key is what it may be by all answers so far:
//! nothing that was acknowledged is lost, nothing that was removed comes back, lives end when they must, and
//! verdicts are true.
//!
//! One short round runs with all other tests. `ROUNDS` asks for more of them, `SECONDS` for longer ones, `SEED`
//! for one that was printed before, and `SOURCE=infinispan` for a real source. A seed gives the same steps and the
//! same commands, but not the same moments.

mod clients;
mod operator;
mod servers;
mod truth;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinSet, time::Instant};

use self::{
    clients::{Shared, Worker},
    operator::{AHEAD, CACHE, Operator, fill},
    servers::{Source, Target},
};
use crate::harness::{OCTETS, note};

/// Keys of a round.
const KEYS: usize = 400;

/// Most milliseconds that may be unknown of the source's clock, which answers whenever its status is looked at.
const MOST_UNKNOWN: u64 = 2_000;

/// Clients that work at the same time.
const CLIENTS: usize = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn random_steps_lose_nothing_and_bring_nothing_back() {
    let rounds = number("ROUNDS").unwrap_or(1);
    let first = number("SEED").unwrap_or(1);
    let length = Duration::from_secs(number("SECONDS").unwrap_or(12));
    for seed in first..first + rounds {
        note(format_args!("round with SEED={seed}"));
        round(seed, length).await;
    }
}

async fn round(seed: u64, length: Duration) {
    let mut random = StdRng::seed_from_u64(seed);
    let is_real = std::env::var("SOURCE").is_ok_and(|source| source == "infinispan");
    let source = Source::start(is_real, CACHE, AHEAD[random.random_range(0..AHEAD.len())]).await;
    let ahead = AHEAD[random.random_range(0..AHEAD.len())];
    let target = Target::start(ahead).await;
    target.process.rest.post(&format!("/rest/v2/caches/{CACHE}"), OCTETS).await.with(200);
    let keys = fill(&source.cache(CACHE).await, random.random(), KEYS).await;

    let shared = Arc::new(Shared::default());
    shared.ahead.store(ahead * 1_000, Ordering::Relaxed);
    let mut shares: Vec<Vec<_>> = (0..=CLIENTS).map(|_| Vec::new()).collect();
    for (number, key) in keys.into_iter().enumerate() {
        shares[number % (CLIENTS + 1)].push(key);
    }
    let mut workers = Vec::new();
    for (name, keys) in shares.into_iter().enumerate() {
        let cache = target.client().await.cache(CACHE).await.unwrap();
        let shared = Arc::clone(&shared);
        workers.push(Worker::new(name, random.random(), cache, keys, shared));
    }
    let watcher = workers.pop().unwrap();
    let mut operator = Operator::new(random.random(), source, target, watcher, Arc::clone(&shared));
    operator.connect(false).await;

    let mut working = JoinSet::new();
    for worker in workers {
        working.spawn(worker.work());
    }
    let end = Instant::now() + length;
    let mut wrong = None;
    while Instant::now() < end && wrong.is_none() {
        wrong = operator.step().await.err();
        if let Some(ended) = working.try_join_next() {
            wrong = wrong.or_else(|| ended.unwrap().err());
        }
    }
    shared.stop.store(true, Ordering::Relaxed);
    let mut keys = Vec::new();
    while let Some(ended) = working.join_next().await {
        match ended.unwrap() {
            Ok(share) => keys.extend(share),
            Err(answer) => wrong = wrong.or(Some(answer)),
        }
    }
    let (answered, failed) = (&shared.answered, &shared.failed);
    let (answered, failed) = (answered.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let taken = operator.steps.len();
    let finished = match wrong {
        Some(wrong) => Err((wrong, operator.steps)),
        None => operator.finish(keys).await,
    };
    // Lives may be wrong by as much, so a large one would hide that they are.
    let unknown = shared.log.uncertainty();
    match finished {
        Ok(left) => {
            note(format_args!(
                "{taken} steps, {answered} commands answered and {failed} failed; {left} entries are left; up to \
                 {unknown} ms were unknown of the source's clock"
            ));
            assert!(
                unknown <= MOST_UNKNOWN,
                "SEED={seed}: {unknown} ms of the source's clock are unknown"
            );
        }
        Err((wrong, steps)) => {
            panic!("SEED={seed}: {wrong}\nsteps:\n  {}", steps.join("\n  "));
        }
    }
}
