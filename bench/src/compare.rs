//! Compares several servers under the same loads.
//!
//! Rounds are interleaved (A, B, A, B, …), so that other activity on the machine affects all
//! targets. The figure of a target is the median of its rounds; ratios are to the first target.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    error::{BenchError, LoadError},
    load::{Amount, Load, Mix, Protocol, ValueSizes, Work},
    phase::measure,
    plan::Kind,
    report::{Figures, Latency, Report, ServerUsage, quotient},
    target::Target,
};

/// The loads to compare: every mix, at every depth, with every size of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrix {
    /// Kinds of requests.
    pub mixes: Vec<Mix>,
    /// Requests in flight on each connection.
    pub depths: Vec<u32>,
    /// Bytes of values.
    pub value_sizes: Vec<ValueSizes>,
}

/// Number and length of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// Rounds of each target in each cell.
    pub rounds: u32,
    /// Length of one round.
    pub round: Amount,
    /// How long each target is warmed up before the rounds of a cell.
    #[serde(rename = "warm_up_seconds", serialize_with = "crate::load::seconds")]
    pub warm_up: Duration,
}

/// Results of several servers under the same loads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The command that repeats the comparison.
    pub command: String,
    /// Version of the load generator.
    pub version: &'static str,
    /// The servers. Ratios are to the first.
    pub targets: Vec<Compared>,
    /// Number and length of the measurements.
    pub pace: Pace,
    /// Connections of each load.
    pub connections: u32,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of a key.
    pub key_size: usize,
    /// The fills, each of which writes every key once, by size of values.
    pub fills: Vec<Filled>,
    /// The results of each mix, depth and size.
    pub cells: Vec<Cell>,
}

/// A server in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Name of the target.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Host and port.
    pub address: String,
    /// The name and version that the server reports.
    pub server: String,
}

/// A fill with values of one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filled {
    /// Bytes of values.
    pub value_size: ValueSizes,
    /// Results in the order of the targets.
    pub targets: Vec<FilledTarget>,
}

/// Result of a target for a fill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilledTarget {
    /// Name of the target.
    pub name: String,
    /// Keys written per second.
    pub ops_per_second: f64,
    /// Resource usage, if the process is known. Only the first fill shows the memory that entries
    /// take.
    pub server: Option<ServerUsage>,
}

/// One mix at one depth with one size of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Kinds of requests.
    pub mix: Mix,
    /// Requests in flight on each connection.
    pub depth: u32,
    /// Bytes of values.
    pub value_size: ValueSizes,
    /// Results in the order of the targets.
    pub targets: Vec<Measured>,
}

/// Medians over the rounds of a target in a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Name of the target.
    pub name: String,
    /// Requests per second.
    pub ops_per_second: f64,
    /// Ratio of that to the first target's: above 1, this target is faster.
    pub ops_ratio: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// Ratio of that to the first target's: below 1, this target is faster.
    pub p99_ratio: f64,
    /// 99.9th percentile of the latency in microseconds.
    #[serde(rename = "p99.9_us")]
    pub p99_9_us: f64,
    /// Processor time of the server per request in microseconds, if its process is known.
    pub cpu_us_per_op: Option<f64>,
    /// Ratio of that to the first target's: below 1, this target is cheaper.
    pub cpu_ratio: Option<f64>,
    /// Number of processors that the load generator kept busy.
    pub client_cpus: Option<f64>,
    /// Number of requests that the server refused, over all rounds.
    pub errors: u64,
    /// The error message for the first of them.
    pub first_error: Option<String>,
    /// Number of requests that found no entry, over all rounds.
    pub misses: u64,
    /// Requests per second in each round.
    pub rounds: Vec<f64>,
    /// Latencies by kind in each round.
    pub latency: BTreeMap<Kind, Vec<Latency>>,
}

/// Requests in flight on each connection during a fill.
const FILL_DEPTH: u32 = 16;

