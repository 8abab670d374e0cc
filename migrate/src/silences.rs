//! What the source did not say to one request while others of its connection waited for their turn.
//!
//! Requests of one connection about one key are carried out one after the other. If each of them asked a source
//! that says nothing, the last one would wait for the sum of all. So a request that was already waiting when the
//! source had said nothing about a key does not ask again: it has waited for that silence too. A request that
//! comes later asks anew, so a source that is back is heard at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;
use store::{Cache, ConnectionId};
use tokio::time::Instant;

/// Most silences that are remembered. Beyond them the source is asked again.
const MOST: usize = 1_024;

/// What the source did not say to requests of one connection.
#[derive(Debug, Default)]
pub struct Silences {
    heard: Mutex<HashMap<u64, Silence>>,
    /// Names what was asked for. Two keys of the same name would be one in 2^64.
    hasher: RandomState,
}

/// One question to which the source said nothing.
#[derive(Clone, Copy, Debug)]
struct Silence {
    connection: ConnectionId,
    /// When it was given up.
    ended: Instant,
}

/// What a request that waits for its turn knows of those before it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// When the request began to wait.
    since: Instant,
    silences: Arc<Silences>,
}

impl Silences {
    /// Forgets everything: nobody waits any more.
    pub fn clear(&self) {
        let mut heard = self.heard.lock();
        if !heard.is_empty() {
            *heard = HashMap::new();
        }
    }

    fn name(&self, cache: &Cache, key: Option<&[u8]>) -> u64 {
        self.hasher.hash_one((std::ptr::from_ref(cache).addr(), key))
    }
}

impl Turn {
    /// Begins to wait now, behind requests that note what they hear.
    #[must_use]
    pub fn begin(silences: &Arc<Silences>) -> Self {
        Self { since: Instant::now(), silences: Arc::clone(silences) }
    }

    /// Returns whether the source was asked for a key over this connection, or for its size if there is no key,
    /// and said nothing while this request waited.
    #[must_use]
    pub fn heard_nothing(
        &self,
        cache: &Cache,
        key: Option<&[u8]>,
        connection: ConnectionId,
    ) -> bool {
        let heard = self.silences.heard.lock();
        !heard.is_empty()
            && heard.get(&self.silences.name(cache, key)).is_some_and(|silence| {
                silence.connection == connection && silence.ended >= self.since
            })
    }

    /// Notes that the source was asked and said nothing.
    pub fn note(&self, cache: &Cache, key: Option<&[u8]>, connection: ConnectionId) {
        let mut heard = self.silences.heard.lock();
        if heard.len() >= MOST {
            heard.clear();
        }
        let silence = Silence { connection, ended: Instant::now() };
        heard.insert(self.silences.name(cache, key), silence);
    }
}

#[cfg(test)]
mod tests {
    //! Who has waited for a silence, and who has not.

    use std::time::Duration;

    use config::{CacheConfig, CacheMode};
    use store::{MemoryLimit, Timestamp, VersionKey};

    use super::*;

    const ONE: ConnectionId = ConnectionId(1);

    fn cache(name: &str) -> Arc<Cache> {
        let config = Arc::new(CacheConfig::new(CacheMode::Local));
        let memory = MemoryLimit::unlimited();
        let now = Timestamp::from_millis(1);
        Arc::new(Cache::new(name.parse().unwrap(), config, VersionKey::new(1), memory, now))
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_who_were_waiting_have_waited_for_a_silence() {
        let (cache, silences) = (cache("c"), Arc::default());
        let (first, waiting) = (Turn::begin(&silences), Turn::begin(&silences));
        assert!(!waiting.heard_nothing(&cache, Some(b"k"), ONE));
        tokio::time::advance(Duration::from_secs(1)).await;
        first.note(&cache, Some(b"k"), ONE);
        assert!(waiting.heard_nothing(&cache, Some(b"k"), ONE));
        tokio::time::advance(Duration::from_millis(1)).await;
        let later = Turn::begin(&silences);
        assert!(!later.heard_nothing(&cache, Some(b"k"), ONE), "the source may be back");
        assert!(waiting.heard_nothing(&cache, Some(b"k"), ONE));
        silences.clear();
        assert!(!waiting.heard_nothing(&cache, Some(b"k"), ONE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_about_one_key_of_one_cache_over_one_connection() {
        let (cache, other) = (cache("c"), cache("d"));
        let silences = Arc::default();
        let turn = Turn::begin(&silences);
        turn.note(&cache, Some(b"k"), ONE);
        assert!(!turn.heard_nothing(&cache, Some(b"l"), ONE));
        assert!(!turn.heard_nothing(&cache, None, ONE), "its size was not asked for");
        assert!(!turn.heard_nothing(&other, Some(b"k"), ONE));
        assert!(!turn.heard_nothing(&cache, Some(b"k"), ConnectionId(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn silences_take_no_more_memory_than_they_may() {
        let (cache, silences) = (cache("c"), Arc::default());
        let turn = Turn::begin(&silences);
        for key in 0..10 * MOST as u64 {
            turn.note(&cache, Some(&key.to_be_bytes()), ONE);
            assert!(silences.heard.lock().len() <= MOST);
            assert!(turn.heard_nothing(&cache, Some(&key.to_be_bytes()), ONE));
        }
    }
}
