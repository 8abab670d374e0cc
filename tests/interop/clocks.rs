//! The clock of a real server is not ours: it was set back between two entries, it is an hour behind, or it is
//! apart from that of the other server of its cluster. No living entry is lost, and each lives here as long as
//! there.

use std::time::{SystemTime, UNIX_EPOCH};

use client::{Client, ClientConfig, Intelligence, RemoteCache, RequestExpiration, ServerAddress};
use serde_json::Value;

use crate::harness::{
    TestServer, eventually,
    infinispan::{Infinispan, Setup, Version, cache_element},
    note,
};

/// The clock of the source was ahead when one entry was written, and then it was set right.
const MIXED: &str = "mixed";

/// The clock of the source is behind.
const BEHIND: &str = "behind";

/// The source has two servers: the clock of one is behind, and that of the other is ahead.
const APART: &str = "apart";

/// By how many seconds.
const HOUR: i64 = 3_600;

/// By how many seconds it is behind once it was set while the cache was connected.
const NEARLY: i64 = HOUR - 60;

/// Milliseconds between the bounds of a clock that is known well enough for this test.
const WELL: i64 = 200;

/// Milliseconds that a clock may be outside its bounds: instants are cut off, and clocks drift.
const TOLERANCE: i64 = 50;

/// Entries of each kind.
const ENTRIES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn no_living_entry_is_lost_although_the_sources_clock_is_another() {
    let elements = [MIXED, BEHIND].map(|name| cache_element(name, "application/octet-stream", ""));
    let setup = Setup { clock: Some(600), ..Setup::new(Version::V16, elements.concat()) };
    let source = Infinispan::start(setup).await;
    let target = TestServer::start().await;
    was_set_back(&source, &target).await;
    is_behind(&source, &target).await;
    target.stop().await;
}

async fn was_set_back(source: &Infinispan, target: &TestServer) {
    let theirs = source.cache(MIXED).await;
    shows(source, &theirs, 600).await;
    theirs.put(b"dated ahead", b"v", lifespan(HOUR)).await.unwrap();
    source.set_clock(0);
    shows(source, &theirs, 0).await;
    fill(&theirs, "short", lifespan(300)).await;

    let ours = target.cache(MIXED).await;
    target.connect(MIXED, &source.document(MIXED).to_string()).await;
    let known = uncertainty(target, MIXED).await;
    assert!(ours.get(b"dated ahead").await.unwrap().is_some());
    // The first entries live as long as there, too.
    let differs = created(&ours, &key("short", 0)).await - created(&theirs, &key("short", 0)).await;
    note(format_args!("{MIXED}: the first life differs by {differs} ms, known to {known} ms"));
    assert!((-TOLERANCE..=known + TOLERANCE).contains(&differs), "{differs} ms of {known}");
    is_known(target, MIXED, 0).await;
    take_over(target, MIXED).await;
    all_are_here(&ours, "short").await;
    assert!(ours.get(b"dated ahead").await.unwrap().is_some());
    prove(target, MIXED, ENTRIES + 1).await;
}

