//! Tasks: `/v2/tasks`. There are none yet.

use axum::{Router, response::Response, routing::get};
use http::StatusCode;
use serde_json::json;

use crate::{
    answer::{Json, empty},
    node::Shared,
    problem::Problem,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/tasks", get(list))
        .route("/v2/tasks/", get(list))
        .route("/v2/tasks/{task}", get(absent).delete(absent).post(refuse).put(refuse))
}

async fn list() -> Json {
    Json(json!([]))
}

async fn absent() -> Response {
    empty(StatusCode::NOT_FOUND)
}

async fn refuse() -> Problem {
    Problem::not_implemented("a task")
}
