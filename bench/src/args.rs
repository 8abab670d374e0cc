//! The command line: `godwit bench`.

use std::{num::ParseFloatError, time::Duration};

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::{
    compare::{Comparison, Matrix, Pace, compare_targets, steps},
    load::{Amount, Load, Mix, Protocol, ValueSizes, Work},
    phase::measure,
    report::Report,
    show,
    target::Target,
};

const EXAMPLES: &str = "\
Examples:
  godwit bench -c bench                              Godwit on this machine: 80% gets, 20% puts, 10 s
  godwit bench -c bench --mix get --depth 16 --value-size 100:9,4096:1
  godwit bench --protocol memcached --server-pid $(pidof memcached)
  godwit bench -c orders --no-fill --mix get --requests 1000000 --json
  godwit bench iterate -c orders --connections 4     entries in a second, with their metadata
  godwit bench compare -c bench --target godwit=hotrod:127.0.0.1:11222:$(pidof godwit) \\
                                --target memcached=memcached:127.0.0.1:11211:$(pidof memcached) \\
                                --mix get,put --depth 1,16 --value-size 100 --value-size 4096

Keys are numbers with leading zeros. They are written to the named cache and stay there. Create a cache with:
curl -X POST 'http://127.0.0.1:11222/rest/v2/caches/bench?template=org.infinispan.DIST_SYNC'

Server and load generator should not share processors; the generator uses --threads threads:
  taskset -c 0 godwit &
  taskset -c 1 godwit bench -c bench --server-pid $(pidof -s godwit)

The loop is closed: each connection keeps --depth requests in flight, and sends the next one when one is answered.
Latencies are therefore those at the rate that the server reached.

Exit status: 0 done; 1 the server cannot be used, refused requests, or answered wrongly; 2 wrong arguments.";

/// Puts a load on a server, and reports operations per second, latencies and resource usage.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    line: LineArgs,

    /// Connections, all in use at once
    #[arg(long, default_value_t = 50, value_name = "N")]
    connections: u32,

    /// Requests that each connection keeps in flight; answered ones are replaced in one write
    #[arg(long, default_value_t = 1, value_name = "N")]
    depth: u32,

    /// Bytes of values, or several sizes with weights, such as 100:9,4096:1
    #[arg(long, default_value = "100", value_name = "BYTES")]
    value_size: ValueSizes,

    /// Kinds of requests: get, put, remove, or percentages GET/PUT or GET/PUT/REMOVE
    #[arg(long, default_value = "80/20", value_name = "MIX")]
    mix: Mix,

    #[command(flatten)]
    amount: AmountArgs,

    /// Do not write each key once first
    #[arg(long, conflicts_with = "fill_only")]
    no_fill: bool,

    /// Write each key once and stop
    #[arg(long)]
    fill_only: bool,
}

#[derive(Subcommand, Debug)]
enum BenchCommand {
    /// Iterate over all entries of a cache with their metadata, as a migration does
    Iterate(IterateArgs),
    /// Compare servers under the same loads
    Compare(CompareArgs),
}

/// Iterates over all entries of a cache.
#[derive(Args, Debug)]
pub struct IterateArgs {
    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    line: LineArgs,

    /// Connections, each with its part of the segments; only one if the server reports no segments
    #[arg(long, default_value_t = 4, value_name = "N")]
    connections: u32,

    /// Most entries in one answer
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    batch: u32,

    /// Write each key once first
    #[arg(long)]
    fill: bool,

    /// Bytes of the values to write
    #[arg(long, default_value = "100", value_name = "BYTES")]
    value_size: ValueSizes,
}

