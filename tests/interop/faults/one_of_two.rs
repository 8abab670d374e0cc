//! One server of two is killed while the cache is copied. The other one has everything, which only its operator knows.

use server::demo::Account;

use super::{copy_slowly, finish, path, throttle, under_way};
use crate::harness::{
    TestServer, eventually,
    infinispan::{Infinispan, Setup, Version, cache_element},
    note,
};

const ENTRIES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_from_the_other_server() {
    let element = cache_element("c", "application/octet-stream", "");
    let [first, mut second] = Infinispan::start_pair(Setup::new(Version::V16, element)).await;
    let account = Account::fill(&first.cache("c").await, ENTRIES, |_| {}).await.unwrap();
    let target = TestServer::start().await;
    let cache = target.cache("c").await;
    target.connect("c", &first.document("c").to_string()).await;
    copy_slowly(&target.rest, "c", 2_000).await;
    under_way(&target.rest, "c", 1_000).await;
    second.kill().await;
    throttle(&target.rest, "c", "{}").await;
    // Who joins the job hears of its end.
    let written = target.synchronize("c").await;
    let verify = path("c", "/rolling-upgrade?action=verify");
    target.rest.post(&verify, "").await.with(200);
    let gone = format!("source server {} has left", second.address());
    eventually("the server that is gone is named", || async {
        let status = target.rest.migration("c").await;
        assert_eq!(status["state"], "SYNCED", "{status:#}");
        status["doubts"].to_string().contains(&gone).then_some(())
    })
    .await;
    let disconnect = path("c", "/rolling-upgrade/source-connection?strict=true");
    target.rest.delete(&disconnect).await.with(409);
    let accept = path("c", "/rolling-upgrade?action=accept-source-loss");
    target.rest.post(&accept, "").await.with(204);
    let tally = finish(&target.rest, &cache, &account).await;
    note(format_args!("{written} written, {} of the source in the end", tally.from_source));
    assert!(tally.from_source <= written);
    target.stop().await;
}
