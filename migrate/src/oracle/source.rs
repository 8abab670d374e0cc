//! A source whose entries, clocks and processes are at the disposal of a test.

use std::{collections::BTreeMap, sync::LazyLock};

use client::{Bytes, Lifetime, Metadata, ServerAddress};
use cluster::{SourceIdentity, SourceProcess, ToldTopology};
use media::hash;

use super::model::KEYS;
use crate::census::Census;

/// Segments of every source.
pub(super) const SEGMENTS: u32 = 4;

/// Servers of every source.
pub(super) const SERVERS: usize = 2;

/// An entry of a source.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    version: u64,
    /// When it was written, by the clock of its server.
    created: i64,
    /// When it was last used, by the clock of its server.
    used: i64,
    pub(super) lifespan: Option<u32>,
    pub(super) max_idle: Option<u32>,
    /// When it was written, in true time.
    pub(super) since: i64,
}

/// How an entry has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// By itself, with this value.
    Expired(Vec<u8>),
    /// Otherwise, and it could have ended by itself later.
    Removed,
    /// Otherwise, and it would not have ended by itself.
    RemovedForever,
}

/// A source.
#[derive(Debug)]
pub(super) struct Source {
    name: &'static str,
    /// Whether it answers.
    pub(super) up: bool,
    /// The segments of its keys.
    segments: [u32; KEYS],
    /// Whether its servers say since when they run.
    tells_start: bool,
    started: i64,
    topology: u32,
    version: u64,
    /// Milliseconds by which the clock of each server is ahead of true time.
    pub(super) clocks: [i64; SERVERS],
    /// When one of them was set last, in true time.
    pub(super) clock_set: i64,
    pub(super) entries: BTreeMap<usize, Stored>,
    /// How those ended that are not there any more.
    ended: BTreeMap<usize, End>,
}

/// Placement hashes of the keys: most of what is done needs them.
static PLACEMENTS: LazyLock<[u32; KEYS]> =
    LazyLock::new(|| std::array::from_fn(|number| hash::hash(&key(number))));

/// The key of this number.
pub(super) fn key(number: usize) -> Vec<u8> {
    format!("key-{number}").into_bytes()
}

/// The placement hash of the key of this number.
pub(super) fn placement(number: usize) -> u32 {
    PLACEMENTS[number]
}

