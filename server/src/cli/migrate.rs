//! `godwit migrate`: a migration by hand, through the server's REST interface.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use super::{
    api::{Api, segment},
    show,
};

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Take a cache over from another cluster
    #[command(subcommand)]
    Cluster(Step),
}

/// Where the server is, and which cache is meant.
#[derive(Args)]
struct Target {
    /// The cache
    #[arg(short, long)]
    cache: String,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
struct ServerArgs {
    /// The target server
    #[arg(short, long, env = "GODWIT_SERVER", default_value = "http://127.0.0.1:11222")]
    server: String,

    /// Print answers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Step {
    /// Connect a cache to its source
    Connect {
        #[command(flatten)]
        target: Target,
        /// JSON document with a remote-store element, as in the Data Grid manual
        #[arg(short, long)]
        file: PathBuf,
        /// Start anew although the cache had a source before: keys that were removed here may come back
        #[arg(long)]
        fresh: bool,
    },
    /// Show how a cache is connected
    SourceConnection {
        #[command(flatten)]
        target: Target,
    },
    /// Copy every entry from the source
    Synchronize {
        #[command(flatten)]
        target: Target,
        /// Entries that the source is asked for at a time
        #[arg(short = 'b', long)]
        read_batch: Option<u32>,
        /// Parts of the source that are copied at a time
        #[arg(short, long)]
        threads: Option<u32>,
    },
    /// Show where a migration stands; of all caches, unless one is named
    Status {
        /// The cache
        #[arg(short, long)]
        cache: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Stop copying, or verifying, until it is resumed
    Pause {
        #[command(flatten)]
        target: Target,
    },
    /// Go on copying, or verifying
    Resume {
        #[command(flatten)]
        target: Target,
    },
    /// End copying, or verifying; what is complete stays complete
    Cancel {
        #[command(flatten)]
        target: Target,
    },
    /// Limit how fast the running job copies, or verifies; without limits, as fast as it goes
    Throttle {
        #[command(flatten)]
        target: Target,
        /// Most entries in a second
        #[arg(long)]
        entries_per_second: Option<u64>,
        /// Most bytes in a second
        #[arg(long)]
        bytes_per_second: Option<u64>,
    },
    /// Compare every entry with the source
    Verify {
        #[command(flatten)]
        target: Target,
        /// Fetch again what is missing or different
        #[arg(long)]
        repair: bool,
        /// Parts of the source that are compared at a time
        #[arg(short, long)]
        threads: Option<u32>,
    },
    /// Go on with a source that was started again, or is another one
    AcceptSourceLoss {
        #[command(flatten)]
        target: Target,
    },
    /// Go on although entries that clients wrote here were lost with the process
    AcceptLoss {
        #[command(flatten)]
        target: Target,
    },
    /// Disconnect a cache from its source; refused if entries would be lost
    Disconnect {
        #[command(flatten)]
        target: Target,
        /// Refuse also if nobody knows whether entries would be lost: nothing was verified, or entries were
        /// evicted
        #[arg(long, conflicts_with = "force")]
        strict: bool,
        /// Disconnect whatever is lost, and say what was left behind
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(arguments: MigrateArgs) -> anyhow::Result<ExitCode> {
    let What::Cluster(step) = arguments.what;
    match step {
        Step::Connect { target, file, fresh } => connect(&target, &file, fresh).await,
        Step::SourceConnection { target } => source_connection(&target).await,
        Step::Synchronize { target, read_batch, threads } => {
            synchronize(&target, read_batch, threads).await
        }
        Step::Status { cache, server } => status(cache.as_deref(), &server).await,
        Step::Pause { target } => act(&target, "pause", None).await,
        Step::Resume { target } => act(&target, "resume", None).await,
        Step::Cancel { target } => act(&target, "cancel", None).await,
        Step::Throttle { target, entries_per_second, bytes_per_second } => {
            let rates = json!({
                "entriesPerSecond": entries_per_second,
                "bytesPerSecond": bytes_per_second,
            });
            act(&target, "throttle", Some(rates)).await
        }
        Step::Verify { target, repair, threads } => verify(&target, repair, threads).await,
        Step::AcceptSourceLoss { target } => act(&target, "accept-source-loss", None).await,
        Step::AcceptLoss { target } => act(&target, "accept-loss", None).await,
        Step::Disconnect { target, strict, force } => disconnect(&target, strict, force).await,
    }
}

impl Target {
    fn api(&self) -> anyhow::Result<Api> {
        Api::new(&self.server.server)
    }

    fn path(&self, rest: &str) -> String {
        format!("/rest/v2/caches/{}{rest}", segment(&self.cache))
    }
}

async fn connect(target: &Target, file: &std::path::Path, fresh: bool) -> anyhow::Result<ExitCode> {
    let body = std::fs::read(file).with_context(|| file.display().to_string())?;
    let fresh = if fresh { "?fresh=true" } else { "" };
    let path = target.path(&format!("/rolling-upgrade/source-connection{fresh}"));
    let answer = target.api()?.post(&path, Some(body)).await?;
    if answer.status == StatusCode::NOT_MODIFIED {
        bail!("cache {} is connected already", target.cache);
    }
    if answer.status == StatusCode::NOT_FOUND && answer.text.is_empty() {
        bail!("there is no cache {} on the target: create it first", target.cache);
    }
    let notices = answer.success().with_context(|| file.display().to_string())?.notices;
    remark(&notices);
    say(target.server.json, json!({ "connected": target.cache, "notices": notices }), || {
        format!("Cache {} reads from its source now. Next: synchronize.", target.cache)
    });
    Ok(ExitCode::SUCCESS)
}

async fn source_connection(target: &Target) -> anyhow::Result<ExitCode> {
    let path = target.path("/rolling-upgrade/source-connection");
    let answer = target.api()?.get(&path).await?;
    if answer.status == StatusCode::NOT_FOUND && answer.text.is_empty() {
        bail!("cache {} is not connected to a source", target.cache);
    }
    let connection = answer.success()?.json()?;
    let text = if target.server.json { connection.to_string() } else { format!("{connection:#}") };
    show::line(text);
    Ok(ExitCode::SUCCESS)
}

async fn synchronize(
    target: &Target,
    read_batch: Option<u32>,
    threads: Option<u32>,
) -> anyhow::Result<ExitCode> {
    let api = target.api()?;
    let mut path = target.path("?action=sync-data&async=true");
    if let Some(read_batch) = read_batch {
        path.push_str(&format!("&read-batch={read_batch}"));
    }
    if let Some(threads) = threads {
        path.push_str(&format!("&threads={threads}"));
    }
    let answer = api.post(&path, None).await?;
    if answer.text.contains("ISPN010016") {
        bail!(
            "{}\n(cache {} is not connected: connect it first)",
            answer.text.trim(),
            target.cache
        );
    }
    let answer = answer.success()?;
    if answer.status != StatusCode::ACCEPTED {
        // It has finished, and the cache was disconnected: this is what it had written.
        let text = answer.text.trim();
        say(target.server.json, json!({ "state": "finished", "text": text }), || text.to_owned());
        return Ok(ExitCode::SUCCESS);
    }
    let status = watch(&api, target, &["/job/entries/read", "/here/read"], |status| {
        let state = status.pointer("/job/state").and_then(Value::as_str).unwrap_or_default();
        !matches!(state, "running" | "paused" | "retrying")
    })
    .await?;
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
        let of = |name: &str| entries.get(name).and_then(Value::as_u64).unwrap_or(0);
        let written = of("written");
        format!("Synchronized {} entries. {}", grouped(written), whereabouts(&here, Some(written)))
    });
    Ok(ExitCode::SUCCESS)
}

/// What became of the source's entries, over all synchronizations; and how many of them are `new`.
fn whereabouts(here: &Value, new: Option<u64>) -> String {
    let of = |name: &str| here.get(name).and_then(Value::as_u64).unwrap_or(0);
    let part = |name: &str, what: &str| match of(name) {
        0 => String::new(),
        entries => format!(", {} {what}", grouped(entries)),
    };
    let (gone, expired) = (part("tombstone", "removed here"), part("expired", "expired"));
    let all = ["copied", "readThrough", "ahead", "keptForClient"].map(of).iter().sum();
    let mut text = format!(
        "{} of {} are here: {} copied, {} read through",
        grouped(all),
        grouped(of("read")),
        grouped(of("copied")),
        grouped(of("readThrough"))
    );
    text.push_str(&part("ahead", "brought in ahead"));
    text.push_str(&part("keptForClient", "replaced by clients"));
    if let Some(new) = new {
        text.push_str(&format!(", {} new", grouped(new)));
    }
    let others = format!("{gone}{expired}");
    if let Some(others) = others.strip_prefix(", ") {
        text.push_str(&format!("; {others}"));
    }
    text.push('.');
    text
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

async fn status(cache: Option<&str>, server: &ServerArgs) -> anyhow::Result<ExitCode> {
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
    all.iter().for_each(summarize);
    Ok(ExitCode::SUCCESS)
}

/// Shows the clocks of the source that differ from ours, and those that are not known to a second.
fn show_clocks(status: &Value) {
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
            show::line(format_args!(
                "  clock        of {server}: ahead by {} to {} s, set {jumps} times",
                seconds(low),
                seconds(high)
            ));
        }
    }
}

fn summarize(status: &Value) {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64);
    show::line(format_args!("{}: {}", text("/cache"), text("/state")));
    if let (Some(complete), Some(all)) =
        (number("/source/segmentsComplete"), number("/source/segments"))
    {
        show::line(format_args!("  segments     {complete} of {all} complete"));
    }
    if let Some(problem) = status.pointer("/source/problem").and_then(Value::as_str) {
        show::line(format_args!("  source       does not answer: {problem}"));
    }
    show_clocks(status);
    if let Some(lived_on) = number("/livedOn").filter(|lived_on| *lived_on > 0) {
        show::line(format_args!("  lived on     {lived_on} entries that were over only here"));
    }
    match status.get("here") {
        Some(here) if number("/here/segments") > Some(0) => {
            show::line(format_args!("  entries      {}", whereabouts(here, None)));
        }
        _ => {
            if let Some(imported) = number("/imported") {
                show::line(format_args!(
                    "  copied       {imported} entries by all synchronizations"
                ));
            }
        }
    }
    if let Some(read) = number("/job/entries/read") {
        show::line(format_args!(
            "  job          {}, {read} read, {} written, {} entries/s{}",
            text("/job/state"),
            number("/job/entries/written").unwrap_or(0),
            number("/job/rateEntriesPerSec").unwrap_or(0),
            number("/job/etaSeconds").map_or_else(String::new, |eta| format!(", {eta} s left"))
        ));
    }
    if let Some(hits) = number("/readThrough/hits") {
        let silent = number("/readThrough/silent").unwrap_or(0);
        let walked = number("/readThrough/forIterations").unwrap_or(0);
        show::line(format_args!(
            "  read through {hits} entries, and {walked} for iterations; {silent} unanswered"
        ));
    }
    if let Some(compared) = number("/verify/compared") {
        let of = |name: &str| number(&format!("/verify/{name}")).unwrap_or(0);
        show::line(format_args!(
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
            show::line(format_args!("  first        {blocker}"));
        }
    }
    if let Some(doubts) = status.pointer("/doubts").and_then(Value::as_array) {
        for doubt in doubts.iter().filter_map(Value::as_str) {
            show::line(format_args!("  unknown      {doubt}"));
        }
    }
}

async fn act(target: &Target, action: &str, body: Option<Value>) -> anyhow::Result<ExitCode> {
    let path = target.path(&format!("/rolling-upgrade?action={action}"));
    let body = body.map(|body| body.to_string().into_bytes());
    target.api()?.post(&path, body).await?.success()?;
    say(target.server.json, json!({ "done": action }), || done(action).to_owned());
    Ok(ExitCode::SUCCESS)
}

/// What is so now that this was done.
fn done(action: &str) -> &'static str {
    match action {
        "pause" => {
            "Paused: nothing is copied or compared until it is resumed. Clients still read through."
        }
        "resume" => "It goes on; status shows how far it is.",
        "cancel" => "Cancelled: what is complete stays complete.",
        "throttle" => "The running job keeps to these limits, and to no others, from now on.",
        "accept-source-loss" => "The source counts as it is now. Next: synchronize.",
        "accept-loss" => "The cache serves again, without what was lost.",
        _ => "Done.",
    }
}

