//! The fields that PUT, PUT_IF_ABSENT and REPLACE share.

use super::{DecodeError, ProtocolVersion, Reader, RequestHeader, Writer};
use crate::expiration::RequestExpiration;

/// An entry to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Lifespan and max idle of the entry.
    pub expiration: RequestExpiration,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> NewEntry<'a> {
    pub(super) fn decode(
        header: &RequestHeader<'a>,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let key = reader.key()?;
        let expiration = RequestExpiration::decode(header, reader)?;
        Ok(Self { key, expiration, value: reader.array("value")? })
    }

    pub(super) fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
        self.expiration.encode(version, writer);
        writer.array(self.value);
    }
}
