//! Operators: they connect, disconnect, restart and accept.

use cluster::{Attempt, Connection, LostServers, MetaCommand, Metadata, SourceServers, follow};
use config::{RemoteServer, RemoteStoreConfig};
use rand::Rng;
use store::{Beginning, CacheError, Fence, SegmentId, SourceSpace, Standing};

use super::{
    super::{
        model::{KEYS, Life},
        source::{SEGMENTS, Source, key, placement},
    },
    Live, Target, World,
    command::{Answered, Kind, Operation},
    signed, signed_millis, skew,
};
use crate::{
    clocks::SourceClocks,
    loss,
    opening::{Opening, since},
};

/// Both sources have a cache of this name: only who they are tells them apart.
pub(super) fn remote(source: &Source) -> RemoteStoreConfig {
    let server = RemoteServer { host: source.server(0).host, port: 11222 };
    RemoteStoreConfig { cache: Some("old".into()), ..RemoteStoreConfig::new(vec![server]) }
}

impl World {
    pub(super) fn propose(&mut self, command: MetaCommand) -> Result<(), String> {
        self.take_effects();
        let (now, target) = (self.ours(), &mut self.target);
        target.metadata.apply(&command).map_err(|error| error.to_string())?;
        let known = target.metadata.cache(target.name.as_str());
        follow(&target.cache, &command, known, now, target.limits.tombstones);
        Ok(())
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        self.target.metadata.cache(self.target.name.as_str())?.connection.as_ref()
    }

