//! `/metrics`: what the process measures, as Prometheus reads it.

use axum::{Router, extract::State, response::Response, routing::get};
use http::header::CONTENT_TYPE;

use crate::{answer::set, node::Shared};

/// The text format of Prometheus.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/metrics", get(show))
}

async fn show(State(node): State<Shared>) -> Response {
    let mut response = Response::new((node.metrics)().into());
    set(&mut response, CONTENT_TYPE, TEXT_FORMAT);
    response
}
