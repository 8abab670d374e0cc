//! A server in this process.

use std::net::SocketAddr;

use client::{Client, ClientConfig, RemoteCache, ServerAddress};
use config::{ServerConfig, ServerFile};
use serde_json::json;
use server::Server;

use crate::Rest;

/// Default configuration of caches in tests.
pub const OCTETS: &str = r#"{"distributed-cache":{"mode":"SYNC","statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

/// A server in this process, on a port of its own.
pub struct TestServer {
    server: Server,
    /// Client of its REST endpoint.
    pub rest: Rest,
}

impl TestServer {
    /// Starts a server with default settings.
    pub async fn start() -> Self {
        Self::start_with(ServerFile::default()).await
    }

    /// Starts a server with these settings, on a free port.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start_with(file: ServerFile) -> Self {
        let file = ServerFile { port: file.port.or(Some(0)), ..file };
        Self::start_as(file.resolve(None).expect("settings")).await
    }

    /// Starts a server with these resolved settings.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start_as(config: ServerConfig) -> Self {
        let server = Server::start(config).await.expect("a server");
        let rest = Rest::new(server.address());
        Self { server, rest }
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns a client of the server.
    ///
    /// # Panics
    ///
    /// If the client cannot connect.
    pub async fn client(&self) -> Client {
        let address = self.address();
        let server = ServerAddress { host: address.ip().to_string(), port: address.port() };
        Client::connect(ClientConfig::new([server])).await.expect("a client")
    }

    /// Creates a cache of bytes, and returns a client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub async fn cache(&self, name: &str) -> RemoteCache {
        self.cache_of(name, OCTETS).await
    }

    /// Creates a cache, and returns a client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub async fn cache_of(&self, name: &str, config: &str) -> RemoteCache {
        self.rest.post(&format!("/rest/v2/caches/{name}"), config.to_owned()).await.with(200);
        self.client().await.cache(name).await.expect("the cache")
    }

    /// Returns the document that connects a target's `cache` to this server.
    #[must_use]
    pub fn as_source(&self, cache: &str) -> String {
        source_document(self.address(), cache)
    }

    /// Connects a cache to a source.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub async fn connect(&self, cache: &str, document: &str) {
        let path = format!("/rest/v2/caches/{cache}/rolling-upgrade/source-connection");
        self.rest.post(&path, document.to_owned()).await.with(204);
    }

    /// Synchronizes a cache, and returns the number of entries that the server reports.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn synchronize(&self, cache: &str) -> u64 {
        let path = format!("/rest/v2/caches/{cache}?action=sync-data");
        synchronized(self.rest.post(&path, "").await.with(200).text())
    }

    /// Stops the server, and waits until it has stopped.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Returns the number in a server's report of a synchronization.
///
/// # Panics
///
/// If the report has a different form.
#[must_use]
pub fn synchronized(text: &str) -> u64 {
    let number = text
        .strip_prefix("ISPN012024: Synchronized ")
        .and_then(|text| text.strip_suffix(" entries"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

/// Returns the document that connects a target's `cache` to the server at this address.
#[must_use]
pub fn source_document(address: SocketAddr, cache: &str) -> String {
    let server = json!({ "host": address.ip().to_string(), "port": address.port() });
    json!({ "remote-store": { "cache": cache, "shared": true, "remote-server": [server] } })
        .to_string()
}
