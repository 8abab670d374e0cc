//! Notices: what a user should know although nothing failed.

use std::fmt;

use hotrod::{ProtocolVersion, ServerAddress};
use parking_lot::Mutex;

/// Most notices to keep.
const MOST: usize = 100;

/// A deviation from what was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A property of the URI has no effect.
    Ignored {
        /// Name of the property.
        property: String,
    },
    /// The configured protocol version is too old; a newer one is used.
    Raised {
        /// The configured version.
        asked: ProtocolVersion,
        /// The version in use.
        used: ProtocolVersion,
    },
    /// The server does not support the configured protocol version; an older one is used with it.
    Lowered {
        /// The server.
        server: ServerAddress,
        /// The configured version.
        asked: ProtocolVersion,
        /// The version in use.
        used: ProtocolVersion,
    },
    /// The server requires no login: the credentials were not used.
    NoLogin {
        /// The server.
        server: ServerAddress,
    },
    /// None of the addresses that the servers announce is reachable. Only the configured servers
    /// are used, without knowing which of them owns a key.
    Announced {
        /// The addresses.
        servers: Vec<ServerAddress>,
    },
    /// The servers announced an invalid topology. It is not used.
    Topology {
        /// The server that announced it.
        server: ServerAddress,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { property } => write!(f, "the property {property} is ignored"),
            Self::Raised { asked, used } => {
                write!(f, "protocol version {asked} is too old, {used} is used")
            }
            Self::Lowered { server, asked, used } => {
                write!(f, "{server} does not speak protocol version {asked}, {used} is used")
            }
            Self::NoLogin { server } => {
                write!(f, "{server} wants no login, the credentials are not used")
            }
            Self::Announced { servers } => {
                write!(f, "none of the addresses that the servers announce can be reached:")?;
                servers.iter().try_for_each(|server| write!(f, " {server}"))?;
                write!(f, "; only the configured ones are used")
            }
            Self::Topology { server } => {
                write!(f, "{server} announces a topology that makes no sense, it is not used")
            }
        }
    }
}

/// The notices of a client, without duplicates.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Vec<Notice>>);

impl Notices {
    pub(crate) fn add(&self, notice: Notice) {
        let mut notices = self.0.lock();
        if notices.len() < MOST && !notices.contains(&notice) {
            tracing::info!("{notice}");
            notices.push(notice);
        }
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.lock().clone()
    }
}
