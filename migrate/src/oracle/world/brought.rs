//! What of the source must be here.

use store::{SegmentId, Standing};

use super::{
    super::{
        model::{KEYS, Life, Truth},
        source::{key, placement},
    },
    World,
    command::{Answered, Operation},
    signed_millis,
};
use crate::entry::SourceEntry;

impl World {
    /// Returns whether the source is still asked for a key.
    pub(super) fn may_come(&self, number: usize) -> bool {
        let segment = self.target.cache.segment(SegmentId(0));
        segment.link().is_some_and(|link| link.may_hold(placement(number)))
    }

    /// The entry that the source answered with is here, whatever became of it at the source since: it need
    /// not stay, but it may.
    pub(super) fn bring_answer(&mut self, operation: &Operation) {
        if let Some((_, Answered::Entry(entry), _)) = &operation.said {
            self.bring_entry(operation.key, entry);
        }
    }

    pub(super) fn bring_entry(&mut self, number: usize, entry: &SourceEntry) {
        let lifespan = entry.metadata().expiration.lifespan.map(signed_millis);
        let (value, now) = (entry.value().to_vec(), self.now);
        if !self.is_here(number, &value) {
            return;
        }
        self.model.bring(number, Life::imported(value, Some(0), lifespan, None, now, now));
    }

    /// An entry of the source is here: so much of its life is certain.
    pub(super) fn bring(&mut self, number: usize, read: i64) {
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

    /// Returns whether this value was brought in under a key.
    pub(super) fn is_here(&self, number: usize, value: &[u8]) -> bool {
        self.target.cache.inspect(&key(number), self.ours(), |standing| match standing {
            Standing::Imported(entry) | Standing::Overdue(entry) => entry.value().bytes() == value,
            Standing::Unknown | Standing::Tombstone | Standing::Local(_) => false,
        })
    }

    /// Whatever the source has and no client has changed must be here.
    pub(super) fn expect_everything(&mut self, what: &str) -> Result<(), String> {
        for number in 0..KEYS {
            self.expect_here(number, what)?;
        }
        Ok(())
    }

    pub(super) fn expect_here(&mut self, number: usize, what: &str) -> Result<(), String> {
        let Some(live) = &self.target.live else { return Ok(()) };
        let source = &self.sources[live.source];
        // What is written to the source once it is connected is nobody's promise.
        let stored = source.entries.get(&number);
        let is_new = stored.is_none_or(|stored| stored.since >= self.connected_anew);
        let Truth::Source(_) = self.model.truth(number) else { return Ok(()) };
        if is_new || !live.seen || live.doubted || self.model.clearing {
            return Ok(());
        }
        if self.model.has_ended(number) || self.model.is_evicted(number) {
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

    /// Compares everything that is here with the source, at one instant.
    pub(super) fn verify(&mut self) -> Result<(), String> {
        let complete = self.connection().is_some_and(|connection| {
            connection.complete.len() >= connection.space.count() && !connection.cleared
        });
        if complete && self.clear.is_none() && self.believes() {
            self.tally.verified += 1;
            self.expect_everything("all segments are complete")?;
        }
        Ok(())
    }
}
