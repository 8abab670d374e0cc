//! Waits for a job, with a bar. Tells people who interrupt it that the job goes on.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::Value;

use super::Target;
use crate::cli::{api::Api, show};

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

/// A job to wait for.
pub(super) struct Watched {
    /// What people call it.
    pub(super) what: &'static str,
    /// Pointers to numbers in the status; the bar shows the largest of them.
    pub(super) done: &'static [&'static str],
    /// Returns whether the status says that the job is over.
    pub(super) is_over: fn(&Value) -> bool,
}

/// The command was interrupted while it waited for a job.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted: {what} goes on at the target. `godwit migrate cluster status -c {cache}{at}` shows how far it is, \
     `godwit migrate cluster cancel -c {cache}{at}` stops it"
)]
pub(in crate::cli) struct Interrupted {
    what: &'static str,
    cache: String,
    /// The option that names the target, with a space before it.
    at: String,
}

/// Shows a progress bar until the job is over, and returns the last status.
pub(super) async fn watch(api: &Api, target: &Target, watched: Watched) -> anyhow::Result<Value> {
    let (bar, what) = (progress_bar(), watched.what);
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        status = follow(api, target, watched, &bar) => status,
        Ok(()) = interrupted => {
            bar.finish_and_clear();
            Err(Interrupted { what, cache: target.cache.clone(), at: api.option() }.into())
        }
    }
}

async fn follow(
    api: &Api,
    target: &Target,
    watched: Watched,
    bar: &ProgressBar,
) -> anyhow::Result<Value> {
    let Watched { done, is_over, .. } = watched;
    let (mut said, mut paused) = (false, false);
    loop {
        let status = api.get(&target.path("/rolling-upgrade")).await?.success()?.json()?;
        let (done, all) = done_of_all(&status, done);
        bar.set_length(all);
        bar.set_position(done);
        let state = status.get("state").and_then(Value::as_str).unwrap_or_default();
        let is_paused = is_paused(&status);
        if is_paused != paused {
            // While it is paused it has no speed, and nobody knows how long it takes.
            bar.set_style(style(if paused { MOVING } else { PAUSED }));
        }
        let problem = status.pointer("/source/problem").and_then(Value::as_str);
        bar.set_message(match problem {
            Some(_) => "waiting".to_owned(),
            None if is_paused => "paused".to_owned(),
            None => state.to_lowercase(),
        });
        if let Some(problem) = problem.filter(|_| !said) {
            bar.suspend(|| show::note(format_args!("the source does not answer: {problem}")));
            said = true;
        }
        if is_paused && !paused {
            bar.suspend(|| show::note("it is paused: resume goes on"));
        }
        paused = is_paused;
        if is_over(&status) {
            bar.finish_and_clear();
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns whether the copy or the verification waits until it is resumed.
fn is_paused(status: &Value) -> bool {
    status["state"] == "PAUSED" || status.pointer("/verify/paused") == Some(&Value::Bool(true))
}

/// How much is done, and of how much. A job that was paused or has lost its source reads some entries a second
/// time, so that it may have read more than there are.
fn done_of_all(status: &Value, done: &[&str]) -> (u64, u64) {
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64);
    let done = done.iter().filter_map(|pointer| number(pointer)).max().unwrap_or(0);
    match number("/source/entries") {
        Some(entries) => (done.min(entries), entries.max(1)),
        // While it is not known how much there is, all that was read so far is all.
        None => (done, done.max(1)),
    }
}

const MOVING: &str = "{msg:10} {bar:30} {human_pos} of {human_len} entries, {rate}/s, {eta} left";
const PAUSED: &str = "{msg:10} {bar:30} {human_pos} of {human_len} entries";

/// A bar for entries, on standard error if people can see it.
pub(in crate::cli) fn progress_bar() -> ProgressBar {
    ProgressBar::new(0).with_style(style(MOVING))
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // A bar has no place for an error.
        let _ = write!(text, "{:.0}", state.per_sec());
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => style.with_key("rate", rate),
        Err(_) => ProgressStyle::default_bar(),
    }
}

#[cfg(test)]
mod tests {
    //! How much is shown as done, and what to do after an interruption.

    use serde_json::json;

    use super::*;

    #[test]
    fn commands_after_an_interruption_name_the_same_target() {
        for (server, at) in
            [("http://127.0.0.1:11222/", ""), ("127.0.0.1:11322", " -s http://127.0.0.1:11322")]
        {
            let at_target = Api::new(server).unwrap().option();
            let what = "the synchronization";
            let text = Interrupted { what, cache: "c".into(), at: at_target }.to_string();
            for command in ["status", "cancel"] {
                let command = format!("`godwit migrate cluster {command} -c c{at}`");
                assert!(text.contains(&command), "{text}");
            }
        }
    }

    #[test]
    fn what_is_read_again_after_a_pause_is_not_done_twice() {
        let read = ["/job/entries/read", "/here/read"];
        let status = |job: u64, here: u64, entries: Option<u64>| {
            let status = json!({
                "job": { "entries": { "read": job } },
                "here": { "read": here },
                "source": { "entries": entries }
            });
            done_of_all(&status, &read)
        };
        assert_eq!(status(61_026, 60_002, Some(60_002)), (60_002, 60_002));
        assert_eq!(
            status(10, 500, Some(60_002)),
            (500, 60_002),
            "an earlier job has read the most"
        );
        assert_eq!(status(10, 0, None), (10, 10));
        assert_eq!(status(0, 0, Some(0)), (0, 1));
    }
}
