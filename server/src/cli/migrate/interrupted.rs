//! What people are told who end a command by Ctrl-C while it waits for the target.

use std::fmt;

use super::{Step, Target};

/// The command was interrupted. What it has asked the target for may happen all the same.
#[derive(Debug, thiserror::Error)]
#[error("interrupted{0}")]
pub(in crate::cli) struct Interrupted(String);

impl Interrupted {
    /// Nothing goes on without the command.
    pub(in crate::cli) fn without_consequences() -> Self {
        Self(String::new())
    }

    pub(super) fn at(step: &Step) -> Self {
        match step {
            Step::Connect { target, .. } => Self::of(
                target,
                "the target may still connect the cache",
                &[("status", "shows whether it is connected"), ("disconnect --force", "undoes it")],
            ),
            Step::Disconnect { target, .. } => Self::of(
                target,
                "the target may still disconnect the cache",
                &[("status", "shows whether it is disconnected")],
            ),
            Step::Synchronize { target, .. } => Self::of_job(target, "the synchronization"),
            Step::Verify { target, .. } => Self::of_job(target, "the verification"),
            Step::Resume { target } => Self::of_change(target, "resume the job"),
            Step::Pause { target } => Self::of_change(target, "pause the job"),
            Step::Cancel { target } => Self::of_change(target, "cancel the job"),
            Step::Throttle { target, .. } => Self::of_change(target, "change the limits"),
            Step::AcceptSourceLoss { target } => {
                Self::of_change(target, "accept what the source has lost")
            }
            Step::AcceptLoss { target } => Self::of_change(target, "accept what was lost"),
            Step::Status { .. } | Step::SourceConnection { .. } => Self::without_consequences(),
        }
    }

    fn of_job(target: &Target, job: &str) -> Self {
        let goes_on = match target.has_begun.get() {
            true => format!("{job} goes on at the target"),
            false => format!("the target may still begin {job}"),
        };
        let commands = [("status", "shows how far it is"), ("cancel", "stops it")];
        Self::of(target, goes_on, &commands)
    }

    fn of_change(target: &Target, change: &str) -> Self {
        let goes_on = format!("the target may still {change}");
        Self::of(target, goes_on, &[("status", "shows where it stands")])
    }

    /// What may go on, and the commands that help, each with what it does.
    fn of(target: &Target, goes_on: impl fmt::Display, commands: &[(&str, &str)]) -> Self {
        // Without a valid address there is nothing to wait for.
        let at = target.api().map(|api| api.option()).unwrap_or_default();
        let cache = &target.cache;
        let commands: Vec<String> = commands
            .iter()
            .map(|(command, does)| {
                let (command, flags) = command.split_once(' ').unwrap_or((command, ""));
                let flags = if flags.is_empty() { "" } else { &format!(" {flags}") };
                format!("`godwit migrate cluster {command} -c {cache}{at}{flags}` {does}")
            })
            .collect();
        Self(format!(": {goes_on}. {}", commands.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    //! What to do after an interruption.

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(subcommand)]
        step: Step,
    }

    fn step(command: &str, server: &str) -> Step {
        let line = format!("godwit {command} -c c -s {server}");
        Command::try_parse_from(line.split(' ')).unwrap().step
    }

    #[test]
    fn commands_after_an_interruption_name_the_same_target() {
        for (server, at) in
            [("http://127.0.0.1:11222/", ""), ("127.0.0.1:11322", " -s http://127.0.0.1:11322")]
        {
            let text = Interrupted::at(&step("synchronize", server)).to_string();
            for command in ["status", "cancel"] {
                let command = format!("`godwit migrate cluster {command} -c c{at}`");
                assert!(text.contains(&command), "{text}");
            }
        }
    }

    #[test]
    fn every_command_says_what_may_go_on_without_it() {
        for (command, wanted) in [
            (
                "connect --file f",
                ": the target may still connect the cache. `godwit migrate cluster status -c c` shows whether it is \
                 connected, `godwit migrate cluster disconnect -c c --force` undoes it",
            ),
            ("disconnect", ": the target may still disconnect the cache. `"),
            ("synchronize", ": the target may still begin the synchronization. `"),
            ("verify", ": the target may still begin the verification. `"),
            ("resume", ": the target may still resume the job. `"),
            ("pause", ": the target may still pause the job. `"),
            ("cancel", ": the target may still cancel the job. `"),
            ("throttle", ": the target may still change the limits. `"),
            ("accept-source-loss", ": the target may still accept what the source has lost. `"),
            ("accept-loss", ": the target may still accept what was lost. `"),
        ] {
            let text = Interrupted::at(&step(command, "127.0.0.1:11222")).to_string();
            assert!(text.starts_with(&format!("interrupted{wanted}")), "{text}");
        }
        for command in ["status", "source-connection"] {
            let step = step(command, "127.0.0.1:11222");
            assert_eq!(Interrupted::at(&step).to_string(), "interrupted");
        }
    }

    #[test]
    fn a_job_that_has_begun_goes_on() {
        let step = step("verify", "127.0.0.1:11222");
        if let Step::Verify { target, .. } = &step {
            target.has_begun.set(true);
        }
        let text = Interrupted::at(&step).to_string();
        assert!(
            text.starts_with("interrupted: the verification goes on at the target. `"),
            "{text}"
        );
    }
}
