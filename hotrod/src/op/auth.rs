//! AUTH (0x23): one step of a login.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// The client's message in one step of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Name of the SASL mechanism, the same in every step.
    pub mechanism: &'a str,
    /// The client's SASL message.
    pub response: &'a [u8],
}

/// The server's message in one step of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'b> {
    /// Whether the login is complete. A real server sends `false` even with the last message of a
    /// mechanism; the client recognizes the last step by itself.
    pub complete: bool,
    /// The server's SASL message.
    pub challenge: &'b [u8],
}

impl<'a> Request<'a> for Auth<'a> {
    type Response<'b> = Challenge<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { mechanism: reader.text("mechanism")?, response: reader.array("SASL response")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.text(self.mechanism);
        writer.array(self.response);
    }
}

impl<'b> Response<'b> for Challenge<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        Ok(Self { complete: reader.bool()?, challenge: reader.array("SASL challenge")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.bool(self.complete);
        writer.array(self.challenge);
    }
}