/// Compares servers. `common` holds what all targets and cells share; `command` is the command line
/// that repeats the comparison; `before` is called with a description of each measurement before it
/// starts.
///
/// # Errors
///
/// If a load is impossible, or one of the servers cannot be used or answers wrongly.
pub async fn compare_targets(
    command: String,
    common: &Load,
    targets: &[Target],
    matrix: &Matrix,
    pace: Pace,
    before: &mut (dyn FnMut(&str) + Send),
) -> Result<Comparison, BenchError> {
    check(common, targets, matrix, pace)?;
    let mut run = Run { common, targets, pace, before, servers: Vec::new() };
    let mut fills = Vec::new();
    let mut cells = Vec::new();
    for value_size in &matrix.value_sizes {
        fills.push(run.fill(value_size).await?);
        for mix in &matrix.mixes {
            for depth in &matrix.depths {
                cells.push(run.cell(*mix, *depth, value_size).await?);
            }
        }
    }
    let compared = targets.iter().zip(run.servers).map(|(target, server)| {
        let Target { name, protocol, address, .. } = target.clone();
        Compared { name, protocol, address, server }
    });
    Ok(Comparison {
        command,
        version: env!("CARGO_PKG_VERSION"),
        targets: compared.collect(),
        pace,
        connections: common.connections,
        keys: common.keys,
        key_size: common.key_size,
        fills,
        cells,
    })
}

/// Returns the number of measurements in a comparison.
pub(crate) fn steps(targets: usize, matrix: &Matrix, pace: Pace) -> u64 {
    let fills = matrix.value_sizes.len();
    let cells = fills * matrix.mixes.len() * matrix.depths.len();
    let refills = match matrix.depths.len() * matrix.mixes.len() {
        0 => 0,
        _ => fills * matrix.depths.len() * matrix.mixes.iter().filter(|mix| mix.removes()).count(),
    };
    let rounds = pace.rounds as usize + usize::from(!pace.warm_up.is_zero());
    (targets * (fills + refills + cells * rounds)) as u64
}

/// Checks all loads before anything is written to a server.
fn check(common: &Load, targets: &[Target], matrix: &Matrix, pace: Pace) -> Result<(), LoadError> {
    for (index, target) in targets.iter().enumerate() {
        if targets.iter().take(index).any(|other| other.name == target.name) {
            return Err(LoadError::TwoOfOneName(target.name.clone()));
        }
        for depth in &matrix.depths {
            for mix in &matrix.mixes {
                let work = Some(Work::Requests { mix: *mix, amount: pace.round });
                load(common, target, *depth, &ValueSizes::fixed(0), work).check()?;
            }
        }
    }
    let [rounds, targets] = [pace.rounds as usize, targets.len()];
    for (what, is) in [("rounds", rounds), ("targets", targets)] {
        let most = 1_000;
        if !(1..=most).contains(&is) {
            return Err(LoadError::Bounds { what, is: is as u64, least: 1, most: most as u64 });
        }
    }
    Ok(())
}

fn load(
    common: &Load,
    target: &Target,
    depth: u32,
    value_sizes: &ValueSizes,
    work: Option<Work>,
) -> Load {
    Load {
        protocol: target.protocol,
        address: target.address.clone(),
        server_pid: target.pid,
        depth,
        value_sizes: value_sizes.clone(),
        fill: work.is_none(),
        work,
        ..common.clone()
    }
}

struct Run<'a> {
    common: &'a Load,
    targets: &'a [Target],
    pace: Pace,
    before: &'a mut (dyn FnMut(&str) + Send),
    /// The names and versions that the servers report.
    servers: Vec<String>,
}

