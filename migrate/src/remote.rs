//! What an operator says of a source, as the client understands it.

use std::time::Duration;

use client::{ClientConfig, Credentials, MediaType, Protocol, ServerAddress};
use config::{CacheName, RemoteStoreConfig};

/// Time that a connection to the source may take to come about, unless the operator says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that was said of a source makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error(
        "TLS to the source is not there yet: take a port without it, or wait for a later version"
    )]
    Encryption,
    #[error(transparent)]
    Mechanism(#[from] client::UnknownMechanism),
    #[error("Illegal version {0}")]
    Version(String),
    #[error("a remote-store names no server")]
    NoServer,
}

/// The cache of the source that this one comes from.
pub(crate) fn cache_name(remote: &RemoteStoreConfig, cache: &CacheName) -> String {
    remote.cache.clone().unwrap_or_else(|| cache.to_string())
}

/// How the source is reached.
pub(crate) fn client_config(
    remote: &RemoteStoreConfig,
    cache: &CacheName,
) -> Result<ClientConfig, RemoteError> {
    if remote.encryption {
        return Err(RemoteError::Encryption);
    }
    if remote.servers.is_empty() {
        return Err(RemoteError::NoServer);
    }
    let servers = remote
        .servers
        .iter()
        .map(|server| ServerAddress { host: server.host.clone(), port: server.port });
    let mut config = ClientConfig {
        connect_timeout: remote.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        protocol: protocol(remote.protocol_version.as_deref())?,
        ..ClientConfig::new(servers)
    };
    if let Some(timeout) = remote.socket_timeout {
        config.timeout = timeout;
    }
    if let Some(user) = &remote.authentication {
        config.credentials = Some(Credentials {
            realm: user.realm.clone(),
            mechanism: user.mechanism.as_deref().map(str::parse).transpose()?,
            server_name: user.server_name.clone().unwrap_or_else(|| "infinispan".into()),
            ..Credentials::new(&user.username, &user.password)
        });
    }
    if cache.is_internal() {
        // A real server keeps Java strings in its own caches, and ours what clients make of them.
        config.key_type = Some(MediaType::PROTOSTREAM);
        config.value_type = Some(MediaType::PROTOSTREAM);
    }
    Ok(config)
}

fn protocol(version: Option<&str>) -> Result<Protocol, RemoteError> {
    match version {
        None => Ok(Protocol::Auto),
        Some(auto) if auto.eq_ignore_ascii_case("auto") => Ok(Protocol::Auto),
        Some(version) => version
            .parse()
            .map(Protocol::Version)
            .map_err(|_unknown| RemoteError::Version(version.into())),
    }
}

/// What the source's servers were configured as, for messages: never with a password.
pub(crate) fn servers(remote: &RemoteStoreConfig) -> String {
    let server = |server: &config::RemoteServer| format!("{}:{}", server.host, server.port);
    remote.servers.iter().map(server).collect::<Vec<_>>().join(", ")
}
