//! One cache: `/v2/caches/{cache}`.

use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::{MethodRouter, get},
};
use cluster::{AdminError, RemoveRule};
use config::{ByteSize, CacheMode, CacheName, Replication, Secrets};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use media::MediaType;
use serde_json::{Value, json};
use store::Cache;

use super::{attributes, cache_config, iteration, source_connection, statistics, synchronization};
use crate::{
    answer::{Answer, Json, empty, text},
    node::{Node, Shared},
    problem::Problem,
    request::{AdminFlags, CachePath, Content, Parameters},
};

/// Tells that a number may be a few more or fewer.
const APPROXIMATE: HeaderName = HeaderName::from_static("godwit-approximate");

pub(super) fn routes() -> Router<Shared> {
    let cache =
        || -> MethodRouter<Shared> { get(show).head(exists).post(act).put(put).delete(remove) };
    Router::new().route("/v2/caches/{cache}", cache()).route("/v2/caches/{cache}/", cache())
}

async fn show(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    match parameters.action()? {
        None => detail(&node, &name),
        Some("config") => cache_config::show(&node, &name, &parameters, &headers),
        Some("stats") => statistics::show(&node, &name),
        Some("health") => {
            let health = node.health_of(&*node.cache(&name)?);
            Ok(text(&MediaType::TEXT, health.to_string()))
        }
        Some("keys") => iteration::keys(&node, &name, &parameters).await,
        Some("entries") => iteration::entries(&node, &name, &parameters).await,
        Some("size") => size(&node, &name, &parameters).await,
        // 10.x has it so. Any web page can make a browser send a GET.
        Some("clear") => Err(Problem::not_by_get("clear")),
        Some("distribution") => distribution(&node, &name),
        Some("get-availability") => availability(&node, &name),
        Some("get-mutable-attributes") => attributes::list(&node, &name, &parameters),
        Some("get-mutable-attribute") => attributes::show(&node, &name, &parameters),
        Some("search") => Err(Problem::not_implemented("search")),
        Some("listen") => Err(Problem::not_implemented("listening to a cache")),
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn exists(
    State(node): State<Shared>,
    CachePath { cache: name, .. }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    match parameters.action()? {
        None => node.cache(&name).map(|_| empty(StatusCode::NO_CONTENT)),
        Some("config") => cache_config::show(&node, &name, &parameters, &headers),
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn act(
    State(node): State<Shared>,
    OriginalUri(uri): OriginalUri,
    CachePath { cache: name, written }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    match parameters.action()? {
        None => {
            let flags = AdminFlags::of(&headers)?;
            cache_config::put(&node, &written, &parameters, &headers, &content, flags).await
        }
        Some("clear") => clear(&node, &name).await,
        Some("stats-reset") => {
            node.reset_stats(&*node.cache(&name)?);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Some("set-availability") => set_availability(&node, &name, &parameters),
        Some("set-mutable-attribute") => attributes::set(&node, &name, &parameters).await,
        // With one member there is nothing to rebalance.
        Some("enable-rebalancing" | "disable-rebalancing") => {
            node.cache(&name).map(|_| empty(StatusCode::NO_CONTENT))
        }
        Some("sync-data") => {
            synchronization::start(&node, &name, &uri, &parameters, &headers, &content).await
        }
        Some("disconnect-source") => {
            source_connection::disconnect(&node, &name, &parameters, &headers, &content).await
        }
        Some("search" | "deleteByQuery") => Err(Problem::not_implemented("search")),
        Some("assign-alias") => {
            let alias = parameters.get("alias").ok_or_else(|| Problem::missing("alias"))?;
            node.caches.assign_alias(&name, &alias.parse()?).await?;
            Ok(Response::default())
        }
        Some("initialize") => Err(Problem::not_implemented("initializing a cache")),
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn put(
    State(node): State<Shared>,
    CachePath { written: name, .. }: CachePath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    if parameters.action()?.is_some() {
        return Err(Problem::unknown_action());
    }
    let flags = AdminFlags { update: true, ..AdminFlags::of(&headers)? };
    cache_config::put(&node, &name, &parameters, &headers, &content, flags).await
}

async fn remove(
    State(node): State<Shared>,
    CachePath { written: name, .. }: CachePath,
    parameters: Parameters,
) -> Answer {
    match parameters.action()? {
        None => {}
        Some("deleteByQuery") => return Err(Problem::not_implemented("search")),
        Some(_) => return Err(Problem::unknown_action()),
    }
    // What is no name is no name of a cache either.
    let Ok(name) = name.parse::<CacheName>() else { return Ok(empty(StatusCode::NOT_FOUND)) };
    let rule = if parameters.decides("force")? { RemoveRule::Force } else { RemoveRule::Careful };
    match node.caches.remove(&name, rule).await {
        Ok(None) => Ok(Response::default()),
        Ok(Some(lost)) => Ok(text(&MediaType::TEXT, format!("{lost}\n"))),
        Err(error @ AdminError::WouldLose(_)) => Ok(source_connection::refused(error.into())),
        Err(error) => Err(error.into()),
    }
}

async fn size(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let cache = node.cache(name)?;
    if parameters.decides("exact")? {
        let segments: Vec<_> = cache.segment_ids().collect();
        node.driver.make_whole(&cache, &segments).await?;
    }
    let size = node.driver.size(&cache).await?;
    let mut response = Answer::from(Json(json!(size.entries)))?;
    if size.approximate {
        response.headers_mut().insert(APPROXIMATE, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn clear(node: &Node, name: &str) -> Answer {
    node.driver.clear(&node.cache(name)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn distribution(node: &Node, name: &str) -> Answer {
    let cache = node.cache(name)?;
    let entries = cache.approximate_len();
    Json(json!([{
        "node_name": node.about.node_name,
        "node_addresses": [node.about.address.to_string()],
        "memory_entries": entries,
        "total_entries": entries,
        "memory_used": cache.memory(),
    }]))
    .into()
}

fn availability(node: &Node, name: &str) -> Answer {
    let served = node.cache(name)?.check_served().is_ok();
    Ok(text(&MediaType::TEXT, if served { "AVAILABLE" } else { "DEGRADED_MODE" }))
}

/// A cache that is served stays so; one that waits for its operator does not become served this way.
fn set_availability(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let cache = node.cache(name)?;
    let wanted = parameters.get("availability").ok_or_else(|| Problem::missing("availability"))?;
    match wanted.to_ascii_uppercase().as_str() {
        "AVAILABLE" => {
            cache.check_served()?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        "DEGRADED_MODE" => Err(Problem::not_implemented("making a cache unavailable")),
        _ => Err(Problem::bad_request(format!("Unknown AvailabilityMode '{wanted}'"))),
    }
}

/// A cache in the list of all.
pub(super) fn summary(node: &Node, cache: &Cache) -> Value {
    let config = cache.config();
    let mut summary = about(node, cache, json!(node.health_of(cache).to_string()));
    extend(
        &mut summary,
        json!({
            "statistics": config.statistics,
            "key_storage": null,
            "value_storage": null,
            "mode": null,
            "rebalancing_enabled": true,
            "rebalancing_requested": 0,
            "rebalancing_inflight": 0,
        }),
    );
    summary
}

/// All that is known of a cache, in the order of the real server.
fn detail(node: &Node, name: &str) -> Answer {
    let cache = node.cache(name)?;
    let config = cache.config();
    let stored_as = |media_type: &Option<MediaType>| {
        media_type.as_ref().unwrap_or(&MediaType::UNKNOWN).to_string()
    };
    let max_size = config.memory.max_size;
    let mut detail = about(node, &cache, Value::Null);
    extend(
        &mut detail,
        json!({
            "statistics": config.statistics,
            "key_storage": stored_as(&config.encoding.key),
            "value_storage": stored_as(&config.encoding.value),
            "mode": mode(config.mode, config.replication),
            "stats": statistics::of(node, &cache),
            "rehash_in_progress": false,
            "indexing_in_progress": false,
            "queryable": false,
            "rebalancing_enabled": true,
            "rebalancing_requested": 0,
            "rebalancing_inflight": 0,
            "configuration": config.to_json(Some(cache.name()), Secrets::Masked),
            "storage_type": "HEAP",
            "max_size": max_size.map(|size| ByteSize(size).to_string()).unwrap_or_default(),
            "max_size_bytes": attributes::or_none(max_size),
        }),
    );
    Json(detail).into()
}

/// What the list and the detail begin with.
fn about(node: &Node, cache: &Cache, health: Value) -> Value {
    let config = cache.config();
    json!({
        "status": "RUNNING",
        "name": cache.name().as_str(),
        "type": match config.mode {
            CacheMode::Distributed => "distributed-cache",
            CacheMode::Replicated => "replicated-cache",
            CacheMode::Local => "local-cache",
        },
        "simple_cache": false,
        "transactional": false,
        "persistent": node.is_connected(cache.name()),
        "bounded": cache.is_bounded(),
        "secured": false,
        "indexed": false,
        "has_remote_backup": false,
        "tracing": false,
        "health": health,
        "aliases": config.aliases.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn mode(mode: CacheMode, replication: Replication) -> &'static str {
    match (mode, replication) {
        (CacheMode::Local, _) => "LOCAL",
        (CacheMode::Distributed, Replication::Sync) => "DIST_SYNC",
        (CacheMode::Distributed, Replication::Async) => "DIST_ASYNC",
        (CacheMode::Replicated, Replication::Sync) => "REPL_SYNC",
        (CacheMode::Replicated, Replication::Async) => "REPL_ASYNC",
    }
}

fn extend(object: &mut Value, with: Value) {
    if let (Value::Object(object), Value::Object(with)) = (object, with) {
        object.extend(with);
    }
}
