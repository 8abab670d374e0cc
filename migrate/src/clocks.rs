//! The clocks of all servers of a source, and what people are told of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use client::{Metadata, ServerAddress};
use config::CacheName;
use parking_lot::Mutex;
use serde::Serialize;
use store::Timestamp;

use crate::{
    http_date::Reading,
    source_clock::{
        Corrections, Jump, Lives, Obtained, Offset, Reported, SourceClock, TOLERATED, over_by,
    },
};

/// The clocks of all servers of a source.
#[derive(Debug)]
pub(crate) struct SourceClocks {
    cache: CacheName,
    servers: Mutex<Servers>,
}

#[derive(Debug, Default)]
struct Servers {
    clocks: HashMap<ServerAddress, Arc<ServerClock>>,
    /// Those of servers that have left, as long as something read of them may be on its way.
    leaving: Vec<Arc<ServerClock>>,
    /// By what the clocks of servers that have left corrected instants.
    left: Corrections,
    /// By how many milliseconds the offset of such a clock was larger, at least, than what it corrected instants by.
    narrowed: u64,
}

/// How far the instants of one entry may lie apart that was brought in twice: the clocks became better known,
/// or were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Milliseconds of most entries.
    most: u64,
    /// Milliseconds of those that may count as created when they came, because their own instants
    /// contradict the clock.
    odd: u64,
    /// When the connection was made: these were created no earlier.
    since: Timestamp,
}

impl Difference {
    /// Milliseconds, of an entry that was created here at this instant.
    pub(crate) fn of(&self, created: Option<Timestamp>) -> u64 {
        if created.is_some_and(|created| created >= self.since) { self.odd } else { self.most }
    }
}

/// The clock of one server of a source.
#[derive(Debug)]
pub(crate) struct ServerClock {
    cache: CacheName,
    server: ServerAddress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: SourceClock,
    /// The skew that a warning was given of.
    warned: i64,
}

impl State {
    /// See [`SourceClocks::narrowed`].
    fn narrowed(&self, now: Timestamp) -> u64 {
        let by = || {
            let (least, _) = self.clock.used().clock?;
            u64::try_from(self.clock.offset_at(now).low?.saturating_sub(least)).ok()
        };
        by().unwrap_or(0)
    }
}

/// What is known of the clock of one source server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockStatus {
    /// The server.
    pub server: String,
    /// Milliseconds that its clock is ahead of ours, at least; negative if it may be behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_low_ms: Option<i64>,
    /// Milliseconds that its clock is ahead of ours, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_high_ms: Option<i64>,
    /// Milliseconds by which lifetimes may differ from the source's because of its clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty_ms: Option<u64>,
    /// The same for entries that are dated ahead of its clock, until that has passed them: they were written before it
    /// was set back, or have another clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty_ahead_ms: Option<u64>,
    /// Whether the clock was read over HTTP, rather than inferred from entries.
    pub read: bool,
    /// Times that the clock was seen to have been set.
    pub jumps: u64,
    /// Why what the server tells of its clock over HTTP is not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disbelieved: Option<String>,
}

impl SourceClocks {
    /// Nothing is known of the clocks of the source of this cache.
    pub(crate) fn new(cache: CacheName) -> Arc<Self> {
        Arc::new(Self { cache, servers: Mutex::default() })
    }

    /// The clock of a server.
    pub(crate) fn of(&self, server: &ServerAddress) -> Arc<ServerClock> {
        let mut servers = self.servers.lock();
        if let Some(known) = servers.clocks.get(server) {
            return Arc::clone(known);
        }
        let clock = Arc::new(ServerClock {
            cache: self.cache.clone(),
            server: server.clone(),
            state: Mutex::default(),
        });
        servers.clocks.insert(server.clone(), Arc::clone(&clock));
        clock
    }

