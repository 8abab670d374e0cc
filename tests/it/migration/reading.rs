//! Reading through: what is not here yet is asked for at the source.

use std::time::Duration;

use client::{ClientError, Item, Iterate};
use config::{MigrationFile, OnSourceError, ServerFile};
use tokio::task::JoinSet;

use super::{NEVER, Scene, key, lasting, value};
use crate::harness::{TestServer, eventually};

#[tokio::test]
async fn an_entry_comes_with_its_version_and_lifetimes() {
    let scene = Scene::new().await;
    scene.from.put(b"mortal", b"1", lasting(500_000)).await.unwrap();
    scene.from.put(b"empty", b"", NEVER).await.unwrap();
    let idle = client::RequestExpiration {
        max_idle: client::Duration::Millis(90_000),
        lifespan: client::Duration::Millis(500_000),
    };
    scene.from.put(b"idle", b"2", idle).await.unwrap();
    let mut theirs = Vec::new();
    for key in [&b"mortal"[..], b"idle", b"empty"] {
        theirs.push(scene.from.get_with_metadata(key).await.unwrap().unwrap());
    }
    scene.connect().await;
    for (key, theirs) in [&b"mortal"[..], b"idle", b"empty"].into_iter().zip(theirs) {
        let ours = scene.to.get_with_metadata(key).await.unwrap().unwrap();
        assert_eq!(ours.value, theirs.value);
        assert_eq!(ours.metadata.version, theirs.metadata.version);
        assert_eq!(ours.metadata.lifespan.is_some(), theirs.metadata.lifespan.is_some());
        assert_eq!(ours.metadata.max_idle.is_some(), theirs.metadata.max_idle.is_some());
        if let (Some(ours), Some(theirs)) = (ours.metadata.lifespan, theirs.metadata.lifespan) {
            let end = |of: client::Lifetime| of.since + u64::from(of.seconds) * 1_000;
            assert!(end(ours).abs_diff(end(theirs)) <= 1_000, "{ours:?} {theirs:?}");
        }
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_version_read_at_the_source_holds_for_compare_and_set_here() {
    let scene = Scene::connected(10).await;
    let read = scene.from.get_with_version(&key(3)).await.unwrap().unwrap();
    let wrong = read.version + 1;
    let refused = scene.to.replace_if_unmodified(&key(3), wrong, b"no", NEVER).await.unwrap();
    assert!(!refused.is_done());
    let done = scene.to.replace_if_unmodified(&key(3), read.version, b"yes", NEVER).await.unwrap();
    assert!(done.is_done());
    assert_eq!(scene.to.get(&key(3)).await.unwrap().as_deref(), Some(&b"yes"[..]));
    assert_eq!(scene.from.get(&key(3)).await.unwrap().unwrap(), value(3));
    scene.stop().await;
}

#[tokio::test]
async fn what_depends_on_an_entry_asks_the_source_first() {
    let scene = Scene::connected(10).await;
    assert!(scene.to.contains_key(&key(0)).await.unwrap());
    assert!(!scene.to.contains_key(b"nowhere").await.unwrap());
    assert!(!scene.to.put_if_absent(&key(1), b"x", NEVER).await.unwrap().is_done());
    assert!(scene.to.replace(&key(2), b"x", NEVER).await.unwrap().is_done());
    assert!(!scene.to.replace(b"nowhere", b"x", NEVER).await.unwrap().is_done());
    assert!(scene.to.remove(&key(3)).await.unwrap().is_done());
    assert!(!scene.to.remove(&key(3)).await.unwrap().is_done());
    assert!(!scene.to.remove(b"nowhere").await.unwrap().is_done());
    let all: Vec<_> = (0..10).map(key).collect();
    let got = scene.to.get_all(&all).await.unwrap();
    assert_eq!(got.len(), 9, "all but the one that was removed");
    scene.stop().await;
}

#[tokio::test]
async fn who_skips_the_loader_never_asks_the_source() {
    let scene = Scene::connected(10).await;
    let skipping = scene.to.skipping_loader();
    assert_eq!(skipping.get(&key(0)).await.unwrap(), None);
    assert!(!skipping.contains_key(&key(0)).await.unwrap());
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["readThrough"]["hits"], 0);
    assert_eq!(scene.to.get(&key(0)).await.unwrap().unwrap(), value(0));
    scene.stop().await;
}

#[tokio::test]
async fn many_readers_of_one_key_ask_the_source_once() {
    let scene = Scene::connected(1).await;
    scene.relay.silence(true);
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let cache = scene.to.clone();
        readers.spawn(async move { cache.get(&key(0)).await.unwrap() });
    }
    eventually("a reader waits", || async {
        let status = scene.target.rest.migration("c").await;
        (status["readThrough"]["inFlight"] == 1).then_some(())
    })
    .await;
    scene.relay.silence(false);
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.unwrap().unwrap(), value(0));
    }
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["readThrough"]["hits"], 1);
    scene.stop().await;
}

