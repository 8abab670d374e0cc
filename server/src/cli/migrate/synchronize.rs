//! Copying every entry, and what became of them.

use std::process::ExitCode;

use anyhow::bail;
use http::StatusCode;
use serde_json::Value;

use super::{
    RateArgs, Target,
    progress::{Watched, watch},
    remark, say,
};
use crate::cli::show::grouped;

pub(super) async fn synchronize(
    target: &Target,
    read_batch: Option<u32>,
    threads: Option<u32>,
    rates: &RateArgs,
) -> anyhow::Result<ExitCode> {
    let api = target.api()?;
    let mut path = target.path("?action=sync-data&async=true");
    if let Some(read_batch) = read_batch {
        path.push_str(&format!("&read-batch={read_batch}"));
    }
    if let Some(threads) = threads {
        path.push_str(&format!("&threads={threads}"));
    }
    path.push_str(&rates.parameters());
    let answer = api.post(&path, None).await?;
    let (cache, text) = (&target.cache, answer.text.trim());
    if text.contains("ISPN010016") {
        bail!("cache {cache} is not connected, and nothing was copied: connect it first ({text})");
    }
    if answer.status == StatusCode::OK {
        // The server repeats what the last synchronization has written, as tools expect it.
        bail!(
            "cache {cache} is not connected any more, and nothing was copied now: connect it first. Of its last \
             synchronization the target says: {text}"
        );
    }
    let answer = answer.success()?;
    remark(&answer.notices);
    let watched = Watched {
        done: &["/job/entries/read", "/here/read"],
        rates: "/job/throttle",
        is_over: |status| {
            let state = status.pointer("/job/state").and_then(Value::as_str).unwrap_or_default();
            !matches!(state, "running" | "paused" | "retrying")
        },
    };
    let status = watch(&api, target, watched).await?;
    let state = status.pointer("/job/state").and_then(Value::as_str).unwrap_or_default();
    let entries = status.pointer("/job/entries").cloned().unwrap_or_default();
    if state != "finished" {
        if state.is_empty() {
            bail!(
                "the job is gone: the cache was disconnected, or the server was started again; status \
                 shows what is here"
            );
        }
        let problem = status.pointer("/problem").and_then(Value::as_str).unwrap_or(state);
        bail!("the synchronization has ended without everything: {problem}");
    }
    let here = status.get("here").cloned().unwrap_or_default();
    let mut job = status.get("job").cloned().unwrap_or_default();
    if let Some(job) = job.as_object_mut() {
        job.insert("here".into(), here.clone());
    }
    say(target.server.json, job, || {
        synchronized(entries.get("written").and_then(Value::as_u64).unwrap_or(0), &here)
    });
    remark(&doubts(&status));
    Ok(ExitCode::SUCCESS)
}

/// What a synchronization has done that wrote so many entries.
fn synchronized(written: u64, here: &Value) -> String {
    let entries = if written == 1 { "entry" } else { "entries" };
    let what = match here.get("segments").and_then(Value::as_u64) {
        // The counts of an earlier process went with it.
        Some(0) => "Everything was copied before this server was started.".to_owned(),
        _ => whereabouts(here, Some(written)),
    };
    format!("Synchronized {} {entries}. {what}", grouped(written))
}

/// What is not known of the cache now that everything was copied.
fn doubts(status: &Value) -> Vec<String> {
    let doubts = status.get("doubts").and_then(Value::as_array).into_iter().flatten();
    doubts.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// What became of the source's entries, over all synchronizations; and how many of them are `new`.
pub(super) fn whereabouts(here: &Value, new: Option<u64>) -> String {
    let of = |name: &str| here.get(name).and_then(Value::as_u64).unwrap_or(0);
    let part = |name: &str, what: &str| match of(name) {
        0 => String::new(),
        entries => format!(", {} {what}", grouped(entries)),
    };
    let (gone, expired) = (part("tombstone", "removed here"), part("expired", "expired"));
    let came: u64 = ["copied", "readThrough", "ahead"].map(of).iter().sum();
    let as_they_came = came.saturating_sub(of("evicted") + of("changedSince"));
    let has_changed = of("changedSince") > 0;
    let of_all = match has_changed {
        // What clients have replaced is here, but not as it came.
        true => format!("{} were read", grouped(of("read"))),
        false => {
            let here = as_they_came + of("keptForClient");
            format!("{} of {} are here", grouped(here), grouped(of("read")))
        }
    };
    let (copied, read_through) = (grouped(of("copied")), grouped(of("readThrough")));
    let mut text = format!("{of_all}: {copied} copied, {read_through} read through");
    text.push_str(&part("ahead", "brought in ahead"));
    text.push_str(&part("keptForClient", "replaced by clients"));
    if let Some(new) = new {
        text.push_str(&format!(", {} new", grouped(new)));
    }
    let (evicted, changed) = (
        part("evicted", "evicted here since"),
        part("changedSince", "changed, removed or expired here since"),
    );
    let others = format!("{gone}{expired}{evicted}{changed}");
    if let Some(others) = others.strip_prefix(", ") {
        text.push_str(&format!("; {others}"));
    }
    text.push('.');
    if has_changed {
        text.push_str(&format!(" {} of them are here as they came.", grouped(as_they_came)));
    }
    text
}

#[cfg(test)]
mod tests {
    //! What people are told of counts.

    use serde_json::json;

    use super::*;

    #[test]
    fn an_interrupted_synchronization_says_that_everything_is_here() {
        let mut here = json!({
            "segments": 256, "read": 40_000, "copied": 39_999, "readThrough": 1, "ahead": 0,
            "keptForClient": 0, "tombstone": 0, "expired": 0
        });
        assert_eq!(
            whereabouts(&here, Some(0)),
            "40,000 of 40,000 are here: 39,999 copied, 1 read through, 0 new."
        );
        for (name, entries) in [("copied", 39_000), ("keptForClient", 900), ("ahead", 50)] {
            here[name] = entries.into();
        }
        here["evicted"] = 950.into();
        let text = whereabouts(&here, None);
        let expected = "39,001 of 40,000 are here: 39,000 copied, 1 read through, 50 brought in ahead, 900 replaced by clients; 950 evicted here since.";
        assert_eq!(text, expected);
        here["evicted"] = 0.into();
        here["changedSince"] = 39_000.into();
        assert_eq!(
            whereabouts(&here, None),
            "40,000 were read: 39,000 copied, 1 read through, 50 brought in ahead, 900 replaced by \
             clients; 39,000 changed, removed or expired here since. 51 of them are here as they came."
        );
        here["changedSince"] = 0.into();
        (here["tombstone"], here["expired"]) = (40.into(), 9.into());
        assert_eq!(
            whereabouts(&here, None),
            "39,951 of 40,000 are here: 39,000 copied, 1 read through, 50 brought in ahead, 900 \
             replaced by clients; 40 removed here, 9 expired."
        );
    }

    #[test]
    fn what_an_earlier_process_has_copied_is_not_counted_as_none() {
        let here = json!({ "segments": 0, "read": 0, "copied": 0, "readThrough": 0 });
        let text = synchronized(0, &here);
        assert_eq!(
            text,
            "Synchronized 0 entries. Everything was copied before this server was started."
        );
        let here = json!({ "segments": 2, "read": 1, "copied": 1, "readThrough": 0 });
        let all = "1 of 1 are here: 1 copied, 0 read through, 1 new.";
        assert_eq!(synchronized(1, &here), format!("Synchronized 1 entry. {all}"));
    }
}
