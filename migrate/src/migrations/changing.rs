//! Changes of the migrations of one cache come one after the other, and those of other caches beside
//! them: a source that is away holds up its own cache only.

use std::sync::Arc;

use config::CacheName;
use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Who changes the migration of which cache.
#[derive(Clone, Default)]
pub(super) struct Changing {
    locks: Arc<DashMap<CacheName, Arc<Mutex<()>>>>,
}

impl Changing {
    /// Waits until nobody else changes the migration of this cache.
    pub(super) async fn alone(&self, cache: &CacheName) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(&self.locks.entry(cache.clone()).or_default());
        lock.lock_owned().await
    }

    /// Drops what nobody holds or waits for.
    pub(super) fn forget_unused(&self) {
        self.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
    }
}
