//! What disconnecting a cache now would lose, and what nobody knows about it.
//!
//! A decider: it is told where a migration stands, and says what speaks against disconnecting.

use cluster::{Gone, LostServer, UnheardServer};

use crate::{
    job::CopyStatus,
    verify::{VerifyReport, judge::Unfetched},
};

/// Longest reason, in characters: an answer stays short whatever a key or an error contains.
const LONGEST: usize = 500;

/// Where lists are that are too long for an answer.
pub(crate) const LISTS: &str = "status --json";

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
    pub(crate) blockers: Vec<Reason>,
    /// What nobody knows, or cannot be helped.
    pub(crate) doubts: Vec<Reason>,
    /// Why nothing is proven, although nothing is known to be lost.
    pub(crate) unproven: Option<Reason>,
}

impl Losses {
    /// Returns whether nothing speaks against it: everything is here, and that is proven.
    pub(crate) fn is_none(&self) -> bool {
        self.blockers.is_empty() && self.doubts.is_empty() && self.unproven.is_none()
    }

    /// What is not known: the doubts, and why nothing is proven.
    pub(crate) fn all_doubts(&self) -> Vec<String> {
        self.doubts.iter().chain(&self.unproven).map(ToString::to_string).collect()
    }

    /// What would be lost.
    pub(crate) fn all_blockers(&self) -> Vec<String> {
        self.blockers.iter().map(ToString::to_string).collect()
    }
}

/// A fact that speaks against disconnecting a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The fact, which is true after the disconnect, too.
    pub(crate) what: String,
    /// What to do about it. Only a connected cache can follow this.
    remedy: Option<String>,
    /// What to say of it after a forced disconnect, if nothing is left behind because of it.
    pub(crate) kept: Option<String>,
}

impl Reason {
    fn with_remedy(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()), kept: None }
    }

    /// The same of a fact because of which nothing is left behind.
    fn keeping(self, kept: impl Into<String>) -> Self {
        Self { kept: Some(kept.into()), ..self }
    }
}

impl From<String> for Reason {
    /// A fact that nothing can be done about, or that says itself what to do.
    fn from(what: String) -> Self {
        Self { what, remedy: None, kept: None }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
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
    /// The last verification, if that is another one.
    pub(crate) last: Option<&'a VerifyReport>,
    /// Why the source does not answer, or gives out no entries.
    pub(crate) silent: Option<&'a str>,
    /// Why the source is not believed any more.
    pub(crate) changed: Option<&'a str>,
    /// Why the source may not have shown all of its entries when they were copied.
    pub(crate) not_shown: Option<&'a str>,
    /// Why the source may have lost entries after it was connected and before they were copied.
    pub(crate) shrunk: Option<&'a str>,
    /// Servers of the source that have gone since it was connected.
    pub(crate) lost: &'a [LostServer],
    /// Servers of it that were not heard since everything is here.
    pub(crate) unheard: &'a [UnheardServer],
    /// Whether a client has cleared the cache.
    pub(crate) cleared: bool,
    /// Entries that were evicted since the cache was connected and that no verification has looked for, without those of
    /// clients.
    pub(crate) evicted: u64,
    /// All that were evicted since then.
    pub(crate) evicted_in_all: u64,
    /// Those of them that clients had written.
    pub(crate) evicted_own: u64,
    /// Whether there is no memory now for another entry like those of the cache.
    pub(crate) full: bool,
    /// Entries that an earlier connection has brought in, and that count as the clients' own since this one began anew.
    pub(crate) adopted: u64,
}

impl Standing<'_> {
    pub(crate) fn losses(&self) -> Losses {
        let mut blockers: Vec<Reason> =
            self.problem.map(one_line).map(Reason::from).into_iter().collect();
        blockers.extend(self.copy_blockers());
        blockers.extend(self.verify_blockers());
        Losses { blockers, doubts: self.doubts(), unproven: self.unproven() }
    }

