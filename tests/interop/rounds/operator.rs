//! The operator: takes random steps of a migration, and comes to its end.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use client::{Item, Iterate, RemoteCache, RequestExpiration};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    clients::{Shared, Worker, seen},
    servers::{Source, Target},
    truth::{AtSource, Effect, Key, Mode, State, Written, now},
};
use crate::harness::{Answer, Rest, eventually};

/// The cache that is taken over.
pub(super) const CACHE: &str = "sessions";

/// Seconds that clocks are ahead.
pub(super) const AHEAD: [i64; 7] = [0, 10, -10, 600, -600, 3_600, -86_400];

const CONNECTION: &str = "/rest/v2/caches/sessions/rolling-upgrade/source-connection";

/// Takes the steps.
pub(super) struct Operator {
    pub(super) source: Source,
    pub(super) target: Option<Target>,
    /// Keys that no client changes.
    pub(super) watcher: Worker,
    shared: Arc<Shared>,
    random: StdRng,
    /// Steps that were taken, and what came of them.
    pub(super) steps: Vec<String>,
}

impl Operator {
    pub(super) fn new(
        seed: u64,
        source: Source,
        target: Target,
        watcher: Worker,
        shared: Arc<Shared>,
    ) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { source, target: Some(target), watcher, shared, random, steps: Vec::new() }
    }

    fn rest(&self) -> &Rest {
        &self.target.as_ref().unwrap().process.rest
    }

    fn mode(&self) -> Mode {
        self.shared.log.mode()
    }

    fn note(&mut self, step: impl Into<String>, answer: &Answer) {
        let (step, status) = (step.into(), answer.status.as_u16());
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.chars().take(150).collect();
        self.steps.push(format!("{} {step}: {status} {text}", now()));
    }

    async fn post(&mut self, step: &str, path: &str, body: &str) -> Answer {
        let path = format!("/rest/v2/caches/{CACHE}{path}");
        let answer = self.rest().post(&path, body.to_owned()).await;
        self.note(step, &answer);
        answer
    }

    async fn act(&mut self, action: &str, body: &str) -> Answer {
        self.post(action, &format!("/rolling-upgrade?action={action}"), body).await
    }

    /// Takes one step.
    ///
    /// # Errors
    ///
    /// If something is wrong after it.
    pub(super) async fn step(&mut self) -> Result<(), String> {
        if self.mode() != Mode::Connected && self.random.random_bool(0.3) {
            let fresh = self.random.random_bool(0.5);
            self.connect(fresh).await;
        }
        match self.random.random_range(0..100) {
            0..10 => self.connect(false).await,
            10..13 => self.connect(true).await,
            13..20 => self.disconnect("").await,
            20..24 => self.disconnect("?force=true").await,
            24..27 => self.disconnect("?strict=true").await,
            27..41 => {
                self.post("synchronize", "?action=sync-data&async=true", "").await;
                let rate = self.random.random_range(100..2_000);
                self.act("throttle", &format!(r#"{{"entriesPerSecond":{rate}}}"#)).await;
            }
            41..47 => drop(self.act("pause", "").await),
            47..53 => drop(self.act("resume", "").await),
            53..56 => drop(self.act("cancel", "").await),
            56..60 => drop(self.act("verify&async=true", "").await),
            60..64 => drop(self.act("verify&repair=true&async=true", "").await),
            64..70 => self.iterate().await?,
            70..73 => drop(self.rest().get("/rest/v2/caches/sessions?action=keys").await),
            73..75 => drop(self.watcher.cache.size().await),
            75..77 => self.clear().await,
            77..81 => self.restart().await,
            81..85 => {
                let ahead = AHEAD[self.random.random_range(0..AHEAD.len())];
                self.steps.push(format!("{} the source's clock is set to {ahead:+} s", now()));
                self.source.set_clock(ahead);
            }
            85..87 => self.freeze().await,
            _ => self.look().await?,
        }
        self.accept().await;
        let pause = self.random.random_range(0..150);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Ok(())
    }

    pub(super) async fn connect(&mut self, fresh: bool) {
        let host = if self.random.random_bool(0.7) { "127.0.0.1" } else { "localhost" };
        let document = self.source.document(CACHE, host);
        let effect = if fresh { Effect::Fresh } else { Effect::Nothing };
        let before = self.mode();
        self.shared.log.begin(effect, Mode::Connected);
        let query = if fresh { "?fresh=true" } else { "" };
        let answer = self.rest().post(&format!("{CONNECTION}{query}"), document).await;
        let connected = answer.status.as_u16() == 204;
        let after = if connected { Mode::Connected } else { before };
        self.shared.log.end(effect, after);
        self.note(format!("connect to {host}{query}"), &answer);
        self.uncertainty().await;
    }

    /// Notes what is shown of the source's clock. Returns the status.
    async fn uncertainty(&self) -> serde_json::Value {
        let status = self.rest().migration(CACHE).await;
        let clocks = status["source"]["clocks"].as_array();
        for clock in clocks.into_iter().flatten() {
            if let Some(shown) = clock["uncertaintyMs"].as_u64() {
                self.shared.log.shown(shown);
            }
        }
        status
    }

    async fn is_connected(&self) -> bool {
        self.rest().get(CONNECTION).await.status.as_u16() == 200
    }

    async fn disconnect(&mut self, query: &str) {
        let before = self.mode();
        let was_connected = self.is_connected().await;
        let meanwhile = if query == "?force=true" { Mode::Partial } else { Mode::Complete };
        // By force, also without what a restart has lost.
        let status = self.uncertainty().await;
        let forgotten = if is_lost(&status) { Effect::Forgotten } else { Effect::Nothing };
        self.shared.log.begin(forgotten, if was_connected { meanwhile } else { before });
        let answer = self.rest().delete(&format!("{CONNECTION}{query}")).await;
        let after = match answer.status.as_u16() {
            _ if !was_connected => before,
            204 => Mode::Complete,
            // It says what was left behind.
            200 => Mode::Partial,
            _ => before,
        };
        let effect = if after == before { Effect::Nothing } else { forgotten };
        self.shared.log.end(effect, after);
        self.note(format!("disconnect{query}"), &answer);
    }

    async fn clear(&mut self) {
        let mode = self.mode();
        self.shared.log.begin(Effect::ClearFailed, mode);
        let cleared = self.watcher.cache.clear().await;
        let effect = if cleared.is_ok() { Effect::Clear } else { Effect::ClearFailed };
        self.shared.log.end(effect, mode);
        self.steps.push(format!("{} clear: {cleared:?}", now()));
    }

    /// Ends the target and starts it again, mostly under another clock.
    async fn restart(&mut self) {
        let connected = self.is_connected().await;
        let (effect, mode) = match connected {
            true => (Effect::Reloaded, Mode::Connected),
            false => (Effect::Forgotten, Mode::Partial),
        };
        let (kill, ahead) =
            (self.random.random_bool(0.5), self.random.random_range(0..AHEAD.len()));
        self.steps.push(format!("{} restart, clock at {:+} s", now(), AHEAD[ahead]));
        self.shared.log.begin(effect, mode);
        let target = self.target.take().unwrap();
        self.target = Some(target.start_again(kill, AHEAD[ahead]).await);
        self.shared.ahead.store(AHEAD[ahead] * 1_000, Ordering::Relaxed);
        self.shared.log.end(effect, mode);
        // The source is reached again with one reading of its clock, and read closely then.
        self.shared.log.shown(1_100);
    }

    async fn freeze(&mut self) {
        let millis = self.random.random_range(100..2_500);
        self.steps.push(format!("{} the source stands still for {millis} ms", now()));
        self.source.freeze(true).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.source.freeze(false).await;
    }

    /// Accepts what a restart has lost.
    async fn accept(&mut self) {
        let status = self.uncertainty().await;
        if !is_lost(&status) || self.random.random_bool(0.5) {
            return;
        }
        let mode = self.mode();
        self.shared.log.begin(Effect::Lost, mode);
        let answer = self.act("accept-loss", "").await;
        let accepted = answer.status.as_u16() == 204;
        self.shared.log.end(if accepted { Effect::Lost } else { Effect::Nothing }, mode);
    }

    /// Looks at keys that no client changes.
    async fn look(&mut self) -> Result<(), String> {
        for _ in 0..10 {
            let key = self.random.random_range(0..self.watcher.keys.len());
            match self.random.random_bool(0.5) {
                true => self.watcher.get(key).await?,
                false => self.watcher.get_with_metadata(key).await?,
            }
        }
        Ok(())
    }

    /// Iterates over all entries: each is shown once, and none is missing of those that no client changes.
    async fn iterate(&mut self) -> Result<(), String> {
        let log = &self.shared.log;
        let windows: Vec<_> = self.watcher.keys.iter_mut().map(|key| key.begin(log)).collect();
        let found = iterated(&self.watcher.cache).await?;
        for (key, mut window) in self.watcher.keys.iter_mut().zip(windows) {
            key.end(&self.shared.log, &mut window);
            let Ok(found) = &found else { continue };
            let found = found.iter().find(|(name, _)| *name == key.name);
            seen(key, "iteration", &window, found.map(|(_, value)| &value[..]))?;
        }
        let text = match found {
            Ok(found) => format!("{} entries", found.len()),
            Err(error) => error,
        };
        self.steps.push(format!("{} iterate: {text}", now()));
        Ok(())
    }

    /// Comes to the end of the migration, once no client changes anything any more, and looks at every key.
    ///
    /// # Errors
    ///
    /// If something is wrong.
    pub(super) async fn finish(mut self, keys: Vec<Key>) -> Result<usize, (String, Vec<String>)> {
        match self.come_to_the_end(keys).await {
            Ok(left) => {
                self.source.end().await;
                Ok(left)
            }
            Err(wrong) => Err((wrong, self.steps)),
        }
    }

    async fn come_to_the_end(&mut self, keys: Vec<Key>) -> Result<usize, String> {
        let watched = self.watcher.keys.len();
        self.watcher.keys.extend(keys);
        while self.accept_all().await {}
        if !self.is_connected().await {
            self.connect(false).await;
            if self.mode() != Mode::Connected {
                self.connect(true).await;
            }
        }
        // Whatever is under way comes to its end.
        self.act("resume", "").await;
        let synchronized = eventually_ok("everything is copied", async || {
            self.rest().post("/rest/v2/caches/sessions?action=sync-data", "").await
        })
        .await;
        self.note("synchronize", &synchronized);
        let changed = self.change_at_source(watched).await;
        self.verify(changed).await?;
        let status = self.rest().migration(CACHE).await;
        let forgets = status["verify"]["notFetched"] != 0;
        let query = if forgets { "?force=true" } else { "" };
        let answer = self.rest().delete(&format!("{CONNECTION}{query}")).await;
        self.note(format!("disconnect{query}"), &answer);
        if ![200, 204].contains(&answer.status.as_u16()) {
            return Err(format!("it cannot be disconnected: {status:#}"));
        }
        // Everything was copied, however careful the disconnect was.
        self.shared.log.begin(Effect::Nothing, Mode::Complete);
        self.shared.log.end(Effect::Nothing, Mode::Complete);
        self.check_all().await
    }

    async fn accept_all(&mut self) -> bool {
        let status = self.rest().migration(CACHE).await;
        let lost = is_lost(&status);
        if lost {
            self.accept().await;
        }
        lost
    }

    /// Clients that have not moved yet change a few entries after they were copied. How many.
    async fn change_at_source(&mut self, watched: usize) -> usize {
        // After a fresh connection, what is here counts as its clients'; after a clear, it is not here.
        let apart = [Effect::Fresh, Effect::Clear, Effect::ClearFailed];
        if apart.iter().any(|effect| self.shared.log.has_had(*effect)) {
            return 0;
        }
        let cache = self.source.cache(CACHE).await;
        let many = self.random.random_range(0..4);
        let mut changed = 0;
        for key in self.watcher.keys.iter_mut().take(watched) {
            let Some(source) = &mut key.source else { continue };
            let is_immortal = source.written.lifespan.is_none() && source.max_idle.is_none();
            if changed == many || !is_immortal {
                continue;
            }
            let new = format!("changed late {changed}").into_bytes();
            let from = now();
            cache.put(&key.name, &new, RequestExpiration::NEVER).await.unwrap();
            let entry = cache.get_with_metadata(&key.name).await.unwrap().unwrap();
            source.version = entry.metadata.version;
            source.written = Written { value: new, lifespan: None, between: (from, now()) };
            changed += 1;
        }
        self.steps.push(format!("{} {changed} entries are changed at the source", now()));
        changed
    }

    /// The verdict is true before and after a repair.
    async fn verify(&mut self, changed: usize) -> Result<(), String> {
        let verify = async |operator: &Self, repair| {
            let path =
                format!("/rest/v2/caches/{CACHE}/rolling-upgrade?action=verify&repair={repair}");
            let verified =
                eventually_ok("it is verified", async || operator.rest().post(&path, "").await);
            verified.await.json()
        };
        let report = verify(self, false).await;
        self.steps.push(format!("{} verify: {report}", now()));
        // A connection that continues one of before remembers no removals, and says so for each key.
        let listed = report["listed"].as_array().into_iter().flatten();
        let missing: Vec<_> = listed.filter(|it| it["finding"] == "missing").collect();
        for finding in &missing {
            let key = self.watcher.keys.iter().find(|key| finding["key"] == *key.text());
            let what = finding["what"].as_str().unwrap_or_default();
            let is_known = ["it may have been removed here", "a client's entry under this key"];
            let is_true = is_known.iter().any(|known| what.starts_with(known))
                && key.is_some_and(|key| key.states().contains(&State::Gone));
            if !is_true {
                return Err(format!("{finding} is not missing: {}", key.unwrap()));
            }
        }
        let differences = ["missing", "different", "vanished"].map(|kind| report[kind].as_u64());
        if differences != [Some(missing.len() as u64), Some(changed as u64), Some(0)] {
            return Err(format!("{changed} entries are different, and verify says {report:#}"));
        }
        if changed == 0 {
            return Ok(());
        }
        let refused = self.rest().delete(CONNECTION).await;
        self.note("disconnect", &refused);
        if refused.status.as_u16() != 409 {
            return Err(format!("{changed} entries are different: {refused:?}"));
        }
        let report = verify(self, true).await;
        self.steps.push(format!("{} repair: {report}", now()));
        let report = verify(self, false).await;
        match report["different"] == 0 {
            true => Ok(()),
            false => Err(format!("it was repaired, and verify says {report:#}")),
        }
    }

    /// Every key is as it must be, however clients look at it. How many entries are left.
    async fn check_all(&mut self) -> Result<usize, String> {
        for key in 0..self.watcher.keys.len() {
            self.watcher.get(key).await?;
            self.watcher.get_with_metadata(key).await?;
        }
        let all: Vec<usize> = (0..self.watcher.keys.len()).collect();
        self.watcher.get_these(&all).await?;
        self.iterate().await?;
        let found = iterated(&self.watcher.cache).await??;
        let size = self.watcher.cache.size().await.map_err(|error| error.to_string())?;
        let again = iterated(&self.watcher.cache).await??;
        // Some may end while they are counted.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if !(again.len()..=found.len()).contains(&size) {
            return Err(format!("{size} of {} to {} entries", again.len(), found.len()));
        }
        Ok(size)
    }
}

