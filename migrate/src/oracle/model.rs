//! What a client of the target may be told of each key.
//!
//! Every command takes effect at one instant, which the world knows; so the model is a map. Of entries that
//! came from a source it knows only what is certain: until when one must be there, and until when it may be.

/// Number of keys.
pub(super) const KEYS: usize = 12;

/// Milliseconds by which a source's lifetimes are uncertain: it reports whole seconds.
const SECOND: i64 = 1_000;

/// An entry that must be there for some time and may be there for some more.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) value: Vec<u8>,
    /// Until when it must be there, as far as its lifespan goes; `None` is for ever.
    must_until: Option<i64>,
    /// From when on it must not be there, as far as its lifespan goes.
    may_until: Option<i64>,
    max_idle: Option<i64>,
    /// When it was last used for certain.
    used: i64,
    /// When it may have been used last.
    used_perhaps: i64,
}

impl Life {
    /// An entry whose lifetimes are exact.
    pub(super) fn exact(
        value: Vec<u8>,
        ends: Option<i64>,
        max_idle: Option<i64>,
        now: i64,
    ) -> Self {
        let (must_until, may_until) = (ends, ends);
        Self { value, must_until, may_until, max_idle, used: now, used_perhaps: now }
    }

    /// An entry of a source with so much left of its life by the source's clock.
    pub(super) fn imported(
        value: Vec<u8>,
        left: Option<i64>,
        lifespan: Option<i64>,
        max_idle: Option<i64>,
        read: i64,
        now: i64,
    ) -> Self {
        let most = lifespan.into_iter().chain(max_idle).min();
        let least = left.map(|left| most.map_or(left, |most| left.min(most)));
        Self {
            value,
            must_until: least.map(|left| read + left - SECOND),
            may_until: lifespan.map(|lifespan| now + lifespan + 2 * SECOND),
            max_idle: None,
            used: now,
            used_perhaps: now,
        }
    }

    pub(super) fn must_live(&self, now: i64) -> bool {
        self.must_until.is_none_or(|until| now < until)
            && self.max_idle.is_none_or(|idle| now < self.used + idle)
    }

    pub(super) fn may_live(&self, now: i64) -> bool {
        self.may_until.is_none_or(|until| now <= until)
            && self.max_idle.is_none_or(|idle| now <= self.used_perhaps + idle)
    }

    fn touch(&mut self, now: i64) {
        (self.used, self.used_perhaps) = (now, now);
    }
}

