//! The source of a migration, as operators describe it.
//!
//! Written by hand for every era since 7.0, by the operator and by the CLI, the description has many
//! spellings; [`RemoteStoreConfig`] is what they all say.

mod draft;
mod read;
mod uri;
mod write;

use std::{fmt, time::Duration};

pub use self::write::Secrets;
pub(crate) use self::{
    draft::is_client_setting,
    read::read,
    uri::{is_host, server},
    write::{node, shown},
};

/// Where the entries of a cache come from.
#[derive(Clone)]
pub struct RemoteStoreConfig {
    /// Name of the cache at the source; empty for its default cache. `None` is the name of the cache
    /// here.
    pub cache: Option<String>,
    /// Servers to begin with, at least one.
    pub servers: Vec<RemoteServer>,
    /// Who we are there.
    pub authentication: Option<Authentication>,
    /// Whether the connection is to be encrypted.
    pub encryption: bool,
    /// Whether nothing is to be written to the source.
    pub read_only: bool,
    /// Newest protocol version to speak, such as "2.9"; `None` is the newest that both know.
    pub protocol_version: Option<String>,
    /// Time to wait for a connection.
    pub connect_timeout: Option<Duration>,
    /// Time to wait for an answer.
    pub socket_timeout: Option<Duration>,
    /// What was said that has no meaning here, as it was spelled: shown once as a notice.
    pub ignored: Vec<String>,
}

impl RemoteStoreConfig {
    /// A source at these servers with nothing else said.
    #[must_use]
    pub const fn new(servers: Vec<RemoteServer>) -> Self {
        Self {
            cache: None,
            servers,
            authentication: None,
            encryption: false,
            read_only: false,
            protocol_version: None,
            connect_timeout: None,
            socket_timeout: None,
            ignored: Vec::new(),
        }
    }
}

/// A server of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteServer {
    /// Name or address.
    pub host: String,
    /// Port of its Hot Rod endpoint.
    pub port: u16,
}

/// Who we are at the source.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Realm of the user.
    pub realm: Option<String>,
    /// Name of the server in the exchange; "infinispan" unless given.
    pub server_name: Option<String>,
    /// SASL mechanism; `None` is the strongest that both know.
    pub mechanism: Option<String>,
    /// Which element named the user: `None` if a URI did.
    pub element: Option<AuthenticationElement>,
}

/// The element that holds the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationElement {
    /// `plain`
    Plain,
    /// `digest`
    Digest,
    /// `scram`
    Scram,
}

/// Port of a Hot Rod endpoint that does not say its own.
pub(crate) const DEFAULT_PORT: u16 = 11222;

/// What has no meaning makes no difference.
impl PartialEq for RemoteStoreConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            cache,
            servers,
            authentication,
            encryption,
            read_only,
            protocol_version,
            connect_timeout,
            socket_timeout,
            ignored: _,
        } = self;
        *cache == other.cache
            && *servers == other.servers
            && *authentication == other.authentication
            && *encryption == other.encryption
            && *read_only == other.read_only
            && *protocol_version == other.protocol_version
            && *connect_timeout == other.connect_timeout
            && *socket_timeout == other.socket_timeout
    }
}

impl Eq for RemoteStoreConfig {}

impl fmt::Debug for Authentication {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStoreConfig")
            .field("cache", &self.cache)
            .field("servers", &self.servers)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