impl Source {
    pub(super) fn new(name: &'static str, now: i64, placed_alike: bool, tells_start: bool) -> Self {
        // Otherwise it places its keys in a way of its own.
        let placed = |number| match placed_alike {
            true => placement(number),
            false => hash::hash(&placement(number).to_be_bytes()),
        };
        let segments = std::array::from_fn(|number| hash::segment(placed(number), SEGMENTS));
        Self {
            name,
            up: true,
            segments,
            tells_start,
            started: now - 100_000,
            topology: 5,
            // Versions are a source's own: a client that saw one must not meet it again elsewhere.
            version: if name == "one" { 0 } else { 1 << 32 },
            clocks: [0; SERVERS],
            clock_set: 0,
            entries: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// The segment that the source has a key in.
    pub(super) fn segment(&self, number: usize) -> u32 {
        self.segments[number]
    }

    /// The server that owns a key.
    pub(super) fn owner(&self, number: usize) -> usize {
        self.segment(number) as usize % SERVERS
    }

    pub(super) fn server(&self, server: usize) -> ServerAddress {
        ServerAddress { host: format!("{}-{server}", self.name), port: 11222 }
    }

    fn clock(&self, number: usize, now: i64) -> i64 {
        now + self.clocks[self.owner(number)]
    }

    pub(super) fn write(
        &mut self,
        number: usize,
        value: Vec<u8>,
        lifespan: Option<u32>,
        max_idle: Option<u32>,
        now: i64,
    ) {
        self.version += 1;
        let (at, version) = (self.clock(number, now), self.version);
        let stored =
            Stored { value, version, created: at, used: at, lifespan, max_idle, since: now };
        self.entries.insert(number, stored);
        self.ended.remove(&number);
    }

    /// A client of the source removes an entry.
    pub(super) fn remove(&mut self, number: usize) {
        if let Some(stored) = self.entries.remove(&number) {
            let ends = stored.lifespan.is_some() || stored.max_idle.is_some();
            self.ended.insert(number, if ends { End::Removed } else { End::RemovedForever });
        }
    }

    /// Returns whether the entry with this value has ended by itself.
    pub(super) fn has_expired(&self, number: usize, value: &[u8]) -> bool {
        matches!(self.ended.get(&number), Some(End::Expired(ended)) if ended == value)
    }

    /// Returns whether an entry was removed that would not have ended by itself.
    pub(super) fn was_removed_forever(&self, number: usize) -> bool {
        self.ended.get(&number) == Some(&End::RemovedForever)
    }

    /// What it says of itself.
    pub(super) fn census(&self) -> Census {
        Census { entries: Some(self.entries.len() as u64), stored: Some(self.version) }
    }

    /// Milliseconds that an entry still lives by the clock of its server; `None` if it does not end.
    pub(super) fn remaining(&self, number: usize, now: i64) -> Option<i64> {
        let stored = self.entries.get(&number)?;
        let clock = self.clock(number, now);
        let left = |from: i64, by: Option<u32>| by.map(|by| from + i64::from(by) * 1_000 - clock);
        let (lifespan, idle) =
            (left(stored.created, stored.lifespan), left(stored.used, stored.max_idle));
        [lifespan, idle].into_iter().flatten().min()
    }

    /// Drops what is over by the clock of its server.
    pub(super) fn purge(&mut self, now: i64) {
        let over: Vec<usize> = self
            .entries
            .keys()
            .copied()
            .filter(|number| self.remaining(*number, now).is_some_and(|left| left <= 0))
            .collect();
        for number in over {
            if let Some(stored) = self.entries.remove(&number) {
                self.ended.insert(number, End::Expired(stored.value));
            }
        }
    }

    /// An entry as its server reports it.
    pub(super) fn report(&self, number: usize) -> Option<(Bytes, Metadata)> {
        let stored = self.entries.get(&number)?;
        let lifetime = |since: i64, seconds: Option<u32>| {
            seconds.map(|seconds| Lifetime { since: since.unsigned_abs(), seconds })
        };
        let metadata = Metadata {
            lifespan: lifetime(stored.created, stored.lifespan),
            max_idle: lifetime(stored.used, stored.max_idle),
            version: stored.version,
        };
        Some((Bytes::from(stored.value.clone()), metadata))
    }

    /// As [`Source::report`], for a client that reads the entry.
    pub(super) fn read(&mut self, number: usize, now: i64) -> Option<(Bytes, Metadata)> {
        let at = self.clock(number, now);
        let report = self.report(number)?;
        if let Some(stored) = self.entries.get_mut(&number) {
            stored.used = stored.used.max(at);
        }
        Some(report)
    }

    /// All of its processes end, and others begin.
    pub(super) fn restart(&mut self, keeps_entries: bool, now: i64) {
        self.started = now;
        self.topology += 1;
        if !keeps_entries {
            (0..KEYS).for_each(|number| self.remove(number));
        }
    }

    /// Who its servers are, as a target finds out at its own time `ours`.
    pub(super) fn identity(&self, alias: bool, now: i64, ours: i64) -> SourceIdentity {
        let running = (now - self.started) / 1_000;
        let process = |server: usize| {
            let host = if alias { "alias-" } else { "" };
            SourceProcess {
                server: format!("{host}{}-{server}:11222", self.name),
                started: self.tells_start.then(|| (ours / 1_000 - running).unsigned_abs()),
                topology: Some(ToldTopology { id: self.topology, alone: false }),
                ..SourceProcess::default()
            }
        };
        SourceIdentity((0..SERVERS).map(process).collect())
    }
}
