//! Live connections follow the metadata: what a restart has left is reached again, and what
//! configurations name is connected.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use cluster::CacheMetadata;
use config::{CacheName, RemoteStoreConfig};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use store::Cache;
use tokio::sync::Semaphore;

use super::{CONNECTED_AGAIN, ConnectOptions, MigrationError, Migrations};
use crate::{migration::Migration, source::SourceConnection};

/// Time between two attempts to reach a source that a configuration names.
const RETRY: Duration = Duration::from_secs(1);

/// Most sources that are tried at the same time.
const AT_ONCE: usize = 16;

impl Migrations {
    /// Brings live connections in line with the metadata, whenever it changes: those that a restart has
    /// left are reached again, those that configurations name are made, those of removed caches end. Each
    /// source is tried by itself, so that one that is away holds up no other.
    pub(super) async fn reconcile(&self) {
        self.tell_let_go();
        let mut changes = self.agreement.changes();
        let (mut told, mut under_way) = (HashMap::new(), HashSet::new());
        let places = Semaphore::new(AT_ONCE);
        let mut attempts = FuturesUnordered::new();
        loop {
            changes.mark_unchanged();
            self.end_removed().await;
            for name in self.wanted() {
                if under_way.insert(name.clone()) {
                    attempts.push(self.attempt(name, &places));
                }
            }
            told.retain(|name, _| under_way.contains(name));
            tokio::select! {
                // Cannot fail: the sender is here.
                _ = changes.changed() => {}
                Some((name, reached)) = attempts.next() => {
                    under_way.remove(&name);
                    tell(&mut told, name, reached);
                }
            }
        }
    }

    /// Says which caches are not connected although their configurations name a source: only their operator can
    /// decide that what was removed since may come back.
    fn tell_let_go(&self) {
        let let_go = |known: &CacheMetadata| {
            known.config.remote_store.is_some()
                && known.past.is_some()
                && known.connection.is_none()
        };
        let names: Vec<CacheName> = self.agreement.see(|metadata| {
            let caches = metadata.caches().filter(|(_, known)| let_go(known));
            caches.map(|(name, _)| name.clone()).collect()
        });
        for cache in names {
            tracing::warn!(
                %cache,
                "its configuration names a source, but it was disconnected before and is not connected again by \
                 itself: removed keys could come back. To connect it, use migrate cluster connect"
            );
        }
    }

    /// Ends the live connections of caches that are gone.
    async fn end_removed(&self) {
        self.changing.forget_unused();
        for migration in self.sources.all() {
            if migration.cache().is_removed() {
                self.sources.remove_this(&migration);
                migration.end().await;
            }
        }
    }

    /// The caches that should have a live connection, and have none.
    fn wanted(&self) -> Vec<CacheName> {
        let is_wanted = |known: &CacheMetadata| {
            let configured = known.config.remote_store.is_some() && known.past.is_none();
            known.connection.is_some() || configured
        };
        let mut names: Vec<CacheName> = self.agreement.see(|metadata| {
            let wanted = metadata.caches().filter(|(_, known)| is_wanted(known));
            wanted.map(|(name, _)| name.clone()).collect()
        });
        let is_live = |name: &CacheName| {
            let cache = self.agreement.container().cache(name.as_str());
            cache.is_none_or(|cache| self.sources.of(&cache).is_some())
        };
        names.retain(|name| !is_live(name));
        names
    }

    /// Tries to give a cache its live connection. After a failure, it takes a while longer.
    async fn attempt(
        &self,
        name: CacheName,
        places: &Semaphore,
    ) -> (CacheName, Result<(), String>) {
        let place = places.acquire().await;
        let reached = self.bring_in_line(&name).await;
        drop(place);
        if reached.is_err() {
            tokio::time::sleep(RETRY).await;
        }
        (name, reached)
    }

    /// Gives a cache the live connection that it should have.
    async fn bring_in_line(&self, name: &CacheName) -> Result<(), String> {
        let known = self.agreement.see(|metadata| metadata.cache(name.as_str()).cloned());
        let cache = self.agreement.container().cache(name.as_str());
        let (Some(known), Some(cache)) = (known, cache) else { return Ok(()) };
        match (&known.connection, &known.config.remote_store) {
            (Some(connection), _) => self.reach(&cache, connection, known.past.as_ref()).await,
            (None, Some(remote)) => self.connect_configured(name, remote).await,
            (None, None) => Ok(()),
        }
    }

    async fn reach(
        &self,
        cache: &Arc<Cache>,
        connection: &cluster::Connection,
        past: Option<&cluster::Connection>,
    ) -> Result<(), String> {
        // Without holding up anybody: a source that is away takes its time.
        let source = SourceConnection::reach(
            Arc::clone(cache),
            Arc::clone(&self.agreement),
            self.settings.clone(),
            connection,
            past,
        )
        .await?;
        let name = source.cache().name();
        let _alone = self.changing.alone(name).await;
        let still = |known: &CacheMetadata| {
            known.connection.as_ref().is_some_and(|connection| connection.since == source.since())
        };
        let wanted =
            self.agreement.see(|metadata| metadata.cache(name.as_str()).is_some_and(still));
        if wanted && !cache.is_removed() && self.sources.of(cache).is_none() {
            let servers = source.server_names();
            self.sources.insert(Migration::new(source, 0));
            self.tell_reached(cache, &servers);
        } else {
            source.end().await;
        }
        Ok(())
    }

    /// Says that a source was reached after a restart, and where its migration stands.
    fn tell_reached(&self, cache: &Cache, source: &str) {
        let name = cache.name();
        let status = self.facts(cache, |facts| facts.status());
        let (complete, segments) =
            status.source.map_or((0, 0), |source| (source.segments_complete, source.segments));
        match status.problem {
            Some(problem) => tracing::warn!(
                cache = %name, source, complete, segments, problem,
                "reached again, and waits for its operator"
            ),
            None => tracing::info!(cache = %name, source, complete, segments, "reached again"),
        }
    }

    async fn connect_configured(
        &self,
        name: &CacheName,
        remote: &RemoteStoreConfig,
    ) -> Result<(), String> {
        let _alone = self.changing.alone(name).await;
        let let_go = |known: &CacheMetadata| known.past.is_some();
        if self.agreement.see(|metadata| metadata.cache(name.as_str()).is_some_and(let_go)) {
            return Ok(());
        }
        let connected = self.connect_alone(name, remote.clone(), ConnectOptions::default()).await;
        if connected.is_ok() && !self.agreement.is_durable() {
            tracing::warn!(cache = %name, "{CONNECTED_AGAIN}");
        }
        match connected {
            Ok(_) | Err(MigrationError::AlreadyConnected(_) | MigrationError::NoSuchCache(_)) => {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Says why a source is not reached, and the same only once.
fn tell(told: &mut HashMap<CacheName, String>, cache: CacheName, reached: Result<(), String>) {
    match reached {
        Ok(()) => {
            told.remove(&cache);
        }
        Err(reason) if told.get(&cache) == Some(&reason) => {}
        Err(reason) => {
            tracing::warn!(%cache, reason, "the source is not reached yet");
            told.insert(cache, reason);
        }
    }
}
