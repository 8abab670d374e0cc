//! A cache's tie to its source: `…/rolling-upgrade/source-connection`.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use config::{CacheName, RemoteStoreError};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use media::MediaType;
use migrate::{ConnectOptions, DisconnectRule, Disconnected, MigrationError};
use serde_json::{Value, json};

use super::rolling_upgrade::no_content;
use crate::{
    answer::{Answer, Json, empty, set, text},
    node::{Node, Shared},
    patience::to_its_end,
    problem::Problem,
    request::{CachePath, Content, Parameters, wants_json_only},
};

/// What the operator should know of a connection that was made, one header each.
const NOTICE: HeaderName = HeaderName::from_static("godwit-notice");

pub(super) fn routes() -> Router<Shared> {
    let connection = get(show).head(exists).post(connect).delete(delete);
    Router::new().route("/v2/caches/{cache}/rolling-upgrade/source-connection", connection)
}

async fn show(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
) -> Answer {
    parameters.no_action()?;
    let connection = node.migrations.source_connection(&name_of(&node, &name)?)?;
    Ok(match connection {
        Some(remote) => Json(remote.to_json()).into_response(),
        None => empty(StatusCode::NOT_FOUND),
    })
}

async fn exists(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
) -> Answer {
    parameters.no_action()?;
    let connection = node.migrations.source_connection(&name_of(&node, &name)?)?;
    Ok(empty(if connection.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }))
}

/// All of it or nothing: what stands in the way is told together.
async fn connect(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    parameters.no_action()?;
    // As on the real server, without a text.
    let Ok(name) = name_of(&node, &name) else { return Ok(empty(StatusCode::NOT_FOUND)) };
    let fresh = parameters.only("connecting a cache", &["fresh"])?.decides("fresh")?;
    let parsed = match config::parse_remote_store(&content) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(undescribed(&error, &headers)),
    };
    cluster::log_ignored(name.as_str(), &parsed.ignored);
    let options = ConnectOptions { fresh };
    let migrations = node.migrations.clone();
    let connect = async move { migrations.connect(&name, parsed.value, options).await };
    match to_its_end(connect).await {
        Ok(notices) => Ok(done(&notices)),
        Err(MigrationError::AlreadyConnected(_)) => Ok(empty(StatusCode::NOT_MODIFIED)),
        Err(MigrationError::Problems(problems)) if wants_json_only(&headers) => {
            Ok(all(Json::of(&problems).0))
        }
        Err(error) => Err(error.into()),
    }
}

/// It is done, and there may be something to know about it.
pub(super) fn done(notices: &[String]) -> Response {
    with_notices(empty(StatusCode::NO_CONTENT), notices)
}

pub(super) fn with_notices(mut response: Response, notices: &[String]) -> Response {
    for notice in notices {
        let line = notice.replace(char::is_control, " ");
        if let Ok(notice) = HeaderValue::from_bytes(line.as_bytes()) {
            response.headers_mut().append(NOTICE, notice);
        }
    }
    response
}

fn undescribed(error: &RemoteStoreError, headers: &HeaderMap) -> Response {
    if wants_json_only(headers) {
        return all(json!([{ "code": "description", "text": error.to_string() }]));
    }
    Problem::bad_request(error).into_response()
}

fn all(problems: Value) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "problems": problems }))).into_response()
}

async fn delete(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    parameters.no_action()?;
    disconnect(&node, &name, &parameters, &headers, &content).await
}

/// Disconnects a cache from its source, if nothing is known that would be lost. Repeated, it says the same;
/// where there never was a source, that nothing has changed.
pub(super) async fn disconnect(
    node: &Node,
    name: &str,
    parameters: &Parameters,
    headers: &HeaderMap,
    content: &[u8],
) -> Answer {
    let name = name_of(node, name)?;
    let parameters = parameters.only("disconnecting a cache", &["force", "strict"])?;
    no_content("disconnecting a cache", content)?;
    let rule = match (parameters.decides("force")?, parameters.decides("strict")?) {
        (true, true) => {
            return Err(Problem::bad_request("'force' and 'strict' exclude each other"));
        }
        (true, false) => DisconnectRule::Force,
        (false, true) => DisconnectRule::Strict,
        (false, false) => DisconnectRule::Careful,
    };
    let (migrations, of) = (node.migrations.clone(), name.clone());
    let json_only = wants_json_only(headers);
    match to_its_end(async move { migrations.disconnect(&of, rule).await }).await {
        Ok(disconnected) => {
            Ok(with_notices(left(&disconnected, &name, json_only), &disconnected.notices))
        }
        Err(MigrationError::NotConnected(_)) => Ok(empty(StatusCode::NOT_MODIFIED)),
        Err(MigrationError::WouldLose { blockers, doubts, .. }) if json_only => {
            let reasons = Json(json!({ "blockers": blockers, "doubts": doubts }));
            Ok((StatusCode::CONFLICT, reasons).into_response())
        }
        Err(error @ MigrationError::WouldLose { .. }) => Ok(refused(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// What was left behind, if anything was.
fn left(disconnected: &Disconnected, name: &CacheName, json_only: bool) -> Response {
    match disconnected.text(name) {
        None => empty(StatusCode::NO_CONTENT),
        Some(_) if json_only => {
            Json(json!({ "leftBehind": disconnected.left_behind })).into_response()
        }
        Some(left) => text(&MediaType::TEXT, left),
    }
}

/// A refusal that people read, as text.
pub(super) fn refused(problem: Problem) -> Response {
    let mut response = problem.into_response();
    set(&mut response, CONTENT_TYPE, &MediaType::TEXT.to_string());
    response
}

/// The name of a cache that is there.
pub(super) fn name_of(node: &Node, name: &str) -> Result<CacheName, Problem> {
    Ok(node.cache(name)?.name().clone())
}
