//! `WrappedMessage`, the envelope that ProtoStream puts around every key and value, with the
//! contents that need no schema.
//!
//! Start reading at [`Scalar`]. Messages, enums and collections are recognized and refused, not
//! decoded.

use std::borrow::Cow;

use crate::{
    error::{ConversionError, MessageType, excerpt},
    java,
    text::utf8,
};

/// Field numbers of `org.infinispan.protostream.WrappedMessage`.
mod field {
    pub(super) const DOUBLE: u32 = 1;
    pub(super) const FLOAT: u32 = 2;
    pub(super) const INT64: u32 = 3;
    pub(super) const UINT64: u32 = 4;
    pub(super) const INT32: u32 = 5;
    pub(super) const FIXED64: u32 = 6;
    pub(super) const FIXED32: u32 = 7;
    pub(super) const BOOL: u32 = 8;
    pub(super) const STRING: u32 = 9;
    pub(super) const BYTES: u32 = 10;
    pub(super) const UINT32: u32 = 11;
    pub(super) const SFIXED32: u32 = 12;
    pub(super) const SFIXED64: u32 = 13;
    pub(super) const SINT32: u32 = 14;
    pub(super) const SINT64: u32 = 15;
    pub(super) const TYPE_NAME: u32 = 16;
    pub(super) const MESSAGE: u32 = 17;
    pub(super) const ENUM: u32 = 18;
    pub(super) const TYPE_ID: u32 = 19;
    pub(super) const CHAR: u32 = 20;
    pub(super) const SHORT: u32 = 21;
    pub(super) const BYTE: u32 = 22;
    pub(super) const DATE_MILLIS: u32 = 23;
    pub(super) const INSTANT_SECONDS: u32 = 24;
    pub(super) const INSTANT_NANOS: u32 = 25;
    pub(super) const EMPTY: u32 = 26;
    pub(super) const CONTAINER_SIZE: u32 = 27;
    pub(super) const CONTAINER_MESSAGE: u32 = 30;
}

/// A value that needs no schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// No value, encoded as no bytes.
    Null,
    Double(f64),
    Float(f32),
    Int64(i64),
    UInt64(u64),
    Int32(i32),
    Fixed64(u64),
    Fixed32(u32),
    Bool(bool),
    String(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    UInt32(u32),
    SFixed32(i32),
    SFixed64(i64),
    SInt32(i32),
    SInt64(i64),
    /// A `java.lang.Character`: one UTF-16 code unit.
    Char(u16),
    Short(i16),
    Byte(i8),
    /// A `java.util.Date`: milliseconds since 1970.
    Date(i64),
    /// A `java.time.Instant`: since 1970.
    Instant {
        seconds: i64,
        nanos: i32,
    },
}

