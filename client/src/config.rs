//! Configuration of a client: servers, credentials, limits and timeouts.

mod uri;

use std::time::Duration;

use hotrod::{Intelligence, ProtocolVersion, ServerAddress};
use media::MediaType;

pub use self::uri::ConfigError;
use crate::credentials::Credentials;

/// Default port of Hot Rod servers.
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
    /// Servers to connect to first. The client learns of others from them.
    pub servers: Vec<ServerAddress>,
    /// Credentials for the login, if the servers require one.
    pub credentials: Option<Credentials>,
    /// How much of the topology the client asks for.
    pub intelligence: Intelligence,
    /// Protocol version to use.
    pub protocol: Protocol,
    /// Timeout for connecting, including the login.
    pub connect_timeout: Duration,
    /// Timeout for an operation, including connecting, queueing and retries. For an iteration, the
    /// longest time without a byte from the server.
    pub timeout: Duration,
    /// Most retries of an operation that is safe to repeat.
    pub max_retries: u32,
    /// Most unanswered operations on one connection; further ones are queued.
    pub max_pending: usize,
    /// Longest accepted response in bytes; for an iteration, longest entry.
    pub max_answer: usize,
    /// Format in which callers pass and receive keys. `None`: as the cache stores them.
    pub key_type: Option<MediaType>,
    /// Format in which callers pass and receive values. `None`: as the cache stores them.
    pub value_type: Option<MediaType>,
    /// Names of URI properties that have no effect.
    pub ignored: Vec<String>,
}

impl ClientConfig {
    /// Creates a configuration for these servers, without a login and with defaults for the rest.
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

/// Choice of the protocol version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The newest that the server supports, negotiated for each connection.
    #[default]
    Auto,
    /// This one, or the newest that the server supports if that is older. A version before
    /// [`Protocol::OLDEST`] is raised to it.
    Version(ProtocolVersion),
}

impl Protocol {
    /// The oldest version in which a whole cache can be read, lifespans included.
    pub const OLDEST: ProtocolVersion = ProtocolVersion::V2_5;
}
