//! ITERATION_NEXT (0x33): reads the next entries of an iteration.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};
use crate::{metadata::Metadata, segments::SegmentSet};

/// Asks for the next entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationNext<'a> {
    /// Id of the iteration, given by the server.
    pub id: &'a str,
}

/// The next entries; an empty batch is the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<'b> {
    /// Whether there is such an iteration.
    pub valid: bool,
    /// Segments whose entries have all been returned, by this response or earlier ones.
    pub finished: SegmentSet,
    /// The entries.
    pub entries: Vec<BatchEntry<'b>>,
}

/// An entry of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry<'b> {
    /// Present if the client asked for it. On the wire from 2.5 on.
    pub metadata: Option<Metadata>,
    /// The key.
    pub key: &'b [u8],
    /// The value, or the output of the converter.
    pub value: &'b [u8],
}

impl<'a> Request<'a> for IterationNext<'a> {
    type Response<'b> = Batch<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { id: reader.text("iteration")? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.text(self.id);
    }
}

/// The fields of a batch before its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Segments whose entries have all been returned, by this response or earlier ones.
    pub finished: SegmentSet,
    /// Number of entries that follow.
    pub entries: u32,
    /// Number of values per entry, if it is not one.
    pub projection: u32,
}

impl BatchHead {
    /// Decodes the fields before the entries.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not a batch.
    pub fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let finished = reader.segments("finished segments")?;
        let entries = reader.vint("number of entries")?;
        let projection = match entries > 0 && version >= ProtocolVersion::V2_4 {
            true => reader.vint("projection size")?.max(1),
            false => 1,
        };
        Ok(Self { finished, entries, projection })
    }
}

impl<'b> BatchEntry<'b> {
    /// Decodes one entry. Of several projected values, only the first is kept.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not an entry.
    pub fn decode(
        version: ProtocolVersion,
        projection: u32,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        let with_metadata = version >= ProtocolVersion::V2_5 && reader.bool()?;
        let metadata = match with_metadata {
            true => Some(Metadata::decode(reader)?),
            false => None,
        };
        let key = reader.array("key")?;
        let value = reader.array("value")?;
        for _ in 1..projection {
            reader.array("value")?;
        }
        Ok(Self { metadata, key, value })
    }

    /// Encodes one entry.
    pub fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        if version >= ProtocolVersion::V2_5 {
            writer.bool(self.metadata.is_some());
            if let Some(metadata) = self.metadata {
                metadata.encode(writer);
            }
        }
        writer.array(self.key);
        writer.array(self.value);
    }
}

impl<'b> Response<'b> for Batch<'b> {
    fn status(&self) -> Status {
        if self.valid { Status::Success } else { Status::InvalidIteration }
    }

    fn decode(
        status: Status,
        version: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError> {
        let head = BatchHead::decode(version, reader)?;
        let mut entries = Vec::new();
        for _ in 0..head.entries {
            entries.push(BatchEntry::decode(version, head.projection, reader)?);
        }
        Ok(Self { valid: status == Status::Success, finished: head.finished, entries })
    }

    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.finished.as_bytes());
        writer.vlong(self.entries.len() as u64);
        if !self.entries.is_empty() && version >= ProtocolVersion::V2_4 {
            writer.vint(1);
        }
        self.entries.iter().for_each(|entry| entry.encode(version, writer));
    }
}
