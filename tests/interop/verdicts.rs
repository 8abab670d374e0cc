//! Verdicts on sources that are not what they seem: caches that are created anew, keys in segments that are not
//! theirs, entries that have ended and still lie there, and removals that are no longer remembered.

use std::ops::Range;

use client::{Bytes, Item, Iterate, RemoteCache, RequestExpiration};
use serde_json::Value;

use crate::harness::{
    TestServer, eventually,
    infinispan::{Infinispan, Setup, Version, cache_element},
    note,
};

const OCTETS: &str = "application/octet-stream";

const NEVER: RequestExpiration = RequestExpiration::NEVER;

fn path(cache: &str, rest: &str) -> String {
    format!("/rest/v2/caches/{cache}{rest}")
}

fn key(prefix: &str, number: u32) -> Vec<u8> {
    format!("{prefix}-{number}").into_bytes()
}

async fn fill(cache: &RemoteCache, prefix: &str, entries: u32) {
    cache.put_all((0..entries).map(|number| (key(prefix, number), b"v")), NEVER).await.unwrap();
}

async fn verify(target: &TestServer, cache: &str) -> Value {
    let verify = path(cache, "/rolling-upgrade?action=verify");
    let report = target.rest.post(&verify, "").await.with(200).json();
    assert_eq!(report["state"], "finished", "{report:#}");
    report
}

