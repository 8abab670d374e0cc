//! Creating, changing and removing caches, the same for every endpoint.

use std::sync::Arc;

use config::{CacheConfig, CacheName, ConfigError, Format, Ignored, Options, Parsed};
use store::{CacheError, Fence};

use crate::{
    agreement::{Agreement, ProposeError},
    log::LogError,
    metadata::{MetaCommand, MetaError},
};

/// A cache could not be created, changed or removed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is a cache of this name.
    #[error("ISPN000507: Cache {0} already exists")]
    CacheExists(CacheName),
    /// There is none.
    #[error("ISPN012010: Cache with name '{0}' not found amongst the configured caches")]
    NoSuchCache(String),
    /// There is no such template.
    #[error("ISPN000374: No such template '{template}' when declaring '{cache}'")]
    NoSuchTemplate {
        /// Name of the template.
        template: String,
        /// Name of the cache that was to be made from it.
        cache: CacheName,
    },
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration differs in what cannot be changed while the cache is there.
    #[error("{what} of cache {cache} cannot be changed while it is there")]
    Immutable {
        /// Name of the cache.
        cache: CacheName,
        /// What differs.
        what: &'static str,
    },
    /// Clients have changed entries of the cache, and its source does not know of that.
    #[error(
        "Cache {0} stays: it is connected to a source, and clients have written or removed entries here \
         that the source does not know of. They would be lost with the cache.\n\
         To remove it anyway: DELETE /rest/v2/caches/{0}?force=true"
    )]
    WouldLose(CacheName),
    /// The cache belongs to the server.
    #[error("cache {0} belongs to the server and cannot be removed")]
    Internal(CacheName),
    /// It could not be written down.
    #[error(transparent)]
    NotStored(#[from] LogError),
    /// It is connected, or not connected, to a source.
    #[error(transparent)]
    Connection(MetaError),
}

impl From<ProposeError> for AdminError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(MetaError::CacheExists(cache)) => Self::CacheExists(cache),
            ProposeError::Refused(MetaError::NoSuchCache(cache)) => {
                Self::NoSuchCache(cache.to_string())
            }
            ProposeError::Refused(
                error @ (MetaError::Connected(_)
                | MetaError::NotConnected(_)
                | MetaError::Outdated(_)),
            ) => Self::Connection(error),
            ProposeError::NotStored(error) => Self::NotStored(error),
        }
    }
}

/// Which caches may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveRule {
    /// Those whose entries nobody misses, as far as is known.
    Careful,
    /// All.
    Force,
}

/// Creates, changes and removes caches.
#[derive(Clone)]
pub struct Caches {
    agreement: Arc<Agreement>,
    /// Configurations that caches can be made from, beside the built-in ones.
    templates: Arc<Vec<(CacheName, CacheConfig)>>,
}

impl Caches {
    /// The caches of this member.
    #[must_use]
    pub fn new(agreement: Arc<Agreement>, templates: Vec<(CacheName, CacheConfig)>) -> Self {
        Self { agreement, templates: Arc::new(templates) }
    }

