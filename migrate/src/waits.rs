//! How long a copy has waited for its source in vain.
//!
//! Clients wait for a copy no longer than the source may take to answer any other request. What counts is the time in
//! which the copy can do nothing but wait: since the source last gave out entries, without the time in which a reader
//! brings them in, or holds back because the copy is throttled.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a copy has waited for its source in vain.
#[derive(Debug)]
pub(crate) struct Waits(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Readers that have something else to do than to wait.
    busy: usize,
    /// Time that was waited since the source last gave out entries, before `since`.
    waited: Duration,
    /// When the last reader began to wait, or when the source gave out entries, whichever was later.
    since: Instant,
}

impl State {
    fn waited(&self) -> Duration {
        let now = if self.busy == 0 { self.since.elapsed() } else { Duration::ZERO };
        self.waited.saturating_add(now)
    }
}

impl Waits {
    /// Of a copy that begins now.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { busy: 0, waited: Duration::ZERO, since: Instant::now() }))
    }

    /// Time that was waited since the source last gave out entries.
    pub(crate) fn waited(&self) -> Duration {
        self.0.lock().waited()
    }

    /// A reader has something to do, until this is dropped.
    pub(crate) fn work(&self) -> Working<'_> {
        self.begin_work();
        Working(self)
    }

    /// The source has given out entries.
    pub(crate) fn heard(&self) {
        let mut state = self.0.lock();
        (state.waited, state.since) = (Duration::ZERO, Instant::now());
    }

    fn begin_work(&self) {
        let mut state = self.0.lock();
        state.waited = state.waited();
        state.busy += 1;
    }

    fn end_work(&self) {
        let mut state = self.0.lock();
        state.busy = state.busy.saturating_sub(1);
        state.since = Instant::now();
    }
}

/// A reader that has something to do.
#[must_use = "it waits once this is dropped"]
pub(crate) struct Working<'w>(&'w Waits);

impl<'w> Working<'w> {
    /// It can do nothing but wait for the source, until this is dropped.
    pub(crate) fn wait(&self) -> Waiting<'w> {
        self.0.end_work();
        Waiting(self.0)
    }

    /// The source has given out entries.
    pub(crate) fn heard(&self) {
        self.0.heard();
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.end_work();
    }
}

/// A reader that waits for the source.
#[must_use = "it works on once this is dropped"]
pub(crate) struct Waiting<'w>(&'w Waits);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.begin_work();
    }
}

#[cfg(test)]
mod tests {
    //! Which time counts.

    use super::*;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn waited(waits: &Waits) -> u64 {
        waits.waited().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_counts_in_which_nobody_has_anything_to_do() {
        let waits = Waits::new();
        pass(1).await;
        assert_eq!(waited(&waits), 1, "nobody reads yet");
        let (one, other) = (waits.work(), waits.work());
        pass(10).await;
        assert_eq!(waited(&waits), 1);
        let first = one.wait();
        pass(10).await;
        assert_eq!(waited(&waits), 1, "the other one works");
        let second = other.wait();
        pass(2).await;
        assert_eq!(waited(&waits), 3);
        drop(first);
        pass(10).await;
        assert_eq!(waited(&waits), 3, "one of them goes on without an entry");
        drop((one, second, other));
        pass(4).await;
        assert_eq!(waited(&waits), 7, "they are read again later");
    }

    #[tokio::test(start_paused = true)]
    async fn it_begins_anew_once_the_source_gives_out_entries() {
        let waits = Waits::new();
        let one = waits.work();
        let waiting = one.wait();
        pass(5).await;
        waits.heard();
        pass(1).await;
        assert_eq!(waited(&waits), 1);
        drop(waiting);
        one.heard();
        assert_eq!(waited(&waits), 0);
    }
}
