//! Where all migrations stand: `/v2/rolling-upgrade`.

use axum::{Router, extract::State, routing::get};

use crate::{
    answer::{Answer, Json},
    node::Shared,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v2/rolling-upgrade", get(show))
}

async fn show(State(node): State<Shared>) -> Answer {
    Json::of(&node.migrations.all()).into()
}
