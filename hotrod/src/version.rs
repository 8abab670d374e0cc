//! The protocol version that a client speaks.

use std::{fmt, str::FromStr};

use crate::error::DecodeError;

/// A Hot Rod version: 2.0 to 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(u8);

impl ProtocolVersion {
    /// The oldest that is spoken here.
    pub const V2_0: Self = Self(20);
    /// Client listeners on raw data.
    pub const V2_1: Self = Self(21);
    /// Expirations with a unit.
    pub const V2_2: Self = Self(22);
    /// Iterations with filter parameters and metadata; statistics of the cluster.
    pub const V2_4: Self = Self(24);
    /// Iterated entries with metadata.
    pub const V2_5: Self = Self(25);
    /// Client listeners with interests.
    pub const V2_6: Self = Self(26);
    /// Media types in every request.
    pub const V2_8: Self = Self(28);
    /// Media types in the answer to PING.
    pub const V2_9: Self = Self(29);
    /// Server version and operations in the answer to PING.
    pub const V3_0: Self = Self(30);
    /// What every client since 12 begins with.
    pub const V3_1: Self = Self(31);
    /// Other parameters in every request; previous values with metadata.
    pub const V4_0: Self = Self(40);
    /// The newest there is.
    pub const V4_1: Self = Self(41);

    /// The version of this byte: ten times the major number and the minor number. What is newer than 4.1
    /// is taken as 4.1, as every real server does.
    ///
    /// # Errors
    ///
    /// Before 2.0 the messages look different.
    pub fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0..20 => Err(DecodeError::UnknownVersion { version: byte }),
            20..=41 => Ok(Self(byte)),
            42.. => Ok(Self::V4_1),
        }
    }

    /// Ten times the major number and the minor number.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

impl FromStr for ProtocolVersion {
    type Err = UnknownVersionName;

    /// Reads "2.5" and the like.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let byte = match text.as_bytes() {
            [major @ b'2'..=b'4', b'.', minor @ b'0'..=b'9'] => {
                (major - b'0') * 10 + (minor - b'0')
            }
            _ => 0,
        };
        match byte {
            20..=29 | 30 | 31 | 40 | 41 => Ok(Self(byte)),
            _ => Err(UnknownVersionName(text.into())),
        }
    }
}

/// A text is not the name of a Hot Rod version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a Hot Rod version: there are 2.0 to 2.9, 3.0, 3.1, 4.0 and 4.1")]
pub struct UnknownVersionName(String);
