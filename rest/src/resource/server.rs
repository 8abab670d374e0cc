//! This server: `/v2/server`.

use axum::{Router, extract::State, routing::get};
use config::CacheName;
use http::StatusCode;
use serde_json::json;

use super::source_connection::done;
use crate::{
    answer::{Answer, Json, empty},
    node::Shared,
    problem::Problem,
    request::{NamePath, Parameters},
};

/// Names under which the one port is known.
const CONNECTORS: [&str; 3] = ["HotRod-hotrod", "REST-rest", "endpoint-default"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/server", get(show).post(act))
        .route("/v2/server/", get(show).post(act))
        .route("/v2/server/connectors", get(connectors))
        .route("/v2/server/connectors/{connector}", get(connector))
        .route("/v2/server/ignored-caches", get(none))
        .route("/v2/server/ignored-caches/{cache}", get(none).post(ignore).delete(ignore))
        .route("/v2/server/datasources", get(none))
}

async fn show(State(node): State<Shared>, parameters: Parameters) -> Answer {
    if parameters.action()?.is_some() {
        return Err(Problem::unknown_action());
    }
    Json(json!({
        "version": format!("Godwit {}", node.about.version),
        "cache-manager-name": node.about.container_name,
    }))
    .into()
}

async fn act(State(node): State<Shared>, parameters: Parameters) -> Answer {
    if parameters.action()? != Some("stop") {
        return Err(Problem::unknown_action());
    }
    let lost = node.migrations.lost_with_process();
    node.stop.cancel();
    Ok(done(&lost))
}

async fn connectors() -> Json {
    Json(json!(CONNECTORS))
}

/// All of them are one.
async fn connector(State(node): State<Shared>, NamePath(name): NamePath) -> Answer {
    if !CONNECTORS.contains(&name.as_str()) {
        return Ok(empty(StatusCode::NOT_FOUND));
    }
    let address = node.about.address;
    Json(json!({
        "name": name,
        "ip-filter-rules": [],
        "default-cache": node.about.default_cache.as_ref().map(CacheName::as_str),
        "host": address.ip().to_string(),
        "port": address.port(),
        "enabled": true,
    }))
    .into()
}

async fn none() -> Json {
    Json(json!([]))
}

async fn ignore() -> Problem {
    Problem::not_implemented("ignoring a cache")
}
