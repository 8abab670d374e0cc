//! Who the servers of a source are, and whether they are still the processes that they were.
//!
//! A decider. A process that was started again, or a cache that was created anew, may have lost what it had, and
//! another process may answer under the same address. Nothing of what a server says names its process, so it is
//! told from another one by what cannot change as long as it lives: the instant at which its cache was started,
//! counters that only grow, and the topology of a server that is alone.
//!
//! Start reading at [`SourceProcess::change_since`].

mod counters;
mod lost;
mod started;

pub use self::{
    counters::{COUNTERS, Counters},
    lost::{Copied, Gone, LostServer, LostServers, RollCall, SourceServers, UnheardServer},
    started::{SinceBoot, StartInterval, StartedBy},
};

/// Seconds that two readings of one process's start may differ by where only whole seconds are known of them, or
/// where so much time has passed in between that clocks may have drifted apart.
const START_TOLERANCE: u64 = 3;

/// Milliseconds of width that an interval has to lose before it is recorded again.
const MUCH: i64 = 500;

/// Which processes a source consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceIdentity(pub Vec<SourceProcess>);

/// One process of a source, as far as it can be told from another one at the same address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceProcess {
    /// Address of the server.
    pub server: String,
    /// When its cache was started, in seconds since the Unix epoch by our clock, if it says.
    pub started: Option<u64>,
    /// The same by clocks that do not change when ours is set.
    pub started_by: StartedBy,
    /// What it had counted by then.
    pub counters: Counters,
    /// The topology that it told, if any.
    pub topology: Option<ToldTopology>,
}

/// A topology as a server told it. Servers number it by who its members are, and each process is a member of its
/// own: a server that was started again tells another number, and so does one whose cluster has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldTopology {
    /// Its number.
    pub id: u32,
    /// Whether it lists a single server. The number then identifies that server's process: a process that is
    /// alone and tells another number is another process.
    pub alone: bool,
}

/// Why a process is not provably the one that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is at another address.
    Address,
    /// It was started at another time, or is a member of another cluster.
    Process,
    /// A counter went back that only grows: its statistics were reset, or it counts from its start again.
    Counter {
        /// Name of the counter.
        name: &'static str,
        /// What it was.
        before: u64,
        /// What it is.
        now: u64,
    },
}

impl SourceProcess {
    /// Returns whether this is the same process as `earlier`, as far as can be told. One that does not say since
    /// when it runs is believed to be the same only as long as its cluster does not change.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.change_since(earlier).is_none()
    }

    /// Returns what speaks against this being the process that `earlier` was, if anything.
    #[must_use]
    pub fn change_since(&self, earlier: &Self) -> Option<Change> {
        if self.server != earlier.server {
            return Some(Change::Address);
        }
        let topologies = self.topology.zip(earlier.topology);
        // A lone server that another one joins, or leaves again, tells the same number while it is alone.
        let is_other = |(now, then): (ToldTopology, ToldTopology)| {
            now.alone && then.alone && now.id != then.id
        };
        if topologies.is_some_and(is_other) {
            return Some(Change::Process);
        }
        let is_same = match (self.started_with(earlier), earlier.topology) {
            (Some(same), _) => same,
            (None, Some(then)) => self.topology.is_some_and(|now| now.id == then.id),
            (None, None) => true,
        };
        if !is_same {
            return Some(Change::Process);
        }
        let (name, before, now) = self.counters.gone_back(&earlier.counters)?;
        Some(Change::Counter { name, before, now })
    }

    /// Returns whether it was started when `earlier` was; `None` if one of both does not say. The time since this
    /// machine was started decides where it can. Otherwise any clock may have been set between the two
    /// readings, and one that agrees is enough: by it, a process that was started again is younger.
    fn started_with(&self, earlier: &Self) -> Option<bool> {
        if let Some(agrees) = self.started_by.agrees_with(&earlier.started_by) {
            let boot = self.started_by.boot.zip(earlier.started_by.boot);
            let stood = |(now, then)| self.has_stood_still(earlier, &now, &then);
            return Some(agrees || boot.is_some_and(stood));
        }
        let clocks =
            [(self.started, earlier.started), (self.started_by.source, earlier.started_by.source)];
        let agree = |(now, then): (u64, u64)| now.abs_diff(then) <= START_TOLERANCE;
        let both = clocks.into_iter().filter_map(|(now, then)| now.zip(then)).map(agree);
        both.reduce(|one, other| one || other)
    }

    /// Returns whether it is the process of `earlier` although it seems to have been started at another time: a
    /// machine that is halted for a while, as when it moves to another host, may not count that time. The process is
    /// then known by its topology; and so is its cache, if that was started before it was last asked.
    fn has_stood_still(&self, earlier: &Self, now: &StartInterval, then: &StartInterval) -> bool {
        let topologies = self.topology.zip(earlier.topology);
        topologies.is_some_and(|(now, then)| now.id == then.id) && now.is_before_reading_of(then)
    }

    /// Adds what an earlier reading of the same process says about when it was started. By our clock, the earlier one
    /// is kept as long as they hardly differ: so a clock that is set by little each time is found out in the end.
    fn narrow(&mut self, earlier: &Self) {
        self.started_by.narrow(&earlier.started_by);
        let is_close = |(now, then): (u64, u64)| now.abs_diff(then) <= START_TOLERANCE;
        if self.started.zip(earlier.started).is_some_and(is_close) {
            self.started = earlier.started;
        }
    }
}

