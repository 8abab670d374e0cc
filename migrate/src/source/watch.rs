//! Whether a source is there, and what its clocks show.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use client::ServerAddress;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Doubt, SourceConnection};
use crate::http_date::{self, NotRead};

/// Time between two looks at whether the source is there, on average.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds between two looks, at least.
const LEAST_PAUSE: i64 = 500;

/// Time for which the source has to say nothing before reads do without it where everything of it is here.
pub(super) const SILENT: Duration = Duration::from_secs(10);

/// Least time between two attempts to record which processes the source consists of.
const RECORD: Duration = Duration::from_secs(10);

/// Milliseconds of uncertainty from which on a server's clock is read less often.
const KNOWN_WELL: u64 = 50;

/// Time between two readings of a clock that is known well.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Time until a server is asked again for its clock that does not tell it.
const NO_DATE: Duration = Duration::from_secs(600);

/// When to record which processes the source consists of.
#[derive(Debug)]
struct Recording {
    due: Instant,
    has_failed: bool,
}

impl Recording {
    fn begin(now: Instant) -> Self {
        Self { due: now, has_failed: false }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Takes in what came of an attempt. Returns whether people are to be told that it has failed: a disk may be full
    /// for long.
    fn is_to_be_told(&mut self, recorded: &Result<(), String>, now: Instant) -> bool {
        self.due = now + RECORD;
        let had_failed = std::mem::replace(&mut self.has_failed, recorded.is_err());
        recorded.is_err() && !had_failed
    }
}

impl SourceConnection {
    /// Whether the source answers, and is the one that it should be, as far as is known.
    pub(crate) fn is_believed(&self) -> bool {
        self.changed.read().is_none() && self.health.read().problem.is_none()
    }

    /// Whether the source has said nothing for so long that what is over here is taken to be over.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// Keeps looking whether the source is there, and the one that it was.
    pub(super) async fn watch(&self) {
        let (mut failures, mut heard) = (0, Instant::now());
        let mut recording = Recording::begin(Instant::now());
        loop {
            match self.check_identity().await {
                Ok(()) => {
                    (failures, heard) = (0, Instant::now());
                    if self.health.write().problem.take().is_some() {
                        self.forget_walk_failures();
                    }
                    if recording.is_due(heard)
                        && let Some(recorded) = self.record_identity().await
                    {
                        self.tell_recorded(&mut recording, recorded, heard);
                    }
                }
                // Who finds that out notes it. It answers, at least.
                Err(Doubt::Another(_)) => {
                    self.health.write().problem = None;
                    self.forget_walk_failures();
                }
                Err(Doubt::Silent(problem)) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::warn!(cache = %self.cache.name(), problem, "the source is silent");
                    }
                    self.health.write().problem = Some(problem);
                    self.forget_walk_failures();
                }
            }
            self.set_silent(heard.elapsed() >= SILENT);
            tokio::time::sleep(self.until_next_look()).await;
        }
    }

    /// Says that it could not be recorded who the source is: once, until it can.
    fn tell_recorded(&self, recording: &mut Recording, recorded: Result<(), String>, now: Instant) {
        if let (Err(error), true) = (&recorded, recording.is_to_be_told(&recorded, now)) {
            tracing::warn!(
                cache = %self.cache().name(), error,
                "servers of the source were started again, which could not be stored: if all of them are by the \
                 time this server is started again, the source counts as another one. This is tried again"
            );
        }
    }

    /// Time until the next look: to the instant at which the answer tells most of when the source was started.
    fn until_next_look(&self) -> Duration {
        let now = self.agreement.clock().since_boot();
        let Some(start) = self.identity.read().widest_start(now.boot) else { return LOOK };
        let soon = now.millis.saturating_add(LEAST_PAUSE);
        let best = start.best_reading(soon).saturating_sub(now.millis);
        Duration::from_millis(best.unsigned_abs())
    }

    /// Lets reads do without the source for a while, or not.
    fn set_silent(&self, silent: bool) {
        let before = self.silent.swap(silent, Ordering::AcqRel);
        if silent {
            // Its clocks are taken to go on.
            let over = self.clocks.over_by(self.agreement.clock().now()).unwrap_or_default();
            self.cache.set_silent(self.id(), Some(over));
        } else if before {
            self.cache.set_silent(self.id(), None);
        }
        match (before, silent) {
            (false, true) => tracing::warn!(
                cache = %self.cache.name(),
                "the source has said nothing that can be believed for {} s: where everything of it is here, \
                 entries whose time is over are shown as gone, and kept until it is heard again or the cache \
                 is disconnected",
                SILENT.as_secs()
            ),
            (true, false) => {
                tracing::info!(cache = %self.cache.name(), "the source is heard again");
            }
            (false, false) | (true, true) => {}
        }
    }

    /// Keeps reading the clocks of the source's servers.
    pub(super) async fn read_clocks(&self) {
        let mut readers = HashMap::<ServerAddress, Instant>::new();
        loop {
            let servers = self.remote.servers();
            readers.retain(|server, _| servers.contains(server));
            self.clocks.retain(&servers, self.agreement.clock().now());
            let due = |server: &&ServerAddress| {
                readers.get(*server).is_none_or(|not_before| *not_before <= Instant::now())
            };
            let due: Vec<ServerAddress> = servers.iter().filter(due).cloned().collect();
            let read = join_all(due.iter().map(|server| self.read_clock(server))).await;
            readers.extend(due.into_iter().zip(read));
            tokio::time::sleep(LOOK / 4).await;
        }
    }

    /// Reads the clock of a server when that tells most. Returns when it should be read again.
    async fn read_clock(&self, server: &ServerAddress) -> Instant {
        let (clock, theirs) = (self.agreement.clock(), self.clocks.of(server));
        let now = clock.now();
        // One that is hardly known is watched at once.
        if theirs.watch(now, now).is_none() {
            let wait = theirs.best_reading(now).millis().saturating_sub(now.millis());
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let pause = match http_date::read_closely(server, clock, &theirs).await {
            Ok(()) => {
                let known = theirs.offset(clock.now()).width();
                if known.is_some_and(|known| known <= KNOWN_WELL) { READ_AGAIN } else { LOOK / 2 }
            }
            Err(NotRead::Silent) => READ_AGAIN,
            Err(NotRead::NoDate) => NO_DATE,
        };
        Instant::now() + pause
    }
}

#[cfg(test)]
mod tests {
    //! A disk that is full for a while.

    use super::*;

    #[test]
    fn what_cannot_be_recorded_is_tried_again_and_told_once() {
        let (begin, full) = (Instant::now(), Err("no space".to_owned()));
        let mut recording = Recording::begin(begin);
        let mut told = Vec::new();
        for second in 0..60 {
            let now = begin + Duration::from_secs(second);
            if recording.is_due(now) {
                told.push((second, recording.is_to_be_told(&full, now)));
            }
        }
        let expected = [(0, true), (10, false), (20, false), (30, false), (40, false), (50, false)];
        assert_eq!(told, expected);
        let now = begin + Duration::from_secs(60);
        assert!(!recording.is_to_be_told(&Ok(()), now));
        assert!(!recording.is_due(now) && recording.is_due(now + RECORD));
        assert!(recording.is_to_be_told(&full, now), "it is another failure");
    }
}
