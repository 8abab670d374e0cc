//! The servers of a cluster as a client knows them, and the order in which to ask them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hotrod::{Intelligence, NO_TOPOLOGY, ServerAddress, Topology};
use media::hash;
use parking_lot::{Mutex, RwLock};

use crate::{common::Common, error::ClientError, idle::IdleLines, notice::Notice, server::Server};

/// Most servers that a topology may have.
const MOST_SERVERS: usize = 1_024;

/// What a client knows of its cluster.
pub(crate) struct Cluster {
    pub(crate) common: Arc<Common>,
    pub(crate) idle: IdleLines,
    configured: Vec<Arc<Server>>,
    /// Every configured or announced server, once.
    known: Mutex<HashMap<ServerAddress, Arc<Server>>>,
    caches: Mutex<HashMap<String, Weak<CacheState>>>,
    /// Set when no announced address is reachable: topologies are then not used.
    is_basic: AtomicBool,
    is_closed: AtomicBool,
    turn: AtomicUsize,
}

/// What is known about one cache, shared by all its handles.
pub(crate) struct CacheState {
    pub(crate) name: String,
    view: RwLock<Option<Arc<View>>>,
}

/// A topology and its servers.
pub(crate) struct View {
    pub(crate) topology: Topology,
    servers: Vec<Arc<Server>>,
}

