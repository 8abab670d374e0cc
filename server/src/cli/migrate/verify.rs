//! Comparing every entry with the source, and what differs.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use super::{
    Target,
    progress::{Watched, watch},
    remark, say,
};
use crate::cli::show::{self, counted};

pub(super) async fn verify(
    target: &Target,
    repair: bool,
    threads: Option<u32>,
) -> anyhow::Result<ExitCode> {
    let api = target.api()?;
    let threads = threads.map(|threads| format!("&threads={threads}")).unwrap_or_default();
    let action = format!("/rolling-upgrade?action=verify&async=true&repair={repair}{threads}");
    let path = target.path(&action);
    api.post(&path, None).await?.success()?;
    let watched = Watched {
        what: "the verification",
        done: &["/verify/compared"],
        is_over: |status| {
            status.pointer("/verify/state").and_then(Value::as_str) != Some("running")
        },
    };
    let status = watch(&api, target, watched).await?;
    let report = status.get("verify").cloned().unwrap_or_default();
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let state = report.get("state").and_then(Value::as_str).unwrap_or("unknown");
    if state != "finished" {
        let gone = "the cache was disconnected, or the server was started again";
        let state = if report.is_null() { gone } else { state };
        bail!("the verification has ended without a result: {state}");
    }
    if number("evicted") > 0 {
        let evicted = counted(number("evicted"), "entry was", "entries were");
        remark(&[format!("{evicted} evicted meanwhile: the bound of the cache is too small")]);
    }
    let unproven = unproven(&status);
    if let Some(reasons) = &unproven {
        remark(&["this does not prove that everything of the source is here".into()]);
        remark(reasons);
    }
    say(target.server.json, report.clone(), || {
        format!(
            "Compared {}: {} the same, {} missing, {} missing or evicted, {} different, {} changed \
             here, {} cleared here, {} ended meanwhile. Beyond those, {} vanished from the source, and {} \
             outlive it here. {} repaired. Differences: {}.",
            counted(number("compared"), "entry", "entries"),
            number("same"),
            number("missing"),
            number("missingOrEvicted"),
            number("different"),
            number("changedHere"),
            number("cleared"),
            number("expired"),
            number("vanished"),
            number("outlived"),
            number("repaired"),
            number("differences")
        )
    });
    if !target.server.json {
        list(&report);
    }
    Ok(if unproven.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// The keys at which a verification has found a difference, the first of them.
fn list(report: &Value) {
    const MOST: usize = 50;
    let listed = report.get("listed").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_difference = |found: &&Value| found["finding"] != "changedHere";
    let mut differences = listed.iter().filter(is_difference);
    for found in differences.by_ref().take(MOST) {
        let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
        let repaired = found.get("repaired").and_then(Value::as_bool).unwrap_or(false);
        let repaired = if repaired { ", repaired" } else { "" };
        let what = match text("what") {
            "" => String::new(),
            what => format!(": {what}"),
        };
        show::line(format_args!("  {:12} {}{what}{repaired}", text("finding"), text("key")));
    }
    if differences.next().is_some() {
        show::line("  …: --json lists more");
    }
}

#[cfg(test)]
mod tests {
    //! When a verification proves something.

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
}
