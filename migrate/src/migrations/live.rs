//! Live connections follow the metadata: what a restart has left is reached again, and what
//! configurations name is connected.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cluster::CacheMetadata;
use config::{CacheName, RemoteStoreConfig};
use futures_util::{StreamExt as _, stream};
use store::Cache;

use super::{CONNECTED_AGAIN, ConnectOptions, MigrationError, Migrations};
use crate::{migration::Migration, source::SourceConnection};

/// Time between two attempts to reach a source that a configuration names.
const RETRY: Duration = Duration::from_secs(1);

/// Most sources that are tried at the same time.
const AT_ONCE: usize = 16;

impl Migrations {
    /// Brings live connections in line with the metadata, whenever it changes: those that a restart has
    /// left are reached again, those that configurations name are made, those of removed caches end.
    pub(super) async fn reconcile(&self) {
        let mut changes = self.agreement.changes();
        let mut told = HashMap::new();
        loop {
            changes.mark_unchanged();
            let waits = self.reconcile_once(&mut told).await;
            let wait = if waits { RETRY } else { Duration::from_secs(3600) };
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Whether something has to be tried again. `told` is what was said of each cache last: the same is not
    /// said every time.
    async fn reconcile_once(&self, told: &mut HashMap<CacheName, String>) -> bool {
        self.changing.forget_unused();
        for migration in self.sources.all() {
            if migration.cache().is_removed() {
                self.sources.remove_this(&migration);
                migration.end().await;
            }
        }
        let known: Vec<_> = self.agreement.see(|metadata| {
            let known = metadata.caches().map(|(name, known)| (name.clone(), known.clone()));
            known.collect()
        });
        let attempts = known.into_iter().map(|(name, known)| async move {
            let reached = self.bring_in_line(&name, &known).await;
            (name, reached)
        });
        let mut attempts = stream::iter(attempts).buffer_unordered(AT_ONCE);
        let mut waits = false;
        while let Some((name, reached)) = attempts.next().await {
            if let Err(reason) = reached {
                waits = true;
                if told.get(&name) != Some(&reason) {
                    tracing::warn!(cache = %name, reason, "the source is not reached yet");
                    told.insert(name, reason);
                }
            } else {
                told.remove(&name);
            }
        }
        waits
    }

    /// Gives a cache the live connection that it should have.
    async fn bring_in_line(&self, name: &CacheName, known: &CacheMetadata) -> Result<(), String> {
        let Some(cache) = self.agreement.container().cache(name.as_str()) else { return Ok(()) };
        if self.sources.of(&cache).is_some() {
            return Ok(());
        }
        match (&known.connection, &known.config.remote_store) {
            (Some(connection), _) => self.reach(&cache, connection).await,
            (None, Some(remote)) if known.past.is_none() => {
                self.connect_configured(name, remote).await
            }
            (None, _) => Ok(()),
        }
    }

    async fn reach(
        &self,
        cache: &Arc<Cache>,
        connection: &cluster::Connection,
    ) -> Result<(), String> {
        // Without holding up anybody: a source that is away takes its time.
        let source = SourceConnection::reach(
            Arc::clone(cache),
            Arc::clone(&self.agreement),
            self.settings.clone(),
            connection,
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
            tracing::info!(cache = %name, source = source.server_names(), "reached again");
            self.sources.insert(Migration::new(source));
        } else {
            source.end().await;
        }
        Ok(())
    }

    async fn connect_configured(
        &self,
        name: &CacheName,
        remote: &RemoteStoreConfig,
    ) -> Result<(), String> {
        let _alone = self.changing.alone(name).await;
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
