//! The target is killed while it copies, and started again with its data directory: what clients have
//! changed is never shown as it was before, and the migration can be completed.

use std::path::Path;

use client::{RemoteCache, RequestExpiration};
use server::demo::Account;

use super::{SILENT, copy_slowly, finish, path, refusal, under_way};
use crate::harness::{
    OCTETS, ServerProcess, eventually,
    infinispan::{Infinispan, Setup, Version, cache_element},
    note, synchronized,
};

const ENTRIES: usize = 10_000;

/// Clients only read this one.
const READ: &str = "read";

/// Clients change this one.
const CHANGED: &str = "changed";

async fn start(data: &Path) -> ServerProcess {
    ServerProcess::start(&["--data-dir", data.to_str().unwrap()]).await
}

async fn open(target: &ServerProcess, name: &str) -> RemoteCache {
    target.client().await.cache(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_killed_shows_nothing_old_and_completes_its_migration() {
    let octets = "application/octet-stream";
    let elements = [READ, CHANGED].map(|name| cache_element(name, octets, ""));
    let source = Infinispan::start(Setup::new(Version::V16, elements.concat())).await;
    let data = tempfile::tempdir().unwrap();
    let never = RequestExpiration::default();
    let target = start(data.path()).await;
    let mut accounts = Vec::new();
    for name in [READ, CHANGED] {
        let filled = source.cache(name).await;
        accounts.push(Account::fill(&filled, ENTRIES, |_| {}).await.unwrap());
        for key in [&b"to be changed"[..], b"to be removed"] {
            filled.put(key, b"of the source", never).await.unwrap();
        }
        target.rest.post(&path(name, ""), OCTETS).await.with(200);
        let connection = path(name, "/rolling-upgrade/source-connection");
        target.rest.post(&connection, source.document(name).to_string()).await.with(204);
        copy_slowly(&target.rest, name, 1_000).await;
    }
    let changed = open(&target, CHANGED).await;
    changed.put(b"to be changed", b"of a client", never).await.unwrap();
    assert!(changed.remove(b"to be removed").await.unwrap().is_done());
    for name in [READ, CHANGED] {
        under_way(&target.rest, name, 1_000).await;
    }
    target.kill().await;

    // The source says nothing while the target starts: nobody may take that for "no such entry".
    source.freeze(true).await;
    let target = start(data.path()).await;
    let read = open(&target, READ).await;
    let text = refusal(async || read.get(b"to be changed").await).await;
    assert!(text.contains(SILENT), "{text}");
    lost(&target).await;
    source.freeze(false).await;

    let found = eventually("the source is reached again", || async {
        read.get(b"to be changed").await.ok()
    })
    .await;
    assert_eq!(found.unwrap(), &b"of the source"[..]);
    let written = synchronize(&target, READ).await;
    let tally = finish(&target.rest, &read, &accounts[0]).await;
    note(format_args!("{READ}: {written} written after the restart, {} there", tally.from_source));

    lost(&target).await;
    let accept = path(CHANGED, "/rolling-upgrade?action=accept-loss");
    target.rest.post(&accept, "").await.with(204);
    let changed = open(&target, CHANGED).await;
    let written = synchronize(&target, CHANGED).await;
    let tally = finish(&target.rest, &changed, &accounts[1]).await;
    note(format_args!("{CHANGED}: {written} written after the loss, {} there", tally.from_source));
    // That is what the operator has accepted.
    for key in [&b"to be changed"[..], b"to be removed"] {
        assert_eq!(changed.get(key).await.unwrap().unwrap(), &b"of the source"[..]);
    }
    target.terminate().await;
}

async fn synchronize(target: &ServerProcess, name: &str) -> u64 {
    let answer = target.rest.post(&path(name, "?action=sync-data"), "").await.with(200);
    synchronized(answer.text())
}

/// What clients had changed is gone: nothing is answered before the operator has accepted that.
async fn lost(target: &ServerProcess) {
    const LOST: &str = "entries written here were lost with the process";
    let (rest, cache) = (&target.rest, open(target, CHANGED).await);
    let status = rest.migration(CHANGED).await;
    assert_eq!(status["state"], "FAILED", "{status:#}");
    assert!(status["problem"].as_str().unwrap().contains(LOST), "{status:#}");
    let never = RequestExpiration::default();
    let texts = [
        refusal(async || cache.get(b"to be changed").await).await,
        refusal(async || cache.get(b"to be removed").await).await,
        refusal(async || cache.get(b"nobody has it").await).await,
        refusal(async || cache.put(b"to be changed", b"again", never).await).await,
        refusal(async || cache.remove(b"to be removed").await).await,
        refusal(async || cache.size().await).await,
        refusal(async || cache.clear().await).await,
    ];
    for text in texts {
        assert!(text.contains(LOST), "{text}");
    }
    for request in ["/to%20be%20changed", "?action=keys", "?action=size"] {
        let answer = rest.get(&path(CHANGED, request)).await.with(503);
        assert!(answer.text().contains(LOST), "{request}: {}", answer.text());
    }
    let answer = rest.post(&path(CHANGED, "?action=sync-data"), "").await.with(500);
    assert!(answer.text().contains(LOST), "{}", answer.text());
}
