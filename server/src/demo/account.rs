//! What every key must be.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use client::{ClientError, Item, Iterate, Metadata, RemoteCache};
use cluster::Clock;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::{
    compare::{self, Asked},
    data::{name, number, value},
    life::Life,
    tally::{Difference, Tally},
};

/// Requests that are under way at a time.
const AT_ONCE: usize = 64;

/// Every key, and what must be under it.
pub struct Account {
    keys: Vec<Mutex<Expected>>,
    removed: AtomicUsize,
    clock: Clock,
}

/// What must be under a key.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// What the source was filled with.
    Untouched(Noted),
    /// What a client has written since.
    Written(Written),
    /// Nothing: a client has removed it.
    Removed,
    /// Nothing: its time was over before it was noted.
    Over,
    /// A client's request failed, and whether it was carried out is not known.
    Unknown,
}

/// An entry of the source, as the source shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) version: u64,
    pub(super) created: Option<u64>,
    pub(super) last_used: Option<u64>,
    /// Whether somebody has read it here since.
    pub(super) read: bool,
}

/// An entry of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) seed: u64,
    pub(super) life: Life,
    /// When the request left, and when its answer was there.
    pub(super) between: (u64, u64),
}

impl Account {
    /// Fills a cache with so many entries, and notes how it keeps them.
    ///
    /// # Errors
    ///
    /// If the cache does not take them.
    pub async fn fill(
        source: &RemoteCache,
        entries: usize,
        progress: impl Fn(u64),
    ) -> Result<Arc<Self>, ClientError> {
        stream::iter(0..entries)
            .map(|key| async move {
                let value = value(key, 0);
                source.put(&name(key), &value, Life::of(key).expiration()).await.map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| {
                progress(1);
                async { Ok(()) }
            })
            .await?;
        let before = |key| match Life::of(key) {
            Life::Short => Mutex::new(Expected::Over),
            _ => Mutex::new(Expected::Unknown),
        };
        let account = Self {
            keys: (0..entries).map(before).collect(),
            removed: AtomicUsize::new(0),
            clock: Clock::start(),
        };
        account.note(source).await?;
        Ok(Arc::new(account))
    }

    /// Notes versions and instants as the source shows them.
    async fn note(&self, source: &RemoteCache) -> Result<(), ClientError> {
        self.walk(source, |key, metadata| {
            self.expect(
                key,
                Expected::Untouched(Noted {
                    version: metadata.version,
                    created: metadata.lifespan.map(|lifespan| lifespan.since),
                    last_used: metadata.max_idle.map(|max_idle| max_idle.since),
                    read: false,
                }),
            );
        })
        .await
    }

    /// Shows every key of the account that is in the cache. Nothing is used by that.
    async fn walk(
        &self,
        cache: &RemoteCache,
        mut visit: impl FnMut(usize, Metadata),
    ) -> Result<(), ClientError> {
        let iterate = Iterate { with_metadata: true, ..Iterate::default() };
        let mut iteration = cache.iterate(iterate).await?;
        while let Some(item) = iteration.next().await? {
            let Item::Entry { key, metadata: Some(metadata), .. } = item else { continue };
            if let Some(key) = number(&key).filter(|key| *key < self.len()) {
                visit(key, metadata);
            }
        }
        iteration.end().await
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that clients have removed, and not written since.
    #[must_use]
    pub fn removed(&self) -> usize {
        self.removed.load(Ordering::Relaxed)
    }

    pub(super) fn expected(&self, key: usize) -> Expected {
        self.keys.get(key).map_or(Expected::Unknown, |expected| expected.lock().clone())
    }

    pub(super) fn expect(&self, key: usize, expected: Expected) {
        let Some(slot) = self.keys.get(key) else { return };
        let is_removed = matches!(expected, Expected::Removed);
        let before = std::mem::replace(&mut *slot.lock(), expected);
        match (matches!(before, Expected::Removed), is_removed) {
            (false, true) => self.removed.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.removed.fetch_sub(1, Ordering::Relaxed),
            (false, false) | (true, true) => 0,
        };
    }

    /// Notes that the entry under a key may have been used.
    pub(super) fn is_read(&self, key: usize) {
        if let Some(slot) = self.keys.get(key)
            && let Expected::Untouched(noted) = &mut *slot.lock()
        {
            noted.read = true;
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    /// Reads every key and compares.
    ///
    /// # Errors
    ///
    /// If a key cannot be read.
    pub async fn check(
        &self,
        cache: &RemoteCache,
        progress: impl Fn(u64),
    ) -> Result<Tally, ClientError> {
        self.check_every(1, cache, progress).await
    }

    /// Reads every `nth` key and compares.
    ///
    /// # Errors
    ///
    /// If a key cannot be read.
    pub async fn check_every(
        &self,
        nth: usize,
        cache: &RemoteCache,
        progress: impl Fn(u64),
    ) -> Result<Tally, ClientError> {
        let mut found = stream::iter((0..self.keys.len()).step_by(nth.max(1)))
            .map(|key| async move {
                let begin = self.now();
                let entry = cache.get_with_metadata(&name(key)).await;
                (key, entry, Asked { begin, end: self.now() })
            })
            .buffer_unordered(AT_ONCE);
        let mut tally = Tally::default();
        while let Some((key, entry, asked)) = found.next().await {
            let entry = entry?;
            self.is_read(key);
            compare::compare(key, &self.expected(key), entry.as_ref(), asked, &mut tally);
            progress(1);
        }
        tally.differences.sort_by_key(|difference| difference.key);
        Ok(tally)
    }

    /// Looks whether entries that may idle out were last used when the source says, or when somebody
    /// has read them here. Nothing is used by that.
    ///
    /// # Errors
    ///
    /// If the cache cannot be walked through.
    pub async fn check_last_uses(&self, cache: &RemoteCache) -> Result<Tally, ClientError> {
        let mut tally = Tally::default();
        self.walk(cache, |key, metadata| {
            let Expected::Untouched(noted) = self.expected(key) else { return };
            tally.checked += 1;
            let wrong = compare::last_use(&noted, &metadata);
            tally.differences.extend(wrong.map(|what| Difference { key, what }));
        })
        .await?;
        Ok(tally)
    }
}
