//! The hash of a key in the table of its segment.

use std::hash::{BuildHasher, Hasher};

use foldhash::{SharedSeed, fast::SeedableRandomState};

/// Hashes keys with a secret of this process: anyone can construct keys whose placement hashes collide.
#[derive(Clone, Default)]
pub(crate) struct KeyHasher {
    state: SeedableRandomState,
    /// Bits that are cleared, so that a test can make keys collide.
    #[cfg(test)]
    pub(crate) cleared: u64,
}

impl KeyHasher {
    /// Hashes alike in every process: for tests that have to be repeated exactly.
    pub(crate) fn seeded(seed: u64) -> Self {
        static SHARED: SharedSeed = SharedSeed::from_u64(0);
        Self {
            state: SeedableRandomState::with_seed(seed, &SHARED),
            #[cfg(test)]
            cleared: 0,
        }
    }

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
