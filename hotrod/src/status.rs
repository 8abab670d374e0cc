//! Status of a response.

use crate::error::DecodeError;

/// The status byte of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Success.
    Success,
    /// The condition did not hold.
    NotExecuted,
    /// There is no entry under the key.
    KeyDoesNotExist,
    /// Success; the previous entry follows.
    SuccessWithPrevious,
    /// The condition did not hold; the present entry follows.
    NotExecutedWithPrevious,
    /// There is no such iteration.
    InvalidIteration,
    /// The first byte is not the magic byte.
    InvalidMagic,
    /// The opcode is unknown or the operation is not implemented.
    UnknownOperation,
    /// The protocol version is not supported.
    UnknownVersion,
    /// The request cannot be decoded, or there is no such cache.
    ParseError,
    /// The operation failed.
    ServerError,
    /// The operation may or may not have been executed.
    TimedOut,
    /// Clients retry on another server.
    NodeSuspected,
    /// Not executed: clients retry on another server.
    IllegalLifecycleState,
}

impl Status {
    /// Returns the byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Success => 0x00,
            Self::NotExecuted => 0x01,
            Self::KeyDoesNotExist => 0x02,
            Self::SuccessWithPrevious => 0x03,
            Self::NotExecutedWithPrevious => 0x04,
            Self::InvalidIteration => 0x05,
            Self::InvalidMagic => 0x81,
            Self::UnknownOperation => 0x82,
            Self::UnknownVersion => 0x83,
            Self::ParseError => 0x84,
            Self::ServerError => 0x85,
            Self::TimedOut => 0x86,
            Self::NodeSuspected => 0x87,
            Self::IllegalLifecycleState => 0x88,
        }
    }

    /// Returns the status for a byte. 0x06 to 0x08 belong to caches of Java objects, in versions
    /// 2.4 to 2.8.
    pub fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        Ok(match byte {
            0x00 | 0x06 => Self::Success,
            0x01 => Self::NotExecuted,
            0x02 => Self::KeyDoesNotExist,
            0x03 | 0x07 => Self::SuccessWithPrevious,
            0x04 | 0x08 => Self::NotExecutedWithPrevious,
            0x05 => Self::InvalidIteration,
            0x81 => Self::InvalidMagic,
            0x82 => Self::UnknownOperation,
            0x83 => Self::UnknownVersion,
            0x84 => Self::ParseError,
            0x85 => Self::ServerError,
            0x86 => Self::TimedOut,
            0x87 => Self::NodeSuspected,
            0x88 => Self::IllegalLifecycleState,
            _ => return Err(DecodeError::Illegal { field: "status", value: byte.into() }),
        })
    }

    /// Returns whether the response carries an error message.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.byte() >= 0x80
    }
}
