//! A verification, driven step by step, and whether what it says is true.

use std::collections::VecDeque;

use rand::Rng;
use store::{Standing, Timestamp};

use super::{
    super::{
        model::{KEYS, Truth},
        source::key,
    },
    World,
    command::{Answered, text},
};
use crate::{
    census::Census,
    entry::SourceEntry,
    source::ClearedAt,
    source_clock::Obtained,
    verify::{
        VerifyReport,
        judge::{Judge, Remembered, Verdict},
    },
};

/// A running verification.
pub(super) struct Verification {
    repair: bool,
    began: i64,
    /// Keys that the walk over the source has still to show.
    ahead: VecDeque<usize>,
    /// Keys that it has shown.
    met: [bool; KEYS],
    /// What it has shown and was not compared yet.
    page: Vec<(usize, SourceEntry)>,
    /// Keys that the source is asked for again, and whether the walk has shown them.
    doubtful: VecDeque<(usize, bool)>,
    /// What it has answered of one of them.
    answer: Option<(usize, bool, Answered)>,
    /// Whether what the walk has not shown is known.
    others_are_known: bool,
    before: Census,
    evicted_before: u64,
    report: VerifyReport,
}

impl World {
    fn begin_verification(&mut self) {
        let complete = self.connection().is_some_and(|connection| {
            connection.complete.len() >= connection.space.count() && !connection.cleared
        });
        if !complete || self.target.cache.check_served().is_err() {
            return;
        }
        let repair = self.random.random_bool(0.5);
        let Some(live) = &mut self.target.live else { return };
        let source = &self.sources[live.source];
        live.verification = Some(Verification {
            repair,
            began: self.now,
            ahead: source.entries.keys().copied().collect(),
            met: [false; KEYS],
            page: Vec::new(),
            doubtful: VecDeque::new(),
            answer: None,
            others_are_known: false,
            before: source.census(),
            evicted_before: self.target.cache.evicted(),
            report: VerifyReport { repair, segments: 1, ..VerifyReport::default() },
        });
        self.note(format!("verify, repair {repair}"));
    }

    pub(super) fn go_on_with_verification(&mut self) -> Result<(), String> {
        let believed = self.believes();
        let Some(live) = &mut self.target.live else { return Ok(()) };
        let Some(mut verification) = live.verification.take().filter(|_| believed) else {
            if believed {
                self.begin_verification();
            }
            return Ok(());
        };
        // A walk shows many entries at once.
        for _ in 0..self.random.random_range(1..6) {
            if self.compare_some(&mut verification)? {
                return self.conclude(verification);
            }
        }
        if let Some(live) = &mut self.target.live {
            live.verification = Some(verification);
        }
        Ok(())
    }

