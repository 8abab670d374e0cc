//! Connecting a cache to its source, showing how, and disconnecting it.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Target, remark, say};
use crate::cli::show;

pub(super) async fn connect(target: &Target, file: &Path, fresh: bool) -> anyhow::Result<ExitCode> {
    let body = std::fs::read(file).with_context(|| file.display().to_string())?;
    let fresh = if fresh { "?fresh=true" } else { "" };
    let path = target.path(&format!("/rolling-upgrade/source-connection{fresh}"));
    let api = target.api()?;
    let answer = api.post(&path, Some(body.clone())).await?;
    if answer.status == StatusCode::NOT_MODIFIED {
        let status = api.get(&target.path("/rolling-upgrade")).await?.success()?.json()?;
        bail!(
            "cache {} is connected already{}, and nothing of {} was taken: disconnect it first to connect it otherwise",
            target.cache,
            to_source(&status),
            file.display()
        );
    }
    if answer.status == StatusCode::NOT_FOUND && answer.text.is_empty() {
        bail!("there is no cache {} on the target: create it first", target.cache);
    }
    if answer.status == StatusCode::BAD_REQUEST && answer.text.starts_with("Invalid JSON at ") {
        bail!("{}: {}{}", file.display(), answer.text.trim(), instead_of(&body));
    }
    let notices = answer.success().with_context(|| file.display().to_string())?.notices;
    remark(&notices);
    let status = api.get(&target.path("/rolling-upgrade")).await?.success()?.json()?;
    say(target.server.json, json!({ "connected": target.cache, "notices": notices }), || {
        format!("Cache {} reads from its source now. {}", target.cache, next(&status))
    });
    Ok(ExitCode::SUCCESS)
}

/// What a body that is not even meant to be JSON has to be, behind what the server says of it.
fn instead_of(body: &[u8]) -> String {
    let is_xml = match body.trim_ascii_start() {
        [b'{', ..] => return String::new(),
        [b'<', ..] => ", and this is XML",
        _ => "",
    };
    format!(
        ": a JSON document is expected{is_xml}, such as {{\"remote-store\": {{\"cache\": \"CACHE\", \"remote-server\": \
         [{{\"host\": \"HOST\", \"port\": 11222}}]}}}}"
    )
}

/// What to do with a cache that was just connected.
fn next(status: &Value) -> &'static str {
    match status.get("state").and_then(Value::as_str) {
        // The connection continues one through which everything was copied.
        Some("SYNCED" | "VERIFIED") => "Everything was copied before. Next: verify.",
        _ => "Next: synchronize.",
    }
}

/// To which cache of which servers a cache is connected, as part of a sentence.
fn to_source(status: &Value) -> String {
    let servers = status.pointer("/source/servers").and_then(Value::as_array);
    let servers: Vec<&str> = servers.into_iter().flatten().filter_map(Value::as_str).collect();
    let cache = status.pointer("/source/cache").and_then(Value::as_str);
    cache.map_or_else(String::new, |cache| format!(", to cache {cache} of {}", servers.join(", ")))
}

pub(super) async fn source_connection(target: &Target) -> anyhow::Result<ExitCode> {
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

pub(super) async fn disconnect(
    target: &Target,
    strict: bool,
    force: bool,
) -> anyhow::Result<ExitCode> {
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
