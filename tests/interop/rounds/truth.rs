//! What may stand under each key, by everything that its clients were told.
//!
//! A key belongs to one task, so that its commands come one after the other; what an operator does to the
//! whole cache meanwhile may take effect before or after a command that it overlaps with. A command that
//! fails in doubt was carried out or not. So a key has a set of states, and each answer must fit one of them.
//!
//! Start reading at [`Key::told`].

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use client::{ClientError, Metadata};

/// Milliseconds of which an answer's time is not known exactly: instants are cut off.
const MARGIN: u64 = 30;

/// Milliseconds that an entry may live longer than it should. Whole seconds are reported.
const SECOND: u64 = 1_000;

/// Last steps of a key that are shown if one was wrong.
const SHOWN: usize = 30;

/// The real time in milliseconds since the Unix epoch, whatever the servers' clocks show.
#[expect(clippy::disallowed_methods, reason = "answers of servers are compared with the real time")]
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// Whether the target has a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is asked for what is not here.
    Connected,
    /// Not any more, and everything had been copied.
    Complete,
    /// Not any more, and not everything is here.
    Partial,
}

/// What an operator does to the keys of a whole cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// None.
    Nothing,
    /// What was here is lost and is read from the source again, where nobody has used it since.
    Reloaded,
    /// Every entry is removed.
    Clear,
    /// A clear that failed: any entry may have been removed.
    ClearFailed,
    /// A source is connected, and removed keys may come back.
    Fresh,
    /// What clients had changed is lost: the keys are as the source has them.
    Lost,
    /// What was here is lost, and no source is connected.
    Forgotten,
}

impl Effect {
    /// What a state may be after it, at this time.
    fn of(self, state: &State, at: u64) -> Vec<State> {
        match (self, state) {
            // It may have ended before the connection was made, which is a removal, too.
            (Self::Fresh, State::Written(written))
                if written.ends().is_some_and(|it| it.0 <= at) =>
            {
                vec![state.clone(), State::Gone, State::Source]
            }
            (Self::Clear, _) | (Self::Forgotten, State::Written(_)) => vec![State::Gone],
            (Self::ClearFailed, _) => vec![state.clone(), State::Gone],
            (Self::Fresh, State::Gone) => vec![State::Gone, State::Source],
            (Self::Lost, _) => vec![State::Source],
            (Self::Nothing | Self::Reloaded | Self::Fresh | Self::Forgotten, _) => {
                vec![state.clone()]
            }
        }
    }
}

/// Steps of the operator, one after the other.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Steps>);

#[derive(Debug, Default)]
struct Steps {
    /// Counts beginnings and ends.
    ticks: u64,
    steps: Vec<Step>,
    /// Most milliseconds that were shown as unknown of a clock.
    uncertainty: u64,
}

#[derive(Debug)]
struct Step {
    effect: Effect,
    end: Option<u64>,
    /// The real time of its end.
    at: Option<u64>,
    mode: Mode,
    /// In which mode the cache may be meanwhile, besides.
    before: Mode,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins that may have this effect.
    pub(super) fn begin(&self, effect: Effect, mode: Mode) {
        let mut log = self.lock();
        log.ticks += 1;
        let before = log.steps.last().map_or(mode, |step| step.mode);
        log.steps.push(Step { effect, end: None, at: None, mode, before });
    }

    /// The last step has ended, and had this effect.
    pub(super) fn end(&self, effect: Effect, mode: Mode) {
        let mut log = self.lock();
        log.ticks += 1;
        let end = log.ticks;
        let step = log.steps.last_mut().expect("a step");
        (step.effect, step.mode, step.end) = (effect, mode, Some(end));
        step.at = Some(now());
    }

    /// The mode after the last step.
    pub(super) fn mode(&self) -> Mode {
        self.lock().steps.last().map_or(Mode::Connected, |step| step.mode)
    }

    /// Notes how many milliseconds are shown as unknown of the source's clock.
    pub(super) fn shown(&self, uncertainty: u64) {
        let mut log = self.lock();
        log.uncertainty = log.uncertainty.max(uncertainty);
    }

