//! AUTH (0x23): one step of a login.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// A step of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Name of the SASL mechanism, the same in every step.
    pub mechanism: &'a str,
    /// What the mechanism has the client say.
    pub response: &'a [u8],
}

/// A step of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'b> {
    /// Whether the login is complete. A real server says no with the last data of a mechanism, and the
    /// client knows by itself that it was the last.
    pub complete: bool,
    /// What the mechanism has the server say.
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
