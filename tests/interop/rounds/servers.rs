//! The processes of a round: a source, and a target that is started again, both with clocks of their own.

use std::net::SocketAddr;

use client::{Client, RemoteCache};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    FakeClock, OCTETS, ServerProcess,
    infinispan::{Infinispan, Setup, Version, cache_element, free_port},
};

/// Where the entries come from.
pub(super) enum Source {
    /// Our own server.
    Godwit { process: ServerProcess, clock: FakeClock, _folder: TempDir },
    /// A real server, whose clock is not set while it runs: its entries would end.
    Infinispan(Infinispan),
}

impl Source {
    /// A source with a cache of this name.
    pub(super) async fn start(real: bool, cache: &str, ahead: i64) -> Self {
        if real {
            let element = cache_element(cache, "application/octet-stream", "");
            let setup = Setup { clock: Some(ahead), ..Setup::new(Version::V16, element) };
            return Self::Infinispan(Infinispan::start(setup).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let clock = FakeClock::in_folder(folder.path());
        clock.set(ahead);
        let process = ServerProcess::start_with_clock(&[], &clock).await;
        let path = format!("/rest/v2/caches/{cache}");
        process.rest.post(&path, OCTETS).await.with(200);
        Self::Godwit { process, clock, _folder: folder }
    }

    pub(super) async fn cache(&self, name: &str) -> RemoteCache {
        match self {
            Self::Godwit { process, .. } => process.client().await.cache(name).await.unwrap(),
            Self::Infinispan(server) => server.cache(name).await,
        }
    }

    /// How a target is told to take the cache from here, under this name of the host.
    pub(super) fn document(&self, cache: &str, host: &str) -> String {
        let mut document = match self {
            Self::Godwit { process, .. } => of_godwit(process.address, cache),
            Self::Infinispan(server) => server.document(cache),
        };
        document["remote-store"]["remote-server"][0]["host"] = host.into();
        document.to_string()
    }

    /// Somebody sets its clock. Nothing follows for our own server, whose time goes on.
    pub(super) fn set_clock(&self, ahead: i64) {
        if let Self::Godwit { clock, .. } = self {
            clock.set(ahead);
        }
    }

    /// Stops it in its tracks, or lets it go on.
    pub(super) async fn freeze(&self, frozen: bool) {
        match self {
            Self::Godwit { process, .. } => {
                process.signal(if frozen { "STOP" } else { "CONT" }).await;
            }
            Self::Infinispan(server) => server.freeze(frozen).await,
        }
    }

    /// Ends it for good.
    pub(super) async fn end(self) {
        match self {
            Self::Godwit { process, .. } => process.kill().await,
            Self::Infinispan(mut server) => server.kill().await,
        }
    }
}

fn of_godwit(address: SocketAddr, cache: &str) -> Value {
    let server = json!({ "host": address.ip().to_string(), "port": address.port() });
    json!({ "remote-store": { "cache": cache, "shared": true, "remote-server": [server] } })
}

/// The server that takes over.
pub(super) struct Target {
    pub(super) process: ServerProcess,
    port: String,
    clock: FakeClock,
    data: TempDir,
}

impl Target {
    pub(super) async fn start(ahead: i64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = FakeClock::in_folder(data.path());
        clock.set(ahead);
        let port = free_port().to_string();
        let process = process(&port, &data, &clock).await;
        Self { process, port, clock, data }
    }

    /// Ends it, and starts it again under another clock. Its entries are gone, what it has written down is not.
    pub(super) async fn start_again(self, kill: bool, ahead: i64) -> Self {
        let Self { process: ended, port, clock, data } = self;
        if kill {
            ended.kill().await;
        } else {
            ended.terminate().await;
        }
        clock.set(ahead);
        let process = process(&port, &data, &clock).await;
        Self { process, port, clock, data }
    }

    pub(super) async fn client(&self) -> Client {
        self.process.client().await
    }
}

async fn process(port: &str, data: &TempDir, clock: &FakeClock) -> ServerProcess {
    let data = data.path().join("data");
    let data = data.to_str().unwrap();
    ServerProcess::start_with_clock(&["--port", port, "--data-dir", data], clock).await
}
