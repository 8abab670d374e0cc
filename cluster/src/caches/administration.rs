//! Creating, changing and removing caches, and configurations that caches are made from.

use std::sync::Arc;

use config::{CacheConfig, CacheName, SERVER_CACHES};
use store::{Cache, CacheError, Fence};

use super::{AdminError, Caches};
use crate::{
    agreement::{Agreement, ProposeError},
    metadata::{MetaCommand, MetaError, Metadata, NameError},
};

/// Times that a change of a configuration is derived anew because others were quicker. Each time, one of them
/// has made its change, so that this many others are busy with one cache.
const ATTEMPTS: usize = 1_000;

/// Which caches may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveRule {
    /// Refuses a connected cache that clients have changed: its entries would be lost.
    Careful,
    /// Removes the cache whatever is lost.
    Force,
}

impl Caches {
    /// Makes a configuration that caches can be made from. A volatile one goes with the process.
    ///
    /// # Errors
    ///
    /// If there is one of this name, or it cannot be written down.
    pub async fn create_template(
        &self,
        name: &CacheName,
        config: CacheConfig,
        volatile: bool,
    ) -> Result<(), AdminError> {
        if self.is_given(name) {
            return Err(AdminError::Name(NameError::TemplateExists(name.clone())));
        }
        let (template, config) = (name.clone(), Arc::new(config));
        self.agreement.propose(MetaCommand::CreateTemplate { template, config, volatile }).await?;
        Ok(())
    }

