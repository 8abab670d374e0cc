//! Loggers: `/v2/logging`. What is logged is settled when the server is started.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, put},
};
use http::StatusCode;
use serde_json::json;

use crate::{
    answer::{Json, empty},
    node::Shared,
    request::Parameters,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/logging/loggers", get(loggers).put(set))
        .route("/v2/logging/loggers/{logger}", put(set).delete(set))
        .route("/v2/logging/appenders", get(appenders))
}

async fn loggers() -> Json {
    Json(json!([{ "name": "", "level": "INFO", "appenders": ["STDOUT"] }]))
}

async fn appenders() -> Json {
    Json(json!({ "STDOUT": { "name": "STDOUT" } }))
}

/// Taken, because operators set levels whenever they look at a server, and told.
async fn set(State(node): State<Shared>, parameters: Parameters) -> Response {
    let level = parameters.get("level").unwrap_or("the default");
    tracing::info!(
        node = node.about.node_name,
        level,
        "a request to change a log level has no effect: log levels are set at the start"
    );
    empty(StatusCode::NO_CONTENT)
}