async fn is_behind(source: &Infinispan, target: &TestServer) {
    source.set_clock(-HOUR);
    let theirs = source.cache(BEHIND).await;
    shows(source, &theirs, -HOUR).await;
    fill(&theirs, "short", lifespan(HOUR / 2)).await;
    fill(&theirs, "long", lifespan(2 * HOUR)).await;
    let idle = RequestExpiration {
        max_idle: client::Duration::Millis(1_800_000),
        ..RequestExpiration::default()
    };
    fill(&theirs, "idle", idle).await;

    let ours = target.cache(BEHIND).await;
    let connection = format!("/rest/v2/caches/{BEHIND}/rolling-upgrade/source-connection");
    let document = source.document(BEHIND).to_string();
    let connected = target.rest.post(&connection, document).await.with(204);
    let notice = format!("{:?}", connected.headers);
    assert!(notice.contains("behind the clock here"), "{notice}");
    assert!(ours.get(&key("idle", 0)).await.unwrap().is_some());
    is_known(target, BEHIND, -1_000 * HOUR).await;
    source.set_clock(-NEARLY);
    eventually("the source's clock was seen to be set", || async {
        let status = target.rest.migration(BEHIND).await;
        (status["source"]["clocks"][0]["jumps"] == 1).then_some(())
    })
    .await;
    is_known(target, BEHIND, -1_000 * NEARLY).await;
    take_over(target, BEHIND).await;
    for kind in ["short", "long", "idle"] {
        all_are_here(&ours, kind).await;
    }
    for kind in ["short", "long"] {
        for number in 0..ENTRIES {
            let key = key(kind, number);
            let differs = created(&ours, &key).await - created(&theirs, &key).await;
            let differs = differs - 1_000 * NEARLY;
            let range = -TOLERANCE..=WELL + TOLERANCE;
            assert!(range.contains(&differs), "{kind} {number} differs by {differs} ms");
        }
    }
    prove(target, BEHIND, 3 * ENTRIES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_two_servers_whose_clocks_are_apart_live_as_long_as_there() {
    const AHEAD: i64 = 600;
    let element = cache_element(APART, "application/octet-stream", "");
    let setup = Setup { clock: Some(-HOUR), login: false, ..Setup::new(Version::V16, element) };
    let [behind, ahead] = Infinispan::start_pair(setup).await;
    ahead.set_clock(AHEAD);
    let servers = [(&behind, -HOUR), (&ahead, AHEAD)];
    for (server, seconds) in servers {
        shows(server, &only(server, APART).await, seconds).await;
    }
    let theirs = behind.cache(APART).await;
    let mut written = Vec::new();
    for kind in ["short", "long"] {
        let seconds = if kind == "short" { HOUR / 12 } else { 2 * HOUR };
        for number in 0..ENTRIES {
            let from = now_millis();
            theirs.put(&key(kind, number), b"v", lifespan(seconds)).await.unwrap();
            written.push((key(kind, number), from, now_millis()));
        }
    }

    let target = TestServer::start().await;
    let ours = target.cache(APART).await;
    target.connect(APART, &behind.document(APART).to_string()).await;
    // Some are read through before the clocks are known well.
    let uncertain = uncertainties(&target).await;
    for number in 0..5 {
        assert!(ours.get(&key("short", number)).await.unwrap().is_some(), "{number}");
    }
    let known = eventually("both clocks are known", || async {
        let clocks = clocks(&target).await;
        let is_known = |clock: &Value| clock["uncertaintyMs"].as_i64().is_some_and(|it| it <= WELL);
        (clocks.len() == 2 && clocks.iter().all(is_known)).then_some(clocks)
    })
    .await;
    for (server, seconds) in servers {
        let address = server.address().to_string();
        let clock = known.iter().find(|clock| clock["server"] == *address).unwrap();
        let bound = |name: &str| clock[name].as_i64().unwrap();
        let range = bound("offsetLowMs") - TOLERANCE..=bound("offsetHighMs") + TOLERANCE;
        assert!(range.contains(&(1_000 * seconds)), "{clock:#}");
    }
    take_over(&target, APART).await;
    let most = uncertain.max(WELL);
    let mut latest = i64::MIN;
    for (key, from, to) in &written {
        let created = created(&ours, key).await;
        latest = latest.max(created - to);
        let range = from - TOLERANCE..=to + most + TOLERANCE;
        let name = String::from_utf8_lossy(key);
        assert!(range.contains(&created), "{name}: {created} is not in {range:?}");
    }
    note(format_args!("{APART}: lives begin at most {latest} ms later, known to {most} ms"));
    prove(&target, APART, 2 * ENTRIES).await;
    for (key, ..) in &written {
        assert!(ours.get(key).await.unwrap().is_some());
    }
    target.stop().await;
}

/// A client of a cache that asks this server alone.
async fn only(server: &Infinispan, cache: &str) -> RemoteCache {
    let address = server.address();
    let server = ServerAddress { host: address.ip().to_string(), port: address.port() };
    let config = ClientConfig { intelligence: Intelligence::Basic, ..ClientConfig::new([server]) };
    Client::connect(config).await.unwrap().cache(cache).await.unwrap()
}

/// What the status says of the clocks of the two servers.
async fn clocks(target: &TestServer) -> Vec<Value> {
    let status = target.rest.migration(APART).await;
    status["source"]["clocks"].as_array().unwrap().clone()
}

/// Milliseconds that are shown as unknown of either clock.
async fn uncertainties(target: &TestServer) -> i64 {
    let clocks = clocks(target).await;
    let shown = clocks.iter().map(|clock| clock["uncertaintyMs"].as_i64().unwrap());
    shown.max().unwrap()
}

fn lifespan(seconds: i64) -> RequestExpiration {
    RequestExpiration {
        lifespan: client::Duration::Millis(seconds.unsigned_abs() * 1_000),
        ..RequestExpiration::default()
    }
}

fn key(kind: &str, number: usize) -> Vec<u8> {
    format!("{kind} {number}").into_bytes()
}

async fn fill(cache: &RemoteCache, kind: &str, expiration: RequestExpiration) {
    for number in 0..ENTRIES {
        cache.put(&key(kind, number), b"v", expiration).await.unwrap();
    }
}

/// Waits until the source dates entries by the clock that it was set to.
async fn shows(source: &Infinispan, cache: &RemoteCache, ahead: i64) {
    eventually(&format!("the clock of {} is ahead by {ahead} s", source.address()), || async {
        cache.put(b"what time is it", b"v", lifespan(60)).await.unwrap();
        let entry = cache.get_with_metadata(b"what time is it").await.unwrap()?;
        cache.remove(b"what time is it").await.unwrap();
        let shown = i64::try_from(entry.metadata.lifespan?.since / 1_000).unwrap();
        ((shown - now() - ahead).abs() <= 5).then_some(())
    })
    .await;
}

fn now() -> i64 {
    now_millis() / 1_000
}

#[expect(clippy::disallowed_methods, reason = "the source's clock is compared with the real one")]
fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// When an entry with a lifespan was created.
async fn created(cache: &RemoteCache, key: &[u8]) -> i64 {
    let entry = cache.get_with_metadata(key).await.unwrap().unwrap();
    i64::try_from(entry.metadata.lifespan.unwrap().since).unwrap()
}

/// Milliseconds that are not known of the source's clock.
async fn uncertainty(target: &TestServer, cache: &str) -> i64 {
    let status = target.rest.migration(cache).await;
    status["source"]["clocks"][0]["uncertaintyMs"].as_i64().unwrap()
}

/// Waits until the source's clock is known well, and checks that it is ahead by so many milliseconds.
async fn is_known(target: &TestServer, cache: &str, ahead: i64) {
    let status = eventually(&format!("the clock of the source of {cache} is known"), || async {
        let status = target.rest.migration(cache).await;
        let known = status["source"]["clocks"][0]["uncertaintyMs"].as_i64();
        known.is_some_and(|known| known <= WELL).then_some(status)
    })
    .await;
    let clock = &status["source"]["clocks"][0];
    assert_eq!(clock["read"], true, "{status:#}");
    let bound = |name: &str| clock[name].as_i64().unwrap();
    let (low, high) = (bound("offsetLowMs"), bound("offsetHighMs"));
    note(format_args!("{cache}: a clock that is ahead by {ahead} ms is known as {low} to {high}"));
    assert!((low - TOLERANCE..=high + TOLERANCE).contains(&ahead), "{status:#}");
    let skew = status["source"]["clockSkewMs"].as_i64().unwrap();
    assert!((skew - ahead).abs() <= WELL + TOLERANCE, "{status:#}");
}

/// Copies everything.
async fn take_over(target: &TestServer, cache: &str) {
    target.synchronize(cache).await;
    let status = target.rest.migration(cache).await;
    assert_eq!(status["job"]["entries"]["expired"], 0, "{status:#}");
    assert_eq!(status["job"]["entries"]["failed"], 0, "{status:#}");
}

async fn all_are_here(cache: &RemoteCache, kind: &str) {
    for number in 0..ENTRIES {
        assert!(cache.get(&key(kind, number)).await.unwrap().is_some(), "{kind} {number}");
    }
}

async fn prove(target: &TestServer, cache: &str, entries: usize) {
    let verify = format!("/rest/v2/caches/{cache}/rolling-upgrade?action=verify");
    let report = target.rest.post(&verify, "").await.with(200).json();
    assert_eq!(report["same"], entries, "{report:#}");
    for kind in ["expired", "missing", "different", "vanished"] {
        assert_eq!(report[kind], 0, "{report:#}");
    }
    let connection = format!("/rest/v2/caches/{cache}/rolling-upgrade/source-connection");
    target.rest.delete(&format!("{connection}?strict=true")).await.with(204);
}
