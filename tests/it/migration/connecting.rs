//! Connecting and letting go: all or nothing.

use client::RequestExpiration;
use http::Method;
use serde_json::json;

use super::{NEVER, Scene, key, value};
use crate::harness::{TestServer, source_document};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

/// Nothing is left of an attempt that failed.
async fn stands_alone(server: &TestServer) {
    server.rest.get(CONNECTION).await.with(404);
    server.rest.call(Method::HEAD, CONNECTION, &[], "").await.with(404);
    server.rest.delete(CONNECTION).await.with(304);
    let cache = server.client().await.cache("c").await.unwrap();
    assert_eq!(cache.get(b"unknown").await.unwrap(), None);
    cache.put(b"k", b"v", NEVER).await.unwrap();
    assert_eq!(server.rest.migration("c").await["state"], "DISCONNECTED");
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_and_nothing_is_left_behind() {
    let scene = Scene::new().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let text = scene
        .source
        .cache_of("text", r#"{"distributed-cache":{"encoding":{"media-type":"text/plain"}}}"#);
    text.await;
    let source = scene.source.address();
    for (document, part) in [
        (source_document(nobody, "c"), "cannot connect"),
        (source_document(source, "none"), "none"),
        (source_document(source, "text"), "text/plain"),
        (source_document(scene.target.address(), "c"), "itself"),
        ("{".to_owned(), "[1,2]"),
        (r#"{"remote-store": {"cache": "c"}}"#.to_owned(), "remote-server"),
        (r#"{"local-cache": {}}"#.to_owned(), "remote-store"),
    ] {
        let answer = scene.target.rest.post(CONNECTION, document.clone()).await.with(400);
        assert!(answer.text().contains(part), "{document}: {}", answer.text());
        stands_alone(&scene.target).await;
    }
    scene.target.rest.post(&CONNECTION.replace("/c/", "/none/"), "{}").await.with(404);
    scene.stop().await;
}

#[tokio::test]
async fn every_problem_is_said_at_once() {
    let scene = Scene::new().await;
    let source = scene.source.address();
    scene.source.cache_of(
        "text",
        r#"{"distributed-cache":{"encoding":{"key":{"media-type":"text/plain"},"value":{"media-type":"application/json"}}}}"#,
    ).await;
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let document = source_document(source, "text");
    let answer = scene.target.rest.call(Method::POST, CONNECTION, &headers, document).await;
    let problems = answer.with(400).json()["problems"].clone();
    assert!(problems.as_array().unwrap().len() >= 2, "{problems}");
    scene.stop().await;
}

#[tokio::test]
async fn a_connection_is_shown_with_its_password_hidden_and_made_once() {
    let scene = Scene::connected(1).await;
    let server = json!({ "host": "127.0.0.1", "port": scene.relay.address.port() });
    let shown = scene.target.rest.get(CONNECTION).await.with(200).json();
    assert_eq!(shown["remote-store"]["cache"], "c");
    assert_eq!(shown["remote-store"]["shared"], true);
    assert!(shown.to_string().contains(&server["port"].to_string()), "{shown}");
    let again = source_document(scene.relay.address, "c");
    scene.target.rest.post(CONNECTION, again).await.with(304);
    scene.disconnect("?force=true").await.with(200);
    scene.disconnect("").await.with(204);
    scene.target.rest.get(CONNECTION).await.with(404);
    scene.stop().await;
}

#[tokio::test]
async fn entries_that_were_here_before_are_kept() {
    let scene = Scene::new().await;
    scene.fill(10).await;
    scene.to.put(&key(1), b"was here", NEVER).await.unwrap();
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, 9);
    assert_eq!(scene.to.get(&key(1)).await.unwrap().as_deref(), Some(&b"was here"[..]));
    scene.stop().await;
}

#[tokio::test]
async fn nothing_is_read_from_a_source_that_was_let_go_of() {
    let scene = Scene::connected(100).await;
    assert!(scene.to.get(&key(0)).await.unwrap().is_some());
    scene.disconnect("?strict=true").await.with(409);
    scene.disconnect("").await.with(409);
    scene.disconnect("?force=true").await.with(200);
    let reads = scene.source.rest.get("/rest/v2/caches/c?action=stats").await.with(200).json();
    let before = (reads["hits"].clone(), reads["misses"].clone());
    assert_eq!(scene.to.get(&key(1)).await.unwrap(), None);
    assert_eq!(scene.to.size().await.unwrap(), 1);
    let reads = scene.source.rest.get("/rest/v2/caches/c?action=stats").await.with(200).json();
    assert_eq!((reads["hits"].clone(), reads["misses"].clone()), before);
    scene.stop().await;
}

#[tokio::test]
async fn verify_through_a_second_connection_brings_nothing_back() {
    let scene = Scene::connected(50).await;
    scene.target.synchronize("c").await;
    scene.to.remove(&key(0)).await.unwrap();
    scene.disconnect("").await.with(204);
    // Its tombstone is gone with the connection.
    scene.connect().await;
    let report = scene.action("verify&repair=true").await.with(200).json();
    assert_eq!((&report["missing"], &report["repaired"]), (&1.into(), &0.into()), "{report:#}");
    let listed = report["listed"].as_array().unwrap();
    let missing = listed.iter().find(|found| found["finding"] == "missing").unwrap();
    assert_eq!(missing["what"], "it may have been removed here");
    assert_eq!(scene.to.get(&key(0)).await.unwrap(), None);
    scene.stop().await;
}

#[tokio::test]
async fn a_second_connection_neither_brings_back_nor_overwrites() {
    let scene = Scene::connected(50).await;
    scene.target.synchronize("c").await;
    scene.to.remove(&key(0)).await.unwrap();
    scene.to.put(&key(1), b"mine", NEVER).await.unwrap();
    scene.disconnect("").await.with(204);
    scene.to.remove(&key(2)).await.unwrap();
    scene.to.put(&key(3), b"mine too", NEVER).await.unwrap();
    scene.connect().await;
    scene.target.synchronize("c").await;
    for number in [0, 2] {
        assert_eq!(scene.to.get(&key(number)).await.unwrap(), None, "{number} has come back");
    }
    assert_eq!(scene.to.get(&key(1)).await.unwrap().as_deref(), Some(&b"mine"[..]));
    assert_eq!(scene.to.get(&key(3)).await.unwrap().as_deref(), Some(&b"mine too"[..]));
    assert_eq!(scene.to.get(&key(4)).await.unwrap().unwrap(), value(4));
    scene.stop().await;
}

#[tokio::test]
async fn connecting_lets_no_entry_of_the_source_live_longer() {
    let scene = Scene::new().await;
    let idle = RequestExpiration { max_idle: client::Duration::Millis(600_000), ..NEVER };
    scene.from.put_all((0..100).map(|number| (key(number), value(number))), idle).await.unwrap();
    // Whoever asks for one of them finds nothing, and would refuse the source.
    scene.relay.hide_keys(true);
    scene.connect().await;
    scene.relay.hide_keys(false);
    assert_eq!(scene.target.synchronize("c").await, 100);
    scene.stop().await;
}

#[tokio::test]
async fn a_source_that_shows_keys_and_does_not_find_them_is_refused() {
    let scene = Scene::new().await;
    scene.fill(100).await;
    scene.relay.hide_keys(true);
    let refused = scene.connect_to(scene.relay.address, "c", "").await.with(400);
    let said = "8 of some that were tried, such as 'key ";
    assert!(refused.text().contains(said), "{}", refused.text());
    stands_alone(&scene.target).await;
    scene.relay.hide_keys(false);
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, 100);
    scene.stop().await;
}

#[tokio::test]
async fn a_version_that_cannot_name_formats_is_raised_whatever_the_cache_keeps() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    let config = r#"{"distributed-cache":{"statistics":true,"encoding":{"media-type":"application/x-protostream"}}}"#;
    let from = source.cache_of("c", config).await;
    from.put(b"\x4A\x01k", b"\x4A\x01v", NEVER).await.unwrap();
    let to = target.cache_of("c", config).await;
    for version in ["2.0", "2.5", "2.8", "2.9", "3.1"] {
        let mut document: serde_json::Value =
            serde_json::from_str(&source_document(source.address(), "c")).unwrap();
        document["remote-store"]["protocol-version"] = version.into();
        let fresh = format!("{CONNECTION}?fresh=true");
        let connected = target.rest.post(&fresh, document.to_string()).await.with(204);
        let notices = format!("{:?}", connected.headers);
        let raised = notices.contains(&format!("protocol-version {version} cannot name"));
        assert_eq!(raised, version < "2.9", "{version}: {notices}");
        let value = to.get(b"\x4A\x01k").await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"\x4A\x01v"[..]), "{version}");
        target.rest.delete(&format!("{CONNECTION}?force=true")).await.with(200);
    }
    target.stop().await;
    source.stop().await;
}
