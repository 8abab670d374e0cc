//! How a document is to be read.

use crate::{CacheConfig, CacheName};

/// Gives the value of a property (`infinispan.bind.port`) or variable (`env.HOME`), if it has one.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a document is to be read.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whether unknown names are noted and not refused, and caches with a store that is not there
    /// are kept in memory only.
    pub lenient: bool,
    /// Whether a cache's authorization, which is not there, is noted and not refused.
    pub insecure: bool,
    /// Whether the document is only shown, converted or compared: what is understood and could not be
    /// served is noted and not refused.
    pub only_shown: bool,
    /// Where `${name:default}` is looked up; without it, `${` means nothing.
    pub lookup: Option<Lookup<'a>>,
    /// Configurations that a cache may name beside those of its own document and the built-in ones.
    pub templates: &'a [(CacheName, CacheConfig)],
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("lenient", &self.lenient)
            .field("insecure", &self.insecure)
            .field("only_shown", &self.only_shown)
            .field("lookup", &self.lookup.is_some())
            .field("templates", &self.templates.len())
            .finish()
    }
}
