//! Verifying: what is called by which name, that everything is counted once, and how it is steered.

use client::RequestExpiration;
use serde_json::{Value, json};

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
async fn what_is_removed_at_the_source_while_it_is_compared_is_no_reason_to_doubt_it() {
    let scene = Scene::connected(100).await;
    assert_eq!(scene.target.synchronize("c").await, 100);
    let newer = || (1_000..2_000).map(key);
    scene.from.put_all(newer().map(|key| (key, b"v")), NEVER).await.unwrap();
    scene.relay.hold_walks(true);
    scene.action("verify&async=true").await.with(202);
    // The walk shows some that a client of the source removes before the source is asked for them.
    eventually("a walk is held", || async { (scene.relay.held() > 0).then_some(()) }).await;
    for key in newer() {
        scene.from.remove(&key).await.unwrap();
    }
    scene.relay.hold_walks(false);
    let report = eventually("everything is compared", || async {
        let status = scene.target.rest.migration("c").await;
        let report = status["verify"].clone();
        (report["state"] != "running").then_some((status, report))
    });
    let (status, report) = report.await;
    assert!(number(&report, "expired") > 0, "{report:#}");
    assert_eq!((number(&report, "notFound"), &report["doubt"]), (0, &Value::Null), "{report:#}");
    assert!(adds_up(&report), "{report:#}");
    assert_eq!(status["state"], "VERIFIED", "{status:#}");
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn what_the_source_shows_and_does_not_find_is_a_reason_to_doubt_it() {
    let scene = Scene::connected(100).await;
    assert_eq!(scene.target.synchronize("c").await, 100);
    scene.from.put_all((1_000..1_003).map(|n| (key(n), b"v")), NEVER).await.unwrap();
    scene.from.put_all((2_000..2_002).map(|n| (key(n), b"v")), lasting(3_600_000)).await.unwrap();
    scene.relay.hide_keys(true);
    let report = scene.action("verify").await.with(200).json();
    let found = ["notFound", "missing"].map(|name| number(&report, name));
    assert_eq!(found, [5, 0], "{report:#}");
    assert!(report["doubt"].is_string() && adds_up(&report), "{report:#}");
    assert_eq!(scene.target.rest.migration("c").await["state"], "SYNCED");
    scene.disconnect("?strict=true").await.with(409);
    scene.relay.hide_keys(false);
    let report = scene.action("verify").await.json();
    let found = ["notFound", "missing"].map(|name| number(&report, name));
    assert_eq!(found, [0, 5], "{report:#}");
    scene.stop().await;
}

#[tokio::test]
async fn what_max_idle_keeps_alive_here_has_not_vanished() {
    let scene = Scene::new().await;
    scene.fill(50).await;
    let idle = |millis| RequestExpiration {
        max_idle: client::Duration::Millis(millis),
        ..lasting(3_600_000)
    };
    // Longer than any machine stands still.
    scene.from.put(b"session 1", b"v", idle(10_000)).await.unwrap();
    scene.from.put(b"session 2", b"v", idle(600_000)).await.unwrap();
    scene.from.put(b"mortal", b"v", lasting(3_600_000)).await.unwrap();
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, 53);
    // Nobody uses it at the source.
    eventually("it has ended there", || async {
        assert!(scene.to.get(b"session 1").await.unwrap().is_some(), "it is used here");
        (scene.from.size().await.unwrap() == 52).then_some(())
    })
    .await;
    let report = scene.action("verify").await.with(200).json();
    assert!(adds_up(&report), "{report:#}");
    let names = ["compared", "same", "outlived", "vanished"];
    let found = |report: &Value| names.map(|name| number(report, name));
    assert_eq!(found(&report), [52, 52, 1, 0], "{report:#}");
    assert_eq!(number(&report, "sourceEntries"), 52);
    assert_eq!(scene.target.rest.migration("c").await["state"], "VERIFIED");

    // Long before their ends, only somebody can have removed them, although they are used here.
    for (vanished, key) in [b"session 2".as_slice(), b"mortal"].into_iter().enumerate() {
        assert!(scene.to.get(key).await.unwrap().is_some());
        assert!(scene.to.get(b"session 1").await.unwrap().is_some());
        scene.from.remove(key).await.unwrap();
        let report = scene.action("verify").await.with(200).json();
        let (vanished, left) = (vanished as u64 + 1, 51 - vanished as u64);
        assert_eq!(found(&report), [left, left, 1, vanished], "{report:#}");
        assert_eq!(scene.target.rest.migration("c").await["state"], "SYNCED");
    }
    scene.disconnect("").await.with(409);
    scene.stop().await;
}

