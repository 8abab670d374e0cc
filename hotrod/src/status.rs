//! How an operation ended.

use crate::error::DecodeError;

/// The status byte of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Done.
    Success,
    /// The condition did not hold.
    NotExecuted,
    /// There is no entry under the key.
    KeyDoesNotExist,
    /// Done; the previous entry follows.
    SuccessWithPrevious,
    /// The condition did not hold; the entry that stands follows.
    NotExecutedWithPrevious,
    /// There is no such iteration.
    InvalidIteration,
    /// The first byte is not that of a message.
    InvalidMagic,
    /// The opcode stands for nothing, or for nothing that is done here.
    UnknownOperation,
    /// The protocol version is not spoken here.
    UnknownVersion,
    /// The request cannot be read; or there is no such cache.
    ParseError,
    /// The operation failed.
    ServerError,
    /// The operation may or may not have been carried out.
    TimedOut,
    /// Clients repeat the operation on another server.
    NodeSuspected,
    /// Not carried out: clients repeat the operation on another server.
    IllegalLifecycleState,
}

impl Status {
    /// The byte on the wire.
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

    /// The status of this byte. 0x06 to 0x08 are those of caches of Java objects, in versions 2.4 to 2.8.
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

    /// Returns whether a text follows that says what went wrong.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.byte() >= 0x80
    }
}
