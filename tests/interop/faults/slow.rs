//! The network to the source is slow, and is cut: the copy takes its time, and nothing else does.

use client::RequestExpiration;
use server::demo::Account;
use tokio::time::Instant;

use super::{DEADLINE, finish, path, relayed, stage, throttle};
use crate::harness::{
    TestServer, eventually,
    infinispan::{Setup, Version, cache_element},
    note,
};

const ENTRIES: usize = 2_000;

/// Bytes a second, on each connection: the cache has about two million.
const SLOW: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_source_slows_down_nothing_but_its_copy() {
    let element = cache_element("c", "application/octet-stream", "");
    let (relay, source) = relayed(Setup::new(Version::V16, element)).await;
    let account = Account::fill(&source.cache("c").await, ENTRIES, |_| {}).await.unwrap();
    let target = TestServer::start().await;
    let cache = target.cache("c").await;
    target.connect("c", &source.document("c").to_string()).await;
    cache.put(b"known", b"v", RequestExpiration::default()).await.unwrap();

    relay.slow_down(SLOW);
    let begin = Instant::now();
    let rest = &target.rest;
    rest.post(&path("c", "?action=sync-data&async=true"), "").await.with(202);
    let (mut reads, mut late, mut cuts) = (0_u32, 0, 0);
    loop {
        let asked = Instant::now();
        assert_eq!(cache.get(b"known").await.unwrap().unwrap(), &b"v"[..]);
        late += u32::from(asked.elapsed() > DEADLINE / 4);
        reads += 1;
        let status = rest.migration("c").await;
        match status["job"]["state"].as_str() {
            // Every connection ends in the middle of the copy, twice.
            Some("running")
                if cuts < 2 && super::number(&status, "/job/entries/read") > 200 * (cuts + 1) =>
            {
                relay.cut();
                cuts += 1;
            }
            Some("running" | "retrying") => {}
            _ => break,
        }
    }
    stage(rest, "c", "SYNCED").await;
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(cuts, 2);
    // The machine may stand still for a moment.
    assert!(late <= reads / 10, "{late} of {reads} reads of an entry that is here were late");
    note(format_args!(
        "copied in {seconds:.1} s with {cuts} cuts; {reads} reads meanwhile, {late} of them late"
    ));
    relay.slow_down(0);
    let tally = finish(rest, &cache, &account).await;
    assert!(tally.from_source > ENTRIES as u64 * 9 / 10, "{tally:?}");
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_waits_for_a_source_that_is_away_for_a_moment() {
    let element = cache_element("c", "application/octet-stream", "");
    let (relay, source) = relayed(Setup::new(Version::V16, element)).await;
    let account = Account::fill(&source.cache("c").await, ENTRIES, |_| {}).await.unwrap();
    let target = TestServer::start().await;
    let (cache, rest) = (target.cache("c").await, &target.rest);
    target.connect("c", &source.document("c").to_string()).await;
    super::copy_slowly(rest, "c", 500).await;
    super::under_way(rest, "c", 200).await;

    relay.refuse(true);
    relay.cut();
    let status = eventually("the job waits", || async {
        let status = rest.migration("c").await;
        (status["job"]["state"] == "retrying").then_some(status)
    })
    .await;
    assert_eq!(status["state"], "SYNCING", "{status:#}");
    eventually("the status says that the source is away", || async {
        (rest.migration("c").await["source"]["reachable"] == false).then_some(())
    })
    .await;
    relay.refuse(false);
    throttle(rest, "c", "{}").await;
    target.synchronize("c").await;
    finish(rest, &cache, &account).await;
    target.stop().await;
}
