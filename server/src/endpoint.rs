//! The one port: tells Hot Rod from HTTP by the first byte.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hotrod::REQUEST_MAGIC;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::{descriptors::Unaccepted, hotrod::serve as serve_hotrod, http, node::Node};

/// Most time that a client may take to say its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// How peers are noticed that vanished without a word: within two minutes they give their place back.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// Pause after a connection could not be accepted: file descriptors may come back meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the node stops, then ends them.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>, router: Router) {
    let places = Arc::new(Semaphore::new(node.limits.connections));
    let unaccepted = Unaccepted::new(node.limits.connections);
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // Beyond the limit, clients wait to be accepted.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = node.stopping.cancelled() => break,
            next = next => next,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (node, router) = (Arc::clone(&node), router.clone());
                connections.spawn(async move {
                    if let Err(error) = serve_one(stream, node, router).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                unaccepted.report(&error, node.driver.now());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn serve_one(stream: TcpStream, node: Arc<Node>, router: Router) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
    let mut first = [0];
    match tokio::time::timeout(FIRST_BYTE, stream.peek(&mut first)).await {
        Err(_) | Ok(Ok(0)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) if first == [REQUEST_MAGIC] => serve_hotrod(stream, node).await,
        Ok(Ok(_)) => http::serve(stream, router).await,
    }
}
