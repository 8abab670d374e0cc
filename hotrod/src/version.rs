//! The protocol version that a client speaks.

use std::{fmt, str::FromStr};

use crate::error::DecodeError;

/// A Hot Rod version: 2.0 to 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(u8);

impl ProtocolVersion {
    /// The oldest supported version.
    pub const V2_0: Self = Self(20);
    /// Adds client listeners on raw data.
    pub const V2_1: Self = Self(21);
    /// Adds units of expiration.
    pub const V2_2: Self = Self(22);
    /// Adds filter parameters and metadata to iterations, and statistics of the cluster.
    pub const V2_4: Self = Self(24);
    /// Adds metadata to iterated entries.
    pub const V2_5: Self = Self(25);
    /// Adds interests to client listeners.
    pub const V2_6: Self = Self(26);
    /// Adds media types to every request.
    pub const V2_8: Self = Self(28);
    /// Adds media types to the response to PING.
    pub const V2_9: Self = Self(29);
    /// Adds the server's version and operations to the response to PING.
    pub const V3_0: Self = Self(30);
    /// The version that every client since 12 tries first.
    pub const V3_1: Self = Self(31);
    /// Adds other parameters to every request, and metadata to previous values.
    pub const V4_0: Self = Self(40);
    /// The newest version.
    pub const V4_1: Self = Self(41);

    /// Returns the version for a byte, ten times the major number plus the minor number. Anything
    /// newer than 4.1 is taken as 4.1, as real servers do.
    ///
    /// # Errors
    ///
    /// If the version is older than 2.0, whose messages have another layout.
    pub fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0..20 => Err(DecodeError::UnknownVersion { version: byte }),
            20..=41 => Ok(Self(byte)),
            42.. => Ok(Self::V4_1),
        }
    }

    /// Returns ten times the major number plus the minor number.
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

    /// Parses a version such as "2.5".
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

/// Error for a text that does not name a Hot Rod version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a Hot Rod version: there are 2.0 to 2.9, 3.0, 3.1, 4.0 and 4.1")]
pub struct UnknownVersionName(String);
