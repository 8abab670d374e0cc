//! The one port: tells Hot Rod from HTTP by the first byte.
//!
//! Beyond `max-connections`, a few more are accepted: probes and administrators are served on them, everybody
//! else is refused at once.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use cluster::Sparingly;
use hotrod::REQUEST_MAGIC;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::{
    budget::Share,
    descriptors::Unaccepted,
    hotrod::{refuse as refuse_hotrod, serve as serve_hotrod},
    http,
    linger::Lingering,
    node::Node,
};

/// Most time that a client may take to say its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// The same time on a place that is kept for probes and administrators.
const FIRST_BYTE_OF_RESERVED: Duration = Duration::from_secs(1);

/// Places beyond `max-connections` that are kept for probes and administrators.
const RESERVED: usize = 16;

/// How peers are noticed that vanished without a word: within two minutes they give their place back.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// Bytes that the operating system takes of an answer beyond what the peer can receive. With more, a slow
/// peer would seem to make no progress for long, and one that reads nothing would take memory that is not counted.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Pause after a connection could not be accepted: file descriptors may come back meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection may be used for, until this is dropped.
pub(crate) enum Place {
    /// Everything.
    Regular(#[expect(dead_code, reason = "held until the connection ends")] OwnedSemaphorePermit),
    /// One request of a probe or an administrator.
    Reserved(#[expect(dead_code, reason = "held until the connection ends")] OwnedSemaphorePermit),
}

impl Place {
    pub(crate) fn is_reserved(&self) -> bool {
        matches!(self, Self::Reserved(_))
    }
}

/// The places of all connections.
struct Places {
    regular: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
}

impl Places {
    fn new(regular: usize) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { regular: semaphore(regular), reserved: semaphore(RESERVED) }
    }

    /// Waits for a place. If all of them are taken, clients wait to be accepted.
    async fn free(&self) -> Option<Place> {
        tokio::select! {
            biased;
            place = Arc::clone(&self.regular).acquire_owned() => place.ok().map(Place::Regular),
            place = Arc::clone(&self.reserved).acquire_owned() => place.ok().map(Place::Reserved),
        }
    }

    /// A better place, if one has become free since.
    fn better(&self, place: Place) -> Place {
        match (place.is_reserved(), Arc::clone(&self.regular).try_acquire_owned()) {
            (true, Ok(regular)) => Place::Regular(regular),
            _ => place,
        }
    }
}

/// Accepts connections until the node stops, then ends them.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>, router: Router) {
    let places = Places::new(node.limits.connections);
    let full = Arc::new(Sparingly::default());
    let lingering = Arc::new(Lingering::default());
    let unaccepted = Unaccepted::new(node.limits.connections);
    let mut connections = JoinSet::new();
    loop {
        let next = async { (places.free().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = node.stopping.cancelled() => break,
            (Some(place), accepted) = next => (places.better(place), accepted),
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let share = node.budget.share(peer);
                let served = Served {
                    node: Arc::clone(&node),
                    router: router.clone(),
                    full: Arc::clone(&full),
                    lingering: Arc::clone(&lingering),
                };
                connections.spawn(async move {
                    if let Err(error) = served.serve(stream, share, place).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
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

/// What connections are served with.
struct Served {
    node: Arc<Node>,
    router: Router,
    /// The log line about connections that were refused.
    full: Arc<Sparingly>,
    lingering: Arc<Lingering>,
}

impl Served {
    async fn serve(self, stream: TcpStream, share: Arc<Share>, place: Place) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT)?;
        if place.is_reserved() {
            share.takes_reserved_place();
        }
        if place.is_reserved() && self.full.is_due(self.node.driver.now()) {
            tracing::warn!(
                "there are {} connections, as many as max-connections allows: more are refused, but for {RESERVED} of \
                 probes and administrators",
                self.node.limits.connections
            );
        }
        let longest = if place.is_reserved() { FIRST_BYTE_OF_RESERVED } else { FIRST_BYTE };
        let mut first = [0];
        match tokio::time::timeout(longest, stream.peek(&mut first)).await {
            Err(_) | Ok(Ok(0)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) if first != [REQUEST_MAGIC] => {
                http::serve(stream, self.router, share, (place, &self.lingering)).await
            }
            Ok(Ok(_)) if place.is_reserved() => {
                refuse_hotrod(stream, &self.node, place, &self.lingering).await
            }
            Ok(Ok(_)) => serve_hotrod(stream, self.node, share).await,
        }
    }
}
