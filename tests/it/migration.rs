//! A cache moves from one server to another: the scenes of a migration, each with two servers in this
//! process.

mod account;
mod connecting;
mod disconnecting;
mod jobs;
mod overdue;
mod reading;
mod reconnecting;
mod remembering;
mod rolling;
mod shrinking;
mod standing;
mod twins;
mod verdicts;
mod verifying;

use client::{RemoteCache, RequestExpiration};

use crate::harness::{Faulty, TestServer, source_document};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// A lifetime in milliseconds.
fn lasting(lifespan: u64) -> RequestExpiration {
    RequestExpiration { lifespan: client::Duration::Millis(lifespan), ..NEVER }
}

/// The cache `c` of two servers, of which the second takes it from the first over a relay.
pub(super) struct Scene {
    pub(super) source: TestServer,
    pub(super) from: RemoteCache,
    pub(super) relay: Faulty,
    pub(super) target: TestServer,
    pub(super) to: RemoteCache,
}

impl Scene {
    /// Not connected yet.
    pub(super) async fn new() -> Self {
        Self::with_target(config::ServerFile::default()).await
    }

    async fn with_target(file: config::ServerFile) -> Self {
        // Clients are told of the relay alone, and so cannot go round it.
        let relay = Faulty::start(([127, 0, 0, 1], 0).into()).await;
        let advertised =
            config::Advertised { host: relay.address.ip().to_string(), port: relay.address.port() };
        let source = TestServer::start_with(config::ServerFile {
            advertised: Some(advertised),
            ..config::ServerFile::default()
        })
        .await;
        relay.lead_to(source.address());
        let from = source.cache("c").await;
        let target = TestServer::start_with(file).await;
        let to = target.cache("c").await;
        Self { source, from, relay, target, to }
    }

    /// With so many entries at the source, and connected.
    pub(super) async fn connected(entries: u32) -> Self {
        let scene = Self::new().await;
        scene.fill(entries).await;
        scene.connect().await;
        scene
    }

    /// Writes entries at the source.
    pub(super) async fn fill(&self, entries: u32) {
        let all = (0..entries).map(|number| (key(number), value(number)));
        self.from.put_all(all, NEVER).await.unwrap();
    }

    pub(super) async fn connect(&self) {
        self.target.connect("c", &source_document(self.relay.address, "c")).await;
    }

    /// Connects with these parameters to a cache of a source at this address.
    async fn connect_to(
        &self,
        source: std::net::SocketAddr,
        cache: &str,
        parameters: &str,
    ) -> crate::harness::Answer {
        let path = format!("/rest/v2/caches/c/rolling-upgrade/source-connection{parameters}");
        self.target.rest.post(&path, source_document(source, cache)).await
    }

    /// What the status says of the entries of the job.
    async fn counts(&self) -> serde_json::Value {
        self.target.rest.migration("c").await["job"]["entries"].clone()
    }

    async fn action(&self, action: &str) -> crate::harness::Answer {
        let path = format!("/rest/v2/caches/c/rolling-upgrade?action={action}");
        self.target.rest.post(&path, "").await
    }

    async fn disconnect(&self, parameters: &str) -> crate::harness::Answer {
        let path = format!("/rest/v2/caches/c/rolling-upgrade/source-connection{parameters}");
        self.target.rest.delete(&path).await
    }

    pub(super) async fn stop(self) {
        self.target.stop().await;
        self.source.stop().await;
    }
}

pub(super) fn key(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn value(number: u32) -> Vec<u8> {
    format!("value {number} {}", "v".repeat(number as usize % 100)).into_bytes()
}
