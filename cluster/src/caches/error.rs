//! Why a cache could not be created, changed or removed.

use config::{AttributeError, CacheName, ConfigError};

use crate::{
    agreement::ProposeError,
    log::LogError,
    metadata::{MetaError, NameError},
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
    /// The server was started with the configuration that was to be removed.
    #[error("the server was started with the configuration {0}, which cannot be removed")]
    GivenTemplate(CacheName),
    /// Caches of such a name belong to the server.
    #[error(
        "cache {0} cannot be created: names that begin with ___ or org.infinispan belong to the server; take another"
    )]
    Reserved(CacheName),
    /// There are as many caches as there may be.
    #[error(
        "cache {cache} cannot be created: there are {most} caches already; remove some, or raise limits.max-caches"
    )]
    TooManyCaches {
        /// Name of the cache that was to be created.
        cache: CacheName,
        /// Most caches that there may be.
        most: usize,
    },
    /// There is no memory for a cache, even an empty one.
    #[error(
        "cache {cache} cannot be created: the {limit} bytes that caches may take are used up; remove entries or caches, \
         or raise max-memory"
    )]
    NoMemory {
        /// Name of the cache that was to be created.
        cache: CacheName,
        /// Bytes that all caches may take.
        limit: u64,
    },
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
