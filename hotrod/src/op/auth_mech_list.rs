//! AUTH_MECH_LIST (0x21): lists the mechanisms for logging in.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Most mechanisms that a response may list.
const MOST: u32 = 64;

/// Asks for the SASL mechanisms of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMechList;

/// Names of mechanisms, in the server's order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms<'b>(pub Vec<&'b str>);

impl Request<'_> for AuthMechList {
    type Response<'b> = Mechanisms<'b>;

    fn decode(_: &RequestHeader<'_>, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

impl<'b> Response<'b> for Mechanisms<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        const FIELD: &str = "number of mechanisms";
        let count = reader.vint(FIELD)?;
        if count > MOST {
            return Err(DecodeError::Illegal { field: FIELD, value: count.into() });
        }
        (0..count).map(|_| reader.text("mechanism")).collect::<Result<_, _>>().map(Self)
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vlong(self.0.len() as u64);
        self.0.iter().for_each(|name| writer.text(name));
    }
}