/// The later of two ends; `None` is never.
fn longest(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// What is certain of a key.
#[derive(Clone, Debug)]
pub(super) enum Truth {
    /// No client of the target has changed it: it is as the source has it. What was brought in is here.
    Source(Option<Life>),
    /// A client has written it.
    Written(Life),
    /// A client has removed it, or what a client wrote has ended.
    Gone,
}

/// What the source has to say about a key while a command runs.
#[derive(Clone, Debug, Default)]
pub(super) struct AtSource {
    /// Whether it had the entry all the time, and its answer must reach the client.
    pub(super) must: bool,
    /// The values that it may have answered with.
    pub(super) values: Vec<Vec<u8>>,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Model {
    keys: Vec<Truth>,
    /// Keys whose entry was copied and has ended here while no source was connected: nobody asks for it again.
    ended: Vec<bool>,
    /// Set while a clear runs: what is not here does not come any more.
    pub(super) clearing: bool,
    /// Keys whose entry had to make room for others, and that nobody has brought in or written since.
    evicted: Vec<bool>,
}

impl Model {
    pub(super) fn new() -> Self {
        let keys = vec![Truth::Source(None); KEYS];
        let none = || vec![false; KEYS];
        Self { keys, ended: none(), clearing: false, evicted: none() }
    }

    pub(super) fn truth(&self, key: usize) -> &Truth {
        &self.keys[key]
    }

    pub(super) fn set(&mut self, key: usize, truth: Truth) {
        self.keys[key] = truth;
        self.evicted[key] = false;
    }

    /// The entry of a key had to make room.
    pub(super) fn evict(&mut self, key: usize) {
        self.evicted[key] = true;
    }

    /// Returns whether the entry of a key had to make room, and has not come back.
    pub(super) fn is_evicted(&self, key: usize) -> bool {
        self.evicted[key]
    }

    /// What a client wrote and what has ended by now is gone.
    fn settle(&mut self, key: usize, now: i64) {
        if let Truth::Written(life) = &self.keys[key]
            && !life.may_live(now)
        {
            self.keys[key] = Truth::Gone;
        }
    }

    /// Checks that a client may be told that this is under a key.
    pub(super) fn see(
        &mut self,
        key: usize,
        seen: Option<&[u8]>,
        source: &AtSource,
        uses: bool,
        now: i64,
    ) -> Result<(), String> {
        self.settle(key, now);
        let (clearing, evicted) = (self.clearing, self.evicted[key]);
        let shown = seen.map(String::from_utf8_lossy);
        let wrong = |why: &str| Err(format!("key {key} is seen as {shown:?}, but {why}"));
        match (&mut self.keys[key], seen) {
            (Truth::Gone, None) => Ok(()),
            (Truth::Gone, Some(_)) => wrong("it was removed, or has ended"),
            (Truth::Written(life), Some(value)) => {
                if value != life.value {
                    return wrong(&format!(
                        "{:?} was written",
                        String::from_utf8_lossy(&life.value)
                    ));
                }
                if uses {
                    life.touch(now);
                }
                Ok(())
            }
            (Truth::Written(life), None) => {
                if life.must_live(now) && !evicted {
                    return wrong(&format!("{life:?} was written and has not ended"));
                }
                self.keys[key] = Truth::Gone;
                Ok(())
            }
            (Truth::Source(here), Some(value)) => {
                if source.values.iter().any(|known| known == value) {
                    return Ok(());
                }
                match here {
                    Some(life) if life.value == value && life.may_live(now) => Ok(()),
                    Some(life) => wrong(&format!("only {life:?} was brought in")),
                    None => wrong("the source does not have that, and nothing was brought in"),
                }
            }
            (Truth::Source(here), None) => {
                if source.must && !clearing {
                    return wrong("the source has it");
                }
                if let Some(life) = here
                    && life.must_live(now)
                    && !evicted
                {
                    return wrong(&format!("{life:?} was brought in and has not ended"));
                }
                self.ended[key] |= here.take().is_some();
                Ok(())
            }
        }
    }

    /// A command may have counted as a use.
    pub(super) fn use_perhaps(&mut self, key: usize, now: i64) {
        if let Truth::Written(life) = &mut self.keys[key] {
            life.used_perhaps = now;
        }
    }

    /// An entry of the source was brought in, or is known to be here.
    pub(super) fn bring(&mut self, key: usize, life: Life) {
        self.ended[key] = false;
        if let Truth::Source(here) = &mut self.keys[key] {
            self.evicted[key] = false;
            *here = Some(match here.take() {
                // It stays as long as is certain by any of what is known.
                Some(before) if before.value == life.value => Life {
                    must_until: longest(before.must_until, life.must_until),
                    may_until: longest(before.may_until, life.may_until),
                    ..before
                },
                _ => life,
            });
        }
    }

    /// The process of the target has ended, and with it all entries. What clients had done must not be undone
    /// by a source that is connected without a choice of the operator.
    pub(super) fn restart(&mut self) {
        self.clearing = false;
        self.ended.fill(false);
        self.evicted.fill(false);
        for truth in &mut self.keys {
            *truth = match truth {
                Truth::Source(_) => Truth::Source(None),
                Truth::Written(_) | Truth::Gone => Truth::Gone,
            };
        }
    }

    /// Everything is as the source has it, except what is here.
    pub(super) fn begin_anew(&mut self, here: impl Fn(usize) -> Option<Life>, now: i64) {
        self.clearing = false;
        self.ended.fill(false);
        for key in 0..KEYS {
            self.settle(key, now);
            let truth = match &self.keys[key] {
                Truth::Written(life) if life.must_live(now) && !self.evicted[key] => continue,
                _ => here(key).map_or(Truth::Source(None), Truth::Written),
            };
            self.keys[key] = truth;
        }
    }

    /// A connection goes on where the last one ended: of what is complete, nothing is asked for again.
    pub(super) fn go_on(&mut self, is_complete: impl Fn(usize) -> bool, now: i64) {
        for key in (0..KEYS).filter(|key| is_complete(*key)) {
            if let Truth::Source(here) = &self.keys[key] {
                self.ended[key] |= here.as_ref().is_some_and(|life| !life.must_live(now));
            }
        }
    }

    /// Returns whether the entry of a key has ended here while no source was connected.
    pub(super) fn has_ended(&self, key: usize) -> bool {
        self.ended[key]
    }

    /// A segment is rid of what a source had brought in.
    pub(super) fn rid(&mut self, key: usize) {
        if let Truth::Source(_) = &self.keys[key] {
            self.keys[key] = Truth::Gone;
        }
    }

    /// Returns whether a client has changed something that a source could undo.
    pub(super) fn is_changed(&self) -> bool {
        self.keys.iter().any(|truth| !matches!(truth, Truth::Source(_)))
    }
}