async fn verify(target: &Target, repair: bool, threads: Option<u32>) -> anyhow::Result<ExitCode> {
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
    Ok(if differences == 0 && perhaps_evicted == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

async fn disconnect(target: &Target, strict: bool, force: bool) -> anyhow::Result<ExitCode> {
    let rule = match (strict, force) {
        (_, true) => "?force=true",
        (true, false) => "?strict=true",
        (false, false) => "",
    };
    let path = target.path(&format!("/rolling-upgrade/source-connection{rule}"));
    let answer = target.api()?.call(Method::DELETE, &path, None).await?;
    if answer.status == StatusCode::NOT_MODIFIED {
        bail!("cache {} was never connected to a source", target.cache);
    }
    let answer = answer.success()?;
    let (notices, left) = (answer.notices, answer.text.trim());
    remark(&notices);
    let left_behind: Vec<&str> = left.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    let document = json!({
        "disconnected": target.cache,
        "notices": notices,
        "leftBehind": left_behind,
    });
    say(target.server.json, document, || match left {
        "" => format!("Cache {} is disconnected: its source is not asked any more.", target.cache),
        left => left.to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

/// Shows a progress bar until the status says that it is over. Returns the last status. As much is `done` as
/// the largest of these numbers says.
async fn watch(
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
pub(super) fn progress_bar() -> ProgressBar {
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

/// What the operator should know, on standard error.
fn remark(notices: &[String]) {
    notices.iter().for_each(|notice| show::note(format_args!("note: {notice}")));
}

fn say(as_json: bool, json: Value, text: impl FnOnce() -> String) {
    if as_json { show::line(json) } else { show::line(text()) }
}

#[cfg(test)]
mod tests {
    //! What people are told of counts.

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
        (here["tombstone"], here["expired"]) = (40.into(), 9.into());
        assert_eq!(
            whereabouts(&here, None),
            "39,951 of 40,000 are here: 39,000 copied, 1 read through, 50 brought in ahead, 900 \
             replaced by clients; 40 removed here, 9 expired."
        );
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1_000, 12_345, 100_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,345", "100,000", "1,234,567"]);
    }
}
