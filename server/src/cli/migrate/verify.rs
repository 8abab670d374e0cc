//! Comparing every entry with the source, and what differs.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use super::{Target, progress::watch, remark, say};
use crate::cli::show;

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
    let status = watch(&api, target, &["/verify/compared"], |status| {
        status.pointer("/verify/state").and_then(Value::as_str) != Some("running")
    })
    .await?;
    let report = status.get("verify").cloned().unwrap_or_default();
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let state = report.get("state").and_then(Value::as_str).unwrap_or("unknown");
    if state != "finished" {
        let gone = "the cache was disconnected, or the server was started again";
        let state = if report.is_null() { gone } else { state };
        bail!("the verification has ended without a result: {state}");
    }
    let (differences, perhaps_evicted) = (number("differences"), number("perhapsEvicted"));
    let doubt = report.get("doubt").and_then(Value::as_str);
    if let Some(doubt) = doubt {
        remark(&[format!(
            "{doubt}. This is no proof that nothing was lost, and disconnect says so"
        )]);
    }
    if perhaps_evicted > 0 {
        remark(&[format!(
            "{perhaps_evicted} entries of the source are not here, or no longer: no more than this cache has \
             evicted, so that they may be those. This is no proof that nothing was lost, and disconnect says so"
        )]);
    }
    if number("evicted") > 0 {
        let evicted = number("evicted");
        remark(&[format!(
            "{evicted} entries were evicted meanwhile: the bound of the cache is too small"
        )]);
    }
    say(target.server.json, report.clone(), || {
        format!(
            "Compared {} entries: {} the same, {} missing, {} missing or evicted, {} different, {} changed \
             here, {} cleared here, {} ended meanwhile. Beyond those, {} vanished from the source, and {} \
             outlive it here. {} repaired. Differences: {differences}.",
            number("compared"),
            number("same"),
            number("missing"),
            number("missingOrEvicted"),
            number("different"),
            number("changedHere"),
            number("cleared"),
            number("expired"),
            number("vanished"),
            number("outlived"),
            number("repaired")
        )
    });
    if !target.server.json {
        list(&report);
    }
    let is_proof = differences == 0 && perhaps_evicted == 0 && doubt.is_none();
    Ok(if is_proof { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        show::line(format_args!(
            "  {:12} {} {}{repaired}",
            text("finding"),
            text("key"),
            text("what")
        ));
    }
    if differences.next().is_some() {
        show::line("  …: --json lists more");
    }
}
