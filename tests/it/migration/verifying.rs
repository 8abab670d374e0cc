//! Verifying: what is called by which name, that everything is counted once, and how it is steered.

use client::RequestExpiration;
use serde_json::Value;

use super::{NEVER, Scene, key, lasting};
use crate::harness::{OCTETS, TestServer, eventually};

const THROTTLE: &str = "/rest/v2/caches/c/rolling-upgrade?action=throttle";

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report:#}"))
}

/// Every entry that the source has is under one name.
fn adds_up(report: &Value) -> bool {
    let parts =
        ["same", "expired", "missing", "missingOrEvicted", "different", "changedHere", "cleared"];
    let sum: u64 = parts.iter().map(|name| number(report, name)).sum();
    sum == number(report, "compared")
        && number(report, "segmentsCompared") == number(report, "segments")
}

#[tokio::test]
async fn what_max_idle_keeps_alive_here_has_not_vanished() {
    let scene = Scene::new().await;
    scene.fill(50).await;
    let idle =
        RequestExpiration { max_idle: client::Duration::Millis(600_000), ..lasting(3_600_000) };
    for session in [b"session 1", b"session 2"] {
        scene.from.put(session, b"v", idle).await.unwrap();
    }
    scene.from.put(b"mortal", b"v", lasting(3_600_000)).await.unwrap();
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, 53);
    // As if nobody had used it at the source.
    scene.from.remove(b"session 1").await.unwrap();
    let report = scene.action("verify").await.with(200).json();
    assert!(adds_up(&report), "{report:#}");
    let found = ["compared", "same", "outlived", "vanished"].map(|name| number(&report, name));
    assert_eq!(found, [52, 52, 1, 0], "{report:#}");
    assert_eq!(number(&report, "sourceEntries"), 52);
    assert_eq!(scene.target.rest.migration("c").await["state"], "VERIFIED");

    // An hour before its end, only somebody can have removed it.
    scene.from.remove(b"mortal").await.unwrap();
    let report = scene.action("verify").await.with(200).json();
    let found = ["compared", "same", "outlived", "vanished"].map(|name| number(&report, name));
    assert_eq!(found, [51, 51, 1, 1], "{report:#}");
    assert_eq!(scene.target.rest.migration("c").await["state"], "SYNCED");
    scene.stop().await;
}

#[tokio::test]
async fn everything_is_counted_once_and_a_thousand_of_a_kind_are_listed() {
    let scene = Scene::connected(3_000).await;
    assert_eq!(scene.target.synchronize("c").await, 3_000);
    let late = (3_000..4_500).map(|number| (key(number), b"late"));
    scene.from.put_all(late, NEVER).await.unwrap();
    scene.from.put_all((0..100).map(|number| (key(number), b"other")), NEVER).await.unwrap();
    scene.to.put_all((100..300).map(|number| (key(number), b"mine")), NEVER).await.unwrap();
    for gone in 300..420 {
        scene.from.remove(&key(gone)).await.unwrap();
    }
    let expected = [
        ("compared", 4_380),
        ("same", 2_580),
        ("missing", 1_500),
        ("different", 100),
        ("changedHere", 200),
        ("vanished", 120),
        ("expired", 0),
    ];
    for threads in [1, 8] {
        let report = scene.action(&format!("verify&threads={threads}")).await.with(200).json();
        assert!(adds_up(&report), "{report:#}");
        for (name, expected) in expected {
            assert_eq!(number(&report, name), expected, "{name} with {threads} threads");
        }
        let listed = report["listed"].as_array().unwrap();
        let of = |kind: &str| listed.iter().filter(|one| one["finding"] == kind).count();
        assert_eq!((of("missing"), of("vanished"), listed.len()), (1_000, 120, 1_420));
    }
    let report = scene.action("verify&repair=true").await.with(200).json();
    assert_eq!(number(&report, "repaired"), 1_600, "{report:#}");
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((number(&report, "missing"), number(&report, "different")), (0, 0));
    scene.stop().await;
}

#[tokio::test]
async fn a_verification_is_throttled_paused_and_resumed() {
    let scene = Scene::connected(2_000).await;
    assert_eq!(scene.target.synchronize("c").await, 2_000);
    let verify = async || scene.target.rest.migration("c").await["verify"].clone();
    scene.relay.slow_down(50_000);
    scene.action("verify&async=true").await.with(202);
    scene.target.rest.post(THROTTLE, r#"{"entriesPerSecond": 1}"#).await.with(204);
    scene.action("pause").await.with(204);
    // Nobody knows for how long, so nobody waits for it.
    for action in ["verify", "verify&async=true", "verify&repair=true"] {
        let refused = scene.action(action).await.with(409);
        assert!(refused.text().contains("?action=resume"), "{}", refused.text());
    }
    eventually("it is paused", || async { (verify().await["paused"] == true).then_some(()) }).await;
    assert_eq!(verify().await["state"], "running");
    scene.relay.slow_down(0);
    scene.target.rest.post(THROTTLE, "{}").await.with(204);
    scene.action("resume").await.with(204);
    let report = eventually("it ends", || async {
        let report = verify().await;
        (report["state"] == "finished").then(|| report.clone())
    })
    .await;
    assert!(adds_up(&report), "{report:#}");
    assert_eq!((number(&report, "compared"), number(&report, "same")), (2_000, 2_000));
    // There is nothing to pause any more.
    scene.action("pause").await.with(409);
    scene.stop().await;
}

#[tokio::test]
async fn a_source_that_is_lost_meanwhile_is_compared_to_its_end_once() {
    let scene = Scene::connected(2_000).await;
    assert_eq!(scene.target.synchronize("c").await, 2_000);
    scene.relay.slow_down(100_000);
    scene.action("verify&async=true").await.with(202);
    eventually("something was compared", || async {
        let verify = scene.target.rest.migration("c").await["verify"].clone();
        (verify["compared"].as_u64()? > 0).then_some(())
    })
    .await;
    scene.relay.cut();
    scene.relay.slow_down(0);
    let report = scene.action("verify").await.with(200).json();
    assert!(adds_up(&report), "{report:#}");
    assert_eq!((number(&report, "compared"), number(&report, "same")), (2_000, 2_000));
    scene.stop().await;
}

#[tokio::test]
async fn a_source_without_a_topology_is_compared_as_one_unit() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    let local =
        OCTETS.replace("distributed-cache", "local-cache").replace("\"mode\":\"SYNC\",", "");
    let from = source.cache_of("c", &local).await;
    from.put_all((0..2_000).map(|number| (key(number), b"v")), NEVER).await.unwrap();
    let to = target.cache("c").await;
    target.connect("c", &source.as_source("c")).await;
    assert_eq!(to.get(&key(0)).await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(target.synchronize("c").await, 1_999);
    let here = target.rest.migration("c").await["here"].clone();
    let became = ["segments", "read", "copied", "readThrough"].map(|name| number(&here, name));
    assert_eq!(became, [1, 2_000, 1_999, 1], "{here:#}");
    from.put(b"late", b"v", NEVER).await.unwrap();
    from.remove(&key(7)).await.unwrap();
    let path = "/rest/v2/caches/c/rolling-upgrade?action=verify&threads=4";
    let report = target.rest.post(path, "").await.with(200).json();
    assert!(adds_up(&report), "{report:#}");
    let found = ["compared", "same", "missing", "vanished"].map(|name| number(&report, name));
    assert_eq!(found, [2_000, 1_999, 1, 1], "{report:#}");
    target.stop().await;
    source.stop().await;
}
