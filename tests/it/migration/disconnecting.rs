//! Disconnecting: what refuses it, what is said about it, and everything else that drops what a cache holds.

use http::Method;
use serde_json::{Value, json};

use super::{NEVER, Scene, key};
use crate::harness::{Answer, Rest, ServerProcess, TestServer, eventually, source_document};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

/// A refusal: short, and text.
fn reasons(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert!(answer.text().lines().count() <= 20, "{}", answer.text());
    assert!(answer.text().contains("?force=true"), "{}", answer.text());
    answer.text().lines().filter_map(|line| line.strip_prefix("- ")).collect()
}

fn notices(answer: &Answer) -> Vec<String> {
    let notices = answer.headers.get_all("godwit-notice").iter();
    notices.map(|notice| notice.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_way_to_disconnect_is_refused_while_entries_would_be_lost() {
    let scene = Scene::connected(100).await;
    let rest = &scene.target.rest;
    let incomplete = "0 of 256 source segments are complete: synchronize";
    for (method, path) in [
        (Method::DELETE, CONNECTION),
        (Method::DELETE, "/rest/v2/caches/c/rolling-upgrade/source-connection?strict=true"),
        (Method::POST, "/rest/v2/caches/c?action=disconnect-source"),
    ] {
        let answer = rest.call(method, path, &[], "").await;
        assert!(reasons(&answer).contains(&incomplete), "{path}: {}", answer.text());
    }
    let json_only = [("accept", "application/json")];
    let answer = rest.call(Method::DELETE, CONNECTION, &json_only, "").await.with(409).json();
    assert_eq!(answer, json!({ "blockers": [incomplete], "doubts": [] }));
    rest.delete(&format!("{CONNECTION}?force=true&strict=true")).await.with(400);
    rest.get(CONNECTION).await.with(200);

    let forced = scene.disconnect("?force=true").await.with(200);
    assert_eq!(forced.headers["content-type"], "text/plain");
    let left = "It left behind:\n- 0 of 256 source segments are complete\n";
    assert!(forced.text().ends_with(left), "{}", forced.text());
    assert_eq!(notices(&forced), ["no verification was run"]);
    let departure = rest.migration("c").await["disconnected"].clone();
    let expected = json!({
        "verified": false,
        "leftBehind": ["0 of 256 source segments are complete"],
        "notices": ["no verification was run"],
    });
    assert_eq!(departure, expected);
    let how = "it was disconnected before, by force, and has left behind: 0 of 256 source segments are complete";
    for parameters in ["", "?force=true"] {
        let again = scene.disconnect(parameters).await.with(204);
        assert_eq!((again.text(), notices(&again)), ("", vec![how.to_owned()]), "{parameters}");
    }
    let again = scene.disconnect("?strict=true").await.with(409);
    assert!(again.text().contains("not proven"), "{}", again.text());
    assert!(again.text().contains(how), "{}", again.text());
    rest.post("/rest/v2/caches/c?action=disconnect-source", "").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn what_nobody_has_verified_is_said_and_refused_only_if_asked() {
    let scene = Scene::connected(100).await;
    scene.target.synchronize("c").await;
    let refused = scene.disconnect("?strict=true").await;
    assert_eq!(reasons(&refused), ["no verification was run: verify compares every entry"]);
    let status = scene.target.rest.migration("c").await;
    assert_eq!((&status["canDisconnect"], &status["blockers"]), (&true.into(), &json!([])));
    assert_eq!(status["doubts"].as_array().unwrap().len(), 1, "{status:#}");
    let answer = scene.disconnect("").await.with(204);
    assert_eq!(notices(&answer), ["no verification was run"], "and none can be run any more");
    scene.stop().await;
}

#[tokio::test]
async fn a_verified_cache_is_disconnected_without_a_word() {
    let scene = Scene::connected(100).await;
    scene.target.synchronize("c").await;
    scene.action("verify").await.with(200);
    let answer = scene.disconnect("?strict=true").await.with(204);
    assert_eq!((answer.text(), notices(&answer)), ("", vec![]));
    for parameters in ["", "?strict=true"] {
        let again = scene.disconnect(parameters).await.with(204);
        assert_eq!(notices(&again), ["it was disconnected before, when it was VERIFIED"]);
    }
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["here"]["copied"], 100, "{status:#}");
    let departure = json!({ "verified": true, "leftBehind": [], "notices": [] });
    assert_eq!((&status["disconnected"], &status["neverConnected"]), (&departure, &Value::Null));
    scene.connect().await;
    assert_eq!(scene.target.rest.migration("c").await["disconnected"], Value::Null);
    scene.stop().await;
}

#[tokio::test]
async fn differences_and_whatever_still_runs_refuse() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(100_000);
    let path = "/rest/v2/caches/c?action=sync-data&async=true";
    scene.target.rest.post(path, "").await.with(202);
    let refused = scene.disconnect("").await;
    assert!(refused.text().contains("the synchronization is still running"), "{}", refused.text());
    scene.action("pause").await.with(204);
    let refused = eventually("it is paused", || async {
        let refused = scene.disconnect("").await;
        refused.text().contains("is paused: resume it").then_some(refused)
    })
    .await;
    assert_eq!(reasons(&refused).len(), 1, "{}", refused.text());
    let unverified = scene.action("verify").await.with(409);
    let paused =
        "not everything of cache c was copied yet: the synchronization is paused: resume it";
    assert!(unverified.text().contains(paused), "{}", unverified.text());
    scene.relay.slow_down(0);
    scene.action("resume").await.with(204);
    scene.target.synchronize("c").await;

    scene.from.put(&key(1), b"changed there", NEVER).await.unwrap();
    scene.relay.silence(true);
    scene.action("verify&async=true").await.with(202);
    let refused = scene.disconnect("").await;
    assert!(
        reasons(&refused)[0].starts_with("a verification is still running"),
        "{}",
        refused.text()
    );
    scene.relay.silence(false);
    scene.action("cancel").await.with(204);
    scene.action("verify").await.with(200);
    let refused = scene.disconnect("").await;
    assert!(
        reasons(&refused)[0].starts_with("verify has found 1 difference: "),
        "{}",
        refused.text()
    );
    let forced = scene.disconnect("?force=true").await.with(200);
    let left = "Cache c is disconnected from its source. It left behind:\n- verify has found 1 difference\n";
    assert_eq!(forced.text(), left, "nothing that can be done only before");
    scene.stop().await;
}

/// What the Kubernetes operator asks a target for: see its rolling upgrade. It takes every other answer for
/// a failure, and begins again with the first cache.
async fn operators_sync(rest: &Rest, caches: &[&str]) {
    for cache in caches {
        let path = |rest: &str| format!("/rest/v2/caches/{cache}{rest}");
        rest.post(&path("?action=sync-data"), "").await.with(200);
        rest.delete(&path("/rolling-upgrade/source-connection")).await.with(204);
    }
}

#[tokio::test]
async fn the_operators_sequence_passes_also_in_a_bounded_cache_and_again() {
    let source = TestServer::start().await;
    let target = TestServer::start().await;
    let bounded = r#"{"distributed-cache":{"memory":{"max-count":"50","when-full":"REMOVE"},"encoding":{"media-type":"application/octet-stream"}}}"#;
    let plain = r#"{"distributed-cache":{"encoding":{"media-type":"application/octet-stream"}}}"#;
    for (cache, config) in [("bounded", bounded), ("plain", plain)] {
        let from = source.cache(cache).await;
        let all = (0..300).map(|number| (key(number), b"v"));
        from.put_all(all, NEVER).await.unwrap();
        let path = |rest: &str| format!("/rest/v2/caches/{cache}{rest}");
        target.rest.call(Method::HEAD, &path("?action=config"), &[], "").await.with(404);
        target.rest.post(&path(""), config).await.with(200);
        let connection = path("/rolling-upgrade/source-connection");
        target.rest.call(Method::HEAD, &connection, &[], "").await.with(404);
        let mut document: Value =
            serde_json::from_str(&source_document(source.address(), cache)).unwrap();
        // One server, and not in a list.
        document["remote-store"]["remote-server"] =
            document["remote-store"]["remote-server"][0].clone();
        document["remote-store"]["segmented"] = false.into();
        target.rest.post(&connection, document.to_string()).await.with(204);
    }
    // Interrupted after the first cache, and begun again.
    let path = "/rest/v2/caches/bounded?action=sync-data";
    target.rest.post(path, "").await.with(200);
    let connection = "/rest/v2/caches/bounded/rolling-upgrade/source-connection";
    let answer = target.rest.delete(connection).await.with(204);
    let notices = notices(&answer);
    assert!(notices.iter().any(|notice| notice.contains("entries were evicted")), "{notices:?}");
    operators_sync(&target.rest, &["bounded", "plain"]).await;
    operators_sync(&target.rest, &["bounded", "plain"]).await;
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn a_cache_whose_source_does_not_know_what_clients_did_is_not_dropped_by_mistake() {
    let scene = Scene::connected(10).await;
    let cache = "/rest/v2/caches/c";
    scene.to.put(b"mine", b"v", NEVER).await.unwrap();
    let refused = scene.target.rest.delete(cache).await.with(409);
    assert_eq!(refused.headers["content-type"], "text/plain");
    assert!(refused.text().contains("DELETE /rest/v2/caches/c?force=true"), "{}", refused.text());
    let client = scene.target.client().await;
    let refused = client.remove_cache("c").await.unwrap_err().to_string();
    assert!(refused.contains("DELETE /rest/v2/caches/c?force=true"), "{refused}");
    assert_eq!(
        scene.to.get(b"mine").await.unwrap().as_deref(),
        Some(&b"v"[..]),
        "it is still here"
    );
    let dropped = scene.target.rest.delete(&format!("{cache}?force=true")).await.with(200);
    assert!(dropped.text().contains("Cache c was removed with 1 entries"), "{}", dropped.text());
    scene.target.rest.delete(cache).await.with(404);
    scene.stop().await;
}

#[tokio::test]
async fn a_cache_of_which_the_source_has_everything_is_dropped() {
    let scene = Scene::connected(10).await;
    assert!(scene.to.get(&key(0)).await.unwrap().is_some());
    scene.target.rest.delete("/rest/v2/caches/c").await.with(200);
    scene.stop().await;
    // And one that was disconnected is the operator's own.
    let scene = Scene::connected(10).await;
    scene.to.put(b"mine", b"v", NEVER).await.unwrap();
    scene.target.synchronize("c").await;
    scene.disconnect("").await.with(204);
    scene.target.client().await.remove_cache("c").await.unwrap();
    scene.stop().await;
}

#[tokio::test]
async fn stopping_a_server_says_what_is_lost_with_it() {
    let source = TestServer::start().await;
    let from = source.cache("c").await;
    from.put(b"k", b"v", NEVER).await.unwrap();
    for stop in ["/rest/v2/server?action=stop", "/rest/v2/cluster?action=stop"] {
        let target = ServerProcess::start(&[]).await;
        target.rest.post("/rest/v2/caches/c", crate::harness::OCTETS).await.with(200);
        target.rest.post(CONNECTION, source_document(source.address(), "c")).await.with(204);
        let shutdown = "/rest/v2/container?action=shutdown";
        let answer = target.rest.post(shutdown, "").await.with(204);
        assert_eq!(notices(&answer), Vec::<String>::new(), "the source has everything");
        let to = target.client().await.cache("c").await.unwrap();
        assert!(to.get(b"k").await.unwrap().is_some(), "it is here, and the source has it, too");
        to.put(b"mine", b"v", NEVER).await.unwrap();
        to.remove(b"other").await.unwrap();
        for path in [shutdown, stop] {
            let answer = target.rest.post(path, "").await.with(204);
            let [notice] = &notices(&answer)[..] else { panic!("{answer:?}") };
            assert!(notice.contains("what clients have written or removed"), "{notice}");
            assert!(
                notice.ends_with("(1 entry that the source may not have, 1 removed key)"),
                "{notice}"
            );
        }
        assert!(target.ended().await.success());
    }
    source.stop().await;
}
