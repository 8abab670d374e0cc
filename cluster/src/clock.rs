//! The one clock of the process. Everything else takes the time as an argument.
//!
//! Time is the wall clock at the start plus a monotonic clock that counts suspend. It follows the
//! wall clock at most [`MAX_SLEW_PER_TICK`] a [`TICK`]; a wall clock that is set is not followed, so
//! nothing expires early, and nothing lives on, because somebody corrected a clock.

#![expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use store::Timestamp;

use crate::source::SinceBoot;

/// Time between two looks at the wall clock.
pub const TICK: Duration = Duration::from_millis(100);

/// Most milliseconds that the time moves towards the wall clock in one tick: one percent.
pub const MAX_SLEW_PER_TICK: i64 = 1;

/// A wall clock that moved further than this between two ticks was set by somebody.
const STEP: i64 = 500;

/// The clock of the process.
#[derive(Debug)]
pub struct Clock {
    /// Time minus monotonic time, in milliseconds.
    offset: AtomicI64,
    /// The time is never earlier than this: it stands still rather than go back.
    floor: AtomicI64,
    slew: Mutex<Slew>,
    /// Which start of which machine the monotonic time counts from; a number of its own if the system does not say.
    boot: u128,
}

impl Clock {
    /// A clock that shows the wall clock's time.
    #[must_use]
    pub fn start() -> Self {
        let offset = wall_millis() - monotonic_millis();
        let slew = Mutex::new(Slew::new(offset));
        let (offset, floor) = (AtomicI64::new(offset), AtomicI64::new(0));
        let boot = boot_id().unwrap_or_else(rand::random);
        Self { offset, floor, slew, boot }
    }

    /// The time since this machine was started. Setting the wall clock does not change it, and neither does
    /// starting this process again.
    #[must_use]
    pub fn since_boot(&self) -> SinceBoot {
        // This one first: the machine may be suspended in between.
        let awake = millis_of(ClockId::Monotonic);
        SinceBoot { boot: self.boot, millis: monotonic_millis(), awake }
    }

    /// The time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Timestamp {
        // The offset first: whoever sees a smaller one sees the floor that was set before it.
        let offset = self.offset.load(Ordering::Acquire);
        let millis = (monotonic_millis() + offset).max(self.floor.load(Ordering::Relaxed));
        Timestamp::from_millis(millis.unsigned_abs())
    }

    /// Looks at the wall clock; to be called every [`TICK`].
    pub fn tick(&self) {
        self.observe(wall_millis() - monotonic_millis());
    }

    fn observe(&self, wall: i64) {
        let mut slew = self.slew.lock();
        let before = slew.offset;
        if let Some(step) = slew.observe(wall) {
            tracing::warn!(
                step_ms = step,
                "the wall clock was set; lifespans go on as if it had not been"
            );
        }
        if slew.offset < before {
            // One more: others may read the time until the new offset is stored.
            self.floor.fetch_max(monotonic_millis() + before + 1, Ordering::Relaxed);
        }
        self.offset.store(slew.offset, Ordering::Release);
    }
}

/// How the time follows the wall clock. A decider: differences from the monotonic clock in, in
/// milliseconds.
#[derive(Debug)]
struct Slew {
    /// Difference of the time.
    offset: i64,
    /// Difference of the wall clock when it was last looked at.
    wall: i64,
    /// Sum of the steps that are not followed.
    ignored: i64,
}

impl Slew {
    fn new(offset: i64) -> Self {
        Self { offset, wall: offset, ignored: 0 }
    }

    /// Takes in the wall clock's difference. Returns by how much it was set, if it was.
    fn observe(&mut self, wall: i64) -> Option<i64> {
        let moved = wall - self.wall;
        self.wall = wall;
        let step = (moved.abs() > STEP).then_some(moved);
        self.ignored += step.unwrap_or(0);
        let behind = wall - self.ignored - self.offset;
        self.offset += behind.clamp(-MAX_SLEW_PER_TICK, MAX_SLEW_PER_TICK);
        step
    }
}

fn wall_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The system's name for this start of the machine.
fn boot_id() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}

fn monotonic_millis() -> i64 {
    millis_of(ClockId::Boottime)
}

fn millis_of(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    //! The time follows a drifting clock and does not follow one that is set.

    use super::*;

    #[test]
    fn drift_is_followed_slowly() {
        let mut slew = Slew::new(1_000);
        for tick in 1..=50 {
            assert_eq!(slew.observe(1_050), None);
            assert_eq!(slew.offset, 1_000 + tick);
        }
        assert_eq!(slew.observe(1_050), None);
        assert_eq!(slew.offset, 1_050, "and not beyond");
        assert_eq!(slew.observe(1_040), None);
        assert_eq!(slew.offset, 1_049, "backwards as slowly");
    }

    #[test]
    fn a_step_is_told_and_not_followed() {
        let mut slew = Slew::new(1_000);
        assert_eq!(slew.observe(1_000 - 3_600_000), Some(-3_600_000));
        assert_eq!(slew.offset, 1_000);
        assert_eq!(slew.observe(1_003 - 3_600_000), None, "drift after the step is followed");
        assert_eq!(slew.offset, 1_001);
        assert_eq!(slew.observe(1_003), Some(3_600_000), "and so is a step back");
        assert_eq!(slew.offset, 1_002);
    }

    #[test]
    fn the_time_since_the_machine_was_started_is_the_same_for_every_process() {
        let boot = || Clock::start().since_boot();
        let (one, other) = (boot(), boot());
        assert_eq!(one.boot, other.boot);
        assert!(other.millis >= one.millis && other.awake >= one.awake);
        assert!(one.awake <= one.millis, "it counts no more");
    }

    #[test]
    fn time_goes_forward_also_where_it_was_ahead() {
        let clock = Clock::start();
        let mut last = clock.now();
        assert!(last.millis() > 1_700_000_000_000);
        let wall = clock.offset.load(Ordering::Relaxed) - 100;
        for _ in 0..100 {
            clock.observe(wall);
            let now = clock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
        clock.tick();
        assert!(clock.now() >= last);
    }
}
