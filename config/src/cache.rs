//! Configuration of a cache.
//!
//! Start reading at [`CacheConfig`]; `read` parses one from an element, `write` turns it back into
//! one.

mod defaults;
mod difference;
mod given;
mod kept;
mod mutable;
mod read;
mod typed;
mod write;

use std::{collections::BTreeSet, time::Duration};

use media::MediaType;

pub use self::{
    given::Given,
    kept::Kept,
    mutable::{AttributeError, IMMUTABLE_ATTRIBUTES, MUTABLE_ATTRIBUTES, MutableAttribute},
};
pub(crate) use self::{
    kept::WRAPPED,
    read::{CacheKind, memory_only, open_to_everyone, read},
    write::node,
};
use crate::{CacheName, RemoteStoreConfig};

/// Default number of segments.
pub(crate) const DEFAULT_SEGMENTS: u32 = 256;

/// Default number of owners in a distributed cache.
pub(crate) const DEFAULT_OWNERS: u32 = 2;

/// Configuration of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Which members hold its entries.
    pub mode: CacheMode,
    /// Whether a write waits for the other members that hold its entry.
    pub replication: Replication,
    /// Number of segments; always 256 for a local cache, internally.
    pub segments: u32,
    /// Number of members that hold each entry of a distributed cache.
    pub owners: u32,
    /// Whether statistics are shown. They are always counted.
    pub statistics: bool,
    /// Media types of keys and values.
    pub encoding: Encoding,
    /// Expiration of entries that have none of their own.
    pub expiration: DefaultExpiration,
    /// How much the cache may hold.
    pub memory: MemoryConfig,
    /// The source to connect the cache to when it is created.
    pub remote_store: Option<RemoteStoreConfig>,
    /// Other names of the cache.
    pub aliases: BTreeSet<CacheName>,
    /// Java class that places keys at the source, if it is not the default one.
    pub key_partitioner: Option<String>,
    /// Attributes and elements that have no effect here.
    pub kept: Kept,
    /// Attributes that were given explicitly.
    pub given: Given,
}

impl CacheConfig {
    /// Creates a configuration of this mode with defaults for the rest.
    #[must_use]
    pub fn new(mode: CacheMode) -> Self {
        Self {
            mode,
            replication: Replication::default(),
            segments: DEFAULT_SEGMENTS,
            owners: DEFAULT_OWNERS,
            statistics: false,
            encoding: Encoding::default(),
            expiration: DefaultExpiration::default(),
            memory: MemoryConfig::default(),
            remote_store: None,
            aliases: BTreeSet::new(),
            key_partitioner: None,
            kept: Kept::default(),
            given: Given::default(),
        }
    }
}

impl CacheConfig {
    /// Returns whether the cache is indexed for queries on Infinispan.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        let is = |value: Option<&str>, word: &str| {
            value.is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        self.kept.child("indexing").is_some_and(|indexing| {
            !is(indexing.text("enabled"), "false") && !is(indexing.text("index"), "NONE")
        })
    }

    /// Returns the encoding without the part that is implied by an index.
    pub(crate) fn said_encoding(&self) -> Encoding {
        let Encoding { key, value } = self.encoding.clone();
        if !self.is_indexed() || self.given.has("encoding/media-type") {
            return Encoding { key, value };
        }
        let said = |path, part: Option<MediaType>| {
            part.filter(|part| self.given.has(path) || *part != MediaType::PROTOSTREAM)
        };
        Encoding {
            key: said("encoding/key/media-type", key),
            value: said("encoding/value/media-type", value),
        }
    }

    /// Returns the configuration that caches inherit from this one.
    #[must_use]
    pub fn as_parent(&self) -> Self {
        Self { aliases: BTreeSet::new(), ..self.clone() }
    }
}

/// Which members hold the entries of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheMode {
    /// Each entry is on some of the members.
    Distributed,
    /// Each entry is on every member.
    Replicated,
    /// Each member has its own entries.
    Local,
}

impl CacheMode {
    /// Returns whether clients are sent its topology.
    #[must_use]
    pub const fn is_clustered(self) -> bool {
        !matches!(self, Self::Local)
    }
}

/// Whether a write waits for the other members that hold its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Replication {
    /// A write is answered once they have it.
    #[default]
    Sync,
    /// A write is answered without waiting for them.
    Async,
}

/// Media types of keys and values. `None` means not configured: bytes as clients send them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Media type of keys.
    pub key: Option<MediaType>,
    /// Media type of values.
    pub value: Option<MediaType>,
}

/// Expiration of entries that have none of their own, and the interval of sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultExpiration {
    /// Time to live from the write.
    pub lifespan: Option<Duration>,
    /// Time to live from the last use.
    pub max_idle: Option<Duration>,
    /// Interval between sweeps, which remove expired entries that nobody reads.
    pub interval: Duration,
}

impl Default for DefaultExpiration {
    fn default() -> Self {
        Self { lifespan: None, max_idle: None, interval: Duration::from_secs(60) }
    }
}

/// How much a cache may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Most entries.
    pub max_count: Option<u64>,
    /// Most bytes.
    pub max_size: Option<u64>,
    /// What happens to a write into a full cache.
    pub when_full: WhenFull,
}

/// What happens to a write into a full cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Entries that were not used recently are evicted. `NONE` with a bound means the same.
    #[default]
    Remove,
    /// The write is refused.
    Exception,
}

#[cfg(test)]
mod tests;
