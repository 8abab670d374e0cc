//! Creating, changing and removing caches, the same for every endpoint.

use std::sync::Arc;

use config::{
    AttributeError, CacheConfig, CacheName, ConfigError, Converted, Format, Ignored, NamedCache,
    Options, Parsed,
};
use store::{CacheError, Fence};

use crate::{
    agreement::{Agreement, ProposeError},
    log::LogError,
    metadata::{MetaCommand, MetaError, Metadata, NameError},
};

/// Times that a change of a configuration is derived anew because others were quicker. Each time, one of them
/// has made its change, so that this many others are busy with one cache.
const ATTEMPTS: usize = 1_000;

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
    /// The server was started with the configuration that was to be removed.
    #[error("the server was started with the configuration {0}, which cannot be removed")]
    GivenTemplate(CacheName),
    /// Caches of such a name belong to the server.
    #[error(
        "cache {0} cannot be created: names that begin with ___ or org.infinispan belong to the server; take another"
    )]
    Reserved(CacheName),
    /// It could not be written down.
    #[error(transparent)]
    NotStored(#[from] LogError),
    /// It could not be read back at a later start.
    #[error("{0}")]
    NotStorable(MetaError),
    /// It is connected, or not connected, to a source, or is being changed by others all the time.
    #[error(transparent)]
    Conflict(MetaError),
    /// A name of a cache or configuration is taken, or is none.
    #[error(transparent)]
    Name(NameError),
    /// An attribute cannot be changed, or not to this value.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
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
                | MetaError::Outdated(_)
                | MetaError::Reconfigured(_)),
            ) => Self::Conflict(error),
            ProposeError::Refused(error @ MetaError::NotStorable { .. }) => {
                Self::NotStorable(error)
            }
            ProposeError::Refused(MetaError::Name(error)) => Self::Name(error),
            ProposeError::NotStored(error) => Self::NotStored(error),
        }
    }
}

/// Which caches may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveRule {
    /// Refuses a connected cache that clients have changed: its entries would be lost.
    Careful,
    /// Removes the cache whatever is lost.
    Force,
}

/// Creates, changes and removes caches.
#[derive(Clone)]
pub struct Caches {
    agreement: Arc<Agreement>,
    /// Configurations that caches can be made from, beside the built-in ones.
    templates: Arc<Vec<(CacheName, CacheConfig)>>,
    tolerance: Tolerance,
    /// The cache that clients mean if they name none.
    default_cache: Option<CacheName>,
}

/// What of a configuration is noted instead of refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tolerance {
    /// Unknown names, and stores whose entries are then kept in memory only.
    pub lenient: bool,
    /// Authorization that is not there: everyone has every right.
    pub insecure: bool,
}

impl Caches {
    /// The caches of this member.
    #[must_use]
    pub fn new(agreement: Arc<Agreement>, templates: Vec<(CacheName, CacheConfig)>) -> Self {
        let (tolerance, templates) = (Tolerance::default(), Arc::new(templates));
        Self { agreement, templates, tolerance, default_cache: None }
    }

    /// The same, with a cache that clients mean if they name none.
    #[must_use]
    pub fn with_default_cache(self, default_cache: Option<CacheName>) -> Self {
        Self { default_cache, ..self }
    }

    /// What a cache is that is created without saying anything about it: what the default cache is, or
    /// a local one.
    #[must_use]
    pub fn default_config(&self) -> CacheConfig {
        let default = self.default_cache.as_ref().and_then(|name| self.config(name.as_str()).ok());
        default.map_or_else(config::default_cache_config, |config| config.as_parent())
    }

    /// The same, with another tolerance of configurations.
    #[must_use]
    pub fn with_tolerance(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
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
        let templates = self.templates();
        let parsed = config::parse_cache(document, format, &self.options(&templates))?;
        Ok(Parsed { value: parsed.value.config, ignored: parsed.ignored })
    }

