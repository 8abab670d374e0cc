//! GET_WITH_VERSION (0x11): reads the value and the version under a key.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::previous::Bytes;

/// Reads the value and the version under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetWithVersion<'a> {
    /// The key.
    pub key: &'a [u8],
}

/// Version and value, if there is an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotWithVersion<'b>(pub Option<(u64, Bytes<'b>)>);

impl<'a> Request<'a> for GetWithVersion<'a> {
    type Response<'b> = GotWithVersion<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
    }
}

impl<'b> Response<'b> for GotWithVersion<'b> {
    fn status(&self) -> Status {
        if self.0.is_some() { Status::Success } else { Status::KeyDoesNotExist }
    }
    fn decode(
        status: Status,
        _: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        if status == Status::KeyDoesNotExist {
            return Ok(Self(None));
        }
        let version = reader.long()?;
        Ok(Self(Some((version, Bytes::Slice(reader.array("value")?)))))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        if let Some((version, value)) = self.0 {
            writer.long(version);
            value.encode_last(writer);
        }
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Outcome};

    use super::{GetWithVersion, GotWithVersion};
    use crate::serve::{Context, Run};

    impl<'a> Run<'a> for GetWithVersion<'a> {
        fn command(&self, _: &Context<'_>) -> Command<'a> {
            Command::read(self.key)
        }
        fn response<'b>(outcome: Outcome<'b>, _: &Context<'_>) -> GotWithVersion<'b> {
            match outcome {
                Outcome::Found(entry) => {
                    GotWithVersion(Some((entry.version().0, entry.value().into())))
                }
                _ => GotWithVersion(None),
            }
        }
    }
}
