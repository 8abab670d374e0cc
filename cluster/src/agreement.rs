//! How commands come to the metadata, and what follows from them.
//!
//! One member writes them to its file (or nowhere, without a data directory) and applies them; several
//! will agree on them first. Either way a command that was proposed has been applied here, caches and
//! all, when [`Agreement::propose`] returns.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use config::{CacheConfig, CacheName};
use parking_lot::{Mutex, RwLock};
use store::{Cache, Container, Fence, VersionKey};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    follow::follow,
    log::{Log, LogError},
    metadata::{MetaCommand, MetaError, Metadata},
    wire,
};

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// It does not fit; nothing has changed.
    #[error(transparent)]
    Refused(#[from] MetaError),
    /// It could not be written down; nothing has changed.
    #[error("the metadata could not be stored: {0}")]
    NotStored(#[from] LogError),
}

/// The metadata of this member, and the way to change it.
pub struct Agreement {
    metadata: RwLock<Metadata>,
    /// Held while a command is written and applied: commands come one after the other.
    log: Mutex<Option<Log>>,
    container: Arc<Container>,
    clock: Arc<Clock>,
    max_tombstones: u64,
    durable: bool,
    changes: watch::Sender<u64>,
    /// Caches that had let go of their source, and whose entries went with the process before this one.
    lost: BTreeSet<CacheName>,
    /// Set once the process ends: what is done in the background stops then.
    closing: Arc<AtomicBool>,
}

impl Agreement {
    /// The metadata in `directory`, or none, with the caches in it started.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used, or its file is damaged.
    pub fn start(
        directory: Option<&Path>,
        container: Arc<Container>,
        clock: Arc<Clock>,
        max_tombstones: u64,
    ) -> Result<Self, LogError> {
        let (log, metadata) = match directory.map(Log::open).transpose()? {
            Some((log, metadata)) => (Some(log), metadata),
            None => (None, Metadata::default()),
        };
        let commands = metadata.commands();
        let lost = log.as_ref().map_or_else(Vec::new, |log| log.lost().to_vec());
        for cache in &lost {
            tracing::warn!(
                %cache,
                "its entries lived in memory only and were lost with the process that ended: it was \
                 disconnected from its source after everything was taken over"
            );
        }
        let agreement = Self {
            lost: lost.into_iter().collect(),
            metadata: RwLock::new(metadata),
            durable: log.is_some(),
            log: Mutex::new(log),
            container,
            clock,
            max_tombstones,
            changes: watch::Sender::new(0),
            closing: Arc::default(),
        };
        for command in &commands {
            // None of them removes a cache.
            agreement.follow(command);
        }
        agreement.fence_lost();
        Ok(agreement)
    }

    /// Returns whether this cache was migrated, then disconnected from its source, and lost its entries in the
    /// last restart. Nobody else has those entries, so operators are told.
    #[must_use]
    pub fn was_lost(&self, cache: &CacheName) -> bool {
        self.lost.contains(cache)
    }

    /// Carries out a command, here and on the disk.
    ///
    /// # Errors
    ///
    /// If it does not fit, or cannot be written down.
    pub async fn propose(self: &Arc<Self>, command: MetaCommand) -> Result<(), ProposeError> {
        self.propose_if(command, |_| Ok(())).await
    }

    /// As [`Agreement::propose`], for a cache that somebody holds: what was meant for one that is removed does
    /// not happen to another one that was made under its name.
    ///
    /// # Errors
    ///
    /// If it has been removed; if the command does not fit, or cannot be written down.
    pub async fn propose_for(
        self: &Arc<Self>,
        cache: &Arc<Cache>,
        command: MetaCommand,
    ) -> Result<(), ProposeError> {
        let cache = Arc::clone(cache);
        self.propose_if(command, move |_| check_is_there(&cache)).await
    }

    /// Returns what stands in the way of a command for a cache that somebody holds, if anything does but the disk.
    ///
    /// # Errors
    ///
    /// As for [`Agreement::propose_for`].
    pub fn check_for(&self, cache: &Cache, command: &MetaCommand) -> Result<(), ProposeError> {
        check_is_there(cache)?;
        applied(self.metadata.read().clone(), command, self.durable).map(drop)
    }

    /// As [`Agreement::propose`], if `check` has nothing against it. Nothing else is carried out in between.
    /// Returns what `check` has found.
    ///
    /// # Errors
    ///
    /// Returns the error of `check`, or an error if the command does not apply to the current metadata or could
    /// not be stored.
    pub async fn propose_if<T: Send + 'static, E: From<ProposeError> + Send + 'static>(
        self: &Arc<Self>,
        command: MetaCommand,
        check: impl FnOnce(&Metadata) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let agreement = Arc::clone(self);
        let carry_out = move || agreement.carry_out(&command, check);
        let carried_out = tokio::task::spawn_blocking(carry_out).await;
        carried_out.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Ends the file: nothing can be changed any more, except what goes with the process. A file that is not
    /// closed is reported at the next start.
    ///
    /// # Errors
    ///
    /// If it cannot be written. What was carried out is not lost.
    pub async fn close(self: &Arc<Self>) -> Result<(), LogError> {
        self.closing.store(true, Ordering::Relaxed);
        let agreement = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || {
            let mut log = agreement.log.lock();
            let Some(log) = log.as_mut() else { return Ok(()) };
            log.close(&agreement.metadata.read(), agreement.clock.now())
        });
        closed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn carry_out<T, E: From<ProposeError>>(
        &self,
        command: &MetaCommand,
        check: impl FnOnce(&Metadata) -> Result<T, E>,
    ) -> Result<T, E> {
        let (found, removed) = self.write_and_apply(command, check)?;
        // Nobody else waits for that: many entries take seconds.
        removed.inspect(|cache| cache.free());
        if let MetaCommand::UpdateCache { cache, .. } = command
            && let Some(cache) = self.container.cache(cache.as_str())
        {
            // In the background: evicting many entries takes seconds, and nobody waits for it.
            let closing = Arc::clone(&self.closing);
            let goes_on = move || !closing.load(Ordering::Relaxed);
            tokio::task::spawn_blocking(move || cache.evict_excess(goes_on));
        }
        Ok(found)
    }

    /// Writes a command down and applies it, if `check` has nothing against it. Returns what `check` has found, and the cache that the command removes.
    fn write_and_apply<T, E: From<ProposeError>>(
        &self,
        command: &MetaCommand,
        check: impl FnOnce(&Metadata) -> Result<T, E>,
    ) -> Result<(T, Option<Arc<Cache>>), E> {
        let mut log = self.log.lock();
        let before = self.metadata.read().clone();
        let found = check(&before)?;
        let (changed, volatile) = applied(before, command, log.is_some())?;
        if let (Some(log), false) = (log.as_mut(), volatile) {
            let before = self.metadata.read();
            // What changes nothing is not written, such as the mark of each of many first writes.
            if *before != changed || is_spelled_anew(command, &before) {
                log.append(command, &before, self.clock.now()).map_err(ProposeError::from)?;
            }
        }
        *self.metadata.write() = changed;
        let removed = self.follow(command);
        self.changes.send_modify(|count| *count += 1);
        Ok((found, removed))
    }

    /// Does to the caches what a command means for them. Returns the cache that it removes.
    fn follow(&self, command: &MetaCommand) -> Option<Arc<Cache>> {
        let names_change = match command {
            MetaCommand::CreateTemplate { .. } | MetaCommand::RemoveTemplate { .. } => return None,
            MetaCommand::CreateCache { config, .. } => !config.aliases.is_empty(),
            MetaCommand::UpdateCache { config, .. } => {
                !config.aliases.is_empty() || self.container.has_aliases()
            }
            MetaCommand::RemoveCache { .. } => self.container.has_aliases(),
            MetaCommand::AssignAlias { .. } => true,
            _ => false,
        };
        let removed = self.follow_cache(command);
        if names_change {
            self.follow_aliases(command.cache());
        }
        removed
    }

    /// Makes every cache known by its other names, and tells those caches of them that changed.
    fn follow_aliases(&self, changed: &CacheName) {
        let aliases = self.see(|metadata| {
            let mut aliases = Vec::new();
            for (name, known) in metadata.caches() {
                aliases.extend(known.config.aliases.iter().map(|it| (it.clone(), name.clone())));
                if let Some(cache) = self.container.cache(name.as_str())
                    && name != changed
                    && cache.config().aliases != known.config.aliases
                {
                    cache.reconfigure(Arc::clone(&known.config));
                }
            }
            aliases
        });
        self.container.set_aliases(&aliases);
    }

    fn follow_cache(&self, command: &MetaCommand) -> Option<Arc<Cache>> {
        if let MetaCommand::CreateCache { cache, config, .. } = command {
            let versions = VersionKey::new(rand::random());
            let started =
                self.container.start(cache, Arc::clone(config), versions, self.clock.now());
            if config.remote_store.is_some() {
                started.fence(Some(Fence::NoSource));
            }
            return None;
        }
        if let MetaCommand::RemoveCache { cache } = command {
            return self.container.remove(cache.as_str());
        }
        let cache = self.container.cache(command.cache().as_str())?;
        let metadata = self.metadata.read();
        let known = metadata.cache(cache.name().as_str());
        follow(&cache, command, known, self.clock.now(), self.max_tombstones);
        None
    }

    /// After a restart, caches whose clients had changed entries that are gone now wait for their
    /// operator.
    fn fence_lost(&self) {
        for (name, known) in self.metadata.read().caches() {
            let lost = known.connection.as_ref().is_some_and(|connection| connection.marked);
            if let (true, Some(cache)) = (lost, self.container.cache(name.as_str())) {
                cache.fence(Some(Fence::Lost));
            }
        }
    }

    /// Checks that a cache of this configuration could be stored, and would be read back at a later start as
    /// what it is.
    ///
    /// # Errors
    ///
    /// If not. Creating it would be refused for the same reason.
    pub fn check_storable(cache: &CacheName, config: &CacheConfig) -> Result<(), MetaError> {
        let config = Arc::new(config.clone());
        check_stored(&MetaCommand::CreateCache { cache: cache.clone(), config, volatile: false })
    }

    /// Looks at the metadata.
    pub fn see<T>(&self, look: impl FnOnce(&Metadata) -> T) -> T {
        look(&self.metadata.read())
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The caches themselves.
    #[must_use]
    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// The clock of this member.
    #[must_use]
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Whether what is agreed on outlives the process.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }
}

/// Returns whether a command gives a cache a configuration that means the same in other words. Those words are
/// shown, so they have to be there after a restart.
fn is_spelled_anew(command: &MetaCommand, before: &Metadata) -> bool {
    let MetaCommand::UpdateCache { cache, config, .. } = command else { return false };
    let standing = before.cache(cache.as_str());
    standing.is_some_and(|known| known.config.to_stored_json() != config.to_stored_json())
}

/// Checks that nobody has removed a cache.
fn check_is_there(cache: &Cache) -> Result<(), ProposeError> {
    if cache.is_removed() {
        return Err(MetaError::NoSuchCache(cache.name().clone()).into());
    }
    Ok(())
}

/// The metadata as a command leaves it, and whether the command is never written down. `is_stored` says whether others
/// are.
fn applied(
    mut metadata: Metadata,
    command: &MetaCommand,
    is_stored: bool,
) -> Result<(Metadata, bool), ProposeError> {
    let volatile = metadata.is_volatile(command);
    metadata.apply(command)?;
    if is_stored && !volatile {
        check_storable(command, &metadata)?;
    }
    Ok((metadata, volatile))
}

/// Checks that what a command leaves behind is read back as what it is, in whichever command a later file
/// has it: `changed` is the metadata that has taken it in.
fn check_storable(command: &MetaCommand, changed: &Metadata) -> Result<(), MetaError> {
    let name = command.cache();
    let standing = match command {
        MetaCommand::CreateTemplate { .. } => command.clone(),
        MetaCommand::CreateCache { .. }
        | MetaCommand::UpdateCache { .. }
        | MetaCommand::AssignAlias { .. } => {
            let Some(known) = changed.cache(name.as_str()) else { return Ok(()) };
            let (cache, config) = (name.clone(), Arc::clone(&known.config));
            MetaCommand::CreateCache { cache, config, volatile: false }
        }
        MetaCommand::Connect { .. } | MetaCommand::AcceptSource { .. } => {
            let known = changed.cache(name.as_str());
            let connection = known.and_then(|known| known.connection.clone());
            let Some(connection) = connection else { return Ok(()) };
            MetaCommand::Connect { cache: name.clone(), connection: Box::new(connection) }
        }
        _ => return Ok(()),
    };
    check_stored(&standing)
}

/// Checks that a command is read back from a file as what it is.
fn check_stored(command: &MetaCommand) -> Result<(), MetaError> {
    let refused = |reason| MetaError::NotStorable { name: command.cache().clone(), reason };
    wire::check(command).map_err(refused)
}

#[cfg(test)]
mod tests;
