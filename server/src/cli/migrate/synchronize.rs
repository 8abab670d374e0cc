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
    let as_they_came = here.get("asTheyCame").and_then(Value::as_u64);
    // Of the others only some of the entries that were read are here, or entries that were not read.
    let others = ["keptForClient", "repaired", "changedSince", "goneBefore"];
    let all_are_of_them = others.map(of).iter().all(|entries| *entries == 0);
    let here_of_them = as_they_came.filter(|_| all_are_of_them);
    let of_all = match here_of_them {
        Some(here) => format!("{} of {} are here", grouped(here), grouped(of("read"))),
        None => format!("{} were read", grouped(of("read"))),
    };
    let (copied, read_through) = (grouped(of("copied")), grouped(of("readThrough")));
    let mut text = format!("{of_all}: {copied} copied, {read_through} read through");
    text.push_str(&part("ahead", "brought in ahead"));
    text.push_str(&part("keptForClient", "replaced by clients"));
    if let Some(new) = new {
        text.push_str(&format!(", {} new", grouped(new)));
    }
    let since = [
        part(
            "goneBefore",
            "more that the source did not have any more when it was read to its end",
        ),
        part("evicted", "evicted here since"),
        part("clientsEvicted", "of clients evicted here, which are nowhere else"),
        part("changedSince", "changed, removed or expired here since"),
        part("repaired", "added by verify --repair"),
    ];
    let others = format!("{gone}{expired}{}", since.concat());
    if let Some(others) = others.strip_prefix(", ") {
        text.push_str(&format!("; {others}"));
    }
    text.push('.');
    if let Some(here) = as_they_came.filter(|_| here_of_them.is_none()) {
        text.push_str(&format!(" {} are here as they came.", grouped(here)));
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
            "keptForClient": 0, "tombstone": 0, "expired": 0, "asTheyCame": 40_000
        });
        assert_eq!(
            whereabouts(&here, Some(0)),
            "40,000 of 40,000 are here: 39,999 copied, 1 read through, 0 new."
        );
        for (name, entries) in [("copied", 39_000), ("keptForClient", 900), ("ahead", 50)] {
            here[name] = entries.into();
        }
        (here["evicted"], here["asTheyCame"]) = (950.into(), 38_101.into());
        let text = whereabouts(&here, None);
        let expected = "40,000 were read: 39,000 copied, 1 read through, 50 brought in ahead, 900 replaced by clients; 950 evicted here since. 38,101 are here as they came.";
        assert_eq!(text, expected);
        here["clientsEvicted"] = 7.into();
        let text = whereabouts(&here, None);
        assert!(
            text.contains(
                "950 evicted here since, 7 of clients evicted here, which are nowhere else."
            ),
            "{text}"
        );
        here["clientsEvicted"] = 0.into();
        (here["evicted"], here["asTheyCame"]) = (0.into(), 51.into());
        here["changedSince"] = 39_000.into();
        assert_eq!(
            whereabouts(&here, None),
            "40,000 were read: 39,000 copied, 1 read through, 50 brought in ahead, 900 replaced by \
             clients; 39,000 changed, removed or expired here since. 51 are here as they came."
        );
        (here["changedSince"], here["keptForClient"]) = (0.into(), 0.into());
        (here["tombstone"], here["expired"]) = (940.into(), 9.into());
        here["asTheyCame"] = 39_051.into();
        assert_eq!(
            whereabouts(&here, None),
            "39,051 of 40,000 are here: 39,000 copied, 1 read through, 50 brought in ahead; 940 removed here, 9 \
             expired."
        );
    }

    #[test]
    fn what_clients_removed_is_not_called_here_whatever_came_besides() {
        let mut here = json!({
            "segments": 256, "read": 100, "copied": 100, "readThrough": 0, "changedSince": 3, "repaired": 3,
            "goneBefore": 0, "asTheyCame": 100
        });
        assert_eq!(
            whereabouts(&here, None),
            "100 were read: 100 copied, 0 read through; 3 changed, removed or expired here since, 3 added by verify \
             --repair. 100 are here as they came."
        );
        (here["changedSince"], here["repaired"]) = (0.into(), 0.into());
        (here["goneBefore"], here["asTheyCame"]) = (41.into(), 141.into());
        assert_eq!(
            whereabouts(&here, None),
            "100 were read: 100 copied, 0 read through; 41 more that the source did not have any more when it was \
             read to its end. 141 are here as they came."
        );
        // Not everything is complete: what is here of the complete segments is not counted.
        here = json!({ "segments": 7, "read": 100, "copied": 100, "readThrough": 0 });
        assert_eq!(whereabouts(&here, None), "100 were read: 100 copied, 0 read through.");
    }

    #[test]
    fn what_an_earlier_process_has_copied_is_not_counted_as_none() {
        let here = json!({ "segments": 0, "read": 0, "copied": 0, "readThrough": 0 });
        let text = synchronized(0, &here);
        assert_eq!(
            text,
            "Synchronized 0 entries. Everything was copied before this server was started."
        );
        let here =
            json!({ "segments": 2, "read": 1, "copied": 1, "readThrough": 0, "asTheyCame": 1 });
        let all = "1 of 1 are here: 1 copied, 0 read through, 1 new.";
        assert_eq!(synchronized(1, &here), format!("Synchronized 1 entry. {all}"));
    }
}
