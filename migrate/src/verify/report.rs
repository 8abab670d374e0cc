//! What a verification has found.

use serde::Serialize;

use crate::job::shown;

/// Findings of each kind that are listed by key.
const MOST_LISTED: usize = 1_000;

/// What a verification found of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// The source has it, and nothing is known of it here.
    Missing,
    /// It was brought in, and the source's entry is another one now.
    Different,
    /// It was brought in, and the source has it no more.
    Vanished,
    /// A client has changed or removed it here. That is no difference.
    ChangedHere,
}

/// A key with what was found of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// What was found.
    pub finding: Finding,
    /// The key: as text if it is text, otherwise in hexadecimal behind `0x`.
    pub key: String,
    /// What differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<&'static str>,
    /// Whether it was put right.
    pub repaired: bool,
}

/// What a verification has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// `running`, `finished`, `cancelled`, or why it failed.
    pub state: String,
    /// Whether what is missing or different is fetched again.
    pub repair: bool,
    /// Entries of the source that were compared.
    pub compared: u64,
    /// Source segments that were compared to their end.
    pub segments_compared: u32,
    /// Source segments in all.
    pub segments: u32,
    /// Entries that are the same here.
    pub same: u64,
    /// Entries whose time is over.
    pub expired: u64,
    /// See [`Finding::Missing`].
    pub missing: u64,
    /// See [`Finding::Different`].
    pub different: u64,
    /// See [`Finding::Vanished`].
    pub vanished: u64,
    /// See [`Finding::ChangedHere`].
    pub changed_here: u64,
    /// Missing and different entries that were put right; at the end, without as many as had to make room.
    pub repaired: u64,
    /// Entries that had to make room here meanwhile.
    pub evicted: u64,
    /// Entries of the source that a client's clear has removed here.
    pub cleared: u64,
    /// Findings, up to a thousand of each kind.
    pub listed: Vec<Listed>,
}

impl VerifyReport {
    /// Entries that are not as they should be, and were not put right.
    #[must_use]
    pub fn differences(&self) -> u64 {
        (self.missing + self.different + self.vanished).saturating_sub(self.repaired)
    }

    /// Whether it came to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == FINISHED
    }

    /// Whether an operator has ended it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state == CANCELLED
    }

    /// Whether it still goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    /// So many had to make room while this went on. What was put right may be among them.
    pub(super) fn evict(&mut self, entries: u64) {
        self.evicted = entries;
        self.repaired = self.repaired.saturating_sub(entries);
    }

    pub(super) fn note(
        &mut self,
        finding: Finding,
        key: &[u8],
        what: Option<&'static str>,
        repaired: bool,
    ) {
        let counter = match finding {
            Finding::Missing => &mut self.missing,
            Finding::Different => &mut self.different,
            Finding::Vanished => &mut self.vanished,
            Finding::ChangedHere => &mut self.changed_here,
        };
        *counter += 1;
        let of_its_kind = *counter;
        self.repaired += u64::from(repaired);
        if of_its_kind <= MOST_LISTED as u64 {
            self.listed.push(Listed { finding, key: shown(key), what, repaired });
        }
    }
}

pub(super) const RUNNING: &str = "running";
pub(super) const FINISHED: &str = "finished";
pub(super) const CANCELLED: &str = "cancelled";

#[cfg(test)]
mod tests {
    //! What counts as a difference, and how much is listed.

    use super::*;

    #[test]
    fn what_was_changed_here_is_no_difference() {
        let mut report = VerifyReport::default();
        report.note(Finding::ChangedHere, b"a", None, false);
        assert_eq!(report.differences(), 0);
        report.note(Finding::Missing, b"b", None, true);
        report.note(Finding::Different, b"c", Some("value"), false);
        report.note(Finding::Vanished, b"\xFF", None, false);
        assert_eq!((report.differences(), report.repaired, report.listed.len()), (2, 1, 4));
        assert_eq!(report.listed[3].key, "0xff");
        report.evict(5);
        assert_eq!(report.differences(), 3, "what was repaired may be gone again");
        for _ in 0..2 * MOST_LISTED {
            report.note(Finding::Missing, b"k", None, false);
        }
        assert_eq!(report.listed.len(), MOST_LISTED + 3);
    }
}