#[tokio::test]
async fn sessions_whose_clients_have_moved_do_not_refuse_a_strict_disconnect() {
    const SESSIONS: u32 = 100;
    let scene = Scene::new().await;
    let idle = RequestExpiration { max_idle: client::Duration::Millis(10_000), ..NEVER };
    scene.connect().await;
    scene.from.put_all((0..SESSIONS).map(|number| (key(number), b"session")), idle).await.unwrap();
    assert_eq!(scene.target.synchronize("c").await, u64::from(SESSIONS));
    let all = || (0..SESSIONS).map(key);
    eventually("all have ended there", || async {
        assert_eq!(scene.to.get_all(all()).await.unwrap().len(), SESSIONS as usize, "used here");
        (scene.from.size().await.unwrap() == 0).then_some(())
    })
    .await;
    // Until it is certain, whatever the clocks say.
    eventually("it is verified", || async {
        scene.to.get_all(all()).await.unwrap();
        let report = scene.action("verify").await.with(200).json();
        let found = ["outlived", "vanished"].map(|name| number(&report, name));
        assert_eq!(found, [u64::from(SESSIONS), 0], "{report:#}");
        let doubt = report["doubt"].as_str().unwrap_or("none");
        (doubt == "none" || !doubt.contains("lost")).then_some(())
    })
    .await;
    assert_eq!(scene.target.rest.migration("c").await["state"], "VERIFIED");
    scene.disconnect("?strict=true").await.with(204);
    assert_eq!(scene.to.get_all(all()).await.unwrap().len(), SESSIONS as usize);
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
async fn a_verification_begins_at_the_rates_that_it_is_given() {
    let scene = Scene::connected(2_000).await;
    assert_eq!(scene.target.synchronize("c").await, 2_000);
    scene.action("verify&entries-per-second=0").await.with(400);
    let begin = "verify&async=true&entries-per-second=1";
    let begun = scene.action(begin).await.with(202).json();
    let throttle = json!({ "entriesPerSecond": 1, "bytesPerSecond": null });
    assert_eq!(begun["verify"]["throttle"], throttle);
    let joined = scene.action("verify&async=true&threads=3&bytes-per-second=9").await.with(202);
    let notice = joined.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("the verification of cache c was running already"), "{notice}");
    assert!(notice.contains("without threads 3:"), "{notice}");
    let throttle = json!({ "entriesPerSecond": null, "bytesPerSecond": 9 });
    assert_eq!(joined.json()["verify"]["throttle"], throttle);
    // A paused one is named as what it is.
    scene.action("pause").await.with(204);
    eventually("it is paused", || async {
        let status = scene.target.rest.migration("c").await;
        (status["verify"]["paused"] == true).then_some(())
    })
    .await;
    let refused = scene.disconnect("").await.with(409);
    assert!(refused.text().contains("a verification is paused: resume"), "{}", refused.text());
    scene.target.rest.post(THROTTLE, "{}").await.with(204);
    scene.action("resume").await.with(204);
    eventually("it ends", || async {
        let status = scene.target.rest.migration("c").await;
        (status["verify"]["state"] == "finished").then_some(())
    })
    .await;
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

#[tokio::test]
async fn what_the_source_gets_after_a_clear_does_not_count_as_cleared() {
    let scene = Scene::connected(20).await;
    assert_eq!(scene.target.synchronize("c").await, 20);
    scene.from.put(b"old", b"v", lasting(3_600_000)).await.unwrap();
    scene.to.clear().await.unwrap();
    let status = scene.target.rest.migration("c").await;
    assert!(status["doubts"].to_string().contains("a client has cleared"), "{status:#}");
    // Clients that have not moved yet. This says when it was created, the others do not.
    scene.from.put_all((20..30).map(|number| (key(number), b"late")), NEVER).await.unwrap();
    let names = ["compared", "cleared", "clearedOrLater", "missing"];
    let found = |report: &Value| names.map(|name| number(report, name));
    let report = scene.action("verify").await.with(200).json();
    assert!(adds_up(&report), "{report:#}");
    let [compared, cleared, unsure, missing] = found(&report);
    assert_eq!((compared, cleared + missing), (31, 31), "{report:#}");
    // How many of them the source had is asked for meanwhile: the more it had, the fewer are surely missing.
    assert!(unsure + missing >= 30 && missing <= 10, "{report:#}");
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    scene.disconnect("?strict=true").await.with(409);

    // Far later by its own instant than the clear.
    eventually("it is later than the clocks are uncertain", || async {
        scene.from.put(b"later", b"v", lasting(3_600_000)).await.unwrap();
        let report = scene.action("verify&repair=true").await.with(200).json();
        let listed = report["listed"].as_array().unwrap();
        let is_later = |one: &Value| one["key"] == "later" && one["finding"] == "missing";
        listed.iter().find(|one| is_later(one)).map(|one| assert_eq!(one["repaired"], false))
    })
    .await;
    let text = scene.disconnect("").await.with(409).text().to_owned();
    assert!(text.contains("1 difference") || text.contains("differences"), "{text}");

    // Nobody needs what the source has.
    scene.from.clear().await.unwrap();
    let report = scene.action("verify").await.with(200).json();
    assert_eq!(found(&report), [0, 0, 0, 0], "{report:#}");
    assert_eq!(scene.target.rest.migration("c").await["state"], "VERIFIED");
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn a_clear_does_not_refuse_a_plain_disconnect_and_is_told() {
    let scene = Scene::connected(20).await;
    assert_eq!(scene.target.synchronize("c").await, 20);
    scene.to.clear().await.unwrap();
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((number(&report, "cleared"), number(&report, "clearedOrLater")), (20, 20));
    let text = scene.disconnect("?strict=true").await.with(409).text().to_owned();
    assert!(text.contains("20 entries of the source are not here because a client"), "{text}");
    let answer = scene.disconnect("").await;
    let notice = answer.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("because a client has cleared the cache"), "{notice}");
    answer.with(204);
    scene.stop().await;
}
