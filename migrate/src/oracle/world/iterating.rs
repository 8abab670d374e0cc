//! A client's iteration, step by step, while everything else goes on.

use std::{ops::ControlFlow, sync::Arc};

use store::{Position, Settled, Standing, Walk, WalkStep};

use super::{
    super::{
        model::{AtSource, KEYS, Truth},
        source::key,
    },
    World,
    clients::Flight,
    command::{Answered, Operation, text},
    pick,
};

/// An iteration that a client has begun.
pub(super) struct Iteration {
    walk: Walk,
    shown: [bool; KEYS],
    /// What stood under each key when it began, and has stood there ever since.
    throughout: [Option<Vec<u8>>; KEYS],
}

impl World {
    /// Begins an iteration, or takes one on: as a client does that asks for the next few entries.
    pub(super) fn go_on_with_iteration(&mut self) -> Result<(), String> {
        // It waits until what is missing was brought in.
        let whole = self
            .connection()
            .is_none_or(|connection| connection.complete.len() >= connection.space.count());
        if !whole || self.target.cache.check_served().is_err() {
            return Ok(());
        }
        let Some(mut iteration) = self.iteration.take() else { return self.begin_iteration() };
        for (number, value) in iteration.throughout.iter_mut().enumerate() {
            if value.is_some() && *value != self.stands(number, true) {
                *value = None;
            }
        }
        // Many entries are given at once, or few.
        for _ in 0..pick(&mut self.random, &[1, 3, 30]) {
            if self.take_a_step(&mut iteration)? == WalkStep::End {
                return self.end_iteration(&iteration);
            }
        }
        self.iteration = Some(iteration);
        Ok(())
    }

    fn take_a_step(&mut self, iteration: &mut Iteration) -> Result<WalkStep, String> {
        let mut found = Vec::new();
        let step = iteration.walk.step(self.ours(), |entry| {
            found.push((entry.key().to_vec(), entry.value().bytes().to_vec()));
            ControlFlow::Continue(())
        });
        for (bytes, value) in found {
            let number = (0..KEYS).find(|number| key(*number) == bytes);
            let number = number.ok_or("an iteration shows a key that nobody has written")?;
            self.show_to_client(iteration, number, &value)?;
        }
        step.map_err(|error| error.to_string())
    }

    /// Asks the source for what is overdue, and begins.
    fn begin_iteration(&mut self) -> Result<(), String> {
        let settled = self.ours();
        if let Some(connection) = self.target.live.as_ref().map(|live| live.id) {
            for segment in self.target.cache.segment_ids() {
                let (mut position, cache) = (Position::default(), Arc::clone(&self.target.cache));
                let (keys, _) = cache.overdue(segment, &mut position, KEYS, settled);
                for number in (0..KEYS).filter(|number| keys.iter().any(|it| **it == key(*number)))
                {
                    let answer = self.load(number);
                    if matches!(answer, Answered::Silent) {
                        // It is refused, or does without what may have ended.
                        return Ok(());
                    }
                    let came = cache.settle(&key(number), &answer.answer(), connection, settled);
                    self.take_effects();
                    if came.map_err(|error| error.to_string())? == Settled::LivesOn {
                        if let Answered::Entry(entry) = &answer {
                            self.bring_entry(number, entry);
                        }
                        self.bring(number, self.now);
                    }
                }
            }
        }
        let mut walk = Walk::over(Arc::clone(&self.target.cache));
        walk.settled_at(settled);
        let throughout = std::array::from_fn(|number| {
            // An earlier answer, which is still to be taken in, may say that it ends sooner.
            if self.has_answer(number) { None } else { self.stands(number, false) }
        });
        self.iteration = Some(Iteration { walk, shown: [false; KEYS], throughout });
        self.note("iterate");
        Ok(())
    }

    /// Returns whether the source has answered for a key, and a command is still to hear of it.
    fn has_answer(&self, number: usize) -> bool {
        let told = |operation: &Operation| operation.key == number && operation.said.is_some();
        let answered = |flight: &Flight| flight.key == number && flight.answer.is_some();
        self.operations.iter().any(told) || self.flights.iter().any(answered)
    }

    /// The value under a key, if it is alive, or if its time was over only a moment ago.
    fn stands(&self, number: usize, also_overdue: bool) -> Option<Vec<u8>> {
        self.target.cache.inspect(&key(number), self.ours(), |standing| match standing {
            Standing::Local(entry) | Standing::Imported(entry) => {
                Some(entry.value().bytes().to_vec())
            }
            Standing::Overdue(entry) if also_overdue => Some(entry.value().bytes().to_vec()),
            Standing::Overdue(_) | Standing::Unknown | Standing::Tombstone => None,
        })
    }

    fn show_to_client(
        &mut self,
        iteration: &mut Iteration,
        number: usize,
        value: &[u8],
    ) -> Result<(), String> {
        self.steps.push(format!("          the iteration shows key {number} as {:?}", text(value)));
        if std::mem::replace(&mut iteration.shown[number], true) {
            return Err(format!("an iteration shows key {number} twice"));
        }
        // The source may have more to say of what is overdue.
        if self.stands(number, false).is_none() {
            return match self.model.truth(number) {
                Truth::Gone => Err(format!("an iteration shows key {number}, which was removed")),
                Truth::Source(_) | Truth::Written(_) => Ok(()),
            };
        }
        let now = self.now;
        self.model.see(number, Some(value), &AtSource::default(), false, now)
    }

    /// Whatever was there throughout was shown.
    fn end_iteration(&mut self, iteration: &Iteration) -> Result<(), String> {
        self.note("the iteration ends");
        self.tally.iterated += 1;
        let kept = iteration.throughout.iter().enumerate();
        for (number, value) in kept {
            if let Some(value) = value
                && !iteration.shown[number]
            {
                let value = text(value);
                return Err(format!("an iteration passes over key {number}, which is {value:?}"));
            }
        }
        Ok(())
    }
}