    /// Removes a configuration that was made while the server was running. One that is not there need
    /// not be removed.
    ///
    /// # Errors
    ///
    /// If the server was started with it, or it cannot be written down.
    pub async fn remove_template(&self, name: &CacheName) -> Result<(), AdminError> {
        if self.is_given(name) {
            return Err(AdminError::GivenTemplate(name.clone()));
        }
        let template = name.clone();
        match self.agreement.propose(MetaCommand::RemoveTemplate { template }).await {
            Err(ProposeError::Refused(MetaError::Name(NameError::NoSuchTemplate(_)))) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Gives a cache another name. The cache that had it as an alias loses it.
    ///
    /// # Errors
    ///
    /// If there is no such cache, or the alias is the name of a cache.
    pub async fn assign_alias(&self, cache: &str, alias: &CacheName) -> Result<(), AdminError> {
        let cache = self.resolve(cache)?;
        if alias.as_str().contains(char::is_whitespace) {
            return Err(AdminError::Name(NameError::SpaceInAlias(alias.clone())));
        }
        let alias = alias.clone();
        self.agreement.propose(MetaCommand::AssignAlias { cache, alias }).await?;
        Ok(())
    }

    /// Gives one attribute of a cache another value.
    ///
    /// # Errors
    ///
    /// If there is no such cache or attribute, or the value does not fit.
    pub async fn set_attribute(
        &self,
        cache: &str,
        attribute: &str,
        value: &str,
    ) -> Result<(), AdminError> {
        let cache = self.resolve(cache)?;
        self.change(&cache, |config| Ok(config.mutable(attribute)?.with(config, value)?)).await
    }

    /// Creates a cache. A volatile one goes with the process.
    ///
    /// # Errors
    ///
    /// If there is one of this name, or it cannot be written down.
    pub async fn create(
        &self,
        name: &CacheName,
        config: CacheConfig,
        volatile: bool,
    ) -> Result<(), AdminError> {
        // A file may have got a template of this name since the cache was created.
        if self.resolve(name.as_str()).is_ok() {
            return Err(AdminError::CacheExists(name.clone()));
        }
        let is_template =
            self.agreement.see(|metadata| metadata.templates().any(|(known, _)| known == name));
        if is_template || self.is_given(name) {
            return Err(AdminError::Name(NameError::TemplateExists(name.clone())));
        }
        if name.is_internal() && self.agreement.see(|known| known.cache(name.as_str()).is_none()) {
            return Err(AdminError::Reserved(name.clone()));
        }
        self.check_room(name)?;
        let (cache, config) = (name.clone(), Arc::new(config));
        self.agreement.propose(MetaCommand::CreateCache { cache, config, volatile }).await?;
        Ok(())
    }

    /// Refuses another cache where there are too many, or there is no memory for what it takes while it is empty.
    fn check_room(&self, name: &CacheName) -> Result<(), AdminError> {
        let container = self.agreement.container();
        if container.len() >= self.most {
            return Err(AdminError::TooManyCaches { cache: name.clone(), most: self.most });
        }
        let memory = container.memory();
        if memory.refuses(Cache::EMPTY) {
            return Err(AdminError::NoMemory { cache: name.clone(), limit: memory.limit() });
        }
        Ok(())
    }

    /// Creates a cache, or changes its configuration if it is there.
    ///
    /// # Errors
    ///
    /// As for [`Caches::create`] and [`Caches::update`].
    pub async fn create_or_update(
        &self,
        name: &CacheName,
        config: CacheConfig,
        volatile: bool,
    ) -> Result<(), AdminError> {
        match self.create(name, config.clone(), volatile).await {
            Err(AdminError::CacheExists(_)) => self.update(name, config).await,
            created => created,
        }
    }

    /// Changes the configuration of a cache, in what can be changed while it is there. The new one is the whole
    /// configuration, as in Infinispan: an alias or attribute that it does not have goes, also one that was set
    /// at run time.
    ///
    /// # Errors
    ///
    /// If anything else differs, or there is no such cache.
    pub async fn update(&self, name: &CacheName, config: CacheConfig) -> Result<(), AdminError> {
        self.change(name, |_| Ok(config.clone())).await
    }

    /// Changes the configuration of a cache to what `next` makes of it. It is asked again if somebody else has
    /// changed the configuration meanwhile, so that what it leaves alone is not lost.
    async fn change(
        &self,
        name: &CacheName,
        next: impl Fn(&CacheConfig) -> Result<CacheConfig, AdminError>,
    ) -> Result<(), AdminError> {
        // It may be an alias.
        let name = &self.resolve(name.as_str())?;
        let mut attempts = 0;
        loop {
            let standing = self.config(name.as_str())?;
            let config = next(&standing)?;
            if let Some(what) = immutable_difference(&standing, &config) {
                return Err(AdminError::Immutable { cache: name.clone(), what });
            }
            self.warn_of_evictions(name, &standing, &config);
            let (cache, config) = (name.clone(), Arc::new(config));
            let update = MetaCommand::UpdateCache { cache, config, replaces: Some(standing) };
            attempts += 1;
            match self.agreement.propose(update).await {
                Err(ProposeError::Refused(MetaError::Reconfigured(_))) if attempts < ATTEMPTS => {}
                changed => return Ok(changed?),
            }
        }
    }

    /// Says that a smaller bound drops entries that are here.
    fn warn_of_evictions(&self, name: &CacheName, standing: &CacheConfig, next: &CacheConfig) {
        let Some(cache) = self.agreement.container().cache(name.as_str()) else { return };
        let (old, new) = (&standing.memory, &next.memory);
        let (entries, bytes) = (cache.approximate_len(), cache.memory());
        let is_over = |old: Option<u64>, new: Option<u64>, used| {
            new.is_some_and(|new| old.is_none_or(|old| new < old) && new < used)
        };
        if is_over(old.max_count, new.max_count, entries)
            || is_over(old.max_size, new.max_size, bytes)
        {
            tracing::warn!(
                cache = %name, entries, bytes,
                "the new bound is smaller than what the cache holds: entries will be evicted"
            );
        }
    }

    /// Removes a cache with all of its entries. Returns what was lost with it, if it was forced.
    ///
    /// # Errors
    ///
    /// If there is none, or it belongs to the server; or if it is connected to a source that does not know
    /// what clients have changed here, and the rule does not allow that.
    pub async fn remove(
        &self,
        name: &CacheName,
        rule: RemoveRule,
    ) -> Result<Option<String>, AdminError> {
        // An earlier build let files configure other caches with reserved names. Those can go.
        if SERVER_CACHES.contains(&name.as_str()) {
            return Err(AdminError::Internal(name.clone()));
        }
        // The first change of a client after a connect is recorded before it is made, so none is made between
        // the look at what is recorded and the removal.
        let (agreement, removed) = (Arc::clone(&self.agreement), name.clone());
        let check =
            move |metadata: &Metadata| match changed_at_target(&agreement, metadata, &removed) {
                Some(_) if rule == RemoveRule::Careful => Err(AdminError::WouldLose(removed)),
                entries => Ok(entries),
            };
        let remove = MetaCommand::RemoveCache { cache: name.clone() };
        let entries = self.agreement.propose_if(remove, check).await?;
        let lost = entries.map(|entries| {
            format!(
                "Cache {name} was removed with {entries} entries while it was connected to a source that does \
                 not know what clients had changed here."
            )
        });
        if let Some(lost) = &lost {
            tracing::warn!("{lost}");
        }
        Ok(lost)
    }
}

/// What differs between two configurations and cannot be changed while the cache is there.
fn immutable_difference(standing: &CacheConfig, next: &CacheConfig) -> Option<&'static str> {
    let bounded = |config: &CacheConfig| {
        (config.memory.max_count.is_some(), config.memory.max_size.is_some())
    };
    let table = [
        ("the type", standing.mode != next.mode),
        ("mode", standing.replication != next.replication),
        ("segments", standing.segments != next.segments),
        ("owners", standing.owners != next.owners),
        ("encoding", standing.encoding != next.encoding),
        ("key-partitioner", standing.key_partitioner != next.key_partitioner),
        ("memory.when-full", standing.memory.when_full != next.memory.when_full),
        ("the kind of memory bound", bounded(standing) != bounded(next)),
        ("remote-store", standing.remote_store != next.remote_store),
    ];
    table.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// The number of entries of a cache that clients have changed while it is connected. `None` if they have
/// not, or if what they had changed was lost before.
fn changed_at_target(agreement: &Agreement, metadata: &Metadata, name: &CacheName) -> Option<u64> {
    let marked = metadata.cache(name.as_str())?.connection.as_ref()?.marked;
    let cache = agreement.container().cache(name.as_str())?;
    let is_lost = cache.check_served() == Err(CacheError::Fenced(Fence::Lost));
    (marked && !is_lost).then(|| cache.approximate_len())
}
