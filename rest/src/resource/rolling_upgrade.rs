//! Where the migration of one cache stands, and what its operator can do: `…/rolling-upgrade`.
//!
//! Ours; a real server has only the source connection below. The path is that of an entry as well:
//! what is not said of a migration goes to the entry of this key.

use axum::{
    Router,
    extract::{OriginalUri, State},
    routing::{MethodRouter, get, post},
};
use config::CacheName;
use http::{HeaderMap, StatusCode, Uri};
use media::MediaType;
use migrate::{VerifyReport, VerifyRequest, Verifying};

use super::{
    entry, rates,
    source_connection::{name_of, with_notices},
    synchronization::accepted,
};
use crate::{
    answer::{Answer, Json, empty},
    node::{Node, Shared},
    patience::{self, to_its_end},
    problem::Problem,
    request::{CachePath, Content, EntryPath, NamePath, Parameters},
};

pub(super) fn routes() -> Router<Shared> {
    let entry: MethodRouter<Shared> = entry::changes();
    Router::new()
        .route("/v2/caches/{cache}/rolling-upgrade", get(show).post(act).merge(entry))
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
    path: EntryPath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    match parameters.action()? {
        None => entry::create_at(&node, &path, &headers, &content).await,
        Some(action) => carry_out(&node, &path.cache, action, &uri, &parameters, &content).await,
    }
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
    carry_out(&node, &name, action, &uri, &parameters, &content).await
}

async fn carry_out(
    node: &Node,
    name: &str,
    action: &str,
    uri: &Uri,
    parameters: &Parameters,
    content: &[u8],
) -> Answer {
    let migrations = node.migrations.clone();
    let name = || name_of(node, name);
    match action {
        "pause" => migrations.pause(&name()?)?,
        "resume" => {
            let name = name()?;
            to_its_end(async move { migrations.resume(&name).await }).await?;
        }
        "cancel" => migrations.cancel(&name()?)?,
        "throttle" => migrations.throttle(&name()?, rates::described(content)?)?,
        "accept-loss" => migrations.accept_loss(&name()?).await?,
        "accept-source-loss" => {
            let name = name()?;
            to_its_end(async move { migrations.accept_source_loss(&name).await }).await?;
        }
        "verify" => return verify(node, &name()?, uri, parameters).await,
        _ => return Err(Problem::unknown_action()),
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Starts a verification, or joins the running one, and answers with what it has found; with `async=true` at once.
async fn verify(node: &Node, name: &CacheName, uri: &Uri, parameters: &Parameters) -> Answer {
    let (repair, threads) = (parameters.decides("repair")?, parameters.positive("threads")?);
    let rates = rates::given(parameters)?;
    let verifying = node.migrations.verify(name, VerifyRequest { repair, threads, rates })?;
    let notices: Vec<String> = verifying.notice.iter().cloned().collect();
    let answer = if parameters.is_true("async") {
        accepted(node, name, uri)?
    } else {
        let pretty = parameters.is_true("pretty");
        patience::answer(found(verifying, pretty), Some(&MediaType::JSON)).await?
    };
    Ok(with_notices(answer, &notices))
}

async fn found(verifying: Verifying, pretty: bool) -> Result<String, Problem> {
    let report: VerifyReport = verifying.report().await?;
    if !report.is_finished() {
        let text = format!("the verification has ended without everything: {}", report.state);
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let document = Json::of(&report).0;
    Ok(if pretty { format!("{document:#}") } else { document.to_string() })
}
