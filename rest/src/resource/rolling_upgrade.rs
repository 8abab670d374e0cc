//! Where the migration of one cache stands, and what its operator can do: `…/rolling-upgrade`.
//!
//! Ours; a real server has only the source connection below, so the entry of this key cannot be reached by REST
//! on either: an action that is missing or mistyped never writes it.

use axum::{
    Router,
    extract::{OriginalUri, State},
    routing::{get, post},
};
use config::{CacheName, nearest};
use http::{StatusCode, Uri};
use media::MediaType;
use migrate::{VerifyReport, VerifyRequest, Verifying};

use super::{
    rates,
    source_connection::{name_of, with_notices},
    synchronization::accepted,
};
use crate::{
    answer::{Answer, Json, empty},
    node::{Node, Shared},
    patience::{self, to_its_end},
    problem::Problem,
    request::{CachePath, Content, NamePath, OwnParameters, Parameters},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/caches/{cache}/rolling-upgrade", get(show).post(act))
        .route("/v2/caches/{cache}/rolling-upgrade/{action}", post(act_below))
}

async fn show(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
) -> Answer {
    if let Some(action) = parameters.action()? {
        return Err(Problem::not_by_get(action));
    }
    let status = node.migrations.status(&name_of(&node, &name)?)?;
    Json::of(&status).into()
}

async fn act(
    State(node): State<Shared>,
    OriginalUri(uri): OriginalUri,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
    Content(content): Content,
) -> Answer {
    let action = parameters.action()?.ok_or_else(no_action)?;
    carry_out(&node, &name, action, &uri, &parameters, &content).await
}

/// `…/_pause` for `?action=pause`.
async fn act_below(
    State(node): State<Shared>,
    OriginalUri(uri): OriginalUri,
    CachePath { cache: name, .. }: CachePath,
    NamePath(action): NamePath,
    parameters: Parameters,
    Content(content): Content,
) -> Answer {
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "Resource not found");
    let action = action.strip_prefix('_').ok_or_else(not_found)?;
    if parameters.has("action") {
        return Err(Problem::bad_request("the path names the action: leave out 'action'"));
    }
    carry_out(&node, &name, action, &uri, &parameters, &content).await
}

/// Every action, with its parameters.
const ACTIONS: [(&str, &[&str]); 7] = [
    ("pause", &[]),
    ("resume", &[]),
    ("cancel", &[]),
    ("throttle", &["entries-per-second", "bytes-per-second"]),
    ("accept-loss", &[]),
    ("accept-source-loss", &[]),
    ("verify", &["repair", "async", "threads", "entries-per-second", "bytes-per-second"]),
];

async fn carry_out(
    node: &Node,
    name: &str,
    action: &str,
    uri: &Uri,
    parameters: &Parameters,
    content: &[u8],
) -> Answer {
    let known = ACTIONS.iter().find(|(name, _)| *name == action);
    let &(action, known) = known.ok_or_else(|| unknown(action))?;
    let parameters = parameters.only(action, known)?;
    if action != "throttle" {
        no_content(action, content)?;
    }
    let migrations = node.migrations.clone();
    let name = || name_of(node, name);
    match action {
        "pause" => migrations.pause(&name()?)?,
        "resume" => {
            let name = name()?;
            to_its_end(async move { migrations.resume(&name).await }).await?;
        }
        "cancel" => migrations.cancel(&name()?)?,
        "throttle" => migrations.throttle(&name()?, rates::wanted(&parameters, content)?)?,
        "accept-loss" => migrations.accept_loss(&name()?).await?,
        "accept-source-loss" => {
            let name = name()?;
            to_its_end(async move { migrations.accept_source_loss(&name).await }).await?;
        }
        "verify" => return verify(node, &name()?, uri, &parameters).await,
        _ => return Err(unknown(action)),
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

fn no_action() -> Problem {
    Problem::bad_request(format!("'action' is missing; there are {}", names().join(", ")))
}

fn names() -> [&'static str; 7] {
    ACTIONS.map(|(name, _)| name)
}

fn unknown(action: &str) -> Problem {
    let names = names();
    let instead = match nearest(action, &names) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("there are {}", names.join(", ")),
    };
    Problem::bad_request(format!("'{action}' is not an action of a migration; {instead}"))
}

/// Refuses content of an operation that reads none: what it was meant to say would be ignored.
///
/// # Errors
///
/// If there is any. An empty object says nothing.
pub(super) fn no_content(operation: &str, content: &[u8]) -> Result<(), Problem> {
    match content.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => {
            let text = format!("{operation} takes no content: give its parameters behind a '?'");
            Err(Problem::bad_request(text))
        }
    }
}

/// Starts a verification, or joins the running one, and answers with what it has found; with `async=true` at once.
async fn verify(
    node: &Node,
    name: &CacheName,
    uri: &Uri,
    parameters: &OwnParameters<'_>,
) -> Answer {
    let (repair, threads) = (parameters.decides("repair")?, parameters.positive("threads")?);
    let (rates, at_once) = (rates::given(parameters)?, parameters.decides("async")?);
    let verifying = node.migrations.verify(name, VerifyRequest { repair, threads, rates })?;
    let notices: Vec<String> = verifying.notice.iter().cloned().collect();
    let answer = if at_once {
        accepted(node, name, uri)?
    } else {
        let pretty = parameters.pretty();
        patience::answer(found(verifying, pretty), Some(&MediaType::JSON)).await?
    };
    Ok(with_notices(answer, &notices))
}

async fn found(verifying: Verifying, pretty: bool) -> Result<String, Problem> {
    let report: VerifyReport = verifying.report().await?;
    if !report.is_finished() {
        let why = report.reason.as_ref().unwrap_or(&report.state);
        let text = format!("the verification has ended without everything: {why}");
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let document = Json::of(&report).0;
    Ok(if pretty { format!("{document:#}") } else { document.to_string() })
}
