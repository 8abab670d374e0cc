//! The members: `/v2/cluster`.

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use serde_json::json;

use super::{container::MODEL_VERSION, source_connection::done};
use crate::{
    answer::{Answer, Json, empty},
    node::Shared,
    problem::Problem,
    request::Parameters,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/cluster", get(show).post(act))
        .route("/v2/cluster/members", get(members))
        .route("/v2/cluster/raft", get(raft))
        .route("/v2/cluster/backups", get(none))
        .route("/v2/cluster/restores", get(none))
}

async fn show(State(node): State<Shared>, parameters: Parameters) -> Answer {
    if parameters.action()? != Some("distribution") {
        return Err(Problem::unknown_action());
    }
    let memory = node.driver.agreement().container().memory();
    let (used, limit) = (memory.used(), memory.limit());
    Json(json!([{
        "node_name": node.about.node_name,
        "node_addresses": [node.about.address.to_string()],
        "memory_available": limit.saturating_sub(used),
        "memory_used": used,
    }]))
    .into()
}

/// Stops all members, or those that are named.
async fn act(State(node): State<Shared>, parameters: Parameters) -> Answer {
    if parameters.action()? != Some("stop") {
        return Err(Problem::unknown_action());
    }
    if let Some(other) = parameters.all("server").find(|name| *name != node.about.node_name) {
        let text = format!("there is no member '{other}'");
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let lost = node.migrations.lost_with_process();
    node.stop.cancel();
    Ok(done(&lost))
}

async fn members(State(node): State<Shared>) -> Json {
    Json(json!({
        "members": [{
            "version": MODEL_VERSION,
            "node_address": node.about.node_name,
            "physical_addresses": format!("[{}]", node.about.address),
            "cache_manager_status": "RUNNING",
        }],
        "rolling_upgrade": false,
    }))
}

/// As a real server without it.
async fn raft() -> Response {
    empty(StatusCode::NO_CONTENT)
}

async fn none() -> Json {
    Json(json!([]))
}
