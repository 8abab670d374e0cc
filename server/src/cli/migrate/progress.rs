//! Waits for a job, with a bar.

use std::time::Duration;

use indicatif::{HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};
use migrate::Rates;
use serde_json::Value;

use super::Target;
use crate::cli::{api::Api, show};

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

/// A job to wait for.
pub(super) struct Watched {
    /// Pointers to numbers in the status; the bar shows the largest of them.
    pub(super) done: &'static [&'static str],
    /// A pointer to the rates that it keeps to.
    pub(super) rates: &'static str,
    /// Returns whether the status says that the job is over.
    pub(super) is_over: fn(&Value) -> bool,
}

/// Shows a progress bar until the job is over, and returns the last status. The bar goes when this is dropped.
pub(super) async fn watch(api: &Api, target: &Target, watched: Watched) -> anyhow::Result<Value> {
    target.has_begun.set(true);
    let bar = progress_bar();
    let Watched { done, rates, is_over } = watched;
    let mut told = Told::default();
    loop {
        let status = api.get(&target.path("/rolling-upgrade")).await?.success()?.json()?;
        let (done, all) = done_of_all(&status, done);
        bar.set_length(all);
        bar.set_position(done);
        let was_paused = told.paused;
        for line in told.news(&status, rates) {
            bar.suspend(|| show::note(line));
        }
        if told.paused != was_paused {
            // While it is paused it has no speed, and nobody knows how long it takes.
            bar.set_style(style(if told.paused { PAUSED } else { MOVING }));
        }
        let state = status.get("state").and_then(Value::as_str).unwrap_or_default();
        bar.set_message(match &told {
            Told { problem: Some(_), .. } => "waiting".to_owned(),
            Told { paused: true, .. } => "paused".to_owned(),
            Told { .. } => state.to_lowercase(),
        });
        if is_over(&status) {
            bar.finish_and_clear();
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What people who wait for a job were told of it last.
#[derive(Default)]
struct Told {
    /// Why the source does not answer, or gives out no entries.
    problem: Option<String>,
    /// Whether it answers all the same, and only gives out no entries.
    is_there: bool,
    paused: bool,
    /// How fast the job is, at most.
    rates: Rates,
}

impl Told {
    /// Returns what has changed, in lines to be shown now. `rates` is a pointer to the rates in the status.
    fn news(&mut self, status: &Value, rates: &str) -> Vec<String> {
        let mut news = Vec::new();
        let problem = status.pointer("/source/problem").and_then(Value::as_str);
        match problem {
            // The same trouble may have several reasons one after the other.
            Some(problem) if self.problem.is_none() => {
                // One that does not give out its entries may answer all else.
                self.is_there = status.pointer("/source/reachable") == Some(&Value::Bool(true));
                let what = if self.is_there { "" } else { "the source does not answer: " };
                news.push(format!("{what}{problem}"));
            }
            None if self.problem.is_some() => {
                let what = if self.is_there { "gives out its entries" } else { "answers" };
                news.push(format!("the source {what} again"));
            }
            _ => {}
        }
        self.problem = problem.map(ToOwned::to_owned);
        let paused = is_paused(status);
        if paused != self.paused {
            let line = if paused { "it is paused until it is resumed" } else { "it was resumed" };
            news.push(line.to_owned());
        }
        self.paused = paused;
        let rates = rates_at(status, rates).unwrap_or(self.rates);
        if rates != self.rates {
            news.push(match show::rates(rates) {
                None => "it is not limited any more".to_owned(),
                Some(rates) => format!("it is limited to {rates}"),
            });
        }
        self.rates = rates;
        news
    }
}

/// The rates at this pointer of a status, if there are any.
pub(super) fn rates_at(status: &Value, pointer: &str) -> Option<Rates> {
    serde_json::from_value(status.pointer(pointer)?.clone()).ok()
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
        let _ = write!(text, "{}", HumanFloatCount(state.per_sec().round()));
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => style.with_key("rate", rate),
        Err(_) => ProgressStyle::default_bar(),
    }
}

#[cfg(test)]
mod tests {
    //! How much is shown as done, and what people are told meanwhile.

    use serde_json::json;

    use super::*;

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

    #[test]
    fn whoever_waits_is_told_each_change_once() {
        let mut told = Told::default();
        let mut news = |problem: Option<&str>, paused: bool, entries: Option<u64>| {
            let status = json!({
                "state": "SYNCED",
                "source": { "problem": problem },
                "verify": { "paused": paused, "throttle": { "entriesPerSecond": entries } }
            });
            told.news(&status, "/verify/throttle")
        };
        let nothing = Vec::<String>::new();
        assert_eq!(news(None, false, None), nothing);
        assert_eq!(news(None, false, Some(10)), ["it is limited to 10 entries/s"]);
        assert_eq!(news(None, true, Some(10)), ["it is paused until it is resumed"]);
        assert_eq!(news(Some("refused"), true, Some(10)), ["the source does not answer: refused"]);
        assert_eq!(news(Some("timed out"), true, Some(10)), nothing, "it still does not");
        assert_eq!(news(None, false, Some(10)), ["the source answers again", "it was resumed"]);
        assert_eq!(news(None, false, None), ["it is not limited any more"]);
        assert_eq!(news(Some("refused"), false, None), ["the source does not answer: refused"]);
        // The job is gone, and with it its rates.
        assert_eq!(told.news(&json!({}), "/verify/throttle"), ["the source answers again"]);
        let hangs =
            json!({ "source": { "reachable": true, "problem": "the source is there, but hangs" } });
        assert_eq!(told.news(&hangs, "/verify/throttle"), ["the source is there, but hangs"]);
        let again = told.news(&json!({}), "/verify/throttle");
        assert_eq!(again, ["the source gives out its entries again"]);
    }

    #[test]
    fn a_copy_is_paused_by_its_state() {
        assert!(is_paused(&json!({ "state": "PAUSED" })));
        assert!(!is_paused(&json!({ "state": "SYNCING", "verify": { "state": "finished" } })));
    }
}
