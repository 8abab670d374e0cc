//! How the web console logs in: `/v2/login`.

use axum::{Router, routing::get};
use serde_json::json;

use crate::{
    answer::{Answer, Json},
    node::Shared,
    problem::Problem,
    request::Parameters,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v2/login", get(show))
}

async fn show(parameters: Parameters) -> Answer {
    match parameters.action()? {
        Some("config") => Json(json!({ "mode": "HTTP", "ready": "true" })).into(),
        _ => Err(Problem::unknown_action()),
    }
}
