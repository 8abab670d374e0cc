//! Sources that lose entries after the connection and before the copy: whichever way the segments become complete,
//! no verdict says that all is well.

use std::path::Path;

use client::RemoteCache;
use config::ServerFile;

use super::{NEVER, Scene, key, value};
use crate::harness::{TestServer, eventually};

const ENTRIES: u32 = 100;

/// The source loses half of its entries.
async fn shrink(source: &RemoteCache) {
    for number in 0..ENTRIES / 2 {
        assert!(source.remove(&key(number)).await.unwrap().is_done());
    }
}

/// Verifies, and finds that half of the entries may be lost.
async fn is_doubted(scene: &Scene) {
    scene.action("verify").await.with(200);
    let status = scene.target.rest.migration("c").await;
    let doubts = status["doubts"].to_string();
    assert!(doubts.contains("had up to 100 entries since the cache was connected"), "{status:#}");
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    assert_eq!(status["verify"]["differences"], 0, "{status:#}");
    scene.disconnect("?strict=true").await.with(409);
    scene.disconnect("").await.with(204);
}

#[tokio::test]
async fn it_is_doubted_where_a_walk_of_a_client_has_brought_everything_in() {
    let scene = Scene::connected(ENTRIES).await;
    shrink(&scene.from).await;
    let keys = scene.target.rest.get("/rest/v2/caches/c?action=keys").await.with(200).json();
    assert_eq!(keys.as_array().unwrap().len(), ENTRIES as usize / 2);
    eventually("all segments are complete", || async {
        (scene.target.rest.migration("c").await["state"] == "SYNCED").then_some(())
    })
    .await;
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn it_is_doubted_where_the_source_shows_what_is_left_twice() {
    let scene = Scene::connected(ENTRIES).await;
    shrink(&scene.from).await;
    scene.relay.repeat_entries(true);
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    assert!(scene.relay.repeated() > 0);
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["here"]["read"], ENTRIES / 2, "{status:#}");
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn it_is_doubted_over_a_connection_that_continues_the_first() {
    let scene = Scene::connected(ENTRIES).await;
    scene.disconnect("?force=true").await.with(200);
    shrink(&scene.from).await;
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn it_is_doubted_where_the_source_has_grown_between_two_connections() {
    let scene = Scene::connected(10).await;
    scene.disconnect("?force=true").await.with(200);
    scene.fill(ENTRIES).await;
    scene.connect().await;
    shrink(&scene.from).await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    is_doubted(&scene).await;
    scene.stop().await;
}

/// Begins to copy a source that has got all of its entries only after it was connected. None of its segments comes
/// to its end.
async fn begin_held(scene: &Scene) {
    scene.fill(ENTRIES).await;
    scene.relay.hold_walks(true);
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
}

/// Ends what [`begin_held`] has begun.
async fn cancel(scene: &Scene) {
    scene.action("cancel").await.with(204);
    eventually("the job ends", || async {
        let status = scene.target.rest.migration("c").await;
        (status["job"]["state"] == "cancelled").then_some(())
    })
    .await;
    scene.relay.hold_walks(false);
}

#[tokio::test]
async fn it_is_doubted_where_the_source_has_grown_before_it_was_copied() {
    let scene = Scene::connected(10).await;
    begin_held(&scene).await;
    cancel(&scene).await;
    shrink(&scene.from).await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn it_is_doubted_where_a_copy_of_a_source_that_has_grown_ends_with_its_connection() {
    let scene = Scene::connected(10).await;
    begin_held(&scene).await;
    scene.disconnect("?force=true").await.with(200);
    scene.relay.hold_walks(false);
    shrink(&scene.from).await;
    scene.connect().await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn it_is_doubted_where_a_copy_of_a_source_that_has_grown_is_cancelled_before_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let file = || ServerFile { data_dir: Some(data.path().to_path_buf()), ..ServerFile::default() };
    let mut scene = Scene::with_target(file()).await;
    scene.fill(10).await;
    scene.connect().await;
    begin_held(&scene).await;
    cancel(&scene).await;
    scene.target.stop().await;
    shrink(&scene.from).await;
    scene.target = TestServer::start_with(file()).await;
    is_reached(&scene).await;
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    is_doubted(&scene).await;
    scene.stop().await;
}

#[tokio::test]
async fn what_the_source_had_counts_no_more_once_it_is_accepted_as_it_is() {
    let scene = Scene::connected(10).await;
    begin_held(&scene).await;
    let twin = scene.twin().await;
    let there = twin.cache("c").await;
    there
        .put_all((0..ENTRIES / 2).map(|number| (key(number), value(number))), NEVER)
        .await
        .unwrap();
    scene.relay.lead_to(twin.address());
    scene.relay.cut();
    scene.relay.hold_walks(false);
    eventually("it is doubted", || async {
        (scene.target.rest.migration("c").await["state"] == "FAILED").then_some(())
    })
    .await;
    scene.action("accept-source-loss").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    scene.action("verify").await.with(200);
    scene.disconnect("?strict=true").await.with(204);
    scene.stop().await;
    twin.stop().await;
}

/// Waits until a target that was restarted has reached its source.
async fn is_reached(scene: &Scene) {
    eventually("the source is reached", || async {
        (scene.target.rest.migration("c").await["source"]["reachable"] == true).then_some(())
    })
    .await;
}

/// Restarts a target that was connected when the source had so many entries, and copies what is left of [`ENTRIES`].
/// The source has lost half of them before the restart, or else has got them by then and loses them after it.
async fn restarted(entries_before: u32, data: &Path) -> Scene {
    let file = || ServerFile { data_dir: Some(data.to_path_buf()), ..ServerFile::default() };
    let mut scene = Scene::with_target(file()).await;
    scene.fill(entries_before).await;
    scene.connect().await;
    scene.target.stop().await;
    let all = (0..ENTRIES).map(|number| (key(number), value(number)));
    scene.from.put_all(all, NEVER).await.unwrap();
    if entries_before == ENTRIES {
        shrink(&scene.from).await;
    }
    scene.target = TestServer::start_with(file()).await;
    is_reached(&scene).await;
    if entries_before < ENTRIES {
        shrink(&scene.from).await;
    }
    assert_eq!(scene.target.synchronize("c").await, u64::from(ENTRIES) / 2);
    scene
}

#[tokio::test]
async fn it_is_doubted_by_a_target_that_was_restarted_meanwhile() {
    for entries_before in [ENTRIES, 10] {
        let data = tempfile::tempdir().unwrap();
        let scene = restarted(entries_before, data.path()).await;
        is_doubted(&scene).await;
        scene.stop().await;
    }
}
