//! HTTP connections: REST and metrics.

use std::{io, sync::Arc};

use axum::Router;
use config::ServerConfig;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::TcpStream;

use crate::{metrics::Metrics, node::Node};

/// Most time for the header of a request to arrive.
const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Most bytes that the headers of a request may have.
const HEADER_BYTES: usize = 64 * 1024;

/// The REST interface of a node.
pub(crate) fn router(node: &Arc<Node>, address: std::net::SocketAddr) -> Router {
    let metrics = Metrics::start(Arc::clone(node));
    rest::router(rest::App {
        driver: node.driver.clone(),
        caches: node.caches.clone(),
        migrations: node.migrations.clone(),
        about: rest::About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_name: node.config.node_name.clone(),
            cluster_name: node.config.cluster_name.clone(),
            container_name: node.config.container_name.clone(),
            address,
            max_content: node.limits.wire.message,
            max_key: node.limits.wire.key,
            default_cache: node.config.default_cache.clone(),
            cors: node.config.cors.clone(),
            hosts: hosts(&node.config, address),
            process: node.process.clone(),
        },
        metrics: Arc::new(move || metrics.render()),
        stop: node.stopping.clone(),
    })
}

/// Names under which a server at this address may be reached.
fn hosts(config: &ServerConfig, address: std::net::SocketAddr) -> rest::Hosts {
    match address.ip().is_loopback() {
        true => rest::Hosts::Local(config.allowed_hosts.clone()),
        false => rest::Hosts::Any,
    }
}

/// Serves a connection until its peer leaves.
///
/// # Errors
///
/// If the connection breaks, or what comes over it is not HTTP.
pub(crate) async fn serve(stream: TcpStream, router: Router) -> io::Result<()> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(16 * 1024);
    let service = TowerToHyperService::new(router);
    builder.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}
