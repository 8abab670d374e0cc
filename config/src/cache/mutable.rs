//! Attributes of a configuration that can be changed while the cache exists.

use serde_json::{Value, json};

use super::{CacheConfig, CacheKind, CacheMode, Kept, defaults, kept::KeptValue, read, write};
use crate::{
    ConfigError, Place,
    notes::Notes,
    quantity,
    surroundings::Surroundings,
    tree::{Attribute, Element},
};

/// An attribute that can be changed while the cache exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutableAttribute {
    /// Name on a real server.
    pub name: &'static str,
    /// Name of its type on a real server.
    pub kind: &'static str,
    /// Path in the element of a cache.
    path: &'static str,
}

const fn attribute(name: &'static str, kind: &'static str, path: &'static str) -> MutableAttribute {
    MutableAttribute { name, kind, path }
}

/// All mutable attributes, in the order of a real server.
pub const MUTABLE_ATTRIBUTES: &[MutableAttribute] = &[
    attribute("aliases", "set", "aliases"),
    attribute("clustering.remote-timeout", "timequantity", "remote-timeout"),
    attribute(
        "clustering.state-transfer.await-initial-transfer",
        "boolean",
        "state-transfer/await-initial-transfer",
    ),
    attribute("expiration.lifespan", "timequantity", "expiration/lifespan"),
    attribute("expiration.max-idle", "timequantity", "expiration/max-idle"),
    attribute("expiration.interval", "timequantity", "expiration/interval"),
    attribute("indexing.indexed-entities", "set", "indexing/indexed-entities"),
    attribute("indexing.startup-mode", "indexstartupmode", "indexing/startup-mode"),
    attribute("locking.acquire-timeout", "timequantity", "locking/acquire-timeout"),
    attribute("memory.max-size", "string", "memory/max-size"),
    attribute("memory.max-count", "long", "memory/max-count"),
    attribute("persistence.connection-attempts", "integer", "persistence/connection-attempts"),
    attribute("security.authorization.roles", "set", "security/authorization/roles"),
    attribute("jmx-statistics.statistics", "boolean", "statistics"),
    attribute("tracing.enabled", "boolean", "tracing/enabled"),
    attribute("tracing.categories", "set", "tracing/categories"),
    attribute("transaction.stop-timeout", "timequantity", "transaction/stop-timeout"),
    attribute(
        "transaction.single-phase-auto-commit",
        "boolean",
        "transaction/single-phase-auto-commit",
    ),
];

/// Values of `indexing.startup-mode`.
const STARTUP_MODES: [&str; 4] = ["PURGE", "REINDEX", "AUTO", "NONE"];

/// Attributes that a real server does not let change.
pub const IMMUTABLE_ATTRIBUTES: &[&str] = &[
    "clustering.hash.owners",
    "clustering.hash.segments",
    "clustering.mode",
    "clustering.type",
    "configuration",
    "encoding.key.media-type",
    "encoding.media-type",
    "encoding.value.media-type",
    "expiration.touch",
    "indexing.enabled",
    "indexing.storage",
    "locking.concurrency-level",
    "locking.isolation",
    "locking.striping",
    "memory.storage",
    "memory.when-full",
    "security.authorization.enabled",
    "simple-cache",
    "transaction.locking",
    "transaction.mode",
];

/// Error for an attribute that cannot be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// There is no attribute of this name.
    #[error("ISPN000960: No attribute '{name}' in '{element}'")]
    Unknown {
        /// The name.
        name: String,
        /// The element that does not have it.
        element: String,
    },
    /// The attribute cannot be changed while the cache exists.
    #[error("ISPN012035: Attribute '{0}' is immutable")]
    Immutable(String),
    /// The value is invalid.
    #[error("'{name}' is \"{value}\"; it has to be {expected}")]
    Value {
        /// The attribute.
        name: String,
        /// The value.
        value: String,
        /// Which values are valid.
        expected: String,
    },
    /// The cache does not have the element that the attribute belongs to. Setting the attribute
    /// does not create it, because that would make it a different cache.
    #[error("'{name}' cannot be set: the cache has no '{element}'")]
    NoElement {
        /// The attribute.
        name: String,
        /// The missing element.
        element: &'static str,
    },
    /// The value is invalid for another reason.
    #[error(transparent)]
    Config(ConfigError),
}

