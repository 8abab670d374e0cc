//! The world: a target, its sources, their clients, and the steps they take.

mod background;
mod brought;
mod clients;
mod command;
mod copying;
mod evictions;
mod iterating;
mod operators;
mod verifying;

use std::{collections::VecDeque, ops::AddAssign, sync::Arc};

use cluster::{MetaCommand, Metadata, SourceIdentity};
use config::{CacheConfig, CacheMode, CacheName};
use rand::{Rng, SeedableRng, rngs::StdRng};
use store::{Cache, ConnectionId, Lifetime, MemoryLimit, SegmentId, Timestamp, VersionKey};

use self::{
    clients::Flight,
    command::{Operation, Seen},
    copying::Copy,
    evictions::Evictions,
    iterating::Iteration,
    verifying::Verification,
};
use super::{
    model::{KEYS, Model},
    source::{SEGMENTS, SERVERS, Source},
};
use crate::{clearing::Clearing, clocks::SourceClocks};

/// Steps of one seed.
const STEPS: usize = 400;

/// True time at the beginning, in milliseconds since the Unix epoch.
const BEGINNING: i64 = 1_700_000_000_000;

/// Commands of clients that are under way at the same time, at most.
const MOST_OPERATIONS: usize = 6;

/// What happened in a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    commands: u64,
    connects: u64,
    refused: u64,
    disconnects: u64,
    finished: u64,
    restarts: u64,
    outdated: u64,
    fenced: u64,
    clears: u64,
    verified: u64,
    written: u64,
    proofs: u64,
    found: u64,
    mended: u64,
    evicted: u64,
    iterated: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.commands += more.commands;
        self.connects += more.connects;
        self.refused += more.refused;
        self.disconnects += more.disconnects;
        self.finished += more.finished;
        self.restarts += more.restarts;
        self.outdated += more.outdated;
        self.fenced += more.fenced;
        self.clears += more.clears;
        self.verified += more.verified;
        self.written += more.written;
        self.proofs += more.proofs;
        self.found += more.found;
        self.mended += more.mended;
        self.evicted += more.evicted;
        self.iterated += more.iterated;
    }
}

impl Tally {
    /// Returns whether everything that a run is to try has happened, and not only once.
    pub(super) fn is_rich(&self) -> bool {
        [
            self.commands,
            self.connects,
            self.refused,
            self.disconnects,
            self.finished,
            self.restarts,
            self.outdated,
            self.fenced,
            self.clears,
            self.verified,
            self.written,
            self.proofs,
            self.found,
            self.mended,
            self.evicted,
            self.iterated,
        ]
        .iter()
        .all(|count| *count > 5)
    }
}

/// Runs one seed. Returns what happened, or the violation with the steps that led to it.
pub(super) fn run(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    world.run().map(|()| world.tally)
}

/// The steps of one seed.
pub(super) fn steps(seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    let _ = world.run();
    world.steps
}

struct World {
    random: StdRng,
    now: i64,
    sources: [Source; 2],
    target: Target,
    model: Model,
    operations: Vec<Operation>,
    flights: Vec<Flight>,
    /// How many of ten commands only read: where little is changed, connections are continued.
    reads: u32,
    /// The source that was connected last.
    last_source: usize,
    next_value: u64,
    next_flight: u64,
    /// What clients have seen last of each key.
    seen: [Option<Seen>; KEYS],
    /// A clear under way, and the connection that it has ended the imports of.
    clear: Option<(Clearing, Option<ConnectionId>)>,
    /// What a client iterates over.
    iteration: Option<Iteration>,
    /// Set while it is looked at whether clients were quicker than a connection: what they were told wrongly
    /// if it stands.
    told_early: Option<Vec<String>>,
    /// When the last connection was made that continues no other.
    connected_anew: i64,
    tally: Tally,
    steps: Vec<String>,
}

struct Target {
    name: CacheName,
    /// Milliseconds by which its clock is ahead of true time.
    clock: i64,
    cache: Arc<Cache>,
    metadata: Metadata,
    live: Option<Live>,
    limits: Limits,
    evictions: Evictions,
    /// Segments of which the tombstones of the last connection are still to be dropped.
    forgetting: VecDeque<SegmentId>,
}

/// What a target may hold.
#[derive(Clone, Copy)]
struct Limits {
    /// Most tombstones for what is complete.
    tombstones: u64,
    /// Most entries. Beyond it, others have to make room.
    entries: Option<u64>,
}

/// The live connection to a source.
struct Live {
    source: usize,
    alias: bool,
    id: ConnectionId,
    clocks: Arc<SourceClocks>,
    identity: SourceIdentity,
    /// Whether it was seen that the source is the same since a connection was made last.
    seen: bool,
    /// Whether the source is not believed any more.
    doubted: bool,
    job: Option<Copy>,
    verification: Option<Verification>,
}