/// Which servers may execute an operation.
#[derive(Clone, Copy)]
pub(crate) enum Route<'a> {
    /// Preferably the owner of the key.
    Key(&'a [u8]),
    /// Any server.
    Any,
    /// This server only.
    Server(&'a Arc<Server>),
}

impl Cluster {
    pub(crate) fn new(common: Common) -> Self {
        let common = Arc::new(common);
        let mut known = HashMap::new();
        let mut configured: Vec<Arc<Server>> = Vec::new();
        for address in &common.config.servers {
            if !known.contains_key(address) {
                let server = Server::new(address.clone(), Arc::clone(&common));
                known.insert(address.clone(), Arc::clone(&server));
                configured.push(server);
            }
        }
        Self {
            common,
            idle: IdleLines::default(),
            configured,
            known: Mutex::new(known),
            caches: Mutex::default(),
            is_basic: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }
    }

    /// Returns how much of the topology to ask for.
    pub(crate) fn intelligence(&self) -> Intelligence {
        match self.is_basic.load(Ordering::Relaxed) {
            true => Intelligence::Basic,
            false => self.common.config.intelligence,
        }
    }

    /// Returns the server at this address.
    pub(crate) fn server(&self, address: &ServerAddress) -> Arc<Server> {
        let mut known = self.known.lock();
        if let Some(server) = known.get(address) {
            return Arc::clone(server);
        }
        let server = Server::new(address.clone(), Arc::clone(&self.common));
        known.insert(address.clone(), Arc::clone(&server));
        server
    }

    /// Returns the configured servers.
    pub(crate) fn configured(&self) -> &[Arc<Server>] {
        &self.configured
    }

    /// Returns the shared state of a cache.
    pub(crate) fn cache(&self, name: &str) -> Arc<CacheState> {
        let mut caches = self.caches.lock();
        if let Some(cache) = caches.get(name).and_then(Weak::upgrade) {
            return cache;
        }
        caches.retain(|_, cache| cache.strong_count() > 0);
        let cache = Arc::new(CacheState::new(name));
        caches.insert(name.to_owned(), Arc::downgrade(&cache));
        cache
    }

    /// Adopts a topology that `server` announced.
    pub(crate) fn learn(&self, cache: &CacheState, topology: Topology, server: &ServerAddress) {
        if self.intelligence() == Intelligence::Basic || cache.topology_id() == topology.id {
            return;
        }
        if !makes_sense(&topology) {
            return self.common.notices.add(Notice::Topology { server: server.clone() });
        }
        tracing::debug!(cache = cache.name, id = topology.id, "topology");
        let servers = topology.servers.iter().map(|address| self.server(address)).collect();
        *cache.view.write() = Some(Arc::new(View { topology, servers }));
        self.forget_unused();
    }

    /// Forgets servers that no topology names any more; their connections close once their
    /// operations are done.
    fn forget_unused(&self) {
        let caches = self.caches.lock();
        let views: Vec<_> =
            caches.values().filter_map(Weak::upgrade).filter_map(|cache| cache.view()).collect();
        drop(caches);
        let is_used = |server: &Arc<Server>| {
            let mut used = views.iter().flat_map(|view| &view.servers).chain(&self.configured);
            used.any(|used| Arc::ptr_eq(used, server))
        };
        let mut known = self.known.lock();
        known.retain(|_, server| is_used(server));
        self.idle.retain(|address| known.contains_key(address));
    }

    /// Falls back to the configured servers, if all announced ones were tried and none was ever
    /// reached.
    pub(crate) fn give_up_unreachable(&self, view: &View) {
        if !view.servers.iter().all(|server| server.was_never_reached()) {
            return;
        }
        self.is_basic.store(true, Ordering::Relaxed);
        for cache in self.caches.lock().values().filter_map(Weak::upgrade) {
            *cache.view.write() = None;
        }
        self.common.notices.add(Notice::Announced { servers: view.topology.servers.clone() });
        self.forget_unused();
    }

    /// Returns the servers to ask, the best first; some may occur twice.
    pub(crate) fn candidates<'a>(
        &'a self,
        route: Route<'a>,
        view: Option<&'a View>,
    ) -> impl Iterator<Item = &'a Arc<Server>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (only, others) = match route {
            Route::Server(server) => (Some(server), false),
            Route::Key(_) | Route::Any => (None, true),
        };
        let owners = match (route, view) {
            (Route::Key(key), Some(view)) => view.owners(key),
            _ => &[],
        };
        let servers = view.map_or(&[][..], |view| &view.servers);
        let owners = owners.iter().filter_map(|owner| servers.get(*owner as usize));
        let others = [servers, &self.configured].into_iter().take(if others { 2 } else { 0 });
        only.into_iter().chain(owners).chain(others.flat_map(move |servers| rotated(servers, turn)))
    }

    /// Fails once the client is closed.
    pub(crate) fn check_open(&self) -> Result<(), ClientError> {
        if self.is_closed.load(Ordering::Relaxed) { Err(ClientError::Closed) } else { Ok(()) }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.idle.close();
        let known: Vec<_> = self.known.lock().values().cloned().collect();
        for server in known.iter().chain(&self.configured) {
            server.close().await;
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("common", &self.common).finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheState").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CacheState {
    /// Creates the state of a cache about which nothing is known yet.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), view: RwLock::new(None) }
    }

    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.view.read().clone()
    }

    pub(crate) fn forget_view(&self) {
        *self.view.write() = None;
    }

    /// Returns the id of the known topology.
    pub(crate) fn topology_id(&self) -> u32 {
        self.view.read().as_ref().map_or(NO_TOPOLOGY, |view| view.topology.id)
    }
}

impl View {
    /// Returns the owners of a key as indexes into the servers, the primary first.
    fn owners(&self, key: &[u8]) -> &[u32] {
        let owners = &self.topology.owners;
        let Ok(segments) = u32::try_from(owners.len()) else { return &[] };
        let segment = hash::segment(hash::hash(key), segments);
        owners.get(segment as usize).map_or(&[], Vec::as_slice)
    }
}

/// Returns all servers, starting with a different one each turn.
fn rotated(servers: &[Arc<Server>], turn: usize) -> impl Iterator<Item = &Arc<Server>> {
    let (after, before) = servers.split_at(turn.checked_rem(servers.len()).unwrap_or(0));
    before.iter().chain(after)
}

/// Returns whether there are servers, not too many, and every owner is one of them.
fn makes_sense(topology: &Topology) -> bool {
    let Topology { servers, owners, .. } = topology;
    let is_server = |owner: &u32| (*owner as usize) < servers.len();
    (1..=MOST_SERVERS).contains(&servers.len())
        && servers.iter().all(|server| !server.host.is_empty() && server.port != 0)
        && owners.iter().flatten().all(is_server)
}

#[cfg(test)]
mod tests;
