//! The command line of the `godwit` program.

mod api;
mod demo;
mod files;
mod metadata;
mod migrate;
mod serve;
mod show;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An in-memory distributed cache server with migration built in.
///
/// Without a subcommand, `godwit` serves: Hot Rod, REST and metrics on 127.0.0.1:11222.
#[derive(Parser)]
#[command(name = "godwit", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::ServeArgs,
}

const EXAMPLES: &str = "\
Examples:
  godwit demo                                  the main job, from start to end, on this machine
  godwit --port-offset 100                     serve beside another server
  godwit --config infinispan.xml               serve the caches of an Infinispan server
  godwit --server-root /opt/infinispan/server  the same, with the caches that were created at run time
  godwit migrate cluster connect -c orders --file remote-store.json
  godwit migrate cluster synchronize -c orders
  godwit migrate cluster verify -c orders
  godwit migrate cluster disconnect -c orders

Exit status: 0 done; 1 failed; 2 wrong arguments; 65 damaged metadata file; 78 wrong configuration;
130 interrupted while it waited.";

#[derive(Subcommand)]
enum Command {
    /// Serve (what `godwit` does by itself).
    Serve(Box<serve::ServeArgs>),
    /// Show a migration from start to end, with clients at work, and prove that nothing was lost.
    Demo(demo::DemoArgs),
    /// Take caches over from an Infinispan or Godwit cluster.
    Migrate(migrate::MigrateArgs),
    /// Show what is in a metadata file, and rescue a damaged one
    Metadata(metadata::MetadataArgs),
    /// Show a server a load, and report what it reaches and what it costs; Hot Rod or memcached.
    Bench(Box<bench::BenchArgs>),
}

/// Runs the program: reads its arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into(), as_json),
    };
    let done = runtime.block_on(async {
        match arguments.command {
            None => serve::run(arguments.serve).await,
            Some(Command::Serve(arguments)) => serve::run(*arguments).await,
            Some(Command::Demo(arguments)) => demo::run(arguments).await,
            Some(Command::Migrate(arguments)) => migrate::run(arguments).await,
            Some(Command::Metadata(arguments)) => metadata::run(&arguments),
            Some(Command::Bench(arguments)) => {
                bench::run(*arguments).await.map(|()| ExitCode::SUCCESS)
            }
        }
    });
    match done {
        Ok(code) => code,
        Err(error) => failed(&error, as_json),
    }
}

/// Exit status for a wrong configuration: EX_CONFIG of sysexits.
const WRONG_CONFIGURATION: u8 = 78;

/// Exit status for a metadata file that cannot be read: EX_DATAERR of sysexits.
const DAMAGED_DATA: u8 = 65;

/// Exit status of a command that was ended by Ctrl-C: 128 + SIGINT, as in shells.
const INTERRUPTED: u8 = 130;

/// Says why something failed: to people, and to programs that read the answer as JSON.
fn failed(error: &anyhow::Error, as_json: bool) -> ExitCode {
    show::error(error);
    if as_json {
        show::line(serde_json::json!({ "error": show::chain(error) }));
    }
    if error.is::<migrate::Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    if let Some(crate::StartError::Data(error)) = error.downcast_ref()
        && error.is_damage()
    {
        return ExitCode::from(DAMAGED_DATA);
    }
    let wrong = error.downcast_ref().is_some_and(crate::StartError::is_wrong_configuration);
    let configuration = wrong || error.downcast_ref::<serve::WrongConfiguration>().is_some();
    if configuration { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::FAILURE }
}