    fn copy_blockers(&self) -> Vec<Reason> {
        let mut blockers = Vec::new();
        let running = self.job.filter(|job| job.ended.is_none());
        if self.complete < self.segments {
            let (complete, all) = (self.complete, self.segments);
            let what = format!("{complete} of {all} source segments are complete");
            let next = match (running, self.silent) {
                (Some(job), _) if job.paused => {
                    Some("the synchronization is paused: resume it".to_owned())
                }
                (Some(_), Some(silent)) => {
                    let silent = one_line(silent);
                    Some(format!("the synchronization waits for the source: {silent}"))
                }
                (Some(_), None) => {
                    Some("the synchronization is still running: wait for its end".to_owned())
                }
                // The problem says what to do first.
                (None, _) if self.problem.is_some() => None,
                (None, _) => Some("synchronize".to_owned()),
            };
            blockers.push(Reason { what, remedy: next, kept: None });
            let failed = self.job.map_or(0, CopyStatus::failed_entries);
            if failed > 0 && self.problem.is_none() {
                let entries = if failed == 1 { "entry" } else { "entries" };
                blockers.push(Reason::with_remedy(
                    format!("{failed} {entries} could not be copied"),
                    format!("{LISTS} lists them"),
                ));
            }
        } else if let Some(job) = running {
            let (state, next) = match job.paused {
                true => ("paused", "resume or cancel it"),
                false => ("still running", "wait for its end"),
            };
            let reason = Reason::with_remedy(format!("a synchronization is {state}"), next);
            blockers.push(reason.keeping(format!("a synchronization was {state}")));
        }
        blockers
    }

    fn verify_blockers(&self) -> Vec<Reason> {
        let mut blockers = Vec::new();
        let Some(report) = self.verified else { return blockers };
        if report.is_running() {
            let (state, next) = match report.paused {
                true => ("paused", "resume or cancel it"),
                false => ("still running", "wait for its end, or cancel it"),
            };
            let reason = Reason::with_remedy(format!("a verification is {state}"), next);
            blockers.push(reason.keeping(format!("a verification was {state}: nothing is proven")));
        }
        blockers.extend(differences_of(report, self.full));
        blockers.extend(vanished(report));
        blockers
    }

    fn doubts(&self) -> Vec<Reason> {
        let mut doubts = Vec::new();
        doubts.extend(self.evicted());
        doubts.extend(self.clients_evicted());
        if self.adopted > 0 {
            let adopted = self.adopted;
            let entries = if adopted == 1 { "entry counts" } else { "entries count" };
            doubts.push(
                format!(
                    "{adopted} {entries} as changed here since the cache was connected with --fresh (fresh=true), \
                     although an earlier connection brought them in and no client has written or removed them here \
                     since: whether the source has changed or removed any, no verification tells"
                )
                .into(),
            );
        }
        let missing = self.verified.map_or(0, VerifyReport::perhaps_evicted);
        if missing > 0 {
            let entries = if missing == 1 { "entry" } else { "entries" };
            doubts.push(Reason::with_remedy(
                format!(
                    "verify has not found {missing} {entries} here that the source has: they may have been evicted, \
                     because the cache's bound is smaller than what it was to hold"
                ),
                "make the bound larger, and verify --repair fetches them",
            ));
        }
        let finished = self.verified.filter(|report| report.is_finished());
        doubts.extend(self.cleared_doubt(finished));
        // A verification that came to its end has looked at all of it again.
        let not_shown = match finished {
            Some(report) => report.doubt.as_deref(),
            None => self.not_shown,
        };
        doubts.extend(not_shown.map(one_line).map(Reason::from));
        doubts.extend(self.shrunk.map(one_line).map(Reason::from));
        if !self.cleared {
            doubts.extend(losing(self.lost));
            doubts.extend(not_heard(self.unheard));
        }
        if finished.is_none() && self.problem.is_none() {
            let lost = self.changed.map(one_line);
            let remedy =
                "it cannot be verified until accept-source-loss goes on with what it has now";
            doubts.extend(lost.map(|reason| Reason::with_remedy(reason, remedy)));
        }
        doubts
    }

