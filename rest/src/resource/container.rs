//! The container of all caches: `/v2/container`, and `/v2/cache-managers/{name}` as it was called.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use config::{CacheConfig, CacheName, Secrets};
use http::{HeaderMap, StatusCode};
use media::MediaType;
use serde_json::{Value, json};

use super::{configuration_events, source_connection::done};
use crate::{
    answer::{Answer, Json, empty, text},
    node::{Node, Shared},
    problem::Problem,
    request::{Parameters, document_type},
};

/// The version of Infinispan whose API this is: tools choose by it how they speak. Our own stands
/// under `/v2/server`.
pub(super) const MODEL_VERSION: &str = "16.0.7";

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new().route("/v2/container/", get(show).post(act));
    for container in ["/v2/container", "/v2/cache-managers/{name}"] {
        let below = |path: &str| format!("{container}{path}");
        routes = routes
            .route(container, get(show).post(act))
            .route(&below("/health"), get(health))
            .route(&below("/health/status"), get(health_status))
            .route(&below("/stats"), get(stats).post(reset_stats))
            .route(&below("/config"), get(configuration))
            .route(&below("/cache-configs"), get(cache_configs))
            .route(&below("/cache-configs/templates"), get(templates))
            .route(&below("/backups"), get(none))
            .route(&below("/backups/{backup}"), get(absent).delete(absent).post(no_backups))
            .route(&below("/restores"), get(none))
            .route(&below("/restores/{restore}"), get(absent).delete(absent).post(no_backups))
            .route(&below("/x-site/backups"), get(no_sites));
    }
    routes.route("/v2/container/cache-configs/config", post(not_here))
}

