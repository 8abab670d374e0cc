//! What those ask who start and restart servers: `/health`.

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;

use crate::{answer::empty, node::Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
}

/// Whoever answers is alive.
async fn live() -> Response {
    empty(StatusCode::OK)
}

/// Clients may come, unless the server is about to end.
async fn ready(State(node): State<Shared>) -> Response {
    let stopping = node.stop.is_cancelled();
    empty(if stopping { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })
}
