//! What came out.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{load::Load, plan::Kind, process::Usage, record::Recorder};

/// What a server did under a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the server says of itself.
    pub server: String,
    /// What it was shown.
    pub load: Load,
    /// The first writing of each key, if that was wanted.
    pub fill: Option<Figures>,
    /// What came after that.
    pub run: Option<Figures>,
}

/// Figures of one phase: all connections, from the first request to the last answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Requests that were carried out; of iterations, entries that came.
    pub ops: u64,
    /// How long that took.
    pub seconds: f64,
    /// Of the two.
    pub ops_per_second: f64,
    /// Connections that were used.
    pub connections: u32,
    /// Requests, among those that were carried out, that found no entry.
    pub misses: u64,
    /// Requests that the server did not carry out.
    pub errors: u64,
    /// What it said to the first of them.
    pub first_error: Option<String>,
    /// Bytes of requests.
    pub bytes_sent: u64,
    /// Bytes of answers.
    pub bytes_received: u64,
    /// From the write of a request to the arrival of the last byte of its answer, by kind.
    pub latency: BTreeMap<Kind, Latency>,
    /// The same for all kinds together, if there was a request at all.
    pub latency_of_all: Option<Latency>,
    /// What it cost the server, if its process is known.
    pub server: Option<ServerUsage>,
    /// Processor time of the load generator, in processors: near the number of its threads, it was the
    /// generator that could do no more.
    pub client_cpus: Option<f64>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90 of a hundred took no longer.
    pub p90_us: u64,
    /// 99 of a hundred took no longer.
    pub p99_us: u64,
    /// 999 of a thousand took no longer.
    #[serde(rename = "p99.9_us")]
    pub p99_9_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(latencies: &Histogram<u64>) -> Self {
        Self {
            count: latencies.len(),
            mean_us: latencies.mean(),
            p50_us: latencies.value_at_quantile(0.5),
            p90_us: latencies.value_at_quantile(0.9),
            p99_us: latencies.value_at_quantile(0.99),
            p99_9_us: latencies.value_at_quantile(0.999),
            max_us: latencies.max(),
        }
    }
}

/// Processor time and memory of a server's process, with all its threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerUsage {
    /// Processor time, in its own code and in the system, for each request that was carried out.
    pub cpu_us_per_op: f64,
    /// The same in processors: how many were busy for it.
    pub cpus: f64,
    /// Bytes in memory before.
    pub rss_before: u64,
    /// Bytes in memory after.
    pub rss_after: u64,
}

/// What both sides had used up at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meters {
    pub server: Option<Usage>,
    pub client: Option<Usage>,
}

impl Figures {
    pub(crate) fn new(
        recorder: &Recorder,
        connections: u32,
        time: Duration,
        before: Meters,
        after: Meters,
    ) -> Self {
        let seconds = time.as_secs_f64();
        let cpu = |before: Usage, after: Usage| after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let server = before.server.zip(after.server).map(|(before, after)| ServerUsage {
            cpu_us_per_op: quotient(cpu(before, after) * 1e6, recorder.done as f64),
            cpus: quotient(cpu(before, after), seconds),
            rss_before: before.rss,
            rss_after: after.rss,
        });
        let client = before.client.zip(after.client);
        Self {
            ops: recorder.done,
            seconds,
            ops_per_second: quotient(recorder.done as f64, seconds),
            connections,
            misses: recorder.misses,
            errors: recorder.refused,
            first_error: recorder.refusal.clone(),
            bytes_sent: recorder.sent,
            bytes_received: recorder.received,
            latency: recorder.latencies().map(|(kind, all)| (kind, all.into())).collect(),
            latency_of_all: recorder.all_latencies().as_ref().map(Latency::from),
            server,
            client_cpus: client.map(|(before, after)| quotient(cpu(before, after), seconds)),
        }
    }
}

/// 0 where there is nothing to divide by: JSON knows no infinity.
pub(crate) fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 { dividend / divisor } else { 0.0 }
}

#[cfg(test)]
mod tests;
