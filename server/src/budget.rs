//! The memory that connections take beside the entries: requests that are arriving or being carried out, and
//! answers that are not sent yet.
//!
//! A connection may take [`FREE`] bytes without asking. What it takes beyond them counts against one budget.
//! While the budget is spent, connections wait before they take more ([`Share::reserve`]), and those whose
//! peers have made no progress for the longest time are closed. So peers that neither send the rest of a
//! request nor read their answers cannot keep the others out.
//!
//! The same look at all connections ([`Budget::enforce`]) closes those whose peers have been silent for too
//! long: in the middle of a request, while they are sent an answer, or, if a limit is configured, between
//! two requests. Which connections are closed is decided in [`verdict`], from numbers alone.

mod share;
mod verdict;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Duration,
};

use cluster::Sparingly;
use parking_lot::Mutex;
use store::Timestamp;
use tokio::sync::Notify;

use self::{
    share::Connection,
    verdict::{Limits, Reason},
};
pub(crate) use self::{
    share::{Charge, NoRoom, Share},
    verdict::Doing,
};

/// Bytes that a connection may take without asking.
pub(crate) const FREE: usize = 16 * 1024;

/// Bytes that are reserved for an answer whose length is not known yet.
pub(crate) const STEP: usize = 64 * 1024;

/// Time between two looks at all connections.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// The memory of all connections.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    /// The time of the last look, in milliseconds.
    now: AtomicU64,
    /// Bytes taken, beyond those that are free.
    used: AtomicU64,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    last: AtomicU64,
    /// The connection that has waited for so long that others which wait, too, have to let it go first; 0 is none.
    first: AtomicU64,
    /// The fewest bytes that a connection has waited for since the last look.
    least_wanted: AtomicU64,
    /// Told whenever there may be room for one that waits, and after each look.
    freed: Notify,
    closed: [Closed; Reason::ALL.len()],
}

/// Connections that were closed for one reason.
#[derive(Debug, Default)]
struct Closed {
    count: AtomicU64,
    log: Sparingly,
}

impl Budget {
    /// A budget of `bytes` for all connections, which may be idle between two requests for `idle`.
    pub(crate) fn new(bytes: u64, idle: Option<Duration>, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            limits: Limits { bytes, idle },
            now: AtomicU64::new(now.millis()),
            used: AtomicU64::new(0),
            connections: Mutex::default(),
            last: AtomicU64::new(0),
            first: AtomicU64::new(0),
            least_wanted: AtomicU64::new(u64::MAX),
            freed: Notify::new(),
            closed: Default::default(),
        })
    }

    /// Bytes that all connections may take together, beyond those that are free.
    pub(crate) fn limit(&self) -> u64 {
        self.limits.bytes
    }

    /// Bytes that they take.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().len()
    }

    /// Connections closed so far, by reason.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reason::ALL.iter().zip(&self.closed).map(|(why, closed)| {
            let count = closed.count.load(Relaxed);
            (why.name(), count)
        })
    }

    /// The share of a new connection.
    pub(crate) fn share(self: &Arc<Self>, peer: SocketAddr) -> Arc<Share> {
        let id = self.last.fetch_add(1, Relaxed) + 1;
        let connection = Arc::new(Connection::new(id, peer, self.now.load(Relaxed)));
        self.connections.lock().insert(id, Arc::clone(&connection));
        Arc::new(Share::new(Arc::clone(self), connection))
    }

    /// Returns whether a connection that takes nothing yet may take something now.
    fn is_in_turn(&self, id: u64) -> bool {
        let first = self.first.load(Relaxed);
        first == 0 || first == id
    }

    /// Lets others have their turn after a connection that does not wait any more.
    fn has_had_its_turn(&self, id: u64) {
        if self.first.compare_exchange(id, 0, Relaxed, Relaxed).is_ok() {
            self.freed.notify_waiters();
        }
    }

    /// Counts bytes if they are within the budget.
    fn try_take(&self, bytes: u64) -> bool {
        let within = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limits.bytes);
        let take = || self.used.fetch_update(SeqCst, SeqCst, within).is_ok();
        take() || {
            // What is given back before this is known wakes nobody, so it is looked for once more.
            self.least_wanted.fetch_min(bytes, SeqCst);
            take()
        }
    }

    /// Counts bytes no more. Returns how many are counted still.
    fn give_back(&self, bytes: u64) -> u64 {
        self.used.fetch_sub(bytes, SeqCst) - bytes
    }

    /// Wakes those that wait if one of them may have room.
    fn wake_if_room(&self, used: u64) {
        if used.saturating_add(self.least_wanted.load(SeqCst)) <= self.limits.bytes {
            self.freed.notify_waiters();
        }
    }

    /// Looks at all connections, and closes those that have to go.
    pub(crate) fn enforce(&self, now: Timestamp) {
        self.now.store(now.millis(), Relaxed);
        let (mut seen, mut connections, mut leaving) = (Vec::new(), Vec::new(), 0);
        for connection in self.connections.lock().values() {
            if connection.is_closed() {
                leaving += connection.seen().bytes;
            } else {
                seen.push(connection.seen());
                connections.push(Arc::clone(connection));
            }
        }
        // What closed connections take is given back by itself; nobody else has to go for it.
        let used = self.used().saturating_sub(leaving);
        let going = verdict::judge(&seen, used, self.limits, now.millis());
        for (place, reason) in &going {
            if let Some(connection) = connections.get(*place) {
                connection.close();
                tracing::debug!(peer = %connection.peer, "closed a connection: {}", reason.text());
            }
        }
        for (reason, closed) in Reason::ALL.iter().zip(&self.closed) {
            let count = going.iter().filter(|(_, why)| why == reason).count() as u64;
            closed.count.fetch_add(count, Relaxed);
            if count > 0 && closed.log.is_due(now) {
                let (used, limit) = (self.used(), self.limit());
                tracing::warn!(used, limit, "closing connections: {}", reason.text());
            }
        }
        let first = verdict::first(&seen, now.millis());
        let first = first.and_then(|place| connections.get(place)).map_or(0, |first| first.id);
        self.first.store(first, Relaxed);
        // Each that goes on waiting says again how much it wants.
        self.least_wanted.store(u64::MAX, SeqCst);
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
