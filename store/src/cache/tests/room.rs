//! What makes room for a write that would be refused.

use super::*;

/// A write that ends a second after it.
fn put_for_a_second(cache: &Cache, key: &[u8], value: &[u8]) -> Result<Progress, CacheError> {
    let second = Some(Lifetime::from_millis(1_000));
    let expiration = Expiration { lifespan: second, ..Expiration::NEVER };
    cache.execute(&Command::write(key, value, expiration), now(), &mut |_: Outcome<'_>| ())
}

fn put_at(cache: &Cache, key: &[u8], value: &[u8], millis: u64) -> Result<Progress, CacheError> {
    let command = Command::write(key, value, Expiration::NEVER);
    cache.execute(&command, Timestamp::from_millis(millis), &mut |_: Outcome<'_>| ())
}

#[test]
fn expired_entries_make_room_in_a_cache_that_refuses() {
    let memory = |max_count, max_size| MemoryConfig {
        max_count,
        max_size,
        when_full: config::WhenFull::Exception,
    };
    for memory in [memory(Some(1_000), None), memory(None, Some(1_000_000))] {
        let cache = cache(memory);
        let mut count = 0_u32;
        while put_for_a_second(&cache, &count.to_be_bytes(), &[7; 500]).is_ok() {
            count += 1;
        }
        assert!(count >= 1_000, "{count}");
        assert_eq!(put_at(&cache, b"key", &[7; 500], 1_999), Err(CacheError::Full));
        assert!(cache.is_short_of_room() && !cache.is_short_of_room());
        let mut written = 0;
        while put_at(&cache, &(count + written).to_be_bytes(), &[7; 500], 2_000).is_ok() {
            written += 1;
        }
        // Tables may have grown meanwhile, which count as bytes.
        assert!(written > count / 10 * 9, "{written} of {count}");
        assert_eq!(cache.stats().expirations, u64::from(count));
        assert_eq!(len(&cache, Timestamp::from_millis(2_000)), u64::from(written));
    }
}

#[test]
fn expired_entries_of_any_cache_make_room_for_a_write_that_the_members_memory_would_refuse() {
    let container = crate::Container::new(MemoryLimit::new(4_000_000));
    let config = Arc::new(CacheConfig::new(CacheMode::Local));
    let start = |name: &str| {
        container.start(&name.parse().unwrap(), Arc::clone(&config), VersionKey::new(1), now())
    };
    let caches = ["a", "b", "c"].map(start);
    let [a, b, c] = &caches;
    let memory = container.memory();
    put(a, b"forever", &[7; 100_000]);
    let mut key = 0_u32;
    let cache_of = |key: u32| if key.is_multiple_of(2) { b } else { c };
    while put_for_a_second(cache_of(key), &key.to_be_bytes(), &[7; 900]).is_ok() {
        key += 1;
    }
    assert!(key > 3_000, "{key}");
    assert!(memory.is_short());
    let refused = put_at(a, b"key", &[7; 100_000], 1_999);
    assert_eq!(refused, Err(CacheError::OutOfMemory { limit: 4_000_000 }));
    assert!(memory.is_short() && !memory.is_short());
    // Also a write that is much larger than the entries which make room for it.
    for key in 0_u32..20 {
        assert_eq!(put_at(a, &key.to_be_bytes(), &[7; 100_000], 2_000), Ok(Progress::Done));
    }
    assert!(!memory.is_short());
    assert!(memory.used() <= 4_000_000 + 256 * 1024, "{}", memory.used());
    let left = b.approximate_len() + c.approximate_len();
    assert!((1..u64::from(key) / 2).contains(&left), "no more end than have to: {left}");
    assert!(has(a, b"forever"));
}

#[test]
fn room_for_many_entries_is_found_before_the_first_is_written() {
    let memory = MemoryConfig {
        max_count: Some(10),
        when_full: config::WhenFull::Exception,
        ..MemoryConfig::default()
    };
    let cache = cache(memory);
    for key in 0_u32..6 {
        let _ = put_for_a_second(&cache, &key.to_be_bytes(), b"v").unwrap();
    }
    let keys: Vec<_> = (5_u32..12).map(u32::to_be_bytes).collect();
    let check = |count, millis| check_room(&cache, keys.iter().take(count), millis);
    assert_eq!(check(5, 1_999), Ok(()), "one of them is there");
    assert_eq!(check(6, 1_999), Err(CacheError::Full));
    assert_eq!(cache.stats().stores, 6);
    assert_eq!(check(6, 2_000), Ok(()), "expired entries make room");
    assert!(cache.surely_has_room(4, 100) && !cache.surely_has_room(11, 100));
}

#[test]
fn a_write_that_is_refused_looks_at_a_bounded_number_of_entries_and_the_next_one_goes_on() {
    let memory = MemoryConfig {
        max_count: Some(100_000),
        when_full: config::WhenFull::Exception,
        ..MemoryConfig::default()
    };
    let cache = cache(memory);
    let hour = Some(Lifetime::from_millis(3_600_000));
    let expiration = Expiration { lifespan: hour, ..Expiration::NEVER };
    for key in 0_u32..99_999 {
        let key = key.to_be_bytes();
        let write = Command::write(&key, b"v", expiration);
        let _ = cache.execute(&write, now(), &mut |_: Outcome<'_>| ()).unwrap();
    }
    let _ = put_for_a_second(&cache, b"short", b"v").unwrap();
    let mut refused = 0;
    while put_at(&cache, b"key", b"v", 2_000).is_err() {
        refused += 1;
        assert!(refused < 1_000, "it is never found");
    }
    assert!(refused < 2 * cache.approximate_len() / 1_000, "{refused}");
    assert_eq!(cache.stats().expirations, 1);
}

#[test]
fn an_import_ends_expired_entries_before_it_is_refused() {
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    let memory = MemoryLimit::new(1_000_000);
    let cache =
        Arc::new(Cache::new("test".parse().unwrap(), config, VersionKey::new(9), memory, now()));
    let mut key = 0_u32;
    while put_for_a_second(&cache, &key.to_be_bytes(), &[7; 900]).is_ok() {
        key += 1;
    }
    connect(&cache);
    let import = |millis| {
        let value = [7; 900];
        let metadata = EntryMetadata::default();
        let imported = Imported { value: Value::Inline(&value), metadata };
        let (mut import, at) = (None, Timestamp::from_millis(millis));
        let entries = [(&b"key"[..], imported)];
        cache.import(&entries, ImportRule::Copy, ConnectionId(1), at, |_, came| {
            import = Some(came);
        });
        import.unwrap()
    };
    assert!(matches!(import(1_999), Import::Failed(CacheError::OutOfMemory { .. })));
    assert_eq!(import(2_000), Import::Written);
}

/// Checks that there is room for values of one byte under these keys, as a request that writes all of them does.
fn check_room<K: AsRef<[u8]>>(
    cache: &Cache,
    keys: impl IntoIterator<Item = K>,
    millis: u64,
) -> Result<(), CacheError> {
    let (mut growth, at) = (Growth::default(), Timestamp::from_millis(millis));
    for key in keys {
        if !cache.add_growth(&mut growth, (key.as_ref(), b"v"), Expiration::NEVER, at) {
            break;
        }
    }
    cache.check_room(growth, at)
}

/// At most so many entries; writes of more are refused.
fn refusing(most: u64) -> MemoryConfig {
    let when_full = config::WhenFull::Exception;
    MemoryConfig { max_count: Some(most), when_full, ..MemoryConfig::default() }
}

#[test]
fn an_entry_that_is_over_counts_as_new_in_a_request_that_writes_it() {
    let cache = cache(refusing(10));
    (0_u8..7).for_each(|key| put(&cache, &[key], b"v"));
    for key in [b"k1", b"k2", b"k3"] {
        let _ = put_for_a_second(&cache, key, b"v").unwrap();
    }
    // Three go, and five come to seven.
    assert_eq!(check_room(&cache, ["k1", "k2", "k3", "n1", "n2"], 2_000), Err(CacheError::Full));
    assert_eq!(check_room(&cache, ["k1", "k2", "n1"], 2_000), Ok(()));
}

#[test]
fn what_could_never_fit_is_not_added_up_to_its_end() {
    let in_bytes = MemoryConfig { max_count: None, max_size: Some(10_000), ..refusing(0) };
    for (memory, most) in [(refusing(10), 11), (in_bytes, 10_000)] {
        let cache = cache(memory);
        let (mut growth, mut added) = (Growth::default(), 0_u32);
        let add = |growth: &mut Growth, key: u32| {
            cache.add_growth(growth, (&key.to_be_bytes(), b"v"), Expiration::NEVER, now())
        };
        while add(&mut growth, added) {
            added += 1;
            assert!(added < most, "it goes on for ever");
        }
        assert_eq!(cache.check_room(growth, now()), Err(CacheError::Full));
        assert!(!cache.is_short_of_room(), "no sweep would make room for that");
    }
    let evicting = cache(MemoryConfig { max_count: Some(1), ..MemoryConfig::default() });
    assert_eq!(check_room(&evicting, (0_u32..100).map(u32::to_be_bytes), 1_000), Ok(()));
}

#[test]
fn expired_entries_of_another_cache_make_room_before_a_cache_evicts_many_of_its_own() {
    let container = crate::Container::new(MemoryLimit::new(4_000_000));
    let start = |name: &str, memory| {
        let config = CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) };
        container.start(&name.parse().unwrap(), Arc::new(config), VersionKey::new(1), now())
    };
    let bound = MemoryConfig { max_count: Some(1_000_000), ..MemoryConfig::default() };
    let (evicting, other) = (start("a", bound), start("b", MemoryConfig::default()));
    (0_u32..1_000).for_each(|key| put(&evicting, &key.to_be_bytes(), &[7; 1_000]));
    let mut key = 0_u32;
    while put_for_a_second(&other, &key.to_be_bytes(), &[7; 900]).is_ok() {
        key += 1;
    }
    // While nothing is over, few entries would not make room for it: none goes in vain.
    let large = vec![7; 1_000_000];
    assert!(matches!(
        put_at(&evicting, b"large", &large, 1_999),
        Err(CacheError::OutOfMemory { .. })
    ));
    assert_eq!(evicting.stats().evictions, 0);
    assert_eq!(put_at(&evicting, b"large", &large, 2_000), Ok(Progress::Done));
    assert_eq!((evicting.stats().evictions, evicting.approximate_len()), (0, 1_001));
    // A small one need not look for those that are over.
    assert_eq!(put_at(&evicting, b"small", &[7; 2_000], 2_000), Ok(Progress::Done));
}

#[test]
fn a_write_evicts_nothing_while_there_are_expired_entries_to_end() {
    let container = crate::Container::new(MemoryLimit::new(4_000_000));
    let start = |name: &str, memory, segments| {
        let config = CacheConfig { memory, segments, ..CacheConfig::new(CacheMode::Distributed) };
        container.start(&name.parse().unwrap(), Arc::new(config), VersionKey::new(1), now())
    };
    let bound = MemoryConfig { max_count: Some(1_000_000), ..MemoryConfig::default() };
    let (evicting, other) = (start("a", bound, 1), start("b", MemoryConfig::default(), 256));
    (0_u32..20).for_each(|key| put(&evicting, &key.to_be_bytes(), &[7; 50_000]));
    let mut key = 0_u32;
    while put_for_a_second(&other, &key.to_be_bytes(), &[7; 900]).is_ok() {
        key += 1;
    }
    // At first, all of its entries would not be enough; once some others have gone, they would be.
    let large = vec![7; 1_500_000];
    assert_eq!(put_at(&evicting, b"large", &large, 2_000), Ok(Progress::Done));
    assert_eq!((evicting.stats().evictions, evicting.approximate_len()), (0, 21));
}

#[test]
fn a_refused_write_looks_at_all_of_a_small_cache() {
    let cache = cache(refusing(100));
    let hour = Some(Lifetime::from_millis(3_600_000));
    let expiration = Expiration { lifespan: hour, ..Expiration::NEVER };
    for key in 0_u8..99 {
        let write = Command::write(std::slice::from_ref(&key), b"v", expiration);
        let _ = cache.execute(&write, now(), &mut |_: Outcome<'_>| ()).unwrap();
    }
    assert!(cache.segments.used().count() > 50, "they are spread");
    let _ = put_for_a_second(&cache, b"short", b"v").unwrap();
    assert_eq!(put_at(&cache, b"key", b"v", 2_000), Ok(Progress::Done));
}
