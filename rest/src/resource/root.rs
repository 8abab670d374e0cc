//! `/`: a word for people who look at the port with a browser.

use axum::{Router, extract::State, response::Response, routing::get};
use media::MediaType;

use crate::{
    answer::{not_allowed, text},
    node::Shared,
    problem::Problem,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/", get(show).head(refuse))
}

async fn show(State(node): State<Shared>) -> Response {
    let version = &node.about.version;
    text(&MediaType::TEXT, format!("Godwit {version}. The REST API is under /rest/v2.\n"))
}

/// Clients try out here whether somebody answers, and know a real server by this.
async fn refuse() -> Problem {
    not_allowed().await
}