    /// Forgets the clocks of all servers but these: the others have left, and nothing new is known of their
    /// clocks. What they corrected stays so.
    pub(crate) fn retain(&self, servers: &[ServerAddress], now: Timestamp) {
        let mut known = self.servers.lock();
        let Servers { clocks, leaving, left, narrowed } = &mut *known;
        leaving.extend(clocks.extract_if(|server, _| !servers.contains(server)).map(|gone| gone.1));
        leaving.retain(|clock| {
            let of = clock.state.lock();
            *left = left.and(of.clock.used());
            *narrowed = (*narrowed).max(of.narrowed(now));
            // What is being read of the server is corrected by its clock yet.
            Arc::strong_count(clock) > 1
        });
    }

    /// The clock of a server of which something is known.
    pub(crate) fn known(&self, server: &ServerAddress) -> Option<Arc<ServerClock>> {
        self.servers.lock().clocks.get(server).cloned()
    }

    fn all(&self) -> BTreeMap<ServerAddress, Arc<ServerClock>> {
        let servers = self.servers.lock();
        let clocks = servers.clocks.iter();
        clocks.map(|(server, clock)| (server.clone(), Arc::clone(clock))).collect()
    }

    /// By what the clocks of servers that have left corrected instants.
    fn left(&self) -> Corrections {
        let servers = self.servers.lock();
        let leaving = servers.leaving.iter().map(|clock| clock.state.lock().clock.used());
        leaving.fold(servers.left, Corrections::and)
    }

    /// Milliseconds that the clocks differ by at least, of the server where that is most: negative if the
    /// source's clock is behind.
    pub(crate) fn skew(&self, now: Timestamp) -> i64 {
        let skews = self.all().into_values().map(|clock| clock.offset(now).skew());
        skews.max_by_key(|skew| skew.abs()).unwrap_or(0)
    }

    /// How far the instants of one entry may lie apart that was brought in twice over the connection that was
    /// made at `since`.
    pub(crate) fn difference(&self, since: Timestamp) -> Difference {
        let used = |clock: Arc<ServerClock>| clock.state.lock().clock.used();
        let all = self.all().into_values().map(used).fold(self.left(), Corrections::and);
        let width = |range: Option<(i64, i64)>| range.map_or(0, |(low, high)| high.abs_diff(low));
        Difference { most: width(all.clock), odd: width(all.all), since }
    }

    /// Width of the interval for the offset of a clock, in milliseconds, of the server where that is most; `None` if a
    /// clock is not known. Entries that are dated ahead of it do not widen it: they live their whole lifespan here, and
    /// the lifetimes of the others are no less certain.
    pub(crate) fn uncertainty(&self, now: Timestamp) -> Option<u64> {
        let each = self.all().into_values().map(|clock| clock.offset(now).width());
        each.reduce(|most, next| Some(most?.max(next?))).unwrap_or(Some(0))
    }

    /// Milliseconds by which the offset of a clock is at least larger than what entries were corrected by: it was known
    /// less well when they came, and they were given the longer life.
    pub(crate) fn narrowed(&self, now: Timestamp) -> u64 {
        let servers = self.servers.lock();
        let here = servers.clocks.values().chain(&servers.leaving);
        here.map(|clock| clock.state.lock().narrowed(now)).fold(servers.narrowed, u64::max)
    }

    /// The instant before which a lifespan that is over here is over at the source too, if nobody has set its
    /// clocks since they were last read; `None` if they were not.
    pub(crate) fn over_by(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.all().into_values();
        let clocks: Vec<SourceClock> = all.map(|clock| clock.state.lock().clock.clone()).collect();
        over_by(&clocks, self.left(), now)
    }

    /// What is known of each clock.
    pub(crate) fn status(&self, now: Timestamp) -> Vec<ClockStatus> {
        self.all().into_values().map(|clock| clock.status(now)).collect()
    }

    /// What an operator should know before entries come over.
    pub(crate) fn notices(&self, now: Timestamp) -> Vec<String> {
        let skewed = |clock: &Arc<ServerClock>| clock.offset(now).skew().abs() > TOLERATED;
        let all = self.all();
        let skewed = all.values().filter(|clock| skewed(clock));
        let skewed = skewed.map(|clock| differs(&clock.server, clock.offset(now).skew()));
        skewed.chain(self.all_disbelieved()).collect()
    }

