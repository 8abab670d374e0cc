//! What is counted and timed while requests are answered.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::plan::Kind;

/// Longest latency that is told apart, in microseconds. Longer ones count as this.
const LONGEST: u64 = 60_000_000;

/// Counts and latencies of a thread, or of several.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// In microseconds.
    get: Histogram<u64>,
    put: Histogram<u64>,
    remove: Histogram<u64>,
    next: Histogram<u64>,
    /// Requests that were carried out; of iterations, entries.
    pub done: u64,
    /// Among them, those that found no entry.
    pub misses: u64,
    /// Requests that the server did not carry out.
    pub refused: u64,
    /// Why the first of them was not.
    pub refusal: Option<String>,
    /// Bytes, on the wire.
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

    /// A request of this kind was answered after `latency`.
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

    /// The server did not carry a request out, and says why.
    #[cold]
    pub(crate) fn refuse(&mut self, text: &str) {
        self.refused += 1;
        // What servers in Java say goes on with causes, a line each.
        self.refusal.get_or_insert_with(|| text.lines().next().unwrap_or_default().into());
    }

    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.get, &other.get),
            (&mut self.put, &other.put),
            (&mut self.remove, &other.remove),
            (&mut self.next, &other.next),
        ] {
            // Both have the same bounds, which is all that can be wrong.
            let _ = own.add(others);
        }
        self.done += other.done;
        self.misses += other.misses;
        self.refused += other.refused;
        self.refusal = self.refusal.take().or_else(|| other.refusal.clone());
        self.sent += other.sent;
        self.received += other.received;
    }

    /// The latencies of each kind that there was.
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
    /// The latencies of all kinds, if there were any.
    pub(crate) fn all_latencies(&self) -> Option<Histogram<u64>> {
        let mut all = latencies();
        for (_, latencies) in self.latencies() {
            // Both have the same bounds, which is all that can be wrong.
            let _ = all.add(latencies);
        }
        (!all.is_empty()).then_some(all)
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants, and possible")]
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
