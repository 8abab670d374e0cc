//! What every key must be.

use std::{fmt, sync::Arc, time::Duration};

use client::{
    ClientError, Duration as Lifespan, Entry, Item, Iterate, RemoteCache, RequestExpiration,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

/// Requests that are under way at a time.
const AT_ONCE: usize = 64;

/// Milliseconds that an instant may differ by.
const TOLERANCE: u64 = 1_000;

/// How long an entry lives that is to end before the migration does.
const SHORT: Duration = Duration::from_secs(2);

/// How long an entry lives that is to end long after it.
const LONG: Duration = Duration::from_secs(3_600);

/// How long an entry may idle that is to idle out long after it.
const LONG_IDLE: Duration = Duration::from_secs(1_800);

/// Every key, and what must be under it.
pub struct Account {
    keys: Vec<Mutex<Expected>>,
}

/// What must be under a key.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// What the source was filled with.
    Untouched { seed: u64, version: u64, created: Option<u64> },
    /// What a client has written since.
    Written { seed: u64, life: Life },
    /// Nothing: a client has removed it.
    Removed,
    /// A client's request failed, and whether it was carried out is not known.
    Unknown,
}

/// When an entry ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Immortal,
    Lifespan,
    MaxIdle,
    Both,
    /// It is over before the migration is.
    Short,
}

impl Life {
    fn of(key: usize) -> Self {
        match key % 20 {
            0..8 => Self::Immortal,
            8..12 => Self::Lifespan,
            12..15 => Self::MaxIdle,
            15..19 => Self::Both,
            _ => Self::Short,
        }
    }

    pub(super) fn expiration(self) -> RequestExpiration {
        let millis = |duration: Duration| {
            Lifespan::Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        };
        let (lifespan, max_idle) = match self {
            Self::Immortal => (Lifespan::Infinite, Lifespan::Infinite),
            Self::Lifespan => (millis(LONG), Lifespan::Infinite),
            Self::MaxIdle => (Lifespan::Infinite, millis(LONG_IDLE)),
            Self::Both => (millis(LONG), millis(LONG_IDLE)),
            Self::Short => (millis(SHORT), Lifespan::Infinite),
        };
        RequestExpiration { lifespan, max_idle }
    }

    /// Lifespan and max idle in seconds, as servers show them.
    fn seconds(self) -> (Option<u32>, Option<u32>) {
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).ok();
        match self {
            Self::Immortal => (None, None),
            Self::Lifespan => (seconds(LONG), None),
            Self::MaxIdle => (None, seconds(LONG_IDLE)),
            Self::Both => (seconds(LONG), seconds(LONG_IDLE)),
            Self::Short => (seconds(SHORT), None),
        }
    }
}

/// A key that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the key.
    pub key: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.what)
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys that were read.
    pub checked: u64,
    /// Keys under which the source's entry is, as it was.
    pub from_source: u64,
    /// Keys under which a client's entry is.
    pub from_clients: u64,
    /// Keys that clients have removed, and that are gone.
    pub removed: u64,
    /// Keys that clients have removed, and that are there.
    pub came_back: u64,
    /// Keys whose time is over, and that are gone.
    pub expired: u64,
    /// Keys that are not as they must be.
    pub differences: Vec<Difference>,
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
        let unknown = |_| Mutex::new(Expected::Unknown);
        let account = Self { keys: (0..entries).map(unknown).collect() };
        account.note(source).await?;
        Ok(Arc::new(account))
    }

    /// Notes versions and instants as the source shows them.
    async fn note(&self, source: &RemoteCache) -> Result<(), ClientError> {
        let iterate = Iterate { with_metadata: true, ..Iterate::default() };
        let mut iteration = source.iterate(iterate).await?;
        while let Some(item) = iteration.next().await? {
            let Item::Entry { key, metadata: Some(metadata), .. } = item else { continue };
            if let Some(expected) = number(&key).and_then(|key| self.keys.get(key)) {
                let created = metadata.lifespan.map(|lifespan| lifespan.since);
                let version = metadata.version;
                *expected.lock() = Expected::Untouched { seed: 0, version, created };
            }
        }
        iteration.end().await
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn expected(&self, key: usize) -> Expected {
        self.keys.get(key).map_or(Expected::Unknown, |expected| expected.lock().clone())
    }

    pub(super) fn expect(&self, key: usize, expected: Expected) {
        if let Some(slot) = self.keys.get(key) {
            *slot.lock() = expected;
        }
    }

    /// Reads every key and compares. Entries that are to be over by then must be.
    ///
    /// # Errors
    ///
    /// If a key cannot be read.
    pub async fn check(
        &self,
        cache: &RemoteCache,
        progress: impl Fn(u64),
    ) -> Result<Tally, ClientError> {
        let mut found = stream::iter(0..self.keys.len())
            .map(|key| async move { (key, cache.get_with_metadata(&name(key)).await) })
            .buffer_unordered(AT_ONCE);
        let mut tally = Tally::default();
        while let Some((key, entry)) = found.next().await {
            let entry = entry?;
            tally.checked += 1;
            progress(1);
            self.compare(key, entry.as_ref(), &mut tally);
        }
        tally.differences.sort_by_key(|difference| difference.key);
        Ok(tally)
    }

    fn compare(&self, key: usize, entry: Option<&Entry>, tally: &mut Tally) {
        let expected = self.expected(key);
        let wrong = match (&expected, entry) {
            (Expected::Unknown, _) => None,
            (Expected::Removed, None) => {
                tally.removed += 1;
                None
            }
            (Expected::Removed, Some(_)) => {
                tally.came_back += 1;
                Some("was removed, and is there".to_owned())
            }
            (Expected::Untouched { .. }, None) if Life::of(key) == Life::Short => {
                tally.expired += 1;
                None
            }
            (Expected::Written { life: Life::Short, .. }, None) => {
                tally.expired += 1;
                None
            }
            (Expected::Untouched { .. } | Expected::Written { .. }, None) => {
                Some("is missing".to_owned())
            }
            (Expected::Untouched { seed, version, created }, Some(entry)) => {
                tally.from_source += 1;
                untouched(key, *seed, *version, *created, entry)
            }
            (Expected::Written { seed, life }, Some(entry)) => {
                tally.from_clients += 1;
                written(key, *seed, *life, entry)
            }
        };
        tally.differences.extend(wrong.map(|what| Difference { key, what }));
    }
}

