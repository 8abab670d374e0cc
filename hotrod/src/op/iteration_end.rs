//! ITERATION_END (0x35): ends an iteration.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Ends an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationEnd<'a> {
    /// Id of the iteration, given by the server.
    pub id: &'a str,
}

/// Whether there was such an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IterationEnded(pub bool);

impl<'a> Request<'a> for IterationEnd<'a> {
    type Response<'b> = IterationEnded;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { id: reader.text("iteration")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.text(self.id);
    }
}

impl Response<'_> for IterationEnded {
    fn status(&self) -> Status {
        if self.0 { Status::Success } else { Status::InvalidIteration }
    }
    fn decode(status: Status, _: ProtocolVersion, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(status == Status::Success))
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}
