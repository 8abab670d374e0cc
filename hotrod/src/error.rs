//! What can be wrong with bytes.

/// Bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are not enough of them yet. Not the peer's fault.
    #[error("at least {missing} more bytes are needed")]
    Incomplete {
        /// How many more there must be, at least.
        missing: usize,
    },

    /// A message does not begin as one.
    #[error("a message begins with byte 0x{expected:02X}, not 0x{actual:02X}")]
    Magic {
        /// The byte that begins a message.
        expected: u8,
        /// The byte that was there.
        actual: u8,
    },

    /// Nothing is known under this opcode.
    #[error("unknown operation 0x{opcode:02X}")]
    UnknownOperation {
        /// The opcode.
        opcode: u8,
    },

    /// A protocol version before 2.0.
    #[error("protocol version {}.{} is not supported, 2.0 to 4.1 are", version / 10, version % 10)]
    UnknownVersion {
        /// The version byte: ten times the major number and the minor number.
        version: u8,
    },

    /// A number goes on for too long.
    #[error("the {field} is a number of more than {most} bytes")]
    Overlong {
        /// What the number is.
        field: &'static str,
        /// Most bytes that such a number has.
        most: usize,
    },

    /// Something is longer than it may be.
    #[error("the {field} of {len} bytes is longer than {most} bytes")]
    TooLong {
        /// What is too long.
        field: &'static str,
        /// Its length in bytes, as announced.
        len: u64,
        /// Most bytes it may have.
        most: usize,
    },

    /// A text is not UTF-8.
    #[error("the {field} is not UTF-8")]
    NotUtf8 {
        /// What the text is.
        field: &'static str,
    },

    /// A text is no media type.
    #[error("a media type has to be a text such as text/plain")]
    NotAMediaType,

    /// A number stands for nothing.
    #[error("the {field} cannot be {value}")]
    Illegal {
        /// What the number is.
        field: &'static str,
        /// The number.
        value: u64,
    },
}
