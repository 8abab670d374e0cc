//! The world: a target, its sources, their clients, and the steps they take.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    ops::AddAssign,
    sync::Arc,
};

use cluster::{Attempt, Connection, MetaCommand, Metadata, SourceIdentity, follow};
use config::{CacheConfig, CacheMode, CacheName, RemoteServer, RemoteStoreConfig};
use rand::{Rng, SeedableRng, rngs::StdRng};
use store::{
    Answer, Beginning, Cache, CacheError, Change, Command, Condition, ConnectionId, EntryRef,
    Expiration, Fence, Import, ImportRule, Imported, Lifetime, MemoryLimit, Outcome, Position,
    Progress, SegmentId, Settled, Source as Said, SourceSegment, SourceSpace, Standing, Timestamp,
    Version, VersionKey,
};

use super::{
    model::{AtSource, KEYS, Life, Model, Truth},
    source::{SEGMENTS, SERVERS, Source, key, placement},
};
use crate::{
    clearing::{ClearStep, Clearing},
    clocks::SourceClocks,
    counts::Counts,
    entry::SourceEntry,
    http_date::Reading as ClockReading,
    loss,
    opening::{Opening, since},
    source_clock::Obtained,
    sync::{Action, Ending, Event, SyncJob, SyncSettings, Unit, UnitId},
};

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
    }
}

impl Tally {
    /// Whether everything that a run is to try has happened, and not only once.
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
        ]
        .iter()
        .all(|count| *count > 5)
    }
}

/// Runs one seed. Returns what happened, or the violation with the steps that led to it.
pub(super) fn run(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        if let Err(violation) = world.step() {
            let steps = world.steps.join("\n");
            return Err(format!("{steps}\n=> {violation}"));
        }
    }
    Ok(world.tally)
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
}

/// A running synchronization.
struct Copy {
    job: SyncJob,
    readings: BTreeMap<UnitId, UnitReading>,
    waits: Vec<UnitId>,
    to_complete: VecDeque<(SourceSpace, Vec<SourceSegment>)>,
    counts: Counts,
    /// Whether everything was here when it began.
    repeats: bool,
}

/// The iteration of one unit.
struct UnitReading {
    unit: Unit,
    ahead: VecDeque<u32>,
    /// Keys of the segment that is read which are still to come; `None` before it is begun.
    keys: Option<VecDeque<usize>>,
    page: Vec<(usize, SourceEntry)>,
    failed: BTreeMap<u32, u64>,
}

/// What a client asks of one key.
#[derive(Clone)]
enum Kind {
    Get,
    Put(Vec<u8>, Expiration),
    GetAndPut(Vec<u8>, Expiration),
    PutIfAbsent(Vec<u8>, Expiration),
    Replace(Vec<u8>, Expiration),
    ReplaceUnmodified(Seen, Vec<u8>, Expiration),
    Remove,
    GetAndRemove,
    RemoveUnmodified(Seen),
}

/// An entry as a client has seen it.
#[derive(Clone)]
struct Seen {
    version: Version,
    value: Vec<u8>,
}

struct Operation {
    key: usize,
    kind: Kind,
    began: i64,
    said: Option<(ConnectionId, Answered, i64)>,
    waits: Option<u64>,
}

/// How a source answered, as far as it is kept.
#[derive(Clone)]
enum Answered {
    Absent,
    Entry(SourceEntry),
    Silent,
}

/// A load, which several commands may wait for.
struct Flight {
    number: u64,
    key: usize,
    connection: ConnectionId,
    answer: Option<(Answered, i64)>,
    /// Whether a command waits for it, rather than the background work on overdue entries.
    for_command: bool,
}

/// What a client was told.
struct Told {
    /// What stood under the key, as far as it says so.
    saw: Option<Option<Vec<u8>>>,
    /// Whether the change was made.
    is_changed: bool,
    /// The entry as it stands, if the change was not made.
    current: Option<Seen>,
}

