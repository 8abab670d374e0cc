//! Why bytes do not become bytes of another format.

use std::fmt;

use crate::{encoding::Encoding, media_type::MediaType, text::Charset};

/// Most bytes of somebody's content that an error repeats.
const LONGEST_EXCERPT: usize = 1000;

/// Nothing leads from one media type to the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ISPN000492: Cannot find transcoder between '{from}' to '{to}'")]
pub struct NoConversion {
    /// What the bytes are.
    pub from: MediaType,
    /// What they were to be.
    pub to: MediaType,
}

impl NoConversion {
    /// Class of the exception under which Infinispan sends this text.
    pub const EXCEPTION: &'static str = ENCODING_EXCEPTION;
}

const ENCODING_EXCEPTION: &str = "org.infinispan.commons.dataconversion.EncodingException";

/// Bytes are not what their media type says, or not what the other one can hold.
///
/// The texts are those of Infinispan's server wherever it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// Text that should be read as JSON is none.
    #[error("ISPN000655: Unable to convert text content to JSON: '{0}'")]
    NotJson(String),

    /// What was sent as JSON is none, or a value in it is not of the type it names.
    #[error("Invalid JSON")]
    InvalidJson,

    /// JSON for a protostream cache is an object that begins with `_type`; this is something else.
    #[error("Invalid top level object! Found token: {0}")]
    NotAnObject(&'static str),

    /// A member of such an object has another name than the one that must stand there.
    #[error("Expected field '{expected}' but it was '{actual}'")]
    UnexpectedField {
        /// The name that must stand there.
        expected: &'static str,
        /// The name that does.
        actual: String,
    },

    /// A member of such an object has a value that is no scalar.
    #[error("Unexpected JSON token: {0}")]
    UnexpectedToken(&'static str),

    /// A text is no number of the type it should have.
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

    /// A text does not follow the encoding it is declared to have.
    #[error("the content is not encoded as {0}")]
    NotEncoded(Encoding),
}

impl ConversionError {
    /// Class of the exception under which Infinispan sends this text, or one like it.
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

    /// Text that should be JSON is none.
    pub(crate) fn not_json(content: &[u8]) -> Self {
        Self::NotJson(excerpt(content))
    }

    /// Text that should be a number is none.
    pub(crate) fn not_a_number(text: &str) -> Self {
        Self::NotANumber(excerpt(text.as_bytes()))
    }
}

/// What a `WrappedMessage` holds when it is no scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A message or enum of this full name.
    Named(String),
    /// A message or enum whose schema gives it this number.
    Numbered(u64),
    /// A message or enum whose type is told after it.
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

/// The beginning of somebody's content, for an error.
pub(crate) fn excerpt(content: &[u8]) -> String {
    let (shown, rest) = content.split_at(content.len().min(LONGEST_EXCERPT));
    let mut text = String::from_utf8_lossy(shown).into_owned();
    if !rest.is_empty() {
        text.push('…');
    }
    text
}