    /// Entries that were evicted here, and of which a verification would tell more.
    fn evicted(&self) -> Option<Reason> {
        let (evicted, all) = (self.evicted, self.evicted_in_all);
        let entries = match evicted {
            0 => return None,
            1 => "1 entry was".to_owned(),
            several => format!("{several} entries were"),
        };
        let others = all.saturating_sub(evicted + self.evicted_own);
        let (since, of_all) = match others {
            0 => (" since the cache was connected", String::new()),
            _ => (
                "",
                format!(
                    " ({all} since the cache was connected, of which verify has looked for {others})"
                ),
            ),
        };
        Some(Reason::with_remedy(
            format!(
                "{entries} evicted{since}, because its bound is smaller than what it was to hold{of_all}"
            ),
            "verify shows which are missing",
        ))
    }

    /// Entries of clients that were evicted here, of which no verification tells anything.
    fn clients_evicted(&self) -> Option<Reason> {
        let (entries, they) = match self.evicted_own {
            0 => return None,
            1 => ("1 entry that a client has written was".to_owned(), "it is"),
            several => (format!("{several} entries that clients have written were"), "they are"),
        };
        Some(Reason::with_remedy(
            format!("{entries} evicted since the cache was connected: {they} nowhere else"),
            "make the bound larger to keep the others",
        ))
    }

    /// What a client's clear leaves in the dark: nothing comes from the source any more, and it may have got entries
    /// since.
    fn cleared_doubt(&self, finished: Option<&VerifyReport>) -> Option<Reason> {
        match finished {
            Some(report) if report.cleared_or_later > 0 => {
                let entries = match report.cleared_or_later {
                    1 => "1 entry of the source is".to_owned(),
                    several => format!("{several} entries of the source are"),
                };
                Some(Reason::with_remedy(
                    format!(
                        "{entries} not here because a client has cleared the cache, and the source may have got them \
                         after that"
                    ),
                    "clear the source's cache too, if nobody needs them, and verify again",
                ))
            }
            None if self.cleared => Some(Reason::with_remedy(
                "a client has cleared the cache since it was connected: what the source has, or got later, does not \
                 come any more",
                "verify counts it",
            )),
            _ => None,
        }
    }

    fn unproven(&self) -> Option<Reason> {
        let (every, again) = match self.changed {
            None => ("verify compares every entry", "verify again"),
            Some(_) => ("accept-source-loss, and verify", "accept-source-loss, and verify again"),
        };
        match self.last.or(self.verified) {
            None => Some(Reason::with_remedy("no verification was run", every)),
            Some(report) if report.is_running() || report.is_finished() => None,
            Some(report) if report.is_cancelled() => Some(Reason::with_remedy(
                "the last verification was cancelled, and nothing is proven",
                again,
            )),
            // What was wrong with the source is among the other doubts, or was accepted.
            Some(VerifyReport { lost_source: true, .. }) => Some(Reason::with_remedy(
                "the last verification did not come to its end, because the source had changed",
                again,
            )),
            Some(report) => {
                let reason = one_line(report.reason.as_deref().unwrap_or("no reason is known"));
                Some(format!("the last verification did not come to its end: {reason}").into())
            }
        }
    }
}

/// What servers of the source may have taken along that have gone before everything was copied.
pub(crate) fn losing(lost: &[LostServer]) -> Option<Reason> {
    let before: Vec<&LostServer> = lost.iter().filter(|lost| !lost.after_copy).collect();
    let how = |lost: &&LostServer| match lost.how {
        Gone::Left => format!("{} has left", lost.server),
        Gone::Replaced => {
            format!("{} was started again, or its statistics were reset,", lost.server)
        }
    };
    let (servers, they) = match before.as_slice() {
        [] => return None,
        [lost] => (format!("source server {}", how(lost)), "it"),
        all => {
            let all: Vec<String> = all.iter().map(how).collect();
            (format!("of the source's servers, {}", all.join(" and ")), "they")
        }
    };
    let what = format!(
        "{servers} after the cache was connected and, as far as is known, before everything was copied: entries that \
         only {they} had may be lost"
    );
    let remedy = "if other servers had copies of them (owners of 2 or more), or if they may go, accept-source-loss";
    Some(Reason::with_remedy(what, remedy))
}

