//! Entry metadata in responses.

use crate::{error::DecodeError, reader::Reader, writer::Writer};

/// Entry metadata as Hot Rod encodes it. A lifetime is absent where the entry has no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// When it was written, and its lifespan.
    pub lifespan: Option<Lifetime>,
    /// When it was last used, and its max idle.
    pub max_idle: Option<Lifetime>,
    /// For compare-and-set.
    pub version: u64,
}

/// Start and length of a lifespan or a max idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Start, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Length in whole seconds, rounded down.
    pub seconds: u32,
}

const INFINITE_LIFESPAN: u8 = 0x01;
const INFINITE_MAX_IDLE: u8 = 0x02;

impl Metadata {
    /// Stands for "no previous entry": its version is -1.
    pub const NONE: Self = Self { lifespan: None, max_idle: None, version: u64::MAX };

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        let mut lifetime = |infinite, field| -> Result<Option<Lifetime>, DecodeError> {
            if flags & infinite != 0 {
                return Ok(None);
            }
            Ok(Some(Lifetime { since: reader.long()?, seconds: reader.vint(field)? }))
        };
        let lifespan = lifetime(INFINITE_LIFESPAN, "lifespan")?;
        let max_idle = lifetime(INFINITE_MAX_IDLE, "max idle")?;
        Ok(Self { lifespan, max_idle, version: reader.long()? })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        let mut flags = 0;
        if self.lifespan.is_none() {
            flags |= INFINITE_LIFESPAN;
        }
        if self.max_idle.is_none() {
            flags |= INFINITE_MAX_IDLE;
        }
        writer.byte(flags);
        for lifetime in [self.lifespan, self.max_idle].into_iter().flatten() {
            writer.long(lifetime.since);
            writer.vint(lifetime.seconds);
        }
        writer.long(self.version);
    }
}

#[cfg(feature = "serve")]
impl From<store::EntryMetadata> for Metadata {
    fn from(metadata: store::EntryMetadata) -> Self {
        let lifetime = |since: Option<store::Timestamp>, by: Option<store::Lifetime>| {
            let (since, by) = since.zip(by)?;
            let seconds = u32::try_from(by.whole_secs()).unwrap_or(u32::MAX);
            Some(Lifetime { since: since.millis(), seconds })
        };
        Self {
            lifespan: lifetime(metadata.created, metadata.expiration.lifespan),
            max_idle: lifetime(metadata.last_used, metadata.expiration.max_idle),
            version: metadata.version.0,
        }
    }
}
