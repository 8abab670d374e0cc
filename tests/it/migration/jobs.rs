//! Synchronizing: what is counted, what is kept, and how a job is steered.

use std::time::Duration;

use client::{Item, Iterate};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{NEVER, Scene, key, lasting, value};
use crate::harness::{TestServer, eventually, source_document};

fn sums_up(counts: &Value) -> bool {
    let of = |name: &str| counts[name].as_u64().unwrap();
    of("read")
        == of("written")
            + of("keptForClient")
            + of("tombstone")
            + of("alreadyHere")
            + of("expired")
            + of("failed")
}

/// Returns whether the numbers of a status belong together: each segment's add up, and all segments' are the
/// job's; and every entry of a complete segment was counted once.
fn adds_up(status: &Value) {
    let of = |counts: &Value, name: &str| counts[name].as_u64().unwrap();
    let (all, by_segment) = (&status["job"]["entries"], &status["job"]["bySegment"]);
    let by_segment = by_segment.as_object().unwrap();
    assert!(by_segment.values().all(sums_up) && sums_up(all), "{status:#}");
    for (name, entries) in all.as_object().unwrap() {
        let sum: u64 = by_segment.values().map(|counts| of(counts, name)).sum();
        assert_eq!(entries, sum, "{name} in {status:#}");
    }
    assert!(sums_up(&status["synchronized"]), "{status:#}");
    let here = &status["here"];
    let parts = ["copied", "readThrough", "ahead", "keptForClient", "tombstone", "expired"];
    let sum: u64 = parts.iter().map(|name| of(here, name)).sum();
    assert_eq!(here["read"], sum, "{here:#}");
}

async fn until_ended(scene: &Scene) -> Value {
    eventually("the job ends", || async {
        let status = scene.target.rest.migration("c").await;
        let state = status["job"]["state"].as_str()?;
        (!["running", "paused", "retrying"].contains(&state)).then(|| status.clone())
    })
    .await
}

async fn begin(scene: &Scene) {
    let path = "/rest/v2/caches/c?action=sync-data&async=true";
    scene.target.rest.post(path, "").await.with(202);
}

#[tokio::test]
async fn every_entry_is_counted_once_and_what_clients_did_stays() {
    let scene = Scene::connected(1_000).await;
    for number in 0..10 {
        assert!(scene.to.get(&key(number)).await.unwrap().is_some());
    }
    for number in 10..30 {
        scene.to.put(&key(number), b"mine", lasting(600_000)).await.unwrap();
    }
    for number in 30..60 {
        assert!(scene.to.remove(&key(number)).await.unwrap().is_done());
    }
    assert_eq!(scene.target.synchronize("c").await, 940);
    let counts = scene.counts().await;
    assert!(sums_up(&counts), "{counts}");
    let expected = json!({
        "read": 1_000, "written": 940, "keptForClient": 20, "tombstone": 30, "alreadyHere": 10,
        "expired": 0, "failed": 0
    });
    assert_eq!(counts, expected);
    for number in 10..30 {
        let entry = scene.to.get_with_metadata(&key(number)).await.unwrap().unwrap();
        assert_eq!(entry.value, &b"mine"[..]);
        assert!(entry.metadata.lifespan.is_some());
    }
    for number in 30..60 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap(), None, "it has come back");
    }
    assert_eq!(scene.target.synchronize("c").await, 0, "a repeat");
    for number in 900..905 {
        assert!(scene.to.remove(&key(number)).await.unwrap().is_done());
    }
    let here = scene.target.rest.migration("c").await["here"].clone();
    assert_eq!((&here["copied"], &here["changedSince"]), (&940.into(), &5.into()), "{here:#}");
    scene.disconnect("").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 940, "after the source was let go of");
    assert_eq!(scene.to.size().await.unwrap(), 965);
    scene.stop().await;
}

