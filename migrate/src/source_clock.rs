//! What is known of the clock of one source server.
//!
//! Hot Rod never sends the server's clock, so what is known is an interval for its offset: the source's
//! clock minus ours. A decider: every time is an argument.
//!
//! Three kinds of facts narrow the interval. An HTTP `Date` reads the clock to the second, and several of
//! them to a few milliseconds. An entry that the server still returns is not over by its clock, which
//! bounds the clock from above. An instant of an entry lies in the past, which bounds it from below; but
//! the clock may have been set back since, so this fact gives way to any other.
//!
//! Whoever answers HTTP may show another clock than that of the server that keeps the entries, such as a proxy. An
//! entry that the server returns although it is over by readings before and after shows that, and so does one that was
//! certainly written since and is dated ahead of them; the `Date` is not believed any more then. An entry that is dated
//! ahead of the readings may also be older than they are, from before the clock was set back. It shows only that the
//! entries may have another clock, so that lifetimes are less certain than the readings.

use store::{Expiration, Lifetime, Timestamp};

/// Offsets and jumps up to this many milliseconds are not worth a warning.
pub(crate) const TOLERATED: i64 = 1_000;

/// Sources report whole seconds; this much may have been cut off.
const CUT_OFF: i64 = 999;

/// A bound is this many times older than it is wide of the mark: two clocks drift apart by one percent at
/// most, which is how fast our own one is slewed.
const DRIFT: i64 = 100;

/// Milliseconds for which the last reading of a clock outweighs what an entry says.
const READING_STANDS: i64 = 5_000;

/// Milliseconds after which an entry dated ahead of the clock casts doubt on an upper bound.
const ALIVE_STANDS: i64 = 10_000;

/// Milliseconds of uncertainty up to which a clock is known closely enough for lifetimes.
const CLOSE: u64 = 200;

/// Milliseconds between readings that watch for the second to turn.
const WATCH: i64 = 100;

/// Most milliseconds that a clock is watched: its second turns in the meantime.
const TURNS: i64 = 1_100;

/// What is known of the clock of one source server.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceClock {
    low: Option<Bound>,
    high: Option<Bound>,
    /// When the clock was last read, by our clock.
    read: Option<i64>,
    /// When the first of the readings was asked for that agree with one another, up to the last one.
    agree_since: Option<i64>,
    /// An entry that contradicts the last reading: the next one shows whether the clock was set.
    contradiction: Option<Contradiction>,
    /// Whether entries have shown that the readings are of another clock.
    is_disbelieved: bool,
    /// What the entries' clock may be that are dated ahead of the readings.
    other: Option<OtherClock>,
    /// By what instants with a lifespan were corrected.
    used: Corrections,
    jumps: u64,
}

/// One end of the interval.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// The offset in milliseconds.
    offset: i64,
    /// When it was true, by our clock.
    at: i64,
    basis: Basis,
}

/// The clock of entries that are dated ahead of the readings, if those are not of that clock.
#[derive(Clone, Copy, Debug)]
struct OtherClock {
    /// The smallest offset with which none of them was written in the future.
    least: i64,
    /// The largest with which none of them was over.
    most: i64,
    /// The newest instant of them.
    newest: i64,
}

/// An entry that the last reading contradicts: it was over by that, or not written yet.
#[derive(Clone, Copy, Debug)]
struct Contradiction {
    /// The smallest offset with which it was written by the time that it had come.
    least: i64,
    /// The largest offset with which it was not over; or with which it was written no earlier than it was.
    most: i64,
    /// When it was asked for: it was not over then; or a time before which it was not written.
    asked: i64,
    /// When it had come.
    received: i64,
    /// The interval by the readings before.
    low: Bound,
    high: Bound,
}

impl Contradiction {
    /// Whether a later reading shows the same clock as the ones before: the entry was over by it all the time, or is
    /// dated ahead of it, so it is not the clock by which the server dates and ends entries.
    fn is_confirmed_by(&self, low: i64, high: i64, received: i64) -> bool {
        let agrees = self.low.low_at(received) <= high && low <= self.high.high_at(received);
        let drift = (received - self.asked).max(0) / DRIFT;
        let is_ahead = high.saturating_add(drift) < self.least;
        agrees && (low.saturating_sub(drift) > self.most || is_ahead)
    }
}

