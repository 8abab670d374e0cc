//! GET_WITH_METADATA (0x1B): reads the value and the entry metadata under a key.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::{metadata::Metadata, previous::Bytes};

/// Reads the entry under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetWithMetadata<'a> {
    /// The key.
    pub key: &'a [u8],
}

/// Entry metadata and value, if there is an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotWithMetadata<'b>(pub Option<(Metadata, Bytes<'b>)>);

impl<'a> Request<'a> for GetWithMetadata<'a> {
    type Response<'b> = GotWithMetadata<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
    }
}

impl<'b> Response<'b> for GotWithMetadata<'b> {
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
        let metadata = Metadata::decode(reader)?;
        Ok(Self(Some((metadata, Bytes::Slice(reader.array("value")?)))))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        if let Some((metadata, value)) = self.0 {
            metadata.encode(writer);
            value.encode_last(writer);
        }
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Outcome};

    use super::{GetWithMetadata, GotWithMetadata};
    use crate::serve::{Context, Run};

    impl<'a> Run<'a> for GetWithMetadata<'a> {
        fn command(&self, _: &Context<'_>) -> Command<'a> {
            Command::read(self.key)
        }
        fn response<'b>(outcome: Outcome<'b>, _: &Context<'_>) -> GotWithMetadata<'b> {
            match outcome {
                Outcome::Found(entry) => {
                    GotWithMetadata(Some((entry.metadata().into(), entry.value().into())))
                }
                _ => GotWithMetadata(None),
            }
        }
    }
}