impl World {
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
        let reads = pick(&mut random, &[5, 5, 8, 10]);
        let mut world = Self {
            random,
            now,
            sources,
            target,
            model: Model::new(limits.entries.is_some()),
            operations: Vec::new(),
            flights: Vec::new(),
            reads,
            last_source: 0,
            next_value: 0,
            next_flight: 0,
            seen: [const { None }; KEYS],
            clear: None,
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
            16..48 => return self.go_on_with_operation(),
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
                let (source, number) =
                    (self.random.random_range(0..2), self.random.random_range(0..KEYS));
                self.source_write(source, number);
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

    fn source_write(&mut self, source: usize, number: usize) {
        let value = self.value("source");
        let lifespan =
            self.random.random_bool(0.5).then(|| pick(&mut self.random, &[1, 5, 60, 600, 86_400]));
        let idle = self.random.random_bool(0.15).then(|| pick(&mut self.random, &[5, 60, 600]));
        self.sources[source].write(number, value, lifespan, idle, self.now);
        self.note(format!("source {source} has key {number} for {lifespan:?} s, idle {idle:?} s"));
    }

    // Clients.

    fn expiration(&mut self) -> Expiration {
        let lifetime = |random: &mut StdRng, chance| {
            random
                .random_bool(chance)
                .then(|| Lifetime::from_millis(pick(random, &[500, 3_000, 60_000, 600_000])))
        };
        let lifespan = lifetime(&mut self.random, 0.4);
        let max_idle = lifetime(&mut self.random, 0.1);
        Expiration { lifespan, max_idle }
    }

    fn begin_operation(&mut self) {
        if self.operations.len() >= MOST_OPERATIONS {
            return;
        }
        let key = self.random.random_range(0..KEYS);
        // What only reads today may remove something tomorrow.
        let changes =
            self.random.random_range(0..10) >= self.reads || self.random.random_bool(0.02);
        let kind = match (self.random.random_range(0..12), self.seen[key].clone()) {
            _ if !changes => Kind::Get,
            (0 | 1, _) => Kind::Put(self.value("put"), self.expiration()),
            (2, _) => Kind::GetAndPut(self.value("put"), self.expiration()),
            (3 | 4, _) => Kind::PutIfAbsent(self.value("absent"), self.expiration()),
            (5, Some(seen)) => {
                Kind::ReplaceUnmodified(seen, self.value("replace"), self.expiration())
            }
            (5..7, _) => Kind::Replace(self.value("replace"), self.expiration()),
            (7, Some(seen)) => Kind::RemoveUnmodified(seen),
            (8, _) => Kind::GetAndRemove,
            _ => Kind::Remove,
        };
        let (began, said, waits) = (self.now, None, None);
        self.operations.push(Operation { key, kind, began, said, waits });
    }

    /// Lets a command that need not wait go on: as far as it comes.
    fn go_on_with_operation(&mut self) -> Result<(), String> {
        let ready: Vec<usize> = (0..self.operations.len())
            .filter(|index| self.operations[*index].waits.is_none())
            .collect();
        if ready.is_empty() {
            return Ok(());
        }
        let index = ready[self.random.random_range(0..ready.len())];
        let operation = self.operations.swap_remove(index);
        self.execute(operation)
    }

    fn execute(&mut self, mut operation: Operation) -> Result<(), String> {
        let (key_bytes, now) = (key(operation.key), self.ours());
        let command = operation.kind.command(&key_bytes);
        let said = operation.said.clone();
        let source = match &said {
            None => Said::NotAsked,
            Some((over, answered, _)) => Said::Asked(*over, answered.answer()),
        };
        let link = self.target.cache.segment(SegmentId(0)).link().map(|link| link.connection);
        if said.as_ref().is_some_and(|(over, ..)| link.is_some_and(|link| link != *over)) {
            self.tally.outdated += 1;
        }
        let mut told = None;
        let kind = operation.kind.clone();
        let attempt = self.target.cache.execute(
            &Command { source, ..command },
            now,
            &mut |outcome: Outcome<'_>| told = Some(kind.told(&outcome)),
        );
        match attempt {
            Ok(Progress::Done | Progress::Held(_)) => {
                let told = told.ok_or("a command was done without an answer")?;
                self.tally.commands += 1;
                self.note(format!("{operation:?} {told:?}"));
                self.check(&operation, &told)
            }
            Ok(Progress::Mark) => {
                self.note(format!("{operation:?} waits until a change is recorded"));
                let _ = self.propose(MetaCommand::Mark { cache: self.target.name.clone() });
                // What it was told of the source is here already.
                self.bring_answer(&operation);
                self.operations.push(operation);
                Ok(())
            }
            Ok(Progress::Load) => {
                self.ask(&mut operation);
                self.operations.push(operation);
                Ok(())
            }
            Err(CacheError::SourceSilent) => match said {
                Some((_, Answered::Silent, _)) if !matches!(kind, Kind::Remove) => Ok(()),
                _ => Err(format!("key {} fails though the source answered", operation.key)),
            },
            Err(CacheError::Fenced(Fence::Lost)) => {
                self.tally.fenced += 1;
                Ok(())
            }
            Err(error) => Err(format!("key {}: {error}", operation.key)),
        }
    }

    /// Asks the live source for the key of a command, or joins who asks already.
    fn ask(&mut self, operation: &mut Operation) {
        let link = self.target.cache.segment(SegmentId(0)).link().map(|link| link.connection);
        let Some(live) = &self.target.live else {
            operation.said = link.map(|id| (id, Answered::Silent, self.now));
            return;
        };
        let connection = live.id;
        let joins = self.flights.iter().find(|flight| {
            flight.for_command && (flight.key, flight.connection) == (operation.key, connection)
        });
        let number = match joins {
            Some(flight) => flight.number,
            None => self.depart(operation.key, connection, true),
        };
        operation.waits = Some(number);
    }

    fn depart(&mut self, key: usize, connection: ConnectionId, for_command: bool) -> u64 {
        self.next_flight += 1;
        let number = self.next_flight;
        self.flights.push(Flight { number, key, connection, answer: None, for_command });
        number
    }

    fn answer_a_flight(&mut self) {
        let open: Vec<usize> =
            (0..self.flights.len()).filter(|index| self.flights[*index].answer.is_none()).collect();
        if open.is_empty() {
            return;
        }
        let index = open[self.random.random_range(0..open.len())];
        let key = self.flights[index].key;
        let answer = self.load(key);
        self.note(format!("the source says of key {key}: {answer:?}"));
        self.flights[index].answer = Some((answer, self.now));
    }

    /// What the live source says of a key.
    fn load(&mut self, key: usize) -> Answered {
        let (now, ours) = (self.now, self.ours());
        if !self.believes() {
            return Answered::Silent;
        }
        let Some(live) = &self.target.live else { return Answered::Silent };
        let source = &mut self.sources[live.source];
        let clock = live.clocks.of(&source.server(source.owner(key)));
        match source.read(key, now) {
            None => Answered::Absent,
            Some((value, metadata)) => {
                let by_key = Obtained::ByKey;
                Answered::Entry(SourceEntry::new(value, &metadata, &clock, by_key, ours, ours))
            }
        }
    }

    /// Whether the live source answers and is the one that it should be; finds out if need be.
    fn believes(&mut self) -> bool {
        let (now, ours) = (self.now, self.ours());
        let Some(live) = &mut self.target.live else { return false };
        let source = &self.sources[live.source];
        if live.doubted || !source.up {
            return false;
        }
        if !live.seen {
            let identity = source.identity(live.alias, now, signed(ours));
            live.doubted = !identity.continues(&live.identity);
            live.seen = !live.doubted;
            self.steps
                .push(format!("          the source is seen again, doubted {}", live.doubted));
            if live.seen {
                live.identity = identity;
            }
        }
        !live.doubted
    }

    fn land_a_flight(&mut self) -> Result<(), String> {
        let answered: Vec<usize> =
            (0..self.flights.len()).filter(|index| self.flights[*index].answer.is_some()).collect();
        if answered.is_empty() {
            return Ok(());
        }
        let index = answered[self.random.random_range(0..answered.len())];
        let flight = self.flights.swap_remove(index);
        let Some((answer, at)) = flight.answer else { return Ok(()) };
        if flight.for_command {
            for operation in &mut self.operations {
                if operation.waits == Some(flight.number) {
                    operation.waits = None;
                    operation.said = Some((flight.connection, answer.clone(), at));
                }
            }
            return Ok(());
        }
        let settled = self.target.cache.settle(
            &key(flight.key),
            &answer.answer(),
            flight.connection,
            self.ours(),
        );
        self.note(format!("settle key {}: {settled:?}", flight.key));
        if settled.map_err(|error| error.to_string())? == Settled::LivesOn {
            if let Answered::Entry(entry) = &answer {
                self.bring_entry(flight.key, entry);
            }
            self.bring(flight.key, at);
        }
        Ok(())
    }

    /// Checks what a client was told, and takes in what its command has done.
    fn check(&mut self, operation: &Operation, told: &Told) -> Result<(), String> {
        let (key, now) = (operation.key, self.now);
        let mut at_source = self.at_source(operation);
        let clearing = self.model.clearing;
        if let (Some(early), Some(None), true) = (&mut self.told_early, &told.saw, at_source.must) {
            if !clearing && matches!(self.model.truth(key), Truth::Source(_)) {
                early.push(format!("key {key} is seen as none, but the source has it"));
                at_source.must = false;
            }
        }
        if let Some(saw) = &told.saw {
            let uses = matches!(operation.kind, Kind::Get);
            let stored = self.target.live.as_ref().map(|live| &self.sources[live.source].entries);
            let stored = stored.and_then(|entries| entries.get(&key));
            self.model
                .see(key, saw.as_deref(), &at_source, uses, now)
                .map_err(|wrong| format!("{wrong}; at the source is {stored:?}"))?;
            if saw.is_some() {
                self.bring_answer(operation);
                self.bring(key, operation.said.as_ref().map_or(now, |(_, _, at)| *at));
            }
        }
        if let (Kind::ReplaceUnmodified(seen, ..) | Kind::RemoveUnmodified(seen), Some(current)) =
            (&operation.kind, &told.current)
            && seen.value == current.value
        {
            return Err(format!("key {key} was not modified, but that is what is said"));
        }
        if told.current.is_some() {
            self.seen[key].clone_from(&told.current);
        }
        self.model.use_perhaps(key, now);
        match &operation.kind {
            Kind::Remove => self.model.set(key, Truth::Gone),
            Kind::GetAndRemove | Kind::RemoveUnmodified(_) if told.is_changed => {
                self.model.set(key, Truth::Gone);
            }
            Kind::Put(value, expiration)
            | Kind::GetAndPut(value, expiration)
            | Kind::PutIfAbsent(value, expiration)
            | Kind::Replace(value, expiration)
            | Kind::ReplaceUnmodified(_, value, expiration)
                if told.is_changed =>
            {
                self.wrote(key, value, *expiration);
            }
            _ => {}
        }
        Ok(())
    }

    fn wrote(&mut self, key: usize, value: &[u8], expiration: Expiration) {
        let millis = |lifetime: Option<Lifetime>| lifetime.map(signed_millis);
        let ends = millis(expiration.lifespan).map(|lifespan| self.now + lifespan);
        let life = Life::exact(value.to_vec(), ends, millis(expiration.max_idle), self.now);
        self.model.set(key, Truth::Written(life));
    }

    /// What the connected source has to say about the key of a command.
    fn at_source(&self, operation: &Operation) -> AtSource {
        let mut known = AtSource::default();
        if let Some((_, Answered::Entry(entry), _)) = &operation.said {
            known.values.push(entry.value().to_vec());
        }
        let Some(live) = &self.target.live else { return known };
        let link = self.target.cache.segment(SegmentId(0)).link().map(|link| link.connection);
        let source = &self.sources[live.source];
        let asked = operation.said.as_ref().map_or(operation.began, |(_, _, at)| *at);
        if let Some(stored) = source.entries.get(&operation.key)
            && link == Some(live.id)
            && !live.doubted
            && live.seen
            && source.up
        {
            // What is written there later may come too late to be copied.
            let was_copied = stored.since < self.connected_anew
                && !self.model.evicts
                && !self.model.has_ended(operation.key);
            known.must = (was_copied || self.may_come(operation.key))
                && stored.since < operation.began.min(asked);
        }
        known
    }

    /// Whether the source is still asked for a key.
    fn may_come(&self, number: usize) -> bool {
        let segment = self.target.cache.segment(SegmentId(0));
        segment.link().is_some_and(|link| link.may_hold(placement(number)))
    }

    /// The entry that the source answered with is here, whatever became of it at the source since: it need
    /// not stay, but it may.
    fn bring_answer(&mut self, operation: &Operation) {
        if let Some((_, Answered::Entry(entry), _)) = &operation.said {
            self.bring_entry(operation.key, entry);
        }
    }

    fn bring_entry(&mut self, number: usize, entry: &SourceEntry) {
        let lifespan = entry.metadata().expiration.lifespan.map(signed_millis);
        let (value, now) = (entry.value().to_vec(), self.now);
        if !self.is_here(number, &value) {
            return;
        }
        self.model.bring(number, Life::imported(value, Some(0), lifespan, None, now, now));
    }

    /// An entry of the source is here: so much of its life is certain.
    fn bring(&mut self, number: usize, read: i64) {
        let Some(live) = &self.target.live else { return };
        let source = &self.sources[live.source];
        let Some(stored) = source.entries.get(&number) else { return };
        let seconds = |by: Option<u32>| by.map(|by| i64::from(by) * 1_000);
        let (lifespan, idle) = (seconds(stored.lifespan), seconds(stored.max_idle));
        let (value, now) = (stored.value.clone(), self.now);
        // Another value that was here before stays, whatever the source has now.
        let here =
            self.target.cache.inspect(&key(number), self.ours(), |standing| match standing {
                Standing::Imported(entry) | Standing::Overdue(entry) => {
                    entry.value().bytes() == value.as_slice()
                }
                Standing::Unknown | Standing::Tombstone | Standing::Local(_) => false,
            });
        if here {
            // A clock that is set back lets the source keep it longer than its lifespan; nobody else need.
            let ends = lifespan.map(|lifespan| stored.since + lifespan);
            let left = source
                .remaining(number, now)
                .map(|left| left.min(ends.map_or(left, |ends| ends - now)).max(0));
            // How long it lives on after its last use depends on who used it where.
            let left = if idle.is_some() { Some(0) } else { left };
            let life = Life::imported(value, left, lifespan, idle, now.max(read), now);
            self.model.bring(number, life);
        }
    }

    /// Whether this value was brought in under a key.
    fn is_here(&self, number: usize, value: &[u8]) -> bool {
        self.target.cache.inspect(&key(number), self.ours(), |standing| match standing {
            Standing::Imported(entry) | Standing::Overdue(entry) => entry.value().bytes() == value,
            Standing::Unknown | Standing::Tombstone | Standing::Local(_) => false,
        })
    }

    // Operators.

    fn propose(&mut self, command: MetaCommand) -> Result<(), String> {
        let (now, target) = (self.ours(), &mut self.target);
        target.metadata.apply(&command).map_err(|error| error.to_string())?;
        let known = target.metadata.cache(target.name.as_str());
        follow(&target.cache, &command, known, now, target.limits.tombstones);
        Ok(())
    }

    fn connection(&self) -> Option<&Connection> {
        self.target.metadata.cache(self.target.name.as_str())?.connection.as_ref()
    }

    fn some_operations(&mut self) -> Result<(), String> {
        for _ in 0..self.random.random_range(0..3) {
            match self.random.random_range(0..20) {
                0 => self.begin_clear(),
                1..4 => self.go_on_with_clear()?,
                4 => self.sweep(),
                // Nothing says more about a connection than a removal just before it.
                5..9 => {
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

    fn connect(&mut self) -> Result<(), String> {
        if self.connection().is_some() {
            return Ok(());
        }
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
        self.some_operations()?;
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
        let attempt = Attempt {
            cache: &self.target.name,
            remote: &remote,
            identity: &identity,
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
        self.some_operations()?;
        if start.beginning == Beginning::Anew {
            for segment in self.target.cache.segment_ids() {
                self.target.cache.forget_source(segment);
            }
        }
        self.some_operations()?;
        let connection = Connection {
            remote,
            space: start.space,
            identity: identity.clone(),
            since: since(self.ours(), past.as_ref()),
            complete: start.complete,
            marked: start.marked,
            cleared: start.cleared,
            forgets: start.forgets,
            imported: None,
        };
        let mut opening = Opening { connection, beginning: start.beginning };
        if opening.settle(&self.target.cache).is_err() {
            self.tally.refused += 1;
            return Ok(());
        }
        self.target.cache.begin(opening.beginning);
        self.some_operations()?;
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
        });
        self.some_operations()?;
        let (name, connection) = (self.target.name.clone(), Box::new(opening.connection.clone()));
        self.propose(MetaCommand::Connect { cache: name.clone(), connection })?;
        let beginning = opening.beginning;
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
        self.some_operations()?;
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
        Ok(())
    }

    /// The operator, or nobody's past, lets the source have the last word on everything but what is here.
    fn begin_anew(&mut self) {
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

    fn let_go(&mut self) -> Result<(), String> {
        self.propose(MetaCommand::Disconnect { cache: self.target.name.clone() })?;
        self.end_live();
        self.target.forgetting = self.target.cache.segment_ids().collect();
        self.tally.disconnects += 1;
        Ok(())
    }

    /// Who waits for the source is told that it is silent, unless the answer was quicker.
    fn end_live(&mut self) {
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

    fn disconnect(&mut self) -> Result<(), String> {
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
        self.let_go()
    }

    /// Whatever the source has and no client has changed must be here.
    fn expect_everything(&mut self, what: &str) -> Result<(), String> {
        for number in 0..KEYS {
            self.expect_here(number, what)?;
        }
        Ok(())
    }

    fn expect_here(&mut self, number: usize, what: &str) -> Result<(), String> {
        let Some(live) = &self.target.live else { return Ok(()) };
        let source = &self.sources[live.source];
        // What is written to the source once it is connected is nobody's promise.
        let stored = source.entries.get(&number);
        let is_new = stored.is_none_or(|stored| stored.since >= self.connected_anew);
        let Truth::Source(_) = self.model.truth(number) else { return Ok(()) };
        if is_new || !live.seen || live.doubted || self.model.clearing {
            return Ok(());
        }
        if self.model.has_ended(number) || self.model.evicts {
            return Ok(());
        }
        let cleared = self.connection().is_some_and(|connection| connection.cleared);
        let here = self.target.cache.inspect(&key(number), self.ours(), |standing| {
            matches!(standing, Standing::Imported(_) | Standing::Overdue(_) | Standing::Local(_))
        });
        if here || cleared {
            self.bring(number, self.now);
            return Ok(());
        }
        Err(format!("{what}, but key {number} of the source is not here"))
    }

    fn synchronize(&mut self) -> Result<(), String> {
        if self.connection().is_none() || self.target.cache.check_served().is_err() {
            return Ok(());
        }
        if !self.believes() {
            return Ok(());
        }
        let link = self.target.cache.segment(SegmentId(0)).link().cloned();
        let Some(link) = link else { return Ok(()) };
        let Some(live) = &mut self.target.live else { return Ok(()) };
        if live.job.is_some() {
            return Ok(());
        }
        let owners: Vec<usize> = (0..SEGMENTS as usize).map(|segment| segment % SERVERS).collect();
        let settings = SyncSettings { units: 2, units_per_server: 1 };
        let (job, actions) = SyncJob::start(link.space, &link.complete, &owners, settings);
        live.job = Some(Copy {
            job,
            readings: BTreeMap::new(),
            waits: Vec::new(),
            to_complete: VecDeque::new(),
            counts: Counts::default(),
            repeats: link.is_complete(),
        });
        self.note("synchronize");
        self.follow_job(actions)
    }

    fn tell_job(&mut self) -> Result<(), String> {
        let event = match self.random.random_range(0..4) {
            0 => Event::Pause,
            1 | 2 => Event::Resume,
            _ => Event::Cancel,
        };
        self.on(event)
    }

    fn on(&mut self, event: Event) -> Result<(), String> {
        let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) else {
            return Ok(());
        };
        let actions = copy.job.on(event);
        self.follow_job(actions)
    }

    fn follow_job(&mut self, actions: Vec<Action>) -> Result<(), String> {
        for action in actions {
            let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) else {
                return Ok(());
            };
            match action {
                Action::Read(unit) => {
                    let all = || (0..SEGMENTS).collect();
                    let ahead = unit.segments.as_ref().map_or_else(all, |segments| {
                        segments.iter().map(|segment| segment.0).collect()
                    });
                    let (keys, page, failed) = (None, Vec::new(), BTreeMap::new());
                    let id = unit.id;
                    let reading = UnitReading { unit, ahead, keys, page, failed };
                    copy.readings.insert(id, reading);
                }
                Action::Complete(segments) => {
                    copy.to_complete.push_back((copy.job.space(), segments));
                }
                Action::BecomeUnit => {
                    copy.to_complete.clear();
                    let forgotten = self.target.cache.has_forgotten();
                    self.note("the source is one unit");
                    self.propose(MetaCommand::BecomeUnit { cache: self.target.name.clone() })?;
                    if forgotten {
                        return self.end_job(&Ending::Cancelled);
                    }
                }
                Action::Wait { unit, .. } => copy.waits.push(unit),
                Action::Stop => {
                    copy.readings.clear();
                    copy.waits.clear();
                }
                Action::End(ending) => return self.end_job(&ending),
            }
        }
        Ok(())
    }

    fn end_job(&mut self, ending: &Ending) -> Result<(), String> {
        self.complete_all_pending()?;
        let job = self.target.live.as_mut().and_then(|live| live.job.take());
        let Some(copy) = job else { return Ok(()) };
        self.note(format!("the job ends as {ending:?}: {:?}", copy.counts));
        if !copy.counts.add_up() {
            return Err(format!("the counts do not add up: {:?}", copy.counts));
        }
        if copy.repeats && copy.counts.written > 0 {
            return Err(format!("a repeated job writes {} entries", copy.counts.written));
        }
        if *ending == Ending::Finished {
            self.tally.finished += 1;
            let (cache, imported) = (self.target.name.clone(), copy.counts.written);
            self.propose(MetaCommand::Finish { cache, imported })?;
        }
        Ok(())
    }

    fn complete_all_pending(&mut self) -> Result<(), String> {
        while self.complete_one()? {}
        Ok(())
    }

    fn complete_one(&mut self) -> Result<bool, String> {
        let Some(live) = &mut self.target.live else { return Ok(false) };
        let next = live.job.as_mut().and_then(|copy| copy.to_complete.pop_front());
        let Some((space, segments)) = next else { return Ok(false) };
        let (cache, since) = (self.target.name.clone(), live.id.0);
        let since = Timestamp::from_millis(since);
        let complete = MetaCommand::Complete { cache, since, space, segments: segments.clone() };
        let _ = self.propose(complete);
        self.note(format!("complete: {segments:?}"));
        for number in 0..KEYS {
            if segments.contains(&space.segment_of(placement(number))) {
                self.expect_here(number, "its segment is complete")?;
            }
        }
        Ok(true)
    }

    fn go_on_with_job(&mut self) -> Result<(), String> {
        if self.random.random_bool(0.2) && self.complete_one()? {
            return Ok(());
        }
        if self.target.live.as_ref().is_none_or(|live| live.job.is_none()) {
            return match (self.random.random_bool(0.2), self.connection()) {
                (true, None) => self.connect(),
                (true, Some(_)) => self.synchronize(),
                (false, _) => Ok(()),
            };
        }
        let waits = self.target.live.as_mut().and_then(|live| live.job.as_mut()?.waits.pop());
        if let Some(unit) = waits {
            return self.on(Event::Again { unit });
        }
        let units: Vec<UnitId> = self
            .target
            .live
            .iter()
            .filter_map(|live| live.job.as_ref())
            .flat_map(|copy| copy.readings.keys().copied())
            .collect();
        if units.is_empty() {
            return Ok(());
        }
        let id = units[self.random.random_range(0..units.len())];
        if !self.believes() {
            let doubted = self.target.live.as_ref().is_some_and(|live| live.doubted);
            let reason = String::from("it is gone");
            let event = if doubted { Event::SourceChanged { reason } } else { self.lose(id) };
            return self.on(event);
        }
        if self.random.random_bool(0.03) {
            let lost = self.lose(id);
            return self.on(lost);
        }
        self.read_on(id)
    }

    fn lose(&mut self, unit: UnitId) -> Event {
        if let Some(copy) = self.target.live.as_mut().and_then(|live| live.job.as_mut()) {
            copy.readings.remove(&unit);
        }
        Event::Lost { unit, reason: "the connection is lost".into() }
    }

    /// One step of the iteration of a unit.
    fn read_on(&mut self, id: UnitId) -> Result<(), String> {
        let applies = self.random.random_bool(0.4);
        let ours = self.ours();
        let Some(live) = &mut self.target.live else { return Ok(()) };
        let Some(copy) = &mut live.job else { return Ok(()) };
        let Some(reading) = copy.readings.get_mut(&id) else { return Ok(()) };
        let source = &self.sources[live.source];
        if applies && !reading.page.is_empty() {
            return self.apply_page(id);
        }
        let Some(&segment) = reading.ahead.front() else {
            if !reading.page.is_empty() {
                return self.apply_page(id);
            }
            let failed = reading.failed.values().sum();
            let event = Event::UnitRead { unit: id, failed };
            // The job has asked for it and forgets it by itself.
            let unfinished = copy.readings.remove(&id);
            drop(unfinished);
            return self.on(event);
        };
        let keys = reading.keys.get_or_insert_with(|| {
            source.entries.keys().copied().filter(|key| source.segment(*key) == segment).collect()
        });
        if let Some(number) = keys.pop_front() {
            if let Some((value, metadata)) = source.report(number) {
                let clock = live.clocks.of(&source.server(source.owner(number)));
                let walked = Obtained::InWalk;
                let entry = SourceEntry::new(value, &metadata, &clock, walked, ours, ours);
                reading.page.push((number, entry));
            }
            return Ok(());
        }
        if !reading.page.is_empty() {
            return self.apply_page(id);
        }
        reading.ahead.pop_front();
        reading.keys = None;
        let failed = match copy.job.space() {
            SourceSpace::Segments(_) => reading.failed.get(&segment).copied().unwrap_or(0),
            SourceSpace::Unit => reading.failed.values().sum(),
        };
        self.on(Event::SegmentRead { unit: id, segment: SourceSegment(segment), failed })
    }

    fn apply_page(&mut self, id: UnitId) -> Result<(), String> {
        let ours = self.ours();
        let Some(live) = &mut self.target.live else { return Ok(()) };
        let connection = live.id;
        let Some(copy) = &mut live.job else { return Ok(()) };
        let space = copy.job.space();
        let Some(reading) = copy.readings.get_mut(&id) else { return Ok(()) };
        let page = std::mem::take(&mut reading.page);
        let placed = |number: usize| space.segment_of(placement(number));
        if let (Some(segments), SourceSpace::Segments(_)) = (&reading.unit.segments, space)
            && page.iter().any(|(number, _)| !segments.contains(&placed(*number)))
        {
            return self.on(Event::Misplaced);
        }
        let keys: Vec<Vec<u8>> = page.iter().map(|(number, _)| key(*number)).collect();
        let entries: Vec<(&[u8], Imported<'_>)> = keys
            .iter()
            .zip(&page)
            .map(|(key, (_, entry))| (key.as_slice(), entry.imported()))
            .collect();
        let (mut counts, mut brought) = (Counts::default(), Vec::new());
        let steps = &mut self.steps;
        self.target.cache.import(&entries, ImportRule::Copy, connection, ours, |index, import| {
            counts.count(&import);
            let number = page[index].0;
            steps.push(format!("          import key {number}, {:?}: {import:?}", page[index].1));
            match import {
                Import::Written | Import::AlreadyHere => brought.push(index),
                Import::Failed(_) | Import::Outdated => {
                    *reading.failed.entry(placed(number).0).or_default() += 1;
                }
                Import::KeptForClient | Import::Tombstone | Import::Expired => {}
            }
        });
        copy.counts += counts;
        self.tally.written += counts.written;
        if counts.failed > 0 {
            return Err(format!("entries are refused: {counts:?}"));
        }
        for index in brought {
            let (number, entry) = &page[index];
            self.bring_entry(*number, entry);
            self.bring(*number, self.now);
        }
        self.on(Event::Applied { unit: id, counts })
    }

    /// Compares everything that is here with the source, at one instant.
    fn verify(&mut self) -> Result<(), String> {
        let complete = self.connection().is_some_and(|connection| {
            connection.complete.len() >= connection.space.count() && !connection.cleared
        });
        if complete && self.clear.is_none() && self.believes() {
            self.tally.verified += 1;
            self.expect_everything("all segments are complete")?;
        }
        Ok(())
    }

    fn restart_target(&mut self) -> Result<(), String> {
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
        self.clear = None;
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
    fn reach(&mut self) {
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
        });
    }

    /// The operator accepts what was lost, here or at the source.
    fn accept(&mut self) {
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
        let _ = self.propose(MetaCommand::AcceptSource { cache: name, identity });
        self.note("the loss at the source is accepted");
    }

    // What happens to sources.

    fn restart_source(&mut self) {
        let (index, keeps) = (self.random.random_range(0..2), self.random.random_bool(0.5));
        self.sources[index].restart(keeps, self.now);
        self.note(format!("source {index} is restarted, keeps entries {keeps}"));
        if let Some(live) = self.target.live.as_mut().filter(|live| live.source == index) {
            live.seen = false;
        }
    }

    fn outage(&mut self) {
        let index = self.random.random_range(0..2);
        let up = !self.sources[index].up || self.random.random_bool(0.5);
        self.sources[index].up = up;
        if !up && let Some(live) = self.target.live.as_mut().filter(|live| live.source == index) {
            live.seen = false;
        }
    }

    fn set_a_clock(&mut self) {
        let (source, server) =
            (self.random.random_range(0..2), self.random.random_range(0..SERVERS));
        let shift = skew(&mut self.random);
        self.sources[source].clocks[server] = shift;
        self.sources[source].purge(self.now);
        self.note(format!("the clock of source {source}, server {server} is {shift} ms ahead"));
    }

    fn read_a_clock(&mut self) {
        let ours = self.ours();
        let Some(live) = &self.target.live else { return };
        let source = &self.sources[live.source];
        if live.doubted || !live.seen || !source.up {
            return;
        }
        let server = self.random.random_range(0..SERVERS);
        let date = (self.now + source.clocks[server]) / 1_000 * 1_000;
        let reading = ClockReading { date: date.unsigned_abs(), sent: ours, received: ours };
        live.clocks.of(&source.server(server)).read(reading);
        if let Some(before) = live.clocks.surely_over() {
            self.target.cache.set_surely_over(before);
            self.steps.push(format!("          over before {before:?} is over at the source"));
        }
    }

    // Background work, and whole-cache commands.

    fn begin_clear(&mut self) {
        if self.clear.is_some() || self.target.cache.check_served().is_err() {
            return;
        }
        self.note("clear");
        self.tally.clears += 1;
        self.clear = Some((Clearing::new(&self.target.cache), None));
    }

    fn go_on_with_clear(&mut self) -> Result<(), String> {
        let connection = self.connection().map(Connection::id);
        let Some((clear, ended)) = &mut self.clear else { return Ok(()) };
        let step = clear.step();
        self.steps.push(format!("          clear: {step:?}"));
        match step {
            ClearStep::EndImports if connection.is_some() => {
                if std::mem::replace(ended, connection) == connection {
                    return Err("a clear has to end the same imports twice".into());
                }
                self.propose(MetaCommand::Clear { cache: self.target.name.clone() })?;
                self.on(Event::Cleared)?;
                self.model.clearing = true;
            }
            ClearStep::EndImports => {}
            ClearStep::Emptied(segment) | ClearStep::Rid(segment) => {
                let cache = &self.target.cache;
                let (ours, in_it) =
                    (self.ours(), |number: &usize| cache.segment_of(&key(*number)) == segment);
                for number in (0..KEYS).filter(in_it) {
                    // Between two connections, what the first one brought may count as a client's by now.
                    let stays =
                        || cache.inspect(&key(number), ours, |it| matches!(it, Standing::Local(_)));
                    match step {
                        ClearStep::Emptied(_) => self.model.set(number, Truth::Gone),
                        _ if connection.is_none() && stays() => {}
                        _ => self.model.rid(number),
                    }
                }
            }
            ClearStep::End => {
                self.model.clearing = false;
                self.clear = None;
            }
        }
        Ok(())
    }

    fn sweep(&mut self) {
        let now = self.ours();
        self.note("sweep");
        for segment in self.target.cache.segment_ids() {
            self.target.cache.sweep(segment, now);
        }
    }

    fn look_for_overdue(&mut self) {
        let Some(connection) = self.target.live.as_ref().map(|live| live.id) else { return };
        let before = Timestamp::from_millis(self.ours().millis().saturating_sub(1_500));
        for segment in self.target.cache.segment_ids() {
            let (keys, _) =
                self.target.cache.overdue(segment, &mut Position::default(), 64, before);
            for found in keys {
                if let Some(number) = (0..KEYS).find(|number| key(*number) == *found) {
                    self.depart(number, connection, false);
                }
            }
        }
    }

    fn forget(&mut self) {
        self.note("forget");
        if let Some(segment) = self.target.forgetting.pop_front() {
            self.target.cache.forget_tombstones(segment);
        }
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
        let (versions, memory) = (VersionKey::new(versions), MemoryLimit::unlimited());
        let cache = Cache::new(name.clone(), Arc::clone(&config), versions, memory, at);
        let mut metadata = Metadata::default();
        let create = MetaCommand::CreateCache { cache: name.clone(), config, volatile: false };
        metadata.apply(&create).expect("a new cache");
        Self {
            name,
            clock,
            cache: Arc::new(cache),
            metadata,
            live: None,
            limits,
            forgetting: VecDeque::new(),
        }
    }
}

impl Kind {
    fn command<'a>(&'a self, key: &'a [u8]) -> Command<'a> {
        let write = |condition, value: &'a [u8], expiration| Command {
            condition,
            ..Command::write(key, value, expiration)
        };
        match self {
            Self::Get => Command::read(key),
            Self::Put(value, expiration) => write(Condition::Always, value, *expiration),
            Self::GetAndPut(value, expiration) => {
                Command { wants_previous: true, ..write(Condition::Always, value, *expiration) }
            }
            Self::PutIfAbsent(value, expiration) => write(Condition::Absent, value, *expiration),
            Self::Replace(value, expiration) => write(Condition::Present, value, *expiration),
            Self::ReplaceUnmodified(seen, value, expiration) => {
                write(Condition::Version(seen.version), value, *expiration)
            }
            Self::Remove => Command::remove(key),
            Self::GetAndRemove => Command { wants_previous: true, ..Command::remove(key) },
            Self::RemoveUnmodified(seen) => {
                Command::new(key, Condition::Version(seen.version), Change::Remove)
            }
        }
    }

    /// What a client is told.
    fn told(&self, outcome: &Outcome<'_>) -> Told {
        let value = |entry: &EntryRef<'_>| entry.value().bytes().to_vec();
        let seen = |entry: &EntryRef<'_>| Seen { version: entry.version(), value: value(entry) };
        let (saw, current) = match (self, outcome) {
            (_, Outcome::Missing) => (Some(None), None),
            (_, Outcome::Found(entry) | Outcome::Refused { current: entry }) => {
                (Some(Some(value(entry))), Some(seen(entry)))
            }
            (Self::PutIfAbsent(..), Outcome::Changed { .. }) => (Some(None), None),
            // A version is never used twice.
            (
                Self::ReplaceUnmodified(seen, ..) | Self::RemoveUnmodified(seen),
                Outcome::Changed { .. },
            ) => (Some(Some(seen.value.clone())), None),
            (Self::GetAndPut(..), Outcome::Changed { previous }) => {
                (Some(previous.as_ref().map(value)), None)
            }
            (_, Outcome::Changed { previous: Some(entry) }) => (Some(Some(value(entry))), None),
            // Nobody knows whether there was one.
            (_, Outcome::Changed { previous: None }) => (None, None),
        };
        Told { saw, is_changed: matches!(outcome, Outcome::Changed { .. }), current }
    }
}

impl Answered {
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Absent => Answer::Absent,
            Self::Entry(entry) => Answer::Entry(entry.imported()),
            Self::Silent => Answer::Silent,
        }
    }
}

/// A value as people read it.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value, expiration) = match self {
            Self::Get => return f.write_str("get"),
            Self::Remove => return f.write_str("remove"),
            Self::GetAndRemove => return f.write_str("get and remove"),
            Self::RemoveUnmodified(seen) => {
                return write!(f, "remove if unmodified {}", text(&seen.value));
            }
            Self::Put(value, expiration) => ("put", value, expiration),
            Self::GetAndPut(value, expiration) => ("get and put", value, expiration),
            Self::ReplaceUnmodified(_, value, expiration) => {
                ("replace if unmodified", value, expiration)
            }
            Self::PutIfAbsent(value, expiration) => ("put if absent", value, expiration),
            Self::Replace(value, expiration) => ("replace", value, expiration),
        };
        let millis = |lifetime: Option<Lifetime>| lifetime.map(signed_millis);
        let (lifespan, idle) = (millis(expiration.lifespan), millis(expiration.max_idle));
        write!(f, "{name} {} for {lifespan:?} ms, idle {idle:?} ms", text(value))
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {:?}, begun {}", self.key, self.kind, self.began - BEGINNING)?;
        match &self.said {
            Some((over, answered, at)) => {
                write!(f, ", told {answered:?} over {} at {}", over.0, at - BEGINNING)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Silent => f.write_str("silence"),
            Self::Entry(entry) => {
                let ends = entry.metadata().ends().map(Timestamp::millis);
                write!(f, "{} until {ends:?}", text(entry.value()))
            }
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saw = self.saw.as_ref().map(|saw| saw.as_deref().map(text));
        write!(f, "changes {}, sees {saw:?}", self.is_changed)
    }
}

/// Both sources have a cache of this name: only who they are tells them apart.
fn remote(source: &Source) -> RemoteStoreConfig {
    let server = RemoteServer { host: source.server(0).host, port: 11222 };
    RemoteStoreConfig { cache: Some("old".into()), ..RemoteStoreConfig::new(vec![server]) }
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
