//! What happens beside commands: to sources, to clocks, and to the whole cache.

use std::sync::Arc;

use cluster::{Connection, MetaCommand};
use rand::Rng;
use store::{Position, Standing, Timestamp};

use super::{
    super::{
        model::{KEYS, Truth},
        source::{SERVERS, key},
    },
    World, pick, skew,
};
use crate::{
    clearing::{ClearStep, Clearing},
    http_date::Reading as ClockReading,
    sync::Event,
};

impl World {
    pub(super) fn source_write(&mut self, source: usize, number: usize) {
        let value = self.value("source");
        let lifespan =
            self.random.random_bool(0.5).then(|| pick(&mut self.random, &[1, 5, 60, 600, 86_400]));
        let idle = self.random.random_bool(0.15).then(|| pick(&mut self.random, &[5, 60, 600]));
        self.sources[source].write(number, value, lifespan, idle, self.now);
        self.note(format!("source {source} has key {number} for {lifespan:?} s, idle {idle:?} s"));
    }

    pub(super) fn restart_source(&mut self) {
        let (index, keeps) = (self.random.random_range(0..2), self.random.random_bool(0.5));
        self.sources[index].restart(keeps, self.now);
        self.note(format!("source {index} is restarted, keeps entries {keeps}"));
        if let Some(live) = self.target.live.as_mut().filter(|live| live.source == index) {
            live.seen = false;
        }
    }

    pub(super) fn outage(&mut self) {
        let index = self.random.random_range(0..2);
        let up = !self.sources[index].up || self.random.random_bool(0.5);
        self.sources[index].up = up;
        if !up && let Some(live) = self.target.live.as_mut().filter(|live| live.source == index) {
            live.seen = false;
        }
    }

    pub(super) fn set_a_clock(&mut self) {
        let (source, server) =
            (self.random.random_range(0..2), self.random.random_range(0..SERVERS));
        let shift = skew(&mut self.random);
        self.sources[source].clocks[server] = shift;
        self.sources[source].clock_set = self.now;
        self.sources[source].purge(self.now);
        self.note(format!("the clock of source {source}, server {server} is {shift} ms ahead"));
    }

    pub(super) fn read_a_clock(&mut self) {
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
    }

    pub(super) fn begin_clear(&mut self) {
        if self.clear.is_some() || self.target.cache.check_served().is_err() {
            return;
        }
        self.note("clear");
        self.tally.clears += 1;
        self.clear = Some((Clearing::new(&self.target.cache), None));
    }

    pub(super) fn go_on_with_clear(&mut self) -> Result<(), String> {
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
                let cache = Arc::clone(&self.target.cache);
                let of_segment = (0..KEYS).filter(|it| cache.segment_of(&key(*it)) == segment);
                of_segment.for_each(|number| self.remove_evicted(number));
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

    pub(super) fn sweep(&mut self) {
        let now = self.ours();
        self.note("sweep");
        for segment in self.target.cache.segment_ids() {
            self.target.cache.sweep(segment, now);
        }
    }

    pub(super) fn look_for_overdue(&mut self) {
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

    pub(super) fn forget(&mut self) {
        self.note("forget");
        if let Some(segment) = self.target.forgetting.pop_front() {
            self.target.cache.forget_tombstones(segment);
        }
    }
}