#[tokio::test]
async fn counts_belong_together_at_every_moment_and_over_all_jobs() {
    const ENTRIES: u32 = 4_000;
    let scene = Scene::connected(ENTRIES).await;
    assert!(scene.to.get(&key(0)).await.unwrap().is_some());
    scene.relay.slow_down(200_000);
    let working = async {
        for number in 0..400 {
            let key = key(number * 10);
            match number % 4 {
                0 => drop(scene.to.get(&key).await.unwrap()),
                1 => drop(scene.to.put(&key, b"mine", NEVER).await.unwrap()),
                2 => drop(scene.to.remove(&key).await.unwrap()),
                _ => drop(scene.to.replace(&key, b"mine", NEVER).await.unwrap()),
            }
        }
    };
    let looking = async {
        // Three jobs: the first two are ended somewhere.
        for some in [500, 1_500, u64::from(ENTRIES)] {
            begin(&scene).await;
            loop {
                let status = scene.target.rest.migration("c").await;
                adds_up(&status);
                let written = status["synchronized"]["written"].as_u64().unwrap();
                if status["job"]["state"] != "running" {
                    break;
                }
                if written >= some {
                    scene.action("cancel").await;
                    until_ended(&scene).await;
                    break;
                }
            }
            scene.relay.cut();
        }
    };
    tokio::join!(working, looking);
    scene.relay.slow_down(0);
    scene.target.synchronize("c").await;
    for _repeated in 0..2 {
        assert_eq!(scene.target.synchronize("c").await, 0);
        let status = scene.target.rest.migration("c").await;
        adds_up(&status);
        let here = &status["here"];
        assert_eq!((&here["segments"], &here["read"]), (&256.into(), &ENTRIES.into()), "{here:#}");
        assert!(here["readThrough"].as_u64() >= Some(1), "{here:#}");
        assert_eq!(status["imported"], status["synchronized"]["written"], "{status:#}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn an_interrupted_synchronization_and_a_repeated_one_say_that_everything_is_here() {
    let scene = Scene::connected(3_000).await;
    assert!(scene.to.get(&key(7)).await.unwrap().is_some());
    scene.relay.slow_down(200_000);
    begin(&scene).await;
    eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 300).then_some(())
    })
    .await;
    scene.action("cancel").await.with(204);
    until_ended(&scene).await;
    scene.relay.slow_down(0);
    for repeated in [false, true] {
        let written = scene.target.synchronize("c").await;
        assert_eq!(written == 0, repeated, "{written}");
        let status = scene.target.rest.migration("c").await;
        let here = &status["here"];
        let counts = ["read", "copied", "readThrough"].map(|name| here[name].as_u64().unwrap());
        assert_eq!(counts, [3_000, 2_999, 1], "{here:#}");
        adds_up(&status);
    }
    scene.stop().await;
}

#[tokio::test]
async fn what_an_iteration_brought_in_is_told_apart() {
    let scene = Scene::connected(500).await;
    let mut walk = scene.to.iterate(Iterate::default()).await.unwrap();
    while walk.next().await.unwrap().is_some() {}
    assert_eq!(scene.target.synchronize("c").await, 0);
    let status = scene.target.rest.migration("c").await;
    adds_up(&status);
    let here = &status["here"];
    assert_eq!((&here["ahead"], &here["copied"]), (&500.into(), &0.into()), "{here:#}");
    scene.stop().await;
}

#[tokio::test]
async fn who_asks_for_a_paused_job_is_told_how_to_go_on() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(100_000);
    begin(&scene).await;
    scene.action("pause").await.with(204);
    for path in
        ["/rest/v2/caches/c?action=sync-data", "/rest/v2/caches/c?action=sync-data&async=true"]
    {
        let refused = scene.target.rest.post(path, "").await.with(409);
        assert!(refused.text().contains("?action=resume"), "{}", refused.text());
    }
    let status = scene.target.rest.migration("c").await;
    assert_eq!((&status["state"], &status["job"]["state"]), (&"PAUSED".into(), &"paused".into()));
    assert_eq!(
        (&status["job"]["etaSeconds"], &status["job"]["rateEntriesPerSec"]),
        (&Value::Null, &0.into())
    );
    scene.relay.slow_down(0);
    scene.action("resume").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 2_000);
    scene.stop().await;
}

