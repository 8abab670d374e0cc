//! What a cache is configured to be.
//!
//! Start reading at [`CacheConfig`]; `read` makes one of an element, `write` an element of one.

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

/// Number of segments unless it is configured.
pub(crate) const DEFAULT_SEGMENTS: u32 = 256;

/// Owners of an entry in a distributed cache unless they are configured.
pub(crate) const DEFAULT_OWNERS: u32 = 2;

/// Configuration of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Which members hold its entries.
    pub mode: CacheMode,
    /// Whether a write waits for the other members that hold its entry.
    pub replication: Replication,
    /// Number of segments; of a local cache always 256, inside.
    pub segments: u32,
    /// Members that hold each entry, in a distributed cache.
    pub owners: u32,
    /// Whether statistics are shown. They are counted in any case.
    pub statistics: bool,
    /// Form of keys and values.
    pub encoding: Encoding,
    /// When entries end that do not say so themselves.
    pub expiration: DefaultExpiration,
    /// How much the cache may hold.
    pub memory: MemoryConfig,
    /// The source that it is connected to when it is created.
    pub remote_store: Option<RemoteStoreConfig>,
    /// Other names that the cache has.
    pub aliases: BTreeSet<CacheName>,
    /// Java class that the source places keys by, if it is not the default one.
    pub key_partitioner: Option<String>,
    /// What was said and has no effect here.
    pub kept: Kept,
    /// Which defaults were said.
    pub given: Given,
}

impl CacheConfig {
    /// A cache of this mode with nothing else set.
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
    /// Returns whether queries were to find its entries.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        let is = |value: Option<&str>, word: &str| {
            value.is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        self.kept.child("indexing").is_some_and(|indexing| {
            !is(indexing.text("enabled"), "false") && !is(indexing.text("index"), "NONE")
        })
    }

    /// The encoding without what follows from being indexed.
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

    /// What caches that are made from it are, before they say anything themselves.
    #[must_use]
    pub fn as_parent(&self) -> Self {
        Self { aliases: BTreeSet::new(), ..self.clone() }
    }
}

/// Which members hold the entries of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheMode {
    /// Each entry is on some members.
    Distributed,
    /// Each entry is on every member.
    Replicated,
    /// Each member has entries of its own.
    Local,
}

impl CacheMode {
    /// Returns whether clients are told of its topology.
    #[must_use]
    pub const fn is_clustered(self) -> bool {
        !matches!(self, Self::Local)
    }
}

/// Whether a write waits for the other members that hold its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Replication {
    /// It is answered once they have it.
    #[default]
    Sync,
    /// It is answered before.
    Async,
}

/// Form of keys and values. `None` is not configured: bytes as clients send them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Form of keys.
    pub key: Option<MediaType>,
    /// Form of values.
    pub value: Option<MediaType>,
}

/// When entries end that do not say so themselves, and how often that is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultExpiration {
    /// Time to live from the write.
    pub lifespan: Option<Duration>,
    /// Time to live from the last use.
    pub max_idle: Option<Duration>,
    /// Time between two sweeps over the entries that nobody reads.
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
    /// Entries that were not used lately make room. `NONE` with a bound means this too.
    #[default]
    Remove,
    /// It is refused.
    Exception,
}

#[cfg(test)]
mod tests;