    /// Reads the configuration of one cache.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn parse(
        &self,
        document: &[u8],
        format: Format,
    ) -> Result<Parsed<CacheConfig>, AdminError> {
        let options = Options { templates: &self.templates, ..Options::default() };
        let parsed = config::parse_cache(document, format, &options)?;
        Ok(Parsed { value: parsed.value.config, ignored: parsed.ignored })
    }

    /// The configuration of this name that the cache is to be made from.
    ///
    /// # Errors
    ///
    /// If there is none, or none that works here.
    pub fn template(&self, name: &str, cache: &CacheName) -> Result<CacheConfig, AdminError> {
        let options = Options { templates: &self.templates, ..Options::default() };
        match config::find_template(name, &options) {
            Ok(config) => Ok(config),
            Err(ConfigError::NoSuchConfiguration { .. }) => {
                Err(AdminError::NoSuchTemplate { template: name.into(), cache: cache.clone() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Names of the configurations that caches can be made from.
    #[must_use]
    pub fn template_names(&self) -> Vec<String> {
        let own = self.templates.iter().map(|(name, _)| name.to_string());
        own.chain(config::template_names().iter().map(ToString::to_string)).collect()
    }

    /// The configuration of the template of this name, if there is one.
    #[must_use]
    pub fn templates(&self) -> &[(CacheName, CacheConfig)] {
        &self.templates
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
        let (cache, config) = (name.clone(), Arc::new(config));
        self.agreement.propose(MetaCommand::CreateCache { cache, config, volatile }).await?;
        Ok(())
    }

    /// Changes the configuration of a cache, in what can be changed while it is there.
    ///
    /// # Errors
    ///
    /// If anything else differs, or there is no such cache.
    pub async fn update(&self, name: &CacheName, config: CacheConfig) -> Result<(), AdminError> {
        let standing = self.config(name.as_str())?;
        if let Some(what) = immutable_difference(&standing, &config) {
            return Err(AdminError::Immutable { cache: name.clone(), what });
        }
        self.warn_of_evictions(name, &standing, &config);
        let (cache, config) = (name.clone(), Arc::new(config));
        self.agreement.propose(MetaCommand::UpdateCache { cache, config }).await?;
        Ok(())
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
        if name.is_internal() {
            return Err(AdminError::Internal(name.clone()));
        }
        let entries = self.changed_at_target(name);
        if entries.is_some() && rule == RemoveRule::Careful {
            return Err(AdminError::WouldLose(name.clone()));
        }
        self.agreement.propose(MetaCommand::RemoveCache { cache: name.clone() }).await?;
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

    /// The number of entries of a cache that clients have changed while it is connected. `None` if they have
    /// not, or if what they had changed was lost before.
    fn changed_at_target(&self, name: &CacheName) -> Option<u64> {
        let marked = self.agreement.see(|metadata| {
            let connection = metadata.cache(name.as_str())?.connection.as_ref()?;
            Some(connection.marked)
        });
        let cache = self.agreement.container().cache(name.as_str())?;
        let is_lost = cache.check_served() == Err(CacheError::Fenced(Fence::Lost));
        (marked == Some(true) && !is_lost).then(|| cache.approximate_len())
    }

    /// The configuration of a cache.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn config(&self, name: &str) -> Result<Arc<CacheConfig>, AdminError> {
        let config = |known: &crate::CacheMetadata| Arc::clone(&known.config);
        self.agreement
            .see(|metadata| metadata.cache(name).map(config))
            .ok_or_else(|| AdminError::NoSuchCache(name.into()))
    }

    /// Names of all caches.
    #[must_use]
    pub fn names(&self) -> Vec<CacheName> {
        self.agreement.see(|metadata| metadata.caches().map(|(name, _)| name.clone()).collect())
    }

    /// What members have agreed on.
    #[must_use]
    pub fn agreement(&self) -> &Arc<Agreement> {
        &self.agreement
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
        ("memory.when-full", standing.memory.when_full != next.memory.when_full),
        ("the kind of memory bound", bounded(standing) != bounded(next)),
        ("remote-store", standing.remote_store != next.remote_store),
    ];
    table.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// Says once what of a configuration has no effect here.
pub fn log_ignored(of: &str, ignored: &[Ignored]) {
    for ignored in ignored {
        tracing::warn!("{of}: ignored: {ignored}");
    }
}

#[cfg(test)]
mod tests {
    //! Caches come, change and go.

    use config::CacheMode;
    use store::{Container, MemoryLimit};

    use super::*;
    use crate::{clock::Clock, samples::name};

    fn caches() -> Caches {
        let container = Arc::new(Container::new(MemoryLimit::unlimited()));
        let clock = Arc::new(Clock::start());
        let template = CacheConfig { statistics: true, ..CacheConfig::new(CacheMode::Local) };
        Caches::new(
            Arc::new(Agreement::start(None, container, clock, 10).unwrap()),
            vec![(name("small"), template)],
        )
    }

    #[tokio::test]
    async fn a_cache_is_created_once_and_removed_once() {
        let caches = caches();
        let config = caches.template("org.infinispan.DIST_SYNC", &name("a")).unwrap();
        caches.create(&name("a"), config.clone(), false).await.unwrap();
        let again = caches.create(&name("a"), config, false).await.unwrap_err();
        assert_eq!(again.to_string(), "ISPN000507: Cache a already exists");
        assert_eq!(caches.names(), [name("a")]);
        caches.remove(&name("a"), RemoveRule::Careful).await.unwrap();
        let again = caches.remove(&name("a"), RemoveRule::Careful).await.unwrap_err().to_string();
        assert!(again.starts_with("ISPN012010: Cache with name 'a' not found"), "{again}");
    }

    #[tokio::test]
    async fn what_holds_entries_in_their_place_cannot_be_changed() {
        let caches = caches();
        let config = CacheConfig::new(CacheMode::Distributed);
        caches.create(&name("a"), config.clone(), false).await.unwrap();
        let statistics = CacheConfig { statistics: true, ..config.clone() };
        caches.update(&name("a"), statistics.clone()).await.unwrap();
        assert!(caches.config("a").unwrap().statistics);
        assert!(caches.agreement().container().cache("a").unwrap().config().statistics);
        let segments = CacheConfig { segments: 60, ..statistics };
        let error = caches.update(&name("a"), segments).await.unwrap_err().to_string();
        assert_eq!(error, "segments of cache a cannot be changed while it is there");
        assert!(matches!(caches.update(&name("b"), config).await, Err(AdminError::NoSuchCache(_))));
    }

    #[test]
    fn templates_of_the_server_stand_beside_the_built_in_ones() {
        let caches = caches();
        assert!(caches.template("small", &name("a")).unwrap().statistics);
        let error = caches.template("nope", &name("a")).unwrap_err().to_string();
        assert_eq!(error, "ISPN000374: No such template 'nope' when declaring 'a'");
        assert!(caches.template_names().contains(&"org.infinispan.DIST_SYNC".to_owned()));
    }
}
