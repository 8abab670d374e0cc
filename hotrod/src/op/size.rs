//! SIZE (0x29): counts the entries.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Asks for the number of entries of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size;

/// The number of entries. Clients decode it as 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl Request<'_> for Size {
    type Response<'b> = Count;

    fn decode(_: &RequestHeader<'_>, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

impl Response<'_> for Count {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.vlong("number of entries")?))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vlong(self.0);
    }
}
