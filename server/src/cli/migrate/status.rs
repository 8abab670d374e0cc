//! Where migrations stand.

use std::{fmt, process::ExitCode};

use serde_json::Value;

use super::{ServerArgs, progress::rates_at, synchronize::whereabouts};
use crate::cli::{
    api::segment,
    show::{self, counted, grouped},
};

pub(super) async fn status(cache: Option<&str>, server: &ServerArgs) -> anyhow::Result<ExitCode> {
    let api = server.api()?;
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
        // A source that does not give out its entries may answer all else.
        let is_there = status.pointer("/source/reachable") == Some(&Value::Bool(true));
        let what = if is_there { "" } else { "does not answer: " };
        say(format_args!("  source       {what}{problem}"));
    }
    if let Some(problem) = status.pointer("/problem").and_then(Value::as_str) {
        say(format_args!("  problem      {problem}"));
    }
    show_departure(status, say);
    show_clocks(status, say);
    if let Some(lived_on) = number("/livedOn").filter(|lived_on| *lived_on > 0) {
        let lived_on = counted(lived_on, "entry that was", "entries that were");
        say(format_args!("  lived on     {lived_on} over only here"));
    }
    match status.get("here") {
        Some(here) if number("/here/segments") > Some(0) => {
            let (read, all) = (number("/here/segments"), number("/source/segments"));
            let of = if read < all { "complete segments: " } else { "" };
            say(format_args!("  entries      {of}{}", whereabouts(here, None)));
        }
        _ => {
            if let Some(imported) = number("/imported") {
                let imported = counted(imported, "entry", "entries");
                say(format_args!("  copied       {imported} by all synchronizations"));
            }
        }
    }
    if let Some(read) = number("/job/entries/read") {
        let again = number("/job/readAgain").filter(|again| *again > 0);
        let again =
            again.map_or_else(String::new, |again| format!(" ({} of them again)", grouped(again)));
        let rate = number("/job/rateEntriesPerSec").unwrap_or(0);
        let left = number("/job/etaSeconds").filter(|_| rate > 0);
        say(format_args!(
            "  job          {}, {} read{again}, {} written, {}{}{}",
            text("/job/state"),
            grouped(read),
            grouped(number("/job/entries/written").unwrap_or(0)),
            counted(rate, "entry/s", "entries/s"),
            left.map_or_else(String::new, |eta| format!(", {eta} s left")),
            limits(status, "/job/throttle")
        ));
    }
    if let Some(hits) = number("/readThrough/hits") {
        let silent = number("/readThrough/silent").unwrap_or(0);
        let walked = number("/readThrough/forIterations").unwrap_or(0);
        say(format_args!(
            "  asked for    {} before they were copied, {} more for iterations; {} unanswered",
            counted(hits, "entry", "entries"),
            grouped(walked),
            grouped(silent)
        ));
    }
    if let Some(compared) = number("/verify/compared") {
        let of = |name: &str| grouped(number(&format!("/verify/{name}")).unwrap_or(0));
        say(format_args!(
            "  verify       {}, {} compared: {} missing, {} missing or evicted, {} different, {} \
             vanished, {} changed here{}; {} of {} segments{}",
            match (status.pointer("/verify/paused"), text("/verify/state")) {
                (Some(Value::Bool(true)), "running") => "paused",
                (_, state) => state,
            },
            grouped(compared),
            of("missing"),
            of("missingOrEvicted"),
            of("different"),
            of("vanished"),
            of("changedHere"),
            match number("/verify/repaired") {
                None | Some(0) => String::new(),
                Some(repaired) => format!(", {} repaired", grouped(repaired)),
            },
            of("segmentsCompared"),
            of("segments"),
            limits(status, "/verify/throttle")
        ));
    }
    if let Some(blockers) = status.pointer("/blockers").and_then(Value::as_array) {
        for blocker in blockers.iter().filter_map(Value::as_str) {
            say(format_args!("  blocker      {blocker}"));
        }
    }
    if let Some(doubts) = status.pointer("/doubts").and_then(Value::as_array) {
        for doubt in doubts.iter().filter_map(Value::as_str) {
            say(format_args!("  doubt        {doubt}"));
        }
    }
}