/// Where a bound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// An HTTP `Date`.
    Reading,
    /// An entry that was returned although its lifespan is nearly over.
    Alive,
    /// An instant of an entry.
    Instant,
}

impl Bound {
    /// The offset as a lower bound at a later time.
    fn low_at(&self, now: i64) -> i64 {
        self.offset.saturating_sub((now - self.at).max(0) / DRIFT)
    }

    /// The offset as an upper bound at a later time.
    fn high_at(&self, now: i64) -> i64 {
        self.offset.saturating_add((now - self.at).max(0) / DRIFT)
    }
}

/// What a source reports of an entry's lifetimes: instants by its own clock, and whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// Creation and lifespan.
    pub(crate) lifespan: Option<(u64, u32)>,
    /// Last use and max idle.
    pub(crate) max_idle: Option<(u64, u32)>,
}

impl Reported {
    /// What it says of lifetimes: their begin, and how long they are.
    fn lifetimes(&self) -> impl Iterator<Item = (i64, u32)> {
        let both = [self.lifespan, self.max_idle].into_iter().flatten();
        both.map(|(instant, seconds)| (signed(instant), seconds))
    }

    fn newest(&self) -> Option<i64> {
        self.lifetimes().map(|(instant, _)| instant).max()
    }

    fn oldest(&self) -> Option<i64> {
        self.lifetimes().map(|(instant, _)| instant).min()
    }

    /// When it ends if nobody uses it, at the latest.
    fn end(&self) -> i64 {
        let end = |(instant, seconds)| i64::saturating_add(instant, length(seconds) + CUT_OFF);
        self.lifetimes().map(end).min().unwrap_or(i64::MAX)
    }
}

/// Offsets by which instants were corrected, as smallest and largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Corrections {
    /// What was taken for the offset of the clock.
    pub(crate) clock: Option<(i64, i64)>,
    /// These, and those of entries whose own instants contradict the clock. Such an entry counts as created
    /// when it came.
    pub(crate) all: Option<(i64, i64)>,
}

impl Corrections {
    /// An entry's creation was corrected by `offset` while the clock's offset was taken to be `clock`.
    fn add(&mut self, offset: i64, clock: Option<i64>) {
        let clock = clock.map(|clock| (clock, clock));
        self.clock = widest(self.clock, clock);
        self.all = widest(widest(self.all, clock), Some((offset, offset)));
    }

    /// The corrections by two clocks.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { clock: widest(self.clock, other.clock), all: widest(self.all, other.all) }
    }
}

fn widest(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    let both = one.zip(other);
    both.map(|((low, high), (least, most))| (low.min(least), high.max(most))).or(one).or(other)
}

/// How an entry was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obtained {
    /// By its key: the source counts that as a use.
    ByKey,
    /// In a walk: the source may have read it ahead, at any time since the walk began.
    InWalk,
}

/// An entry's lifetimes by our clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lives {
    /// When it was created, if it has a lifespan.
    pub(crate) created: Option<Timestamp>,
    /// When it was last used, if it has a max idle.
    pub(crate) last_used: Option<Timestamp>,
    /// Its lifetimes.
    pub(crate) expiration: Expiration,
}

/// A clock that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    /// By how many milliseconds it was set forward, at least; negative if it was set back.
    pub(crate) millis: i64,
}

/// The interval for the offset as people are shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offset {
    /// The smallest offset that is possible; `None` if nothing is known.
    pub(crate) low: Option<i64>,
    /// The largest offset that is possible; `None` if nothing is known.
    pub(crate) high: Option<i64>,
    /// The largest offset that the clock of entries may have that are dated ahead of this interval, if there are any.
    pub(crate) ahead: Option<i64>,
}

impl Offset {
    /// The offset that is closest to none: what the clocks differ by, at least.
    pub(crate) fn skew(&self) -> i64 {
        match (self.low, self.high) {
            (Some(low), _) if low > 0 => low,
            (_, Some(high)) if high < 0 => high,
            _ => 0,
        }
    }

    /// The largest offset that the clock of entries may have.
    pub(crate) fn most(&self) -> Option<i64> {
        self.high.map(|high| self.ahead.map_or(high, |ahead| ahead.max(high)))
    }

    /// Milliseconds by which lifetimes may be wrong, also those of entries that are dated ahead of this interval; `None`
    /// if an end is unknown.
    pub(crate) fn uncertainty(&self) -> Option<u64> {
        Some(self.most()?.abs_diff(self.low?))
    }

