//! What one connection takes of the budget, and how it waits for more.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::{
    Budget, FREE,
    verdict::{Doing, Seen},
};

/// Bytes of a large request or answer that are progress.
const PROGRESS: u64 = FREE as u64;

/// One connection, as the budget sees it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Greater than zero.
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    account: Mutex<Account>,
    /// When its peer last made progress, in milliseconds.
    moved: AtomicU64,
    /// Bytes that its peer has sent or taken since then.
    passed: AtomicU64,
    doing: AtomicU8,
    held_up: AtomicBool,
    reserved: AtomicBool,
    closed: AtomicBool,
    /// Woken when it is closed.
    task: AtomicWaker,
}

/// The bytes of one connection.
#[derive(Debug, Default)]
struct Account {
    /// Bytes that it takes, including those that are free.
    taken: usize,
    /// How many parts of it wait, by the bytes that they wait for.
    waits: BTreeMap<usize, usize>,
    /// Since when they do, in milliseconds.
    since: u64,
}

impl Account {
    /// Bytes that count.
    fn counted(&self) -> usize {
        self.taken.saturating_sub(FREE)
    }

    /// The most bytes that one part of it waits for. What it waits for altogether does not matter: that may
    /// be more than there will ever be room for at once.
    fn wanted(&self) -> usize {
        self.waits.last_key_value().map_or(0, |(bytes, _)| *bytes)
    }
}

impl Connection {
    pub(super) fn new(id: u64, peer: SocketAddr, now: u64) -> Self {
        Self {
            id,
            peer,
            account: Mutex::default(),
            moved: AtomicU64::new(now),
            passed: AtomicU64::new(0),
            doing: AtomicU8::new(Doing::Nothing as u8),
            held_up: AtomicBool::new(false),
            reserved: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let account = self.account.lock();
        Seen {
            bytes: account.counted() as u64,
            wanted: account.wanted() as u64,
            since: account.since,
            is_held_up: self.held_up.load(Relaxed),
            moved: self.moved.load(Relaxed),
            doing: Doing::from(self.doing.load(Relaxed)),
            is_reserved: self.reserved.load(Relaxed),
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.task.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

/// What one connection takes. It is counted as open until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    connection: Arc<Connection>,
}

/// Why there is no room for a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// The connection is being closed.
    #[error("the connection is closed because of a limit that the server's log names")]
    Closed,
    /// There never will be.
    #[error(
        "one request or answer would take more than {most} bytes: ask for fewer keys, or iterate"
    )]
    TooLarge {
        /// Bytes that one of them may take.
        most: usize,
    },
}

impl Share {
    pub(super) fn new(budget: Arc<Budget>, connection: Arc<Connection>) -> Self {
        Self { budget, connection }
    }

    /// Notes that its peer has made progress: a request is complete, or an answer is sent.
    pub(crate) fn moved(&self) {
        self.connection.passed.store(0, Relaxed);
        self.connection.moved.store(self.budget.now.load(Relaxed), Relaxed);
    }

    /// Notes that its peer has sent or taken bytes of something larger. They are progress once there are
    /// enough of them: a peer that sends a byte now and then makes none.
    pub(crate) fn passed(&self, bytes: usize) {
        let passed = self.connection.passed.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        if passed >= PROGRESS {
            self.moved();
        }
    }

    /// Notes what the connection does from now on. A step is progress, unless it is one between receiving
    /// and sending: over HTTP/2, a peer can do both at once for as long as it likes.
    pub(crate) fn does(&self, doing: Doing) {
        let before = Doing::from(self.connection.doing.swap(doing as u8, Relaxed));
        if before != doing && !(before.is_up_to_the_peer() && doing.is_up_to_the_peer()) {
            self.moved();
        }
    }

