//! What a request is carried out with, and what became of it.

use std::{collections::HashSet, sync::Arc};

use config::CacheConfig;
use hotrod::{RequestHeader, Writer, serve::Context};
use migrate::Turn;
use parking_lot::Mutex;
use store::{Cache, Expiration, Timestamp};

use super::{
    bulk::Found,
    order::{CacheId, Claim},
    topology::TopologyBlocks,
};
use crate::{budget::Share, node::Node};

/// What became of a request.
pub(crate) enum Taken {
    /// The answer is written.
    Answered,
    /// It has to wait for something, or for requests before it.
    Waits {
        /// What it reads or changes.
        claim: Option<Claim>,
        /// How much of it is done already.
        done: Done,
    },
}

/// How much of a request is done already when it has to wait: it goes on from there, and does nothing
/// twice.
pub(crate) enum Done {
    /// Nothing.
    Nothing,
    /// So many entries of a PUT_ALL are written.
    Written(usize),
    /// So many keys of a GET_ALL are read, and this was found.
    Read(usize, Found),
    /// All of it. There is no room yet for the copy of the value in the answer.
    Answered(Writer),
}

impl Done {
    /// Bytes of what was found so far. A value that is not copied yet does not count.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Written(_) => 0,
            Self::Read(_, found) => found.bytes(),
            Self::Answered(writer) => writer.len(),
        }
    }
}

/// A cache, with what its requests need of its configuration.
pub(crate) struct Target {
    /// As the request named it.
    pub(super) name: String,
    pub(crate) cache: Arc<Cache>,
    pub(crate) config: Arc<CacheConfig>,
    pub(super) default_expiration: Expiration,
    pub(super) topology: Option<TopologyBlocks>,
}

/// The names of the iterations that were begun on one connection.
pub(crate) type Begun = Mutex<HashSet<String>>;

/// What a request that waits takes along.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) node: Arc<Node>,
    pub(crate) share: Arc<Share>,
    pub(crate) target: Option<Arc<Target>>,
    pub(crate) iterations: Arc<Begun>,
    /// Held while a large answer is put together: one at a time of each connection.
    pub(crate) large: Arc<tokio::sync::Mutex<()>>,
    /// Since when it waits.
    pub(crate) turn: Turn,
}

impl Target {
    /// Names the cache while this target is held.
    pub(super) fn id(&self) -> CacheId {
        CacheId(Arc::as_ptr(&self.cache) as usize)
    }

    /// Returns whether the cache has become another one.
    pub(super) fn is_stale(&self) -> bool {
        self.cache.is_removed() || !Arc::ptr_eq(&self.cache.config(), &self.config)
    }

    /// What a request to this cache is carried out in.
    #[inline]
    pub(crate) fn context<'a>(
        &'a self,
        header: &'a RequestHeader<'a>,
        now: Timestamp,
    ) -> Context<'a> {
        Context {
            header,
            now,
            default_expiration: self.default_expiration,
            topology: self.topology.as_ref().and_then(|blocks| blocks.news_for(header)),
        }
    }
}
