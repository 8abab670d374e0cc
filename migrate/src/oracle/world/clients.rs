//! Clients of the target: their commands, and what the source is asked for.

use cluster::MetaCommand;
use rand::{Rng, rngs::StdRng};
use store::{
    CacheError, Command, ConnectionId, Expiration, Fence, Lifetime, Outcome, Progress, SegmentId,
    Settled, Source as Said,
};

use super::{
    super::{
        model::{AtSource, KEYS, Life, Truth},
        source::key,
    },
    MOST_OPERATIONS, World,
    command::{Answered, Kind, Operation, Told},
    pick, signed, signed_millis,
};
use crate::{entry::SourceEntry, source_clock::Obtained};

/// A load, which several commands may wait for.
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) key: usize,
    pub(super) connection: ConnectionId,
    pub(super) answer: Option<(Answered, i64)>,
    /// Whether a command waits for it, rather than the background work on overdue entries.
    pub(super) for_command: bool,
}

impl World {
    pub(super) fn expiration(&mut self) -> Expiration {
        let lifetime = |random: &mut StdRng, chance| {
            random
                .random_bool(chance)
                .then(|| Lifetime::from_millis(pick(random, &[500, 3_000, 60_000, 600_000])))
        };
        let lifespan = lifetime(&mut self.random, 0.4);
        let max_idle = lifetime(&mut self.random, 0.1);
        Expiration { lifespan, max_idle }
    }

    pub(super) fn begin_operation(&mut self) {
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
    pub(super) fn go_on_with_operation(&mut self) -> Result<(), String> {
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

    pub(super) fn execute(&mut self, mut operation: Operation) -> Result<(), String> {
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
                if matches!(kind, Kind::Remove | Kind::GetAndRemove | Kind::RemoveUnmodified(_)) {
                    self.remove_evicted(operation.key);
                }
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
    pub(super) fn ask(&mut self, operation: &mut Operation) {
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

    pub(super) fn depart(
        &mut self,
        key: usize,
        connection: ConnectionId,
        for_command: bool,
    ) -> u64 {
        self.next_flight += 1;
        let number = self.next_flight;
        self.flights.push(Flight { number, key, connection, answer: None, for_command });
        number
    }

    pub(super) fn answer_a_flight(&mut self) {
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
    pub(super) fn load(&mut self, key: usize) -> Answered {
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

    /// Returns whether the live source answers and is the one that it should be; finds out if need be.
    pub(super) fn believes(&mut self) -> bool {
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

    pub(super) fn land_a_flight(&mut self) -> Result<(), String> {
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
        self.take_effects();
        if settled.map_err(|error| error.to_string())? == Settled::LivesOn {
            if let Answered::Entry(entry) = &answer {
                self.bring_entry(flight.key, entry);
            }
            self.bring(flight.key, at);
        }
        Ok(())
    }

    /// Checks what a client was told, and takes in what its command has done.
    pub(super) fn check(&mut self, operation: &Operation, told: &Told) -> Result<(), String> {
        let (key, now) = (operation.key, self.now);
        self.take_effects();
        let mut at_source = self.at_source(operation);
        let clearing = self.model.clearing;
        if let (Some(early), Some(None), true) = (&mut self.told_early, &told.saw, at_source.must)
            && !clearing
            && matches!(self.model.truth(key), Truth::Source(_))
        {
            early.push(format!("key {key} is seen as none, but the source has it"));
            at_source.must = false;
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
            // Also if nothing was there: what the source may get later stays away.
            Kind::Remove | Kind::GetAndRemove => self.model.set(key, Truth::Gone),
            Kind::RemoveUnmodified(_) if told.is_changed => {
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

    pub(super) fn wrote(&mut self, key: usize, value: &[u8], expiration: Expiration) {
        let millis = |lifetime: Option<Lifetime>| lifetime.map(signed_millis);
        let ends = millis(expiration.lifespan).map(|lifespan| self.now + lifespan);
        let life = Life::exact(value.to_vec(), ends, millis(expiration.max_idle), self.now);
        self.model.set(key, Truth::Written(life));
    }

    /// What the connected source has to say about the key of a command.
    pub(super) fn at_source(&self, operation: &Operation) -> AtSource {
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
                && !self.model.is_evicted(operation.key)
                && !self.model.has_ended(operation.key);
            known.must = (was_copied || self.may_come(operation.key))
                && stored.since < operation.began.min(asked);
        }
        known
    }
}