impl<'a> Scalar<'a> {
    /// Decodes a `WrappedMessage`, skipping unknown fields.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, ConversionError> {
        let mut fields = Fields(bytes);
        let mut value = None;
        while let Some((number, content)) = fields.next()? {
            let Some(found) = Self::in_field(number, content)? else { continue };
            value = Some(match (value, found) {
                (None, found) => found,
                (Some(Self::Instant { nanos, .. }), Self::Instant { seconds, .. })
                    if number == field::INSTANT_SECONDS =>
                {
                    Self::Instant { seconds, nanos }
                }
                (Some(Self::Instant { seconds, .. }), Self::Instant { nanos, .. }) => {
                    Self::Instant { seconds, nanos }
                }
                _ => return Err(ConversionError::NotWrapped("more than one value")),
            });
        }
        match value {
            Some(value) => Ok(value),
            None if bytes.is_empty() => Ok(Self::Null),
            None => Err(ConversionError::NotWrapped("no value")),
        }
    }

    /// Returns the value in a field, or `None` if the field is unknown.
    fn in_field(number: u32, content: Content<'a>) -> Result<Option<Self>, ConversionError> {
        Ok(Some(match (number, content) {
            (field::DOUBLE, Content::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
            (field::FLOAT, Content::Fixed32(bits)) => Self::Float(f32::from_bits(bits)),
            (field::INT64, Content::Varint(bits)) => Self::Int64(bits.cast_signed()),
            (field::UINT64, Content::Varint(bits)) => Self::UInt64(bits),
            (field::INT32, Content::Varint(bits)) => Self::Int32(low(bits).cast_signed()),
            (field::FIXED64, Content::Fixed64(bits)) => Self::Fixed64(bits),
            (field::FIXED32, Content::Fixed32(bits)) => Self::Fixed32(bits),
            (field::BOOL, Content::Varint(bits)) => Self::Bool(bits != 0),
            (field::STRING, Content::Bytes(bytes)) => Self::String(utf8(bytes)?.into()),
            (field::BYTES, Content::Bytes(bytes)) => Self::Bytes(bytes.into()),
            (field::UINT32, Content::Varint(bits)) => Self::UInt32(low(bits)),
            (field::SFIXED32, Content::Fixed32(bits)) => Self::SFixed32(bits.cast_signed()),
            (field::SFIXED64, Content::Fixed64(bits)) => Self::SFixed64(bits.cast_signed()),
            (field::SINT32, Content::Varint(bits)) => {
                let bits = low(bits);
                Self::SInt32((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
            }
            (field::SINT64, Content::Varint(bits)) => {
                Self::SInt64((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
            }
            (field::CHAR, Content::Varint(bits)) => Self::Char(lowest(bits)),
            (field::SHORT, Content::Varint(bits)) => Self::Short(lowest(bits).cast_signed()),
            (field::BYTE, Content::Varint(bits)) => {
                let [byte, ..] = bits.to_le_bytes();
                Self::Byte(byte.cast_signed())
            }
            (field::DATE_MILLIS, Content::Varint(bits)) => Self::Date(bits.cast_signed()),
            (field::INSTANT_SECONDS, Content::Varint(bits)) => {
                Self::Instant { seconds: bits.cast_signed(), nanos: 0 }
            }
            (field::INSTANT_NANOS, Content::Varint(bits)) => {
                Self::Instant { seconds: 0, nanos: low(bits).cast_signed() }
            }
            (field::EMPTY, Content::Varint(_)) => Self::Null,
            (field::TYPE_NAME, Content::Bytes(name)) => {
                return Err(ConversionError::NeedsSchema(MessageType::Named(excerpt(name))));
            }
            (field::TYPE_ID, Content::Varint(id)) => {
                return Err(ConversionError::NeedsSchema(MessageType::Numbered(id)));
            }
            (field::MESSAGE, Content::Bytes(_)) | (field::ENUM, Content::Varint(_)) => {
                return Err(ConversionError::NeedsSchema(MessageType::Untold));
            }
            (field::CONTAINER_SIZE..=field::CONTAINER_MESSAGE, _) => {
                return Err(ConversionError::NeedsSchema(MessageType::Container));
            }
            _ => return Ok(None),
        }))
    }

    /// Encodes a `WrappedMessage`, byte for byte as ProtoStream does.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(match self {
            Self::String(text) => 6 + text.len(),
            Self::Bytes(bytes) => 6 + bytes.len(),
            _ => 16,
        });
        match self {
            Self::Null => {}
            Self::Double(value) => fixed64(&mut out, field::DOUBLE, value.to_bits()),
            Self::Float(value) => fixed32(&mut out, field::FLOAT, value.to_bits()),
            Self::Int64(value) => signed(&mut out, field::INT64, *value),
            Self::UInt64(value) => unsigned(&mut out, field::UINT64, *value),
            Self::Int32(value) => signed(&mut out, field::INT32, (*value).into()),
            Self::Fixed64(value) => fixed64(&mut out, field::FIXED64, *value),
            Self::Fixed32(value) => fixed32(&mut out, field::FIXED32, *value),
            Self::Bool(value) => unsigned(&mut out, field::BOOL, (*value).into()),
            Self::String(text) => delimited(&mut out, field::STRING, text.as_bytes()),
            Self::Bytes(bytes) => delimited(&mut out, field::BYTES, bytes),
            Self::UInt32(value) => unsigned(&mut out, field::UINT32, (*value).into()),
            Self::SFixed32(value) => fixed32(&mut out, field::SFIXED32, value.cast_unsigned()),
            Self::SFixed64(value) => fixed64(&mut out, field::SFIXED64, value.cast_unsigned()),
            Self::SInt32(value) => {
                let zigzag = ((value << 1) ^ (value >> 31)).cast_unsigned();
                unsigned(&mut out, field::SINT32, zigzag.into());
            }
            Self::SInt64(value) => {
                unsigned(&mut out, field::SINT64, ((value << 1) ^ (value >> 63)).cast_unsigned());
            }
            Self::Char(value) => unsigned(&mut out, field::CHAR, (*value).into()),
            Self::Short(value) => signed(&mut out, field::SHORT, (*value).into()),
            Self::Byte(value) => signed(&mut out, field::BYTE, (*value).into()),
            Self::Date(millis) => signed(&mut out, field::DATE_MILLIS, *millis),
            Self::Instant { seconds, nanos } => {
                signed(&mut out, field::INSTANT_SECONDS, *seconds);
                signed(&mut out, field::INSTANT_NANOS, (*nanos).into());
            }
        }
        out
    }

    /// Returns the value as text, like Java's `toString`, except that bytes are returned as they
    /// are (Java prints the array's identity), unsigned numbers have no sign, and dates are in ISO
    /// 8601.
    pub(crate) fn into_text(self) -> Cow<'a, [u8]> {
        let text = match self {
            Self::Null => return Cow::Borrowed(&[]),
            Self::String(Cow::Borrowed(text)) => return Cow::Borrowed(text.as_bytes()),
            Self::Bytes(bytes) => return bytes,
            Self::String(Cow::Owned(text)) => text,
            Self::Double(value) => java::double(value),
            Self::Float(value) => java::float(value),
            Self::Bool(value) => value.to_string(),
            Self::Int64(value) | Self::SFixed64(value) | Self::SInt64(value) => value.to_string(),
            Self::UInt64(value) | Self::Fixed64(value) => value.to_string(),
            Self::Int32(value) | Self::SFixed32(value) | Self::SInt32(value) => value.to_string(),
            Self::UInt32(value) | Self::Fixed32(value) => value.to_string(),
            Self::Char(unit) => char::from_u32(unit.into()).unwrap_or('?').to_string(),
            Self::Short(value) => value.to_string(),
            Self::Byte(value) => value.to_string(),
            Self::Date(millis) => {
                let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
                java::instant(millis.div_euclid(1000), nanos)
            }
            Self::Instant { seconds, nanos } => java::instant(seconds, nanos),
        };
        Cow::Owned(text.into_bytes())
    }
}

