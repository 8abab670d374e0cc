//! Configurations that caches are made from by name.

use crate::{CacheConfig, CacheMode, ConfigError, Options, Place, Replication};

/// Names of the built-in configurations.
const TEMPLATES: &[&str] = &[
    "org.infinispan.LOCAL",
    "org.infinispan.REPL_SYNC",
    "org.infinispan.REPL_ASYNC",
    "org.infinispan.DIST_SYNC",
    "org.infinispan.DIST_ASYNC",
];

/// Built-in configurations of a real server whose caches would hold nothing here.
const REFUSED: &[&str] = &["org.infinispan.INVALIDATION_SYNC", "org.infinispan.INVALIDATION_ASYNC"];

/// Names of the built-in configurations.
#[must_use]
pub const fn template_names() -> &'static [&'static str] {
    TEMPLATES
}

/// The built-in configuration of a name.
#[must_use]
pub fn template(name: &str) -> Option<CacheConfig> {
    let (mode, replication) = match name.strip_prefix("org.infinispan.")? {
        "LOCAL" => (CacheMode::Local, Replication::Sync),
        "REPL_SYNC" => (CacheMode::Replicated, Replication::Sync),
        "REPL_ASYNC" => (CacheMode::Replicated, Replication::Async),
        "DIST_SYNC" => (CacheMode::Distributed, Replication::Sync),
        "DIST_ASYNC" => (CacheMode::Distributed, Replication::Async),
        _ => return None,
    };
    Some(CacheConfig { replication, statistics: true, ..CacheConfig::new(mode) })
}

/// What a cache is that is created without saying anything about it, as in Infinispan: local.
#[must_use]
pub fn default_cache_config() -> CacheConfig {
    CacheConfig::new(CacheMode::Local)
}

/// The configuration of a name: one of `options`, or a built-in one.
///
/// # Errors
///
/// If there is none, or it is one whose caches would hold nothing.
pub fn find_template(name: &str, options: &Options<'_>) -> Result<CacheConfig, ConfigError> {
    find(name, None, options)
}

/// As [`find_template`], for a name that stands somewhere.
pub(crate) fn find(
    name: &str,
    place: Option<Place>,
    options: &Options<'_>,
) -> Result<CacheConfig, ConfigError> {
    let given = options.templates.iter().find(|(given, _)| given.as_str() == name);
    if let Some(config) = given.map(|(_, config)| config.clone()).or_else(|| template(name)) {
        return Ok(config);
    }
    if REFUSED.contains(&name) {
        let why = "entries of an invalidation cache would live nowhere; take org.infinispan.LOCAL \
                   or org.infinispan.DIST_SYNC";
        return Err(ConfigError::Refused { what: format!("'{name}'"), why, place });
    }
    let given = options.templates.iter().map(|(given, _)| given.to_string());
    let known = given.chain(TEMPLATES.iter().map(|&known| known.to_owned())).collect();
    Err(ConfigError::NoSuchConfiguration { name: name.into(), known, place })
}

#[cfg(test)]
mod tests {
    //! Every name has its configuration.

    use super::*;

    #[test]
    fn every_name_has_its_configuration() {
        for name in TEMPLATES {
            let config = template(name).unwrap();
            assert!(config.statistics);
            assert_eq!(config.mode == CacheMode::Local, name.ends_with("LOCAL"));
            assert_eq!(config.replication == Replication::Async, name.ends_with("_ASYNC"));
        }
        assert_eq!(template("org.infinispan.NONE"), None);
        assert_eq!(template("LOCAL"), None);
    }

    #[test]
    fn an_invalidation_cache_is_refused_and_an_unknown_name_told() {
        let options = Options::default();
        let error = find_template("org.infinispan.INVALIDATION_SYNC", &options).unwrap_err();
        assert!(error.to_string().contains("would live nowhere"), "{error}");
        let error = find_template("mine", &options).unwrap_err();
        assert!(error.to_string().starts_with("there is no configuration 'mine'"), "{error}");
    }
}
