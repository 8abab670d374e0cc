//! Decides which connections have to go.

use std::time::Duration;

/// Time without progress after which a connection may be closed so that others have room.
const STALE: Duration = Duration::from_secs(1);

/// The same time at its shortest, where others wait for long. Clients that are just busy make progress in it.
const LEAST_STALE: Duration = Duration::from_millis(250);

/// Time after which one that waits for room comes before others that do.
const PRECEDENCE: Duration = Duration::from_secs(1);

/// Time in which a peer has to send something more of a request that it has begun.
const RECEIVING: Duration = Duration::from_secs(30);

/// Time in which a peer has to take something more of an answer.
const SENDING: Duration = Duration::from_secs(60);

/// The same two times on a place that is kept for probes and administrators.
const RESERVED: Duration = Duration::from_secs(5);

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Doing {
    /// It waits for a request.
    Nothing,
    /// A part of a request has arrived.
    Receiving,
    /// Requests are being carried out.
    Working,
    /// An answer is being sent.
    Sending,
}

impl Doing {
    /// Returns whether its peer has to go on with what was begun.
    pub(super) fn is_up_to_the_peer(self) -> bool {
        match self {
            Self::Receiving | Self::Sending => true,
            Self::Nothing | Self::Working => false,
        }
    }
}

impl From<u8> for Doing {
    fn from(number: u8) -> Self {
        let all = [Self::Nothing, Self::Receiving, Self::Working, Self::Sending];
        all.into_iter().find(|doing| *doing as u8 == number).unwrap_or(Self::Nothing)
    }
}

/// A connection as it is seen. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Bytes that it takes beyond those that are free.
    pub(super) bytes: u64,
    /// Bytes that it waits for: the most that one part of it does.
    pub(super) wanted: u64,
    /// Since when it waits for them.
    pub(super) since: u64,
    /// Whether it could not take them now, since it does nothing else until its peer has taken an answer.
    pub(super) is_held_up: bool,
    /// When its peer last made progress.
    pub(super) moved: u64,
    pub(super) doing: Doing,
    /// Whether it has a place that is kept for probes and administrators.
    pub(super) is_reserved: bool,
}

impl Seen {
    /// Time for which its peer has made no progress.
    fn silent(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.moved))
    }

    /// Returns whether it waits for room, and takes it once there is some.
    fn is_waiting(&self) -> bool {
        self.wanted > 0 && !self.is_held_up
    }

    /// Why it has to go, whatever others need.
    fn overdue(&self, limits: Limits, now: u64) -> Option<Reason> {
        let (most, reason) = match self.doing {
            Doing::Nothing => (limits.idle?, Reason::Idle),
            Doing::Receiving if self.wanted == 0 => (RECEIVING, Reason::Request),
            Doing::Sending => (SENDING, Reason::Answer),
            // It is not for its peer to go on.
            Doing::Receiving | Doing::Working => return None,
        };
        let most = if self.is_reserved { most.min(RESERVED) } else { most };
        (self.silent(now) > most).then_some(reason)
    }

    /// Returns whether closing it gives memory back: what is being carried out goes on without its client.
    fn is_to_blame(&self) -> bool {
        self.bytes > 0 && (self.doing != Doing::Working || self.wanted > 0)
    }
}

/// What all connections may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes, beyond those that are free.
    pub(super) bytes: u64,
    /// Time between two requests.
    pub(super) idle: Option<Duration>,
}

/// Why a connection has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Memory,
    Request,
    Answer,
    Idle,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::Memory, Self::Request, Self::Answer, Self::Idle];

    /// Its name in the metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Idle => "idle",
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Memory => {
                "requests and answers take all the memory that they may (a part of max-memory), and these \
                 clients have made no progress for the longest time"
            }
            Self::Request => {
                "their clients began a request and sent next to nothing of it for 30 s (5 s beyond max-connections)"
            }
            Self::Answer => {
                "their clients read next to nothing of an answer for 60 s (5 s beyond max-connections)"
            }
            Self::Idle => "their clients sent no request within idle-timeout",
        }
    }
}

/// The places of the connections that have to go at the time `now`. All of them together take `used` bytes,
/// without those that are on their way out.
pub(super) fn judge(seen: &[Seen], used: u64, limits: Limits, now: u64) -> Vec<(usize, Reason)> {
    // Room is made for one that waits, not for all of them at once: that would close more than need be.
    let waiting = seen.iter().filter(|seen| seen.is_waiting());
    let wanted = waiting.map(|seen| seen.wanted).max().unwrap_or(0);
    let mut over = used.saturating_add(wanted).saturating_sub(limits.bytes);
    let stale = stale_after(seen, now);
    let (mut going, mut holders) = (Vec::new(), Vec::new());
    for (place, seen) in seen.iter().enumerate() {
        if let Some(reason) = seen.overdue(limits, now) {
            going.push((place, reason));
            over = over.saturating_sub(seen.bytes);
        } else if seen.is_to_blame() && seen.silent(now) > stale {
            holders.push((place, seen));
        }
    }
    // Those that wait for room themselves go last.
    holders.sort_by_key(|(_, seen)| (seen.is_waiting(), seen.moved));
    for (place, seen) in holders {
        if over == 0 {
            break;
        }
        going.push((place, Reason::Memory));
        over = over.saturating_sub(seen.bytes);
    }
    going
}

/// Time without progress after which a connection may be closed, the shorter the longer others wait.
fn stale_after(seen: &[Seen], now: u64) -> Duration {
    let waiting = seen.iter().filter(|seen| seen.is_waiting());
    let longest = waiting.map(|seen| now.saturating_sub(seen.since)).max().unwrap_or(0);
    STALE.saturating_sub(Duration::from_millis(longest / 8)).max(LEAST_STALE)
}

/// The place of the connection that has waited for so long that it comes before others. Without that, small
/// requests could always take what a large one waits for. One that is held up by its peer does not come first:
/// it would keep the others out for as long as its peer likes.
pub(super) fn first(seen: &[Seen], now: u64) -> Option<usize> {
    let waiting = seen.iter().enumerate().filter(|(_, seen)| seen.is_waiting());
    let (place, longest) = waiting.min_by_key(|(_, seen)| seen.since)?;
    let waited = Duration::from_millis(now.saturating_sub(longest.since));
    (waited > PRECEDENCE).then_some(place)
}

#[cfg(test)]
mod tests;