    /// What is said of clocks whose readings are not believed.
    pub(crate) fn all_disbelieved(&self) -> Vec<String> {
        let all = self.all().into_values();
        let is_so = |clock: &Arc<ServerClock>| clock.state.lock().clock.is_disbelieved();
        all.filter(is_so).map(|clock| disbelieved(&clock.server)).collect()
    }
}

impl ServerClock {
    /// Takes in a reading of the clock. Returns the jump that this shows.
    pub(crate) fn read(&self, reading: Reading) -> Option<Jump> {
        let Reading { date, sent, received } = reading;
        let mut state = self.state.lock();
        let before = state.clock.is_disbelieved();
        let jump = state.clock.read(date, sent, received);
        if state.clock.is_disbelieved() && !before {
            tracing::warn!(cache = %self.cache, "{}", disbelieved(&self.server));
        }
        self.tell(&mut state, jump, received);
        jump
    }

    /// Our instant at which to read the clock again before its readings are relied on, if at all: see
    /// [`SourceClock::watch`].
    pub(crate) fn watch(&self, begun: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.state.lock().clock.watch(begun, now)
    }

    /// An entry's lifetimes by our clock. The server returned it to a request of `asked`.
    pub(crate) fn lives(
        &self,
        metadata: &Metadata,
        obtained: Obtained,
        asked: Timestamp,
        now: Timestamp,
    ) -> Lives {
        let reported = reported(metadata);
        if reported == Reported::default() {
            return Lives::default();
        }
        let mut state = self.state.lock();
        let (lives, jump) = state.clock.entry(&reported, obtained, asked, now);
        self.tell(&mut state, jump, now);
        lives
    }

    /// Takes in an entry that was received at `now` and was certainly written after `since`.
    pub(crate) fn written_since(&self, metadata: &Metadata, since: Timestamp, now: Timestamp) {
        self.state.lock().clock.written_since(&reported(metadata), since, now);
    }

    /// Our next instant at which a reading of the clock tells most.
    pub(crate) fn best_reading(&self, now: Timestamp) -> Timestamp {
        self.state.lock().clock.best_reading(now)
    }

    /// The interval for the offset of the clock.
    pub(crate) fn offset(&self, now: Timestamp) -> Offset {
        self.state.lock().clock.offset_at(now)
    }

    /// Milliseconds that the clock is ahead of ours, if it was read: the middle of the interval.
    pub(crate) fn read_offset(&self, now: Timestamp) -> Option<i64> {
        let state = self.state.lock();
        let Offset { low, high, .. } = state.clock.offset_at(now);
        let middle = low.zip(high).map(|(low, high)| low.saturating_add(high) / 2);
        middle.filter(|_| state.clock.is_read())
    }

    fn status(&self, now: Timestamp) -> ClockStatus {
        let state = self.state.lock();
        let offset = state.clock.offset_at(now);
        ClockStatus {
            server: self.server.to_string(),
            offset_low_ms: offset.low,
            offset_high_ms: offset.high,
            uncertainty_ms: offset.width(),
            uncertainty_ahead_ms: offset.ahead.and_then(|_| offset.uncertainty()),
            read: state.clock.is_read(),
            jumps: state.clock.jumps(),
            disbelieved: state.clock.is_disbelieved().then(|| disbelieved(&self.server)),
        }
    }

    /// Warns of a clock that was set, or that differs from ours: once, and again when it differs by half as
    /// much more or less.
    fn tell(&self, state: &mut State, jump: Option<Jump>, now: Timestamp) {
        let (cache, server) = (&self.cache, &self.server);
        if let Some(Jump { millis }) = jump {
            let direction = if millis > 0 { "forward" } else { "back" };
            let by = shown(millis);
            tracing::warn!(
                %cache, %server, jump_ms = millis,
                "the source's clock was set {direction} by {by} at least"
            );
        }
        let skew = state.clock.offset_at(now).skew();
        let more = skew.abs_diff(state.warned);
        if skew.abs() > TOLERATED && more > (state.warned.unsigned_abs() / 2).max(1_000) {
            state.warned = skew;
            tracing::warn!(%cache, skew_ms = skew, "{}", differs(server, skew));
        } else if skew.abs() <= TOLERATED {
            state.warned = 0;
        }
    }
}