    /// Reads the configuration of one cache that is only shown or compared. What is understood and
    /// could not be served is not refused.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn inspect(&self, document: &[u8], format: Format) -> Result<NamedCache, AdminError> {
        let templates = self.templates();
        let options = Options { only_shown: true, ..self.shown(&templates) };
        Ok(config::parse_cache(document, format, &options)?.value)
    }

    /// Writes the caches of a document in another format.
    ///
    /// # Errors
    ///
    /// What is wrong with the document, and where.
    pub fn convert(
        &self,
        document: &[u8],
        from: Format,
        to: Format,
        pretty: bool,
    ) -> Result<Converted, AdminError> {
        let templates = self.templates();
        Ok(config::convert(document, from, to, pretty, &self.shown(&templates))?.value)
    }

    /// How a document is read that is only shown: properties have their defaults.
    fn shown<'a>(&self, templates: &'a [(CacheName, CacheConfig)]) -> Options<'a> {
        Options { lookup: Some(&|_| None), ..self.options(templates) }
    }

    fn options<'a>(&self, templates: &'a [(CacheName, CacheConfig)]) -> Options<'a> {
        let Tolerance { lenient, insecure } = self.tolerance;
        Options { lenient, insecure, templates, ..Options::default() }
    }

    /// The configuration of this name that the cache is to be made from.
    ///
    /// # Errors
    ///
    /// If there is none, or none that works here.
    pub fn template(&self, name: &str, cache: &CacheName) -> Result<CacheConfig, AdminError> {
        let templates = self.templates();
        match config::find_template(name, &self.options(&templates)) {
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
        let own = self.templates().into_iter().map(|(name, _)| name.to_string());
        own.chain(config::template_names().iter().map(ToString::to_string)).collect()
    }

    /// Configurations that caches can be made from: those that the server was started with, and those
    /// that were made since.
    #[must_use]
    pub fn templates(&self) -> Vec<(CacheName, CacheConfig)> {
        let mut all = (*self.templates).clone();
        self.agreement.see(|metadata| {
            let own = metadata.templates();
            all.extend(own.map(|(name, known)| (name.clone(), (*known.config).clone())));
        });
        all
    }

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

    /// Whether a configuration is built in, or the server was started with it.
    fn is_given(&self, name: &CacheName) -> bool {
        self.templates.iter().any(|(known, _)| known == name)
            || config::template(name.as_str()).is_some()
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

    /// The name of the cache that has this name, or has it as an alias.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn resolve(&self, name: &str) -> Result<CacheName, AdminError> {
        let cache = self.agreement.container().cache(name);
        let cache = cache.ok_or_else(|| AdminError::NoSuchCache(name.into()))?;
        Ok(cache.name().clone())
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
        let (cache, config) = (name.clone(), Arc::new(config));
        self.agreement.propose(MetaCommand::CreateCache { cache, config, volatile }).await?;
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
        if name.is_internal() {
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

    /// The configuration of a cache.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn config(&self, name: &str) -> Result<Arc<CacheConfig>, AdminError> {
        let name = self.resolve(name)?;
        let name = name.as_str();
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
        ("key-partitioner", standing.key_partitioner != next.key_partitioner),
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

/// The number of entries of a cache that clients have changed while it is connected. `None` if they have
/// not, or if what they had changed was lost before.
fn changed_at_target(agreement: &Agreement, metadata: &Metadata, name: &CacheName) -> Option<u64> {
    let marked = metadata.cache(name.as_str())?.connection.as_ref()?.marked;
    let cache = agreement.container().cache(name.as_str())?;
    let is_lost = cache.check_served() == Err(CacheError::Fenced(Fence::Lost));
    (marked && !is_lost).then(|| cache.approximate_len())
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

    #[tokio::test]
    async fn an_alias_leads_to_one_cache_and_conflicts_are_refused() {
        let caches = caches();
        let config = CacheConfig::new(CacheMode::Distributed);
        let with = |alias: &str| CacheConfig { aliases: [name(alias)].into(), ..config.clone() };
        caches.create(&name("a"), with("x"), false).await.unwrap();
        caches.create(&name("b"), config.clone(), false).await.unwrap();
        let opened = |alias: &str| caches.resolve(alias).ok().map(|name| name.to_string());
        assert_eq!(opened("x").as_deref(), Some("a"));

        let error = caches.create(&name("x"), config.clone(), false).await.unwrap_err();
        assert_eq!(error.to_string(), "ISPN000507: Cache x already exists");
        let error = caches.create(&name("c"), with("x"), false).await.unwrap_err().to_string();
        assert_eq!(error, "ISPN000702: The alias 'x' is already being used by cache 'a'");
        let error = caches.update(&name("b"), with("x")).await.unwrap_err().to_string();
        assert_eq!(error, "ISPN000702: The alias 'x' is already being used by cache 'a'");
        for cache in ["a", "b"] {
            let error = caches.assign_alias("b", &name(cache)).await.unwrap_err().to_string();
            assert_eq!(
                error,
                format!("ISPN000438: Cache with name '{cache}' is defined more than once!")
            );
        }
        assert_eq!(opened("x").as_deref(), Some("a"), "nothing has changed");

        caches.assign_alias("b", &name("x")).await.unwrap();
        assert_eq!(opened("x").as_deref(), Some("b"));
        assert!(caches.config("a").unwrap().aliases.is_empty());
        let standing = caches.agreement().container().cache("a").unwrap();
        assert!(standing.config().aliases.is_empty(), "those who hold it see that it has changed");
        caches.assign_alias("x", &name("y")).await.unwrap();
        assert_eq!(opened("y").as_deref(), Some("b"), "an alias names its cache here, too");
        caches.set_attribute("b", "aliases", "z").await.unwrap();
        assert_eq!((opened("x"), opened("z").as_deref()), (None, Some("b")));
        caches.remove(&name("b"), RemoveRule::Careful).await.unwrap();
        assert_eq!(opened("z"), None);
        let error = caches.assign_alias("a", &name("two words")).await.unwrap_err().to_string();
        assert!(error.contains("has a space in it"), "{error}");
        caches.update(&name("a"), with("p")).await.unwrap();
        caches.assign_alias("a", &name("q")).await.unwrap();
        caches.update(&name("a"), with("p")).await.unwrap();
        assert_eq!((opened("p").as_deref(), opened("q")), (Some("a"), None), "it is whole");
        assert!(matches!(
            caches.assign_alias("b", &name("q")).await,
            Err(AdminError::NoSuchCache(_))
        ));
    }

    #[tokio::test]
    async fn a_configuration_is_made_once_and_caches_are_made_from_it() {
        let caches = caches();
        let config = CacheConfig { owners: 5, ..CacheConfig::new(CacheMode::Distributed) };
        caches.create_template(&name("mine"), config.clone(), false).await.unwrap();
        assert_eq!(caches.template("mine", &name("a")).unwrap(), config);
        let text = br#"{"distributed-cache":{"configuration":"mine"}}"#;
        assert_eq!(caches.parse(text, Format::Json).unwrap().value, config);
        for taken in ["mine", "small", "org.infinispan.LOCAL"] {
            let error = caches.create_template(&name(taken), config.clone(), false).await;
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with("ISPN000453"), "{error}");
        }
        for template in ["mine", "small"] {
            let created = caches.create(&name(template), config.clone(), false).await;
            let error = created.unwrap_err().to_string();
            assert!(error.starts_with("ISPN000453"), "{error}");
        }
        // A cache that was there before a file had a template of its name is there.
        let agreement = Arc::clone(caches.agreement());
        caches.create(&name("old"), config.clone(), false).await.unwrap();
        let restarted = Caches::new(agreement, vec![(name("old"), config.clone())]);
        let again = restarted.create(&name("old"), config.clone(), false).await.unwrap_err();
        assert_eq!(again.to_string(), "ISPN000507: Cache old already exists");
        let statistics = CacheConfig { statistics: true, ..config.clone() };
        restarted.create_or_update(&name("old"), statistics, false).await.unwrap();
        assert!(restarted.config("old").unwrap().statistics);

        let error = caches.remove_template(&name("small")).await.unwrap_err().to_string();
        assert!(error.contains("started with the configuration small"), "{error}");
        caches.remove_template(&name("mine")).await.unwrap();
        caches.remove_template(&name("mine")).await.unwrap();
        assert!(caches.template("mine", &name("a")).is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn changes_at_the_same_time_are_all_there_afterwards() {
        const EACH: usize = 50;
        let caches = caches();
        caches.create(&name("a"), CacheConfig::new(CacheMode::Distributed), false).await.unwrap();
        let mut changing = tokio::task::JoinSet::new();
        for attribute in ["expiration.lifespan", "expiration.max-idle", "clustering.remote-timeout"]
        {
            let caches = caches.clone();
            changing.spawn(async move {
                for number in 1..=EACH {
                    caches.set_attribute("a", attribute, &format!("{number}s")).await.unwrap();
                }
            });
        }
        let aliasing = caches.clone();
        changing.spawn(async move {
            for number in 0..EACH {
                aliasing.assign_alias("a", &name(&format!("alias-{number}"))).await.unwrap();
            }
        });
        changing.join_all().await;
        let config = caches.config("a").unwrap();
        assert_eq!(config.aliases.len(), EACH);
        let last = Some(std::time::Duration::from_secs(EACH as u64));
        assert_eq!((config.expiration.lifespan, config.expiration.max_idle), (last, last));
    }

    #[tokio::test]
    async fn a_configuration_is_not_replaced_by_one_that_was_derived_from_another() {
        let caches = caches();
        let config = CacheConfig::new(CacheMode::Distributed);
        caches.create(&name("a"), config.clone(), false).await.unwrap();
        let standing = caches.config("a").unwrap();
        // Meanwhile it becomes another cache.
        caches.remove(&name("a"), RemoveRule::Careful).await.unwrap();
        let other = CacheConfig { segments: 60, ..config.clone() };
        caches.create(&name("a"), other.clone(), false).await.unwrap();
        let config = Arc::new(CacheConfig { statistics: true, ..config });
        let update =
            MetaCommand::UpdateCache { cache: name("a"), config, replaces: Some(standing) };
        let refused = AdminError::from(caches.agreement().propose(update).await.unwrap_err());
        assert_eq!(
            refused.to_string(),
            "the configuration of cache a was changed by somebody else at the same time: try again"
        );
        assert_eq!(*caches.config("a").unwrap(), other);
    }

    #[tokio::test]
    async fn a_cache_that_may_be_there_is_created_once_and_changed_then() {
        let caches = caches();
        let config = CacheConfig::new(CacheMode::Distributed);
        caches.create_or_update(&name("a"), config.clone(), false).await.unwrap();
        let statistics = CacheConfig { statistics: true, ..config.clone() };
        caches.create_or_update(&name("a"), statistics.clone(), false).await.unwrap();
        assert_eq!(*caches.config("a").unwrap(), statistics);
        let segments = CacheConfig { segments: 60, ..config };
        let error = caches.create_or_update(&name("a"), segments, false).await.unwrap_err();
        assert!(matches!(error, AdminError::Immutable { what: "segments", .. }), "{error}");
    }

    #[tokio::test]
    async fn an_attribute_is_set_alone() {
        let caches = caches();
        let config = CacheConfig::new(CacheMode::Distributed);
        caches.create(&name("a"), config, false).await.unwrap();
        caches.set_attribute("a", "expiration.lifespan", "5s").await.unwrap();
        caches.set_attribute("a", "clustering.remote-timeout", "17s").await.unwrap();
        let config = caches.config("a").unwrap();
        assert_eq!(config.expiration.lifespan, Some(std::time::Duration::from_secs(5)));
        let error = caches.set_attribute("a", "clustering.mode", "ASYNC").await.unwrap_err();
        assert_eq!(error.to_string(), "ISPN012035: Attribute 'clustering.mode' is immutable");
    }
}
