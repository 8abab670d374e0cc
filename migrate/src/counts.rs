//! What became of the entries that were read from the source.

use std::ops::AddAssign;

use serde::Serialize;
use store::Import;

/// Entries by what became of them. `read` is the sum of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// The source has given them out.
    pub read: u64,
    /// They are here now, and were not before: each counted once, when it was applied.
    pub written: u64,
    /// A client's own entry stands in their place.
    pub kept_for_client: u64,
    /// A client has removed them, or its own entry in their place has ended.
    pub tombstone: u64,
    /// They were already brought in.
    pub already_here: u64,
    /// Their time was over here, and the source did not have them either when it was asked.
    pub expired: u64,
    /// They could not be taken.
    pub failed: u64,
}

impl Counts {
    /// Counts one entry.
    pub fn count(&mut self, import: &Import) {
        self.read += 1;
        *match import {
            Import::Written => &mut self.written,
            Import::KeptForClient => &mut self.kept_for_client,
            Import::Tombstone => &mut self.tombstone,
            Import::AlreadyHere => &mut self.already_here,
            Import::Failed(_) | Import::Outdated => &mut self.failed,
        } += 1;
    }

    /// Counts one entry whose time is over here and that the source, asked for it, has not either.
    pub fn count_expired(&mut self) {
        self.read += 1;
        self.expired += 1;
    }

    /// Returns whether every entry that was read is accounted for.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let parts = [
            self.written,
            self.kept_for_client,
            self.tombstone,
            self.already_here,
            self.expired,
            self.failed,
        ];
        self.read == parts.iter().sum::<u64>()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.kept_for_client += other.kept_for_client;
        self.tombstone += other.tombstone;
        self.already_here += other.already_here;
        self.expired += other.expired;
        self.failed += other.failed;
    }
}
