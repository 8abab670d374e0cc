//! Walks over a cache that grows meanwhile: iterations, arrays of keys, sizes.

use std::collections::BTreeMap;

use client::{Item, Iterate, RequestExpiration};

use crate::{harness::TestServer, migration::key};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// All keys lie in the same table, which grows the more.
const ONE_SEGMENT: &str =
    r#"{"distributed-cache":{"mode":"SYNC","segments":1,"encoding":{"media-type":"text/plain"}}}"#;

const ENTRIES: u32 = 2_000;

#[tokio::test]
async fn an_iteration_gives_each_entry_once_although_the_table_grows() {
    let server = TestServer::start().await;
    let cache = server.cache_of("c", ONE_SEGMENT).await;
    cache.put_all((0..ENTRIES).map(|number| (key(number), b"v")), NEVER).await.unwrap();
    let mut walk = cache.iterate(Iterate { batch: 50, ..Iterate::default() }).await.unwrap();
    let (mut given, mut written) = (BTreeMap::<_, u32>::new(), ENTRIES);
    while let Some(item) = walk.next().await.unwrap() {
        let Item::Entry { key: given_key, .. } = item else { continue };
        *given.entry(given_key.to_vec()).or_default() += 1;
        if given.len() % 50 == 1 && written < 10 * ENTRIES {
            let more = (written..written + 500).map(|number| (key(number), b"v"));
            cache.put_all(more, NEVER).await.unwrap();
            written += 500;
        }
    }
    assert!(written > 8 * ENTRIES, "the table has grown a few times, to {written} entries");
    for number in 0..ENTRIES {
        assert_eq!(given.get(&key(number)), Some(&1), "key {number} was there throughout");
    }
    assert!(given.values().all(|times| *times == 1), "an entry was given more than once");
    server.stop().await;
}

#[tokio::test]
async fn keys_over_rest_and_sizes_are_exact_while_the_table_grows() {
    let server = TestServer::start().await;
    let cache = server.cache_of("c", ONE_SEGMENT).await;
    let mortal = RequestExpiration {
        lifespan: client::Duration::Millis(3_600_000),
        max_idle: client::Duration::Default,
    };
    // Entries that can end are counted one by one.
    cache.put_all((0..ENTRIES).map(|number| (key(number), b"v")), mortal).await.unwrap();
    let grow = async {
        for from in (ENTRIES..10 * ENTRIES).step_by(200) {
            let more = (from..from + 200).map(|number| (key(number), b"v"));
            cache.put_all(more, mortal).await.unwrap();
        }
    };
    let look = async {
        for _ in 0..10 {
            let before = u64::from(ENTRIES);
            let size = cache.size().await.unwrap();
            assert!((before..=10 * before).contains(&size), "{size} entries");
            let keys = server.rest.get("/rest/v2/caches/c?action=keys").await.with(200).json();
            let keys: Vec<_> = keys.as_array().unwrap().iter().map(|key| key.as_str()).collect();
            let mut distinct = keys.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(keys.len(), distinct.len(), "no key is given twice");
            let throughout = (0..ENTRIES).map(|number| format!("key {number}"));
            for key in throughout {
                assert!(distinct.binary_search(&Some(&key)).is_ok(), "{key} was there throughout");
            }
        }
    };
    tokio::join!(grow, look);
    assert_eq!(cache.size().await.unwrap(), u64::from(10 * ENTRIES));
    server.stop().await;
}
