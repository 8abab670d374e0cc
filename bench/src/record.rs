//! Counts and times answered requests.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::plan::Kind;

/// Longest recorded latency in microseconds. Longer ones count as this one.
const LONGEST: u64 = 60_000_000;

/// Counts and latencies of one thread or several.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// Latencies in microseconds.
    get: Histogram<u64>,
    put: Histogram<u64>,
    remove: Histogram<u64>,
    next: Histogram<u64>,
    /// Requests that succeeded; for iterations, entries.
    pub done: u64,
    /// Requests among them that found no entry.
    pub misses: u64,
    /// Requests that the server refused.
    pub refused: u64,
    /// The error message for the first of them.
    pub refusal: Option<String>,
    /// Bytes on the wire.
    pub sent: u64,
    pub received: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let latencies = latencies();
        Self {
            get: latencies.clone(),
            put: latencies.clone(),
            remove: latencies.clone(),
            next: latencies,
            done: 0,
            misses: 0,
            refused: 0,
            refusal: None,
            sent: 0,
            received: 0,
        }
    }

    /// Records the latency of a request of this kind.
    #[inline]
    pub(crate) fn latency(&mut self, kind: Kind, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        let latencies = match kind {
            Kind::Get => &mut self.get,
            Kind::Put => &mut self.put,
            Kind::Remove => &mut self.remove,
            Kind::Next => &mut self.next,
        };
        latencies.saturating_record(micros);
    }

    /// Records a request that the server refused with this message.
    #[cold]
    pub(crate) fn refuse(&mut self, text: &str) {
        self.refused += 1;
        // Messages of servers in Java continue with causes, one per line.
        self.refusal.get_or_insert_with(|| text.lines().next().unwrap_or_default().into());
    }

    /// Adds the counts of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.get, &other.get),
            (&mut self.put, &other.put),
            (&mut self.remove, &other.remove),
            (&mut self.next, &other.next),
        ] {
            // Adding fails only for different bounds, and these are the same.
            let _ = own.add(others);
        }
        self.done += other.done;
        self.misses += other.misses;
        self.refused += other.refused;
        self.refusal = self.refusal.take().or_else(|| other.refusal.clone());
        self.sent += other.sent;
        self.received += other.received;
    }

    /// Returns the latencies of each kind that occurred.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (Kind, &Histogram<u64>)> {
        [
            (Kind::Get, &self.get),
            (Kind::Put, &self.put),
            (Kind::Remove, &self.remove),
            (Kind::Next, &self.next),
        ]
        .into_iter()
        .filter(|(_, latencies)| !latencies.is_empty())
    }
}

impl Recorder {
    /// Returns the latencies of all kinds together, if there are any.
    pub(crate) fn all_latencies(&self) -> Option<Histogram<u64>> {
        let mut all = latencies();
        for (_, latencies) in self.latencies() {
            // Adding fails only for different bounds, and these are the same.
            let _ = all.add(latencies);
        }
        (!all.is_empty()).then_some(all)
    }
}

#[expect(clippy::expect_used, reason = "the bounds are valid constants")]
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("1 to 60,000,000 with three digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_kept_by_kind_and_added_up() {
        let mut one = Recorder::new();
        let mut other = Recorder::new();
        for micros in 1..=100 {
            one.latency(Kind::Get, Duration::from_micros(micros));
            other.latency(Kind::Get, Duration::from_micros(micros + 100));
        }
        other.latency(Kind::Put, Duration::from_secs(3_600));
        other.refuse("full\ncaused by many entries");
        one.add(&other);

        let kinds: Vec<_> =
            one.latencies().map(|(kind, latencies)| (kind, latencies.len())).collect();
        assert_eq!(kinds, [(Kind::Get, 200), (Kind::Put, 1)]);
        assert_eq!(one.get.value_at_quantile(0.5), 100);
        assert_eq!(one.get.value_at_quantile(0.99), 198);
        assert!(one.put.max() >= LONGEST, "an hour counts as a minute");
        assert_eq!((one.refused, one.refusal.as_deref()), (1, Some("full")));
    }
}
