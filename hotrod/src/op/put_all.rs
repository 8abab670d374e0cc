//! PUT_ALL (0x2D): writes many entries with one expiration.

use super::{DecodeError, Empty, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::{expiration::RequestExpiration, reader::Arrays};

/// Writes many entries unconditionally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAll<'a> {
    /// Lifespan and max idle of every entry.
    pub expiration: RequestExpiration,
    /// Keys, each followed by its value.
    pub entries: Arrays<'a>,
}

impl<'a> Request<'a> for PutAll<'a> {
    type Response<'b> = Empty;

    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let expiration = RequestExpiration::decode(header, reader)?;
        let count = reader.vint("number of entries")?;
        Ok(Self { expiration, entries: reader.arrays(count, &["key", "value"])? })
    }
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        self.expiration.encode(version, writer);
        writer.vlong(self.entries.left() / 2);
        self.entries.clone().for_each(|array| writer.array(array));
    }
}