    /// Notes that the connection does nothing else until its peer has taken an answer, until what is returned
    /// is dropped. Its waits for room go on afterwards.
    pub(crate) fn hold_up(&self) -> HeldUp<'_> {
        self.connection.held_up.store(true, Relaxed);
        HeldUp { connection: &self.connection }
    }

    /// Notes that the connection has a place that is kept for probes and administrators: others wait for it.
    pub(crate) fn takes_reserved_place(&self) {
        self.connection.reserved.store(true, Relaxed);
    }

    /// Completes once the connection has to end. Only one task at a time may wait for this.
    pub(crate) async fn closed(&self) {
        let connection = &*self.connection;
        std::future::poll_fn(|context| {
            connection.task.register(context.waker());
            if connection.is_closed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Returns whether `more` bytes are free or within the budget. Nothing is reserved: bytes that are taken
    /// on the word of this have to be counted before anything is awaited.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        let within = self.budget.used().saturating_add(more as u64) <= self.budget.limit();
        within || self.connection.account.lock().taken.saturating_add(more) <= FREE
    }

    /// Most bytes that one request or answer may take.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.budget.limit() / 2).unwrap_or(usize::MAX)
    }

    fn check(&self, bytes: usize) -> Result<(), NoRoom> {
        let most = self.most();
        if bytes > most { Err(NoRoom::TooLarge { most }) } else { Ok(()) }
    }

    /// A charge of no bytes; its owner sets them.
    pub(crate) fn charge(self: &Arc<Self>) -> Charge {
        Charge { share: Arc::clone(self), bytes: 0 }
    }

    /// Reserves bytes, as soon as there is room for them.
    ///
    /// # Errors
    ///
    /// If there never will be room, or the connection is closed meanwhile.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Charge, NoRoom> {
        self.check(bytes)?;
        if !self.try_add(bytes) {
            let _waiting = Waiting::begin(self, bytes);
            loop {
                let freed = self.budget.freed.notified();
                if self.connection.is_closed() {
                    return Err(NoRoom::Closed);
                }
                if self.try_add(bytes) {
                    break;
                }
                freed.await;
            }
        }
        Ok(Charge { share: Arc::clone(self), bytes })
    }

    /// Counts `more` bytes if they are free or within the budget, and nobody else has to come first.
    fn try_add(&self, more: usize) -> bool {
        let mut account = self.connection.account.lock();
        let before = account.counted();
        account.taken += more;
        let counted = (account.counted() - before) as u64;
        // One that takes something already goes on: that is how it gives room back.
        let in_turn = || before > 0 || self.budget.is_in_turn(self.connection.id);
        let added = counted == 0 || in_turn() && self.budget.try_take(counted);
        if !added {
            account.taken -= more;
        }
        added
    }

    /// Counts one charge of `before` bytes as `after` bytes from now on.
    fn change(&self, before: usize, after: usize) {
        let mut account = self.connection.account.lock();
        let counted = account.counted();
        account.taken = account.taken + after - before;
        let counts = account.counted();
        if counts > counted {
            self.budget.used.fetch_add((counts - counted) as u64, SeqCst);
        } else if counts < counted {
            let used = self.budget.give_back((counted - counts) as u64);
            drop(account);
            self.budget.wake_if_room(used);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.connections.lock().remove(&self.connection.id);
    }
}

/// A connection that does nothing until its peer has taken an answer.
#[must_use]
pub(crate) struct HeldUp<'a> {
    connection: &'a Connection,
}

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        self.connection.held_up.store(false, Relaxed);
    }
}

/// Notes that a connection waits for bytes, until this is dropped.
struct Waiting<'a> {
    share: &'a Share,
    bytes: usize,
}

impl<'a> Waiting<'a> {
    fn begin(share: &'a Share, bytes: usize) -> Self {
        let mut account = share.connection.account.lock();
        if account.waits.is_empty() {
            account.since = share.budget.now.load(Relaxed);
        }
        *account.waits.entry(bytes).or_default() += 1;
        Self { share, bytes }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Share { budget, connection } = self.share;
        let mut account = connection.account.lock();
        if let Entry::Occupied(mut parts) = account.waits.entry(self.bytes) {
            *parts.get_mut() -= 1;
            if *parts.get() == 0 {
                parts.remove();
            }
        }
        // Its other waits, which HTTP/2 allows, do not count as longer ones than those of others.
        account.since = budget.now.load(Relaxed);
        drop(account);
        budget.has_had_its_turn(connection.id);
        // Its peer was not to blame while it waited, and has as much time as others from now on.
        self.share.moved();
    }
}

/// Bytes that a part of a connection takes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    share: Arc<Share>,
    bytes: usize,
}

impl Charge {
    /// Counts `bytes` from now on, whether or not there is room: they are taken already.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.share.change(self.bytes, bytes);
            self.bytes = bytes;
        }
    }

    /// Counts at least `bytes`, as soon as there is room for what is added.
    ///
    /// # Errors
    ///
    /// See [`Share::reserve`].
    pub(crate) async fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.share.check(bytes)?;
        if bytes > self.bytes {
            self.merge(self.share.reserve(bytes - self.bytes).await?);
        }
        Ok(())
    }

    /// Takes over the bytes of another charge of the same connection.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Bytes that are counted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
impl Share {
    pub(super) fn connection_is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    pub(crate) fn is_held_up(&self) -> bool {
        self.connection.held_up.load(Relaxed)
    }

    pub(super) fn moved_at(&self) -> u64 {
        self.connection.moved.load(Relaxed)
    }
}