fn untouched(
    key: usize,
    seed: u64,
    version: u64,
    created: Option<u64>,
    entry: &Entry,
) -> Option<String> {
    let now = entry.metadata.lifespan.map(|lifespan| lifespan.since);
    let moved = created.zip(now).is_some_and(|(then, now)| then.abs_diff(now) > TOLERANCE);
    if entry.metadata.version != version {
        return Some(format!("has version {} instead of {version}", entry.metadata.version));
    }
    if moved || created.is_some() != now.is_some() {
        return Some(format!("was created at {now:?} instead of {created:?}"));
    }
    written(key, seed, Life::of(key), entry)
}

fn written(key: usize, seed: u64, life: Life, entry: &Entry) -> Option<String> {
    let seconds = |lifetime: Option<client::Lifetime>| lifetime.map(|lifetime| lifetime.seconds);
    let lives = (seconds(entry.metadata.lifespan), seconds(entry.metadata.max_idle));
    if lives != life.seconds() {
        return Some(format!("lives {lives:?} seconds instead of {:?}", life.seconds()));
    }
    (entry.value != value(key, seed)).then(|| {
        format!(
            "has another value, of {} bytes instead of {}",
            entry.value.len(),
            value(key, seed).len()
        )
    })
}

/// The bytes of a key: every fourth one is binary.
pub(super) fn name(key: usize) -> Vec<u8> {
    match key % 4 {
        0 => [&[0x00, 0xFF, 0x80, 0x0A], &(key as u64).to_be_bytes()[..]].concat(),
        _ => format!("key-{key}").into_bytes(),
    }
}

/// The key of these bytes.
fn number(name: &[u8]) -> Option<usize> {
    let number = match name.strip_prefix(&[0x00, 0xFF, 0x80, 0x0A]) {
        Some(number) => u64::from_be_bytes(number.try_into().ok()?),
        None => str::from_utf8(name).ok()?.strip_prefix("key-")?.parse().ok()?,
    };
    usize::try_from(number).ok()
}

/// The value under a key that is written for the `seed`th time: 95 % up to 1 KiB, 4 % up to 8 KiB, 1 % up
/// to 64 KiB, and some of them empty.
pub(super) fn value(key: usize, seed: u64) -> Vec<u8> {
    let mut random =
        (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0x2545_f491);
    random ^= random >> 29;
    random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    random ^= random >> 32;
    let most = match random % 100 {
        0..95 => 1_024,
        95..99 => 8_192,
        _ => 65_536,
    };
    let len = if random % 50 == 7 { 0 } else { (random >> 8) % most };
    let byte = |index: u64| random.rotate_left((index % 64) as u32).to_le_bytes()[0];
    (0..len).map(byte).collect()
}

#[cfg(test)]
mod tests {
    //! Keys and values can be told apart.

    use super::*;

    #[test]
    fn a_key_is_known_by_its_bytes() {
        for key in (0..1_000).chain([1_000_000]) {
            assert_eq!(number(&name(key)), Some(key));
        }
        assert_eq!(number(b"other"), None);
    }

    #[test]
    fn values_are_as_large_as_they_are_meant_to_be() {
        let sizes: Vec<usize> = (0..10_000).map(|key| value(key, 0).len()).collect();
        let share = |of: fn(&usize) -> bool| sizes.iter().filter(|size| of(size)).count();
        assert!((9_300..9_800).contains(&share(|size| *size < 1_024)));
        assert!((50..150).contains(&share(|size| *size >= 8_192)));
        assert!(share(|size| *size == 0) > 50);
        assert_ne!(value(1, 0), value(1, 1));
        assert_eq!(value(1, 5), value(1, 5));
    }
}