impl SourceIdentity {
    /// Returns whether at least one process of `earlier` is certainly still there: a process that does not say
    /// since when it runs, or that is reached under another address, proves nothing.
    #[must_use]
    pub fn provably_continues(&self, earlier: &Self) -> bool {
        let proves = |process: &SourceProcess, known: &SourceProcess| {
            process.started.is_some() && known.started.is_some() && process.continues(known)
        };
        self.0.iter().any(|process| earlier.0.iter().any(|known| proves(process, known)))
    }

    /// Returns whether this process continues a known one; if not, what it answers is not believed. A process
    /// without statistics is recognized only by its address and topology.
    #[must_use]
    pub fn has(&self, process: &SourceProcess) -> bool {
        self.0.iter().any(|known| process.continues(known))
    }

    /// The process at this address.
    #[must_use]
    pub fn at(&self, server: &str) -> Option<&SourceProcess> {
        self.0.iter().find(|known| known.server == server)
    }

    /// Returns whether at least one process of `earlier` is still there.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.0.iter().any(|process| earlier.has(process))
    }

    /// Returns why no process of `earlier` is provably still there, of the first one whose address answers.
    #[must_use]
    pub fn change_since(&self, earlier: &Self) -> Option<Change> {
        if self.continues(earlier) {
            return None;
        }
        let changes = self.0.iter().filter_map(|process| {
            earlier.at(&process.server).and_then(|known| process.change_since(known))
        });
        Some(changes.reduce(Change::milder).unwrap_or(Change::Address))
    }

    /// Returns the address of a process of `earlier` that was not heard, although a server of the source still has
    /// it: whether that process goes on is not known then.
    #[must_use]
    pub fn unheard<'a>(&self, earlier: &'a Self, servers: &[String]) -> Option<&'a str> {
        let is_unheard = |known: &&SourceProcess| {
            servers.contains(&known.server) && self.at(&known.server).is_none()
        };
        earlier.0.iter().find(is_unheard).map(|known| known.server.as_str())
    }

    /// Returns whether `now` should be recorded instead of this: a process has come that is not in it, or it is known
    /// much more closely when one was started, or by this machine's present boot.
    #[must_use]
    pub fn is_outdated_by(&self, now: &Self) -> bool {
        let is_close = |process: &SourceProcess, known: &SourceProcess| {
            let starts = process.started_by.boot.zip(known.started_by.boot);
            // What another boot says does not help after the next start of this program.
            starts.is_none_or(|(now, then)| {
                now.boot == then.boot && then.width_ms() <= now.width_ms().saturating_add(MUCH)
            })
        };
        let is_in = |process: &SourceProcess| {
            self.0.iter().any(|known| process.continues(known) && is_close(process, known))
        };
        !now.0.iter().all(is_in)
    }

    /// Adds what is known of the same source from before: what earlier readings of its processes say about when
    /// they were started, and the processes that were not heard this time and are still `there`, by their addresses. If
    /// our clock was set back meanwhile, these are dated by it as well.
    #[must_use]
    pub fn with_earlier(mut self, earlier: &Self, there: impl Fn(&str) -> bool) -> Self {
        let earlier = earlier.set_back(self.clock_back_since(earlier));
        for known in &earlier.0 {
            match self.0.iter_mut().find(|process| process.server == known.server) {
                Some(process) if process.continues(known) => process.narrow(known),
                // It was started again beside others that were not: see `LostServers`.
                Some(_) => {}
                None if there(&known.server) => self.0.push(known.clone()),
                None => {}
            }
        }
        self
    }

    /// The interval of the process of which it is known least when it was started, by the clock of this start of
    /// the machine.
    #[must_use]
    pub fn widest_start(&self, boot: u128) -> Option<StartInterval> {
        let starts = self.0.iter().filter_map(|process| process.started_by.boot);
        starts.filter(|start| start.boot == boot).max_by_key(StartInterval::width_ms)
    }
}

impl Change {
    /// The one of both that an operator may have made on purpose.
    fn milder(self, other: Self) -> Self {
        if matches!(other, Self::Counter { .. }) { other } else { self }
    }
}

#[cfg(test)]
mod tests;
