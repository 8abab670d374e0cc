//! CONTAINS_KEY (0x0F): tells whether there is an entry under a key.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Asks whether there is an entry under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainsKey<'a> {
    /// The key.
    pub key: &'a [u8],
}

/// Whether there is an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contains(pub bool);

impl<'a> Request<'a> for ContainsKey<'a> {
    type Response<'b> = Contains;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
    }
}

impl Response<'_> for Contains {
    fn status(&self) -> Status {
        if self.0 { Status::Success } else { Status::KeyDoesNotExist }
    }
    fn decode(status: Status, _: ProtocolVersion, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(status == Status::Success))
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Outcome};

    use super::{Contains, ContainsKey};
    use crate::serve::{Context, Run};

    impl<'a> Run<'a> for ContainsKey<'a> {
        fn command(&self, _: &Context<'_>) -> Command<'a> {
            Command::read(self.key)
        }
        fn response(outcome: Outcome<'_>, _: &Context<'_>) -> Contains {
            Contains(matches!(outcome, Outcome::Found(_)))
        }
    }
}
