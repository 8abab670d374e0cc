//! Waiting for a job, with a bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::Value;

use super::Target;
use crate::cli::{api::Api, show};

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

/// Shows a progress bar until the status says that it is over. Returns the last status. As much is `done` as
/// the largest of these numbers says.
pub(super) async fn watch(
    api: &Api,
    target: &Target,
    done: &[&str],
    is_over: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let bar = progress_bar();
    let (mut said, mut paused) = (false, false);
    loop {
        let status = api.get(&target.path("/rolling-upgrade")).await?.success()?.json()?;
        let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64);
        // While it is not known how much there is, nothing of it is done.
        let done = done.iter().filter_map(|pointer| number(pointer)).max().unwrap_or(0);
        bar.set_length(number("/source/entries").unwrap_or(1).max(done).max(1));
        bar.set_position(done);
        let state = status.get("state").and_then(Value::as_str).unwrap_or_default();
        let problem = status.pointer("/source/problem").and_then(Value::as_str);
        bar.set_message(if problem.is_some() {
            "waiting".to_owned()
        } else {
            state.to_lowercase()
        });
        if let Some(problem) = problem.filter(|_| !said) {
            bar.suspend(|| show::note(format_args!("the source does not answer: {problem}")));
            said = true;
        }
        if state == "PAUSED" && !paused {
            bar.suspend(|| show::note("it is paused: resume goes on"));
        }
        paused = state == "PAUSED";
        if is_over(&status) {
            bar.finish_and_clear();
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A bar for entries, on standard error if people can see it.
pub(in crate::cli) fn progress_bar() -> ProgressBar {
    let template = "{msg:10} {bar:30} {human_pos} of {human_len} entries, {rate}/s, {eta} left";
    let bar = ProgressBar::new(0);
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // A bar has no place for an error.
        let _ = write!(text, "{:.0}", state.per_sec());
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.with_key("rate", rate)),
        Err(_) => bar,
    }
}
