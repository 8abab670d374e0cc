//! What every handler works with.

use std::{collections::HashMap, sync::Arc};

use cluster::{AdminError, Caches};
use config::CacheName;
use migrate::{Driver, Migrations};
use parking_lot::Mutex;
use store::{Cache, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{About, App, problem::Problem};

/// What handlers are given.
pub(crate) type Shared = Arc<Node>;

/// What every handler works with.
pub(crate) struct Node {
    pub(crate) driver: Driver,
    pub(crate) caches: Caches,
    pub(crate) migrations: Migrations,
    pub(crate) about: About,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) stop: CancellationToken,
    /// When the statistics of caches were reset.
    resets: Mutex<HashMap<CacheName, Timestamp>>,
}

impl Node {
    /// The cache of this name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn cache(&self, name: &str) -> Result<Arc<Cache>, Problem> {
        let cache = self.driver.agreement().container().cache(name);
        cache.ok_or_else(|| AdminError::NoSuchCache(name.into()).into())
    }

    /// All caches, by name.
    pub(crate) fn all_caches(&self) -> Vec<Arc<Cache>> {
        self.driver.agreement().container().caches()
    }

    /// All caches that do not belong to the server itself, by name.
    pub(crate) fn user_caches(&self) -> Vec<Arc<Cache>> {
        let mut caches = self.all_caches();
        caches.retain(|cache| !cache.name().is_internal());
        caches
    }

    /// Returns whether a cache is connected to a source.
    pub(crate) fn is_connected(&self, name: &CacheName) -> bool {
        self.driver.agreement().see(|metadata| {
            metadata.cache(name.as_str()).is_some_and(|known| known.connection.is_some())
        })
    }

    /// Starts counting anew what happens to a cache.
    pub(crate) fn reset_stats(&self, cache: &Cache) {
        cache.reset_stats();
        let known = self.driver.agreement().container();
        let mut resets = self.resets.lock();
        resets.retain(|name, _| known.cache(name.as_str()).is_some());
        resets.insert(cache.name().clone(), self.driver.now());
    }

    /// Since when it is counted what happens to a cache.
    pub(crate) fn counting_since(&self, cache: &Cache) -> Timestamp {
        // A reset that is older was one of an earlier cache of this name.
        let reset = self.resets.lock().get(cache.name()).copied();
        reset.unwrap_or_default().max(cache.started())
    }
}

impl From<App> for Node {
    fn from(app: App) -> Self {
        let App { driver, caches, migrations, about, metrics, stop } = app;
        Self { driver, caches, migrations, about, metrics, stop, resets: Mutex::default() }
    }
}
