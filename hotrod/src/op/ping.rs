//! PING (0x17): asks whether a cache exists, in which media types it stores entries, and what the
//! server speaks.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::media_type::MediaTypeRef;

/// Most operations that a response may list.
const MOST: u32 = 1_024;

/// Asks about the cache that the header names, or about none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping;

/// What the server reports of itself and the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pong<'b> {
    /// Media type of stored keys. On the wire from 2.9 on.
    pub key_type: MediaTypeRef<'b>,
    /// Media type of stored values. On the wire from 2.9 on.
    pub value_type: MediaTypeRef<'b>,
    /// Newest protocol version that the server speaks. On the wire from 3.0 on.
    pub newest: Option<ProtocolVersion>,
    /// Opcodes of the requests that the server implements. On the wire from 3.0 on.
    pub operations: Vec<u16>,
}

impl Request<'_> for Ping {
    type Response<'b> = Pong<'b>;

    fn decode(_: &RequestHeader<'_>, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

impl<'b> Response<'b> for Pong<'b> {
    fn status(&self) -> Status {
        Status::Success
    }

    fn decode(
        _: Status,
        version: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        let mut pong = Self::default();
        if version >= ProtocolVersion::V2_9 {
            pong.key_type = MediaTypeRef::decode(reader)?;
            pong.value_type = MediaTypeRef::decode(reader)?;
        }
        if version >= ProtocolVersion::V3_0 {
            const FIELD: &str = "number of operations";
            pong.newest = Some(ProtocolVersion::from_byte(reader.byte()?)?);
            let count = reader.vint(FIELD)?;
            if count > MOST {
                return Err(DecodeError::Illegal { field: FIELD, value: count.into() });
            }
            pong.operations = (0..count).map(|_| reader.short()).collect::<Result<_, _>>()?;
        }
        Ok(pong)
    }

    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        if version >= ProtocolVersion::V2_9 {
            self.key_type.encode(writer);
            self.value_type.encode(writer);
        }
        if version >= ProtocolVersion::V3_0 {
            writer.byte(self.newest.unwrap_or(ProtocolVersion::V4_1).byte());
            writer.vlong(self.operations.len() as u64);
            self.operations.iter().for_each(|opcode| writer.short(*opcode));
        }
    }
}
