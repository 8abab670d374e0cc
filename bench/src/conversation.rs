//! The requests and answers of one connection, without the connection.
//!
//! It keeps a window of requests in flight: answered requests are replaced by new ones. Real
//! clients do the same: many callers share a connection, and each sends its next request as soon as
//! it has its answer. The requests of one turn are sent in one write. In the steady state nothing
//! is allocated.

use hotrod::Writer;
use tokio::time::Instant;

use crate::{
    data::Data,
    error::WrongAnswer,
    plan::{Kind, Plan},
    record::Recorder,
    wire::{Outcome, Wire},
};

/// Bytes of requests after which a turn is sent before more are encoded.
const TURN: usize = 256 * 1024;

/// The requests and answers of one connection.
pub(crate) trait Talk {
    /// Encodes the requests that can be sent now. All returned bytes must be sent before the next
    /// call.
    fn ask(&mut self) -> &[u8];

    /// Returns the last encoded requests from byte `from` on.
    fn unsent(&self, from: usize) -> &[u8];

    /// Records when the last encoded requests began to be sent.
    fn sent(&mut self, now: Instant);

    /// Handles the complete answers in `bytes`, and returns their length in bytes.
    fn hear(
        &mut self,
        bytes: &[u8],
        now: Instant,
        recorder: &mut Recorder,
    ) -> Result<usize, WrongAnswer>;

    /// Stops sending requests; those in flight are still awaited.
    fn stop(&mut self);

    /// Returns whether a request can be sent before another answer arrives.
    fn can_ask(&self) -> bool;

    /// Returns whether all requests are sent and answered.
    fn is_over(&self) -> bool;
}

/// Random requests, or those of a fill.
pub(crate) struct Conversation<W> {
    wire: W,
    plan: Plan,
    data: Data,
    /// One for each request that may be in flight.
    slots: Vec<Slot>,
    /// Indexes of free slots.
    free: Vec<usize>,
    /// Indexes of slots whose requests have not been sent yet.
    unsent: Vec<usize>,
    /// Number of requests so far.
    asked: u64,
    out: Writer,
    /// Whether no further request is to be sent: the amount is reached, or the time is over.
    is_exhausted: bool,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Message id; 0 if the slot is free.
    id: u64,
    kind: Kind,
    key: u64,
    sent: Instant,
}

impl<W: Wire> Conversation<W> {
    pub(crate) fn new(wire: W, plan: Plan, data: Data, depth: usize, now: Instant) -> Self {
        Self {
            wire,
            plan,
            data,
            slots: vec![Slot { id: 0, kind: Kind::Get, key: 0, sent: now }; depth],
            free: (0..depth).rev().collect(),
            unsent: Vec::with_capacity(depth),
            asked: 0,
            out: Writer::default(),
            is_exhausted: false,
        }
    }
}

impl<W: Wire> Talk for Conversation<W> {
    /// Fills the window.
    fn ask(&mut self) -> &[u8] {
        self.out.truncate(0);
        while self.out.len() < TURN
            && !self.is_exhausted
            && let Some(index) = self.free.pop()
        {
            let Some((kind, key)) = self.plan.next() else {
                self.is_exhausted = true;
                self.free.push(index);
                break;
            };
            // Ids grow, as those of real clients do; the remainder of a division gives the slot.
            self.asked += 1;
            let id = self.asked * self.slots.len() as u64 + index as u64;
            if let Some(slot) = self.slots.get_mut(index) {
                (slot.id, slot.kind, slot.key) = (id, kind, key);
            }
            self.unsent.push(index);
            match kind {
                Kind::Put => {
                    let (key, value) = self.data.entry(key);
                    self.wire.encode(id, kind, key, value, &mut self.out);
                }
                _ => self.wire.encode(id, kind, self.data.key(key), b"", &mut self.out),
            }
        }
        self.out.bytes()
    }

    fn unsent(&self, from: usize) -> &[u8] {
        self.out.bytes().get(from..).unwrap_or_default()
    }

    fn sent(&mut self, now: Instant) {
        for index in self.unsent.drain(..) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.sent = now;
            }
        }
    }

    fn hear(
        &mut self,
        bytes: &[u8],
        now: Instant,
        recorder: &mut Recorder,
    ) -> Result<usize, WrongAnswer> {
        let mut heard = 0;
        while let Some(answer) = self.wire.decode(bytes.get(heard..).unwrap_or_default())? {
            heard += answer.len;
            let index = usize::try_from(answer.id % self.slots.len() as u64).unwrap_or(usize::MAX);
            let slot = match self.slots.get_mut(index) {
                Some(slot) if slot.id == answer.id && slot.id != 0 => slot,
                _ => return Err(WrongAnswer::Unasked { id: answer.id }),
            };
            slot.id = 0;
            let Slot { kind, key, sent, .. } = *slot;
            self.free.push(index);
            if !answer.outcome.is_of(kind) {
                let (asked, answered) = (kind.name(), answer.outcome.name());
                return Err(WrongAnswer::Kind { asked, key, answered });
            }
            match answer.outcome {
                Outcome::Refused(text) => {
                    recorder.refuse(text);
                    continue;
                }
                Outcome::Value(value) => self.data.check(key, value)?,
                Outcome::Missing(_) => recorder.misses += 1,
                Outcome::Done(_) => {}
            }
            recorder.done += 1;
            recorder.latency(kind, now.duration_since(sent));
        }
        Ok(heard)
    }

    fn stop(&mut self) {
        self.plan.stop();
        self.is_exhausted = true;
    }

    fn can_ask(&self) -> bool {
        !self.is_exhausted && !self.free.is_empty()
    }

    fn is_over(&self) -> bool {
        self.is_exhausted && self.free.len() == self.slots.len()
    }
}

#[cfg(test)]
mod tests;