/// Sends a request that is answered at the end of a job.
async fn ask(scene: &Scene, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(scene.target.address()).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What arrives until the connection ends.
async fn all_of(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Waits until a status has left, which is before the end is known.
async fn has_status(stream: &TcpStream) {
    let mut begin = [0; 12];
    while stream.peek(&mut begin).await.unwrap() < begin.len() {}
    assert_eq!(&begin, b"HTTP/1.1 200");
}

const SYNCHRONIZE: &str = "/rest/v2/caches/c?action=sync-data";
const VERIFY: &str = "/rest/v2/caches/c/rolling-upgrade?action=verify";

#[tokio::test]
async fn who_waits_for_a_job_that_is_paused_then_is_told_how_to_go_on() {
    let scene = Scene::connected(100).await;
    for (path, kind) in [(SYNCHRONIZE, "job"), (VERIFY, "verify")] {
        scene.relay.hold_walks(true);
        let waiting = ask(&scene, path).await;
        eventually("it runs", || async {
            (scene.target.rest.migration("c").await[kind]["state"] == "running").then_some(())
        })
        .await;
        scene.action("pause").await.with(204);
        let answer = all_of(waiting).await;
        assert!(answer.contains("?action=resume"), "{answer}");
        scene.relay.hold_walks(false);
        scene.action("resume").await.with(204);
        scene.target.rest.post(path, "").await.with(200);
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_failure_after_the_status_has_left_is_told_in_the_body_that_breaks_off() {
    let scene = Scene::connected(100).await;
    let told = async |path: &str, action: &str| {
        scene.relay.hold_walks(true);
        let waiting = ask(&scene, path).await;
        has_status(&waiting).await;
        scene.action(action).await.with(204);
        scene.relay.hold_walks(false);
        let answer = all_of(waiting).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "as if it were whole: {answer}");
        answer
    };
    let paused = told(SYNCHRONIZE, "pause").await;
    assert!(paused.contains("Error: The synchronization of cache c is paused"), "{paused}");
    scene.action("cancel").await.with(204);
    until_ended(&scene).await;
    let cancelled = told(SYNCHRONIZE, "cancel").await;
    assert!(cancelled.contains("ended without everything: it was cancelled"), "{cancelled}");
    // What the source had been asked for when it was paused has come in.
    assert!(scene.target.synchronize("c").await <= 100);
    assert_eq!(scene.to.size().await.unwrap(), 100);
    let cancelled = told(VERIFY, "cancel").await;
    assert!(cancelled.contains(r#""detail":"the verification has ended"#), "{cancelled}");
    scene.stop().await;
}

#[tokio::test]
async fn a_cache_that_was_never_connected_cannot_be_synchronized() {
    let server = TestServer::start().await;
    server.cache("c").await;
    let answer = server.rest.post("/rest/v2/caches/c?action=sync-data", "").await.with(500);
    assert!(answer.text().contains("ISPN010016"), "{}", answer.text());
    let path = "/rest/v2/caches/c/rolling-upgrade/source-connection";
    server.rest.delete(path).await.with(304);
    server.stop().await;
}

#[tokio::test]
async fn a_clear_during_the_job_leaves_nothing_of_the_source() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(200_000);
    begin(&scene).await;
    eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 0).then_some(())
    })
    .await;
    scene.to.clear().await.unwrap();
    scene.to.put(b"after", b"v", NEVER).await.unwrap();
    scene.relay.slow_down(0);
    let status = until_ended(&scene).await;
    assert_eq!(status["job"]["state"], "finished");
    assert!(sums_up(&status["job"]["entries"]), "{status}");
    assert_eq!(scene.to.size().await.unwrap(), 1);
    for number in 0..2_000 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap(), None);
    }
    scene.stop().await;
}

