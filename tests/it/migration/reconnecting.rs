//! Connecting again: nothing that was removed comes back unless its operator accepts that.

use http::Method;

use super::{NEVER, Scene, key, lasting, value};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

impl Scene {
    /// Connecting again is refused, with a text that says this and how to go on all the same; and that is
    /// done then.
    async fn must_choose(&self, why: &str) {
        let refused = self.connect_to(self.relay.address, "c", "").await;
        let refused = refused.with(400).text().to_owned();
        assert!(refused.contains(why), "{refused}");
        assert!(refused.contains("--fresh") && refused.contains("fresh=true"), "{refused}");
        self.target.rest.get(CONNECTION).await.with(404);
        self.connect_to(self.relay.address, "c", "?fresh=true").await.with(204);
    }
}

impl Scene {
    async fn eventually_gone(&self, key: &[u8]) {
        crate::harness::eventually("its time is over", || async {
            self.to.get(key).await.unwrap().is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_source_under_another_name_is_not_taken_for_the_same_one() {
    let scene = Scene::connected(10).await;
    scene.to.remove(&key(0)).await.unwrap();
    scene.disconnect("?force=true").await.with(200);
    let port = scene.relay.address.port();
    for host in ["127.0.0.1", "localhost"] {
        let document = format!(
            r#"{{"remote-store": {{"cache": "c", "shared": true, "remote-server": [{{"host": "{host}", "port": {port}}}]}}}}"#
        );
        let refused = scene.target.rest.post(CONNECTION, document).await;
        let refused = refused.with(400).text().to_owned();
        assert!(refused.contains("--fresh"), "{host}: {refused}");
        assert_eq!(scene.to.get(&key(0)).await.unwrap(), None);
    }
    // The source itself, not by way of the relay.
    scene.connect_to(scene.source.address(), "c", "").await.with(400);
    assert_eq!(scene.to.get(&key(0)).await.unwrap(), None);
    scene.stop().await;
}

#[tokio::test]
async fn a_local_cache_is_known_by_its_address_alone() {
    // Of a local cache the source announces no servers, so that it is known by the name it is asked under.
    let scene = Scene::new().await;
    scene.source.cache_of("local", r#"{"local-cache": {"statistics": true, "encoding": {"media-type": "application/octet-stream"}}}"#).await;
    scene.connect_to(scene.relay.address, "local", "").await.with(204);
    scene.disconnect("?force=true").await.with(200);
    scene.connect_to(scene.relay.address, "local", "").await.with(204);
    scene.disconnect("?force=true").await.with(200);
    let refused = scene.connect_to(scene.source.address(), "local", "").await;
    let refused = refused.with(400).text().to_owned();
    assert!(refused.contains("not provably the source"), "{refused}");
    scene.stop().await;
}

#[tokio::test]
async fn only_the_last_source_is_continued() {
    let scene = Scene::connected(10).await;
    scene.source.cache("other").await;
    scene.disconnect("?force=true").await.with(200);
    let refused = scene.connect_to(scene.relay.address, "other", "").await;
    let refused = refused.with(400).text().to_owned();
    assert!(refused.contains("another cache"), "{refused}");
    scene.connect_to(scene.relay.address, "other", "?fresh=true").await.with(204);
    scene.disconnect("?force=true").await.with(200);
    scene.must_choose("another cache").await;
    scene.stop().await;
}

#[tokio::test]
async fn a_source_is_connected_again_and_again_while_nobody_changes_anything() {
    let scene = Scene::connected(50).await;
    for number in 0..3 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap().unwrap(), value(number));
        scene.disconnect("?force=true").await.with(200);
        // A read that finds nothing, or something, changes nothing.
        assert_eq!(scene.to.get(&key(number + 1)).await.unwrap(), None);
        scene.connect().await;
    }
    assert_eq!(scene.target.synchronize("c").await, 47);
    // What an earlier connection has brought in is still compared.
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((&report["same"], &report["changedHere"]), (&50.into(), &0.into()), "{report:#}");
    scene.stop().await;
}

#[tokio::test]
async fn a_removal_between_two_connections_counts_although_there_was_nothing_to_remove() {
    for conditional in [false, true] {
        let scene = Scene::connected(10).await;
        scene.disconnect("?force=true").await.with(200);
        if conditional {
            scene.to.remove_if_unmodified(&key(0), 7).await.unwrap();
        } else {
            let path = "/rest/v2/caches/c/key%200";
            scene.target.rest.call(Method::DELETE, path, &[], "").await.with(404);
        }
        scene.must_choose("removed, expired or evicted here since").await;
        assert!(scene.to.get(&key(0)).await.unwrap().is_some(), "its operator has accepted that");
        scene.stop().await;
    }
}

#[tokio::test]
async fn a_clear_between_two_connections_counts_although_the_cache_was_empty() {
    let scene = Scene::connected(10).await;
    scene.disconnect("?force=true").await.with(200);
    scene.to.clear().await.unwrap();
    scene.must_choose("removed, expired or evicted here since").await;
    scene.stop().await;
}

#[tokio::test]
async fn the_end_of_an_imported_entry_is_no_change_and_that_of_a_clients_own_is() {
    let scene = Scene::connected(10).await;
    scene.from.put(b"short", b"theirs", lasting(1_000)).await.unwrap();
    assert!(scene.to.get(b"short").await.unwrap().is_some());
    scene.disconnect("?force=true").await.with(200);
    scene.eventually_gone(b"short").await;
    scene.connect().await;
    scene.disconnect("?force=true").await.with(200);
    // An entry of a client's own that ended must not give way to an older one of the source.
    scene.from.put(b"mine", b"theirs", NEVER).await.unwrap();
    scene.to.put(b"mine", b"ours", lasting(50)).await.unwrap();
    scene.eventually_gone(b"mine").await;
    scene.must_choose("removed, expired or evicted here since").await;
    scene.stop().await;
}

#[tokio::test]
async fn a_write_between_two_connections_is_kept_and_needs_no_choice() {
    let scene = Scene::connected(10).await;
    scene.disconnect("?force=true").await.with(200);
    scene.to.put(&key(0), b"ours", NEVER).await.unwrap();
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, 9);
    assert_eq!(scene.to.get(&key(0)).await.unwrap().as_deref(), Some(&b"ours"[..]));
    scene.stop().await;
}

#[tokio::test]
async fn a_cache_that_is_made_anew_has_no_past() {
    let scene = Scene::connected(10).await;
    scene.to.remove(&key(0)).await.unwrap();
    scene.disconnect("?force=true").await.with(200);
    scene.target.rest.delete("/rest/v2/caches/c").await.with(200);
    scene.target.cache("c").await;
    scene.connect().await;
    scene.stop().await;
}

#[tokio::test]
async fn what_the_last_connection_has_copied_is_not_called_read_through() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(200_000);
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
    crate::harness::eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 300).then_some(())
    })
    .await;
    scene.disconnect("?force=true").await.with(200);
    scene.relay.slow_down(0);
    scene.connect().await;
    scene.target.synchronize("c").await;
    let here = scene.target.rest.migration("c").await["here"].clone();
    assert_eq!((&here["readThrough"], &here["copied"]), (&0.into(), &here["read"]), "{here:#}");
    scene.stop().await;
}

