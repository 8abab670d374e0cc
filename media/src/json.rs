//! JSON: validation, and ProtoStream's JSON form of scalars, `{"_type":"int32","_value":7}`.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    encoding::{decode_base64, encode_base64},
    error::{ConversionError, MessageType, excerpt},
    java,
    text::utf8,
    wrapped::{Scalar, ScalarType},
};

const TYPE: &str = "_type";
const VALUE: &str = "_value";

const DATE: &str = "org.infinispan.protostream.commons.Date";
const DATE_MILLIS: &str = "wrappedDateMillis";
const INSTANT: &str = "org.infinispan.protostream.commons.Instant";
const INSTANT_SECONDS: &str = "wrappedInstantSeconds";
const INSTANT_NANOS: &str = "wrappedInstantNanos";

/// Returns whether a text is JSON: any number of values, as in Infinispan.
pub(crate) fn is_json(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>().all(|value| value.is_ok())
}

/// Parses the scalar from its document.
pub(crate) fn to_scalar(json: &[u8]) -> Result<Scalar<'_>, ConversionError> {
    let json = utf8(json)?;
    match Token::of(json) {
        Token::StartObject => {}
        _ if !is_json(json.as_bytes()) => return Err(ConversionError::InvalidJson),
        Token::End | Token::Null => return Ok(Scalar::Null),
        other => return Err(ConversionError::NotAnObject(other.name())),
    }
    let object: Object<'_> = match serde_json::from_str(json) {
        Ok(object) => object,
        Err(_not_json) => return Err(ConversionError::InvalidJson),
    };
    let mut members = object.0.into_iter();
    let Some((_, type_name)) = members.next().map(|member| named(TYPE, member)).transpose()? else {
        return Ok(Scalar::Null);
    };
    let type_name = match Token::of(type_name.get()) {
        Token::String => string(type_name)?,
        other => return Err(ConversionError::UnexpectedToken(other.name())),
    };
    match &*type_name {
        DATE => date(members),
        INSTANT => instant(members),
        _ => {
            let Some(scalar_type) = scalar_type(&type_name) else {
                let message = MessageType::Named(excerpt(type_name.as_bytes()));
                return Err(ConversionError::NeedsSchema(message));
            };
            let value = members.next().map(|member| named(VALUE, member)).transpose()?;
            // Such an object holds a single value.
            members.next().map(|member| named(TYPE, member)).transpose()?;
            value.map_or(Ok(Scalar::Null), |(_, value)| scalar(scalar_type, value))
        }
    }
}

/// Formats a scalar as its document, byte for byte as ProtoStream does.
pub(crate) fn of_scalar(scalar: &Scalar<'_>) -> String {
    let number = |name: &str, value: &dyn fmt::Display| {
        format!("{{\"{TYPE}\":\"{name}\",\"{VALUE}\":{value}}}")
    };
    let text = |name: &str, value: &str| number(name, &format_args!("\"{value}\""));
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Double(value) if value.is_finite() => number("double", &java::double(*value)),
        Scalar::Double(value) => text("double", &java::double(*value)),
        Scalar::Float(value) if value.is_finite() => number("float", &java::float(*value)),
        Scalar::Float(value) => text("float", &java::float(*value)),
        Scalar::Int64(value) => number("int64", value),
        Scalar::UInt64(value) => number("uint64", value),
        Scalar::Int32(value) => number("int32", value),
        Scalar::Fixed64(value) => number("fixed64", value),
        Scalar::Fixed32(value) => number("fixed32", value),
        Scalar::Bool(value) => number("bool", value),
        Scalar::String(value) => text("string", &escaped(value)),
        Scalar::Bytes(value) => text("bytes", &encode_base64(value)),
        Scalar::UInt32(value) => number("uint32", value),
        Scalar::SFixed32(value) => number("sfixed32", value),
        Scalar::SFixed64(value) => number("sfixed64", value),
        Scalar::SInt32(value) => number("sint32", value),
        Scalar::SInt64(value) => number("sint64", value),
        Scalar::Char(value) => number("int32", value),
        Scalar::Short(value) => number("int32", value),
        Scalar::Byte(value) => number("int32", value),
        Scalar::Date(millis) => format!("{{\"{TYPE}\":\"{DATE}\",\"{DATE_MILLIS}\":{millis}}}"),
        Scalar::Instant { seconds, nanos } => format!(
            "{{\"{TYPE}\":\"{INSTANT}\",\"{INSTANT_SECONDS}\":{seconds},\"{INSTANT_NANOS}\":{nanos}}}"
        ),
    }
}

type Member<'a> = (String, &'a RawValue);

/// Most members to parse of an object: its type, two values, and one too many.
const MOST_MEMBERS: usize = 4;