    /// Width of the interval that is known of the clock itself; `None` if an end is unknown.
    pub(crate) fn width(&self) -> Option<u64> {
        Some(self.high?.abs_diff(self.low?))
    }
}

impl SourceClock {
    /// Takes in a `Date` of the source, in milliseconds of its clock, that it wrote between two instants of
    /// ours. Returns the jump that this shows.
    pub(crate) fn read(&mut self, date: u64, sent: Timestamp, received: Timestamp) -> Option<Jump> {
        if self.is_disbelieved {
            return None;
        }
        let (date, sent, received) = (signed(date), millis(sent), millis(received));
        let (low, high) = (date - received, date.saturating_add(CUT_OFF) - sent);
        if let Some(entry) = self.contradiction.take_if(|entry| entry.received <= sent)
            && entry.is_confirmed_by(low, high, received)
        {
            self.disbelieve(&entry);
            return None;
        }
        let known = self.offset(received);
        let jump = match (known.low, known.high) {
            (_, Some(known)) if known < low => Some(low - known),
            (Some(known), _) if known > high => Some(high - known),
            _ => None,
        };
        let agrees = jump.is_none();
        self.agree_since = Some(self.agree_since.filter(|_| agrees).unwrap_or(sent));
        self.contradiction = self.contradiction.filter(|_| agrees);
        let keeps = |bound: &Bound| agrees && bound.basis != Basis::Instant;
        let low = self.low.filter(keeps).map_or(low, |known| known.low_at(received).max(low));
        let high = self.high.filter(keeps).map_or(high, |known| known.high_at(received).min(high));
        let bound = |offset| Some(Bound { offset, at: received, basis: Basis::Reading });
        (self.low, self.high, self.read) = (bound(low), bound(high), Some(received));
        self.count(jump)
    }

    /// The readings are of another clock than this entry's.
    fn disbelieve(&mut self, entry: &Contradiction) {
        let alive = Bound { offset: entry.most, at: entry.asked, basis: Basis::Alive };
        let written = Bound { offset: entry.least, at: entry.received, basis: Basis::Instant };
        self.low = (entry.least > i64::MIN).then_some(written);
        (self.high, self.read, self.other) = (Some(alive), None, None);
        self.is_disbelieved = true;
    }

    /// Takes in what an entry says that the source returned to a request of `asked`, received at `now`, and
    /// gives its lifetimes by our clock: the longest that the interval allows, and never more than the
    /// entry was given. Returns also the jump that this shows.
    pub(crate) fn entry(
        &mut self,
        reported: &Reported,
        obtained: Obtained,
        asked: Timestamp,
        now: Timestamp,
    ) -> (Lives, Option<Jump>) {
        let (asked, at) = (millis(asked), millis(now));
        let mut jump = None;
        if let Some((created, seconds)) = reported.lifespan {
            let most = signed(created).saturating_add(length(seconds) + CUT_OFF) - asked;
            self.contradict(most, asked, at);
            jump = self.alive(most, asked);
        }
        if let Some(newest) = reported.newest() {
            self.ahead(newest, reported.end(), asked, at);
            self.instant(newest.saturating_sub(at), at);
        }
        (self.lives(reported, obtained, asked, at), self.count(jump))
    }

    /// Notes an entry that came at `received` if it was over by readings since before it was asked for.
    fn contradict(&mut self, most: i64, asked: i64, received: i64) {
        let (Some(low), Some(high)) = (self.low, self.high) else { return };
        let is_read = low.basis == Basis::Reading && low.low_at(asked) > most;
        if is_read && self.agree_since.is_some_and(|since| since <= asked) {
            self.note_contradiction((i64::MIN, most), (asked, received), (low, high));
        }
    }

    /// Takes in an entry that was received at `now` and was certainly written after `since`, such as one that the source
    /// did not have then. Its clock has reached its instants, and had not reached them before.
    pub(crate) fn written_since(&mut self, reported: &Reported, since: Timestamp, now: Timestamp) {
        let (Some(newest), Some(oldest)) = (reported.newest(), reported.oldest()) else { return };
        let (Some(low), Some(high)) = (self.low, self.high) else { return };
        let (since, received) = (millis(since), millis(now));
        let (least, most) = (newest.saturating_sub(received), oldest.saturating_sub(since));
        let is_read = high.basis == Basis::Reading && high.high_at(received) < least;
        if is_read && self.agree_since.is_some_and(|agree| agree <= since) {
            self.note_contradiction((least, most), (since, received), (low, high));
        }
    }

