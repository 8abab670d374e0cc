//! GET (0x03): reads the value under a key.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::previous::Bytes;

/// Reads the value under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// The key.
    pub key: &'a [u8],
}

/// The value, if there is an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got<'b>(pub Option<Bytes<'b>>);

impl<'a> Request<'a> for Get<'a> {
    type Response<'b> = Got<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
    }
}

impl<'b> Response<'b> for Got<'b> {
    fn status(&self) -> Status {
        if self.0.is_some() { Status::Success } else { Status::KeyDoesNotExist }
    }
    fn decode(
        status: Status,
        _: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        Ok(Self(match status {
            Status::KeyDoesNotExist => None,
            _ => Some(Bytes::Slice(reader.array("value")?)),
        }))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        if let Some(value) = self.0 {
            value.encode_last(writer);
        }
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Outcome};

    use super::{Get, Got};
    use crate::serve::{Context, Run};

    impl<'a> Run<'a> for Get<'a> {
        fn command(&self, _: &Context<'_>) -> Command<'a> {
            Command::read(self.key)
        }
        fn response<'b>(outcome: Outcome<'b>, _: &Context<'_>) -> Got<'b> {
            match outcome {
                Outcome::Found(entry) => Got(Some(entry.value().into())),
                _ => Got(None),
            }
        }
    }
}
