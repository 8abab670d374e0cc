//! When a process was started, from whole seconds.
//!
//! A server says for how many whole seconds it has run, at an instant between the question and the answer. That
//! leaves an interval of a second and the time of the answer. Each further reading leaves another one, and the
//! process was started in all of them: a process that is still the same narrows the interval, and another one soon
//! contradicts it.

use std::time::Duration;

use super::START_TOLERANCE;

/// Milliseconds that two intervals of one process may lie apart. Clocks are corrected in small steps.
const APART: i64 = 150;

/// Milliseconds of width from which on an interval is narrowed further.
const WIDE: i64 = 50;

/// Milliseconds on either side of a narrow interval at which a reading tells the process from another one, which
/// was started sooner or later: more than [`APART`], and by more than half of what is known closely at first.
const ASIDE: i64 = 250;

/// Parts of the time that has passed by which a clock may have drifted from another one: both may be corrected by
/// 500 of a million.
const DRIFT: u64 = 1_000;

/// Most milliseconds that clocks are taken to have drifted apart.
const MOST: i64 = START_TOLERANCE.cast_signed() * 1_000 - APART;

/// When a process was started, by clocks other than our wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartedBy {
    /// By the time since this machine was started.
    pub boot: Option<StartInterval>,
    /// By the same without the time for which it was suspended: a process on the same machine, or on one that is
    /// suspended together with it, does not count that time.
    pub awake: Option<StartInterval>,
    /// In seconds since the Unix epoch by the clock of the source, if that was read.
    pub source: Option<u64>,
}

/// An instant by the time since a machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinceBoot {
    /// Which start of which machine.
    pub boot: u128,
    /// Milliseconds since then.
    pub millis: i64,
    /// The same without those for which it was suspended.
    pub awake: i64,
}

impl StartedBy {
    /// When a process was started that has run for so many whole seconds, by the clocks of this machine. It said so
    /// between the two instants.
    #[must_use]
    pub fn of(running: Duration, asked: SinceBoot, answered: SinceBoot) -> Self {
        let awake = |at: SinceBoot| SinceBoot { millis: at.awake, ..at };
        Self {
            boot: StartInterval::of(running, asked, answered),
            awake: StartInterval::of(running, awake(asked), awake(answered)),
            source: None,
        }
    }

    /// Returns whether both may be of one process by the clocks of this machine; `None` if those do not say. One of them
    /// is enough: if the machine was suspended in between, they differ.
    pub(super) fn agrees_with(&self, earlier: &Self) -> Option<bool> {
        let agree = |now: Option<StartInterval>, then: Option<StartInterval>| {
            let (now, then) = now.zip(then).filter(|(now, then)| now.boot == then.boot)?;
            Some(now.agrees_with(&then))
        };
        let both = [agree(self.boot, earlier.boot), agree(self.awake, earlier.awake)];
        both.into_iter().flatten().reduce(|one, other| one || other)
    }

    /// Adds what an earlier reading of the same process says. What one clock knows counts for the other as well: if the
    /// machine was suspended in between, only one of them agrees.
    pub(super) fn narrow(&mut self, earlier: &Self) {
        let (Some(boot), Some(awake)) = (self.boot, self.awake) else {
            self.boot = narrowed(self.boot, earlier.boot).or(self.boot);
            return;
        };
        let suspended = boot.latest.saturating_sub(awake.latest);
        match (narrowed(self.boot, earlier.boot), narrowed(self.awake, earlier.awake)) {
            (Some(boot), Some(awake)) => (self.boot, self.awake) = (Some(boot), Some(awake)),
            (Some(boot), None) => {
                (self.boot, self.awake) =
                    (Some(boot), Some(boot.moved(suspended.saturating_neg())));
            }
            (None, Some(awake)) => {
                (self.boot, self.awake) = (Some(awake.moved(suspended)), Some(awake));
            }
            // A machine stood still: this is all that is known.
            (None, None) => {}
        }
    }
}

/// The interval in which a process was started by two readings together; `None` if they contradict each other, or one
/// of them is missing or from before this machine was booted again.
fn narrowed(now: Option<StartInterval>, then: Option<StartInterval>) -> Option<StartInterval> {
    let (now, then) = now.zip(then).filter(|(now, then)| now.boot == then.boot)?;
    now.agrees_with(&then).then(|| now.narrowed(&then))
}

/// An interval in which a process was started, in milliseconds since a machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartInterval {
    /// Which start of which machine.
    pub boot: u128,
    /// It was started no earlier than this; negative before the machine was.
    pub earliest: i64,
    /// It was started no later than this.
    pub latest: i64,
    /// When it was last asked.
    pub read: i64,
}

