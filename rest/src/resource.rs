//! The resources, one file for each family of paths.

mod attributes;
mod cache;
mod cache_config;
mod caches;
mod cluster;
mod configuration_events;
mod container;
mod counters;
mod entry;
mod iteration;
mod logging;
mod login;
mod metrics;
mod migrations;
mod probes;
mod rates;
mod rolling_upgrade;
mod root;
mod schemas;
mod security;
mod server;
mod source_connection;
mod statistics;
mod synchronization;
mod tasks;

use axum::Router;

pub(crate) use self::rates::described as described_rates;

use crate::node::Shared;

/// What is answered under `/v2`, and under `/rest/v2` as well.
pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .merge(entry::routes())
        .merge(caches::routes())
        .merge(cache::routes())
        .merge(source_connection::routes())
        .merge(rolling_upgrade::routes())
        .merge(migrations::routes())
        .merge(container::routes())
        .merge(cluster::routes())
        .merge(server::routes())
        .merge(logging::routes())
        .merge(login::routes())
        .merge(security::routes())
        .merge(counters::routes())
        .merge(schemas::routes())
        .merge(tasks::routes())
}

/// What is answered beside it.
pub(crate) fn outside() -> Router<Shared> {
    Router::new().merge(root::routes()).merge(probes::routes()).merge(metrics::routes())
}
