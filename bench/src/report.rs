//! Results of a measurement.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{load::Load, plan::Kind, process::Usage, record::Recorder};

/// Results of a load on a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The name and version that the server reports.
    pub server: String,
    /// The load.
    pub load: Load,
    /// The fill, which writes each key once, if it was asked for.
    pub fill: Option<Figures>,
    /// The work after that.
    pub run: Option<Figures>,
}

/// Figures of one phase: all connections, from the first request to the last answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Requests that succeeded; for iterations, entries received.
    pub ops: u64,
    /// Duration of the phase in seconds.
    pub seconds: f64,
    /// Rate: `ops` per second.
    pub ops_per_second: f64,
    /// Number of connections.
    pub connections: u32,
    /// Requests among the successful ones that found no entry.
    pub misses: u64,
    /// Requests that the server refused.
    pub errors: u64,
    /// The error message for the first of them.
    pub first_error: Option<String>,
    /// Bytes of requests.
    pub bytes_sent: u64,
    /// Bytes of answers.
    pub bytes_received: u64,
    /// From the write of a request to the arrival of the last byte of its answer, by kind.
    pub latency: BTreeMap<Kind, Latency>,
    /// The same for all kinds together, if there was any request.
    pub latency_of_all: Option<Latency>,
    /// Resource usage of the server, if its process is known.
    pub server: Option<ServerUsage>,
    /// Number of processors that the load generator kept busy. Near the number of its threads, the
    /// generator was the bottleneck.
    pub client_cpus: Option<f64>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Number of requests.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    #[serde(rename = "p99.9_us")]
    pub p99_9_us: u64,
    /// Maximum.
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
    /// Processor time in user and kernel mode per successful request, in microseconds.
    pub cpu_us_per_op: f64,
    /// Number of processors that were busy with it.
    pub cpus: f64,
    /// Resident memory in bytes before the phase.
    pub rss_before: u64,
    /// Resident memory in bytes after the phase.
    pub rss_after: u64,
}

/// Resource usage of both sides at one time.
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

/// Divides, with 0 for a division by zero: JSON has no infinity.
pub(crate) fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 { dividend / divisor } else { 0.0 }
}

#[cfg(test)]
mod tests;
