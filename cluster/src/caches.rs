//! The caches of this member, and what their configurations are made from, the same for every endpoint.

mod administration;
mod error;

use std::sync::Arc;

use config::{
    CacheConfig, CacheName, ConfigError, Converted, Format, Ignored, NamedCache, Options, Parsed,
};

pub use self::{administration::RemoveRule, error::AdminError};
use crate::agreement::Agreement;

/// Reads configurations, and creates, changes and removes caches.
#[derive(Clone)]
pub struct Caches {
    agreement: Arc<Agreement>,
    /// Configurations that caches can be made from, beside the built-in ones.
    templates: Arc<Vec<(CacheName, CacheConfig)>>,
    tolerance: Tolerance,
    /// The cache that clients mean if they name none.
    default_cache: Option<CacheName>,
    /// Most caches that there may be for another one to be created.
    most: usize,
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
        Self { agreement, templates, tolerance, default_cache: None, most: usize::MAX }
    }

    /// The same, with at most so many caches: those of the configuration are there beside them, but count.
    #[must_use]
    pub fn with_most(self, most: usize) -> Self {
        Self { most, ..self }
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
    /// Returns all problems of the document, each with its line and column or its path.
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

    /// Whether a configuration is built in, or the server was started with it.
    fn is_given(&self, name: &CacheName) -> bool {
        self.templates.iter().any(|(known, _)| known == name)
            || config::template(name.as_str()).is_some()
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

/// Says once what of a configuration has no effect here.
pub fn log_ignored(of: &str, ignored: &[Ignored]) {
    for ignored in ignored {
        tracing::warn!("{of}: ignored: {ignored}");
    }
}

#[cfg(test)]
mod tests;
