//! Responses that may carry the previous entry.

use crate::{
    error::DecodeError, metadata::Metadata, op::Response, reader::Reader, status::Status,
    version::ProtocolVersion, writer::Writer,
};

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed<'b> {
    /// It was made.
    Done,
    /// It was made; the previous entry follows, if there was one.
    DoneAfter(Option<Previous<'b>>),
    /// The condition did not hold.
    Refused,
    /// The condition did not hold; the present entry follows, if there is one.
    RefusedBy(Option<Previous<'b>>),
    /// There is no entry.
    Missing,
}

/// The previous or present entry in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous<'b> {
    /// On the wire from 4.0 on.
    pub metadata: Option<Metadata>,
    /// Its value.
    pub value: Bytes<'b>,
}

/// Bytes of a value, borrowed from a message or shared with the store.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'b> {
    /// Borrowed from a buffer.
    Slice(&'b [u8]),
    /// Shared with the store; copied when the message is complete, without holding its lock.
    Shared(&'b std::sync::Arc<[u8]>),
}

impl<'b> Bytes<'b> {
    /// Returns the bytes.
    #[must_use]
    pub fn get(self) -> &'b [u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Encodes the length and the bytes as the last field of a message.
    #[inline]
    pub(crate) fn encode_last(self, writer: &mut Writer) {
        match self {
            Self::Slice(bytes) => writer.array(bytes),
            Self::Shared(bytes) => writer.last_array(bytes),
        }
    }
}

impl PartialEq for Bytes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Bytes<'_> {}

#[cfg(feature = "serve")]
impl<'b> From<store::Value<'b>> for Bytes<'b> {
    fn from(value: store::Value<'b>) -> Self {
        match value {
            store::Value::Inline(bytes) => Self::Slice(bytes),
            store::Value::Shared(bytes) => Self::Shared(bytes),
        }
    }
}

impl<'b> Response<'b> for Changed<'b> {
    fn status(&self) -> Status {
        match self {
            Self::Done => Status::Success,
            Self::DoneAfter(_) => Status::SuccessWithPrevious,
            Self::Refused => Status::NotExecuted,
            Self::RefusedBy(_) => Status::NotExecutedWithPrevious,
            Self::Missing => Status::KeyDoesNotExist,
        }
    }

    fn decode(
        status: Status,
        version: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        Ok(match status {
            Status::SuccessWithPrevious => Self::DoneAfter(decode_previous(version, reader)?),
            Status::NotExecutedWithPrevious => Self::RefusedBy(decode_previous(version, reader)?),
            Status::NotExecuted => Self::Refused,
            Status::KeyDoesNotExist => Self::Missing,
            _ => Self::Done,
        })
    }

    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        let (Self::DoneAfter(previous) | Self::RefusedBy(previous)) = self else { return };
        let metadata = previous.and_then(|previous| previous.metadata);
        if version >= ProtocolVersion::V4_0 {
            metadata.unwrap_or(Metadata::NONE).encode(writer);
        }
        let value = previous.map_or(Bytes::Slice(&[]), |previous| previous.value);
        value.encode_last(writer);
    }
}

fn decode_previous<'b>(
    version: ProtocolVersion,
    reader: &mut Reader<'b>,
) -> Result<Option<Previous<'b>>, DecodeError> {
    let metadata = match version >= ProtocolVersion::V4_0 {
        true => Some(Metadata::decode(reader)?),
        false => None,
    };
    let value = reader.array("previous value")?;
    // Before 4.0, an empty value and a missing one look the same.
    let none = metadata.map_or(value.is_empty(), |metadata| metadata == Metadata::NONE);
    Ok((!none).then_some(Previous { metadata, value: Bytes::Slice(value) }))
}
