//! `godwit metadata`: what a metadata file holds, and what can be rescued of a damaged one.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use cluster::{Clock, Finding};

use super::show;

#[derive(Args)]
pub(super) struct MetadataArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the commands in a metadata file, damaged or not; exit status 65 if a part of it is damaged
    Inspect {
        /// The file, or the data directory with it
        file: PathBuf,
    },
    /// Write what can be read of a metadata file to a new file, and say what is lost
    Salvage {
        /// The file, or the data directory with it; it is left as it is
        file: PathBuf,
        /// The new file, which must not be there yet [default: FILE.salvaged]
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

pub(super) fn run(arguments: &MetadataArgs) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        What::Inspect { file } => {
            let survey = cluster::inspect(file, |finding| show::line(finding))?;
            show::line(&survey);
            if survey.is_complete() {
                return Ok(ExitCode::SUCCESS);
            }
            Ok(ExitCode::from(super::DAMAGED_DATA))
        }
        What::Salvage { file, output } => {
            let each = |finding: &Finding| match finding {
                Finding::Command { .. } => {}
                Finding::Unusable { .. } | Finding::Lost { .. } => show::line(finding),
            };
            let now = Clock::start().now();
            let (survey, output) = cluster::salvage(file, output.as_deref(), now, each)?;
            show::line(&survey);
            let output = output.display();
            if survey.is_complete() {
                show::line(format_args!(
                    "{output} was written, although nothing of {} is damaged: a server starts with it as it is.",
                    file.display()
                ));
                return Ok(ExitCode::SUCCESS);
            }
            show::line(format_args!(
                "{output} was written. To start with it, keep the damaged file elsewhere and move the new one to \
                 metadata.log in the data directory."
            ));
            show::line(
                "Since something is lost, every cache that is connected to a source waits for `accept-loss` or \
                 `disconnect --force` after the start. Caches that were created, changed, connected or \
                 disconnected by what is lost are not as they were: compare the list above with what you expect.",
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}
