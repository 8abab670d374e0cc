//! What a check of an account has found.

use std::fmt;

/// A key that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the key.
    pub key: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.what)
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys that were read.
    pub checked: u64,
    /// Keys under which the source's entry is, as it was.
    pub from_source: u64,
    /// Keys under which a client's entry is.
    pub from_clients: u64,
    /// Keys that clients have removed, and that are gone.
    pub removed: u64,
    /// Keys that clients have removed, and that are there.
    pub came_back: u64,
    /// Keys whose time is over, and that are gone.
    pub expired: u64,
    /// Keys of which nobody can say what must be there: a request of a client broke off.
    pub unknown: u64,
    /// Keys that are not as they must be.
    pub differences: Vec<Difference>,
}
