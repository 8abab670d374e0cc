//! Decides which deferred requests of a connection wait for one another.
//!
//! A request that has to wait (for the source, for a record on the disk, for a turn) is *deferred*. A
//! later request about the same key must not overtake it, so it is deferred as well until its
//! predecessors have finished. Requests about other keys never wait for it.
//!
//! Nothing here waits or knows what a request is: a request claims keys (by hash) or a whole cache, to
//! read or to change them. Two claims conflict if they overlap and at least one of them changes something.
//! A request waits for older requests only, so they never wait in a circle.

use std::collections::HashMap;

/// Keys that the deferred requests of a connection name one by one. A request beyond this claims its
/// whole cache instead, so that requests of very many tiny keys take no memory out of proportion.
pub(super) const MOST_KEYS: usize = 16 * 1024;

/// Deferred reads of a whole cache that later requests are compared with one by one. The next one is
/// treated as if it changed the cache: later requests then wait for it alone.
const MOST_WHOLE_READS: usize = 16;

/// The cache a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheId(pub(crate) usize);

/// Names a deferred request. A later request has a larger ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// What a request reads or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) cache: CacheId,
    pub(crate) keys: Keys,
    pub(crate) access: Access,
}

/// Keys of one cache, by hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    One(u64),
    Some(Vec<u64>),
    All,
}

/// What a request does with the keys it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads them. Reads do not wait for one another.
    Read,
    /// It changes them, or may.
    Change,
    /// It waits for older changes, but later requests do not wait for it. An iteration that starts shows
    /// every earlier change; it may or may not show later ones.
    Follow,
}

/// The deferred requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Order {
    next: u64,
    requests: HashMap<Ticket, Request>,
    lanes: HashMap<CacheId, Lane>,
    /// Keys that are claimed one by one.
    named: usize,
}

#[derive(Debug)]
struct Request {
    claim: Option<Claim>,
    /// Older requests that it still waits for.
    blockers: usize,
    /// Later requests that wait for it, each once.
    blocks: Vec<Ticket>,
}

/// The claims on one cache since its last barrier. Everything older is finished before the barrier is.
#[derive(Debug, Default)]
struct Lane {
    /// The last request that changes the whole cache, until it has finished.
    barrier: Option<Ticket>,
    /// Requests after it that read the whole cache.
    whole_reads: Vec<Ticket>,
    /// Requests after it that claim single keys.
    keys: HashMap<u64, Tail>,
}

/// The last claims on one key. Everything older has finished before they do.
#[derive(Debug, Default)]
struct Tail {
    change: Option<Ticket>,
    /// Reads after the change.
    reads: Vec<Ticket>,
}

impl Order {
    /// Returns whether no request is deferred, so that nothing can be overtaken.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The number of deferred requests.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether a request with this claim would overtake a deferred one.
    pub(crate) fn would_overtake(&self, claim: &Claim) -> bool {
        let mut overtakes = false;
        if let Some(lane) = self.lanes.get(&claim.cache) {
            lane.each_blocker(claim, |_| overtakes = true);
        }
        overtakes
    }

    /// Defers a request. Returns its ticket, and whether it can start now; otherwise
    /// [`Order::finish`] says when. A request without a claim waits for nobody.
    pub(crate) fn defer(&mut self, claim: Option<Claim>) -> (Ticket, bool) {
        let ticket = Ticket(self.next);
        self.next += 1;
        let claim = claim.map(|claim| self.bounded(claim));
        let mut blockers = 0;
        if let Some(claim) = &claim {
            let lane = self.lanes.entry(claim.cache).or_default();
            lane.each_blocker(claim, |older| {
                // One that claims many keys is waited for once.
                if let Some(older) = self.requests.get_mut(&older)
                    && older.blocks.last() != Some(&ticket)
                {
                    older.blocks.push(ticket);
                    blockers += 1;
                }
            });
            lane.enter(ticket, claim);
            self.named += claim.named();
        }
        self.requests.insert(ticket, Request { claim, blockers, blocks: Vec::new() });
        (ticket, blockers == 0)
    }