    /// What clients do while a connection is being made, in a hurry or not.
    pub(super) fn some_operations(&mut self, hasty: bool) -> Result<(), String> {
        for _ in 0..self.random.random_range(0..3) {
            match self.random.random_range(0..20) {
                0 if hasty => self.begin_clear(),
                1..4 => self.go_on_with_clear()?,
                4 => self.sweep(),
                // Nothing says more about a connection than a removal just before it.
                5..9 if hasty => {
                    let (key, kind) = (self.random.random_range(0..KEYS), Kind::Remove);
                    let (began, said, waits) = (self.now, None, None);
                    self.execute(Operation { key, kind, began, said, waits })?;
                }
                _ => {
                    self.begin_operation();
                    self.go_on_with_operation()?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn connect(&mut self) -> Result<(), String> {
        if self.connection().is_some() {
            return Ok(());
        }
        let hasty = self.random.random_bool(0.25);
        let another = self.random.random_bool(0.3);
        let index = if another { self.random.random_range(0..2) } else { self.last_source };
        let (alias, fresh) = (self.random.random_bool(0.15), self.random.random_bool(0.25));
        if !self.sources[index].up {
            return Ok(());
        }
        for segment in self.target.cache.segment_ids() {
            self.target.cache.forget_tombstones(segment);
        }
        self.target.forgetting.clear();
        self.some_operations(hasty)?;
        let past = self.target.metadata.cache(self.target.name.as_str());
        let past = past.and_then(|known| known.past.clone());
        let source = &self.sources[index];
        let remote = remote(source);
        let identity = source.identity(alias, self.now, signed(self.ours()));
        // A sample of its keys shows that it places them in a way of its own; an empty source shows nothing.
        let space = SourceSpace::Segments(SEGMENTS);
        let as_expected =
            |number: &usize| space.segment_of(placement(*number)).0 == source.segment(*number);
        let alike = source.entries.keys().all(as_expected);
        let space = if alike { space } else { SourceSpace::Unit };
        let names = identity.0.iter().map(|process| process.server.clone()).collect();
        let servers = SourceServers { names, announced: true };
        let attempt = Attempt {
            cache: &self.target.name,
            remote: &remote,
            identity: &identity,
            servers: &servers,
            asked: self.ours().millis() / 1_000,
            space,
            changed: self.target.cache.changed_since_disconnect(),
            fresh,
        };
        let start = match attempt.after(past.as_ref()) {
            Ok(start) => start,
            Err(_) if past.is_none() => return Err("a first connection asks".into()),
            Err(gap) => {
                self.tally.refused += 1;
                self.note(format!("connect to {index} is refused: {gap}"));
                return Ok(());
            }
        };
        self.some_operations(hasty)?;
        if start.beginning == Beginning::Anew {
            for segment in self.target.cache.segment_ids() {
                self.target.cache.forget_source(segment);
            }
        }
        self.some_operations(hasty)?;
        let connection = Connection {
            remote,
            space: start.space,
            identity: start.identity,
            since: since(self.ours(), past.as_ref()),
            complete: start.complete,
            marked: start.marked,
            cleared: start.cleared,
            forgets: start.forgets,
            imported: None,
            count: start.count,
            lost: start.lost,
        };
        let mut opening = Opening { connection, beginning: start.beginning };
        if opening.settle(&self.target.cache).is_err() {
            self.tally.refused += 1;
            return Ok(());
        }
        self.target.cache.begin(opening.beginning);
        self.some_operations(hasty)?;
        let clocks = SourceClocks::new(self.target.name.clone());
        let id = opening.connection.id();
        self.target.live = Some(Live {
            source: index,
            alias,
            id,
            clocks,
            identity,
            seen: true,
            doubted: false,
            job: None,
            verification: None,
        });
        self.some_operations(hasty)?;
        let (name, connection) = (self.target.name.clone(), Box::new(opening.connection.clone()));
        self.take_effects();
        self.propose(MetaCommand::Connect { cache: name.clone(), connection })?;
        let beginning = opening.beginning;
        if beginning == Beginning::Anew {
            self.target.evictions.begin_anew();
        }
        self.note(format!("connected to {index}, alias {alias}, fresh {fresh}: {beginning:?}"));
        self.tally.connects += 1;
        self.last_source = index;
        match (beginning, self.target.cache.segment(SegmentId(0)).link()) {
            (Beginning::Complete | Beginning::Unchanged, Some(link)) => {
                let complete = &opening.connection.complete;
                let is_complete =
                    |number: usize| complete.contains(link.space.segment_of(placement(number)));
                self.model.go_on(is_complete, self.now);
            }
            _ => self.connected_anew = self.now,
        }
        if past.is_none() || fresh {
            self.begin_anew();
        }
        self.told_early = Some(Vec::new());
        self.some_operations(hasty)?;
        let early = self.told_early.take().unwrap_or_default();
        if opening.overtaken(&self.target.cache).is_some() {
            self.note("clients were quicker");
            self.propose(MetaCommand::Mark { cache: name })?;
            self.let_go()?;
            return Ok(());
        }
        if let Some(wrong) = early.into_iter().next() {
            return Err(wrong);
        }
        if opening.must_mark(&self.target.cache) {
            self.propose(MetaCommand::Mark { cache: name })?;
        }
        let Opening { connection, .. } = opening;
        for number in 0..KEYS {
            let segment = connection.space.segment_of(placement(number));
            if connection.complete.contains(segment) {
                self.expect_here(number, "its segment was complete before")?;
            }
        }
        Ok(())
    }

    /// The operator, or nobody's past, lets the source have the last word on everything but what is here.
    pub(super) fn begin_anew(&mut self) {
        let (ours, now, clock) = (self.ours(), self.now, self.target.clock);
        let cache = &self.target.cache;
        let here = |number| {
            cache.inspect(&key(number), ours, |standing| match standing {
                Standing::Local(entry) | Standing::Imported(entry) | Standing::Overdue(entry) => {
                    let metadata = entry.metadata();
                    let lifespan = metadata.created.zip(metadata.expiration.lifespan);
                    let ends =
                        lifespan.map(|(created, by)| signed(created) + signed_millis(by) - clock);
                    let idle = metadata.expiration.max_idle.map(signed_millis);
                    let used = metadata.last_used.map_or(now, |used| signed(used) - clock);
                    let life = Life::exact(entry.value().bytes().to_vec(), ends, idle, used);
                    life.must_live(now).then_some(life)
                }
                Standing::Unknown | Standing::Tombstone => None,
            })
        };
        self.model.begin_anew(here, now);
    }

    pub(super) fn let_go(&mut self) -> Result<(), String> {
        self.propose(MetaCommand::Disconnect { cache: self.target.name.clone() })?;
        self.end_live();
        self.target.forgetting = self.target.cache.segment_ids().collect();
        self.tally.disconnects += 1;
        Ok(())
    }

    /// Who waits for the source is told that it is silent, unless the answer was quicker.
    pub(super) fn end_live(&mut self) {
        let Some(live) = self.target.live.take() else { return };
        for flight in &mut self.flights {
            if flight.connection == live.id && self.random.random_bool(0.7) {
                flight.answer.get_or_insert((Answered::Silent, self.now));
            }
        }
        let now = self.now;
        for flight in &mut self.flights {
            flight.answer.get_or_insert((Answered::Silent, now));
        }
    }

    pub(super) fn disconnect(&mut self) -> Result<(), String> {
        let Some(connection) = self.connection() else { return Ok(()) };
        let (complete, segments) = (connection.complete.len(), connection.space.count());
        let force = self.random.random_bool(0.4);
        let doubted = self.target.live.as_ref().is_none_or(|live| live.doubted);
        let running = self.target.live.as_ref().is_some_and(|live| live.job.is_some());
        let problem = doubted.then_some("the source has changed");
        let standing = loss::Standing { complete, segments, problem, ..loss::Standing::default() };
        let clean = standing.losses().blockers.is_empty() && !running;
        if !clean && !force {
            return Ok(());
        }
        if clean {
            self.tally.verified += 1;
            self.expect_everything("a disconnect that was not refused")?;
        }
        self.note(format!("disconnect, clean {clean}"));
        self.let_go()?;
        // What was here goes with the process, and a connection that goes on must not count on it.
        if self.random.random_bool(0.1) { self.restart_target() } else { Ok(()) }
    }

    pub(super) fn restart_target(&mut self) -> Result<(), String> {
        let connection = self.connection();
        let unmarked = connection.is_some_and(|connection| !connection.marked);
        if unmarked && self.model.is_changed() {
            return Err("a restart would undo what clients did, without a word".into());
        }
        self.tally.restarts += 1;
        self.note("the target is restarted");
        self.end_live();
        self.flights.clear();
        self.operations.clear();
        (self.clear, self.iteration) = (None, None);
        let shift = skew(&mut self.random);
        let mut metadata = self.target.metadata.clone();
        metadata.restart();
        let (clock, versions) = (self.target.clock + shift, self.random.random());
        let next = Target::new(clock, self.target.limits, versions, self.now);
        self.target = Target { metadata: Metadata::default(), ..next };
        for command in metadata.commands() {
            self.propose(command)?;
        }
        let lost = self.connection().is_some_and(|connection| connection.marked);
        if lost {
            self.target.cache.fence(Some(Fence::Lost));
        }
        self.model.restart();
        self.reach();
        Ok(())
    }

    /// Reaches the source that the metadata names, after a restart.
    pub(super) fn reach(&mut self) {
        let Some(connection) = self.connection() else { return };
        let first = connection.identity.0.first().map_or("", |process| process.server.as_str());
        let alias = first.starts_with("alias");
        let source = usize::from(first.contains("two"));
        let (id, identity) = (connection.id(), connection.identity.clone());
        let clocks = SourceClocks::new(self.target.name.clone());
        self.target.live = Some(Live {
            source,
            alias,
            id,
            clocks,
            identity,
            seen: false,
            doubted: false,
            job: None,
            verification: None,
        });
    }

    /// The operator accepts what was lost, here or at the source.
    pub(super) fn accept(&mut self) {
        let fenced = self.target.cache.check_served() == Err(CacheError::Fenced(Fence::Lost));
        let name = self.target.name.clone();
        if fenced {
            let accepted = self.propose(MetaCommand::AcceptLoss { cache: name });
            if accepted.is_ok() {
                self.note("the loss of entries here is accepted");
                self.begin_anew();
            }
            return;
        }
        let (now, ours) = (self.now, signed(self.ours()));
        let Some(live) = &mut self.target.live else { return };
        if !live.doubted || !self.sources[live.source].up {
            return;
        }
        let identity = self.sources[live.source].identity(live.alias, now, ours);
        (live.identity, live.seen, live.doubted) = (identity.clone(), true, false);
        let _ = self.propose(MetaCommand::AcceptSource {
            cache: name,
            identity,
            lost: LostServers::default(),
        });
        self.note("the loss at the source is accepted");
    }
}
