//! Comparing every entry with the source, and what differs.

use std::{fmt, process::ExitCode};

use anyhow::bail;
use serde_json::Value;

use super::{
    RateArgs, Target,
    progress::{Watched, watch},
    remark, say,
};
use crate::cli::show::{self, counted, grouped};

pub(super) async fn verify(
    target: &Target,
    repair: bool,
    threads: Option<u32>,
    rates: &RateArgs,
) -> anyhow::Result<ExitCode> {
    let api = target.api()?;
    let threads = threads.map(|threads| format!("&threads={threads}")).unwrap_or_default();
    let rates = rates.parameters();
    let action =
        format!("/rolling-upgrade?action=verify&async=true&repair={repair}{threads}{rates}");
    let path = target.path(&action);
    remark(&api.post(&path, None).await?.success()?.notices);
    let watched = Watched {
        done: &["/verify/compared"],
        rates: "/verify/throttle",
        is_over: |status| {
            status.pointer("/verify/state").and_then(Value::as_str) != Some("running")
        },
    };
    let status = watch(&api, target, watched).await?;
    let report = status.get("verify").cloned().unwrap_or_default();
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let shown = |name: &str| grouped(number(name));
    let state = report.get("state").and_then(Value::as_str).unwrap_or("unknown");
    if state != "finished" {
        let gone = "the cache was disconnected, or the server was started again";
        let reason = report.get("reason").and_then(Value::as_str);
        let state = if report.is_null() { gone } else { reason.unwrap_or(state) };
        bail!("the verification has ended without a result: {state}");
    }
    let unproven = unproven(&status);
    say(target.server.json, report.clone(), || {
        format!(
            "Compared {}: {} the same, {} missing, {} missing or evicted, {} different, {} changed \
             here, {} cleared here, {} ended meanwhile. Beyond those, {} vanished from the source, and {} \
             outlive it here. {} repaired. Differences: {}.",
            counted(number("compared"), "entry", "entries"),
            shown("same"),
            shown("missing"),
            shown("missingOrEvicted"),
            shown("different"),
            shown("changedHere"),
            shown("cleared"),
            shown("expired"),
            shown("vanished"),
            shown("outlived"),
            shown("repaired"),
            shown("differences")
        )
    });
    if !target.server.json {
        list(&report, &mut |line| show::line(line));
    }
    if number("evicted") > 0 {
        let evicted = counted(number("evicted"), "entry was", "entries were");
        remark(&[format!("{evicted} evicted meanwhile: the bound of the cache is too small")]);
    }
    let Some(reasons) = unproven else { return Ok(ExitCode::SUCCESS) };
    // Behind the result, and not returned as an error: with --json, the report is all of the standard output.
    show::note(format_args!(
        "error: cache {} is not verified: this does not prove that everything of the source is here",
        target.cache
    ));
    remark(&reasons);
    Ok(ExitCode::FAILURE)
}

/// Returns why the cache is not verified although the verification has finished: what would be lost, and what is not
/// known. `None` if it is. The server decides, because entries may have been evicted behind the comparison.
fn unproven(status: &Value) -> Option<Vec<String>> {
    if status.get("state").and_then(Value::as_str) == Some("VERIFIED") {
        return None;
    }
    let texts = |name: &str| status.get(name).and_then(Value::as_array).into_iter().flatten();
    let reasons = texts("blockers").chain(texts("doubts"));
    Some(reasons.filter_map(Value::as_str).map(ToOwned::to_owned).collect())
}

/// Findings of each kind that are shown.
const MOST_SHOWN: usize = 20;

/// Kinds of findings, the worst ones first. What a client has changed here is no difference.
const DIFFERENCES: [&str; 5] =
    ["missing", "different", "missingOrEvicted", "clearedOrLater", "vanished"];

/// The keys at which a verification has found a difference: the first ones of each kind, so that many of one kind do not
/// hide a few of another.
fn list(report: &Value, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let listed = report.get("listed").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for kind in DIFFERENCES {
        let of_kind: Vec<&Value> = listed.iter().filter(|found| found["finding"] == kind).collect();
        // What still has to be done stands before what a repair has done.
        let (repaired, open): (Vec<&Value>, Vec<&Value>) =
            of_kind.iter().partition(|found| found["repaired"] == true);
        for found in open.iter().chain(&repaired).take(MOST_SHOWN) {
            let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
            let repaired = if found["repaired"] == true { ", repaired" } else { "" };
            let after = |mark: &str, text: &str| match text {
                "" => String::new(),
                text => format!("{mark}{text}"),
            };
            let (what, why) = (after(": ", text("what")), after(", not repaired: ", text("why")));
            say(format_args!("  {kind:12} {}{what}{why}{repaired}", text("key")));
        }
        let all = report.get(kind).and_then(Value::as_u64).unwrap_or(0).max(of_kind.len() as u64);
        if all > MOST_SHOWN as u64 {
            let more = all - MOST_SHOWN as u64;
            say(format_args!(
                "  {kind:12} …and {} more: --json lists up to 1,000 of each kind",
                grouped(more)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    //! When a verification proves something, and what is listed if not.

    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_verified_cache_is_proven_and_the_others_say_why() {
        assert_eq!(unproven(&json!({ "state": "VERIFIED", "doubts": [], "blockers": [] })), None);
        // Nothing differs, and entries were evicted behind the comparison.
        let evicted = json!({
            "state": "SYNCED",
            "verify": { "state": "finished", "differences": 0, "perhapsEvicted": 0, "evicted": 238 },
            "blockers": [],
            "doubts": ["238 entries were evicted"]
        });
        assert_eq!(unproven(&evicted), Some(vec!["238 entries were evicted".to_owned()]));
        let differs = json!({ "state": "SYNCED", "blockers": ["b"], "doubts": ["d"] });
        assert_eq!(unproven(&differs), Some(vec!["b".to_owned(), "d".to_owned()]));
        assert_eq!(unproven(&json!({ "state": "DISCONNECTED" })), Some(vec![]));
    }

    #[test]
    fn many_findings_of_one_kind_do_not_hide_a_few_of_another() {
        let found = |finding: &str, number: usize| json!({ "finding": finding, "key": format!("k{number}") });
        let mut listed: Vec<Value> = (0..60).map(|number| found("vanished", number)).collect();
        listed.extend((0..60).map(|number| found("changedHere", number)));
        listed.extend((0..22).map(|number| found("different", number)));
        listed.push(json!({ "finding": "missing", "key": "repaired", "repaired": true }));
        listed.push(json!({ "finding": "missing", "key": "removed", "what": "why" }));
        let report = json!({ "vanished": 89_000, "different": 22, "missing": 2, "listed": listed });
        let mut lines = Vec::new();
        list(&report, &mut |line| lines.push(line.to_string()));
        assert_eq!(
            lines[..2],
            ["  missing      removed: why", "  missing      repaired, repaired"]
        );
        assert_eq!(lines[2], "  different    k0");
        assert_eq!(lines[22], "  different    …and 2 more: --json lists up to 1,000 of each kind");
        assert_eq!(lines[23], "  vanished     k0");
        assert_eq!(
            lines[43],
            "  vanished     …and 88,980 more: --json lists up to 1,000 of each kind"
        );
        assert_eq!(lines.len(), 44, "{lines:#?}");
    }
}