impl CacheConfig {
    /// Returns the mutable attribute of this name.
    ///
    /// # Errors
    ///
    /// If there is no such attribute, or it cannot be changed.
    pub fn mutable(&self, name: &str) -> Result<MutableAttribute, AttributeError> {
        // The name by which it is configured.
        let wanted = if name == "statistics" { "jmx-statistics.statistics" } else { name };
        if let Some(known) = MUTABLE_ATTRIBUTES.iter().find(|known| known.name == wanted) {
            return Ok(*known);
        }
        if IMMUTABLE_ATTRIBUTES.contains(&name) {
            return Err(AttributeError::Immutable(name.to_owned()));
        }
        // Like a real server, name the element that would have the attribute.
        let groups = MUTABLE_ATTRIBUTES.iter().map(|known| known.name);
        let groups = groups.chain(IMMUTABLE_ATTRIBUTES.iter().copied());
        let groups = groups.filter_map(|known| known.rsplit_once('.').map(|(group, _)| group));
        let (element, name) = match name.rsplit_once('.') {
            Some((group, name)) if groups.into_iter().any(|known| known == group) => (group, name),
            _ => (self.element_name(), name),
        };
        Err(AttributeError::Unknown { name: name.to_owned(), element: element.to_owned() })
    }

    /// Returns the name of the cache's element in a document.
    #[must_use]
    pub const fn element_name(&self) -> &'static str {
        match self.mode {
            CacheMode::Distributed => "distributed-cache",
            CacheMode::Replicated => "replicated-cache",
            CacheMode::Local => "local-cache",
        }
    }

    /// Returns the configuration without mutable attributes, to compare what must not change.
    #[must_use]
    pub fn without_mutable(&self) -> Self {
        let mut rest = self.clone();
        rest.aliases.clear();
        rest.statistics = false;
        rest.expiration = super::DefaultExpiration::default();
        // Adding or removing a bound is not possible, only changing it.
        rest.memory.max_count = rest.memory.max_count.and(Some(1));
        rest.memory.max_size = rest.memory.max_size.and(Some(1));
        MUTABLE_ATTRIBUTES.iter().for_each(|attribute| rest.kept.remove(attribute.path));
        rest
    }
}

