//! Verdicts that are true although the source, or the connection to it, is not what it was.

use client::{ClientError, RemoteCache};
use serde_json::Value;

use super::{NEVER, Scene, key};
use crate::harness::{TestServer, eventually};

/// A cache that holds few entries.
const BOUNDED: &str = r#"{"distributed-cache":{"memory":{"max-count":"50","when-full":"REMOVE"},"encoding":{"media-type":"application/octet-stream"}}}"#;

const GONE: &str = "its cache was removed";

/// A source with so many entries, all of which were copied into a cache that holds few.
struct Full {
    source: TestServer,
    target: TestServer,
    to: RemoteCache,
}

impl Full {
    async fn synchronized(entries: u32) -> Self {
        let (source, target) = (TestServer::start().await, TestServer::start().await);
        let from = source.cache("c").await;
        from.put_all((0..entries).map(|number| (key(number), b"v")), NEVER).await.unwrap();
        let to = target.cache_of("c", BOUNDED).await;
        target.connect("c", &source.as_source("c")).await;
        assert_eq!(target.synchronize("c").await, u64::from(entries));
        Self { source, target, to }
    }

    async fn status(&self) -> Value {
        self.target.rest.migration("c").await
    }

    /// Compares everything.
    async fn verify(&self) -> Value {
        let path = "/rest/v2/caches/c/rolling-upgrade?action=verify";
        self.target.rest.post(path, "").await.with(200).json()
    }

    /// Fetches what is missing.
    async fn repair(&self) -> Value {
        let path = "/rest/v2/caches/c/rolling-upgrade?action=verify&repair=true";
        self.target.rest.post(path, "").await.with(200).json()
    }

    /// The cache may have so many entries from now on, and has no more of them.
    async fn bound(&self, entries: u64) {
        let path = "/rest/v2/caches/c?action=set-mutable-attribute&attribute-name=memory.max-count&attribute-value";
        self.target.rest.post(&format!("{path}={entries}"), "").await.with(200);
        eventually("it has no more", || async {
            (self.to.size().await.unwrap() <= entries).then_some(())
        })
        .await;
    }

    async fn connect_again(&self) {
        let connection = "/rest/v2/caches/c/rolling-upgrade/source-connection";
        self.target.rest.delete(connection).await.with(204);
        self.target.connect("c", &self.source.as_source("c")).await;
    }

    async fn stop(self) {
        self.target.stop().await;
        self.source.stop().await;
    }
}

/// Entries of a source whose cache changes while it is read.
const MANY: u32 = 2_000;

/// Bytes a second: slow enough to be met in the middle of that many.
const SLOW: u64 = 200_000;

impl Scene {
    /// Begins to verify, and returns in the middle of it.
    async fn begin_verification(&self) {
        self.relay.slow_down(SLOW);
        self.action("verify&async=true").await.with(202);
        eventually("something was compared", || async {
            let verify = self.target.rest.migration("c").await["verify"].clone();
            (verify["compared"].as_u64()? > 100).then_some(())
        })
        .await;
    }

    /// Lets the verification come to its end. The status.
    async fn end_verification(&self) -> Value {
        self.relay.slow_down(0);
        eventually("the verification has ended", || async {
            let status = self.target.rest.migration("c").await;
            (status["verify"]["state"] != "running").then_some(status)
        })
        .await
    }

    /// A strict disconnect is refused, and says why.
    async fn is_refused_if_strict(&self, why: &str) {
        let text = self.disconnect("?strict=true").await.with(409).text().to_owned();
        assert!(text.contains(why), "{text}");
    }

    /// Removes the source's cache, and creates one of the same name, which is empty.
    async fn replace_source(&self) -> RemoteCache {
        self.source.client().await.remove_cache("c").await.unwrap();
        eventually("that is noticed", || async {
            let status = self.target.rest.migration("c").await;
            let text = format!("{} {}", status["problem"], status["doubts"]);
            text.contains(GONE).then_some(())
        })
        .await;
        self.source.cache("c").await
    }
}

