//! What a verification has found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judge::{Unfetched, Verdict};
use crate::{
    census::{self, Census, FEW},
    stored_key::StoredKey,
    throttle::Rates,
};

/// Findings of each kind that are listed by key.
const MOST_LISTED: usize = 1_000;

/// What a verification found of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// The source has it, and nothing is known of it here.
    Missing,
    /// The same in a cache that has evicted entries of the source: it may have been one of them.
    MissingOrEvicted,
    /// It was brought in, and the source's entry is another one now.
    Different,
    /// It was brought in, and the source has it no more.
    Vanished,
    /// A client has changed or removed it here. That is no difference.
    ChangedHere,
    /// It is not here, because a client has cleared the cache; but the source may have got it after that.
    ClearedOrLater,
}

/// A key with what was found of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// What was found.
    pub finding: Finding,
    /// The key: as text if it is or stands for a text, otherwise in hexadecimal behind `0x`.
    pub key: String,
    /// What differs; of one that is missing, why it is not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<&'static str>,
    /// Why it cannot be put right, if something differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// Whether it was put right.
    pub repaired: bool,
}

/// What a verification has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// `running`, `finished`, `cancelled` or `failed`.
    pub state: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether what is missing or different is fetched again.
    pub repair: bool,
    /// How fast it compares, at most.
    pub throttle: Rates,
    /// Set while it waits for `resume`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Entries of the source that were compared: those that are the same, expired, missing, missing or evicted,
    /// different, changed here, or cleared.
    pub compared: u64,
    /// Source segments that were compared to their end.
    pub segments_compared: u32,
    /// Source segments in all.
    pub segments: u32,
    /// Entries that are the same here.
    pub same: u64,
    /// Entries that the source has shown, and did not have any more when it was asked again.
    pub expired: u64,
    /// Those of them that the source keeps showing, and does not find by their keys.
    pub not_found: u64,
    /// See [`Finding::Missing`].
    pub missing: u64,
    /// Missing and different entries that a repair does not fetch, or could not. What is listed says why.
    pub not_fetched: u64,
    /// See [`Finding::MissingOrEvicted`]. No more of them are left over than entries of the source were evicted
    /// here; those beyond that number count as missing.
    pub missing_or_evicted: u64,
    /// See [`Finding::Different`].
    pub different: u64,
    /// See [`Finding::Vanished`].
    pub vanished: u64,
    /// See [`Finding::ChangedHere`].
    pub changed_here: u64,
    /// Entries that were brought in and live on here, while the source's may have ended by themselves by now: they were
    /// used here, or the source's clock is not known exactly. That is no difference.
    pub outlived: u64,
    /// Those of them of which that is not certain: the source may have lost them.
    pub perhaps_outlived: u64,
    /// Missing and different entries that were put right.
    pub repaired: u64,
    /// Entries that are missing, different or vanished, and were not put right.
    pub differences: u64,
    /// Entries that are missing or evicted, and were not put right, or had to make room afterwards.
    pub perhaps_evicted: u64,
    /// Entries that had to make room here meanwhile.
    pub evicted: u64,
    /// Entries of the source that are not here because a client has cleared the cache.
    pub cleared: u64,
    /// Those of them that the source may have got after that: see [`Finding::ClearedOrLater`].
    pub cleared_or_later: u64,
    /// Entries that the source said it had, at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_entries_before: Option<u64>,
    /// Entries that the source says it has, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_entries: Option<u64>,
    /// Why the source may not have shown all of its entries: then this proves nothing of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Findings, up to a thousand of each kind.
    pub listed: Vec<Listed>,
    /// Set if it failed because the source had become another one.
    #[serde(skip)]
    pub(crate) lost_source: bool,
    /// Why they are not fetched.
    #[serde(skip)]
    pub(crate) unfetched: BTreeMap<Unfetched, u64>,
    /// The same of those that are missing or evicted: they count once they are taken for missing.
    #[serde(skip)]
    pub(crate) unfetched_evicted: BTreeMap<Unfetched, u64>,
    /// Missing entries that were put right.
    #[serde(skip)]
    pub(crate) mended_missing: u64,
    /// Entries that were missing or evicted, and were put right.
    #[serde(skip)]
    pub(crate) mended_evicted: u64,
    /// Entries that were put right and may have had to make room.
    #[serde(skip)]
    pub(crate) made_room: u64,
    /// What earlier attempts at the same part have put right. This one finds it to be the same.
    #[serde(skip)]
    pub(crate) earlier: Option<Box<Self>>,
}

