//! GET_ALL (0x2F): reads the values under many keys.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::reader::Arrays;

/// Reads the values under many keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetAll<'a> {
    /// The keys.
    pub keys: Arrays<'a>,
}

/// The keys that have an entry, each followed by its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotAll<'b>(pub Arrays<'b>);

impl<'a> Request<'a> for GetAll<'a> {
    type Response<'b> = GotAll<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.vint("number of keys")?;
        Ok(Self { keys: reader.arrays(count, &["key"])? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vlong(self.keys.left());
        self.keys.clone().for_each(|key| writer.array(key));
    }
}

impl<'b> Response<'b> for GotAll<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        let count = reader.vint("number of entries")?;
        Ok(Self(reader.arrays(count, &["key", "value"])?))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vlong(self.0.left() / 2);
        self.0.clone().for_each(|array| writer.array(array));
    }
}