/// Entries that have ended are not counted by the source, so that they leave no doubt.
async fn ended_entries_leave_no_doubt(version: Version) {
    let source = Infinispan::start(Setup::new(version, cache_element("c", OCTETS, ""))).await;
    let from = source.cache("c").await;
    let second = RequestExpiration { lifespan: client::Duration::Millis(1_000), ..NEVER };
    from.put_all((0..200).map(|number| (key("short", number), b"v")), second).await.unwrap();
    fill(&from, "long", 50).await;
    eventually("the short ones have ended", || async {
        from.get(&key("short", 199)).await.unwrap().is_none().then_some(())
    })
    .await;
    let target = TestServer::start().await;
    target.cache("c").await;
    target.connect("c", &source.document("c").to_string()).await;
    assert_eq!(target.synchronize("c").await, 50);
    let report = verify(&target, "c").await;
    assert_eq!((&report["compared"], &report["sourceEntries"]), (&50.into(), &50.into()));
    assert_eq!(report["doubt"], Value::Null, "{report:#}");
    let strict = path("c", "/rolling-upgrade/source-connection?strict=true");
    target.rest.delete(&strict).await.with(204);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_entries_of_14_leave_no_doubt() {
    ended_entries_leave_no_doubt(Version::V14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_entries_of_16_leave_no_doubt() {
    ended_entries_leave_no_doubt(Version::V16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_was_created_anew_is_another_source() {
    const ENTRIES: u32 = 4_000;
    let source = Infinispan::start(Setup::new(Version::V16, cache_element("c", OCTETS, ""))).await;
    let from = source.cache("c").await;
    fill(&from, "key", ENTRIES).await;
    // When it was created is known to a few seconds.
    eventually("it has been running for some time", || async {
        let running = from.stats().await.unwrap().number("timeSinceStart");
        (running >= Some(5)).then_some(())
    })
    .await;
    let target = TestServer::start().await;
    let to = target.cache("c").await;
    target.connect("c", &source.document("c").to_string()).await;
    target.rest.post(&path("c", "?action=sync-data&async=true"), "").await.with(202);
    let slow = r#"{"entriesPerSecond":500}"#;
    target.rest.post(&path("c", "/rolling-upgrade?action=throttle"), slow).await.with(204);
    eventually("something came", || async {
        let status = target.rest.migration("c").await;
        (status["job"]["entries"]["written"].as_u64()? > 500).then_some(())
    })
    .await;
    let client = source.client().await;
    client.remove_cache("c").await.unwrap();
    let config = r#"{"distributed-cache":{"mode":"SYNC","statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;
    client.create_cache("c", config).await.unwrap();
    let status = eventually("that is noticed", || async {
        let status = target.rest.migration("c").await;
        (status["state"] == "FAILED" && status["job"]["state"] == "failed").then_some(status)
    })
    .await;
    assert!(status["problem"].as_str().unwrap().contains("its cache was removed"), "{status:#}");
    target.rest.delete(&path("c", "/rolling-upgrade/source-connection")).await.with(409);
    to.get(&key("key", ENTRIES + 1)).await.unwrap_err();
    note(format_args!("created anew after {} entries", status["job"]["entries"]["written"]));
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_segments_that_are_not_theirs_are_copied_and_verified() {
    const ENTRIES: u32 = 3_000;
    let element = |name: &str| {
        cache_element(name, OCTETS, "")
            .replace("<distributed-cache ", r#"<distributed-cache key-partitioner="Placement" "#)
    };
    let elements = ["near", "far", "few", "late", "clean"].map(element).concat();
    let setup = Setup { classes: Some("Placement"), ..Setup::new(Version::V16, elements) };
    let source = Infinispan::start(setup).await;
    let target = TestServer::start().await;
    let connect = async |cache: &str| {
        let to = target.cache(cache).await;
        target.connect(cache, &source.document(cache).to_string()).await;
        let source = target.rest.migration(cache).await["source"].clone();
        (to, source["segments"].as_u64().unwrap())
    };

    // Where all keys are elsewhere, or some of few, that is seen at once.
    for (cache, prefix, entries) in [("near", "near", ENTRIES), ("far", "far", ENTRIES)] {
        fill(&source.cache(cache).await, prefix, entries).await;
        let (to, segments) = connect(cache).await;
        assert_eq!(segments, 1, "{cache}");
        assert_eq!(target.synchronize(cache).await, u64::from(entries));
        let report = verify(&target, cache).await;
        assert_eq!((&report["same"], &report["differences"]), (&entries.into(), &0.into()));
        assert_eq!(to.size().await.unwrap(), u64::from(entries));
        assert_eq!(target.rest.migration(cache).await["state"], "VERIFIED");
    }
    let few = source.cache("few").await;
    fill(&few, "key", 20).await;
    fill(&few, "near", 1).await;
    let (_, segments) = connect("few").await;
    assert_eq!(segments, 1);

    // Keys that come while it is copied, and afterwards.
    for (cache, prefix) in [("late", "far"), ("clean", "near")] {
        let from = source.cache(cache).await;
        fill(&from, "key", ENTRIES).await;
        let (to, segments) = connect(cache).await;
        assert_eq!(segments, 256, "{cache}");
        fill(&from, prefix, 500).await;
        assert_eq!(target.synchronize(cache).await, u64::from(ENTRIES) + 500);
        for number in 0..500 {
            assert!(to.get(&key(prefix, number)).await.unwrap().is_some(), "{cache} {number}");
        }
        fill(&from, "far-again", 7).await;
        let report = verify(&target, cache).await;
        let counts = ["compared", "same", "missing", "vanished"].map(|name| report[name].as_u64());
        let all = u64::from(ENTRIES) + 500;
        assert_eq!(counts, [Some(all + 7), Some(all), Some(7), Some(0)], "{cache}: {report:#}");
        let repair = path(cache, "/rolling-upgrade?action=verify&repair=true");
        let report = target.rest.post(&repair, "").await.with(200).json();
        assert_eq!((&report["repaired"], &report["differences"]), (&7.into(), &0.into()));
        verify(&target, cache).await;
        assert_eq!(target.rest.migration(cache).await["state"], "VERIFIED");
    }
    target.stop().await;
}

/// Keys that the source has in these segments of a cache.
async fn keys_in(cache: &RemoteCache, segments: Range<u32>) -> Vec<Bytes> {
    let segments = Some(segments.collect());
    let iterate = Iterate { segments, keys_only: true, batch: 1_000, ..Iterate::default() };
    let mut iteration = cache.iterate(iterate).await.unwrap();
    let mut keys = Vec::new();
    while let Some(item) = iteration.next().await.unwrap() {
        if let Item::Entry { key, .. } = item {
            keys.push(key);
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_segment_that_is_not_its_own_is_not_absent_before_it_is_found() {
    const ENTRIES: u32 = 4_000;
    let element = |name: &str| {
        cache_element(name, OCTETS, "")
            .replace("<distributed-cache ", r#"<distributed-cache key-partitioner="Placement" "#)
    };
    let elements = ["c", "probe"].map(element).concat();
    let setup = Setup { classes: Some("Placement"), ..Setup::new(Version::V16, elements) };
    let source = Infinispan::start(setup).await;
    let (from, probe) = (source.cache("c").await, source.cache("probe").await);
    fill(&from, "key", ENTRIES).await;
    let target = TestServer::start().await;
    let to = target.cache("c").await;
    let rest = &target.rest;
    target.connect("c", &source.document("c").to_string()).await;
    // By their hash they belong in the first segments, and are half of all segments away.
    fill(&probe, "far", 500).await;
    let far = keys_in(&probe, 128..144).await;
    assert!(far.len() >= 10, "{} of 500 keys", far.len());
    from.put_all(far.iter().map(|key| (key, b"theirs")), NEVER).await.unwrap();

    rest.post(&path("c", "?action=sync-data&async=true"), "").await.with(202);
    let throttle = path("c", "/rolling-upgrade?action=throttle");
    rest.post(&throttle, r#"{"entriesPerSecond":500}"#).await.with(204);
    let complete = async || rest.migration("c").await["source"]["segmentsComplete"].as_u64();
    eventually("the first segments are complete", || async {
        (complete().await? >= 40).then_some(())
    })
    .await;
    rest.post(&path("c", "/rolling-upgrade?action=pause"), "").await.with(204);
    let before = complete().await.unwrap();
    assert!(before < 120, "{before} segments: too late for the keys not to be found");
    let (read, written) = far.split_at(far.len() / 2);
    for key in read {
        assert_eq!(to.get(key).await.unwrap().as_deref(), Some(&b"theirs"[..]));
    }
    for key in written {
        let put = to.put_if_absent(key, b"ours", NEVER).await.unwrap();
        assert!(!put.is_done(), "the source has it");
    }
    assert_eq!(to.get(b"nowhere").await.unwrap(), None);
    let status = rest.migration("c").await;
    assert_eq!(status["source"]["segments"], 256, "it is not known yet: {status:#}");

    rest.post(&throttle, "{}").await.with(204);
    rest.post(&path("c", "/rolling-upgrade?action=resume"), "").await.with(204);
    let status = eventually("it has ended", || async {
        let status = rest.migration("c").await;
        (status["job"]["state"] == "finished").then_some(status)
    })
    .await;
    assert_eq!(status["source"]["segments"], 1, "{status:#}");
    let report = verify(&target, "c").await;
    let counts = ["compared", "same", "differences"].map(|name| report[name].as_u64());
    let all = u64::from(ENTRIES) + far.len() as u64;
    assert_eq!(counts, [Some(all), Some(all), Some(0)], "{report:#}");
    target.stop().await;
}

/// What is said where entries have ended here that the source may still have.
const FORGOTTEN: &str = "not all of the keys that were removed here are remembered";

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_becomes_one_unit_after_entries_have_ended_is_copied_only_anew() {
    const ENTRIES: u32 = 4_000;
    const OWN: u32 = 500;
    let element = cache_element("c", OCTETS, "")
        .replace("<distributed-cache ", r#"<distributed-cache key-partitioner="Placement" "#);
    let setup = Setup { classes: Some("Placement"), ..Setup::new(Version::V16, element) };
    let source = Infinispan::start(setup).await;
    let from = source.cache("c").await;
    fill(&from, "key", ENTRIES).await;
    let target = TestServer::start().await;
    let to = target.cache("c").await;
    let (rest, document) = (&target.rest, source.document("c").to_string());
    target.connect("c", &document).await;
    let throttle = path("c", "/rolling-upgrade?action=throttle");
    rest.post(&path("c", "?action=sync-data&async=true"), "").await.with(202);
    rest.post(&throttle, r#"{"entriesPerSecond":500}"#).await.with(204);
    eventually("some segments are complete", || async {
        let status = rest.migration("c").await;
        (status["source"]["segmentsComplete"].as_u64()? > 20).then_some(())
    })
    .await;
    rest.post(&path("c", "/rolling-upgrade?action=pause"), "").await.with(204);

    // Clients' own entries that end. Where everything of the source is here, nothing of them stays.
    let short = RequestExpiration { lifespan: client::Duration::Millis(100), ..NEVER };
    to.put_all((0..OWN).map(|number| (key("own", number), b"v")), short).await.unwrap();
    for number in 0..OWN {
        eventually("it ends", || async {
            to.get(&key("own", number)).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    // The source gets the same keys, in segments where they do not belong, and more such keys.
    fill(&from, "own", OWN).await;
    fill(&from, "far", 300).await;
    rest.post(&throttle, "{}").await.with(204);
    rest.post(&path("c", "/rolling-upgrade?action=resume"), "").await.with(204);
    let status = eventually("it has failed", || async {
        let status = rest.migration("c").await;
        (status["job"]["state"] == "failed").then_some(status)
    })
    .await;
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains(FORGOTTEN) && problem.contains("--fresh"), "{problem}");
    assert_eq!((&status["state"], &status["canDisconnect"]), (&"FAILED".into(), &false.into()));
    let mut refused = Vec::new();
    for action in ["?action=sync-data", "/rolling-upgrade?action=resume"] {
        let answer = rest.post(&path("c", action), "").await;
        refused.push(answer);
    }
    let connection = path("c", "/rolling-upgrade/source-connection");
    refused.push(rest.delete(&connection).await);
    for answer in refused {
        let text = answer.text();
        assert!(text.contains(FORGOTTEN) && text.contains("--fresh"), "{} {text}", answer.status);
        assert!([409, 500].contains(&answer.status.as_u16()), "{} {text}", answer.status);
    }
    // What has ended here stays so, and what is not here may not be absent.
    for number in 0..OWN {
        let seen = to.get(&key("own", number)).await.unwrap();
        assert_eq!(seen, None, "{number} has ended here, and must not come back");
    }

    rest.delete(&format!("{connection}?force=true")).await.with(200);
    let refused = rest.post(&connection, document.clone()).await.with(400);
    assert!(refused.text().contains("fresh"), "{}", refused.text());
    rest.post(&format!("{connection}?fresh=true"), document).await.with(204);
    target.synchronize("c").await;
    for (prefix, entries) in [("key", ENTRIES), ("own", OWN), ("far", 300)] {
        for number in 0..entries {
            assert!(to.get(&key(prefix, number)).await.unwrap().is_some(), "{prefix} {number}");
        }
    }
    let report = verify(&target, "c").await;
    // What was copied before and has stayed counts as the clients' own.
    let [compared, same, own, differences] =
        ["compared", "same", "changedHere", "differences"].map(|name| report[name].as_u64());
    let all = u64::from(ENTRIES + OWN + 300);
    assert_eq!((compared, differences), (Some(all), Some(0)), "{report:#}");
    assert_eq!(same.zip(own).map(|(same, own)| same + own), Some(all), "{report:#}");
    assert_eq!(report["doubt"], Value::Null, "{report:#}");
    // Whether the source has changed these since, nobody knows.
    let refused = rest.delete(&format!("{connection}?strict=true")).await.with(409);
    assert!(refused.text().contains("entries count as changed here"), "{}", refused.text());
    rest.delete(&connection).await.with(204);
    target.stop().await;
}
