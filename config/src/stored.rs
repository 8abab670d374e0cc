//! Configurations in our own storage: JSON with the passwords.
//!
//! What was stored was accepted before, perhaps by an earlier version that knew fewer mistakes. So it is read
//! without what is meant for documents from outside: their limits, and what is refused although it is
//! understood. Whoever stores a configuration checks that it is read back as what it is.

use crate::{
    CacheConfig, ConfigError, RemoteStoreConfig, RemoteStoreError, Secrets,
    cache::{self, CacheKind},
    notes::Notes,
    remote_store,
    surroundings::Surroundings,
    tree,
};

impl CacheConfig {
    /// As a document with its passwords, for our own storage.
    #[must_use]
    pub fn to_stored_json(&self) -> String {
        self.to_json(None, Secrets::Kept).to_string()
    }

    /// Reads back what [`to_stored_json`](Self::to_stored_json) has written.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn from_stored_json(stored: &str) -> Result<Self, ConfigError> {
        let root = tree::read_stored(stored)?;
        let cache = root.only_child().and_then(|child| Some((child, CacheKind::of(child)?)));
        let (cache, kind) = cache.ok_or(ConfigError::NotOneCache { found: 0 })?;
        let mut notes = Notes::stored();
        let config = cache::read(cache, kind, None, &Surroundings::default(), &mut notes);
        Ok(notes.with(Some(config))?.value)
    }
}

impl RemoteStoreConfig {
    /// Reads back what [`to_stored_json`](Self::to_stored_json) has written.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn from_stored_json(stored: &str) -> Result<Self, RemoteStoreError> {
        let root = tree::read_stored(stored)?;
        let store = root.only_child().filter(|child| child.name == "remote-store");
        let store = store.ok_or(RemoteStoreError::NotOneRemoteStore)?;
        let mut notes = Notes::stored();
        let config = remote_store::read(store, &Surroundings::default(), &mut notes);
        Ok(notes.with(config)?.value)
    }
}

#[cfg(test)]
mod tests;
