//! HTTP connections: REST and metrics.

mod activity;
mod content;

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
use config::ServerConfig;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::net::TcpStream;

use self::{activity::Activity, content::counted};
use crate::{
    budget::{FREE, NoRoom, STEP, Share},
    endpoint::Place,
    linger::Lingering,
    metrics::Metrics,
    node::Node,
};

/// Most time for the header of a request to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The same time on a place that is kept for probes and administrators.
const HEADER_TIMEOUT_OF_RESERVED: Duration = Duration::from_secs(2);

/// Most bytes that the headers of a request may have.
const HEADER_BYTES: usize = FREE;

/// Bytes that one stream of an HTTP/2 connection may send before they are taken in, and all of them together.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// Time after which the peer of an HTTP/2 connection has to show that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

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

/// Serves a connection until its peer leaves, or the budget closes it.
///
/// # Errors
///
/// If the connection breaks, or what comes over it is not HTTP.
pub(crate) async fn serve(
    stream: TcpStream,
    router: Router,
    share: Arc<Share>,
    (place, lingering): (Place, &Lingering),
) -> io::Result<()> {
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
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STEP)
        .keep_alive_interval(KEEP_ALIVE)
        .max_header_list_size(16 * 1024);
    let is_reserved = place.is_reserved();
    if is_reserved {
        // One request, so that the place is soon free for the next one.
        builder.http1().keep_alive(false).header_read_timeout(HEADER_TIMEOUT_OF_RESERVED);
        builder = builder.http1_only();
    }
    let activity = Activity::of(Arc::clone(&share));
    let service = TowerToHyperService::new(router);
    let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (activity, service) = (Arc::clone(&activity), service.clone());
        async move {
            if is_reserved && is_about_an_entry(request.uri().path()) {
                return Ok(NO_PLACE.into_response());
            }
            counted(activity, request.map(Body::new), service).await
        }
    });
    // Most of these are refused without a look at their content. If there is no descriptor left, a probe is
    // answered all the same.
    let refused = if is_reserved { twin(&stream).ok() } else { None };
    let served = tokio::select! {
        served = builder.serve_connection(TokioIo::new(stream), answer) => {
            served.map_err(io::Error::other)
        }
        () = share.closed() => Err(io::Error::new(io::ErrorKind::TimedOut, NoRoom::Closed)),
    };
    if let (Ok(()), Some(mut stream)) = (&served, refused) {
        lingering.end(&mut stream, place).await?;
    }
    served
}

/// The same connection once more: it is there until both have been dropped.
fn twin(stream: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(SockRef::from(stream).try_clone()?.into())
}

/// What requests about entries are answered on a place that is kept for probes and administrators.
const NO_PLACE: (StatusCode, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "the server has as many connections as max-connections allows",
);

/// Returns whether a path names an entry, in any version of the API.
fn is_about_an_entry(path: &str) -> bool {
    let path = path.strip_prefix("/rest").unwrap_or(path);
    let Some(path) = path.strip_prefix("/v2/caches/") else { return false };
    let mut parts = path.split('/').filter(|part| !part.is_empty()).skip(1);
    parts.next().is_some_and(|part| part != "rolling-upgrade") && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    //! What is an entry by its path.

    use super::*;

    #[test]
    fn entries_are_told_from_what_administrators_ask_for() {
        for entry in ["/rest/v2/caches/c/k", "/v2/caches/c/k", "/v2/caches/c/k/"] {
            assert!(is_about_an_entry(entry), "{entry}");
        }
        for other in [
            "/health",
            "/metrics",
            "/rest/v2/caches",
            "/rest/v2/caches/c",
            "/rest/v2/caches/c/",
            "/rest/v2/cache-managers/default/health",
            "/rest/v2/caches/c/rolling-upgrade",
            "/rest/v2/caches/c/rolling-upgrade/_pause",
            "/rest/v2/caches/c/rolling-upgrade/source-connection",
        ] {
            assert!(!is_about_an_entry(other), "{other}");
        }
    }
}