/// The first members of an object, in document order.
struct Object<'a>(Vec<Member<'a>>);

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'a> Visitor<'a> for Members {
            type Value = Object<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while members.len() < MOST_MEMBERS
                    && let Some(member) = map.next_entry()?
                {
                    members.push(member);
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// First token of a document, with the names of the real server's parser.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    StartObject,
    StartArray,
    String,
    Integer,
    Float,
    True,
    False,
    Null,
    End,
}

impl Token {
    fn of(json: &str) -> Self {
        match json.trim_ascii_start().bytes().next() {
            None => Self::End,
            Some(b'{') => Self::StartObject,
            Some(b'[') => Self::StartArray,
            Some(b'"') => Self::String,
            Some(b't') => Self::True,
            Some(b'f') => Self::False,
            Some(b'n') => Self::Null,
            Some(_) if json.contains(['.', 'e', 'E']) => Self::Float,
            Some(_) => Self::Integer,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::StartObject => "START_OBJECT",
            Self::StartArray => "START_ARRAY",
            Self::String => "VALUE_STRING",
            Self::Integer => "VALUE_NUMBER_INT",
            Self::Float => "VALUE_NUMBER_FLOAT",
            Self::True => "VALUE_TRUE",
            Self::False => "VALUE_FALSE",
            Self::Null => "VALUE_NULL",
            Self::End => "NOT_AVAILABLE",
        }
    }
}

/// Returns the member if it has the expected name.
fn named<'a>(expected: &'static str, member: Member<'a>) -> Result<Member<'a>, ConversionError> {
    if member.0 == expected {
        return Ok(member);
    }
    let actual = excerpt(member.0.as_bytes());
    Err(ConversionError::UnexpectedField { expected, actual })
}

fn scalar_type(name: &str) -> Option<ScalarType> {
    Some(match name {
        "double" => ScalarType::Double,
        "float" => ScalarType::Float,
        "int64" => ScalarType::Int64,
        "uint64" => ScalarType::UInt64,
        "int32" => ScalarType::Int32,
        "fixed64" => ScalarType::Fixed64,
        "fixed32" => ScalarType::Fixed32,
        "bool" => ScalarType::Bool,
        "string" => ScalarType::String,
        "bytes" => ScalarType::Bytes,
        "uint32" => ScalarType::UInt32,
        "sfixed32" => ScalarType::SFixed32,
        "sfixed64" => ScalarType::SFixed64,
        "sint32" => ScalarType::SInt32,
        "sint64" => ScalarType::SInt64,
        _ => return None,
    })
}

fn scalar<'a>(scalar_type: ScalarType, value: &'a RawValue) -> Result<Scalar<'a>, ConversionError> {
    let token = Token::of(value.get());
    let text = match token {
        Token::Null => return Ok(Scalar::Null),
        Token::StartObject | Token::StartArray | Token::End => {
            return Err(ConversionError::UnexpectedToken(token.name()));
        }
        Token::String => string(value)?,
        Token::Integer | Token::Float | Token::True | Token::False => value.get().into(),
    };
    match (scalar_type, token) {
        (ScalarType::String, _) => Ok(Scalar::String(text)),
        (ScalarType::Bool, Token::True) => Ok(Scalar::Bool(true)),
        (ScalarType::Bool, Token::False) => Ok(Scalar::Bool(false)),
        (ScalarType::Bytes, Token::String) => {
            let bytes = decode_base64(text.as_bytes()).ok_or(ConversionError::InvalidJson)?;
            Ok(Scalar::Bytes(bytes.into()))
        }
        (ScalarType::Bool | ScalarType::Bytes, _) => Err(ConversionError::InvalidJson),
        (number, _) => number.parse_number(&text),
    }
}

fn date<'a>(members: impl Iterator<Item = Member<'a>>) -> Result<Scalar<'a>, ConversionError> {
    let mut millis = 0;
    for (name, value) in members {
        match &*name {
            DATE_MILLIS => millis = integer(value)?,
            _ => return Err(not_in_schema(DATE_MILLIS, &name)),
        }
    }
    Ok(Scalar::Date(millis))
}

fn instant<'a>(members: impl Iterator<Item = Member<'a>>) -> Result<Scalar<'a>, ConversionError> {
    let (mut seconds, mut nanos) = (0, 0);
    for (name, value) in members {
        match &*name {
            INSTANT_SECONDS => seconds = integer(value)?,
            INSTANT_NANOS => {
                nanos = i32::try_from(integer(value)?)
                    .ok()
                    .ok_or_else(|| ConversionError::not_a_number(value.get()))?;
            }
            _ => return Err(not_in_schema(INSTANT_SECONDS, &name)),
        }
    }
    Ok(Scalar::Instant { seconds, nanos })
}

fn not_in_schema(expected: &'static str, actual: &str) -> ConversionError {
    ConversionError::UnexpectedField { expected, actual: excerpt(actual.as_bytes()) }
}

fn integer(value: &RawValue) -> Result<i64, ConversionError> {
    match scalar(ScalarType::Int64, value)? {
        Scalar::Int64(value) => Ok(value),
        _ => Ok(0),
    }
}

/// Unescapes a JSON string; a string without escapes is not copied.
fn string(json: &RawValue) -> Result<Cow<'_, str>, ConversionError> {
    let plain = serde_json::from_str(json.get()).map(Cow::Borrowed);
    let text = plain.or_else(|_has_escapes| serde_json::from_str(json.get()).map(Cow::Owned));
    // An unpaired surrogate is not text.
    text.ok().ok_or(ConversionError::InvalidJson)
}

/// Escapes the content of a JSON string, including the characters that HTML would misinterpret.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..' ' | '<' | '>' | '&' | '=' | '\'' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests;
