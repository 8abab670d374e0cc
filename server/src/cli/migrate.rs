//! `godwit migrate`: a migration by hand, through the server's REST interface.

mod connection;
mod interrupted;
mod progress;
mod status;
mod synchronize;
mod verify;

use std::{cell::Cell, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::{
    connection::{connect, disconnect, source_connection},
    status::status,
    synchronize::synchronize,
    verify::verify,
};
pub(super) use self::{interrupted::Interrupted, progress::progress_bar};
use super::{
    api::{Api, segment},
    show,
};

#[derive(Args)]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Take a cache over from another cluster
    #[command(subcommand)]
    Cluster(Step),
}

/// Where the target is unless it is given.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:11222";

/// Where the server is, and which cache is meant.
#[derive(Args)]
struct Target {
    /// The cache
    #[arg(short, long)]
    cache: String,

    #[command(flatten)]
    server: ServerArgs,

    /// Set once the target has begun the job that this command waits for.
    #[arg(skip)]
    has_begun: Cell<bool>,
}

#[derive(Args)]
struct ServerArgs {
    // The variable is read here and not by clap, which would show the flag as a required one wherever the variable is
    // set.
    /// The target server [env: GODWIT_SERVER] [default: http://127.0.0.1:11222]
    #[arg(short, long)]
    server: Option<String>,

    /// Print answers as JSON
    #[arg(long)]
    json: bool,
}

/// How fast a job is, at most.
#[derive(Args)]
struct RateArgs {
    /// Most entries in a second
    #[arg(long, value_name = "N")]
    entries_per_second: Option<u64>,

    /// Most bytes of keys and values in a second
    #[arg(long, value_name = "N")]
    bytes_per_second: Option<u64>,
}

