//! Whether a source is still the one that it was.

use std::{sync::atomic::Ordering, time::Duration};

use client::{ClientError, Iteration, ServerAddress};
use cluster::{Change, SourceIdentity, SourceProcess};
use store::Timestamp;
use tokio::time::Instant;

use super::{
    SourceConnection, chain,
    losing::{Recorded, roll_call},
    waiting::Waiting,
};
use crate::{
    http_date,
    identity::{Asking, process},
};

/// Held by who looks whether the source is the one that it should be.
type Looking<'a> = tokio::sync::MutexGuard<'a, ()>;

/// Who has to be heard, beside a process that is known to go on.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Enough,
    This(&'a ServerAddress),
    All,
}

/// Why it is not known that the source is the one that it should be.
#[derive(Clone, Debug)]
pub(crate) enum Doubt {
    /// Nobody answers.
    Silent(String),
    /// It is another one.
    Another(String),
}

impl Doubt {
    /// What it says.
    fn reason(&self) -> &str {
        match self {
            Self::Silent(reason) | Self::Another(reason) => reason,
        }
    }
}

impl SourceConnection {
    /// Whether every connection that there is leads to the source that was there before.
    pub(super) async fn is_same_process(&self) -> bool {
        if self.was_seen() {
            return true;
        }
        let one = self.looking.lock().await;
        let seen = self.was_seen() || self.look(&one, Wanted::Enough).await.is_ok();
        seen && self.changed.read().is_none()
    }

    /// Whether no connection was made since the source was last seen to be the same.
    fn was_seen(&self) -> bool {
        self.client.connections_made() == self.seen_at.load(Ordering::Acquire)
    }

    /// Looks whether the source is the one that it should be.
    ///
    /// # Errors
    ///
    /// If it is another one; or if nobody answers, which says nothing.
    pub(crate) async fn check_identity(&self) -> Result<(), Doubt> {
        let one = self.looking.lock().await;
        self.look(&one, Wanted::Enough).await
    }

    /// The same, and waits for each of its servers: which have gone is known then.
    pub(super) async fn check_all(&self) -> Result<(), Doubt> {
        let one = self.looking.lock().await;
        self.look(&one, Wanted::All).await
    }

    /// Asks the source who it is until one of its processes is known to go on, and whoever is `wanted` was heard, if
    /// it is one of its servers.
    async fn look(&self, one: &Looking<'_>, wanted: Wanted<'_>) -> Result<(), Doubt> {
        let (is_whole, asked) = (self.is_whole(), self.agreement.clock().now());
        let made = self.client.connections_made();
        let known = self.identity.read().clone();
        let servers = self.servers();
        let is_heard = |now: &SourceIdentity| match wanted {
            Wanted::Enough => true,
            Wanted::This(server) => {
                let server = server.to_string();
                !servers.names.contains(&server) || now.at(&server).is_some()
            }
            Wanted::All => false,
        };
        let enough = |now: &SourceIdentity| now.continues(&known) && is_heard(now);
        let answered = self.asking().until(enough).await;
        self.check_goes_on(one, answered.as_ref().ok(), &known)?;
        let now = match answered {
            Ok(now) => now,
            // Whatever has its name later is another cache.
            Err(ClientError::NoSuchCache { .. }) => return Err(self.distrust(one, Change::Process)),
            Err(error) => return Err(Doubt::Silent(chain(&error))),
        };
        if let Some(server) = self.new_one_that_is_us(&now, &known).await {
            return Err(Doubt::Silent(is_us(&server)));
        }
        self.set_clock_back(now.clock_back_since(&known));
        // A server that was started again beside others that were not is a new process of the same
        // source, and counters only grow. One that was not heard is known as it was.
        self.note_lost(&roll_call(asked, &now, &known, &servers), is_whole);
        *self.identity.write() = now.with_earlier(&known, |server| !servers.lack(server));
        self.seen_at.store(made, Ordering::Release);
        Ok(())
    }

    /// Looks whether one of the processes that are `known` goes on among those that answer `now`, if any do.
    fn check_goes_on(
        &self,
        one: &Looking<'_>,
        now: Option<&SourceIdentity>,
        known: &SourceIdentity,
    ) -> Result<(), Doubt> {
        let change = now.and_then(|now| Some((now, now.change_since(known)?)));
        // As announced by now.
        let unheard = change.and_then(|(now, _)| now.unheard(known, &self.servers().names));
        let waits = self.waiting.lock().goes_on(unheard.is_some(), Instant::now());
        let Some((_, change)) = change else { return Ok(()) };
        Err(match unheard {
            Some(server) if waits => Doubt::Silent(format!(
                "{server} does not answer, and of the other servers of the source none is the process that it was: \
                 whether the source goes on shows when {server} answers"
            )),
            _ => self.distrust(one, change),
        })
    }

