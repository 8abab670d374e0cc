//! Clients of the target that work while it takes over a cache. Each has keys of its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use client::{Changed, ClientError, Duration, RemoteCache, RequestExpiration};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::truth::{After, Key, Log, State, View, Window, Written};

/// Time between two commands while some fail.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// What all clients of a round have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) log: Log,
    /// Set when they are to stop.
    pub(super) stop: AtomicBool,
    /// Milliseconds by which the target's clock is ahead.
    pub(super) ahead: AtomicI64,
    /// Commands that were answered.
    pub(super) answered: AtomicU64,
    /// Commands that failed.
    pub(super) failed: AtomicU64,
}

/// A client and its keys.
pub(super) struct Worker {
    pub(super) cache: RemoteCache,
    pub(super) keys: Vec<Key>,
    pub(super) shared: Arc<Shared>,
    random: StdRng,
    /// Says which client wrote a value, and with which of its commands.
    name: usize,
    written: u64,
}

/// What a command writes.
struct New {
    value: Vec<u8>,
    lifespan: Option<u64>,
}

impl New {
    fn expiration(&self) -> RequestExpiration {
        let lifespan = self.lifespan.map_or(Duration::Infinite, Duration::Millis);
        RequestExpiration { lifespan, ..RequestExpiration::NEVER }
    }

    fn state(&self, between: (u64, u64)) -> State {
        State::Written(Written { value: self.value.clone(), lifespan: self.lifespan, between })
    }
}

