//! Where migrations stand.

use std::{fmt, process::ExitCode};

use serde_json::Value;

use super::{ServerArgs, synchronize::whereabouts};
use crate::cli::{
    api::{Api, segment},
    show::{self, counted},
};

pub(super) async fn status(cache: Option<&str>, server: &ServerArgs) -> anyhow::Result<ExitCode> {
    let api = Api::new(&server.server)?;
    let path = match cache {
        Some(cache) => format!("/rest/v2/caches/{}/rolling-upgrade", segment(cache)),
        None => "/rest/v2/rolling-upgrade".to_owned(),
    };
    let document = api.get(&path).await?.success()?.json()?;
    if server.json {
        show::line(&document);
        return Ok(ExitCode::SUCCESS);
    }
    let one = vec![document.clone()];
    let all = document.as_array().unwrap_or(&one);
    if all.is_empty() {
        show::line("No cache is, or was, connected to a source.");
    }
    all.iter().for_each(|status| summarize(status, &mut |line| show::line(line)));
    Ok(ExitCode::SUCCESS)
}

/// Says in lines what a status document has.
fn summarize(status: &Value, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64);
    say(format_args!("{}: {}", text("/cache"), text("/state")));
    if let (Some(complete), Some(all)) =
        (number("/source/segmentsComplete"), number("/source/segments"))
    {
        say(format_args!("  segments     {complete} of {all} complete"));
    }
    if let Some(problem) = status.pointer("/source/problem").and_then(Value::as_str) {
        say(format_args!("  source       does not answer: {problem}"));
    }
    if let Some(problem) = status.pointer("/problem").and_then(Value::as_str) {
        say(format_args!("  problem      {problem}"));
    }
    show_clocks(status, say);
    if let Some(lived_on) = number("/livedOn").filter(|lived_on| *lived_on > 0) {
        say(format_args!("  lived on     {lived_on} entries that were over only here"));
    }
    match status.get("here") {
        Some(here) if number("/here/segments") > Some(0) => {
            let (read, all) = (number("/here/segments"), number("/source/segments"));
            let of = if read < all { "complete segments: " } else { "" };
            say(format_args!("  entries      {of}{}", whereabouts(here, None)));
        }
        _ => {
            if let Some(imported) = number("/imported") {
                say(format_args!("  copied       {imported} entries by all synchronizations"));
            }
        }
    }
    if let Some(read) = number("/job/entries/read") {
        let again =
            if Some(read) > number("/source/entries") { ", some of them again" } else { "" };
        let rate = number("/job/rateEntriesPerSec").unwrap_or(0);
        let left = number("/job/etaSeconds").filter(|_| rate > 0);
        say(format_args!(
            "  job          {}, {read} read{again}, {} written, {rate} entries/s{}",
            text("/job/state"),
            number("/job/entries/written").unwrap_or(0),
            left.map_or_else(String::new, |eta| format!(", {eta} s left"))
        ));
    }
    if let Some(hits) = number("/readThrough/hits") {
        let silent = number("/readThrough/silent").unwrap_or(0);
        let walked = number("/readThrough/forIterations").unwrap_or(0);
        say(format_args!(
            "  asked for    {} before they were copied, {walked} more for iterations; {silent} unanswered",
            counted(hits, "entry", "entries")
        ));
    }
    if let Some(compared) = number("/verify/compared") {
        let of = |name: &str| number(&format!("/verify/{name}")).unwrap_or(0);
        say(format_args!(
            "  verify       {}, {compared} compared: {} missing, {} missing or evicted, {} different, {} \
             vanished, {} changed here; {} of {} segments",
            if status.pointer("/verify/paused") == Some(&Value::Bool(true)) {
                "paused"
            } else {
                text("/verify/state")
            },
            of("missing"),
            of("missingOrEvicted"),
            of("different"),
            of("vanished"),
            of("changedHere"),
            of("segmentsCompared"),
            of("segments")
        ));
    }
    if let Some(blockers) = status.pointer("/blockers").and_then(Value::as_array) {
        for blocker in blockers.iter().filter_map(Value::as_str) {
            say(format_args!("  first        {blocker}"));
        }
    }
    if let Some(doubts) = status.pointer("/doubts").and_then(Value::as_array) {
        for doubt in doubts.iter().filter_map(Value::as_str) {
            say(format_args!("  unknown      {doubt}"));
        }
    }
}

/// Shows the clocks of the source that differ from ours, and those that are not known to a second.
fn show_clocks(status: &Value, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let clocks = status.pointer("/source/clocks").and_then(Value::as_array);
    for clock in clocks.into_iter().flatten() {
        let server = clock["server"].as_str().unwrap_or_default();
        let bound = |name: &str| clock[name].as_i64();
        let seconds = |millis: Option<i64>| match millis {
            Some(millis) if millis < 0 => format!("-{}.{}", -millis / 1_000, -millis % 1_000 / 100),
            Some(millis) => format!("{}.{}", millis / 1_000, millis % 1_000 / 100),
            None => "?".to_owned(),
        };
        let (low, high) = (bound("offsetLowMs"), bound("offsetHighMs"));
        let agrees = low.is_some_and(|low| low >= -1_000) && high.is_some_and(|high| high <= 1_000);
        let jumps = clock["jumps"].as_u64().unwrap_or(0);
        if !agrees || jumps > 0 {
            say(format_args!(
                "  clock        of {server}: ahead by {} to {} s, set {jumps} times",
                seconds(low),
                seconds(high)
            ));
        }
        if let Some(why) = clock["disbelieved"].as_str() {
            say(format_args!("  clock        {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    //! What people read of a status document.

    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_shown_also_of_a_cache_that_has_no_source_any_more() {
        let lost = json!({ "cache": "c", "state": "DISCONNECTED", "problem": "it was lost" });
        let mut lines = Vec::new();
        summarize(&lost, &mut |line| lines.push(line.to_string()));
        assert_eq!(lines, ["c: DISCONNECTED", "  problem      it was lost"]);
    }
}