#[tokio::test]
async fn a_cache_that_is_removed_at_the_source_while_it_is_copied_is_not_taken_for_copied() {
    let scene = Scene::connected(MANY).await;
    scene.relay.slow_down(SLOW);
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
    eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 100).then_some(())
    })
    .await;
    let new = scene.replace_source().await;
    new.put(b"new", b"v", NEVER).await.unwrap();
    scene.relay.slow_down(0);
    let status = eventually("the copy has ended", || async {
        let status = scene.target.rest.migration("c").await;
        (status["job"]["state"] == "failed").then_some(status)
    })
    .await;
    assert_eq!((&status["state"], &status["canDisconnect"]), (&"FAILED".into(), &false.into()));
    assert!(status["problem"].as_str().unwrap().contains(GONE), "{status:#}");
    // What was not copied is not known to be absent, although another cache of this name answers.
    let mut refused = 0;
    for number in 0..MANY {
        match scene.to.get(&key(number)).await {
            Ok(found) => assert!(found.is_some(), "{number} counts as absent"),
            Err(ClientError::Server { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 0);
    scene.stop().await;
}

#[tokio::test]
async fn a_cache_that_is_removed_at_the_source_while_it_is_verified_is_not_verified() {
    let scene = Scene::connected(MANY).await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(MANY));
    scene.begin_verification().await;
    scene.replace_source().await;
    let status = scene.end_verification().await;
    assert_eq!(status["verify"]["state"], "failed");
    assert!(status["verify"]["reason"].as_str().unwrap().contains(GONE), "{status:#}");
    assert_eq!(status["state"], "SYNCED", "everything is here, and that is not proven");
    scene.is_refused_if_strict("it cannot be verified until accept-source-loss").await;
    scene.action("verify").await.with(409);
    scene.disconnect("").await.with(204);
    assert_eq!(scene.to.size().await.unwrap(), u64::from(MANY));
    scene.stop().await;
}

#[tokio::test]
async fn what_was_evicted_is_known_after_connecting_again() {
    let full = Full::synchronized(300).await;
    let here = full.status().await["here"].clone();
    let number = |name: &str| here[name].as_u64().unwrap();
    assert_eq!((number("read"), number("copied")), (300, 300), "{here:#}");
    assert_eq!(300 - number("evicted"), full.to.size().await.unwrap(), "{here:#}");
    for _again in 0..2 {
        let connection = "/rest/v2/caches/c/rolling-upgrade/source-connection";
        full.target.rest.delete(connection).await.with(204);
        full.target.connect("c", &full.source.as_source("c")).await;
        let status = full.status().await;
        assert!(status["doubts"].to_string().contains("entries were evicted"), "{status:#}");
    }
    let report = full.verify().await;
    assert!(report["perhapsEvicted"].as_u64() > Some(0), "{report:#}");
    full.stop().await;
}

#[tokio::test]
async fn what_was_evicted_before_connecting_again_is_not_called_removed() {
    let full = Full::synchronized(300).await;
    full.bound(1_000).await;
    full.repair().await;
    assert_eq!(full.status().await["state"], "VERIFIED");
    full.bound(100).await;
    full.bound(1_000).await;
    let gone = 300 - full.to.size().await.unwrap();
    // From now on there may be removals that the next connection does not know of.
    full.to.put(b"mine", b"v", NEVER).await.unwrap();
    full.connect_again().await;
    let status = full.status().await;
    assert_eq!(status["here"]["evicted"], gone, "{status:#}");
    let doubts = status["doubts"].to_string();
    assert!(doubts.contains(&format!("{gone} entries were evicted")), "{status:#}");
    let report = full.verify().await;
    let numbers = |report: &Value| {
        ["missing", "missingOrEvicted", "differences", "repaired"]
            .map(|name| report[name].as_u64().unwrap())
    };
    assert_eq!(numbers(&report), [0, gone, 0, 0], "{report:#}");
    // What a client removes now, or has removed in between, is not among them.
    full.connect_again().await;
    assert!(
        full.status().await["doubts"].to_string().contains(&format!("{gone} entries were evicted"))
    );
    let listed = report["listed"].as_array().unwrap();
    let evicted = listed.iter().filter(|one| one["finding"] == "missingOrEvicted");
    let evicted: Vec<&str> = evicted.map(|one| one["key"].as_str().unwrap()).collect();
    full.to.remove(evicted[0].as_bytes()).await.unwrap();
    let report = full.repair().await;
    assert_eq!(numbers(&report), [0, gone - 1, 0, gone - 1], "{report:#}");
    assert_eq!(full.status().await["state"], "VERIFIED");
    assert_eq!(full.to.get(evicted[0].as_bytes()).await.unwrap(), None, "it has come back");
    full.stop().await;
}

#[tokio::test]
async fn what_was_evicted_and_removed_between_two_connections_does_not_come_back() {
    let full = Full::synchronized(300).await;
    full.bound(1_000).await;
    full.to.put(b"mine", b"v", NEVER).await.unwrap();
    let report = full.verify().await;
    let listed = report["listed"].as_array().unwrap();
    let evicted = listed.iter().find(|one| one["finding"] == "missingOrEvicted").unwrap();
    let removed = evicted["key"].as_str().unwrap().as_bytes();
    let connection = "/rest/v2/caches/c/rolling-upgrade/source-connection";
    full.target.rest.delete(connection).await.with(204);
    assert!(!full.to.remove(removed).await.unwrap().is_done(), "it is not here");
    full.target.connect("c", &full.source.as_source("c")).await;
    let report = full.repair().await;
    assert_eq!(full.to.get(removed).await.unwrap(), None, "it has come back: {report:#}");
    assert_eq!(full.status().await["state"], "SYNCED");
    full.stop().await;
}

#[tokio::test]
async fn what_clients_have_written_and_the_copy_evicts_is_said_to_be_nowhere_else() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    let from = source.cache("c").await;
    from.put_all((0..200).map(|number| (key(number), b"v")), NEVER).await.unwrap();
    let to = target.cache_of("c", BOUNDED).await;
    target.connect("c", &source.as_source("c")).await;
    // Some of them stand in the place of the source's.
    let mine = || (190..230).map(key);
    to.put_all(mine().map(|key| (key, b"mine")), NEVER).await.unwrap();
    assert_eq!(target.rest.migration("c").await["here"]["clientsEvicted"], 0);
    target.synchronize("c").await;
    let mut gone = 0_u64;
    for key in mine() {
        match to.get(&key).await.unwrap() {
            Some(value) => assert_eq!(&value[..], b"mine"),
            None => gone += 1,
        }
    }
    assert!(gone > 0);
    let full = Full { source, target, to };
    full.verify().await;
    let status = full.status().await;
    let (here, text) = (&status["here"], format!("{gone} entries that clients have written"));
    assert_eq!(here["clientsEvicted"], gone, "{status:#}");
    let brought = ["copied", "readThrough"].map(|name| here[name].as_u64().unwrap());
    let all = brought.iter().sum::<u64>() - here["evicted"].as_u64().unwrap();
    assert_eq!(all + 40 - gone, full.to.size().await.unwrap(), "{status:#}");
    let doubts = status["doubts"].to_string();
    assert!(doubts.contains(&text) && doubts.contains("nowhere else"), "{status:#}");
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    let connection = "/rest/v2/caches/c/rolling-upgrade/source-connection";
    full.target.rest.delete(&format!("{connection}?strict=true")).await.with(409);
    let answer = full.target.rest.delete(connection).await.with(204);
    let notices = answer.headers.get_all("godwit-notice").iter();
    let is_said = notices.filter(|notice| notice.to_str().unwrap().starts_with(&text)).count();
    assert_eq!(is_said, 1);
    full.stop().await;
}

