//! A source whose servers are started again, one after the other: as long as one of them goes on, it is the same.

use std::path::Path;

use serde_json::{Value, json};

use super::{NEVER, key, value};
use crate::harness::{Faulty, TestServer, eventually};

/// A cache of which servers announce no topology: clients know those that they are told.
const LOCAL: &str =
    r#"{"local-cache":{"statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

/// A server of the source, which is reached over a relay.
struct Member {
    server: TestServer,
    relay: Faulty,
}

impl Member {
    async fn new() -> Self {
        let relay = Faulty::start(([127, 0, 0, 1], 0).into()).await;
        let server = begun(&relay).await;
        Self { server, relay }
    }

    /// Another process takes its place.
    async fn start_again(&mut self) {
        let before = std::mem::replace(&mut self.server, begun(&self.relay).await);
        self.relay.cut();
        before.stop().await;
    }
}

/// A server with some entries, to which the relay leads from now on.
async fn begun(relay: &Faulty) -> TestServer {
    let server = TestServer::start().await;
    let cache = server.cache_of("c", LOCAL).await;
    cache.put_all((0..20).map(|n| (key(n), value(n))), NEVER).await.unwrap();
    relay.lead_to(server.address());
    server
}

/// A target whose source has these two servers.
async fn connected(data: &Path, members: &[Member; 2]) -> TestServer {
    let target = started(data).await;
    target.cache("c").await;
    let address = |member: &Member| {
        let address = member.relay.address;
        json!({ "host": address.ip().to_string(), "port": address.port() })
    };
    let servers = members.each_ref().map(address);
    let document =
        json!({ "remote-store": { "cache": "c", "shared": true, "remote-server": servers } });
    target.connect("c", &document.to_string()).await;
    target
}

async fn started(data: &Path) -> TestServer {
    let data_dir = Some(data.to_path_buf());
    TestServer::start_with(config::ServerFile { data_dir, ..config::ServerFile::default() }).await
}

/// Waits until the source is there, and returns the status. It was not taken for another one.
async fn reached(target: &TestServer) -> Value {
    eventually("the source is reached", || async {
        let status = target.rest.migration("c").await;
        let problem = status["problem"].as_str().unwrap_or_default();
        assert!(!problem.contains("may be lost"), "{status:#}");
        (status["source"]["reachable"] == true && status["problem"].is_null()).then_some(status)
    })
    .await
}

#[tokio::test]
async fn a_server_that_hangs_while_another_is_started_again_may_go_on() {
    let data = tempfile::tempdir().unwrap();
    let mut members = [Member::new().await, Member::new().await];
    let target = connected(data.path(), &members).await;
    members[1].relay.silence(true);
    members[0].start_again().await;
    eventually("the one that hangs is missed", || async {
        let status = target.rest.migration("c").await;
        assert_ne!(status["state"], "FAILED", "{status:#}");
        let answer = target.rest.get("/rest/v2/caches/c/x").await;
        assert_eq!(answer.status, 502, "nothing that the new one says is believed");
        status.to_string().contains("shows when").then_some(())
    })
    .await;
    members[1].relay.silence(false);
    reached(&target).await;
    assert_eq!(target.synchronize("c").await, 20);
    target.stop().await;
}

#[tokio::test]
async fn a_restart_knows_a_source_by_the_processes_that_have_come_since() {
    let data = tempfile::tempdir().unwrap();
    let mut members = [Member::new().await, Member::new().await];
    let target = connected(data.path(), &members).await;
    let stored = || -> u64 {
        let files = std::fs::read_dir(data.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let before = stored();
    members[0].start_again().await;
    eventually("the new process is recorded", || async { (stored() > before).then_some(()) }).await;
    members[1].start_again().await;
    target.stop().await;
    let target = started(data.path()).await;
    reached(&target).await;
    assert_eq!(target.synchronize("c").await, 20);
    target.stop().await;
}
