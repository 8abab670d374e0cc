//! CLEAR (0x13): removes every entry.

use super::{DecodeError, Empty, ProtocolVersion, Reader, Request, RequestHeader, Writer};

/// Removes every entry of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clear;

impl Request<'_> for Clear {
    type Response<'b> = Empty;

    fn decode(_: &RequestHeader<'_>, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}