/// What the status says is wrong with the source, which answers all the same.
async fn problem(scene: &Scene) -> Option<String> {
    let source = scene.target.rest.migration("c").await["source"].clone();
    assert_eq!(source["reachable"], true, "{source:#}");
    source["problem"].as_str().map(str::to_owned)
}

const GIVES_NOTHING: &str = "does not give out all of its entries";

#[tokio::test]
async fn nobody_waits_longer_for_the_iterations_of_a_source_than_for_all_else() {
    let scene = Scene::connected(100).await;
    let iterated = async || {
        let mut walk = scene.to.iterate(Iterate::default()).await?;
        let mut entries = 0;
        while let Some(item) = walk.next().await? {
            entries += u32::from(matches!(item, Item::Entry { .. }));
        }
        Ok::<_, ClientError>(entries)
    };
    scene.relay.hold_walks(true);
    let refused = iterated().await.unwrap_err().to_string();
    assert!(refused.contains("did not answer in time"), "{refused}");
    for list in ["keys", "entries&limit=5"] {
        let answer = scene.target.rest.get(&format!("/rest/v2/caches/c?action={list}")).await;
        let refused = answer.with(502);
        let refused = refused.text();
        assert!(refused.contains("did not answer in time"), "{refused}");
    }
    let said = problem(&scene).await.expect("the reason");
    assert!(said.contains(GIVES_NOTHING), "{said}");
    // What needs no walk goes on.
    assert_eq!(scene.to.get(&key(0)).await.unwrap().unwrap(), value(0));
    assert_eq!(scene.to.size().await.unwrap(), 100);
    scene.relay.hold_walks(false);
    let entries = eventually("it is iterated", || async { iterated().await.ok() }).await;
    assert_eq!((entries, problem(&scene).await), (100, None));
    scene.stop().await;
}

#[tokio::test]
async fn people_are_told_why_a_copy_or_a_verification_does_not_get_on() {
    let scenes = async |path: &str, is_copied: bool| {
        let scene = Scene::connected(100).await;
        if is_copied {
            scene.target.synchronize("c").await;
        }
        scene.relay.hold_walks(true);
        scene.target.rest.post(path, "").await.with(202);
        let said = eventually("the reason is known", || problem(&scene)).await;
        assert!(said.contains(GIVES_NOTHING) && said.contains("has said nothing for"), "{said}");
        // It goes on, or nobody walks any more.
        if is_copied {
            scene.action("cancel").await.with(204);
        } else {
            scene.relay.hold_walks(false);
        }
        eventually("it is past", async || problem(&scene).await.is_none().then_some(())).await;
        scene.stop().await;
    };
    tokio::join!(
        scenes("/rest/v2/caches/c?action=sync-data&async=true", false),
        scenes("/rest/v2/caches/c/rolling-upgrade?action=verify&async=true", true),
    );
}