    /// Keeps the first contradiction until the next reading: an entry whose clock has one of these offsets, when it was
    /// asked for and received, and the interval by the readings.
    fn note_contradiction(
        &mut self,
        (least, most): (i64, i64),
        (asked, received): (i64, i64),
        (low, high): (Bound, Bound),
    ) {
        let entry = Contradiction { least, most, asked, received, low, high };
        self.contradiction.get_or_insert(entry);
    }

    /// Notes an entry that is dated ahead of the readings: its clock may be another one. It ends at `end`.
    fn ahead(&mut self, newest: i64, end: i64, asked: i64, at: i64) {
        let (least, most) = (newest.saturating_sub(at), end.saturating_sub(asked));
        let is_ahead = |high: Bound| high.basis == Basis::Reading && high.high_at(at) < least;
        if !self.high.is_some_and(is_ahead) {
            return;
        }
        let known = self.other_at(at).unwrap_or(OtherClock { least, most, newest });
        let (least, both) = (known.least.max(least), known.most.min(most));
        // Where the bounds contradict each other, it was set between.
        let most = if both < least { most.max(least) } else { both };
        let newest = known.newest.max(newest);
        self.other = Some(OtherClock { least, most, newest });
    }

    /// The clock of entries that are dated ahead of the readings, if it may be another one at our time `now`. A clock
    /// that was set back comes to their instants. Where the readings are of another clock, what is written by then is
    /// dated ahead of them again.
    fn other_at(&self, now: i64) -> Option<OtherClock> {
        let reached = self.low.map_or(i64::MIN, |low| now.saturating_add(low.low_at(now)));
        self.other.filter(|other| other.newest > reached)
    }

    /// The offset is at most `most` at our time `at`: an entry was alive then.
    fn alive(&mut self, most: i64, at: i64) -> Option<i64> {
        if let Some(low) = self.low.filter(|low| low.low_at(at) > most) {
            let stands = low.basis == Basis::Reading && at < low.at + READING_STANDS;
            if stands {
                // Read since, or so shortly before that the next reading decides.
                return None;
            }
            self.low = None;
            self.high = Some(Bound { offset: most, at, basis: Basis::Alive });
            return Some(most - low.low_at(at));
        }
        if self.high.is_none_or(|high| most < high.high_at(at)) {
            self.high = Some(Bound { offset: most, at, basis: Basis::Alive });
        }
        None
    }

    /// The offset is at least `least`, unless the clock was set back since an entry was written.
    fn instant(&mut self, least: i64, at: i64) {
        if self.low.is_some_and(|low| low.basis == Basis::Reading || low.offset >= least) {
            return;
        }
        match self.high {
            Some(high) if high.high_at(at) < least => {
                // Written before the clock was set back; or the clock was set forward since the entry was
                // seen that gave the bound. Nothing is known then.
                if high.basis == Basis::Alive && high.at + ALIVE_STANDS < at {
                    self.high = None;
                }
            }
            _ => self.low = Some(Bound { offset: least, at, basis: Basis::Instant }),
        }
    }

    fn lives(&mut self, reported: &Reported, obtained: Obtained, asked: i64, now: i64) -> Lives {
        let low = self.low.map(|low| low.low_at(now));
        // The latest instant of ours that it can be, and none that is still to come.
        let ours = |theirs: u64| low.map_or(now, |low| signed(theirs).saturating_sub(low).min(now));
        let mut lives = Lives::default();
        if let Some((theirs, seconds)) = reported.lifespan {
            let (mut created, mut lifespan) = (ours(theirs), lifespan(seconds));
            if created + lifespan <= now && obtained == Obtained::ByKey {
                // It was alive when it was asked for, whatever the clocks say: part of a second is not
                // reported, or the clock was set. One that may have ended while the answer was on its way
                // gets no second life. In a walk, it may have been read ahead; the source is asked for it.
                let end = created + lifespan + CUT_OFF;
                if end > now {
                    lifespan += CUT_OFF;
                } else if end <= asked {
                    created = now;
                }
            }
            self.used.add(signed(theirs).saturating_sub(created), low);
            lives.created = Some(instant(created));
            lives.expiration.lifespan = Some(Lifetime::from_millis(lifespan.unsigned_abs()));
        }
        if let Some((theirs, seconds)) = reported.max_idle {
            let last_used = match obtained {
                Obtained::ByKey => now,
                Obtained::InWalk => ours(theirs),
            };
            lives.last_used = Some(instant(last_used));
            lives.expiration.max_idle =
                Some(Lifetime::from_millis(lifespan(seconds).unsigned_abs()));
        }
        lives
    }