#[tokio::test]
async fn what_an_earlier_connection_brought_in_is_doubted_until_clients_have_rewritten_it() {
    let scene = Scene::connected(10).await;
    assert_eq!(scene.target.synchronize("c").await, 10);
    scene.disconnect("").await.with(204);
    scene.connect_to(scene.relay.address, "c", "?fresh=true").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 0);
    let verified = async || {
        let report = scene.action("verify").await.with(200).json();
        assert_eq!(report["differences"], 0, "{report:#}");
        let status = scene.target.rest.migration("c").await;
        (status["state"].as_str().unwrap().to_owned(), status["doubts"].to_string())
    };
    let (state, doubts) = verified().await;
    assert!(state == "SYNCED" && doubts.contains("10 entries count as changed"), "{doubts}");
    scene.disconnect("?strict=true").await.with(409);
    for number in 0..9 {
        scene.to.put(&key(number), b"ours", NEVER).await.unwrap();
    }
    let (state, doubts) = verified().await;
    assert!(state == "SYNCED" && doubts.contains("1 entry counts as changed"), "{doubts}");
    scene.to.remove(&key(9)).await.unwrap();
    assert_eq!(verified().await, ("VERIFIED".into(), "[]".into()));
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn what_the_source_gets_between_two_connections_is_not_taken_for_cleared() {
    let scene = Scene::connected(10).await;
    assert_eq!(scene.target.synchronize("c").await, 10);
    scene.to.clear().await.unwrap();
    scene.from.clear().await.unwrap();
    scene.disconnect("").await.with(204);
    scene.from.put(b"new", b"theirs", lasting(3_600_000)).await.unwrap();
    scene.connect().await;
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((&report["cleared"], &report["clearedOrLater"]), (&1.into(), &1.into()));
    assert_eq!(scene.target.rest.migration("c").await["state"], "SYNCED", "{report:#}");
    scene.disconnect("?strict=true").await.with(409);
    scene.stop().await;
}
