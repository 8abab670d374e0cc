//! BULK_GET (0x19): reads the entries of a cache in one message. Old clients use it where newer
//! ones iterate.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Reads up to `most` entries; 0 means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkGet {
    /// Most entries in the response; 0 means all.
    pub most: u32,
}

/// Keys with their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkGot<'b>(pub Vec<(&'b [u8], &'b [u8])>);

impl Request<'_> for BulkGet {
    type Response<'b> = BulkGot<'b>;

    fn decode(_: &RequestHeader<'_>, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { most: reader.vint("number of entries")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vint(self.most);
    }
}

impl<'b> Response<'b> for BulkGot<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        let mut entries = Vec::new();
        while reader.bool()? {
            entries.push((reader.array("key")?, reader.array("value")?));
        }
        Ok(Self(entries))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        for (key, value) in &self.0 {
            writer.bool(true);
            writer.array(key);
            writer.array(value);
        }
        writer.bool(false);
    }
}
