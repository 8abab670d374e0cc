//! BULK_GET_KEYS (0x1D): reads the keys of a cache in one message. Old clients use it where newer
//! ones iterate.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Reads all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkGetKeys {
    /// Scope: 0 default, 1 all servers, 2 this server. Servers have ignored it for a long time.
    pub scope: u32,
}

/// The keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkGotKeys<'b>(pub Vec<&'b [u8]>);

impl Request<'_> for BulkGetKeys {
    type Response<'b> = BulkGotKeys<'b>;

    fn decode(_: &RequestHeader<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { scope: reader.vint("scope")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vint(self.scope);
    }
}

impl<'b> Response<'b> for BulkGotKeys<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        let mut keys = Vec::new();
        while reader.bool()? {
            keys.push(reader.array("key")?);
        }
        Ok(Self(keys))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        for key in &self.0 {
            writer.bool(true);
            writer.array(key);
        }
        writer.bool(false);
    }
}
