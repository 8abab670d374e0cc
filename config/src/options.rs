//! How a document is to be read.

use crate::{CacheConfig, CacheName};

/// Gives the value of a property (`infinispan.bind.port`) or variable (`env.HOME`), if it has one.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a document is to be read.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whether unknown names, and stores that would lose data at a restart, are noted and not
    /// refused.
    pub lenient: bool,
    /// Where `${name:default}` is looked up; without it, `${` means nothing.
    pub lookup: Option<Lookup<'a>>,
    /// Configurations that a cache may name beside those of its own document and the built-in ones.
    pub templates: &'a [(CacheName, CacheConfig)],
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("lenient", &self.lenient)
            .field("lookup", &self.lookup.is_some())
            .field("templates", &self.templates.len())
            .finish()
    }
}
