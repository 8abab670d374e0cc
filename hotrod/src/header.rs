//! Headers of requests and responses.

use crate::{
    error::DecodeError,
    media_type::MediaTypeRef,
    reader::Reader,
    status::Status,
    topology::{Intelligence, Topology},
    version::ProtocolVersion,
    writer::Writer,
};

/// First byte of a request.
pub const REQUEST_MAGIC: u8 = 0xA0;
/// First byte of a response.
pub const RESPONSE_MAGIC: u8 = 0xA1;
/// Opcode of an error response.
pub const ERROR_RESPONSE: u8 = 0x50;
/// The topology id that a client sends while it knows no topology.
pub const NO_TOPOLOGY: u32 = u32::MAX;

/// Flags of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// Asks for the previous entry in the response.
    pub const FORCE_RETURN_PREVIOUS: u32 = 0x01;
    /// Before 2.2, a lifespan of 0 stands for the cache's default.
    pub const DEFAULT_LIFESPAN: u32 = 0x02;
    /// Before 2.2, a max idle of 0 stands for the cache's default.
    pub const DEFAULT_MAX_IDLE: u32 = 0x04;
    /// Asks that the source be neither read nor written.
    pub const SKIP_CACHE_LOAD: u32 = 0x08;

    /// Returns whether this flag is set.
    #[must_use]
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// Header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Chosen by the client and repeated in the response.
    pub message_id: u64,
    /// Protocol version of this request.
    pub version: ProtocolVersion,
    /// Opcode of the operation.
    pub opcode: u8,
    /// Name of the cache; empty for the default cache, or if the operation needs no cache.
    pub cache_name: &'a str,
    /// Flags of the request.
    pub flags: Flags,
    /// How much of the topology the client wants to know.
    pub intelligence: Intelligence,
    /// Id of the topology that the client knows.
    pub topology_id: u32,
    /// Media type of keys in this request and its response.
    pub key_type: MediaTypeRef<'a>,
    /// Media type of values in this request and its response.
    pub value_type: MediaTypeRef<'a>,
}

impl<'a> RequestHeader<'a> {
    /// Decodes a request header.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not a request header.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let actual = reader.byte()?;
        if actual != REQUEST_MAGIC {
            return Err(DecodeError::Magic { expected: REQUEST_MAGIC, actual });
        }
        let message_id = reader.vlong("message id")?;
        let version = ProtocolVersion::from_byte(reader.byte()?)?;
        let mut header = Self {
            message_id,
            version,
            opcode: reader.byte()?,
            cache_name: reader.cache_name()?,
            flags: Flags(reader.vint("flags")?),
            intelligence: Intelligence::from_byte(reader.byte()?),
            topology_id: reader.vint("topology id")?,
            key_type: MediaTypeRef::Unspecified,
            value_type: MediaTypeRef::Unspecified,
        };
        if version >= ProtocolVersion::V2_8 {
            header.key_type = MediaTypeRef::decode(reader)?;
            header.value_type = MediaTypeRef::decode(reader)?;
        }
        if version >= ProtocolVersion::V4_0 {
            skip_other_parameters(reader)?;
        }
        Ok(header)
    }

    /// Encodes the header.
    pub fn encode(&self, writer: &mut Writer) {
        writer.byte(REQUEST_MAGIC);
        writer.vlong(self.message_id);
        writer.byte(self.version.byte());
        writer.byte(self.opcode);
        writer.text(self.cache_name);
        writer.vint(self.flags.0);
        writer.byte(self.intelligence as u8);
        writer.vint(self.topology_id);
        if self.version >= ProtocolVersion::V2_8 {
            self.key_type.encode(writer);
            self.value_type.encode(writer);
        }
        if self.version >= ProtocolVersion::V4_0 {
            writer.vint(0);
        }
    }
}

/// Skips other parameters: names and values such as tracing contexts, none of which is used here.
#[inline]
fn skip_other_parameters(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    const MOST: u32 = 64;
    let count = reader.vint("number of other parameters")?;
    if count > MOST {
        let value = count.into();
        return Err(DecodeError::Illegal { field: "number of other parameters", value });
    }
    for _ in 0..count {
        reader.text("name of a parameter")?;
        reader.array("value of a parameter")?;
    }
    Ok(())
}

/// Header of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Message id of the request.
    pub message_id: u64,
    /// Opcode of the response, or [`ERROR_RESPONSE`].
    pub opcode: u8,
    /// How the operation ended.
    pub status: Status,
    /// The current topology, if the client knows a different one.
    pub topology: Option<Topology>,
}

impl ResponseHeader {
    /// Decodes a response header. `intelligence` is that of the requests on this connection.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not a response header.
    pub fn decode(
        reader: &mut Reader<'_>,
        intelligence: Intelligence,
    ) -> Result<Self, DecodeError> {
        let actual = reader.byte()?;
        if actual != RESPONSE_MAGIC {
            return Err(DecodeError::Magic { expected: RESPONSE_MAGIC, actual });
        }
        Ok(Self {
            message_id: reader.vlong("message id")?,
            opcode: reader.byte()?,
            status: Status::from_byte(reader.byte()?)?,
            topology: match reader.bool()? {
                true => Some(Topology::decode(reader, intelligence)?),
                false => None,
            },
        })
    }
}

/// Encodes a response header. `topology` is the encoded topology block, if one is to be sent.
#[inline]
pub fn encode_response_header(
    writer: &mut Writer,
    message_id: u64,
    opcode: u8,
    status: Status,
    topology: Option<&[u8]>,
) {
    writer.byte(RESPONSE_MAGIC);
    writer.vlong(message_id);
    writer.byte(opcode);
    writer.byte(status.byte());
    match topology {
        Some(block) => {
            writer.byte(1);
            writer.raw(block);
        }
        None => writer.byte(0),
    }
}

/// Encodes a complete error response.
pub fn encode_error(writer: &mut Writer, message_id: u64, status: Status, text: &str) {
    encode_response_header(writer, message_id, ERROR_RESPONSE, status, None);
    writer.text(text);
}