    /// Removes a finished request. Returns the requests that can start now, oldest first.
    pub(crate) fn finish(&mut self, ticket: Ticket) -> Vec<Ticket> {
        let Some(finished) = self.requests.remove(&ticket) else { return Vec::new() };
        if let Some(claim) = &finished.claim {
            self.named -= claim.named();
            if let Some(lane) = self.lanes.get_mut(&claim.cache) {
                lane.leave(ticket, claim);
                if lane.is_empty() {
                    self.lanes.remove(&claim.cache);
                }
            }
        }
        let mut ready = Vec::new();
        for later in finished.blocks {
            if let Some(request) = self.requests.get_mut(&later) {
                request.blockers -= 1;
                if request.blockers == 0 {
                    ready.push(later);
                }
            }
        }
        ready.sort_unstable();
        ready
    }

    /// The claim with each key once, or on the whole cache if that is cheaper to remember.
    fn bounded(&self, mut claim: Claim) -> Claim {
        if let Keys::Some(keys) = &mut claim.keys {
            keys.sort_unstable();
            keys.dedup();
            if self.named + keys.len() > MOST_KEYS {
                claim.keys = Keys::All;
            }
        }
        let reads = self.lanes.get(&claim.cache).map_or(0, |lane| lane.whole_reads.len());
        if claim.keys == Keys::All && claim.access == Access::Read && reads >= MOST_WHOLE_READS {
            claim.access = Access::Change;
        }
        claim
    }
}

impl Claim {
    /// Returns whether nothing changes: if nobody waits for the answer, nobody misses the request.
    pub(crate) fn only_reads(&self) -> bool {
        match self.access {
            Access::Read | Access::Follow => true,
            Access::Change => false,
        }
    }

    /// The number of keys that are claimed one by one.
    fn named(&self) -> usize {
        match &self.keys {
            Keys::One(_) => 1,
            Keys::Some(keys) => keys.len(),
            Keys::All => 0,
        }
    }

    /// The keys that are claimed one by one.
    fn each(&self) -> impl Iterator<Item = u64> {
        let keys = match &self.keys {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Some(keys) => keys.as_slice(),
            Keys::All => &[],
        };
        keys.iter().copied()
    }
}

impl Lane {
    /// Calls `each` with the requests that one with this claim has to wait for; everything older is
    /// waited for by one of them.
    fn each_blocker(&self, claim: &Claim, mut each: impl FnMut(Ticket)) {
        self.barrier.iter().copied().for_each(&mut each);
        let changes = claim.access == Access::Change;
        if changes {
            self.whole_reads.iter().copied().for_each(&mut each);
        }
        if claim.keys == Keys::All {
            self.keys.values().for_each(|tail| tail.each_blocker(changes, &mut each));
        }
        for tail in claim.each().filter_map(|key| self.keys.get(&key)) {
            tail.each_blocker(changes, &mut each);
        }
    }

    /// Puts a request behind those that are here.
    fn enter(&mut self, ticket: Ticket, claim: &Claim) {
        match (&claim.keys, claim.access) {
            (_, Access::Follow) => {}
            (Keys::All, Access::Read) => self.whole_reads.push(ticket),
            (Keys::All, Access::Change) => {
                *self = Self { barrier: Some(ticket), ..Self::default() };
            }
            (_, access) => {
                for key in claim.each() {
                    let tail = self.keys.entry(key).or_default();
                    match access {
                        Access::Change => *tail = Tail { change: Some(ticket), reads: Vec::new() },
                        Access::Read | Access::Follow => tail.reads.push(ticket),
                    }
                }
            }
        }
    }

    fn leave(&mut self, ticket: Ticket, claim: &Claim) {
        self.barrier = self.barrier.filter(|barrier| *barrier != ticket);
        self.whole_reads.retain(|read| *read != ticket);
        for key in claim.each() {
            if let Some(tail) = self.keys.get_mut(&key) {
                tail.change = tail.change.filter(|change| *change != ticket);
                tail.reads.retain(|read| *read != ticket);
                if tail.change.is_none() && tail.reads.is_empty() {
                    self.keys.remove(&key);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.barrier.is_none() && self.whole_reads.is_empty() && self.keys.is_empty()
    }
}

impl Tail {
    fn each_blocker(&self, changes: bool, each: &mut impl FnMut(Ticket)) {
        self.change.iter().copied().for_each(&mut *each);
        if changes {
            self.reads.iter().copied().for_each(each);
        }
    }
}

#[cfg(test)]
mod tests;