#[tokio::test]
async fn nobody_says_of_a_source_that_is_away_or_was_away_that_it_is_there() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(50_000);
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
    let status = async || {
        let status = scene.target.rest.migration("c").await;
        assert!(!status.to_string().contains(GIVES_NOTHING), "{status:#}");
        status
    };
    eventually("something came", async || {
        (status().await["job"]["entries"]["written"].as_u64()? > 0).then_some(())
    })
    .await;
    scene.relay.refuse(true);
    scene.relay.cut();
    eventually("it is away", async || {
        (status().await["source"]["reachable"] == false).then_some(())
    })
    .await;
    // Started again, it has nothing, which its operator accepts.
    let other = TestServer::start().await;
    other.cache("c").await;
    scene.relay.lead_to(other.address());
    scene.relay.slow_down(0);
    scene.relay.refuse(false);
    eventually("the copy has failed", async || (status().await["state"] == "FAILED").then_some(()))
        .await;
    let refused = scene.to.size().await.unwrap_err().to_string();
    assert!(refused.contains("an operator has to accept it"), "{refused}");
    scene.action("accept-source-loss").await.with(204);
    eventually("it is back", async || {
        let source = status().await["source"].clone();
        (source["reachable"] == true && source["problem"].is_null()).then_some(())
    })
    .await;
    other.stop().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_write_a_removal_and_a_clear_win_over_a_load_that_is_on_its_way() {
    let scene = Scene::connected(3).await;
    scene.relay.silence(true);
    let reads = |number| {
        let cache = scene.to.clone();
        tokio::spawn(async move { cache.get(&key(number)).await })
    };
    let (first, second) = (reads(0), reads(1));
    eventually("two loads", || async {
        let status = scene.target.rest.migration("c").await;
        (status["readThrough"]["inFlight"] == 2).then_some(())
    })
    .await;
    // Over another connection: on the same one they would wait for their turn.
    let other = scene.target.client().await.cache("c").await.unwrap();
    other.put(&key(0), b"newer", NEVER).await.unwrap();
    other.clear().await.unwrap();
    other.put(&key(1), b"newest", NEVER).await.unwrap();
    scene.relay.silence(false);
    // Who has asked before the change may be answered with what was there before; nobody after.
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(scene.to.get(&key(0)).await.unwrap(), None);
    assert_eq!(scene.to.get(&key(1)).await.unwrap().as_deref(), Some(&b"newest"[..]));
    assert_eq!(scene.to.get(&key(2)).await.unwrap(), None, "cleared");
    scene.stop().await;
}

#[tokio::test]
async fn a_silent_source_fails_misses_in_time_and_nothing_else() {
    let scene = Scene::connected(20).await;
    assert!(scene.to.get(&key(0)).await.unwrap().is_some());
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    scene.relay.silence(true);
    let missing = scene.to.clone();
    let miss = tokio::spawn(async move { missing.get(&key(1)).await });
    eventually("a load", || async {
        let status = scene.target.rest.migration("c").await;
        (status["readThrough"]["inFlight"] == 1).then_some(())
    })
    .await;
    // The same connection goes on meanwhile: what it held up would be answered when the miss is.
    let mut answered = 0;
    while !miss.is_finished() {
        assert!(scene.to.get(&key(0)).await.unwrap().is_some());
        assert!(scene.to.get(b"own").await.unwrap().is_some());
        answered += 1;
    }
    assert!(answered > 2, "{answered} answers while the miss waited");
    let answer = miss.await.unwrap();
    // An answer of the server, so it came before the client gave up.
    let Err(ClientError::Server { text, .. }) = answer else { panic!("{answer:?}") };
    assert!(text.contains("source"), "{text}");
    scene.relay.silence(false);
    assert_eq!(scene.to.get(&key(1)).await.unwrap().unwrap(), value(1));
    scene.stop().await;
}

#[tokio::test]
async fn a_silent_source_has_nothing_if_the_operator_says_so() {
    let migration = MigrationFile {
        on_source_error: Some(OnSourceError::Absent),
        source_timeout: Some(Duration::from_millis(200)),
        ..MigrationFile::default()
    };
    let scene = Scene::with_target(ServerFile { migration, ..ServerFile::default() }).await;
    scene.fill(5).await;
    scene.connect().await;
    scene.relay.silence(true);
    assert_eq!(scene.to.get(&key(1)).await.unwrap(), None);
    // A change that depends on the entry would be a wrong one.
    scene.to.put_if_absent(&key(1), b"x", NEVER).await.unwrap_err();
    scene.to.replace(&key(1), b"x", NEVER).await.unwrap_err();
    scene.to.returning_previous().remove(&key(1)).await.unwrap_err();
    // Whoever removes a key and does not ask what it was need not wait for the source.
    assert!(scene.to.remove(&key(2)).await.unwrap().is_done());
    scene.relay.silence(false);
    assert_eq!(scene.to.get(&key(1)).await.unwrap().unwrap(), value(1));
    assert_eq!(scene.to.get(&key(2)).await.unwrap(), None);
    scene.stop().await;
}

#[tokio::test]
async fn complete_segments_do_without_the_source() {
    let scene = Scene::connected(50).await;
    assert_eq!(scene.target.synchronize("c").await, 50);
    scene.relay.refuse(true);
    scene.relay.cut();
    for number in 0..50 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap().unwrap(), value(number));
    }
    assert_eq!(scene.to.get(b"nowhere").await.unwrap(), None);
    assert!(!scene.to.remove(b"nowhere").await.unwrap().is_done());
    assert_eq!(scene.to.size().await.unwrap(), 50);
    scene.stop().await;
}
