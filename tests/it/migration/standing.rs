//! What outlives the process.

use client::RequestExpiration;

use super::{key, value};
use crate::harness::{OCTETS, ServerProcess, TestServer, eventually, source_document};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

#[tokio::test]
async fn caches_and_connections_outlive_a_kill() {
    let source = TestServer::start().await;
    let from = source.cache("c").await;
    for number in 0..300 {
        from.put(&key(number), &value(number), RequestExpiration::NEVER).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--data-dir", folder.path().to_str().unwrap()];
    let target = ServerProcess::start(&arguments).await;
    target.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    target.rest.post("/rest/v2/caches/gone", OCTETS).await.with(200);
    target.rest.delete("/rest/v2/caches/gone").await.with(200);
    target.rest.post(CONNECTION, source_document(source.address(), "c")).await.with(204);
    let to = target.client().await.cache("c").await.unwrap();
    assert!(to.get(&key(0)).await.unwrap().is_some());
    target.kill().await;

    let target = ServerProcess::start(&arguments).await;
    target.rest.get("/rest/v2/caches/gone?action=config").await.with(404);
    target.rest.get(CONNECTION).await.with(200);
    let to = target.client().await.cache("c").await.unwrap();
    // Nothing was changed here, so nothing was lost: the source still has the last word.
    assert_eq!(to.get(&key(1)).await.unwrap().unwrap(), value(1));
    assert!(to.remove(&key(2)).await.unwrap().is_done());
    target.kill().await;

    let target = ServerProcess::start(&arguments).await;
    let to = target.client().await.cache("c").await.unwrap();
    // Now it was. The source must not answer as if nothing had happened.
    let state = target.rest.migration("c").await;
    assert_eq!(state["state"], "FAILED", "{state}");
    to.get(&key(2)).await.unwrap_err();
    to.get(&key(1)).await.unwrap_err();
    let path = "/rest/v2/caches/c/rolling-upgrade?action=accept-loss";
    target.rest.post(path, "").await.with(204);
    eventually("the source is there again", || async { to.get(&key(1)).await.ok().flatten() })
        .await;
    target.rest.post("/rest/v2/caches/c?action=sync-data", "").await.with(200);
    for number in 0..300 {
        assert_eq!(to.get(&key(number)).await.unwrap().unwrap(), value(number));
    }
    assert!(target.terminate().await.success());
    source.stop().await;
}