#[tokio::test]
async fn a_repair_fetches_what_there_is_room_for_and_evicts_nothing() {
    let full = Full::synchronized(200).await;
    let numbers = |report: &Value| {
        ["same", "missingOrEvicted", "repaired", "evicted", "perhapsEvicted", "differences"]
            .map(|name| report[name].as_u64().unwrap())
    };
    assert_eq!(numbers(&full.verify().await), [50, 150, 0, 0, 150, 0]);
    let mended = |report: &Value| {
        let listed = report["listed"].as_array().unwrap().iter();
        listed.filter(|one| one["repaired"] == true).count()
    };
    for (bound, same, repaired, left) in [(50, 50, 0, 150), (120, 50, 70, 80), (200, 120, 80, 0)] {
        full.bound(bound).await;
        let report = full.repair().await;
        let expected = [same, left + repaired, repaired, 0, left, 0];
        assert_eq!(numbers(&report), expected, "of {bound}: {report:#}");
        assert_eq!(mended(&report) as u64, repaired, "{report:#}");
        let status = full.status().await;
        assert_eq!(status["here"]["evicted"], left, "{status:#}");
        let doubts = status["doubts"].to_string();
        assert_eq!(doubts.contains("make the bound larger"), left > 0, "{status:#}");
        assert!(!doubts.contains("were evicted"), "it has looked for all of them: {status:#}");
        for one in
            report["listed"].as_array().unwrap().iter().filter(|one| one["repaired"] == false)
        {
            assert_eq!(one["what"], "there is no room for it in the bound of the cache");
        }
    }
    assert_eq!(full.status().await["state"], "VERIFIED");
    full.stop().await;
}

