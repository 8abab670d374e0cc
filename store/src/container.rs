//! The caches of a server, by name.

use std::{collections::HashSet, sync::Arc};

use config::{CacheConfig, CacheName};
use dashmap::DashMap;

use crate::{cache::Cache, memory::MemoryLimit, stamp::VersionKey, time::Timestamp};

/// The named set of caches that a server runs.
pub struct Container {
    caches: DashMap<CacheName, Arc<Cache>>,
    /// Other names of caches.
    aliases: DashMap<CacheName, CacheName>,
    memory: Arc<MemoryLimit>,
}

impl Container {
    /// A container without caches, under one memory limit.
    #[must_use]
    pub fn new(memory: Arc<MemoryLimit>) -> Self {
        Self { caches: DashMap::new(), aliases: DashMap::new(), memory }
    }

    /// The cache that has this name, or that has it as an alias.
    #[must_use]
    pub fn cache(&self, name: &str) -> Option<Arc<Cache>> {
        if let Some(cache) = self.caches.get(name) {
            return Some(Arc::clone(&cache));
        }
        let name = self.aliases.get(name)?.clone();
        self.caches.get(&name).map(|cache| Arc::clone(&cache))
    }

    /// Returns whether a cache has another name.
    #[must_use]
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// Sets the other names of all caches, each with the name of its cache.
    pub fn set_aliases(&self, aliases: &[(CacheName, CacheName)]) {
        let all: HashSet<_> = aliases.iter().map(|(alias, _)| alias).collect();
        self.aliases.retain(|alias, _| all.contains(alias));
        for (alias, cache) in aliases {
            self.aliases.insert(alias.clone(), cache.clone());
        }
    }

    /// Starts a cache, unless there is one of this name. `versions` as for [`Cache::new`].
    pub fn start(
        &self,
        name: &CacheName,
        config: Arc<CacheConfig>,
        versions: VersionKey,
        now: Timestamp,
    ) -> Arc<Cache> {
        let memory = Arc::clone(&self.memory);
        let start = || {
            let cache = Arc::new(Cache::new(name.clone(), config, versions, memory, now));
            self.memory.add_cache(&cache);
            cache
        };
        Arc::clone(&self.caches.entry(name.clone()).or_insert_with(start))
    }

    /// Removes a cache. Whoever still holds it sees that it is removed. Its entries are there until
    /// [`Cache::free`], which takes its time.
    #[must_use]
    pub fn remove(&self, name: &str) -> Option<Arc<Cache>> {
        let (_, cache) = self.caches.remove(name)?;
        cache.end();
        Some(cache)
    }

    /// The number of caches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.caches.len()
    }

    /// Returns whether there is no cache.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.caches.is_empty()
    }

    /// All caches, by name.
    #[must_use]
    pub fn caches(&self) -> Vec<Arc<Cache>> {
        let mut caches: Vec<_> = self.caches.iter().map(|cache| Arc::clone(&cache)).collect();
        caches.sort_by(|one, other| one.name().cmp(other.name()));
        caches
    }

    /// Memory that all caches take, and may take.
    #[must_use]
    pub fn memory(&self) -> &Arc<MemoryLimit> {
        &self.memory
    }
}
