//! ITERATION_START (0x31): starts an iteration over entries.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::segments::SegmentSet;

/// The converter that omits values: every Java client since 9.2 uses it for `keySet()`.
pub const KEYS_ONLY: &str =
    "org.infinispan.server.hotrod.HotRodServer$ToEmptyBytesKeyValueFilterConverter";

/// Starts an iteration over the entries of some segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationStart<'a> {
    /// Segments to iterate over, by the server's numbering; `None` means all.
    pub segments: Option<SegmentSet>,
    /// Name of a filter or converter on the server.
    pub converter: Option<&'a str>,
    /// Arguments of the converter.
    pub parameters: Vec<&'a [u8]>,
    /// Most entries in one response.
    pub batch: u32,
    /// Whether entries come with their metadata. On the wire from 2.4 on.
    pub with_metadata: bool,
}

/// The iteration has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationStarted<'b> {
    /// Id of the iteration, given by the server.
    pub id: &'b str,
}

impl<'a> Request<'a> for IterationStart<'a> {
    type Response<'b> = IterationStarted<'b>;

    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let segments = reader.optional_segments("segments")?;
        let converter = reader.optional_text("converter")?;
        let mut parameters = Vec::new();
        if converter.is_some() && header.version >= ProtocolVersion::V2_4 {
            let count = reader.byte()?;
            for _ in 0..count {
                parameters.push(reader.array("parameter of the converter")?);
            }
        }
        let batch = reader.vint("batch size")?;
        let with_metadata = header.version >= ProtocolVersion::V2_4 && reader.bool()?;
        Ok(Self { segments, converter, parameters, batch, with_metadata })
    }

    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        writer.optional_array(self.segments.as_ref().map(SegmentSet::as_bytes));
        writer.optional_array(self.converter.map(str::as_bytes));
        if self.converter.is_some() && version >= ProtocolVersion::V2_4 {
            writer.byte(u8::try_from(self.parameters.len()).unwrap_or(u8::MAX));
            self.parameters.iter().take(u8::MAX.into()).for_each(|array| writer.array(array));
        }
        writer.vint(self.batch);
        if version >= ProtocolVersion::V2_4 {
            writer.bool(self.with_metadata);
        }
    }
}

impl<'b> Response<'b> for IterationStarted<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        Ok(Self { id: reader.text("iteration")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.text(self.id);
    }
}