impl Run<'_> {
    async fn fill(&mut self, value_size: &ValueSizes) -> Result<Filled, BenchError> {
        let mut filled = Vec::new();
        let mut servers = Vec::new();
        for target in self.targets {
            (self.before)(&format!("{}: fill, values of {value_size}", target.name));
            let load = load(self.common, target, FILL_DEPTH, value_size, None);
            let Report { server, fill, .. } = measure(&load).await?;
            servers.push(server);
            filled.extend(fill.map(|figures| FilledTarget {
                name: target.name.clone(),
                ops_per_second: figures.ops_per_second,
                server: figures.server,
            }));
        }
        self.servers = servers;
        Ok(Filled { value_size: value_size.clone(), targets: filled })
    }

    async fn cell(
        &mut self,
        mix: Mix,
        depth: u32,
        value_size: &ValueSizes,
    ) -> Result<Cell, BenchError> {
        let mut rounds = vec![Vec::new(); self.targets.len()];
        let warm_up = (!self.pace.warm_up.is_zero()).then_some(Amount::Time(self.pace.warm_up));
        let amounts = warm_up.into_iter().map(|amount| (0, amount));
        let amounts = amounts.chain((1..=self.pace.rounds).map(|round| (round, self.pace.round)));
        for (round, amount) in amounts {
            for (target, figures) in self.targets.iter().zip(&mut rounds) {
                let of = self.pace.rounds;
                let what =
                    if round == 0 { "warm-up".into() } else { format!("round {round}/{of}") };
                let name = &target.name;
                (self.before)(&format!(
                    "{name}: {mix}, depth {depth}, values of {value_size}, {what}"
                ));
                let work = Some(Work::Requests { mix, amount });
                let mut load = load(self.common, target, depth, value_size, work);
                // Each round sends different requests, the same ones to each target.
                load.seed = load.seed.wrapping_add(round.into());
                let report = measure(&load).await?;
                figures.extend(report.run.filter(|_| round > 0));
            }
        }
        if mix.removes() {
            self.fill(value_size).await?;
        }
        let targets = self.targets.iter().zip(rounds);
        let mut targets: Vec<_> =
            targets.map(|(target, rounds)| Measured::new(target.name.clone(), &rounds)).collect();
        if let Some(first) = targets.first().cloned() {
            targets.iter_mut().for_each(|target| target.relate_to(&first));
        }
        Ok(Cell { mix, depth, value_size: value_size.clone(), targets })
    }
}

impl Measured {
    fn new(name: String, rounds: &[Figures]) -> Self {
        let median_of = |figure: fn(&Figures) -> Option<f64>| -> Option<f64> {
            median(rounds.iter().filter_map(figure).collect())
        };
        let mut latency: BTreeMap<Kind, Vec<Latency>> = BTreeMap::new();
        for (kind, latencies) in rounds.iter().flat_map(|round| &round.latency) {
            latency.entry(*kind).or_default().push(*latencies);
        }
        Self {
            name,
            ops_per_second: median_of(|round| Some(round.ops_per_second)).unwrap_or_default(),
            ops_ratio: 1.0,
            p50_us: median_of(|round| Some(round.latency_of_all?.p50_us as f64))
                .unwrap_or_default(),
            p99_us: median_of(|round| Some(round.latency_of_all?.p99_us as f64))
                .unwrap_or_default(),
            p99_ratio: 1.0,
            p99_9_us: median_of(|round| Some(round.latency_of_all?.p99_9_us as f64))
                .unwrap_or_default(),
            cpu_us_per_op: median_of(|round| Some(round.server?.cpu_us_per_op)),
            cpu_ratio: None,
            client_cpus: median_of(|round| round.client_cpus),
            errors: rounds.iter().map(|round| round.errors).sum(),
            first_error: rounds.iter().find_map(|round| round.first_error.clone()),
            misses: rounds.iter().map(|round| round.misses).sum(),
            rounds: rounds.iter().map(|round| round.ops_per_second).collect(),
            latency,
        }
    }

    fn relate_to(&mut self, first: &Self) {
        self.ops_ratio = quotient(self.ops_per_second, first.ops_per_second);
        self.p99_ratio = quotient(self.p99_us, first.p99_us);
        let cpu = self.cpu_us_per_op.zip(first.cpu_us_per_op);
        self.cpu_ratio = cpu.map(|(own, first)| quotient(own, first));
    }
}

/// Returns the median, the mean of the two middle numbers if there are two.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let upper = numbers.get(numbers.len() / 2)?;
    let lower = numbers.get((numbers.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn two_targets_of_one_name_are_refused() {
        let targets = ["a=hotrod:h:1", "b=hotrod:h:2", "a=memcached:h:3"];
        let targets = targets.map(|target| target.parse().unwrap());
        let matrix = Matrix {
            mixes: vec!["get".parse().unwrap()],
            depths: vec![1],
            value_sizes: vec![ValueSizes::fixed(1)],
        };
        let pace = Pace { rounds: 1, round: Amount::Requests(1), warm_up: Duration::ZERO };
        let refused = check(&Load::default(), &targets, &matrix, pace);
        assert_eq!(refused, Err(LoadError::TwoOfOneName("a".into())));
        assert_eq!(check(&Load::default(), &targets[..2], &matrix, pace), Ok(()));
        let none = Pace { rounds: 0, ..pace };
        assert!(check(&Load::default(), &targets[..2], &matrix, none).is_err());
    }
}
