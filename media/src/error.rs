//! Why bytes could not be converted.

use std::fmt;

use crate::{encoding::Encoding, media_type::MediaType, text::Charset};

/// Most bytes of the content that an error message quotes.
const LONGEST_EXCERPT: usize = 1000;

/// Error for two media types without a conversion between them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ISPN000492: Cannot find transcoder between '{from}' to '{to}'")]
pub struct NoConversion {
    /// Media type of the bytes.
    pub from: MediaType,
    /// Media type that was asked for.
    pub to: MediaType,
}

impl NoConversion {
    /// Class of the exception with which Infinispan reports this message.
    pub const EXCEPTION: &'static str = ENCODING_EXCEPTION;
}

const ENCODING_EXCEPTION: &str = "org.infinispan.commons.dataconversion.EncodingException";

/// Error for bytes that do not match their media type, or that the other one cannot represent.
///
/// Messages are those of Infinispan's server wherever it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// A text to be read as JSON is not JSON.
    #[error("ISPN000655: Unable to convert text content to JSON: '{0}'")]
    NotJson(String),

    /// Content declared as JSON is not JSON, or a value in it does not have the type it names.
    #[error("Invalid JSON")]
    InvalidJson,

    /// The JSON for a protostream cache is not an object that begins with `_type`.
    #[error("Invalid top level object! Found token: {0}")]
    NotAnObject(&'static str),

    /// A member of such an object does not have the expected name.
    #[error("Expected field '{expected}' but it was '{actual}'")]
    UnexpectedField {
        /// The expected name.
        expected: &'static str,
        /// The name that was found.
        actual: String,
    },

    /// The value of a member of such an object is not a scalar.
    #[error("Unexpected JSON token: {0}")]
    UnexpectedToken(&'static str),

    /// A text is not a number of the declared type.
    #[error("For input string: \"{0}\"")]
    NotANumber(String),

    /// The value is a message, an enum or a collection, not a scalar.
    #[error("{0} needs the registered schema; not supported yet")]
    NeedsSchema(MessageType),

    /// Bytes are not a `WrappedMessage` with one value.
    #[error("Invalid WrappedMessage encoding: {0}")]
    NotWrapped(&'static str),

    /// Bytes are not text in their charset.
    #[error("the content is not text in {0}")]
    NotText(Charset),

    /// A text does not follow its declared encoding.
    #[error("the content is not encoded as {0}")]
    NotEncoded(Encoding),
}

impl ConversionError {
    /// Returns the class of the exception with which Infinispan reports this message or a similar
    /// one.
    #[must_use]
    pub fn exception(&self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::NotText(_) | Self::NotEncoded(_) => ENCODING_EXCEPTION,
            Self::InvalidJson
            | Self::NotAnObject(_)
            | Self::UnexpectedField { .. }
            | Self::UnexpectedToken(_) => "java.lang.IllegalStateException",
            Self::NotANumber(_) => "java.lang.NumberFormatException",
            Self::NeedsSchema(_) => "java.lang.IllegalArgumentException",
            Self::NotWrapped(_) => "java.io.IOException",
        }
    }

    /// Returns the error for text that is not JSON.
    pub(crate) fn not_json(content: &[u8]) -> Self {
        Self::NotJson(excerpt(content))
    }

    /// Returns the error for text that is not a number.
    pub(crate) fn not_a_number(text: &str) -> Self {
        Self::NotANumber(excerpt(text.as_bytes()))
    }
}

/// Contents of a `WrappedMessage` that are not a scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A message or enum of this full name.
    Named(String),
    /// A message or enum whose schema gives it this number.
    Numbered(u64),
    /// A message or enum whose type follows it.
    Untold,
    /// A collection.
    Container,
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "a message of type '{name}'"),
            Self::Numbered(number) => write!(f, "a message of type id {number}"),
            Self::Untold => f.write_str("a message"),
            Self::Container => f.write_str("a collection"),
        }
    }
}

/// Returns the beginning of the content, for an error message.
pub(crate) fn excerpt(content: &[u8]) -> String {
    let (shown, rest) = content.split_at(content.len().min(LONGEST_EXCERPT));
    let mut text = String::from_utf8_lossy(shown).into_owned();
    if !rest.is_empty() {
        text.push('…');
    }
    text
}
