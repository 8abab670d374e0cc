//! The REST endpoint: what Infinispan's own tools ask of a server, and our migrations beside it.
//!
//! A driver: it reads requests, has the store, the agreement and the migrations do the work, and
//! writes answers. It decides nothing. Every command goes through [`migrate::Driver`], so that keys
//! that only the source has are found here as well.
//!
//! Start reading at [`router`], then `resource`, one file for each family of paths.

mod answer;
mod cors;
pub mod fuzz;
mod health;
mod http_date;
mod multipart;
mod node;
mod origin;
mod patience;
mod problem;
mod request;
mod resource;
mod room;
mod schemas;
mod walk;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use config::{CacheName, CorsRule};
use tokio_util::sync::CancellationToken;

pub use self::origin::Hosts;
pub use self::room::{Room, Wait};
pub use self::schemas::{Saved, Saving, SchemaError, Schemas};
use self::{
    cors::Guard,
    node::{Node, Shared},
    origin::Policy,
};

/// What the endpoint works with.
pub struct App {
    /// Carries commands to their end.
    pub driver: migrate::Driver,
    /// Creates, changes and removes caches.
    pub caches: cluster::Caches,
    /// Connects, synchronizes and disconnects.
    pub migrations: migrate::Migrations,
    /// What the server says of itself.
    pub about: About,
    /// The metrics of the process, as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Cancelled when a client asks the server to stop.
    pub stop: CancellationToken,
}

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Its own version.
    pub version: String,
    /// Name of this member.
    pub node_name: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Name of the container.
    pub container_name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Most bytes of a request's content.
    pub max_content: usize,
    /// Most bytes of a key.
    pub max_key: usize,
    /// The cache of requests that name none.
    pub default_cache: Option<CacheName>,
    /// Which web pages of other origins may use the API; without a rule, none.
    pub cors: Vec<CorsRule>,
    /// Names under which the server may be reached.
    pub hosts: Hosts,
    /// What it answers in [`migrate::PROCESS`].
    pub process: String,
}

/// Everything that is answered over HTTP: the API under `/rest/v2` and `/v2`, and what probes ask.
pub fn router(app: App) -> Router {
    let (rules, hosts) = (app.about.cors.clone(), app.about.hosts.clone());
    let clock = Arc::clone(app.driver.agreement().clock());
    let guard = Guard::new(Policy { rules, hosts }, clock);
    let node: Shared = Arc::new(Node::from(app));
    let api = resource::api();
    Router::new()
        .nest("/rest", api.clone())
        .merge(api)
        .merge(resource::outside())
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::not_allowed)
        .layer(middleware::from_fn_with_state(guard, cors::obey))
        .layer(middleware::from_fn(answer::render))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), answer::date))
        .with_state(node)
}