    /// The most milliseconds that were shown as unknown of the source's clock.
    pub(super) fn uncertainty(&self) -> u64 {
        self.lock().uncertainty
    }

    /// Returns whether a step had this effect.
    pub(super) fn has_had(&self, effect: Effect) -> bool {
        self.lock().steps.iter().any(|step| step.effect == effect)
    }
}

/// An entry as clients wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) value: Vec<u8>,
    /// Milliseconds of its lifespan.
    pub(super) lifespan: Option<u64>,
    /// It was written between these two.
    pub(super) between: (u64, u64),
}

impl Written {
    /// Its end by its lifespan, between these two.
    fn ends(&self) -> Option<(u64, u64)> {
        let lifespan = self.lifespan?;
        Some((self.between.0 + lifespan, self.between.1 + lifespan))
    }
}

/// An entry as the source has it.
#[derive(Clone, Debug)]
pub(super) struct AtSource {
    pub(super) written: Written,
    pub(super) max_idle: Option<u64>,
    pub(super) version: u64,
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No client has changed it.
    Source,
    /// A client has written it.
    Written(Written),
    /// A client has removed it, or the time of what a client had written is over.
    Gone,
    /// Its time is over at the source.
    Over,
}

/// What a client can see of a state.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    Absent,
    /// Nothing, as only the source can tell.
    AbsentThere,
    Present(&'a [u8]),
}

impl View<'_> {
    pub(super) fn is_present(self) -> bool {
        matches!(self, Self::Present(_))
    }
}

/// When a command ran.
#[derive(Debug)]
pub(super) struct Window {
    begin: u64,
    from: u64,
    to: u64,
    /// What may have taken effect before it or after it.
    overlapping: Vec<Effect>,
    modes: Vec<Mode>,
    uncertainty: u64,
}

impl Window {
    /// When the command was sent and answered.
    pub(super) fn between(&self) -> (u64, u64) {
        (self.from, self.to)
    }

    /// Returns whether the operator did something meanwhile.
    pub(super) fn is_disturbed(&self) -> bool {
        !self.overlapping.is_empty()
    }
}

/// A key, and what is known of it.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Vec<u8>,
    pub(super) source: Option<AtSource>,
    states: Vec<State>,
    /// Steps of the operator that were taken into account.
    steps: usize,
    /// The step after those has begun while a command ran.
    blurred: bool,
    /// When it was last used here for certain, since it came.
    used: Option<u64>,
    history: Vec<String>,
}

impl Key {
    pub(super) fn new(name: Vec<u8>, source: Option<AtSource>) -> Self {
        let used = source.as_ref().map(|source| source.written.between.0);
        let states = vec![State::Source];
        Self { name, source, states, steps: 0, blurred: false, used, history: Vec::new() }
    }

    /// What may stand there, all of it.
    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// Its name as people read it.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// A command is about to be sent.
    pub(super) fn begin(&mut self, log: &Log) -> Window {
        let mut log = log.lock();
        log.ticks += 1;
        while let Some(step) = log.steps.get(self.steps).filter(|step| step.end.is_some()) {
            let kept = if self.blurred { self.states.clone() } else { Vec::new() };
            self.change(step.effect, step.at, kept);
            self.steps += 1;
            self.blurred = false;
        }
        let begin = log.ticks;
        let from = now();
        let uncertainty = log.uncertainty;
        Window { begin, from, to: from, overlapping: Vec::new(), modes: Vec::new(), uncertainty }
    }

    /// Its answer has arrived, or will not.
    pub(super) fn end(&mut self, log: &Log, window: &mut Window) {
        let mut log = log.lock();
        log.ticks += 1;
        (window.to, window.uncertainty) = (now(), log.uncertainty);
        let before = self.steps.checked_sub(1).and_then(|last| log.steps.get(last));
        window.modes.extend(before.map(|step| step.mode));
        while let Some(step) = log.steps.get(self.steps) {
            assert!(step.end.is_none_or(|end| end > window.begin), "it was taken into account");
            window.overlapping.push(step.effect);
            window.modes.extend([step.before, step.mode]);
            self.change(step.effect, step.at, self.states.clone());
            if step.end.is_none() {
                self.blurred = true;
                break;
            }
            self.steps += 1;
            self.blurred = false;
        }
    }