/// Says of a cache without a source whether it had one, and how it was disconnected.
fn show_departure(status: &Value, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    if status.get("state").and_then(Value::as_str) != Some("DISCONNECTED") {
        return;
    }
    let Some(departure) = status.get("disconnected") else {
        let when = match status.get("neverConnected") {
            Some(Value::Bool(true)) => "it was never connected",
            _ => "it was disconnected before this server was started",
        };
        say(format_args!("  source       {when}"));
        return;
    };
    let texts = |name: &str| {
        let texts = departure.get(name).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(Value::as_str).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (left, notices) = (texts("leftBehind"), texts("notices"));
    let how = match (departure.get("verified"), left.is_empty()) {
        (Some(Value::Bool(true)), _) => "disconnected when it was VERIFIED",
        (_, true) => "disconnected, and not verified",
        (_, false) => "disconnected by force",
    };
    say(format_args!("  source       {how}"));
    left.iter().for_each(|left| say(format_args!("  left behind  {left}")));
    notices.iter().for_each(|notice| say(format_args!("  notice       {notice}")));
}

/// The rates that a job keeps to, as the end of a line, if it has any.
fn limits(status: &Value, pointer: &str) -> String {
    let rates = rates_at(status, pointer).and_then(show::rates);
    rates.map_or_else(String::new, |rates| format!(", limited to {rates}"))
}

/// Shows the clocks of the source that differ from ours, and those that are not known to a second.
fn show_clocks(status: &Value, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let clocks = status.pointer("/source/clocks").and_then(Value::as_array);
    for clock in clocks.into_iter().flatten() {
        let server = clock["server"].as_str().unwrap_or_default();
        let bound = |name: &str| clock[name].as_i64();
        let seconds = |millis: i64| {
            let millis = millis.unsigned_abs();
            format!("{}.{}", millis / 1_000, millis % 1_000 / 100)
        };
        let (low, high) = (bound("offsetLowMs"), bound("offsetHighMs"));
        let agrees = low.is_some_and(|low| low >= -1_000) && high.is_some_and(|high| high <= 1_000);
        let jumps = clock["jumps"].as_u64().unwrap_or(0);
        if !agrees || jumps > 0 {
            let set = match jumps {
                0 => String::new(),
                1 => "; it was set once".to_owned(),
                jumps => format!("; it was set {jumps} times"),
            };
            let where_it_is = match (low, high) {
                (Some(low), Some(high)) if low > 0 => {
                    format!("is ahead by {} to {} s", seconds(low), seconds(high))
                }
                (Some(low), Some(high)) if high < 0 => {
                    format!("is behind by {} to {} s", seconds(high), seconds(low))
                }
                (Some(low), Some(high)) => {
                    let (behind, ahead) = (seconds(low), seconds(high));
                    format!("is between {behind} s behind and {ahead} s ahead")
                }
                (Some(low), None) if low > 0 => format!("is ahead by {} s or more", seconds(low)),
                (Some(low), None) => format!("is behind by {} s at most", seconds(low)),
                (None, Some(high)) if high < 0 => {
                    format!("is behind by {} s or more", seconds(high))
                }
                (None, Some(high)) => format!("is ahead by {} s at most", seconds(high)),
                (None, None) => "is not known".to_owned(),
            };
            say(format_args!("  clock        of {server}: {where_it_is}{set}"));
        }
        if let Some(off) = bound("uncertaintyAheadMs").filter(|&off| off > 1_000) {
            let off = seconds(off);
            say(format_args!(
                "  clock        of {server}: entries are dated ahead of it, so their lifetimes may be off by {off} s"
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
        let before = "  source       it was disconnected before this server was started";
        assert_eq!(lines, ["c: DISCONNECTED", "  problem      it was lost", before]);
    }

    #[test]
    fn a_cache_without_a_source_says_how_that_came() {
        let shown = |status: Value| {
            let mut lines = Vec::new();
            show_departure(&status, &mut |line| lines.push(line.to_string()));
            lines
        };
        let departed = |verified: bool, left: &[&str], notices: &[&str]| {
            let departure = json!({ "verified": verified, "leftBehind": left, "notices": notices });
            shown(json!({ "state": "DISCONNECTED", "disconnected": departure }))
        };
        assert_eq!(
            shown(json!({ "state": "DISCONNECTED", "neverConnected": true })),
            ["  source       it was never connected"]
        );
        assert_eq!(departed(true, &[], &[]), ["  source       disconnected when it was VERIFIED"]);
        assert_eq!(
            departed(false, &[], &["none was run"]),
            ["  source       disconnected, and not verified", "  notice       none was run"]
        );
        assert_eq!(
            departed(false, &["3 of 256"], &[]),
            ["  source       disconnected by force", "  left behind  3 of 256"]
        );
        assert_eq!(shown(json!({ "state": "VERIFIED" })), Vec::<String>::new());
    }

    #[test]
    fn a_clock_is_ahead_or_behind_or_nobody_knows() {
        let shown = |low: Option<i64>, high: Option<i64>, jumps: u64| {
            let clock = json!({
                "server": "s", "offsetLowMs": low, "offsetHighMs": high, "jumps": jumps
            });
            let mut lines = Vec::new();
            let status = json!({ "source": { "clocks": [clock] } });
            show_clocks(&status, &mut |line| lines.push(line.to_string()));
            lines.join("\n")
        };
        assert_eq!(shown(Some(-1_000), Some(1_000), 0), "", "it agrees");
        for (low, high, jumps, expected) in [
            (Some(-1_900), Some(1_990), 0, "is between 1.9 s behind and 1.9 s ahead"),
            (Some(2_000), Some(3_500), 1, "is ahead by 2.0 to 3.5 s; it was set once"),
            (Some(-3_500), Some(-2_000), 2, "is behind by 2.0 to 3.5 s; it was set 2 times"),
            (Some(2_000), None, 0, "is ahead by 2.0 s or more"),
            (Some(-2_000), None, 0, "is behind by 2.0 s at most"),
            (None, Some(-2_000), 0, "is behind by 2.0 s or more"),
            (None, Some(2_000), 0, "is ahead by 2.0 s at most"),
            (None, None, 0, "is not known"),
        ] {
            assert_eq!(shown(low, high, jumps), format!("  clock        of s: {expected}"));
        }
    }

    #[test]
    fn entries_that_are_dated_ahead_of_a_clock_are_named() {
        let clock = |off: Option<u64>| json!({ "server": "s", "offsetLowMs": 0, "offsetHighMs": 9, "uncertaintyAheadMs": off });
        let shown = |off| {
            let mut lines = Vec::new();
            let status = json!({ "source": { "clocks": [clock(off)] } });
            show_clocks(&status, &mut |line| lines.push(line.to_string()));
            lines.join("\n")
        };
        assert_eq!(shown(None), "");
        assert!(
            shown(Some(600_500))
                .ends_with("dated ahead of it, so their lifetimes may be off by 600.5 s")
        );
    }

    #[test]
    fn the_rates_of_jobs_are_shown() {
        let status = json!({
            "cache": "c", "state": "SYNCING",
            "job": {
                "state": "running", "entries": { "read": 5, "written": 4 },
                "throttle": { "entriesPerSecond": 10, "bytesPerSecond": null }
            },
            "verify": { "state": "running", "compared": 3, "throttle": { "bytesPerSecond": 1024 } }
        });
        let mut lines = Vec::new();
        summarize(&status, &mut |line| lines.push(line.to_string()));
        assert!(lines[1].ends_with("4 written, 0 entries/s, limited to 10 entries/s"), "{lines:?}");
        assert!(lines[2].ends_with("0 of 0 segments, limited to 1,024 bytes/s"), "{lines:?}");
    }

    #[test]
    fn a_verification_is_paused_only_while_it_runs_and_nothing_was_read_again_that_was_not() {
        let shown = |status: Value, row: &str| {
            let mut lines = Vec::new();
            summarize(&status, &mut |line| lines.push(line.to_string()));
            lines.into_iter().find(|line| line.trim_start().starts_with(row)).unwrap()
        };
        for (state, expected) in [("running", "paused"), ("cancelled", "cancelled")] {
            let verify = json!({ "state": state, "paused": true, "compared": 9 });
            let row = shown(json!({ "verify": verify }), "verify");
            assert!(row.contains(&format!(" {expected}, 9 compared")), "{row}");
        }
        for (again, expected) in [(0, " 100 read, 90"), (7, " 100 read (7 of them again), 90")] {
            let entries = json!({ "read": 100, "written": 90 });
            let job = json!({ "state": "finished", "entries": entries, "readAgain": again });
            // Some of them have been removed at the source since.
            let row = shown(json!({ "job": job, "source": { "entries": 90 } }), "job");
            assert!(row.contains(expected), "{row}");
        }
    }

    #[test]
    fn what_was_missing_and_repaired_is_said_to_be() {
        let shown = |repaired: u64| {
            let verify =
                json!({ "state": "finished", "compared": 9, "missing": 3, "repaired": repaired });
            let mut lines = Vec::new();
            summarize(&json!({ "verify": verify }), &mut |line| lines.push(line.to_string()));
            lines.remove(1)
        };
        assert!(
            shown(3).contains("3 missing, ") && shown(3).contains("0 changed here, 3 repaired; ")
        );
        assert!(shown(0).contains("0 changed here; "));
    }

    #[test]
    fn a_source_that_is_there_is_not_said_to_be_silent() {
        let shown = |reachable| {
            let source = json!({ "problem": "it is odd", "reachable": reachable });
            let status = json!({ "cache": "c", "state": "CONNECTED", "source": source });
            let mut lines = Vec::new();
            summarize(&status, &mut |line| lines.push(line.to_string()));
            lines.remove(1)
        };
        assert_eq!(shown(true), "  source       it is odd");
        assert_eq!(shown(false), "  source       does not answer: it is odd");
    }
}