/// Returns whether a restart has lost what clients had written, and nobody has accepted that yet.
fn is_lost(status: &serde_json::Value) -> bool {
    let problem = status["problem"].as_str().unwrap_or_default();
    problem.contains("were lost with the process")
}

/// Entries that an iteration shows.
type Shown = Vec<(Vec<u8>, Vec<u8>)>;

/// What an iteration shows, or why it is refused.
///
/// # Errors
///
/// If it shows an entry twice.
async fn iterated(cache: &RemoteCache) -> Result<Result<Shown, String>, String> {
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    let shown = async {
        let mut walk = cache.iterate(Iterate { batch: 50, ..Iterate::default() }).await?;
        while let Some(item) = walk.next().await? {
            if let Item::Entry { key, value, .. } = item {
                found.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok::<_, client::ClientError>(())
    };
    let shown = shown.await;
    for (name, _) in &found {
        if !names.insert(name.clone()) {
            return Err(format!("{} is shown twice", String::from_utf8_lossy(name)));
        }
    }
    Ok(shown.map(|()| found).map_err(|error| error.to_string()))
}

/// Tries until it is answered with 200.
async fn eventually_ok(what: &str, ask: impl AsyncFn() -> Answer) -> Answer {
    eventually(what, || async {
        let answer = ask().await;
        (answer.status.as_u16() == 200).then_some(answer)
    })
    .await
}

/// Fills the cache of the source.
pub(super) async fn fill(cache: &RemoteCache, seed: u64, number: usize) -> Vec<Key> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut keys = Vec::new();
    for key in 0..number {
        let name = format!("key {key}").into_bytes();
        let (lifespan, max_idle) = match random.random_range(0..10) {
            0 | 1 => {
                keys.push(Key::new(name, None));
                continue;
            }
            2 => (Some(random.random_range(2..9) * 1_000), None),
            3 => (Some(300_000), None),
            4 => (None, Some(20_000)),
            _ => (None, None),
        };
        let millis = |lifetime: Option<u64>| {
            lifetime.map_or(client::Duration::Infinite, client::Duration::Millis)
        };
        let expiration =
            RequestExpiration { lifespan: millis(lifespan), max_idle: millis(max_idle) };
        let value = format!("source {key}").into_bytes();
        let from = now();
        cache.put(&name, &value, expiration).await.unwrap();
        let between = (from, now());
        let entry = cache.get_with_metadata(&name).await.unwrap().unwrap();
        let written = Written { value, lifespan, between };
        let version = entry.metadata.version;
        keys.push(Key::new(name, Some(AtSource { written, max_idle, version })));
    }
    keys
}