impl VerifyReport {
    /// Entries that are not as they should be, and were not put right.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let mended = self.repaired.saturating_sub(self.mended_evicted);
        (self.missing + self.different + self.vanished).saturating_sub(mended)
    }

    /// Entries that are not here, perhaps because they had to make room.
    #[must_use]
    pub fn perhaps_evicted(&self) -> u64 {
        self.missing_or_evicted.saturating_sub(self.mended_evicted) + self.made_room
    }

    /// Returns whether everything that the source has is here: it has shown all of it, nothing differs, and nothing may have
    /// been evicted.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.is_finished() && !self.has_findings()
    }

    /// Returns whether it came to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == FINISHED
    }

    /// Returns whether it ended without coming to its end.
    #[must_use]
    pub fn has_ended_early(&self) -> bool {
        !self.is_finished() && !self.is_running()
    }

    /// Returns whether it has found anything because of which not everything of the source may be here.
    pub(crate) fn has_findings(&self) -> bool {
        self.differences() > 0
            || self.perhaps_evicted() > 0
            || self.cleared_or_later > 0
            || self.doubt.is_some()
    }

    /// Returns whether an operator has ended it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state == CANCELLED
    }

    /// Returns whether it still goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    /// Judges what all units together have shown, which must be all of them, each to its end. A walk that has seen
    /// nothing of a source that has something has proven nothing; one that has seen too little is in doubt.
    ///
    /// # Errors
    /// Why it has not proven anything.
    pub(crate) fn conclude(&mut self, before: Census, after: Census) -> Result<(), String> {
        self.source_entries = after.entries;
        let Self { segments_compared, segments, compared, .. } = *self;
        if segments_compared != segments {
            return Err(format!(
                "only {segments_compared} of {segments} segments were compared to their end: verify again"
            ));
        }
        let doubt = census::doubt(before, after, compared)
            .or_else(|| census::excess(before, after, compared))
            .or_else(|| self.not_found_doubt())
            .or_else(|| self.outlived_doubt());
        match (doubt, after.entries) {
            (Some(doubt), None | Some(1..)) if compared == 0 => {
                Err(format!("nothing was compared: {doubt}"))
            }
            (doubt, _) => {
                self.doubt = doubt;
                Ok(())
            }
        }
    }

    /// Why the source may have entries that are not here, and that nobody can ask it for.
    fn not_found_doubt(&self) -> Option<String> {
        let (entries, them) = match self.not_found {
            0 => return None,
            1 => ("1 entry".to_owned(), "it"),
            several => (format!("{several} entries"), "them"),
        };
        Some(format!(
            "the source keeps showing {entries} and does not find {them} by key: it cannot be read by key, or its \
             clients remove and write {them} all the time; verify again"
        ))
    }

    /// Why the source may have lost entries, although each could have ended there by itself: they are many. Those that
    /// have surely been idle there for longer than their max idle were used here since, or they would have ended here
    /// too: clients that have moved explain them.
    fn outlived_doubt(&self) -> Option<String> {
        let Self { same, different, vanished, outlived, perhaps_outlived, .. } = *self;
        let all = same + different + vanished + outlived;
        (perhaps_outlived > FEW + all / 10).then(|| {
            format!(
                "{perhaps_outlived} of {all} entries that were brought in are no longer at the source and live on \
                 here, and its clock is not known well enough to tell whether they have ended there by themselves or \
                 were lost: verify again once their lifetimes are over there for certain"
            )
        })
    }

    /// So many had to make room while this went on. What was put right may be among them.
    pub(crate) fn evict(&mut self, entries: u64) {
        self.evicted = entries;
        self.made_room = self.repaired.min(entries);
    }

    /// Of the source's entries, so many were evicted here and are gone. Whatever else is not here is missing.
    pub(crate) fn excuse(&mut self, evicted: u64) {
        let left = self.missing_or_evicted.saturating_sub(self.mended_evicted);
        let beyond = left.saturating_sub(evicted);
        self.missing_or_evicted -= beyond;
        self.missing += beyond;
        // Which of them they are, nobody knows: those that are not fetched come first, so that no advice is vain.
        let mut unexplained = beyond;
        for (why, entries) in std::mem::take(&mut self.unfetched_evicted) {
            let of_them = entries.min(unexplained);
            unexplained -= of_them;
            self.leave(why, of_them);
        }
        let is_left = |one: &&mut Listed| one.finding == Finding::MissingOrEvicted && !one.repaired;
        let most = usize::try_from(beyond).unwrap_or(usize::MAX);
        // Which of them they are, nobody knows.
        for one in self.listed.iter_mut().rev().filter(is_left).take(most) {
            one.finding = Finding::Missing;
            let more = "more entries are missing than were evicted here: this may be another one";
            one.what.get_or_insert(more);
        }
        (self.differences, self.perhaps_evicted) = (self.differences(), self.perhaps_evicted());
    }

    /// After the last clear, the source had so many entries. Whatever else of it was not here then, it got later, and
    /// is missing.
    pub(super) fn bound_cleared(&mut self, had: u64) {
        let beyond = self.cleared.saturating_sub(had).min(self.cleared_or_later);
        self.cleared -= beyond;
        self.cleared_or_later -= beyond;
        self.missing += beyond;
        self.leave(Unfetched::Later, beyond);
        let most = usize::try_from(beyond).unwrap_or(usize::MAX);
        let is_unsure = |one: &&mut Listed| one.finding == Finding::ClearedOrLater;
        // Which of them they are, nobody knows.
        for one in self.listed.iter_mut().rev().filter(is_unsure).take(most) {
            one.finding = Finding::Missing;
            one.what =
                Some("the source got more entries after a client's clear: this may be another one");
        }
    }

    /// Counts what is said of a key.
    pub(crate) fn count<'a>(&mut self, key: impl Into<StoredKey<'a>>, verdict: Verdict) {
        let key = key.into();
        // Of the others the source has shown nothing.
        self.compared +=
            u64::from(!matches!(verdict, Verdict::Outlived { .. } | Verdict::Vanished));
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::Expired => self.expired += 1,
            Verdict::Cleared { certain } => {
                self.cleared += 1;
                if !certain {
                    self.note(Finding::ClearedOrLater, key, None, None, false);
                }
            }
            Verdict::Outlived { certain } => {
                self.outlived += 1;
                self.perhaps_outlived += u64::from(!certain);
            }
            Verdict::ChangedHere => self.note(Finding::ChangedHere, key, None, None, false),
            Verdict::Missing { why, mended } => {
                why.into_iter().for_each(|why| self.leave(why, 1));
                self.note(Finding::Missing, key, why.map(Unfetched::text), None, mended);
            }
            Verdict::MissingOrEvicted { why, mended } => {
                why.into_iter()
                    .for_each(|why| *self.unfetched_evicted.entry(why).or_default() += 1);
                self.note(Finding::MissingOrEvicted, key, why.map(Unfetched::text), None, mended);
            }
            Verdict::Different { what, why, mended } => {
                why.into_iter().for_each(|why| self.leave(why, 1));
                self.note(Finding::Different, key, Some(what), why.map(Unfetched::text), mended);
            }
            Verdict::Vanished => self.note(Finding::Vanished, key, None, None, false),
        }
    }

    /// So many are not fetched for this reason.
    fn leave(&mut self, why: Unfetched, entries: u64) {
        if entries > 0 {
            self.not_fetched += entries;
            *self.unfetched.entry(why).or_default() += entries;
        }
    }

    fn note(
        &mut self,
        finding: Finding,
        key: StoredKey<'_>,
        what: Option<&'static str>,
        why: Option<&'static str>,
        repaired: bool,
    ) {
        let counter = self.counter(finding);
        *counter += 1;
        let of_its_kind = *counter;
        self.repaired += u64::from(repaired);
        self.mended_missing += u64::from(repaired && finding == Finding::Missing);
        self.mended_evicted += u64::from(repaired && finding == Finding::MissingOrEvicted);
        if of_its_kind <= MOST_LISTED as u64 {
            self.listed.push(Listed { finding, key: key.to_string(), what, why, repaired });
        }
    }

    /// Begins the same part again: of what was found, only what was put right is kept.
    pub(super) fn begin_again(self) -> Self {
        let mut kept = self.earlier.map(|earlier| *earlier).unwrap_or_default();
        kept.missing += self.mended_missing;
        kept.mended_missing += self.mended_missing;
        kept.missing_or_evicted += self.mended_evicted;
        kept.mended_evicted += self.mended_evicted;
        kept.different += self.repaired - self.mended_missing - self.mended_evicted;
        kept.repaired += self.repaired;
        kept.list(self.listed.into_iter().filter(|one| one.repaired));
        Self { earlier: Some(Box::new(kept)), ..Self::default() }
    }

    fn counter(&mut self, finding: Finding) -> &mut u64 {
        match finding {
            Finding::Missing => &mut self.missing,
            Finding::MissingOrEvicted => &mut self.missing_or_evicted,
            Finding::Different => &mut self.different,
            Finding::Vanished => &mut self.vanished,
            Finding::ChangedHere => &mut self.changed_here,
            Finding::ClearedOrLater => &mut self.cleared_or_later,
        }
    }

    /// Lists more, as long as there are not enough of their kinds.
    fn list(&mut self, more: impl IntoIterator<Item = Listed>) {
        let mut listed = BTreeMap::<Finding, usize>::new();
        self.listed.iter().for_each(|one| *listed.entry(one.finding).or_default() += 1);
        for one in more {
            let of_its_kind = listed.entry(one.finding).or_default();
            if *of_its_kind < MOST_LISTED {
                *of_its_kind += 1;
                self.listed.push(one);
            }
        }
    }

    /// Adds what was found of a part.
    pub(super) fn add(&mut self, part: &Self) {
        self.compared += part.compared;
        self.segments_compared += part.segments_compared;
        self.same += part.same;
        self.expired += part.expired;
        self.not_found += part.not_found;
        self.missing += part.missing;
        part.unfetched.iter().for_each(|(why, entries)| self.leave(*why, *entries));
        for (why, entries) in &part.unfetched_evicted {
            *self.unfetched_evicted.entry(*why).or_default() += entries;
        }
        self.missing_or_evicted += part.missing_or_evicted;
        self.mended_missing += part.mended_missing;
        self.mended_evicted += part.mended_evicted;
        self.different += part.different;
        self.vanished += part.vanished;
        self.changed_here += part.changed_here;
        self.outlived += part.outlived;
        self.perhaps_outlived += part.perhaps_outlived;
        self.repaired += part.repaired;
        self.cleared += part.cleared;
        self.cleared_or_later += part.cleared_or_later;
        self.list(part.listed.iter().cloned());
        if let Some(earlier) = &part.earlier {
            let met_again = earlier.repaired.min(part.same);
            self.same -= met_again;
            self.compared += earlier.repaired - met_again;
            self.missing += earlier.missing;
            self.missing_or_evicted += earlier.missing_or_evicted;
            self.mended_missing += earlier.mended_missing;
            self.mended_evicted += earlier.mended_evicted;
            self.different += earlier.different;
            self.repaired += earlier.repaired;
            self.list(earlier.listed.iter().cloned());
        }
    }
}

pub(super) const RUNNING: &str = "running";
pub(super) const FINISHED: &str = "finished";
pub(super) const CANCELLED: &str = "cancelled";
pub(super) const FAILED: &str = "failed";

#[cfg(test)]
mod tests;
