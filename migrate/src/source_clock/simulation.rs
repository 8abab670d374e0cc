//! A source whose clock is an argument, and a cache that is filled from it, in virtual time.
//!
//! The source has two servers with a clock each. Clocks are apart from ours, and are set, before, during
//! and after the copy; and what answers HTTP may show another clock. On every schedule, an entry that is alive at the source is found here, and has as
//! long to live as the source's clock tells.

use std::{collections::BTreeMap, sync::Arc};

use client::{Bytes, Metadata, ServerAddress};
use config::{CacheConfig, CacheMode};
use media::hash;
use store::{
    Answer, Cache, Command, ConnectionId, ImportRule, Imported, Link, MemoryLimit, Outcome,
    Position, Progress, Source, SourceSpace, Standing, Step, VersionKey,
};

use super::*;
use crate::{clocks::SourceClocks, entry::SourceEntry, http_date::Reading};

/// When the cache is connected, by our clock.
const BEGIN: u64 = 1_800_000_000_000;

/// The one connection.
const CONNECTION: ConnectionId = ConnectionId(1);

/// Seeds of one run; set `SEEDS` for more, and `SEED` for one of them.
const SEEDS: u64 = 300;

/// Keys of the source.
const KEYS: u32 = 40;

/// Milliseconds that a life may be longer here than there where the clock tells: those that are not known of a
/// clock that is watched, and those that it may have drifted by between two readings.
const CLOSELY: i64 = 260;

/// Milliseconds that an answer is on its way, at most.
const ANSWER: i64 = 10;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Milliseconds that clocks are apart, or are set by.
const APART: [u64; 5] = [0, 10 * SECOND, 10 * MINUTE, HOUR, DAY];

/// Lifespans and max idles in milliseconds. Clients may choose others than whole seconds.
const LIFETIMES: [u64; 9] =
    [SECOND, 1_500, 5 * SECOND, MINUTE, 5 * MINUTE, HOUR, 12 * HOUR, 3 * DAY, 30 * DAY];

/// Numbers that a seed gives.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap();
        choices[index]
    }

    fn offset(&mut self) -> i64 {
        let offset = i64::try_from(self.of(&APART)).unwrap();
        if self.one_in(2) { offset } else { -offset }
    }
}

/// An entry as the source keeps it, by the clock of its owner.
#[derive(Clone, Copy, Debug)]
struct Theirs {
    created: i64,
    used: i64,
    lifespan: Option<i64>,
    max_idle: Option<i64>,
    version: u64,
}

impl Theirs {
    fn is_alive(&self, now: i64) -> bool {
        self.lifespan.is_none_or(|lifespan| now <= self.created + lifespan)
            && self.max_idle.is_none_or(|max_idle| now <= self.used + max_idle)
    }

    fn metadata(&self) -> Metadata {
        let lifetime = |since: i64, millis: i64| client::Lifetime {
            since: since.max(0).unsigned_abs(),
            seconds: u32::try_from(millis / 1_000).unwrap(),
        };
        Metadata {
            lifespan: self.lifespan.map(|lifespan| lifetime(self.created, lifespan)),
            max_idle: self.max_idle.map(|max_idle| lifetime(self.used, max_idle)),
            version: self.version,
        }
    }
}

struct World {
    seed: u64,
    chance: Chance,
    /// Our time.
    now: u64,
    /// How far each server's clock is ahead.
    offsets: [i64; 2],
    /// When a server's clock was last set, by our clock.
    set: [u64; 2],
    /// Whether a clock was set back at all.
    set_back: bool,
    /// How far the `Date` of each server is ahead of its clock: something else may answer.
    lies: [i64; 2],
    /// Times that each clock was set since it was last read, at most.
    unread: [u32; 2],
    /// Whether that was more than once for a clock: it may seem not to be the server's.
    set_twice: bool,
    entries: BTreeMap<u32, Theirs>,
    /// Entries that were written.
    written: u64,
    tells_date: bool,
    clocks: Arc<SourceClocks>,
    cache: Cache,
    /// When the cache was connected.
    connected: u64,
    /// Entries whose life was compared.
    compared: u64,
    /// Entries of which it was compared how long they may stay unused.
    compared_idle: u64,
    /// Those of entries that are dated ahead of what is read.
    covered: u64,
}

fn server(index: usize) -> ServerAddress {
    ServerAddress { host: format!("source-{index}"), port: 11222 }
}