/// What servers of the source may have lost that do not answer, although everything was copied.
pub(crate) fn not_heard(unheard: &[UnheardServer]) -> Vec<Reason> {
    let named = |is_known: bool| -> Vec<&str> {
        let named = unheard.iter().filter(|unheard| unheard.since.is_none() == is_known);
        named.map(|unheard| unheard.server.as_str()).collect()
    };
    let reason = |servers: Vec<&str>, since: &str, before: &str, others: &str| {
        let (servers, they) = match servers.as_slice() {
            [] => return None,
            [server] => (format!("source server {server} has"), "it was"),
            all => (format!("the source's servers {} have", all.join(", ")), "they were"),
        };
        let what = format!(
            "{servers} not answered since {since}: whether {they} started again before{before}, and entries are lost, is \
             not known"
        );
        let remedy = format!(
            "wait for an answer, or, if other servers have copies of its entries{others}, accept-source-loss"
        );
        Some(Reason::with_remedy(what, remedy))
    };
    let known = reason(named(true), "everything was copied", "", "");
    let unknown = reason(
        named(false),
        "the cache was connected",
        " everything was copied",
        ", or it is no server of the source any more",
    );
    known.into_iter().chain(unknown).collect()
}

/// How many differences a verification has found, and what to do about each kind of them. `full` is whether there is no
/// memory now for what a repair would fetch.
fn differences_of(report: &VerifyReport, full: bool) -> Option<Reason> {
    let differences = report.differences().saturating_sub(report.vanished);
    let not_fetched = report.not_fetched.min(differences);
    let what = match differences {
        0 => return None,
        1 => "verify has found 1 difference".to_owned(),
        several => format!("verify has found {several} differences"),
    };
    let mut remedies = vec![format!("verify and {LISTS} list them")];
    match differences - not_fetched {
        0 => {}
        _ if full => remedies.push(format!(
            "there is no memory now for what verify --repair would fetch: {}",
            Unfetched::NoMemory.remedy()
        )),
        _ if not_fetched == 0 => {
            remedies.push("verify --repair fetches what is missing or different here".into());
        }
        fetched => remedies.push(format!("verify --repair fetches {fetched} of them")),
    }
    let each = report.unfetched.iter().filter(|_| not_fetched > 0);
    let each =
        each.map(|(why, left)| format!("{left} not fetched ({}): {}", why.text(), why.remedy()));
    remedies.extend(each);
    if not_fetched > 0 {
        remedies.push("or disconnect by force to go on without them".into());
    }
    Some(Reason::with_remedy(what, remedies.join("; ")))
}

/// How many entries that were brought in a verification has not found at the source any more. What is here may be all
/// that is left of them.
fn vanished(report: &VerifyReport) -> Option<Reason> {
    let vanished = report.vanished.min(report.differences());
    let (found, why, kept) = match vanished {
        0 => return None,
        1 => (
            "1 entry that has vanished from the source since it came here".to_owned(),
            "it was removed there, or the source has lost it, and the only copy is here: disconnect by force to keep \
             it; or, if it should go too, remove it here and verify again",
            "1 entry that has vanished from the source is kept here".to_owned(),
        ),
        several => (
            format!("{several} entries that have vanished from the source since they came here"),
            "they were removed there, or the source has lost them, and the only copies are here: disconnect by force \
             to keep them; or remove here those that should go too, and verify again",
            format!("{several} entries that have vanished from the source are kept here"),
        ),
    };
    let reason = Reason::with_remedy(format!("verify has found {found}"), why);
    Some(reason.keeping(kept))
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
