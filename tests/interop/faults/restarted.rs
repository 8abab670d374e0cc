//! The source is killed while it is copied, and started again: with what it had written down, and
//! without anything.

use client::{RemoteCache, RequestExpiration};
use server::demo::{Account, Difference};

use super::{DOUBTED, copy_slowly, finish, has_failed, number, path, refusal, relayed, under_way};
use crate::harness::{
    TestServer,
    infinispan::{Setup, Version, cache_element},
    note,
};

const ENTRIES: usize = 10_000;

/// Entries that are here when the source is killed, at least.
const HERE: u64 = 2_000;

/// The source writes its entries down.
const KEPT: &str = "kept";

/// The source holds them in memory only.
const LOST: &str = "lost";

/// As that; and the cache keeps no count, so that it cannot say since when it runs.
const UNCOUNTED: &str = "uncounted";

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_started_again_is_believed_only_once_its_operator_says_so() {
    let octets = "application/octet-stream";
    let elements = [
        cache_element(KEPT, octets, "<persistence><file-store/></persistence>"),
        cache_element(LOST, octets, ""),
        cache_element(UNCOUNTED, octets, "").replace(r#"statistics="true""#, ""),
    ];
    let (relay, mut source) = relayed(Setup::new(Version::V16, elements.concat())).await;
    let target = TestServer::start().await;
    let (rest, never) = (&target.rest, RequestExpiration::default());
    let mut caches = Vec::new();
    for name in [KEPT, LOST, UNCOUNTED] {
        let filled = source.cache(name).await;
        let account = Account::fill(&filled, ENTRIES, |_| {}).await.unwrap();
        filled.put(b"to be removed", b"v", never).await.unwrap();
        caches.push((name, target.cache(name).await, account));
    }
    for (name, cache, _) in &caches {
        let connection = path(name, "/rolling-upgrade/source-connection");
        let connected = rest.post(&connection, source.document(name).to_string()).await.with(204);
        let told = format!("{:?}", connected.headers).contains("keeps no statistics");
        assert_eq!(told, *name == UNCOUNTED, "{:?}", connected.headers);
        copy_slowly(rest, name, 1_000).await;
        cache.put(b"of a client", b"v", never).await.unwrap();
        assert!(cache.remove(b"to be removed").await.unwrap().is_done());
    }
    for (name, ..) in &caches {
        under_way(rest, name, HERE).await;
    }
    source.kill().await;
    // A real server can stand still for good if it is asked for a cache while it starts.
    relay.refuse(true);
    source.start_again().await;
    relay.refuse(false);
    for (name, cache, _) in &caches {
        let written = is_refused(&target, name, cache).await;
        note(format_args!("{name}: started again after {written} of {ENTRIES} entries"));
    }

    let (_, cache, account) = &caches[0];
    let before = number(&rest.migration(KEPT).await, "/job/entries/written");
    let accept = path(KEPT, "/rolling-upgrade?action=accept-source-loss");
    rest.post(&accept, "").await.with(204);
    let after = target.synchronize(KEPT).await;
    let status = rest.migration(KEPT).await;
    assert_eq!(number(&status, "/imported"), before + after, "each entry counts once");
    assert_eq!(cache.get(b"to be removed").await.unwrap(), None);
    let tally = finish(rest, cache, account).await;
    note(format_args!("{KEPT}: {} entries of the source in the end", tally.from_source));
    assert_eq!(cache.get(b"of a client").await.unwrap().unwrap(), &b"v"[..]);

    let (_, cache, account) = &caches[1];
    let strict = path(LOST, "/rolling-upgrade/source-connection?strict=true");
    rest.delete(&strict).await.with(409);
    rest.post(&path(LOST, "/rolling-upgrade?action=accept-source-loss"), "").await.with(204);
    assert_eq!(target.synchronize(LOST).await, 0, "it has nothing any more");
    let tally = account.check(cache, |_| {}).await.unwrap();
    assert!(tally.from_source >= HERE, "{} of those that were here", tally.from_source);
    let other = |it: &&Difference| !it.what.starts_with("is missing");
    assert_eq!(tally.differences.iter().find(other), None, "what is here is as it was");
    target.stop().await;
}

/// The source is not believed: the job has failed, and what only the source knows is an error.
async fn is_refused(target: &TestServer, name: &str, cache: &RemoteCache) -> u64 {
    let (rest, never) = (&target.rest, RequestExpiration::default());
    let status = has_failed(rest, name).await;
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("was started again"), "{problem}");
    assert!(problem.contains("accept-source-loss"), "{problem}");
    assert_eq!(status["canDisconnect"], false);
    for action in ["?action=sync-data", "/rolling-upgrade?action=resume"] {
        let answer = rest.post(&path(name, action), "").await.with(500);
        assert!(answer.text().contains("was started again"), "{action}: {}", answer.text());
    }
    rest.post(&path(name, "/rolling-upgrade?action=verify"), "").await.with(409);

    let (mut here, mut missing) = (0, Vec::new());
    for key in 0..ENTRIES {
        // Immortal, and text: see the account.
        let (true, bytes) = (key % 20 < 8 && key % 4 != 0, format!("key-{key}")) else {
            continue;
        };
        // The loader skips the source: what is found is here.
        if cache.skipping_loader().get(bytes.as_bytes()).await.unwrap().is_some() {
            assert!(cache.get(bytes.as_bytes()).await.unwrap().is_some(), "{bytes} is here");
            here += 1;
        } else if missing.len() < 20 {
            let text = refusal(async || cache.get(bytes.as_bytes()).await).await;
            assert!(text.contains(DOUBTED), "{text}");
            missing.push(bytes);
        }
    }
    assert!(here > 100 && missing.len() == 20, "{here} here, {missing:?} not");
    assert_eq!(cache.get(b"of a client").await.unwrap().unwrap(), &b"v"[..]);
    assert_eq!(cache.get(b"to be removed").await.unwrap(), None);
    let text =
        refusal(async || cache.put_if_absent(missing[0].as_bytes(), b"v", never).await).await;
    assert!(text.contains(DOUBTED), "{text}");
    let answer = rest.get(&path(name, &format!("/{}", missing[0]))).await.with(502);
    assert!(answer.text().contains(DOUBTED), "{}", answer.text());
    number(&status, "/job/entries/written")
}