/// Compares servers under the same loads: medians of interleaved rounds, and ratios to the first target.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// A server: name, protocol (hotrod or memcached), address and process. Repeat it for each
    /// server
    #[arg(long = "target", required = true, value_name = "NAME=PROTOCOL:HOST:PORT[:PID]")]
    targets: Vec<Target>,

    /// The cache, for targets that have several [default: the default cache of the server]
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "NAME")]
    cache: String,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    line: LineArgs,

    /// Connections, all in use at once
    #[arg(long, default_value_t = 50, value_name = "N")]
    connections: u32,

    /// Kinds of requests: get, put, remove, or percentages GET/PUT or GET/PUT/REMOVE
    #[arg(long, default_value = "get,put", value_delimiter = ',', value_name = "MIX,..")]
    mix: Vec<Mix>,

    /// Requests that each connection keeps in flight
    #[arg(long, default_value = "1,16", value_delimiter = ',', value_name = "N,..")]
    depth: Vec<u32>,

    /// Bytes of values, or several sizes with weights. May be given several times
    #[arg(long, default_value = "100", value_name = "BYTES")]
    value_size: Vec<ValueSizes>,

    /// Rounds of each target, in turns
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,

    #[command(flatten)]
    amount: AmountArgs,

    /// Seconds of warm-up for each target before its first round of a kind
    #[arg(long, default_value = "1", value_parser = duration, value_name = "SECONDS")]
    warm_up: Duration,
}

/// The server to measure.
#[derive(Args, Debug)]
struct ServerArgs {
    /// Protocol to use
    #[arg(long, value_enum, default_value_t = Protocol::HotRod)]
    protocol: Protocol,

    /// Host and port [default: 127.0.0.1 with the usual port of the protocol]
    #[arg(short, long, value_name = "HOST:PORT")]
    address: Option<String>,

    /// The cache [default: the default cache of the server]
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "NAME")]
    cache: String,

    /// Process id of a server on this machine, to report its processor time and memory as well
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

/// The keys to use.
#[derive(Args, Debug)]
struct DataArgs {
    /// Number of keys, all equally likely
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    keys: u64,

    /// Bytes of a key
    #[arg(long, default_value_t = 16, value_name = "BYTES")]
    key_size: usize,
}

/// How to measure and report.
#[derive(Args, Debug)]
struct LineArgs {
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: u32,

    /// Seed of the random requests: the same seed sends the same requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Seconds without a byte from a server with requests in flight, after which the run fails
    #[arg(long, default_value = "10", value_parser = duration, value_name = "SECONDS")]
    timeout: Duration,

    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// When a run ends: after some seconds, or after a number of requests.
#[derive(Args, Debug)]
struct AmountArgs {
    /// Seconds for which to send requests
    #[arg(long, default_value = "10", value_parser = duration, value_name = "SECONDS")]
    seconds: Duration,