/// Begins a verification, which must not be over at once, and ends it.
async fn verify_and_cancel(scene: &Scene) {
    scene.action("verify&async=true").await.with(202);
    scene.action("cancel").await.with(204);
    eventually("it has ended", || async {
        let status = scene.target.rest.migration("c").await;
        (status["verify"]["state"] == "cancelled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_ever_while_the_source_is_silent() {
    let scene = Scene::connected(500).await;
    scene.relay.silence(true);
    let walk = async || -> Result<usize, client::ClientError> {
        let mut entries = 0;
        let mut walk = scene.to.iterate(Iterate::default()).await?;
        while let Some(item) = walk.next().await? {
            entries += usize::from(matches!(item, Item::Entry { .. }));
        }
        Ok(entries)
    };
    let refused = tokio::time::timeout(Duration::from_secs(30), walk()).await;
    refused.expect("an answer in time").unwrap_err();
    let status = scene.target.rest.migration("c").await;
    assert!(status["source"]["problem"].is_string(), "{status:#}");

    scene.relay.silence(false);
    let whole = eventually("the source is back", || async { walk().await.ok() }).await;
    assert_eq!(whole, 500);
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["readThrough"]["forIterations"], 500, "{status:#}");

    scene.relay.silence(true);
    verify_and_cancel(&scene).await;
    scene.disconnect("?strict=true").await.with(409);
    scene.disconnect("").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn a_job_is_paused_resumed_throttled_and_cancelled() {
    let scene = Scene::connected(3_000).await;
    let path = "/rest/v2/caches/c/rolling-upgrade?action=throttle";
    scene.relay.slow_down(100_000);
    begin(&scene).await;
    scene.action("pause").await.with(204);
    eventually("it is paused", || async {
        (scene.target.rest.migration("c").await["state"] == "PAUSED").then_some(())
    })
    .await;
    scene.relay.slow_down(0);
    scene.action("resume").await.with(204);
    scene.target.rest.post(path, r#"{"entriesPerSecond": 100}"#).await.with(204);
    scene.action("cancel").await.with(204);
    let status = until_ended(&scene).await;
    assert_eq!(status["job"]["state"], "cancelled");
    assert_eq!(status["canDisconnect"], false);
    scene.disconnect("?strict=true").await.with(409);
    // What was copied before is not copied again, and nothing is counted twice.
    let before = status["job"]["entries"]["written"].as_u64().unwrap();
    assert_eq!(scene.target.synchronize("c").await + before, 3_000);
    assert_eq!(scene.to.size().await.unwrap(), 3_000);
    scene.stop().await;
}

#[tokio::test]
async fn a_copy_that_is_paused_again_and_again_gets_on_and_reads_nothing_twice() {
    let scene = Scene::connected(600).await;
    let path = "/rest/v2/caches/c?action=sync-data&async=true&entries-per-second=50";
    scene.target.rest.post(path, "").await.with(202);
    let mut before = 0;
    for pauses in 0..4 {
        let more = eventually("more is here", || async {
            let job = scene.target.rest.migration("c").await["job"].clone();
            // Whatever else was in flight when it was resumed counts from then on.
            assert!(pauses > 0 || job["rateEntriesPerSec"].as_u64()? <= 50, "{job:#}");
            job["entries"]["written"].as_u64().filter(|written| *written > before + 20)
        })
        .await;
        before = more;
        scene.action("pause").await.with(204);
        eventually("it is paused", || async {
            (scene.target.rest.migration("c").await["state"] == "PAUSED").then_some(())
        })
        .await;
        scene.action("resume").await.with(204);
    }
    let path = "/rest/v2/caches/c/rolling-upgrade?action=throttle";
    scene.target.rest.post(path, "{}").await.with(204);
    until_ended(&scene).await;
    let counts = scene.counts().await;
    assert_eq!((&counts["read"], &counts["written"]), (&600.into(), &600.into()), "{counts}");
    scene.stop().await;
}

#[tokio::test]
async fn a_copy_begins_at_the_rates_that_it_is_given_and_goes_on_at_them() {
    let scene = Scene::connected(300).await;
    let begin = |more: &str| {
        let path = format!("/rest/v2/caches/c?action=sync-data&async=true{more}");
        let rest = &scene.target.rest;
        async move { rest.post(&path, "").await }
    };
    let throttle = async || scene.target.rest.migration("c").await["job"]["throttle"].clone();
    for (wrong, part) in [
        ("&entries-per-second=0", "pause instead"),
        ("&bytes-per-second=-1", "'bytes-per-second' is \"-1\""),
    ] {
        let refused = begin(wrong).await.with(400);
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    let refused = scene.action("throttle").await.with(400);
    assert!(refused.text().contains("{} lifts all limits"), "{}", refused.text());
    let path = "/rest/v2/caches/c/rolling-upgrade?action=throttle";
    let refused = scene.target.rest.post(path, "{}").await.with(409);
    assert!(refused.text().contains("begin with rates if they are given"), "{}", refused.text());
    // So slow that it has not ended before it is looked at.
    let begun = begin("&entries-per-second=1&threads=1").await.with(202).json();
    let slow = json!({ "entriesPerSecond": 1, "bytesPerSecond": null });
    assert_eq!(begun["job"]["throttle"], slow);
    // Whoever asks again changes nothing unless other rates are given, and is told what has no effect.
    let joined = begin("&threads=1").await.with(202);
    assert_eq!(joined.headers.get("godwit-notice"), None);
    let joined = begin("&threads=3&read-batch=5&bytes-per-second=7").await.with(202);
    let notice = joined.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("without threads 3 and read-batch 5"), "{notice}");
    let slower = json!({ "entriesPerSecond": null, "bytesPerSecond": 7 });
    assert_eq!(throttle().await, slower);
    // The other way of saying it, and back.
    let throttled = async |query: &str, body: &'static str| {
        scene.target.rest.post(&format!("{path}{query}"), body).await.with(204);
        throttle().await
    };
    assert_eq!(throttled("&entries-per-second=2", "").await["entriesPerSecond"], 2);
    assert_eq!(throttled("", r#"{"bytesPerSecond":7}"#).await, slower);
    // What is resumed goes on as it was, also where the job had ended.
    scene.action("cancel").await.with(204);
    until_ended(&scene).await;
    scene.action("resume").await.with(204);
    assert_eq!(throttle().await, slower);
    let joined = begin("&threads=1").await.with(202);
    assert_eq!(joined.headers.get("godwit-notice"), None, "it goes on with as many threads");
    scene.target.rest.post(path, "{}").await.with(204);
    assert_eq!(until_ended(&scene).await["job"]["state"], "finished");
    scene.stop().await;
}

#[tokio::test]
async fn a_job_goes_on_after_a_lost_connection() {
    let scene = Scene::connected(3_000).await;
    scene.relay.slow_down(300_000);
    begin(&scene).await;
    for round in 1..4 {
        eventually("it goes on", || async {
            (scene.counts().await["written"].as_u64()? > round * 200).then_some(())
        })
        .await;
        scene.relay.cut();
    }
    scene.relay.slow_down(0);
    let status = until_ended(&scene).await;
    assert_eq!(status["job"]["state"], "finished", "{status}");
    let counts = &status["job"]["entries"];
    assert!(sums_up(counts), "{counts}");
    assert_eq!(counts["written"], 3_000);
    for number in 0..3_000 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap().unwrap(), value(number));
    }
    scene.stop().await;
}

#[tokio::test]
async fn two_caches_at_once_share_the_memory_for_what_is_on_its_way() {
    let migration =
        config::MigrationFile { buffer: Some(256 * 1024), ..config::MigrationFile::default() };
    let source = TestServer::start().await;
    let target =
        TestServer::start_with(config::ServerFile { migration, ..config::ServerFile::default() })
            .await;
    let large = vec![7; 100_000];
    for name in ["one", "two"] {
        let from = source.cache(name).await;
        for number in 0..100 {
            from.put(&key(number), &large, NEVER).await.unwrap();
        }
        target.cache(name).await;
        target.connect(name, &source_document(source.address(), name)).await;
    }
    let (one, two) = tokio::join!(target.synchronize("one"), target.synchronize("two"));
    assert_eq!((one, two), (100, 100));
    for name in ["one", "two"] {
        let to = target.client().await.cache(name).await.unwrap();
        for number in 0..100 {
            assert_eq!(to.get(&key(number)).await.unwrap().unwrap(), large);
        }
    }
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_listed_and_blocks_the_end() {
    let scene = Scene::new().await;
    scene.fill(20).await;
    scene.from.put(b"huge", &vec![1; 3_000_000], NEVER).await.unwrap();
    scene.stop().await;

    // A target whose memory is too small for one of the entries.
    let file = config::ServerFile {
        max_memory: Some(config::MemoryLimit::Bytes(1_000_000)),
        ..config::ServerFile::default()
    };
    let scene = Scene::with_target(file).await;
    scene.fill(20).await;
    scene.from.put(b"huge", &vec![1; 3_000_000], NEVER).await.unwrap();
    scene.connect().await;
    let answer = scene.target.rest.post("/rest/v2/caches/c?action=sync-data", "").await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["job"]["entries"]["failed"], 1, "{status}");
    assert_eq!(status["job"]["failures"][0]["key"], "huge");
    assert_eq!(status["canDisconnect"], false);
    assert!(sums_up(&status["job"]["entries"]), "{status}");
    scene.disconnect("?strict=true").await.with(409);
    scene.stop().await;
}

#[tokio::test]
async fn a_walk_and_the_size_are_whole_while_the_copy_is_not() {
    let scene = Scene::connected(500).await;
    scene.to.remove(&key(0)).await.unwrap();
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    assert_eq!(scene.to.size().await.unwrap(), 500);
    let mut walk = scene.to.iterate(Iterate { batch: 7, ..Iterate::default() }).await.unwrap();
    let mut keys = std::collections::BTreeSet::new();
    while let Some(item) = walk.next().await.unwrap() {
        if let Item::Entry { key, .. } = item {
            keys.insert(key.to_vec());
        }
    }
    let mut expected: std::collections::BTreeSet<_> = (1..500).map(key).collect();
    expected.insert(b"own".to_vec());
    assert_eq!(keys, expected);
    scene.stop().await;
}

#[tokio::test]
async fn verify_finds_what_others_did_at_the_source_and_repairs_it() {
    let scene = Scene::connected(100).await;
    assert_eq!(scene.target.synchronize("c").await, 100);
    scene.from.put(b"late", b"v", NEVER).await.unwrap();
    scene.from.put(&key(1), b"changed there", NEVER).await.unwrap();
    scene.from.remove(&key(2)).await.unwrap();
    scene.to.put(&key(3), b"changed here", NEVER).await.unwrap();
    let report = scene.action("verify").await.with(200).json();
    for (finding, expected) in
        [("missing", 1), ("different", 1), ("vanished", 1), ("changedHere", 1)]
    {
        assert_eq!(report[finding], expected, "{finding} in {report}");
    }
    scene.disconnect("?strict=true").await.with(409);
    // What is known stays known if it is looked at again and not to the end.
    scene.relay.silence(true);
    verify_and_cancel(&scene).await;
    scene.disconnect("?strict=true").await.with(409);
    scene.relay.silence(false);
    // A client has removed it, although it never was here.
    scene.from.put(b"unwanted", b"v", NEVER).await.unwrap();
    assert!(!scene.to.remove(b"unwanted").await.unwrap().is_done());
    let report = scene.action("verify&repair=true").await.with(200).json();
    assert_eq!(report["repaired"], 2, "{report}");
    assert_eq!(scene.to.get(b"unwanted").await.unwrap(), None);
    assert_eq!(scene.to.get(b"late").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(scene.to.get(&key(1)).await.unwrap().as_deref(), Some(&b"changed there"[..]));
    assert_eq!(scene.to.get(&key(3)).await.unwrap().as_deref(), Some(&b"changed here"[..]));
    // Nobody but its owner can say whether what has vanished there should go here.
    assert!(scene.to.remove(&key(2)).await.unwrap().is_done());
    let report = scene.action("verify").await.with(200).json();
    assert_eq!(scene.target.rest.migration("c").await["state"], "VERIFIED", "{report}");
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn a_source_that_became_another_stops_the_job_until_the_operator_says_so() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(200_000);
    begin(&scene).await;
    eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 100).then_some(())
    })
    .await;
    // The same place, another process, and nothing in it.
    let other = TestServer::start().await;
    other.cache("c").await;
    scene.relay.lead_to(other.address());
    scene.relay.cut();
    scene.relay.slow_down(0);
    let status = eventually("it is failed", || async {
        let status = scene.target.rest.migration("c").await;
        (status["state"] == "FAILED").then(|| status.clone())
    })
    .await;
    assert!(status["problem"].as_str().unwrap().contains("accept-source-loss"), "{status}");
    assert_eq!(status["canDisconnect"], false);
    // What is here is here; what is not, is not declared absent.
    let answer = scene.target.rest.post("/rest/v2/caches/c?action=sync-data", "").await;
    assert!(answer.status.is_server_error() || answer.status.is_client_error());
    // What is accepted is what is there now, so the empty one has to be gone.
    scene.relay.lead_to(scene.source.address());
    other.stop().await;
    scene.action("accept-source-loss").await.with(204);
    let _ = scene.target.synchronize("c").await;
    assert_eq!(scene.to.size().await.unwrap(), 2_000);
    for number in 0..2_000 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap().unwrap(), value(number));
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_key_that_no_client_could_use_here_is_a_failure_of_the_copy() {
    let limits = config::LimitsFile { max_key: Some(100), ..config::LimitsFile::default() };
    let file = config::ServerFile { limits, ..config::ServerFile::default() };
    let scene = Scene::with_target(file).await;
    scene.fill(10).await;
    for len in [100, 101] {
        scene.from.put(&vec![b'K'; len], b"v", NEVER).await.unwrap();
    }
    scene.connect().await;
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
    let status = eventually("the copy has failed", || async {
        let status = scene.target.rest.migration("c").await;
        (status["job"]["state"] == "failed").then_some(status)
    })
    .await;
    let failures = status["job"]["failures"].as_array().unwrap();
    let reason = failures[0]["reason"].as_str().unwrap();
    assert_eq!(failures.len(), 1, "{status:#}");
    let said = "the key of 101 bytes is longer than 100 bytes: raise limits.max-key";
    assert_eq!(reason, said);
    let problem = status["problem"].as_str().unwrap();
    let whole = format!("1 entry could not be taken, {}…: {said}; synchronize", "K".repeat(100));
    assert!(problem.starts_with(&whole), "the key is cut, not the reason: {problem}");
    let keys = scene.target.rest.get("/rest/v2/caches/c?action=keys").await.with(502);
    assert!(keys.text().contains(said), "{}", keys.text());
    let again = scene.target.rest.post("/rest/v2/caches/c?action=sync-data", "").await.with(500);
    assert!(again.text().contains(said), "{}", again.text());
    assert!(scene.to.get(&[b'K'; 100]).await.unwrap().is_some());
    assert_eq!(status["canDisconnect"], false, "{status:#}");
    // Neither does a repair bring in such a key, which the source got after the copy.
    scene.from.remove(&[b'K'; 101]).await.unwrap();
    scene.target.synchronize("c").await;
    scene.from.put(&[b'K'; 102], b"v", NEVER).await.unwrap();
    let report = scene.action("verify&repair=true").await.json();
    let counts = ["missing", "repaired", "differences"].map(|count| report[count].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(1)], "{report:#}");
    let what = report["listed"][0]["what"].as_str().unwrap();
    assert!(what.contains("longer than limits.max-key"), "{report:#}");
    scene.stop().await;
}