impl Worker {
    pub(super) fn new(
        name: usize,
        seed: u64,
        cache: RemoteCache,
        keys: Vec<Key>,
        shared: Arc<Shared>,
    ) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { cache, keys, shared, random, name, written: 0 }
    }

    /// Works until it is told to stop, or an answer is wrong. Returns its keys.
    ///
    /// # Errors
    ///
    /// The wrong answer.
    pub(super) async fn work(mut self) -> Result<Vec<Key>, String> {
        let mut failed = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now_failed = self.shared.failed.load(Ordering::Relaxed);
            if now_failed > std::mem::replace(&mut failed, now_failed) {
                // The target is away, or waits for its operator.
                tokio::time::sleep(PAUSE).await;
            }
            let key = self.random.random_range(0..self.keys.len());
            match self.random.random_range(0..100) {
                0..30 => self.get(key).await?,
                30..40 => self.get_with_metadata(key).await?,
                40..45 => self.contains(key).await?,
                45..63 => self.put(key).await?,
                63..71 => self.put_if_absent(key).await?,
                71..77 => self.replace(key).await?,
                77..89 => self.remove(key).await?,
                89..95 => self.change_unmodified(key).await?,
                95..97 => self.put_all().await?,
                _ => self.get_all().await?,
            }
        }
        Ok(self.keys)
    }

    fn new_entry(&mut self) -> New {
        self.written += 1;
        let mortal = self.random.random_bool(0.3);
        let lifespan = mortal.then(|| self.random.random_range(1..6) * 700);
        New { value: format!("client {} {}", self.name, self.written).into_bytes(), lifespan }
    }

    /// Counts a command, and looks what the operator did meanwhile.
    fn ended<T>(&mut self, key: usize, window: &mut Window, answer: &Result<T, ClientError>) {
        let count = if answer.is_ok() { &self.shared.answered } else { &self.shared.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.keys[key].end(&self.shared.log, window);
    }

    pub(super) async fn get(&mut self, key: usize) -> Result<(), String> {
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.get(&self.keys[key].name).await;
        self.ended(key, &mut window, &answer);
        let key = &mut self.keys[key];
        match answer {
            Ok(found) => seen(key, "GET", &window, found.as_deref()),
            Err(error) => {
                key.failed("GET", &window, &error, None);
                Ok(())
            }
        }
    }

    pub(super) async fn get_with_metadata(&mut self, key: usize) -> Result<(), String> {
        let mut window = self.keys[key].begin(&self.shared.log);
        let ahead = self.shared.ahead.load(Ordering::Relaxed);
        let answer = self.cache.get_with_metadata(&self.keys[key].name).await;
        self.ended(key, &mut window, &answer);
        let key = &mut self.keys[key];
        match answer {
            Ok(found) => {
                if let Some(found) = found.as_ref().filter(|_| !window.is_disturbed()) {
                    key.lives(&found.value, &found.metadata, ahead, &window)?;
                }
                seen(key, "GET_WITH_METADATA", &window, found.as_ref().map(|it| &it.value[..]))
            }
            Err(error) => {
                key.failed("GET_WITH_METADATA", &window, &error, None);
                Ok(())
            }
        }
    }

    async fn contains(&mut self, key: usize) -> Result<(), String> {
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.contains_key(&self.keys[key].name).await;
        self.ended(key, &mut window, &answer);
        let key = &mut self.keys[key];
        match answer {
            Ok(is_there) => key.told(format_args!("CONTAINS_KEY {is_there}"), &window, |view| {
                (is_there == view.is_present()).then_some(After::Stays)
            }),
            Err(error) => {
                key.failed("CONTAINS_KEY", &window, &error, None);
                Ok(())
            }
        }
    }

    async fn put(&mut self, key: usize) -> Result<(), String> {
        let new = self.new_entry();
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.put(&self.keys[key].name, &new.value, new.expiration()).await;
        self.ended(key, &mut window, &answer);
        self.written(key, "PUT", &window, answer, new.state(window.between()), |_| true)
    }

    async fn put_if_absent(&mut self, key: usize) -> Result<(), String> {
        let new = self.new_entry();
        let mut window = self.keys[key].begin(&self.shared.log);
        let name = &self.keys[key].name;
        let answer = self.cache.put_if_absent(name, &new.value, new.expiration()).await;
        self.ended(key, &mut window, &answer);
        let state = new.state(window.between());
        let absent = |view: View<'_>| !view.is_present();
        self.written(key, "PUT_IF_ABSENT", &window, answer, state, absent)
    }

    async fn replace(&mut self, key: usize) -> Result<(), String> {
        let new = self.new_entry();
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.replace(&self.keys[key].name, &new.value, new.expiration()).await;
        self.ended(key, &mut window, &answer);
        let state = new.state(window.between());
        self.written(key, "REPLACE", &window, answer, state, |view| view.is_present())
    }

    async fn remove(&mut self, key: usize) -> Result<(), String> {
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.remove(&self.keys[key].name).await;
        self.ended(key, &mut window, &answer);
        let key = &mut self.keys[key];
        match answer {
            Ok(changed) => {
                let done = changed.is_done();
                key.told(format_args!("REMOVE {done}"), &window, |view| {
                    // While the source is silent, nobody knows whether there is one.
                    let unknown = done && matches!(view, View::AbsentThere);
                    let fits = unknown || done == view.is_present();
                    // Also one that was not there: it does not come from the source later.
                    fits.then_some(After::Becomes(State::Gone))
                })
            }
            Err(error) => {
                key.failed("REMOVE", &window, &error, Some(State::Gone));
                Ok(())
            }
        }
    }

    /// Reads the version, and replaces or removes what has it.
    async fn change_unmodified(&mut self, key: usize) -> Result<(), String> {
        let mut window = self.keys[key].begin(&self.shared.log);
        let answer = self.cache.get_with_version(&self.keys[key].name).await;
        self.ended(key, &mut window, &answer);
        let version = match &answer {
            Ok(found) => {
                let value = found.as_ref().map(|it| &it.value[..]);
                seen(&mut self.keys[key], "GET_WITH_VERSION", &window, value)?;
                found.as_ref().map(|it| it.version)
            }
            Err(error) => {
                self.keys[key].failed("GET_WITH_VERSION", &window, error, None);
                None
            }
        };
        let Some(version) = version else { return Ok(()) };
        let mut disturbed = window.is_disturbed();
        let new = self.random.random_bool(0.5).then(|| self.new_entry());
        let mut window = self.keys[key].begin(&self.shared.log);
        let name = &self.keys[key].name;
        let answer = match &new {
            Some(new) => {
                let (value, expiration) = (&new.value, new.expiration());
                self.cache.replace_if_unmodified(name, version, value, expiration).await
            }
            None => self.cache.remove_if_unmodified(name, version).await,
        };
        self.ended(key, &mut window, &answer);
        disturbed |= window.is_disturbed();
        let state = new.map_or(State::Gone, |new| new.state(window.between()));
        let what = if state == State::Gone { "REMOVE_IF" } else { "REPLACE_IF" };
        let key = &mut self.keys[key];
        match answer {
            Ok(Changed::Done { .. }) => key.told(format_args!("{what} done"), &window, |view| {
                view.is_present().then(|| After::Becomes(state.clone()))
            }),
            // Nobody else changes it, but it may have come again from the source.
            Ok(Changed::Refused { .. }) if disturbed => {
                key.told(format_args!("{what} refused"), &window, |_| Some(After::Stays))
            }
            Ok(Changed::Refused { .. }) => Err(format!("{what} of version {version}: {key}")),
            Ok(Changed::Missing) => key.told(format_args!("{what} missing"), &window, |view| {
                (!view.is_present()).then_some(After::Stays)
            }),
            Err(error) => {
                key.failed(what, &window, &error, Some(state));
                Ok(())
            }
        }
    }

    async fn put_all(&mut self) -> Result<(), String> {
        let keys = self.some_keys();
        let (lifespan, mut windows) = (self.new_entry().lifespan, Vec::new());
        let mut news = Vec::new();
        for key in &keys {
            news.push(New { lifespan, ..self.new_entry() });
            windows.push(self.keys[*key].begin(&self.shared.log));
        }
        let expiration = news[0].expiration();
        let entries = keys.iter().zip(&news).map(|(key, new)| (&self.keys[*key].name, &new.value));
        let answer = self.cache.put_all(entries, expiration).await;
        for ((key, new), mut window) in keys.into_iter().zip(news).zip(windows) {
            self.ended(key, &mut window, &answer);
            let state = new.state(window.between());
            match &answer {
                Ok(()) => self.keys[key]
                    .told("PUT_ALL", &window, |_| Some(After::Becomes(state.clone())))?,
                // Some may have been written although it failed.
                Err(error) => self.keys[key].partly_failed("PUT_ALL", &window, error, state),
            }
        }
        Ok(())
    }

    async fn get_all(&mut self) -> Result<(), String> {
        let keys = self.some_keys();
        self.get_these(&keys).await
    }

    /// Reads all of these keys at once.
    pub(super) async fn get_these(&mut self, keys: &[usize]) -> Result<(), String> {
        let log = &self.shared.log;
        let windows: Vec<Window> = keys.iter().map(|key| self.keys[*key].begin(log)).collect();
        let names: Vec<Vec<u8>> = keys.iter().map(|key| self.keys[*key].name.clone()).collect();
        let answer = self.cache.get_all(&names).await;
        for (key, mut window) in keys.iter().zip(windows) {
            self.ended(*key, &mut window, &answer);
            let key = &mut self.keys[*key];
            match &answer {
                Ok(found) => {
                    let found = found.iter().find(|(name, _)| *name == key.name);
                    seen(key, "GET_ALL", &window, found.map(|(_, value)| &value[..]))?;
                }
                Err(error) => key.failed("GET_ALL", &window, error, None),
            }
        }
        Ok(())
    }

    /// A few different keys.
    fn some_keys(&mut self) -> Vec<usize> {
        let first = self.random.random_range(0..self.keys.len());
        (0..self.keys.len().min(5)).map(|next| (first + next) % self.keys.len()).collect()
    }

    /// A conditional change was answered: it was made where something fits.
    fn written(
        &mut self,
        key: usize,
        what: &str,
        window: &Window,
        answer: Result<Changed, ClientError>,
        state: State,
        fits: impl Fn(View<'_>) -> bool,
    ) -> Result<(), String> {
        let key = &mut self.keys[key];
        match answer {
            Ok(changed) => {
                let done = changed.is_done();
                key.told(format_args!("{what} {done}"), window, |view| match (done, fits(view)) {
                    (true, true) => Some(After::Becomes(state.clone())),
                    (false, false) => Some(After::Stays),
                    _ => None,
                })
            }
            Err(error) => {
                key.failed(what, window, &error, Some(state));
                Ok(())
            }
        }
    }
}

/// A client was shown what stands under a key.
pub(super) fn seen(
    key: &mut Key,
    what: &str,
    window: &Window,
    found: Option<&[u8]>,
) -> Result<(), String> {
    let shown = found.map(String::from_utf8_lossy);
    key.told(format_args!("{what} {shown:?}"), window, |view| {
        let fits = match (view, found) {
            (View::Absent | View::AbsentThere, None) => true,
            (View::Present(there), Some(found)) => there == found,
            _ => false,
        };
        fits.then_some(After::Stays)
    })
}
