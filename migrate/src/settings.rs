//! How entries come over, for all caches of a member.

use std::{sync::Arc, time::Duration};

use media::Conversion;
use store::{Cache, CacheError};
use tokio::sync::Semaphore;

use crate::{sync::SyncSettings, throttle::Rates};

/// What a plain read answers while the source is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSourceError {
    /// An error.
    #[default]
    Fail,
    /// That there is no such entry.
    Absent,
}

/// How entries come over.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most time that a read waits for the source: less than the two seconds that clients wait.
    pub source_timeout: Duration,
    /// What a plain read answers while the source is silent.
    pub on_source_error: OnSourceError,
    /// How a job goes about it, unless it is told otherwise.
    pub sync: SyncSettings,
    /// How fast a job copies, at most.
    pub rates: Rates,
    /// Bytes that are on their way from sources to caches, of all jobs together.
    pub buffer: Arc<ByteBudget>,
    /// Most bytes of a key in a request: see `check_key`.
    pub max_key: usize,
    /// Servers that are this one: nobody connects a cache to itself.
    pub own_servers: Vec<client::ServerAddress>,
    /// What this process answers in [`PROCESS`]: an address may lead here without anybody knowing.
    pub process: String,
}

/// The HTTP header in which a process says which one it is, to a request that has it, too: a random number, the same
/// until it ends.
pub const PROCESS: &str = "godwit-process";

/// Checks that clients can name a key of a cache in requests with at most `max_key` bytes of key: an entry with a longer
/// one would be here and out of reach.
///
/// # Errors
///
/// If they cannot.
pub(crate) fn check_key(cache: &Cache, key: &[u8], max_key: usize) -> Result<(), CacheError> {
    if key.len() <= max_key {
        return Ok(());
    }
    let len = Conversion::shortest_request(cache.config().encoding.key.as_ref(), key);
    if len > max_key { Err(CacheError::KeyBeyondLimit { len, max: max_key }) } else { Ok(()) }
}

/// Bytes that all jobs of a member may hold between reading and applying them.
#[derive(Debug)]
pub struct ByteBudget {
    free: Semaphore,
    total: u32,
}

impl ByteBudget {
    /// At most `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        let total = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        Arc::new(Self { free: Semaphore::new(total as usize), total })
    }

    /// Waits until `bytes` may be held. One entry may be larger than all of the budget: it has all of it
    /// then.
    pub(crate) async fn hold(&self, bytes: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total);
        self.free.acquire_many(bytes).await.ok()
    }

    /// Holds `bytes` if they are free.
    pub(crate) fn try_hold(&self, bytes: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total);
        self.free.try_acquire_many(bytes).ok()
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        u64::from(self.total).saturating_sub(self.free.available_permits() as u64)
    }
}

#[cfg(test)]
mod tests {
    //! Which keys clients can name.

    use config::{CacheConfig, CacheMode};
    use media::MediaType;
    use store::{MemoryLimit, Timestamp, VersionKey};

    use super::*;

    #[test]
    fn a_key_is_too_long_if_no_request_can_name_it() {
        let cache = |media_type| {
            let mut config = CacheConfig::new(CacheMode::Local);
            config.encoding.key = media_type;
            let (versions, memory) = (VersionKey::new(7), MemoryLimit::unlimited());
            let (name, now) = ("orders".parse().unwrap(), Timestamp::default());
            Cache::new(name, Arc::new(config), versions, memory, now)
        };
        let bytes = cache(None);
        assert_eq!(check_key(&bytes, b"key12", 5), Ok(()));
        let error = check_key(&bytes, b"key123", 5).unwrap_err();
        assert_eq!(error, CacheError::KeyBeyondLimit { len: 6, max: 5 });
        assert!(error.to_string().ends_with("raise limits.max-key"));
        // What is stored has an envelope of two bytes.
        let wrapped = cache(Some(MediaType::PROTOSTREAM));
        assert_eq!(check_key(&wrapped, b"\x4a\x05key12", 5), Ok(()));
        let error = check_key(&wrapped, b"\x4a\x06key123", 5).unwrap_err();
        assert_eq!(error, CacheError::KeyBeyondLimit { len: 6, max: 5 });
    }
}