    /// One step of a verification. Returns whether it was the last one.
    fn compare_some(&mut self, verification: &mut Verification) -> Result<bool, String> {
        if let Some((number, shown, answer)) = verification.answer.take() {
            self.judge_answer(verification, number, shown, &answer)?;
            return Ok(false);
        }
        let hurries = self.random.random_bool(0.5);
        if hurries || verification.ahead.is_empty() {
            if let Some((number, shown)) = verification.doubtful.pop_front() {
                let answer = self.load(number);
                verification.answer = Some((number, shown, answer));
                return Ok(false);
            }
            if !verification.page.is_empty() {
                self.compare_page(verification)?;
                return Ok(false);
            }
        }
        if let Some(number) = verification.ahead.pop_front() {
            self.show(verification, number);
            return Ok(false);
        }
        if std::mem::replace(&mut verification.others_are_known, true) {
            return Ok(true);
        }
        for number in (0..KEYS).filter(|number| !verification.met[*number]) {
            let is_imported = |standing: Standing<'_>| {
                matches!(standing, Standing::Imported(_) | Standing::Overdue(_))
            };
            if self.target.cache.inspect(&key(number), self.ours(), is_imported) {
                verification.doubtful.push_back((number, false));
            }
        }
        Ok(false)
    }

    fn show(&self, verification: &mut Verification, number: usize) {
        let Some(live) = &self.target.live else { return };
        let (source, ours) = (&self.sources[live.source], self.ours());
        let Some((value, metadata)) = source.report(number) else { return };
        let clock = live.clocks.of(&source.server(source.owner(number)));
        let entry = SourceEntry::new(value, &metadata, &clock, Obtained::InWalk, ours, ours);
        verification.met[number] = true;
        verification.page.push((number, entry));
    }

    fn judge<T>(&self, repair: bool, judge: impl FnOnce(&Judge<'_>) -> T) -> Option<T> {
        let live = self.target.live.as_ref()?;
        Some(judge(&Judge {
            cache: &self.target.cache,
            clocks: &live.clocks,
            connection: live.id,
            since: Timestamp::from_millis(live.id.0),
            repair,
            max_key: usize::MAX,
            now: self.ours(),
        }))
    }

    fn compare_page(&mut self, verification: &mut Verification) -> Result<(), String> {
        for (number, theirs) in std::mem::take(&mut verification.page) {
            let here = self.imported(number);
            let shown = self.judge(false, |judge| judge.shown(&key(number), &theirs)).flatten();
            match shown {
                Some(verdict) => {
                    self.take_in(verification, number, here, Some(&theirs), verdict)?;
                }
                None => verification.doubtful.push_back((number, true)),
            }
        }
        Ok(())
    }

    fn judge_answer(
        &mut self,
        verification: &mut Verification,
        number: usize,
        shown: bool,
        answer: &Answered,
    ) -> Result<(), String> {
        self.take_effects();
        let here = self.imported(number);
        let remembered = || {
            let connection = self.connection();
            Remembered {
                cleared: connection.filter(|it| it.cleared).map(|it| ClearedAt {
                    began: it.since,
                    ended: None,
                    had: None,
                }),
                forgets: connection.is_some_and(|connection| connection.forgets),
            }
        };
        let repair = verification.repair;
        let (verdict, theirs) = match answer {
            Answered::Silent => (None, None),
            Answered::Absent => {
                let absent = self.judge(repair, |judge| judge.absent(&key(number), shown));
                let Some(verdict) = absent.flatten() else { return Ok(()) };
                (Some(verdict), None)
            }
            Answered::Entry(theirs) => {
                let given =
                    self.judge(repair, |judge| judge.given(&key(number), theirs, remembered));
                (given.flatten(), Some(theirs))
            }
        };
        match verdict {
            Some(verdict) => self.take_in(verification, number, here, theirs, verdict),
            // It is asked for once more.
            None => {
                verification.doubtful.push_back((number, shown));
                Ok(())
            }
        }
    }

    /// The value under a key that was brought in.
    fn imported(&self, number: usize) -> Option<Vec<u8>> {
        self.target.cache.inspect(&key(number), self.ours(), |standing| match standing {
            Standing::Imported(entry) | Standing::Overdue(entry) => {
                Some(entry.value().bytes().to_vec())
            }
            Standing::Unknown | Standing::Tombstone | Standing::Local(_) => None,
        })
    }

    /// Counts a verdict, if it is true, and takes in what was put right.
    fn take_in(
        &mut self,
        verification: &mut Verification,
        number: usize,
        here: Option<Vec<u8>>,
        theirs: Option<&SourceEntry>,
        verdict: Verdict,
    ) -> Result<(), String> {
        self.take_effects();
        let seen = here.as_deref().map(text);
        let shown = theirs.map(|theirs| text(theirs.value()));
        let said = format!("key {number}: {verdict:?} of {shown:?}, here {seen:?}");
        self.steps.push(format!("          {said}"));
        let is_ours = !matches!(self.model.truth(number), Truth::Source(_));
        self.is_true(number, is_ours, &here, theirs, verdict)
            .map_err(|wrong| format!("{said}, but {wrong}"))?;
        verification.report.count(&key(number)[..], verdict);
        let mended = matches!(
            verdict,
            Verdict::Different { mended: true, .. }
                | Verdict::Missing { mended: true, .. }
                | Verdict::MissingOrEvicted { mended: true, .. }
        );
        self.tally.mended += u64::from(mended);
        if mended && is_ours {
            self.model.set(number, Truth::Source(None));
        }
        if let Some(theirs) = theirs.filter(|_| mended || !is_ours) {
            self.bring_entry(number, theirs);
            self.bring(number, self.now);
        }
        Ok(())
    }

    fn is_true(
        &self,
        number: usize,
        is_ours: bool,
        here: &Option<Vec<u8>>,
        theirs: Option<&SourceEntry>,
        verdict: Verdict,
    ) -> Result<(), &'static str> {
        let Some(live) = &self.target.live else { return Err("it is not connected") };
        let source = &self.sources[live.source];
        let stored = source.entries.get(&number);
        let is_late = stored.is_none_or(|stored| stored.since >= self.connected_anew);
        let clock_was_set = source.clock_set >= self.connected_anew;
        let is_other = theirs.is_some_and(|theirs| here.as_deref() != Some(theirs.value()));
        let cleared = self.connection().is_some_and(|connection| connection.cleared);
        let mended = matches!(
            verdict,
            Verdict::Different { mended: true, .. }
                | Verdict::Missing { mended: true, .. }
                | Verdict::MissingOrEvicted { mended: true, .. }
        );
        if mended && is_ours {
            return Err("a client has changed it, and that is undone");
        }
        match verdict {
            Verdict::Same
            | Verdict::Different { .. }
            | Verdict::Vanished
            | Verdict::Outlived { .. }
                if is_ours =>
            {
                Err("a client has changed it")
            }
            Verdict::ChangedHere if !is_ours => Err("no client has"),
            Verdict::Different { what: "value", .. } if !is_other => Err("it has the same value"),
            Verdict::Different { .. } if is_other && is_late => Ok(()),
            Verdict::Different { what: "created", .. } if !is_other && clock_was_set => Ok(()),
            Verdict::Different { .. } => Err("the source has not changed it"),
            Verdict::Missing { why: None, .. } if is_ours => Err("a client has changed it"),
            Verdict::Missing { .. } | Verdict::MissingOrEvicted { .. } if is_ours => Ok(()),
            Verdict::Missing { .. } | Verdict::MissingOrEvicted { .. }
                if !is_late
                    && !cleared
                    && !self.model.has_ended(number)
                    && !self.model.is_evicted(number) =>
            {
                Err("it had it when it was copied: it is lost")
            }
            Verdict::MissingOrEvicted { .. }
                if self.target.evictions.imported() == 0 && !mended =>
            {
                Err("nothing of the source was evicted")
            }
            Verdict::Cleared { .. } if !cleared => Err("no client has cleared the cache"),
            Verdict::Vanished
                if here.as_ref().is_some_and(|here| source.has_expired(number, here))
                    && !clock_was_set =>
            {
                Err("it has ended by itself")
            }
            Verdict::Outlived { .. } if source.was_removed_forever(number) => {
                Err("it does not end")
            }
            _ => Ok(()),
        }
    }

    /// What the verification says in the end.
    fn conclude(&mut self, mut verification: Verification) -> Result<(), String> {
        let Some(index) = self.target.live.as_ref().map(|live| live.source) else { return Ok(()) };
        let after = self.sources[index].census();
        let report = &mut verification.report;
        report.evict(self.target.cache.evicted() - verification.evicted_before);
        report.segments_compared = 1;
        let concluded = report.conclude(verification.before, after);
        report.state = "finished".into();
        report.excuse(self.target.cache.evicted_imported());
        let VerifyReport { compared, same, expired, missing, different, .. } = *report;
        let others = report.missing_or_evicted + report.changed_here + report.cleared;
        if compared != same + expired + missing + different + others {
            return Err(format!("it does not add up: {report:?}"));
        }
        self.tally.found += report.differences;
        let proves = concluded.is_ok() && report.is_proof();
        self.note(format!("verified, proof {proves}"));
        if !proves {
            return Ok(());
        }
        self.tally.proofs += 1;
        for (number, stored) in &self.sources[index].entries {
            let is_ours = !matches!(self.model.truth(*number), Truth::Source(_));
            let is_excused = is_ours
                || stored.since >= verification.began
                || self.model.is_evicted(*number)
                || self.connection().is_some_and(|connection| connection.cleared);
            if !is_excused && !self.is_here(*number, &stored.value) {
                return Err(format!(
                    "it is verified, but key {number} of the source is not here as {:?}",
                    text(&stored.value)
                ));
            }
        }
        Ok(())
    }
}
