//! Why bytes could not be decoded.

/// Error for bytes that cannot be decoded as a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message is incomplete. Not the peer's fault: wait for more bytes.
    #[error("at least {missing} more bytes are needed")]
    Incomplete {
        /// Least number of bytes that are missing.
        missing: usize,
    },

    /// The first byte is not the magic byte.
    #[error("a message begins with byte 0x{expected:02X}, not 0x{actual:02X}")]
    Magic {
        /// The magic byte of this kind of message.
        expected: u8,
        /// The byte that was read.
        actual: u8,
    },

    /// The opcode is not one of a known operation.
    #[error("unknown operation 0x{opcode:02X}")]
    UnknownOperation {
        /// The opcode.
        opcode: u8,
    },

    /// The protocol version is older than 2.0.
    #[error("protocol version {}.{} is not supported, 2.0 to 4.1 are", version / 10, version % 10)]
    UnknownVersion {
        /// The version byte: ten times the major number plus the minor number.
        version: u8,
    },

    /// A variable-length number has too many bytes.
    #[error("the {field} is a number of more than {most} bytes")]
    Overlong {
        /// Name of the field.
        field: &'static str,
        /// Most bytes that a number of this type has.
        most: usize,
    },

    /// An array or the whole request is longer than its limit.
    #[error("the {field} of {len} bytes is longer than {most} bytes")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Its length in bytes, as announced.
        len: u64,
        /// The limit in bytes.
        most: usize,
    },

    /// A text is not valid UTF-8.
    #[error("the {field} is not UTF-8")]
    NotUtf8 {
        /// Name of the field.
        field: &'static str,
    },

    /// A text does not name a media type.
    #[error("a media type has to be a text such as text/plain")]
    NotAMediaType,

    /// A number has no meaning in its field.
    #[error("the {field} cannot be {value}")]
    Illegal {
        /// Name of the field.
        field: &'static str,
        /// The number.
        value: u64,
    },
}
