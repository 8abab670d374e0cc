//! Users and what they may do: `/v2/security`. Nobody is known here, and everybody may do everything.

use axum::{Router, routing::get};
use serde_json::json;

use crate::{answer::Json, node::Shared, problem::Problem};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/security/user/acl", get(acl))
        .route("/v2/security/users", get(users))
        .route("/v2/security/roles", get(not_enabled))
        .route("/v2/security/principals", get(not_enabled))
}

async fn acl() -> Json {
    Json(json!({ "subject": [] }))
}

async fn users() -> Json {
    Json(json!({}))
}

async fn not_enabled() -> Problem {
    Problem::bad_request("ISPN012027: Security authorization is not enabled on this server.")
}
