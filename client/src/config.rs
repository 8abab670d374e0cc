//! What a client is told: where the servers are, who it is, and how long it waits.

mod uri;

use std::time::Duration;

use hotrod::{Intelligence, ProtocolVersion, ServerAddress};
use media::MediaType;

pub use self::uri::ConfigError;
use crate::credentials::Credentials;

/// The port that Hot Rod servers listen on unless they are told otherwise.
pub const DEFAULT_PORT: u16 = 11222;

/// How to reach a cluster, and how to behave towards it.
///
/// It can be written as a URI:
///
/// ```
/// # use client::ClientConfig;
/// let config: ClientConfig =
///     "hotrod://app:p%40ss@one.example,two.example:11322?socket_timeout=2000".parse()?;
/// assert_eq!(config.servers.len(), 2);
/// assert_eq!(config.timeout.as_secs(), 2);
/// # Ok::<(), client::ConfigError>(())
/// ```
///
/// or as a value:
///
/// ```
/// # use std::time::Duration;
/// use client::{ClientConfig, Credentials, ServerAddress};
///
/// let server = ServerAddress { host: "one.example".into(), port: 11222 };
/// let config = ClientConfig {
///     credentials: Some(Credentials::new("app", "secret")),
///     timeout: Duration::from_secs(2),
///     ..ClientConfig::new([server])
/// };
/// # assert_eq!(config.max_pending, 256);
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Servers to begin with. Others are learned from them.
    pub servers: Vec<ServerAddress>,
    /// Who the client is, if the servers want to know.
    pub credentials: Option<Credentials>,
    /// How much of the topology it wants to know.
    pub intelligence: Intelligence,
    /// Which protocol version it speaks.
    pub protocol: Protocol,
    /// Most time for a connection to come about, with its login.
    pub connect_timeout: Duration,
    /// Most time for an operation, with all that it takes: connecting, waiting for a place, trying again.
    /// Of an iteration: most time without a byte from the server.
    pub timeout: Duration,
    /// How often an operation is tried again, where that is safe.
    pub max_retries: u32,
    /// Most operations that wait for their answer on one connection. Others wait for a place.
    pub max_pending: usize,
    /// Longest answer that is taken, in bytes; of an iteration, longest entry.
    pub max_answer: usize,
    /// Format in which keys are given and wanted. `None`: as the cache stores them.
    pub key_type: Option<MediaType>,
    /// Format in which values are given and wanted. `None`: as the cache stores them.
    pub value_type: Option<MediaType>,
    /// Properties of a URI that mean nothing here, by name.
    pub ignored: Vec<String>,
}

impl ClientConfig {
    /// Reaches these servers, without a login, with defaults for the rest.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = ServerAddress>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            credentials: None,
            intelligence: Intelligence::HashAware,
            protocol: Protocol::Auto,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            max_retries: 3,
            max_pending: 256,
            max_answer: 128 * 1024 * 1024,
            key_type: None,
            value_type: None,
            ignored: Vec::new(),
        }
    }
}

/// Which protocol version a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The newest that the server speaks, found out when a connection is made.
    #[default]
    Auto,
    /// This one, or what the server speaks if that is older. A version before [`Protocol::OLDEST`] is
    /// raised to it.
    Version(ProtocolVersion),
}

impl Protocol {
    /// The oldest version with which a whole cache can be read, lifespans included.
    pub const OLDEST: ProtocolVersion = ProtocolVersion::V2_5;
}
