//! A server in this process.

use std::net::SocketAddr;

use client::{Client, ClientConfig, RemoteCache, ServerAddress};
use config::{ServerConfig, ServerFile};
use serde_json::json;
use server::Server;

use crate::Rest;

/// What the tests' caches are unless they say otherwise.
pub const OCTETS: &str = r#"{"distributed-cache":{"mode":"SYNC","statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

/// A server in this process, on a port of its own.
pub struct TestServer {
    server: Server,
    /// Its REST interface.
    pub rest: Rest,
}

impl TestServer {
    /// A server with nothing set.
    pub async fn start() -> Self {
        Self::start_with(ServerFile::default()).await
    }

    /// A server with these settings, on any port.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start_with(file: ServerFile) -> Self {
        let file = ServerFile { port: file.port.or(Some(0)), ..file };
        Self::start_as(file.resolve(None).expect("settings")).await
    }

    /// A server with these settings, once they are resolved.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start_as(config: ServerConfig) -> Self {
        let server = Server::start(config).await.expect("a server");
        let rest = Rest::new(server.address());
        Self { server, rest }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be connected to.
    pub async fn client(&self) -> Client {
        let address = self.address();
        let server = ServerAddress { host: address.ip().to_string(), port: address.port() };
        Client::connect(ClientConfig::new([server])).await.expect("a client")
    }

    /// A new cache of bytes, and a client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub async fn cache(&self, name: &str) -> RemoteCache {
        self.cache_of(name, OCTETS).await
    }

    /// A new cache, and a client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub async fn cache_of(&self, name: &str, config: &str) -> RemoteCache {
        self.rest.post(&format!("/rest/v2/caches/{name}"), config.to_owned()).await.with(200);
        self.client().await.cache(name).await.expect("the cache")
    }

    /// How a target is told to take `cache` from this server.
    #[must_use]
    pub fn as_source(&self, cache: &str) -> String {
        source_document(self.address(), cache)
    }

    /// Connects a cache to a source.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub async fn connect(&self, cache: &str, document: &str) {
        let path = format!("/rest/v2/caches/{cache}/rolling-upgrade/source-connection");
        self.rest.post(&path, document.to_owned()).await.with(204);
    }

    /// Copies everything. The number that the server says.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn synchronize(&self, cache: &str) -> u64 {
        let path = format!("/rest/v2/caches/{cache}?action=sync-data");
        synchronized(self.rest.post(&path, "").await.with(200).text())
    }

    /// Ends it, and returns when it has ended.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// The number in what a server says of a synchronization.
///
/// # Panics
///
/// If it says something else.
#[must_use]
pub fn synchronized(text: &str) -> u64 {
    let number = text
        .strip_prefix("ISPN012024: Synchronized ")
        .and_then(|text| text.strip_suffix(" entries"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

/// How a target is told to take `cache` from the server at this address.
#[must_use]
pub fn source_document(address: SocketAddr, cache: &str) -> String {
    let server = json!({ "host": address.ip().to_string(), "port": address.port() });
    json!({ "remote-store": { "cache": cache, "shared": true, "remote-server": [server] } })
        .to_string()
}
