//! The live source connections of a member, by cache.

use std::sync::Arc;

use config::CacheName;
use dashmap::DashMap;
use store::Cache;

use crate::source::SourceConnection;

/// The live source connections, by cache.
#[derive(Default)]
pub struct Sources {
    connections: DashMap<CacheName, Arc<SourceConnection>>,
}

impl Sources {
    /// The connection of this cache, and not of another one of its name.
    pub(crate) fn of(&self, cache: &Cache) -> Option<Arc<SourceConnection>> {
        let connection = self.connections.get(cache.name().as_str())?;
        std::ptr::eq(Arc::as_ptr(connection.cache()), cache).then(|| Arc::clone(&connection))
    }

    /// The connection of the cache of this name.
    pub(crate) fn named(&self, name: &CacheName) -> Option<Arc<SourceConnection>> {
        self.connections.get(name).map(|connection| Arc::clone(&connection))
    }

    pub(crate) fn insert(&self, connection: Arc<SourceConnection>) {
        self.connections.insert(connection.cache().name().clone(), connection);
    }

    pub(crate) fn remove(&self, name: &CacheName) -> Option<Arc<SourceConnection>> {
        self.connections.remove(name).map(|(_, connection)| connection)
    }

    pub(crate) fn all(&self) -> Vec<Arc<SourceConnection>> {
        self.connections.iter().map(|connection| Arc::clone(&connection)).collect()
    }
}
