//! Entries of the source, as they are brought in.

use std::sync::Arc;

use client::{Bytes, Metadata};
use store::{EntryMetadata, Imported, SHARED_FROM, Timestamp, Value, Version};

use crate::{
    clocks::ServerClock,
    source_clock::{Lives, Obtained},
};

/// An entry of the source.
#[derive(Clone, Debug)]
pub(crate) struct SourceEntry {
    value: Held,
    metadata: EntryMetadata,
}

/// A value, small enough to be copied or to be shared as it is.
#[derive(Clone, Debug)]
enum Held {
    Small(Bytes),
    Large(Arc<[u8]>),
}

impl SourceEntry {
    /// The entry as the source reports it, with its instants by our clock. The server whose clock this is
    /// returned it to a request of `asked`.
    #[must_use]
    pub(crate) fn new(
        value: Bytes,
        metadata: &Metadata,
        clock: &ServerClock,
        obtained: Obtained,
        asked: Timestamp,
        now: Timestamp,
    ) -> Self {
        let Lives { created, last_used, expiration } = clock.lives(metadata, obtained, asked, now);
        let version = Version(metadata.version);
        let value = match value.len() > SHARED_FROM {
            true => Held::Large(Arc::from(&value[..])),
            false => Held::Small(value),
        };
        Self { value, metadata: EntryMetadata { version, created, last_used, expiration } }
    }

    /// The entry as the store takes it in.
    #[must_use]
    pub(crate) fn imported(&self) -> Imported<'_> {
        let value = match &self.value {
            Held::Small(bytes) => Value::Inline(bytes),
            Held::Large(bytes) => Value::Shared(bytes),
        };
        Imported { value, metadata: self.metadata }
    }

    /// Its value.
    #[must_use]
    pub(crate) fn value(&self) -> &[u8] {
        match &self.value {
            Held::Small(bytes) => bytes,
            Held::Large(bytes) => bytes,
        }
    }

    /// Version, instants and expiration.
    #[must_use]
    pub(crate) fn metadata(&self) -> &EntryMetadata {
        &self.metadata
    }
}

#[cfg(test)]
mod tests {
    //! What an entry of the source is here.

    use store::Lifetime;

    use super::*;
    use crate::clocks::tests::synchronous;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn entry(value: Bytes, metadata: &Metadata) -> SourceEntry {
        SourceEntry::new(value, metadata, &synchronous(NOW), Obtained::ByKey, NOW, NOW)
    }

    #[test]
    fn an_entry_keeps_its_version_and_its_lifespan() {
        let lifespan = Some(client::Lifetime { since: 1_000_000, seconds: 600 });
        let metadata = Metadata { lifespan, max_idle: None, version: 9 };
        let entry = entry(Bytes::from_static(b"v"), &metadata);
        assert_eq!(entry.metadata().created, Some(NOW));
        assert_eq!(entry.metadata().expiration.lifespan, Some(Lifetime::from_secs(600)));
        assert_eq!(entry.metadata().version, Version(9));
    }

    #[test]
    fn a_large_value_is_shared() {
        let value = Bytes::from(vec![7; SHARED_FROM + 1]);
        let entry = entry(value, &Metadata::default());
        assert!(matches!(entry.imported().value, Value::Shared(_)));
        assert_eq!(entry.value().len(), SHARED_FROM + 1);
        assert!(entry.metadata().expiration.is_never());
    }
}