#[derive(Subcommand)]
enum Step {
    /// Connect a cache to its source
    ///
    /// The target may still connect the cache although this command is ended by Ctrl-C: `status` shows whether it has,
    /// `disconnect --force` undoes it.
    Connect {
        #[command(flatten)]
        target: Target,
        /// JSON document with a remote-store element, as in the Data Grid manual
        #[arg(short, long)]
        file: PathBuf,
        /// Start anew although the cache had a source before: keys that were removed here may come back
        #[arg(long)]
        fresh: bool,
    },
    /// Show how a cache is connected
    SourceConnection {
        #[command(flatten)]
        target: Target,
    },
    /// Copy every entry from the source
    ///
    /// The target copies, and goes on although this command is ended by Ctrl-C: `status` shows how far it is, `cancel`
    /// stops it, and the same command waits for its end again. If it copies already, rates that are given here hold for
    /// it from now on.
    Synchronize {
        #[command(flatten)]
        target: Target,
        /// Entries that the source is asked for at a time
        #[arg(short = 'b', long)]
        read_batch: Option<u32>,
        /// Parts of the source that are copied at a time
        #[arg(short, long)]
        threads: Option<u32>,
        #[command(flatten)]
        rates: RateArgs,
    },
    /// Show where a migration stands; of all caches, unless one is named
    Status {
        /// The cache
        #[arg(short, long)]
        cache: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Stop copying, or verifying, until it is resumed
    Pause {
        #[command(flatten)]
        target: Target,
    },
    /// Go on copying, or verifying
    Resume {
        #[command(flatten)]
        target: Target,
    },
    /// End copying, or verifying: what was copied stays, and a verification that was cancelled proves nothing
    Cancel {
        #[command(flatten)]
        target: Target,
    },
    /// Limit how fast the running job copies, or verifies; without limits, as fast as it goes
    Throttle {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        rates: RateArgs,
    },
    /// Compare every entry with the source
    ///
    /// The target compares, and goes on although this command is ended by Ctrl-C: `status` shows how far it is,
    /// `cancel` stops it, and the same command waits for its end again. If it compares already, rates that are given
    /// here hold for it from now on.
    Verify {
        #[command(flatten)]
        target: Target,
        /// Fetch again what is missing or different
        #[arg(long)]
        repair: bool,
        /// Parts of the source that are compared at a time
        #[arg(short, long)]
        threads: Option<u32>,
        #[command(flatten)]
        rates: RateArgs,
    },
    /// Go on with a source that, or a server of which, was started again, or that is another one
    AcceptSourceLoss {
        #[command(flatten)]
        target: Target,
    },
    /// Go on although entries that clients wrote here were lost with the process
    AcceptLoss {
        #[command(flatten)]
        target: Target,
    },
    /// Disconnect a cache from its source; refused if entries would be lost
    Disconnect {
        #[command(flatten)]
        target: Target,
        /// Refuse also if nobody knows whether entries would be lost: nothing was verified, the last verification did
        /// not come to its end, or entries were evicted
        #[arg(long, conflicts_with = "force")]
        strict: bool,
        /// Disconnect whatever is lost, and say what was left behind
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(arguments: MigrateArgs) -> anyhow::Result<ExitCode> {
    let What::Cluster(step) = arguments.what;
    // Whatever a command waits for: the target goes on without it.
    tokio::select! {
        done = carry_out(&step) => done,
        Ok(()) = tokio::signal::ctrl_c() => Err(Interrupted::at(&step).into()),
    }
}

async fn carry_out(step: &Step) -> anyhow::Result<ExitCode> {
    match step {
        Step::Connect { target, file, fresh } => connect(target, file, *fresh).await,
        Step::SourceConnection { target } => source_connection(target).await,
        Step::Synchronize { target, read_batch, threads, rates } => {
            synchronize(target, *read_batch, *threads, rates).await
        }
        Step::Status { cache, server } => status(cache.as_deref(), server).await,
        Step::Pause { target } => act(target, "pause", None).await,
        Step::Resume { target } => act(target, "resume", None).await,
        Step::Cancel { target } => act(target, "cancel", None).await,
        Step::Throttle { target, rates } => {
            let rates = json!({
                "entriesPerSecond": rates.entries_per_second,
                "bytesPerSecond": rates.bytes_per_second,
            });
            act(target, "throttle", Some(rates)).await
        }
        Step::Verify { target, repair, threads, rates } => {
            verify(target, *repair, *threads, rates).await
        }
        Step::AcceptSourceLoss { target } => act(target, "accept-source-loss", None).await,
        Step::AcceptLoss { target } => act(target, "accept-loss", None).await,
        Step::Disconnect { target, strict, force } => disconnect(target, *strict, *force).await,
    }
}

impl ServerArgs {
    fn api(&self) -> anyhow::Result<Api> {
        let variable = std::env::var("GODWIT_SERVER").ok();
        let server = self.server.as_deref().or(variable.as_deref());
        Api::new(server.unwrap_or(DEFAULT_SERVER))
    }
}

impl RateArgs {
    /// The rates as parameters of a request, each with the sign before it.
    fn parameters(&self) -> String {
        let rates = [
            ("entries-per-second", self.entries_per_second),
            ("bytes-per-second", self.bytes_per_second),
        ];
        let given = rates.into_iter().filter_map(|(name, rate)| Some(format!("&{name}={}", rate?)));
        given.collect()
    }
}

impl Target {
    fn api(&self) -> anyhow::Result<Api> {
        self.server.api()
    }

    fn path(&self, rest: &str) -> String {
        format!("/rest/v2/caches/{}{rest}", segment(&self.cache))
    }
}

async fn act(target: &Target, action: &str, body: Option<Value>) -> anyhow::Result<ExitCode> {
    let path = target.path(&format!("/rolling-upgrade?action={action}"));
    let body = body.map(|body| body.to_string().into_bytes());
    target.api()?.post(&path, body).await?.success()?;
    say(target.server.json, json!({ "done": action }), || done(action).to_owned());
    Ok(ExitCode::SUCCESS)
}

/// What is so now that this was done.
fn done(action: &str) -> &'static str {
    match action {
        "pause" => {
            "Paused: nothing is copied or compared until it is resumed. Clients still read through."
        }
        "resume" => "It goes on; status shows how far it is.",
        "cancel" => {
            "Cancelled. What was copied stays, and resume copies the rest; a verification begins anew with verify."
        }
        "throttle" => "The running job keeps to these limits, and to no others, from now on.",
        "accept-source-loss" => {
            "The source counts as it is now. Next: synchronize if not everything is here, or verify."
        }
        "accept-loss" => "The cache serves again, without what was lost.",
        _ => "Done.",
    }
}

/// What the operator should know, on standard error.
fn remark(notices: &[String]) {
    notices.iter().for_each(|notice| show::note(format_args!("note: {notice}")));
}

fn say(as_json: bool, json: Value, text: impl FnOnce() -> String) {
    if as_json { show::line(json) } else { show::line(text()) }
}
