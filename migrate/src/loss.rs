//! What disconnecting a cache now would lose, and what nobody knows about it.
//!
//! A decider: it is told where a migration stands, and says what speaks against disconnecting.

use crate::{job::CopyStatus, verify::VerifyReport};

/// Longest reason, in characters: an answer stays short whatever a key or an error contains.
const LONGEST: usize = 500;

/// How careful a disconnect is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DisconnectRule {
    /// Refused if entries would be lost, and also if nobody knows whether they would.
    Strict,
    /// Refused if entries would be lost.
    #[default]
    Careful,
    /// Done whatever is lost.
    Force,
}

/// What speaks against disconnecting a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// What would be lost.
    pub(crate) blockers: Vec<String>,
    /// What nobody knows, or cannot be helped.
    pub(crate) doubts: Vec<String>,
}

/// Where the migration of a connected cache stands.
#[derive(Clone, Copy, Default)]
pub(crate) struct Standing<'a> {
    /// Source segments of which everything is here.
    pub(crate) complete: u32,
    /// All source segments; 1 for a source that is one unit.
    pub(crate) segments: u32,
    /// Why the migration cannot go on.
    pub(crate) problem: Option<&'a str>,
    /// The last job that copied everything.
    pub(crate) job: Option<&'a CopyStatus>,
    /// What is known of differences.
    pub(crate) verified: Option<&'a VerifyReport>,
    /// Why the source is not believed any more.
    pub(crate) changed: Option<&'a str>,
    /// Why the source may not have shown all of its entries when they were copied.
    pub(crate) not_shown: Option<&'a str>,
    /// Why the source may have lost entries after it was connected and before they were copied.
    pub(crate) shrunk: Option<&'a str>,
    /// Entries that were evicted since the cache was connected and that no verification has looked for.
    pub(crate) evicted: u64,
}

impl Standing<'_> {
    pub(crate) fn losses(&self) -> Losses {
        let mut losses = Losses::default();
        losses.blockers.extend(self.problem.map(one_line));
        losses.blockers.extend(self.copy_blockers());
        losses.blockers.extend(self.verify_blockers());
        losses.doubts.extend(self.doubts());
        losses
    }

    fn copy_blockers(&self) -> Vec<String> {
        let mut blockers = Vec::new();
        let running = self.job.filter(|job| job.ended.is_none());
        if self.complete < self.segments {
            let next = match running {
                Some(job) if job.paused => ": the synchronization is paused: resume it",
                Some(_) => ": the synchronization is still running: wait for its end",
                // The problem says what to do first.
                None if self.problem.is_some() => "",
                None => ": synchronize",
            };
            let (complete, all) = (self.complete, self.segments);
            blockers.push(format!("{complete} of {all} source segments are complete{next}"));
            let failed = self.job.map_or(0, CopyStatus::failed_entries);
            if failed > 0 && self.problem.is_none() {
                blockers.push(format!(
                    "{failed} entries could not be taken: the status document lists them"
                ));
            }
        } else if running.is_some() {
            blockers.push("a synchronization is still running: wait for its end".into());
        }
        blockers
    }

    fn verify_blockers(&self) -> Vec<String> {
        let mut blockers = Vec::new();
        let Some(report) = self.verified else { return blockers };
        if report.is_running() {
            blockers.push("a verification is still running: wait for its end, or cancel it".into());
        }
        let differences = report.differences();
        if differences > 0 {
            blockers.push(format!(
                "verify has found {differences} differences: the status document lists them, and \
                 verify --repair fetches those that it can"
            ));
        }
        blockers
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.evicted > 0 {
            let evicted = self.evicted;
            doubts.push(format!(
                "{evicted} entries were evicted since the cache was connected, because its bound is smaller \
                 than what it was to hold: verify shows which are missing"
            ));
        }
        let missing = self.verified.map_or(0, VerifyReport::perhaps_evicted);
        if missing > 0 {
            doubts.push(format!(
                "verify has not found {missing} entries here that the source has: they may have been evicted, \
                 because the cache's bound is smaller than what it was to hold"
            ));
        }
        let finished = self.verified.filter(|report| report.is_finished());
        // A verification that came to its end has looked at all of it again.
        let not_shown = match finished {
            Some(report) => report.doubt.as_deref(),
            None => self.not_shown,
        };
        doubts.extend(not_shown.map(one_line));
        doubts.extend(self.shrunk.map(one_line));
        if finished.is_none() && self.problem.is_none() {
            let lost = self.changed.map(one_line);
            doubts.extend(lost.map(|reason| format!("{reason}; it cannot be verified any more")));
        }
        match self.verified {
            None => doubts.push("no verification was run: verify compares every entry".into()),
            Some(report) if report.is_running() || report.is_finished() => {}
            Some(report) => {
                let state = one_line(&report.state);
                doubts.push(format!("the last verification did not come to its end: {state}"));
            }
        }
        doubts
    }
}

/// A text on one line, and not a long one.
fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// Reasons as the lines of an answer.
pub(crate) fn listed(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("- {reason}\n")).collect()
}

#[cfg(test)]
mod tests;