    fn change(&mut self, effect: Effect, at: Option<u64>, kept: Vec<State>) {
        if effect != Effect::Nothing {
            self.used = None;
        }
        let before = std::mem::replace(&mut self.states, kept);
        let at = at.unwrap_or_else(now);
        for state in before.iter().flat_map(|state| effect.of(state, at)) {
            self.add(state);
        }
    }

    fn add(&mut self, state: State) {
        if !self.states.contains(&state) {
            self.states.push(state);
        }
    }

    /// What a client may see of a state.
    fn views<'a>(&'a self, state: &'a State, window: &Window) -> Vec<View<'a>> {
        let (written, at_source) = match (state, &self.source) {
            (State::Gone, _) => return vec![View::Absent],
            (State::Over, _) | (State::Source, None) => return vec![View::AbsentThere],
            (State::Source, Some(source)) => (&source.written, Some(source)),
            (State::Written(written), _) => (written, None),
        };
        let tolerated = SECOND + if at_source.is_some() { window.uncertainty } else { 0 };
        let ends = written.ends();
        let mut must = ends.is_none_or(|(end, _)| window.to + MARGIN < end);
        let may = ends.is_none_or(|(_, end)| window.from <= end + tolerated);
        if let Some(source) = at_source {
            must &= !window.modes.contains(&Mode::Partial);
            let idle = |idle| self.used.is_some_and(|used| window.to + MARGIN < used + idle);
            must &= source.max_idle.is_none_or(idle);
        }
        let absent = if at_source.is_some() { View::AbsentThere } else { View::Absent };
        let absent = (!must).then_some(absent);
        absent.into_iter().chain(may.then_some(View::Present(&written.value))).collect()
    }

