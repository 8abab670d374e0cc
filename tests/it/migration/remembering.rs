//! What is remembered of removed and ended keys has a bound, and none of them comes back for it.

use super::{NEVER, Scene, key, lasting};
use crate::harness::eventually;

/// A scene whose target has so little memory that some thousand tombstones are many.
async fn small() -> Scene {
    let file = config::ServerFile {
        max_memory: Some(config::MemoryLimit::Bytes(2_000_000)),
        ..config::ServerFile::default()
    };
    let scene = Scene::with_target(file).await;
    scene.fill(300).await;
    scene.connect().await;
    scene
}

fn session(number: u32) -> Vec<u8> {
    format!("session {number} {}", "k".repeat(60)).into_bytes()
}

/// Removes keys that are not here, until something says stop. Returns how many were removed.
async fn remove_until(scene: &Scene, mut stop: impl AsyncFnMut(u32) -> bool) -> u32 {
    for number in 0..1_000_000 {
        if scene.to.remove(&session(number)).await.is_err() || stop(number).await {
            return number;
        }
    }
    panic!("there is no bound");
}

#[tokio::test]
async fn the_segments_with_the_most_tombstones_are_copied_without_being_asked_for() {
    let scene = small().await;
    scene.to.remove(&key(0)).await.unwrap();
    // A client's own entry over one of the source, which ends.
    scene.to.put(&key(1), b"ours", lasting(1)).await.unwrap();
    let relieved = async |number: u32| {
        number.is_multiple_of(100)
            && scene.target.rest.migration("c").await["source"]["segmentsComplete"] != 0
    };
    let removed = remove_until(&scene, relieved).await;
    assert!(removed > 1_000, "{removed}");
    let status = scene.target.rest.migration("c").await;
    assert!(
        status["tombstoneBytes"].as_u64() <= status["tombstoneLimitBytes"].as_u64(),
        "{status:#}"
    );
    // All goes on, and in the end what is remembered fits.
    scene.to.put(b"new", b"v", NEVER).await.unwrap();
    scene.target.synchronize("c").await;
    for number in 0..2 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap(), None, "{number} has come back");
    }
    let report = scene.action("verify&repair=true").await.with(200).json();
    assert_eq!(report["repaired"], 0, "{report:#}");
    for number in 0..2 {
        assert_eq!(scene.to.get(&key(number)).await.unwrap(), None, "{number} has come back");
    }
    scene.stop().await;
}

#[tokio::test]
async fn ended_sessions_are_forgotten_once_everything_is_copied() {
    let scene = Scene::connected(10).await;
    for number in 0..200 {
        scene.to.put(&session(number), b"v", lasting(1)).await.unwrap();
    }
    eventually("all have ended", || async {
        let mut ended = true;
        for number in 0..200 {
            ended &= scene.to.get(&session(number)).await.unwrap().is_none();
        }
        ended.then_some(())
    })
    .await;
    assert_eq!(scene.target.rest.migration("c").await["tombstones"], 200);
    scene.target.synchronize("c").await;
    let status = scene.target.rest.migration("c").await;
    assert_eq!((&status["tombstones"], &status["mayHaveForgotten"]), (&0.into(), &false.into()));
    let report = scene.action("verify").await.with(200).json();
    assert_eq!((&report["missing"], &report["same"]), (&0.into(), &10.into()), "{report:#}");
    scene.stop().await;
}

#[tokio::test]
async fn while_the_source_is_silent_writes_are_refused_rather_than_removed_keys_forgotten() {
    let scene = small().await;
    assert!(scene.to.remove(&key(0)).await.unwrap().is_done());
    scene.relay.refuse(true);
    scene.relay.cut();
    let removed = remove_until(&scene, async |_| false).await;
    assert!(removed > 1_000, "{removed}");
    let refused = scene.to.put(b"new", b"v", NEVER).await.unwrap_err();
    let text = format!("{refused:?}");
    assert!(text.contains("removed and expired keys"), "{text}");
    // What has a record goes on.
    scene.to.put(&session(0), b"v", NEVER).await.unwrap();
    assert!(scene.to.remove(&session(0)).await.unwrap().is_done());

    scene.relay.refuse(false);
    eventually("it goes on by itself", || async {
        scene.to.put(b"new", b"v", NEVER).await.ok().map(drop)
    })
    .await;
    scene.target.synchronize("c").await;
    assert_eq!(scene.to.get(&key(0)).await.unwrap(), None, "it has come back");
    scene.stop().await;
}