    /// Send this many requests instead
    #[arg(long, conflicts_with = "seconds", value_name = "N")]
    requests: Option<u64>,
}

impl AmountArgs {
    fn amount(&self) -> Amount {
        self.requests.map_or(Amount::Time(self.seconds), Amount::Requests)
    }
}

/// Why a text is not a number of seconds.
#[derive(Debug, thiserror::Error)]
enum NotSeconds {
    #[error(transparent)]
    Number(#[from] ParseFloatError),
    #[error(transparent)]
    Duration(#[from] std::time::TryFromFloatSecsError),
}

fn duration(text: &str) -> Result<Duration, NotSeconds> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

impl BenchArgs {
    fn load(&self) -> Load {
        let work = Work::Requests { mix: self.mix, amount: self.amount.amount() };
        Load {
            connections: self.connections,
            depth: self.depth,
            value_sizes: self.value_size.clone(),
            fill: !self.no_fill,
            work: (!self.fill_only).then_some(work),
            ..load(&self.data, &self.line).at(&self.server)
        }
    }
}

impl IterateArgs {
    fn load(&self) -> Load {
        Load {
            connections: self.connections,
            depth: 16,
            value_sizes: self.value_size.clone(),
            fill: self.fill,
            work: Some(Work::Iterate { batch: self.batch }),
            ..load(&self.data, &self.line).at(&self.server)
        }
    }
}

impl CompareArgs {
    fn load(&self) -> Load {
        Load {
            cache: self.cache.clone(),
            connections: self.connections,
            ..load(&self.data, &self.line)
        }
    }

    fn matrix(&self) -> Matrix {
        Matrix {
            mixes: self.mix.clone(),
            depths: self.depth.clone(),
            value_sizes: self.value_size.clone(),
        }
    }

    fn pace(&self) -> Pace {
        Pace { rounds: self.rounds, round: self.amount.amount(), warm_up: self.warm_up }
    }

    /// Returns the command with all its settings, including defaults.
    fn command(&self) -> String {
        let mut words = vec!["godwit bench compare".to_owned()];
        let mut add =
            |name: &str, value: String| words.push(format!("--{name} {}", quoted(&value)));
        self.targets.iter().for_each(|target| add("target", target.to_string()));
        if !self.cache.is_empty() {
            add("cache", self.cache.clone());
        }
        add("mix", joined(&self.mix));
        add("depth", joined(&self.depth));
        self.value_size.iter().for_each(|sizes| add("value-size", sizes.to_string()));
        add("keys", self.data.keys.to_string());
        add("key-size", self.data.key_size.to_string());
        add("connections", self.connections.to_string());
        add("rounds", self.rounds.to_string());
        match self.amount.amount() {
            Amount::Requests(requests) => add("requests", requests.to_string()),
            Amount::Time(time) => add("seconds", time.as_secs_f64().to_string()),
        }
        add("warm-up", self.warm_up.as_secs_f64().to_string());
        add("threads", self.line.threads.to_string());
        add("seed", self.line.seed.to_string());
        add("timeout", self.line.timeout.as_secs_f64().to_string());
        words.join(" ")
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// Quotes a word so that a shell reads it as one word.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=,@%+".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn load(data: &DataArgs, line: &LineArgs) -> Load {
    Load {
        keys: data.keys,
        key_size: data.key_size,
        threads: line.threads,
        seed: line.seed,
        timeout: line.timeout,
        ..Load::default()
    }
}

impl Load {
    fn at(self, server: &ServerArgs) -> Self {
        let usual = match server.protocol {
            Protocol::HotRod => "127.0.0.1:11222",
            Protocol::Memcached => "127.0.0.1:11211",
        };
        Self {
            protocol: server.protocol,
            address: server.address.clone().unwrap_or_else(|| usual.into()),
            cache: server.cache.clone(),
            server_pid: server.server_pid,
            ..self
        }
    }
}

/// Runs the command line and prints the figures.
///
/// # Errors
///
/// If the server cannot be used, or refused requests.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        None => single(&args.load(), args.line.json).await,
        Some(BenchCommand::Iterate(args)) => single(&args.load(), args.line.json).await,
        Some(BenchCommand::Compare(args)) => compare(args).await,
    }
}

async fn single(load: &Load, json: bool) -> anyhow::Result<()> {
    let progress = show::spinner(format!("{} at {}", load.protocol, load.address));
    let report = measure(load).await;
    progress.finish_and_clear();
    let report = report?;
    show::print(json, &report, show::report)?;
    check(&report)
}

/// Compares servers, and prints the figures.
///
/// # Errors
///
/// If one of the servers cannot be used, or refused requests.
pub async fn compare(args: CompareArgs) -> anyhow::Result<()> {
    let (matrix, pace) = (args.matrix(), args.pace());
    let progress = show::bar(steps(args.targets.len(), &matrix, pace));
    let mut is_first = true;
    let mut before = |what: &str| {
        if !std::mem::take(&mut is_first) {
            progress.inc(1);
        }
        progress.set_message(what.to_owned());
    };
    let (command, common) = (args.command(), args.load());
    let comparison =
        compare_targets(command, &common, &args.targets, &matrix, pace, &mut before).await;
    progress.finish_and_clear();
    let comparison = comparison?;
    show::print(args.line.json, &comparison, show::comparison)?;
    check_all(&comparison)
}

fn check(report: &Report) -> anyhow::Result<()> {
    for figures in [&report.fill, &report.run].into_iter().flatten() {
        if let Some(text) = &figures.first_error {
            bail!("the server refused {} requests; to the first it said: {text}", figures.errors);
        }
    }
    Ok(())
}

fn check_all(comparison: &Comparison) -> anyhow::Result<()> {
    for target in comparison.cells.iter().flat_map(|cell| &cell.targets) {
        if let Some(text) = &target.first_error {
            let (name, errors) = (&target.name, target.errors);
            bail!("{name} refused {errors} requests; to the first it said: {text}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