    /// The address of a process that was not known before, and that is this server: the address leads here now.
    async fn new_one_that_is_us(
        &self,
        now: &SourceIdentity,
        known: &SourceIdentity,
    ) -> Option<ServerAddress> {
        let is_new = |server: &ServerAddress| {
            now.at(&server.to_string()).is_some_and(|process| !known.has(process))
        };
        let new = self.remote.servers().into_iter().filter(is_new).collect();
        http_date::find_process(new, self.agreement.clock(), &self.settings.process).await
    }

    /// Records who the source is, if other processes have come than those that are recorded: a restart of ours, or a
    /// later connection, knows the source by them. Returns what came of it, if there was something to record.
    pub(super) async fn record_identity(&self) -> Option<Result<(), String>> {
        // An operator who accepts the source as it is comes before or after this.
        let _one = self.looking.lock().await;
        if self.changed.read().is_some() {
            return None;
        }
        let mut recorded = self.recorded.lock().await;
        let known = self.as_recorded();
        if !recorded.is_outdated_by(&known) {
            return None;
        }
        let written = self.record(known.command(self.cache.name())).await;
        if written.is_ok() {
            *recorded = known;
        }
        Some(written)
    }

    fn asking(&self) -> Asking<'_> {
        let (remote, clock) = (&self.remote, &**self.agreement.clock());
        Asking { remote, clock, clocks: &self.clocks }
    }

    /// Looks whether the one that is iterated is of the source that it should be. It has a connection of
    /// its own, which behind one address may lead to another process than the others.
    ///
    /// # Errors
    ///
    /// If it is another one; or if it does not answer, which says nothing.
    pub(crate) async fn check_iteration(&self, iteration: &mut Iteration) -> Result<(), Doubt> {
        {
            let one = self.looking.lock().await;
            self.look(&one, Wanted::This(iteration.server())).await?;
        }
        // What it says comes after this, so that counters have only grown.
        let known = self.identity.read().clone();
        let now = self.ask_iteration(iteration).await?;
        let now = match now.topology {
            None if known.has(&now) && !iteration.is_known() => {
                self.ask_aside(iteration, &known).await?.unwrap_or(now)
            }
            _ => now,
        };
        if known.has(&now) {
            iteration.set_known();
            return Ok(());
        }
        let Some(before) = known.at(&now.server) else {
            // One that has run since before the connection was made has lost nothing meanwhile.
            let made = self.made_by_clock().millis() / 1_000;
            if now.started.is_some_and(|started| started < made) {
                return Ok(());
            }
            // It did not answer when all were asked: whether it belongs to them shows when it does.
            let text = format!("{} was not heard when the source was asked who it is", now.server);
            return Err(Doubt::Silent(text));
        };
        let change = now.change_since(before).unwrap_or(Change::Process);
        let one = self.looking.lock().await;
        if !self.identity.read().continues(&known) {
            // Its operator has accepted it meanwhile.
            return Err(Doubt::Silent("the source was accepted as another one".into()));
        }
        Err(self.distrust(&one, change))
    }

    /// Which process it is that gives an iteration.
    async fn ask_iteration(&self, iteration: &mut Iteration) -> Result<SourceProcess, Doubt> {
        let asked = self.agreement.clock().since_boot();
        let answered = iteration.identify().await;
        let (identity, statistics) = answered.map_err(|error| Doubt::Silent(chain(&error)))?;
        Ok(process(&identity, &statistics, asked, self.agreement.clock(), &self.clocks))
    }

    /// Asks a server that tells no topology over a connection that was not used before: at two instants at which
    /// another process, which was started a little sooner or later, says that it is another one. Returns that.
    async fn ask_aside(
        &self,
        iteration: &mut Iteration,
        known: &SourceIdentity,
    ) -> Result<Option<SourceProcess>, Doubt> {
        let clock = self.agreement.clock();
        let server = iteration.server().to_string();
        let start = known.at(&server).and_then(|process| process.started_by.boot);
        let Some(start) = start.filter(|start| start.boot == clock.since_boot().boot) else {
            return Ok(None);
        };
        for instant in start.telling_instants(clock.since_boot().millis) {
            let wait = instant.saturating_sub(clock.since_boot().millis).max(0).unsigned_abs();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let now = self.ask_iteration(iteration).await?;
            if !known.has(&now) {
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    /// Looks again whether an iteration was answered by the process that it should be, and from the cache that
    /// there was: what it has said so far is believed only then. A cache that is stopped or removed meanwhile
    /// ends an iteration early, without an error.
    ///
    /// # Errors
    ///
    /// As [`SourceConnection::check_iteration`].
    pub(crate) async fn confirm_iteration(&self, iteration: &mut Iteration) -> Result<(), Doubt> {
        let known = self.identity.read().clone();
        let answered = self.ask_iteration(iteration).await;
        if answered.is_ok_and(|now| known.has(&now)) && self.changed.read().is_none() {
            return Ok(());
        }
        self.check_iteration(iteration).await
    }

    /// Notes by how many seconds our clock turns out to have been set back, as by what is known of the source's
    /// processes from now on.
    fn set_clock_back(&self, back: u64) {
        self.clock_back.fetch_add(back, Ordering::AcqRel);
    }

    /// When the connection was made, by our clock as it is now; earlier if that was set forward.
    pub(super) fn made_by_clock(&self) -> Timestamp {
        let back = self.clock_back.load(Ordering::Acquire).saturating_mul(1_000);
        Timestamp::from_millis(self.made.millis().saturating_sub(back))
    }

    /// From now on nothing that the source says is believed, until its operator accepts it. Both happen
    /// while nobody else looks: an old doubt is not raised again after it was settled.
    fn distrust(&self, _one: &Looking<'_>, change: Change) -> Doubt {
        let mut changed = self.changed.write();
        let reason = changed.get_or_insert_with(|| {
            let servers = self.server_names();
            let reason = match change {
                Change::Address | Change::Process => format!(
                    "the source at {servers} was started again, or is another one, or its cache was removed: what \
                     it had may be lost"
                ),
                Change::Counter { name, before, now } => format!(
                    "the statistics of the source at {servers} were reset, or it was started again, or is another \
                     one, or its cache was created anew: its counter {name} went back from {before} to {now}, and \
                     what it had may be lost"
                ),
            };
            tracing::error!(cache = %self.cache.name(), reason, "the source has changed");
            reason
        });
        Doubt::Another(reason.clone())
    }

    /// Why the source is not believed any more, if so.
    pub(crate) fn changed(&self) -> Option<String> {
        self.changed.read().clone()
    }

    /// Whether a server that the source announced was one of its servers before.
    fn has_known_server(&self) -> bool {
        let known = self.identity.read();
        self.remote.topology().is_some_and(|topology| {
            topology.servers.iter().any(|server| known.at(&server.to_string()).is_some())
        })
    }

    /// The operator accepts the source as it is now, and that these servers of it have gone, or may have. What else has
    /// become of its servers stays in doubt.
    ///
    /// # Errors
    ///
    /// If it does not answer, or turns out only now to be another one: nobody has accepted that yet.
    pub(crate) async fn accept(&self, named: &[String]) -> Result<(), String> {
        let one = self.looking.lock().await;
        let made = self.client.connections_made();
        // What was announced may have come from another one that was reached meanwhile.
        if let Err(error) = self.remote.learn_anew().await
            && !self.has_known_server()
        {
            return Err(chain(&error));
        }
        let (clock, own) = (self.agreement.clock(), &self.settings.process);
        if let Some(server) = http_date::find_process(self.remote.servers(), clock, own).await {
            return Err(is_us(&server));
        }
        let (is_whole, asked, servers) = (self.is_whole(), clock.now(), self.servers());
        let now = self.asking().closely().await.map_err(|error| chain(&error))?;
        let known = self.identity.read().clone();
        let is_another = self.changed.read().is_some();
        if !is_another {
            let goes_on = self.check_goes_on(&one, Some(&now), &known);
            goes_on.map_err(|doubt| format!("nothing was accepted: {}", doubt.reason()))?;
        }
        let call = roll_call(asked, &now, &known, &servers);
        let losing = self.losing.lock().accepted(named, &call, is_whole, is_another);
        let back = now.clock_back_since(&known);
        let identity = now.with_earlier(&known, |server| !servers.lack(server));
        {
            let mut recorded = self.recorded.lock().await;
            let accepted = Recorded::new(identity.clone(), losing.lost.clone());
            let command = accepted.command(self.cache.name());
            let stored = self.agreement.propose_for(&self.cache, command).await;
            stored.map_err(|error| error.to_string())?;
            *recorded = accepted;
        }
        *self.losing.lock() = losing;
        *self.waiting.lock() = Waiting::default();
        self.set_clock_back(back);
        *self.identity.write() = identity;
        self.seen_at.store(made, Ordering::Release);
        self.forget_count();
        *self.changed.write() = None;
        Ok(())
    }
}

/// Says that the address of a source's server leads to this server.
fn is_us(server: &ServerAddress) -> String {
    format!(
        "{server} leads to this server now: a cache cannot be its own source. Lead that address to the source again, \
         or let the source announce another one"
    )
}