    fn count(&mut self, jump: Option<i64>) -> Option<Jump> {
        let millis = jump.filter(|millis| millis.abs() > TOLERATED)?;
        self.jumps += 1;
        Some(Jump { millis })
    }

    /// The interval for the offset at our time `now`.
    fn offset(&self, now: i64) -> Offset {
        Offset {
            low: self.low.map(|low| low.low_at(now)),
            high: self.high.map(|high| high.high_at(now)),
            ahead: self.other_at(now).map(|other| other.most),
        }
    }

    /// The interval for the offset.
    pub(crate) fn offset_at(&self, now: Timestamp) -> Offset {
        self.offset(millis(now))
    }

    /// Whether the clock itself was read, rather than only inferred from entries.
    pub(crate) fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// Times that the clock was seen to have been set.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// By what instants with a lifespan were corrected.
    pub(crate) fn used(&self) -> Corrections {
        self.used
    }

    /// Whether entries have shown that the readings are of another clock. None is taken in any more.
    pub(crate) fn is_disbelieved(&self) -> bool {
        self.is_disbelieved
    }

    /// Our instant at which to read the clock again, so that lifetimes are right from now on; `None` if it is
    /// known closely, or has been watched since `begun` for as long as that can help. The reading that
    /// shows the next second was made just after the second turned.
    pub(crate) fn watch(&self, begun: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (begun, at) = (millis(begun), millis(now));
        let is_close = self.offset(at).width().is_some_and(|known| known <= CLOSE);
        let next = at + WATCH;
        (!is_close && next <= begun + TURNS).then(|| instant(next))
    }

    /// What the source's clock has reached at our time `now`, if nobody has set it since it was last read; `None`
    /// if it was not read, or was set: it may be set again, or several servers with clocks of their own share one
    /// address.
    fn reached_by(&self, now: i64) -> Option<i64> {
        let (low, read) = self.low.zip(self.read)?;
        let is_sure = low.basis == Basis::Reading && self.jumps == 0;
        is_sure.then(|| now.saturating_add(low.low_at(now)).max(read.saturating_add(low.offset)))
    }

    /// Our next instant after `now` at which a reading tells most: the source's clock comes to a full
    /// second then, as far as is known.
    pub(crate) fn best_reading(&self, now: Timestamp) -> Timestamp {
        let at = millis(now);
        let Offset { low: Some(low), high: Some(high), .. } = self.offset(at) else { return now };
        let middle = low.saturating_add(high) / 2;
        let into_second = at.saturating_add(middle).rem_euclid(1_000);
        instant(at + 1_000 - into_second)
    }
}

/// The instant before which a lifespan that is over here is over at every source server too, if nobody has set their
/// clocks since they were last read: what all of them have reached, less the largest correction that an instant got
/// or can get. `earlier` are the corrections by clocks of servers that have left. `None` if a clock was not read.
pub(crate) fn over_by<'a>(
    clocks: impl IntoIterator<Item = &'a SourceClock>,
    earlier: Corrections,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut bounds = None::<(i64, i64)>;
    for clock in clocks {
        let reached = clock.reached_by(millis(now))?;
        let possible = clock.high.map_or(i64::MAX, |high| high.offset);
        let used = clock.used().and(earlier);
        let most = used.all.map_or(possible, |(_, used)| used.max(possible));
        bounds = Some(
            bounds
                .map_or((reached, most), |(all, all_most)| (all.min(reached), all_most.max(most))),
        );
    }
    let (reached, most) = bounds?;
    Some(instant(reached.saturating_sub(most).saturating_sub(CUT_OFF)))
}

/// Milliseconds of a reported number of seconds.
fn length(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000
}

/// Milliseconds of a lifetime. Less than a second is reported as 0, which is not immortal.
fn lifespan(seconds: u32) -> i64 {
    length(seconds.max(1))
}

fn millis(at: Timestamp) -> i64 {
    signed(at.millis())
}

/// Half of the largest number stands for any larger one, so that sums do not overflow.
fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.max(0).unsigned_abs())
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