impl MutableAttribute {
    /// Returns all possible values, if the attribute is one of a few words.
    #[must_use]
    pub fn universe(&self) -> Option<&'static [&'static str]> {
        (self.kind == "indexstartupmode").then_some(&STARTUP_MODES)
    }

    /// Returns the value in a configuration, as a real server shows it.
    #[must_use]
    pub fn value(&self, config: &CacheConfig) -> Value {
        let given = &config.given;
        match self.path {
            "aliases" => json!(config.aliases.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "statistics" => json!(config.statistics),
            path @ "expiration/lifespan" => {
                json!(write::life(given, path, config.expiration.lifespan))
            }
            path @ "expiration/max-idle" => {
                json!(write::life(given, path, config.expiration.max_idle))
            }
            path @ "expiration/interval" if given.has(path) => {
                json!(write::interval(given, path, config.expiration.interval))
            }
            "expiration/interval" => json!(quantity::as_time(config.expiration.interval)),
            "memory/max-size" => json!(config.memory.max_size.map(|size| write::size(given, size))),
            "memory/max-count" => json!(config.memory.max_count.map_or(-1, |count| {
                // As Java reads a number.
                i64::try_from(count).unwrap_or(i64::MAX)
            })),
            path => self.kept_value(&config.kept, path),
        }
    }

    fn kept_value(&self, kept: &Kept, path: &str) -> Value {
        let text = match kept.value(path) {
            Some(KeptValue::Many(values)) => return json!(values),
            Some(KeptValue::One(text)) => Some(text.clone()),
            None => defaults::default(path).map(|default| match self.kind {
                "timequantity" => {
                    quantity::time(default).map_or_else(String::new, quantity::as_time)
                }
                _ => default.to_owned(),
            }),
        };
        match (self.kind, text) {
            ("set", None) => json!([]),
            ("set", Some(text)) => json!(text.split_whitespace().collect::<Vec<_>>()),
            ("boolean", text) => json!(text.is_some_and(|text| text.eq_ignore_ascii_case("true"))),
            ("integer", Some(text)) => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            (_, text) => json!(text),
        }
    }

    /// Returns the configuration with another value of this attribute, parsed as in a document.
    ///
    /// # Errors
    ///
    /// If the value is invalid.
    pub fn with(&self, config: &CacheConfig, value: &str) -> Result<CacheConfig, AttributeError> {
        self.check(value)?;
        self.check_element(config)?;
        let mut parts: Vec<_> = self.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        let mut element = Element::new(parts.pop().unwrap_or_default(), Place::START);
        element.attributes.push(Attribute::new(name, value, Place::START));
        while let Some(outer) = parts.pop() {
            let inner = std::mem::replace(&mut element, Element::new(outer, Place::START));
            element.children.push(inner);
        }
        let mut cache = Element::new(config.element_name(), Place::START);
        if self.path.contains('/') {
            cache.children.push(element);
        } else {
            cache.attributes = element.attributes;
        }
        let kind =
            CacheKind::of(&cache).ok_or_else(|| AttributeError::Immutable(self.name.to_owned()))?;
        // The rest of the configuration was checked before.
        let mut notes = Notes::tolerant();
        let changed = read(&cache, kind, Some(config), &Surroundings::default(), &mut notes);
        match notes.with(Some(changed)) {
            Ok(mut parsed) => {
                // A real server accepts these attributes for a local cache, too, but does not show
                // them; a document with them would be refused.
                if !parsed.value.mode.is_clustered() {
                    parsed.value.kept.remove_names(read::OF_CLUSTERED);
                }
                Ok(parsed.value)
            }
            Err(ConfigError::Value { name, value, expected, .. }) => {
                Err(AttributeError::Value { name, value, expected })
            }
            Err(error) => Err(AttributeError::Config(error)),
        }
    }

    /// Checks that the cache is indexed or has authorization, if the attribute requires it.
    fn check_element(&self, config: &CacheConfig) -> Result<(), AttributeError> {
        let kept = &config.kept;
        let (element, is_there) = match self.path.split_once('/') {
            Some(("indexing", _)) => ("indexing", kept.child("indexing").is_some()),
            Some(("security", _)) => {
                let security = kept.child("security");
                ("authorization", security.is_some_and(|it| it.child("authorization").is_some()))
            }
            _ => return Ok(()),
        };
        let missing = || AttributeError::NoElement { name: self.name.to_owned(), element };
        is_there.then_some(()).ok_or_else(missing)
    }

    /// Checks the value of an attribute that has no effect and is therefore not checked elsewhere.
    fn check(&self, value: &str) -> Result<(), AttributeError> {
        let (_, name) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        let attribute = Attribute::new(name, value, Place::START);
        let checked = match self.kind {
            "timequantity" => attribute.time_or_unlimited().map(drop),
            "boolean" => attribute.flag().map(drop),
            "integer" => attribute.number(i32::MIN..=i32::MAX).map(drop),
            "indexstartupmode" => attribute.one_of(&STARTUP_MODES.map(|mode| (mode, ()))),
            _ => Ok(()),
        };
        checked.map_err(|error| match error {
            ConfigError::Value { name, value, expected, .. } => {
                AttributeError::Value { name, value, expected }
            }
            error => AttributeError::Config(error),
        })
    }
}