/// What the source reports of an entry's lifetimes.
fn reported(metadata: &Metadata) -> Reported {
    let reported = |lifetime: Option<client::Lifetime>| {
        lifetime.map(|lifetime| (lifetime.since, lifetime.seconds))
    };
    Reported { lifespan: reported(metadata.lifespan), max_idle: reported(metadata.max_idle) }
}

fn disbelieved(server: &ServerAddress) -> String {
    format!(
        "the HTTP Date at {server} is not that of the clock by which the source ends its entries, perhaps because a proxy \
         answers: the source returns entries that are over by it, or new ones that are dated after it. It is not used any \
         more; the clock is inferred from entries"
    )
}

fn differs(server: &ServerAddress, skew: i64) -> String {
    let side = if skew > 0 { "ahead of" } else { "behind" };
    let by = shown(skew);
    format!(
        "the clock of source server {server} is {by} {side} the clock here: lifetimes are corrected by \
         that; set the clocks"
    )
}

/// A length of time as people read it.
fn shown(millis: i64) -> String {
    match millis.unsigned_abs() {
        millis if millis < 120_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        millis if millis < 7_200_000 => format!("{} min", millis / 60_000),
        millis => format!("{} h", millis / 3_600_000),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! What people are told.

    use super::*;

    /// The clock of a server that shows the same as ours.
    pub(crate) fn synchronous(now: Timestamp) -> Arc<ServerClock> {
        let clock = unknown().of(&server());
        clock.read(Reading { date: now.millis(), sent: now, received: now });
        clock
    }

    fn unknown() -> Arc<SourceClocks> {
        SourceClocks::new("orders".parse().unwrap())
    }

    fn server() -> ServerAddress {
        ServerAddress { host: "source".into(), port: 11222 }
    }

    #[test]
    fn a_skew_is_told_with_its_side_and_size() {
        let (clocks, now) = (unknown(), Timestamp::from_millis(10_000_000));
        let read = |date| clocks.of(&server()).read(Reading { date, sent: now, received: now });
        read(10_000_000);
        assert_eq!((clocks.skew(now), clocks.notices(now)), (0, Vec::new()));
        read(10_600_000);
        assert_eq!(clocks.skew(now), 600_000);
        let notices = clocks.notices(now);
        assert!(
            notices[0].contains("source:11222 is 10 min ahead of the clock here"),
            "{notices:?}"
        );
        read(6_400_000);
        assert_eq!(clocks.skew(now), -3_599_001, "a second is not known");
        let notices = clocks.notices(now);
        assert!(notices[0].contains("source:11222 is 59 min behind the clock here"), "{notices:?}");
        let status = clocks.status(now);
        assert_eq!(
            (status[0].uncertainty_ms, status[0].read, status[0].jumps),
            (Some(999), true, 2)
        );
    }

    #[test]
    fn an_entry_that_is_dated_ahead_of_a_clock_makes_no_other_lifetime_less_certain() {
        let (clocks, now) = (unknown(), Timestamp::from_millis(10_000_000));
        let clock = clocks.of(&server());
        clock.read(Reading { date: 10_000_000, sent: now, received: now });
        assert_eq!(clocks.status(now)[0].uncertainty_ahead_ms, None);
        let lifespan = Some(client::Lifetime { since: 10_600_000, seconds: 3_600 });
        let ahead = Metadata { lifespan, ..Metadata::default() };
        clock.lives(&ahead, Obtained::InWalk, now, now);
        assert_eq!(clocks.uncertainty(now), Some(999));
        let status = clocks.status(now);
        assert_eq!((status[0].offset_high_ms, status[0].uncertainty_ms), (Some(999), Some(999)));
        assert!(status[0].uncertainty_ahead_ms > Some(4_000_000), "{status:?}");
    }

    #[test]
    fn an_entry_that_came_before_the_clock_was_known_well_may_outlive_the_sources() {
        let (clocks, now) = (unknown(), Timestamp::from_millis(10_000_000));
        let clock = clocks.of(&server());
        let sent = Timestamp::from_millis(9_995_000);
        clock.read(Reading { date: 9_997_000, sent, received: now });
        let lifespan = Some(client::Lifetime { since: 9_990_000, seconds: 60 });
        let mortal = Metadata { lifespan, ..Metadata::default() };
        clock.lives(&mortal, Obtained::InWalk, now, now);
        assert_eq!(clocks.narrowed(now), 0);
        clock.read(Reading { date: 10_000_000, sent: now, received: now });
        assert_eq!(clocks.difference(now).of(None), 0, "nothing has come since");
        assert!(clocks.narrowed(now) >= 2_000, "{}", clocks.narrowed(now));
        drop(clock);
        clocks.retain(&[], now);
        assert!(clocks.narrowed(now) >= 2_000, "its entries are still here");
    }

    #[test]
    fn a_clock_is_forgotten_with_its_server_and_what_it_corrected_is_not() {
        let (clocks, now) = (unknown(), Timestamp::from_millis(10_000_000));
        let gone = ServerAddress { host: "gone".into(), port: 11222 };
        let entry = |since| Metadata {
            lifespan: Some(client::Lifetime { since, seconds: 1_000 }),
            ..Metadata::default()
        };
        let lives = |clock: &ServerClock, since| {
            clock.lives(&entry(since), Obtained::InWalk, now, now);
        };
        let read = |server: &ServerAddress, date| {
            let clock = clocks.of(server);
            clock.read(Reading { date, sent: now, received: now });
            clock
        };
        let leaving = read(&gone, 10_600_000);
        lives(&leaving, 10_500_000);
        lives(&read(&server(), 10_000_000), 9_900_000);
        assert_eq!(clocks.difference(now).of(None), 600_000);
        let over = clocks.over_by(now);

        clocks.retain(&[server()], now);
        lives(&leaving, 11_000_000);
        drop(leaving);
        clocks.retain(&[server()], now);
        assert_eq!((clocks.skew(now), clocks.status(now).len()), (0, 1));
        assert_eq!(clocks.uncertainty(now), Some(999), "its clock says nothing any more");
        assert_eq!(clocks.difference(now).of(None), 600_000, "its entries are still here");
        assert_eq!(clocks.difference(now).of(Some(now)), 1_000_000, "with the late one");
        assert!(clocks.over_by(now) < over);
        clocks.retain(&[], now);
        assert_eq!(clocks.over_by(now), None);
    }

    #[test]
    fn one_entry_that_contradicts_the_clock_says_nothing_of_the_others() {
        let (clocks, now) = (unknown(), Timestamp::from_millis(100_000_000));
        let clock = clocks.of(&server());
        clock.read(Reading { date: 100_000_000, sent: now, received: now });
        let a_day_ahead = Metadata {
            lifespan: Some(client::Lifetime { since: 186_400_000, seconds: 300 }),
            ..Metadata::default()
        };
        let lives = clock.lives(&a_day_ahead, Obtained::InWalk, now, now);
        assert_eq!(lives.created, Some(now), "it lives as long as it may");
        let difference = clocks.difference(Timestamp::from_millis(99_000_000));
        assert_eq!(difference.of(Some(Timestamp::from_millis(98_999_999))), 0);
        assert_eq!(difference.of(lives.created), 86_400_000);
    }

    #[test]
    fn lengths_of_time_are_shown_in_the_unit_that_fits() {
        let lengths =
            [(1_000, "1.0 s"), (-90_500, "90.5 s"), (600_000, "10 min"), (7_200_000, "2 h")];
        for (millis, text) in lengths {
            assert_eq!(shown(millis), text);
        }
    }
}