async fn show(State(node): State<Shared>, parameters: Parameters) -> Answer {
    match parameters.action()? {
        None => Json(info(&node)).into(),
        Some("listen") => Err(Problem::not_implemented("listening to the container")),
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn act(State(node): State<Shared>, parameters: Parameters) -> Answer {
    match parameters.action()? {
        // With one member there is nothing to rebalance.
        Some("enable-rebalancing" | "disable-rebalancing") => Ok(empty(StatusCode::NO_CONTENT)),
        // Entries live as long as the process; nothing has to be written down before it ends.
        Some("shutdown") => {
            tracing::info!(node = node.about.node_name, "asked to shut the container down");
            Ok(done(&node.migrations.lost_with_process()))
        }
        _ => Err(Problem::unknown_action()),
    }
}

/// In the order of the real server.
fn info(node: &Node) -> Value {
    let about = &node.about;
    let (member, address) = (&about.node_name, about.address.to_string());
    let caches = node.all_caches();
    let templates = node.caches.templates();
    let configurations: Vec<&str> = {
        let mut names: Vec<_> = caches.iter().map(|it| it.name().as_str()).collect();
        names.extend(templates.iter().map(|(name, _)| name.as_str()));
        names.sort_unstable();
        names
    };
    let defined =
        caches.iter().map(|cache| json!({ "name": cache.name().as_str(), "started": true }));
    let created = caches.iter().filter(|cache| !cache.name().is_internal()).count();
    json!({
        "version": MODEL_VERSION,
        "name": about.container_name,
        "coordinator": true,
        "cache_configuration_names": configurations,
        "cluster_name": about.cluster_name,
        "physical_addresses": format!("[{address}]"),
        "coordinator_address": member,
        "cache_manager_status": "RUNNING",
        "created_cache_count": created,
        "running_cache_count": created,
        "node_address": member,
        "cluster_members": [member],
        "cluster_members_physical_addresses": [address],
        "cluster_size": 1,
        "defined_caches": defined.collect::<Vec<_>>(),
        "local_site": null,
        "relay_node": false,
        "relay_nodes_address": [],
        "sites_view": [],
        "tracing_enabled": false,
        "rebalancing_enabled": true,
    })
}

async fn health(State(node): State<Shared>) -> Json {
    let caches = node.all_caches();
    let caches = caches.iter().map(|cache| {
        let status = node.health_of(cache).to_string();
        json!({ "status": status, "cache_name": cache.name().as_str() })
    });
    Json(json!({
        "cluster_health": {
            "cluster_name": node.about.cluster_name,
            "health_status": node.health().to_string(),
            "number_of_nodes": 1,
            "node_names": [node.about.node_name],
        },
        "cache_health": caches.collect::<Vec<_>>(),
    }))
}

async fn health_status(State(node): State<Shared>) -> Response {
    text(&MediaType::TEXT, node.health().to_string())
}

/// What 16 says of the container, and behind it the sums of all caches, as older servers had them.
async fn stats(State(node): State<Shared>) -> Json {
    let caches = node.all_caches();
    let (mut sum, mut entries, mut memory) = (store::Stats::default(), 0, 0);
    for cache in &caches {
        sum += cache.stats();
        entries += cache.approximate_len();
        memory += cache.memory();
    }
    Json(json!({
        "statistics_enabled": true,
        "off_heap_memory_used": 0,
        "data_memory_used": memory,
        "required_minimum_number_of_nodes": 1,
        "number_of_entries": entries,
        "current_number_of_entries": entries,
        "stores": sum.stores,
        "retrievals": sum.hits + sum.misses,
        "hits": sum.hits,
        "misses": sum.misses,
        "remove_hits": sum.remove_hits,
        "remove_misses": sum.remove_misses,
        "evictions": sum.evictions,
    }))
}

async fn reset_stats(State(node): State<Shared>, parameters: Parameters) -> Answer {
    if parameters.action()? != Some("reset") {
        return Err(Problem::unknown_action());
    }
    node.all_caches().iter().for_each(|cache| node.reset_stats(cache));
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The container itself; its caches stand in documents of their own.
async fn configuration(
    State(node): State<Shared>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    match parameters.action()? {
        None => {}
        Some("listen") => return configuration_events::listen(&node, &parameters, &headers),
        Some(_) => return Err(Problem::unknown_action()),
    }
    let about = &node.about;
    if document_type(&headers, &[MediaType::JSON, MediaType::XML])? == MediaType::XML {
        let document = format!(
            "<?xml version=\"1.0\"?><infinispan><cache-container name=\"{}\" statistics=\"true\">\
             <transport cluster=\"{}\" node-name=\"{}\"/><caches/></cache-container></infinispan>",
            escaped(&about.container_name),
            escaped(&about.cluster_name),
            escaped(&about.node_name),
        );
        return Ok(text(&MediaType::XML, document));
    }
    Json(json!({ "infinispan": { "cache-container": {
        "name": about.container_name,
        "statistics": true,
        "transport": { "cluster": about.cluster_name, "node-name": about.node_name },
        "caches": {},
    } } }))
    .into()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// Every cache and every configuration that caches can be made from, but those of the server itself.
async fn cache_configs(State(node): State<Shared>) -> Json {
    let caches = node.user_caches();
    let mut all: Vec<_> =
        caches.iter().map(|cache| (cache.name().clone(), (*cache.config()).clone())).collect();
    all.extend(node.caches.templates());
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json(all.iter().map(named).collect())
}

/// What caches can be made from: what the server was started with, and what is built in.
async fn templates(State(node): State<Shared>) -> Json {
    let built_in = config::template_names()
        .iter()
        .filter_map(|name| Some((name.parse::<CacheName>().ok()?, config::template(name)?)));
    let mut all: Vec<_> = node.caches.templates().into_iter().chain(built_in).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json(all.iter().map(named).collect())
}

fn named((name, config): &(CacheName, CacheConfig)) -> Value {
    json!({
        "name": name.as_str(),
        "configuration": config.to_json(Some(name), Secrets::Masked),
    })
}

async fn none() -> Json {
    Json(json!([]))
}

async fn no_sites() -> Json {
    Json(json!({}))
}

async fn absent() -> Response {
    empty(StatusCode::NOT_FOUND)
}

async fn no_backups() -> Problem {
    Problem::not_implemented("a backup")
}

async fn not_here() -> Response {
    let text = "POST the configuration to /rest/v2/caches?action=convert";
    Problem::new(StatusCode::NOT_IMPLEMENTED, text).into_response()
}