    /// A command was answered. For each thing that a client may have seen there, `fits` says what stands
    /// there after such an answer, which is `None` if it does not fit.
    ///
    /// # Errors
    ///
    /// If the answer fits nothing.
    pub(super) fn told(
        &mut self,
        what: impl fmt::Display,
        window: &Window,
        fits: impl Fn(View<'_>) -> Option<After>,
    ) -> Result<(), String> {
        let mut after = Vec::new();
        let (mut found, mut all_found) = (false, true);
        for state in &self.states {
            for view in self.views(state, window) {
                let Some(then) = fits(view) else { continue };
                let is_found = view.is_present();
                found |= is_found;
                all_found &= is_found;
                after.push(match then {
                    After::Becomes(state) => state,
                    After::Stays if is_found => state.clone(),
                    After::Stays => self.absent(state, window),
                });
            }
        }
        self.note(window, &what);
        if after.is_empty() {
            return Err(format!("{what} does not fit: {self}"));
        }
        if found && all_found {
            self.used = Some(window.from);
        }
        self.states.clear();
        for state in after {
            self.add(state);
        }
        // Also forgets the use, if the entry may have been lost after it.
        for effect in &window.overlapping {
            self.change(*effect, None, self.states.clone());
        }
        Ok(())
    }

    /// What a state is after nothing was found there.
    fn absent(&self, state: &State, window: &Window) -> State {
        // While it is not connected, an entry may still wait at the source.
        let was_connected = window.modes.iter().all(|mode| *mode == Mode::Connected);
        match state {
            State::Written(_) => State::Gone,
            State::Source if self.source.is_some() && was_connected => State::Over,
            _ => state.clone(),
        }
    }

    /// A command failed that would have ended like this.
    pub(super) fn failed(
        &mut self,
        what: impl fmt::Display,
        window: &Window,
        error: &ClientError,
        would: Option<State>,
    ) {
        self.note(window, format_args!("{what}: {error}"));
        if error.is_in_doubt() {
            would.into_iter().for_each(|state| self.add(state));
            for effect in &window.overlapping {
                self.change(*effect, None, self.states.clone());
            }
        }
    }

    /// A command for several keys failed that may have changed this one like this, whatever the error says.
    pub(super) fn partly_failed(
        &mut self,
        what: impl fmt::Display,
        window: &Window,
        error: &ClientError,
        would: State,
    ) {
        self.note(window, format_args!("{what}: {error}"));
        self.add(would);
        for effect in &window.overlapping {
            self.change(*effect, None, self.states.clone());
        }
    }

    fn note(&mut self, window: &Window, what: impl fmt::Display) {
        if self.history.len() == SHOWN {
            self.history.remove(0);
        }
        let (from, to) = window.between();
        let modes = &window.modes;
        self.history.push(format!("{from} to {to} {modes:?} {:?}: {what}", window.overlapping));
    }

    /// Returns whether the entry that a client was shown has the lifetimes of one that may stand there. The
    /// target's clock was ahead by `ahead`.
    ///
    /// # Errors
    ///
    /// If not.
    pub(super) fn lives(
        &self,
        value: &[u8],
        metadata: &Metadata,
        ahead: i64,
        window: &Window,
    ) -> Result<(), String> {
        let fits = |state: &State| {
            let (written, version) = match (state, &self.source) {
                (State::Written(written), _) => (written, None),
                (State::Source, Some(source)) => (&source.written, Some(source.version)),
                _ => return false,
            };
            if written.value != value || version.is_some_and(|version| version != metadata.version)
            {
                return false;
            }
            // Instants show when it began, and whole seconds how long it lives.
            let shown = metadata.lifespan.map(|it| (it.since, u64::from(it.seconds)));
            match (written.lifespan, shown) {
                (None, None) => true,
                (Some(lifespan), Some((since, seconds))) => {
                    let since = since.saturating_add_signed(-ahead);
                    let (earliest, latest) = written.between;
                    let later = if version.is_some() { window.uncertainty } else { 0 };
                    lifespan / 1_000 == seconds
                        && (earliest - MARGIN..=latest + MARGIN + later).contains(&since)
                }
                _ => false,
            }
        };
        match self.states.iter().any(fits) {
            true => Ok(()),
            false => Err(format!("{metadata:?} by a clock that is {ahead} ms ahead: {self}")),
        }
    }
}

/// What stands under a key after an answer.
#[derive(Clone, Debug)]
pub(super) enum After {
    /// What stood there.
    Stays,
    /// This.
    Becomes(State),
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = String::from_utf8_lossy(&self.value);
        write!(f, "\"{value}\" of {:?}, lifespan {:?}", self.between, self.lifespan)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.name);
        writeln!(f, "{name}, at the source {:?}, may be", self.source)?;
        self.states.iter().try_for_each(|state| writeln!(f, "    {state:?}"))?;
        writeln!(f, "  after")?;
        self.history.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

#[cfg(test)]
mod tests {
    //! What has to be there after a step of the operator.

    use super::*;

    #[test]
    fn an_entry_that_was_used_a_moment_ago_is_there_unless_a_step_may_have_lost_it() {
        let is_missed_after = |effect: Effect| {
            let value = b"v".to_vec();
            let written = Written { value, lifespan: None, between: (now(), now()) };
            let source = AtSource { written, max_idle: Some(20_000), version: 1 };
            let mut key = Key::new(b"k".to_vec(), Some(source));
            let log = Log::default();
            log.begin(effect, Mode::Connected);
            log.end(effect, Mode::Connected);
            let mut window = key.begin(&log);
            key.end(&log, &mut window);
            let absent = |view: View<'_>| (!view.is_present()).then_some(After::Stays);
            key.told("get: nothing", &window, absent).is_err()
        };
        assert!(is_missed_after(Effect::Nothing));
        assert!(!is_missed_after(Effect::Reloaded));
    }
}