fn owner(key: u32) -> usize {
    usize::from(key % 2 == 1)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let first = chance.offset();
        let offsets = [first, if chance.one_in(2) { first } else { chance.offset() }];
        let tells_date = chance.one_in(2);
        let lies = if chance.one_in(3) { [chance.offset(), chance.offset()] } else { [0; 2] };
        let cache = Cache::new(
            "sessions".parse().unwrap(),
            Arc::new(CacheConfig { segments: 3, ..CacheConfig::new(CacheMode::Distributed) }),
            VersionKey::new(seed),
            MemoryLimit::unlimited(),
            Timestamp::from_millis(BEGIN),
        );
        Self {
            seed,
            chance,
            now: BEGIN,
            offsets,
            set: [0; 2],
            set_back: false,
            lies,
            unread: [0; 2],
            set_twice: false,
            entries: BTreeMap::new(),
            written: 0,
            tells_date,
            clocks: SourceClocks::new("sessions".parse().unwrap()),
            cache,
            connected: u64::MAX,
            compared: 0,
            compared_idle: 0,
            covered: 0,
        }
    }

    fn ours(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn theirs(&self, server: usize) -> i64 {
        i64::try_from(self.now).unwrap() + self.offsets[server]
    }

    /// Somebody sets the clock of a server.
    fn set_clock(&mut self) {
        // What had ended by then is gone, and does not live again.
        let now = [self.theirs(0), self.theirs(1)];
        self.entries.retain(|key, entry| entry.is_alive(now[owner(*key)]));
        let server = usize::from(self.chance.one_in(2));
        let by = self.chance.offset();
        self.offsets[server] += by;
        if by != 0 {
            self.set[server] = self.now;
        }
        self.set_back |= by < 0;
        self.unread[server] += 1;
        self.set_twice |= self.unread[server] > 1;
    }

    /// A client that has not moved writes an entry.
    fn write(&mut self, key: u32) {
        let mut lifetime = |one_in| {
            let some = !self.chance.one_in(one_in);
            some.then(|| i64::try_from(self.chance.of(&LIFETIMES)).unwrap())
        };
        let (lifespan, max_idle) = (lifetime(4), lifetime(2));
        // No server keeps a max idle that cannot come to pass.
        let max_idle = max_idle.filter(|idle| lifespan.is_none_or(|lifespan| *idle < lifespan));
        let now = self.theirs(owner(key));
        self.written += 1;
        let version = self.written;
        self.entries.insert(key, Theirs { created: now, used: now, lifespan, max_idle, version });
    }

    /// Whether an entry that was brought in is here.
    fn is_here(&self, key: u32) -> bool {
        self.cache.inspect(&key.to_be_bytes(), self.ours(), |standing| {
            matches!(standing, Standing::Imported(_) | Standing::Overdue(_))
        })
    }

    /// A client that has not moved replaces an entry, with the same lifetimes.
    fn replace(&mut self, key: u32) {
        if self.alive_there(key) {
            let now = self.theirs(owner(key));
            self.written += 1;
            let Some(entry) = self.entries.get_mut(&key) else { return };
            (entry.created, entry.used, entry.version) = (now, now, self.written);
        }
    }

    /// A client that has not moved uses an entry.
    fn use_there(&mut self, key: u32) {
        self.get_there(key);
    }

    fn alive_there(&self, key: u32) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.is_alive(self.theirs(owner(key))))
    }

    /// The source gives out an entry by its key: that is a use.
    fn get_there(&mut self, key: u32) -> Option<Metadata> {
        let now = self.theirs(owner(key));
        let entry = self.entries.get_mut(&key).filter(|entry| entry.is_alive(now))?;
        entry.used = now;
        Some(entry.metadata())
    }

    /// Time goes by, and clocks are read as often as they are.
    fn pass(&mut self, millis: u64) {
        let mut left = millis;
        while left > 0 {
            let step = left.min(if left > MINUTE { left / 4 } else { 5 * SECOND });
            self.now += step;
            left -= step;
            self.read_clocks();
        }
    }

    fn read_clocks(&mut self) {
        if !self.tells_date {
            return;
        }
        for index in 0..2 {
            let clock = self.clocks.of(&server(index));
            let begun = self.read_clock(index);
            while let Some(next) = clock.watch(begun, self.ours()) {
                self.now = next.millis();
                self.read_clock(index);
            }
        }
    }

    /// Reads the clock of a server. Returns when the answer was received.
    fn read_clock(&mut self, index: usize) -> Timestamp {
        let sent = self.ours();
        self.now += self.chance.below(10);
        let shown = self.theirs(index) + self.lies[index];
        let date = (shown.max(0) / 1_000 * 1_000).unsigned_abs();
        self.unread[index] = 0;
        self.now += self.chance.below(10);
        let received = self.ours();
        self.clocks.of(&server(index)).read(Reading { date, sent, received });
        let seed = self.seed;
        let honest = self.lies[index] == 0 && !self.set_twice;
        assert!(!honest || !self.is_disbelieved(index), "seed {seed}: {index} shows its own clock");
        received
    }

    fn is_disbelieved(&self, index: usize) -> bool {
        self.clocks.status(self.ours())[index].disbelieved.is_some()
    }

    fn connect(&mut self) {
        let mut link = Link::new(CONNECTION, SourceSpace::Unit, self.ours());
        link.marked = true;
        self.cache.connect(&link);
        self.read_clocks();
        self.connected = self.now;
    }

    /// Asks the source for an entry as a load does.
    fn load(&mut self, key: u32) -> Option<SourceEntry> {
        let asked = self.ours();
        let had = self.cache.inspect(&key.to_be_bytes(), asked, |standing| match standing {
            Standing::Imported(entry) | Standing::Overdue(entry) => {
                Some(entry.metadata().version.0)
            }
            _ => None,
        });
        self.now += self.chance.below(5);
        let metadata = self.get_there(key)?;
        self.now += self.chance.below(5);
        let clock = self.clocks.of(&server(owner(key)));
        if had.is_some_and(|had| had != metadata.version) {
            clock.written_since(&metadata, Timestamp::from_millis(self.connected), self.ours());
        }
        let (value, by_key) = (Bytes::from_static(b"v"), Obtained::ByKey);
        Some(SourceEntry::new(value, &metadata, &clock, by_key, asked, self.ours()))
    }

    /// A client reads here, and the source is asked if need be.
    fn read(&mut self, key: u32) -> bool {
        let bytes = key.to_be_bytes();
        let mut command = Command::read(&bytes);
        let mut found = false;
        let loaded;
        let mut reply = |outcome: Outcome<'_>| found = matches!(outcome, Outcome::Found(_));
        if self.cache.execute(&command, self.ours(), &mut reply) == Ok(Progress::Load) {
            loaded = self.load(key);
            let answer = loaded.as_ref().map_or(Answer::Absent, |it| Answer::Entry(it.imported()));
            command.source = Source::Asked(CONNECTION, answer);
            let mut reply = |outcome: Outcome<'_>| found = matches!(outcome, Outcome::Found(_));
            assert_eq!(self.cache.execute(&command, self.ours(), &mut reply), Ok(Progress::Done));
            if let Some(loaded) = loaded {
                self.compare(key, &loaded);
            }
        }
        found
    }

    /// Copies everything that is alive there, as a walk over each server does that reads ahead.
    fn copy(&mut self) {
        for index in 0..2 {
            let asked = self.ours();
            let alive: Vec<(u32, Metadata)> = self
                .entries
                .iter()
                .filter(|(key, _)| owner(**key) == index && self.alive_there(**key))
                .map(|(key, entry)| (*key, entry.metadata()))
                .collect();
            for (key, metadata) in alive {
                if self.chance.one_in(4) {
                    let millis = self.chance.below(3 * SECOND);
                    self.pass(millis);
                }
                if self.chance.one_in(20) {
                    self.set_clock();
                }
                let clock = self.clocks.of(&server(index));
                let (value, walked) = (Bytes::from_static(b"v"), Obtained::InWalk);
                let mut entry =
                    SourceEntry::new(value, &metadata, &clock, walked, asked, self.ours());
                let bytes = key.to_be_bytes();
                if entry.metadata().ends().is_some_and(|end| end <= self.ours()) {
                    let Some(alive) = self.load(key) else { continue };
                    entry = alive;
                }
                let entries: [(&[u8], Imported<'_>); 1] = [(&bytes, entry.imported())];
                let mut written = false;
                let now = self.ours();
                self.cache.import(&entries, ImportRule::Copy, CONNECTION, now, |_, import| {
                    written = import == store::Import::Written;
                });
                if written {
                    self.compare(key, &entry);
                }
            }
        }
        self.cache.end_imports();
    }

    /// Whether an entry that has just come over lives here as long as there.
    fn compare(&mut self, key: u32, ours: &SourceEntry) {
        let seed = self.seed;
        let Some(theirs) = self.entries.get(&key).copied() else { return };
        self.compared_idle += u64::from(self.compare_idle(key, &theirs, ours).is_some());
        let Some((lifespan, created)) = theirs.lifespan.zip(ours.metadata().created) else {
            return;
        };
        let server_index = owner(key);
        // Whole seconds came over, or up to one more where an entry lived on without it.
        let lifetime = ours.metadata().expiration.lifespan.unwrap();
        let here = i64::try_from(created.after(lifetime).millis()).unwrap();
        let there = theirs.created + lifespan - self.offsets[server_index];
        let longer = here - there;
        let whole = lifespan / 1_000 * 1_000;
        let lived_on = i64::try_from(lifetime.millis()).unwrap() - whole;
        if theirs.created > self.theirs(server_index) {
            // Dated ahead of the source's clock, which will keep it longer than its lifespan.
            assert!(longer <= 999, "seed {seed}, {key}: {longer} ms longer, {theirs:?}");
            return;
        }
        let clock = self.clocks.of(&server(server_index));
        let known = clock.offset(self.ours());
        let offset = self.offsets[server_index];
        if self.tells_date && self.lies[server_index] != 0 {
            // Never more than it was given, since it was last seen.
            let most = self.ours().after(lifetime).millis();
            assert!(here <= i64::try_from(most).unwrap(), "seed {seed}, {key}: {theirs:?}");
            let most = known.uncertainty().map_or(i64::MAX, |most| i64::try_from(most).unwrap());
            let is_ahead = created == self.ours() && self.lies[server_index] < 0;
            if is_ahead && !self.is_disbelieved(server_index) && self.set[server_index] == 0 {
                // Dated ahead of what is read.
                assert!(
                    longer <= most.saturating_add(1_000),
                    "seed {seed}, {key}: {longer} ms longer, {known:?}"
                );
                self.covered += 1;
            }
            return;
        }
        if self.tells_date && !self.is_disbelieved(server_index) {
            let just_set = self.set[server_index] + 6 * SECOND > self.now;
            if !just_set {
                let longer = longer + (lifespan - whole) - lived_on;
                assert!(
                    (0..=CLOSELY).contains(&longer),
                    "seed {seed}, {key}: {longer} ms longer, {theirs:?}"
                );
                self.compared += 1;
            }
            return;
        }
        let is_in = known.low.is_some_and(|low| low <= offset)
            && known.high.is_none_or(|high| offset <= high);
        if !self.set_back {
            assert!(
                known.low.is_some_and(|low| low <= offset),
                "seed {seed}: {known:?} is not {offset}"
            );
        }
        if is_in {
            let most = known.uncertainty().map_or(i64::MAX, |most| i64::try_from(most).unwrap());
            assert!(longer >= -999, "seed {seed}, {key}: {longer} ms longer, {known:?}");
            assert!(
                longer <= most.saturating_add(1_000),
                "seed {seed}, {key}: {longer} ms longer, {known:?}"
            );
            self.compared += 1;
        }
    }

    /// Whether it may stay unused for as long as there, where the source's clock tells when it was used.
    fn compare_idle(&self, key: u32, theirs: &Theirs, ours: &SourceEntry) -> Option<()> {
        let (index, now) = (owner(key), self.now);
        let (idle, used) = theirs.max_idle.zip(ours.metadata().last_used)?;
        let was_read = self.tells_date && self.lies[index] == 0 && !self.is_disbelieved(index);
        let is_ahead = theirs.used > self.theirs(index);
        if !was_read || is_ahead || self.set[index] + 6 * SECOND > now {
            return None;
        }
        let lifetime = ours.metadata().expiration.max_idle?;
        let here = i64::try_from(used.after(lifetime).millis()).unwrap();
        let there = theirs.used + idle - self.offsets[index];
        // The source does not tell what is less than a second.
        let untold = idle - i64::try_from(lifetime.millis()).unwrap();
        let longer = here + untold - there;
        let (least, most) = (-ANSWER, CLOSELY + ANSWER);
        let seed = self.seed;
        assert!(
            (least..=most).contains(&longer),
            "seed {seed}, {key}: {longer} ms longer unused, {theirs:?}, {:?}",
            ours.metadata()
        );
        Some(())
    }

    /// What background work does.
    fn settle(&mut self) {
        for id in self.cache.segment_ids() {
            self.cache.sweep(id, self.ours());
            let mut position = Position::default();
            loop {
                let before = Timestamp::from_millis(self.now - 1_500);
                let (keys, step) = self.cache.overdue(id, &mut position, 64, before);
                for bytes in keys {
                    let key = u32::from_be_bytes(bytes[..].try_into().unwrap());
                    let loaded = self.load(key);
                    let answer =
                        loaded.as_ref().map_or(Answer::Absent, |it| Answer::Entry(it.imported()));
                    let settled = self.cache.settle(&bytes, &answer, CONNECTION, self.ours());
                    settled.unwrap();
                }
                if step == Step::End {
                    break;
                }
            }
        }
    }

    /// No entry that lives there may be missing here.
    fn check(&mut self, seed: u64, when: &str) {
        for key in 0..KEYS {
            if self.alive_there(key) {
                // It may end there while the source is asked.
                assert!(
                    self.read(key) || !self.alive_there(key),
                    "seed {seed}: {key} is lost {when}: {:?}, offsets {:?}, now {}",
                    self.entries.get(&key),
                    self.offsets,
                    self.now
                );
            }
        }
    }
}

/// Plays a schedule. Returns the entries that were compared, those of them that may idle out, those that are dated
/// ahead of what is read, and the clocks whose readings were found to be of another one: ahead of it, and behind it.
fn play(seed: u64) -> [u64; 5] {
    let mut world = World::new(seed);
    let wait = |world: &mut World| {
        let most = world.chance.of(&[SECOND, 10 * SECOND, 10 * MINUTE, 2 * HOUR]);
        world.chance.below(most) + 1
    };
    for key in 0..KEYS {
        world.write(key);
        if world.chance.one_in(4) {
            let most = world.chance.of(&[SECOND, MINUTE, HOUR]);
            world.now += world.chance.below(most);
        }
        if world.chance.one_in(30) {
            world.set_clock();
        }
    }
    world.connect();
    for _ in 0..10 {
        let key = u32::try_from(world.chance.below(KEYS.into())).unwrap();
        let alive = world.alive_there(key);
        let found = world.read(key);
        assert!(found || !alive || !world.alive_there(key), "seed {seed}: {key} before the copy");
    }
    world.copy();
    world.check(seed, "after the copy");
    for _ in 0..12 {
        if world.chance.one_in(4) {
            world.set_clock();
        }
        let millis = wait(&mut world);
        world.pass(millis);
        for key in 0..KEYS {
            if world.chance.one_in(3) {
                world.use_there(key);
            }
            if world.chance.one_in(10) && world.is_here(key) {
                world.replace(key);
                // As a verification does.
                world.load(key);
            }
        }
        match world.chance.below(3) {
            0 => world.settle(),
            1 => world.check(seed, "while connected"),
            _ => {}
        }
    }
    world.check(seed, "at the end");
    ends(&mut world, seed);
    let found = |is_behind: bool| {
        let is_found = |index: &usize| world.is_disbelieved(*index);
        let lies = |index: &usize| (world.lies[*index] < 0) == is_behind;
        [0, 1]
            .into_iter()
            .filter(|index| world.tells_date && is_found(index) && lies(index))
            .count() as u64
    };
    [world.compared, world.compared_idle, world.covered, found(false), found(true)]
}

/// Once nobody uses an entry any more, asking for it keeps it alive only once.
fn ends(world: &mut World, seed: u64) {
    // Only those that end by idling within an hour: others live for long.
    let idle: Vec<u32> = world
        .entries
        .iter()
        .filter(|(_, entry)| entry.max_idle.is_some_and(|it| it <= 1_000 * 60 * 60))
        .map(|(key, _)| *key)
        .collect();
    for _ in 0..12 {
        world.pass(30 * MINUTE);
        world.settle();
    }
    for key in idle {
        let standing = world.cache.inspect(&key.to_be_bytes(), world.ours(), |standing| {
            matches!(standing, Standing::Unknown)
        });
        assert!(standing && !world.alive_there(key), "seed {seed}: {key} never ends");
    }
}

#[test]
fn no_living_entry_is_lost_on_any_schedule() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let mut all = [0; 5];
    for seed in seeds {
        play(seed).into_iter().zip(&mut all).for_each(|(one, sum)| *sum += one);
    }
    let [compared, idle, covered, ahead, behind] = all;
    assert!(compared > 0);
    let is_one = number("SEED").is_some();
    assert!(idle > 0 || is_one);
    assert!((covered > 0 && ahead > 0 && behind > 0) || is_one, "{all:?}: what is met");
}

#[test]
fn keys_are_spread_over_both_servers_and_all_segments() {
    let segments: std::collections::BTreeSet<u32> =
        (0..KEYS).map(|key| hash::segment(hash::hash(&key.to_be_bytes()), 3)).collect();
    assert_eq!(segments.len(), 3);
    assert_eq!((0..KEYS).filter(|key| owner(*key) == 0).count(), 20);
}