/// Type of a scalar that is given as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Double,
    Float,
    Int64,
    UInt64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    #[default]
    String,
    Bytes,
    UInt32,
    SFixed32,
    SFixed64,
    SInt32,
    SInt64,
    Short,
    Byte,
}

impl ScalarType {
    /// Returns the type that the parameter `type` of `application/x-java-object` names.
    #[must_use]
    pub(crate) fn of_java_class(name: &str) -> Option<Self> {
        Some(match name {
            "java.lang.String" => Self::String,
            "java.lang.Boolean" => Self::Bool,
            "java.lang.Byte" => Self::Byte,
            "java.lang.Short" => Self::Short,
            "java.lang.Integer" => Self::Int32,
            "java.lang.Long" => Self::Int64,
            "java.lang.Float" => Self::Float,
            "java.lang.Double" => Self::Double,
            "ByteArray" => Self::Bytes,
            _ => return None,
        })
    }

    /// Parses `bytes` as the text of a scalar of this type.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Scalar<'_>, ConversionError> {
        match self {
            Self::Bytes => Ok(Scalar::Bytes(bytes.into())),
            Self::String => Ok(Scalar::String(utf8(bytes)?.into())),
            Self::Bool => Ok(Scalar::Bool(bytes.eq_ignore_ascii_case(b"true"))),
            number => number.parse_number(utf8(bytes)?),
        }
    }

    /// Parses a number; fails for types that are not numbers.
    pub(crate) fn parse_number(self, text: &str) -> Result<Scalar<'static>, ConversionError> {
        let value = match self {
            Self::Bytes | Self::String | Self::Bool => None,
            Self::Double => text.trim().parse().ok().map(Scalar::Double),
            Self::Float => text.trim().parse().ok().map(Scalar::Float),
            Self::Int64 => text.parse().ok().map(Scalar::Int64),
            Self::UInt64 => text.parse().ok().map(Scalar::UInt64),
            Self::Int32 => text.parse().ok().map(Scalar::Int32),
            Self::Fixed64 => text.parse().ok().map(Scalar::Fixed64),
            Self::Fixed32 => text.parse().ok().map(Scalar::Fixed32),
            Self::UInt32 => text.parse().ok().map(Scalar::UInt32),
            Self::SFixed32 => text.parse().ok().map(Scalar::SFixed32),
            Self::SFixed64 => text.parse().ok().map(Scalar::SFixed64),
            Self::SInt32 => text.parse().ok().map(Scalar::SInt32),
            Self::SInt64 => text.parse().ok().map(Scalar::SInt64),
            Self::Short => text.parse().ok().map(Scalar::Short),
            Self::Byte => text.parse().ok().map(Scalar::Byte),
        };
        value.ok_or_else(|| ConversionError::not_a_number(text))
    }
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// Deepest nesting of groups to skip.
const DEEPEST: usize = 64;

