//! Counters of a server that only grow.

/// Names of the statistics of a server that only grow as long as its process and its cache live. Infinispan adds
/// to each and takes nothing off. Those of a cache start at 0 again when an operator resets its statistics; those
/// of bytes are of the whole server, and start at 0 only with it.
pub const COUNTERS: [&str; 7] = [
    "stores",
    "hits",
    "misses",
    "removeHits",
    "removeMisses",
    "totalBytesRead",
    "totalBytesWritten",
];

/// What a server had counted when it was asked, in the order of [`COUNTERS`]; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters(pub [Option<u64>; COUNTERS.len()]);

impl Counters {
    /// Of a server that says so much by these names.
    #[must_use]
    pub fn of(number: impl FnMut(&str) -> Option<u64>) -> Self {
        Self(COUNTERS.map(number))
    }

    /// A counter that has gone back since, with what it was and what it is.
    #[must_use]
    pub fn gone_back(&self, earlier: &Self) -> Option<(&'static str, u64, u64)> {
        let pairs = COUNTERS.iter().zip(earlier.0.iter().zip(self.0));
        let mut changes = pairs.filter_map(|(name, (before, now))| Some((*name, (*before)?, now?)));
        changes.find(|(_, before, now)| now < before)
    }
}