impl StartInterval {
    /// The interval of a process that has run for so many whole seconds. It said so between the two instants.
    #[must_use]
    pub fn of(running: Duration, asked: SinceBoot, answered: SinceBoot) -> Option<Self> {
        let running = i64::try_from(running.as_secs()).ok()?.checked_mul(1_000)?;
        // Instants are cut off to the millisecond.
        let SinceBoot { boot, millis: read, .. } = asked;
        let latest = answered.millis.checked_add(1)?;
        let since = |at: i64| at.checked_sub(running);
        let (earliest, latest) = (since(read.checked_sub(1_000)?)?, since(latest)?);
        (answered.boot == boot).then_some(Self { boot, earliest, latest, read })
    }

    /// Milliseconds between its ends.
    #[must_use]
    pub fn width_ms(&self) -> i64 {
        self.latest.saturating_sub(self.earliest)
    }

    /// The first instant from `at` on at which a further reading tells most. Where little is known, that is the
    /// middle of the interval, so many whole seconds later, which halves it; otherwise an instant before or after
    /// it in turn, at which another process says something else.
    #[must_use]
    pub fn best_reading(&self, at: i64) -> i64 {
        let middle = self.earliest.saturating_add(self.width_ms() / 2);
        if self.width_ms() > WIDE {
            return at.saturating_add(middle.saturating_sub(at).rem_euclid(1_000));
        }
        let second = at.saturating_sub(middle).div_euclid(1_000);
        let instant = |second: i64| {
            let aside = if second.rem_euclid(2) == 0 { -ASIDE } else { ASIDE };
            middle.saturating_add(second.saturating_mul(1_000)).saturating_add(aside)
        };
        (second..second.saturating_add(3)).map(instant).find(|next| *next >= at).unwrap_or(at)
    }

    /// The next instants from `at` on, on either side of the interval, at which another process says something else
    /// that was started sooner, and one that was started later.
    #[must_use]
    pub fn telling_instants(&self, at: i64) -> [i64; 2] {
        let middle = self.earliest.saturating_add(self.width_ms() / 2);
        let next = |instant: i64| at.saturating_add(instant.saturating_sub(at).rem_euclid(1_000));
        let [before, after] = [-ASIDE, ASIDE].map(|aside| next(middle.saturating_add(aside)));
        [before.min(after), before.max(after)]
    }

    /// Returns whether both may be of one process.
    pub(super) fn agrees_with(&self, earlier: &Self) -> bool {
        let drift = self.drift_since(earlier);
        let later = self.earliest.saturating_sub(earlier.latest);
        let sooner = earlier.earliest.saturating_sub(self.latest);
        later.max(sooner) <= APART + drift
    }

    /// Returns whether it was certainly started before the process of `earlier` was last asked: a cache that was
    /// created in the place of that one was started later.
    pub(super) fn is_before_reading_of(&self, earlier: &Self) -> bool {
        self.latest < earlier.read.saturating_sub(APART + self.drift_since(earlier))
    }

    /// What both intervals say of one process: the instants that are in both. If there are none although they agree,
    /// a clock was corrected, and the process was started close to where this interval comes nearest to the earlier
    /// one: all of this interval would let a twin in.
    pub(super) fn narrowed(&self, earlier: &Self) -> Self {
        let drift = self.drift_since(earlier);
        let earliest = self.earliest.max(earlier.earliest.saturating_sub(drift));
        let latest = self.latest.min(earlier.latest.saturating_add(drift));
        let (earliest, latest) = if earliest <= latest {
            (earliest, latest)
        } else if earliest == self.earliest {
            (earliest, self.latest.min(earliest.saturating_add(WIDE)))
        } else {
            (self.earliest.max(latest.saturating_sub(WIDE)), latest)
        };
        Self { earliest, latest, ..*self }
    }

    /// The same by a clock that shows so many milliseconds more.
    fn moved(&self, by: i64) -> Self {
        let [earliest, latest, read] =
            [self.earliest, self.latest, self.read].map(|at| at.saturating_add(by));
        Self { earliest, latest, read, ..*self }
    }

    /// Milliseconds by which clocks may have drifted apart since then, up to [`MOST`].
    fn drift_since(&self, earlier: &Self) -> i64 {
        let passed = self.read.saturating_sub(earlier.read).max(0).unsigned_abs();
        i64::try_from(passed.div_ceil(DRIFT)).unwrap_or(MOST).min(MOST)
    }
}