/// Content of a field.
#[derive(Clone, Copy)]
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Consecutive fields of a protobuf message.
struct Fields<'a>(&'a [u8]);

const TRUNCATED: ConversionError = ConversionError::NotWrapped("it ends within a field");

impl<'a> Fields<'a> {
    /// Returns the number and content of the next field, skipping groups.
    fn next(&mut self) -> Result<Option<(u32, Content<'a>)>, ConversionError> {
        let mut open = Vec::new();
        while !self.0.is_empty() {
            let (number, wire) = self.tag()?;
            let content = match wire {
                VARINT => Content::Varint(self.varint()?),
                FIXED64 => Content::Fixed64(u64::from_le_bytes(self.chunk()?)),
                FIXED32 => Content::Fixed32(u32::from_le_bytes(self.chunk()?)),
                DELIMITED => Content::Bytes(self.delimited()?),
                START_GROUP if open.len() < DEEPEST => {
                    open.push(number);
                    continue;
                }
                START_GROUP => return Err(ConversionError::NotWrapped("groups are too deep")),
                END_GROUP if open.pop() == Some(number) => continue,
                END_GROUP => return Err(ConversionError::NotWrapped("a group ends unbegun")),
                _ => return Err(ConversionError::NotWrapped("unknown wire type")),
            };
            if open.is_empty() {
                return Ok(Some((number, content)));
            }
        }
        if open.is_empty() { Ok(None) } else { Err(TRUNCATED) }
    }

    fn tag(&mut self) -> Result<(u32, u8), ConversionError> {
        let illegal = ConversionError::NotWrapped("illegal tag");
        let tag = u32::try_from(self.varint()?).ok().filter(|tag| tag >> 3 != 0);
        let tag = tag.ok_or(illegal)?;
        let [lowest, ..] = tag.to_le_bytes();
        Ok((tag >> 3, lowest & 7))
    }

    fn varint(&mut self) -> Result<u64, ConversionError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.chunk()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ConversionError::NotWrapped("a number of more than ten bytes"))
    }

    fn delimited(&mut self) -> Result<&'a [u8], ConversionError> {
        let length = usize::try_from(self.varint()?).ok();
        let split = length.and_then(|length| self.0.split_at_checked(length));
        let (bytes, rest) = split.ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], ConversionError> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(*chunk)
    }
}

fn unsigned(out: &mut Vec<u8>, number: u32, value: u64) {
    tag(out, number, VARINT);
    varint(out, value);
}

/// Writes a negative number in ten bytes, whatever its type.
fn signed(out: &mut Vec<u8>, number: u32, value: i64) {
    unsigned(out, number, value.cast_unsigned());
}

fn fixed64(out: &mut Vec<u8>, number: u32, bits: u64) {
    tag(out, number, FIXED64);
    out.extend(bits.to_le_bytes());
}

fn fixed32(out: &mut Vec<u8>, number: u32, bits: u32) {
    tag(out, number, FIXED32);
    out.extend(bits.to_le_bytes());
}

fn delimited(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    tag(out, number, DELIMITED);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn tag(out: &mut Vec<u8>, number: u32, wire: u8) {
    varint(out, u64::from(number << 3) | u64::from(wire));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [lowest, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(lowest & 0x7f);
        }
        out.push(lowest | 0x80);
    }
}

/// Returns the lower 32 bits, which is what a 32-bit field takes from a longer number.
fn low(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn lowest(bits: u64) -> u16 {
    let [a, b, ..] = bits.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests;
