//! Sources that look like the one that was connected: another process behind the same address, or another cache
//! under the same name. What they have is not taken for what was there.

use client::RemoteCache;
use serde_json::Value;

use super::{NEVER, Scene, key, value};
use crate::harness::{Faulty, OCTETS, TestServer, eventually};

/// A cache of which servers announce no topology.
const LOCAL: &str =
    r#"{"local-cache":{"statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

impl Scene {
    /// Another server that is reached over the same relay.
    pub(super) async fn twin(&self) -> TestServer {
        let address = self.relay.address;
        let advertised =
            config::Advertised { host: address.ip().to_string(), port: address.port() };
        TestServer::start_with(config::ServerFile {
            advertised: Some(advertised),
            ..config::ServerFile::default()
        })
        .await
    }

    /// Waits until a cache of the source has run for a second.
    async fn has_run(&self, cache: &str) {
        eventually("it has run for a second", || async {
            let path = format!("/rest/v2/caches/{cache}?action=stats");
            let stats = self.source.rest.get(&path).await.json();
            (stats["time_since_start"].as_u64()? >= 1).then_some(())
        })
        .await;
    }

    /// Nothing is copied or compared any more, and disconnecting is refused. Returns the status.
    async fn is_doubted(&self) -> Value {
        let answer = self.target.rest.post("/rest/v2/caches/c?action=sync-data", "").await;
        let verified = self.action("verify").await;
        let status = self.target.rest.migration("c").await;
        assert_eq!(answer.status, 500, "{}, {status:#}", answer.text());
        assert_eq!(verified.status, 409, "{}", verified.text());
        assert_ne!(status["state"], "VERIFIED", "{status:#}");
        self.disconnect("?strict=true").await.with(409);
        self.disconnect("").await.with(409);
        assert!(status["problem"].as_str().unwrap().contains("may be lost"), "{status:#}");
        status
    }
}

/// Writes more entries than the source has, most of them others, and reads them: everything that is counted of
/// the twin is more.
async fn fill_twin(twin: &RemoteCache) {
    twin.put_all((0..30).chain(1_000..1_600).map(|n| (key(n), value(n))), NEVER).await.unwrap();
    for _ in 0..40 {
        twin.get_all((0..700).map(key)).await.unwrap();
        twin.remove(&key(9_999)).await.unwrap();
    }
    twin.put(&key(3_000), b"v", NEVER).await.unwrap();
    twin.remove(&key(3_000)).await.unwrap();
}

#[tokio::test]
async fn a_twin_that_counts_more_is_not_taken_for_the_source() {
    for cut in [true, false] {
        // Both are started in the same second.
        let scene = Scene::new().await;
        let twin = scene.twin().await;
        let there = twin.cache("c").await;
        scene.fill(300).await;
        fill_twin(&there).await;
        scene.connect().await;
        scene.relay.lead_to(twin.address());
        if cut {
            scene.relay.cut();
        }
        // Otherwise only new connections, such as that of a walk, lead there.
        let status = scene.is_doubted().await;
        let problem = status["problem"].as_str().unwrap();
        assert!(problem.contains("is another one"), "{problem}");
        scene.stop().await;
        twin.stop().await;
    }
}

#[tokio::test]
async fn a_twin_without_a_topology_is_known_by_when_its_cache_was_started() {
    let scene = Scene::new().await;
    scene.source.client().await.remove_cache("c").await.unwrap();
    let twin = scene.twin().await;
    let from = scene.source.cache_of("c", LOCAL).await;
    from.put_all((0..300).map(|n| (key(n), value(n))), NEVER).await.unwrap();
    // Well within the three seconds that whole seconds and slow answers leave.
    scene.has_run("c").await;
    let there = twin.cache_of("c", LOCAL).await;
    fill_twin(&there).await;
    scene.connect().await;
    scene.relay.lead_to(twin.address());
    scene.relay.cut();
    scene.is_doubted().await;
    // The first one again: who has answered meanwhile is not forgotten.
    scene.relay.lead_to(scene.source.address());
    scene.relay.cut();
    scene.is_doubted().await;
    scene.action("accept-source-loss").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 300);
    scene.action("verify").await.with(200);
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
    twin.stop().await;
}

#[tokio::test]
async fn a_cache_that_is_created_anew_at_once_is_not_taken_for_the_one_before() {
    // With nothing, with less, with as many others, and with more.
    for others in [0, 10, 500, 600] {
        for copied in [false, true] {
            let scene = Scene::connected(500).await;
            if copied {
                assert_eq!(scene.target.synchronize("c").await, 500);
            }
            scene.has_run("c").await;
            scene.source.client().await.remove_cache("c").await.unwrap();
            let new = scene.source.cache_of("c", OCTETS).await;
            new.put_all((700..700 + others).map(|n| (key(n), value(n))), NEVER).await.unwrap();
            if copied {
                // Everything had been copied, and cannot be compared any more.
                let verified = scene.action("verify").await;
                let status = scene.target.rest.migration("c").await;
                assert_ne!(status["state"], "VERIFIED", "{others}: {status:#} {}", verified.text());
                scene.disconnect("?strict=true").await.with(409);
            } else {
                scene.is_doubted().await;
            }
            scene.stop().await;
        }
    }
}

#[tokio::test]
async fn statistics_that_are_reset_prove_nothing_and_the_text_says_so() {
    let scene = Scene::connected(200).await;
    scene.source.rest.post("/rest/v2/caches/c?action=stats-reset", "").await.with(204);
    let status = scene.is_doubted().await;
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("the statistics of the source at"), "{problem}");
    assert!(problem.contains("its counter stores went back from 200 to 0"), "{problem}");
    scene.action("accept-source-loss").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 200);
    scene.action("verify").await.with(200);
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn a_source_is_accepted_also_when_the_configured_server_has_gone() {
    let scene = Scene::new().await;
    scene.fill(200).await;
    // The source announces the relay of the scene, and is known by another one at first.
    let configured = Faulty::start(scene.source.address()).await;
    scene.connect_to(configured.address, "c", "").await.with(204);
    configured.refuse(true);
    configured.cut();
    scene.source.rest.post("/rest/v2/caches/c?action=stats-reset", "").await.with(204);
    scene.is_doubted().await;
    scene.action("accept-source-loss").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 200);
    scene.action("verify").await.with(200);
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}
