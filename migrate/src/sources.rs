//! The migrations of a member whose sources were reached, by cache.

use std::{sync::Arc, time::Duration};

use config::CacheName;
use dashmap::DashMap;
use store::Cache;
use tokio::{sync::watch, time::Instant};

use crate::migration::Migration;

/// The migrations whose sources were reached, by cache.
pub struct Sources {
    connections: DashMap<CacheName, Arc<Migration>>,
    /// Told of every new one.
    arrivals: watch::Sender<()>,
    /// Until then, reads wait for a source that has yet to be reached.
    started: Instant,
}

impl Sources {
    /// None yet. Those that are to be there are being reached, and reads wait for them so long at most.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        let started = Instant::now() + patience;
        Self { connections: DashMap::new(), arrivals: watch::Sender::new(()), started }
    }

    /// The connection of this cache, and not of another one of its name. Right after the start of a
    /// member it may have to be waited for.
    pub(crate) async fn reached(&self, cache: &Cache) -> Option<Arc<Migration>> {
        let mut arrivals = self.arrivals.subscribe();
        let reached = async {
            loop {
                if let Some(connection) = self.of(cache) {
                    return connection;
                }
                // Cannot fail: the sender is here.
                let _ = arrivals.changed().await;
            }
        };
        match tokio::time::timeout_at(self.started, reached).await {
            Ok(connection) => Some(connection),
            Err(_) => self.of(cache),
        }
    }

    /// The connection of this cache, and not of another one of its name.
    pub(crate) fn of(&self, cache: &Cache) -> Option<Arc<Migration>> {
        let connection = self.connections.get(cache.name().as_str())?;
        std::ptr::eq(Arc::as_ptr(connection.cache()), cache).then(|| Arc::clone(&connection))
    }

    pub(crate) fn insert(&self, connection: Arc<Migration>) {
        self.connections.insert(connection.cache().name().clone(), connection);
        self.arrivals.send_replace(());
    }

    pub(crate) fn remove(&self, name: &CacheName) -> Option<Arc<Migration>> {
        self.connections.remove(name).map(|(_, connection)| connection)
    }

    /// Removes this connection, and no later one of the same cache name.
    pub(crate) fn remove_this(&self, connection: &Arc<Migration>) {
        let is_this = |_: &CacheName, known: &Arc<_>| Arc::ptr_eq(known, connection);
        self.connections.remove_if(connection.cache().name(), is_this);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Migration>> {
        self.connections.iter().map(|connection| Arc::clone(&connection)).collect()
    }
}