impl World {
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            if let Err(violation) = self.step().and_then(|()| self.check_evictions()) {
                let steps = self.steps.join("\n");
                return Err(format!("{steps}\n=> {violation}"));
            }
        }
        Ok(())
    }

    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let now = BEGINNING;
        let alike = random.random_bool(0.8);
        let tells = random.random_bool(0.8);
        let sources =
            [Source::new("one", now, alike, tells), Source::new("two", now, alike, tells)];
        let clock = skew(&mut random);
        let limits = Limits {
            tombstones: if random.random_bool(0.3) { 4 } else { 1_000 },
            entries: random.random_bool(0.15).then(|| random.random_range(3..10)),
        };
        let target = Target::new(clock, limits, random.random(), now);
        let reads = pick(&mut random, &[5, 8, 10, 10]);
        let mut world = Self {
            random,
            now,
            sources,
            target,
            model: Model::new(),
            operations: Vec::new(),
            flights: Vec::new(),
            reads,
            last_source: 0,
            next_value: 0,
            next_flight: 0,
            seen: [const { None }; KEYS],
            clear: None,
            iteration: None,
            told_early: None,
            connected_anew: now,
            tally: Tally::default(),
            steps: Vec::new(),
        };
        for source in 0..2 {
            world.sources[source].clocks = [(); SERVERS].map(|()| skew(&mut world.random));
            for number in 0..KEYS {
                world.source_write(source, number);
            }
        }
        world
    }

    fn note(&mut self, step: impl Into<String>) {
        let at = self.now - BEGINNING;
        self.steps.push(format!("{at:>9} {}", step.into()));
    }

    fn ours(&self) -> Timestamp {
        Timestamp::from_millis((self.now + self.target.clock).unsigned_abs())
    }

    fn value(&mut self, of: &str) -> Vec<u8> {
        self.next_value += 1;
        format!("{of}-{}", self.next_value).into_bytes()
    }

    fn step(&mut self) -> Result<(), String> {
        self.pass_time();
        match self.random.random_range(0..100) {
            0..16 => self.begin_operation(),
            16..44 => return self.go_on_with_operation(),
            44..48 => return self.go_on_with_iteration(),
            48..57 => self.answer_a_flight(),
            57..62 => return self.land_a_flight(),
            62..77 => return self.go_on_with_job(),
            77..79 => return self.connect(),
            79..81 => return self.disconnect(),
            81..83 => self.synchronize()?,
            83 => return self.tell_job(),
            84 if self.random.random_bool(0.2) => self.restart_target()?,
            84 => self.synchronize()?,
            85 => self.accept(),
            86 => self.synchronize()?,
            87 => self.outage(),
            88..90 => self.set_a_clock(),
            90 if self.random.random_bool(0.2) => self.begin_clear(),
            90..94 => return self.go_on_with_clear(),
            94 => self.sweep(),
            95 => self.look_for_overdue(),
            96 => self.read_a_clock(),
            97 => {
                // What a verification may find is changed at the last source.
                let another = self.random.random_bool(0.3);
                let source =
                    if another { self.random.random_range(0..2) } else { self.last_source };
                let number = self.random.random_range(0..KEYS);
                if self.random.random_bool(0.2) {
                    self.note(format!("source {source} removes key {number}"));
                    self.sources[source].remove(number);
                } else {
                    self.source_write(source, number);
                }
            }
            98 => return self.verify(),
            99 if self.random.random_bool(0.5) => self.restart_source(),
            _ => self.forget(),
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let most = match self.random.random_range(0..100) {
            0..70 => 50,
            70..90 => 1_500,
            90..97 => 20_000,
            _ => 900_000,
        };
        self.now += self.random.random_range(0..most);
        self.sources.iter_mut().for_each(|source| source.purge(self.now));
    }
}

impl Target {
    fn new(clock: i64, limits: Limits, versions: u64, now: i64) -> Self {
        let name: CacheName = "orders".parse().expect("a name");
        let mut config = CacheConfig::new(CacheMode::Distributed);
        config.segments = SEGMENTS;
        config.memory.max_count = limits.entries;
        let config = Arc::new(config);
        let at = Timestamp::from_millis((now + clock).unsigned_abs());
        let (key, memory) = (VersionKey::new(versions), MemoryLimit::unlimited());
        let cache = Cache::seeded(name.clone(), Arc::clone(&config), key, memory, at, versions);
        let mut metadata = Metadata::default();
        let create = MetaCommand::CreateCache { cache: name.clone(), config, volatile: false };
        metadata.apply(&create).expect("a new cache");
        if limits.entries.is_some() {
            cache.segment_ids().for_each(|segment| cache.segment(segment).read_effects());
        }
        Self {
            name,
            clock,
            cache: Arc::new(cache),
            metadata,
            live: None,
            limits,
            evictions: Evictions::default(),
            forgetting: VecDeque::new(),
        }
    }
}

/// Milliseconds by which a clock may be wrong.
fn skew(random: &mut StdRng) -> i64 {
    let most = pick(random, &[1, 1, 500, 10_000, 600_000, 3_600_000, 86_400_000]);
    random.random_range(-most..=most)
}

fn pick<T: Clone>(random: &mut StdRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())].clone()
}

fn signed(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).expect("an instant of these centuries")
}

fn signed_millis(lifetime: Lifetime) -> i64 {
    signed(Timestamp::default().after(lifetime))
}
