//! The hash of a key in the table of its segment.

use std::hash::{BuildHasher, Hasher};

/// Hashes keys with a secret of this process: anyone can construct keys whose placement hashes collide.
#[derive(Clone, Default)]
pub(crate) struct KeyHasher {
    state: foldhash::fast::RandomState,
    /// Bits that are cleared, so that a test can make keys collide.
    #[cfg(test)]
    pub(crate) cleared: u64,
}

impl KeyHasher {
    /// Hash of a key.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        #[cfg(test)]
        let hash = hash & !self.cleared;
        hash
    }
}