#[tokio::test]
async fn a_source_that_is_empty_at_the_end_was_not_seen_whole() {
    let scene = Scene::new().await;
    scene.fill(MANY).await;
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(MANY));
    scene.begin_verification().await;
    scene.from.clear().await.unwrap();
    let status = scene.end_verification().await;
    let verify = &status["verify"];
    assert_eq!(verify["state"], "finished", "{verify:#}");
    assert!(verify["doubt"].as_str().unwrap().contains("may have been cleared"), "{verify:#}");
    assert_eq!(status["state"], "SYNCED");
    scene.is_refused_if_strict("may have been cleared").await;
    // Whoever looks again knows better: it has none, and all that it had has vanished.
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((&report["compared"], &report["vanished"]), (&0.into(), &MANY.into()));
    scene.disconnect("").await.with(409);
    assert_eq!(scene.to.size().await.unwrap(), u64::from(MANY));
    scene.stop().await;
}

#[tokio::test]
async fn what_was_evicted_after_it_was_verified_is_not_verified_any_more() {
    let full = Full::synchronized(40).await;
    full.verify().await;
    assert_eq!(full.status().await["state"], "VERIFIED");
    let mine = (100..400).map(|number| (key(number), b"mine"));
    full.to.put_all(mine, NEVER).await.unwrap();
    let status = full.status().await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    assert!(status["doubts"].to_string().contains("entries were evicted"), "{status:#}");
    assert!(status["here"]["evicted"].as_u64() > Some(0), "{status:#}");
    full.stop().await;
}

#[tokio::test]
async fn a_source_that_loses_entries_before_they_are_copied_leaves_a_doubt_that_verify_does_not_end()
 {
    let scene = Scene::connected(100).await;
    for number in 0..50 {
        assert!(scene.from.remove(&key(number)).await.unwrap().is_done());
    }
    assert_eq!(scene.target.synchronize("c").await, 50);
    scene.action("verify").await.with(200);
    let status = scene.target.rest.migration("c").await;
    let doubts = status["doubts"].to_string();
    assert!(doubts.contains("had up to 100 entries since the cache was connected"), "{status:#}");
    assert_eq!(status["state"], "SYNCED", "the others were not compared");
    scene.disconnect("?strict=true").await.with(409);
    scene.disconnect("").await.with(204);
    scene.stop().await;
}

/// Begins a verification, and cancels it before anything was compared.
async fn cancel_verification(scene: &Scene) {
    scene.relay.silence(true);
    scene.action("verify&async=true").await.with(202);
    scene.action("cancel").await.with(204);
    scene.relay.silence(false);
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["verify"]["state"], "cancelled", "{status:#}");
}

#[tokio::test]
async fn a_verification_that_is_cancelled_takes_back_what_an_earlier_one_has_proven() {
    const CANCELLED: &str =
        "the last verification was cancelled, and nothing is proven: verify again";
    let scene = Scene::connected(100).await;
    scene.target.synchronize("c").await;
    let doubts = async |state: &str| {
        let status = scene.target.rest.migration("c").await;
        assert_eq!(status["state"], state, "{status:#}");
        let doubts = status["doubts"].as_array().unwrap().clone();
        doubts.iter().map(|doubt| doubt.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    cancel_verification(&scene).await;
    assert_eq!(doubts("SYNCED").await, [CANCELLED], "one was run");
    scene.action("verify").await.with(200);
    assert!(doubts("VERIFIED").await.is_empty());
    scene.from.put(b"late", b"v", NEVER).await.unwrap();
    cancel_verification(&scene).await;
    assert_eq!(doubts("SYNCED").await, [CANCELLED]);
    scene.is_refused_if_strict(CANCELLED).await;
    // The next one finds what the cancelled one would have found, and that stays known whatever is cancelled.
    scene.action("verify").await.with(200);
    cancel_verification(&scene).await;
    let refused = scene.disconnect("").await.with(409).text().to_owned();
    assert!(refused.contains("verify has found 1 difference"), "{refused}");
    scene.action("verify&repair=true").await.with(200);
    assert!(doubts("VERIFIED").await.is_empty());
    cancel_verification(&scene).await;
    let answer = scene.disconnect("").await.with(204);
    let notices: Vec<_> = answer.headers.get_all("godwit-notice").iter().collect();
    assert_eq!(notices, ["the last verification was cancelled, and nothing is proven"]);
    scene.stop().await;
}
