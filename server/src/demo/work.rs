//! Clients at work on a cache: each key belongs to one of them, so each knows what must be there.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use client::{Changed, ClientError, RemoteCache};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use super::{
    account::{Account, Expected, Written},
    data::{name, value},
    life::Life,
    tally::Difference,
};

/// Clients at work.
pub struct Workers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    worked: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    removals: AtomicU64,
    errors: AtomicU64,
    wrong: parking_lot::Mutex<Vec<Difference>>,
}

/// What clients did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    /// Entries that they read.
    pub reads: u64,
    /// Entries that they wrote.
    pub writes: u64,
    /// Keys that they removed.
    pub removals: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Reads that found what must not be there.
    pub wrong: Vec<Difference>,
}

/// Most wrong reads that are kept.
const MOST_WRONG: usize = 100;

impl Workers {
    /// So many clients begin to read, write and remove. `seed` decides what each does.
    #[must_use]
    pub fn start(cache: &RemoteCache, account: &Arc<Account>, workers: usize, seed: u64) -> Self {
        let (stop, worked) = (Arc::new(AtomicBool::new(false)), Arc::<Counters>::default());
        let mut tasks = JoinSet::new();
        for worker in 0..workers {
            let worker = Worker {
                cache: cache.clone(),
                account: Arc::clone(account),
                stop: Arc::clone(&stop),
                worked: Arc::clone(&worked),
                random: StdRng::seed_from_u64(seed.wrapping_add(worker as u64)),
                worker,
                workers,
            };
            tasks.spawn(worker.work());
        }
        Self { stop, tasks, worked }
    }

    /// Removals so far.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.worked.removals.load(Ordering::Relaxed)
    }

    /// Lets each finish what it is doing.
    pub async fn stop(mut self) -> Worked {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        Worked {
            reads: self.worked.reads.load(Ordering::Relaxed),
            writes: self.worked.writes.load(Ordering::Relaxed),
            removals: self.worked.removals.load(Ordering::Relaxed),
            errors: self.worked.errors.load(Ordering::Relaxed),
            wrong: std::mem::take(&mut *self.worked.wrong.lock()),
        }
    }
}

struct Worker {
    cache: RemoteCache,
    account: Arc<Account>,
    stop: Arc<AtomicBool>,
    worked: Arc<Counters>,
    random: StdRng,
    worker: usize,
    workers: usize,
}

impl Worker {
    async fn work(mut self) {
        let mine = self.account.len() / self.workers;
        while mine > 0 && !self.stop.load(Ordering::Relaxed) {
            let key = self.random.random_range(0..mine) * self.workers + self.worker;
            let done = match self.random.random_range(0..10) {
                0..4 => self.read(key).await,
                4..6 => self.write(key).await,
                6 => self.write_if_absent(key).await,
                7 => self.replace_current(key).await,
                _ => self.remove(key).await,
            };
            if done.is_err() {
                self.worked.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn read(&mut self, key: usize) -> Result<(), ClientError> {
        let found = self.cache.get(&name(key)).await?;
        self.worked.reads.fetch_add(1, Ordering::Relaxed);
        self.account.is_read(key);
        let wrong = match (self.account.expected(key), found) {
            (Expected::Removed, Some(_)) => "was removed, and a client has read it",
            (Expected::Written(written), Some(found)) if found != value(key, written.seed) => {
                "a client has read an older value than the one it wrote"
            }
            (Expected::Untouched(_), Some(found)) if found != value(key, 0) => {
                "a client has read what nobody wrote"
            }
            (Expected::Written(Written { life, .. }), None) if life != Life::Short => {
                "a client has not found what it wrote"
            }
            (Expected::Untouched(_), None) if Life::of(key) != Life::Short => {
                "a client has not found what the source had"
            }
            _ => return Ok(()),
        };
        self.wrong(key, wrong);
        Ok(())
    }

    async fn write(&mut self, key: usize) -> Result<(), ClientError> {
        let (seed, life) = self.next();
        let begin = self.account.now();
        let written = self.cache.put(&name(key), &value(key, seed), life.expiration()).await;
        let expected = self.written(seed, life, begin);
        self.note(key, expected, written.map(|_| true))
    }

    async fn write_if_absent(&mut self, key: usize) -> Result<(), ClientError> {
        let (seed, life) = self.next();
        let value = value(key, seed);
        let begin = self.account.now();
        let written = self.cache.put_if_absent(&name(key), &value, life.expiration()).await;
        self.account.is_read(key);
        let there = match self.account.expected(key) {
            Expected::Removed | Expected::Over => Some(false),
            Expected::Written(Written { life, .. }) if life != Life::Short => Some(true),
            Expected::Untouched(_) if Life::of(key) != Life::Short => Some(true),
            _ => None,
        };
        if let (Ok(changed), Some(there)) = (&written, there)
            && changed.is_done() == there
        {
            self.wrong(key, "a conditional write was decided on the wrong entry");
        }
        let changed = written.map(|changed| changed.is_done());
        let expected = self.written(seed, life, begin);
        self.note(key, expected, changed)
    }

    /// Compare-and-set with the version that is read: for a copied entry, the source's.
    async fn replace_current(&mut self, key: usize) -> Result<(), ClientError> {
        let Some(found) = self.cache.get_with_version(&name(key)).await? else { return Ok(()) };
        self.account.is_read(key);
        let (seed, life) = self.next();
        let value = value(key, seed);
        let begin = self.account.now();
        let replaced = self
            .cache
            .replace_if_unmodified(&name(key), found.version, &value, life.expiration())
            .await;
        if matches!(replaced, Ok(Changed::Refused { .. })) {
            self.wrong(key, "a version that was just read was refused");
        }
        let changed = replaced.map(|changed| changed.is_done());
        let expected = self.written(seed, life, begin);
        self.note(key, expected, changed)
    }

    async fn remove(&mut self, key: usize) -> Result<(), ClientError> {
        let removed = self.cache.remove(&name(key)).await;
        if removed.is_ok() {
            self.worked.removals.fetch_add(1, Ordering::Relaxed);
        }
        self.note(key, Expected::Removed, removed.map(|_| true))
    }

    /// Notes what must be there from now on.
    fn note(
        &mut self,
        key: usize,
        expected: Expected,
        changed: Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        match changed {
            Ok(true) => {
                if matches!(expected, Expected::Written(_)) {
                    self.worked.writes.fetch_add(1, Ordering::Relaxed);
                }
                self.account.expect(key, expected);
            }
            Ok(false) => {}
            Err(error) => {
                if error.is_in_doubt() {
                    self.account.expect(key, Expected::Unknown);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn written(&self, seed: u64, life: Life, begin: u64) -> Expected {
        Expected::Written(Written { seed, life, between: (begin, self.account.now()) })
    }

    fn next(&mut self) -> (u64, Life) {
        let life = match self.random.random_range(0..10) {
            0 => Life::Short,
            1..4 => Life::Lifespan,
            4 => Life::Both,
            _ => Life::Immortal,
        };
        (self.random.random_range(1..u64::MAX), life)
    }

    fn wrong(&self, key: usize, what: &str) {
        let mut wrong = self.worked.wrong.lock();
        if wrong.len() < MOST_WRONG {
            wrong.push(Difference { key, what: what.to_owned() });
        }
    }
}
