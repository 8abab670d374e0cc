//! A bound that changes while the cache is used.

use super::*;

#[test]
fn a_smaller_bound_holds_once_the_excess_is_evicted() {
    let memory = |max_count| MemoryConfig { max_count, ..MemoryConfig::default() };
    let config = |memory| CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) };
    let cache = cache(memory(Some(100)));
    (0_u32..100).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    cache.reconfigure(Arc::new(config(memory(Some(40)))));
    assert_eq!(len(&cache, now()), 100, "who configures it holds locks that others wait for");
    put(&cache, b"written", b"v");
    assert_eq!(len(&cache, now()), 99, "a write makes room for itself and for one more");
    cache.evict_excess(|| false);
    assert_eq!(len(&cache, now()), 99, "a process that ends does not wait for it");
    cache.evict_excess(|| true);
    assert_eq!(len(&cache, now()), 40);
    put(&cache, b"another", b"v");
    assert_eq!(len(&cache, now()), 40);
    cache.reconfigure(Arc::new(config(memory(Some(50)))));
    (0_u32..100).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    assert_eq!(len(&cache, now()), 50, "a larger one is reached by the writes");
}

#[test]
fn a_bound_is_reached_although_it_is_made_smaller_again_and_others_write() {
    let memory = |max_count| MemoryConfig { max_count, ..MemoryConfig::default() };
    let config = |memory| CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) };
    let cache = cache(memory(Some(5_000)));
    (0_u32..5_000).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    thread::scope(|scope| {
        for bound in [4_000, 3_000, 500] {
            cache.reconfigure(Arc::new(config(memory(Some(bound)))));
            scope.spawn(|| cache.evict_excess(|| true));
            scope
                .spawn(|| (9_000_u32..9_500).for_each(|key| put(&cache, &key.to_be_bytes(), b"v")));
        }
    });
    // Several that evict at the same time may each evict the last one that is too much.
    assert!((480..=500).contains(&len(&cache, now())), "{}", len(&cache, now()));
    (0_u32..100).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    assert_eq!(len(&cache, now()), 500);
}

fn bounded_to(max_size: u64) -> CacheConfig {
    let memory = MemoryConfig { max_size: Some(max_size), ..MemoryConfig::default() };
    CacheConfig { memory, ..CacheConfig::new(CacheMode::Distributed) }
}

#[test]
fn writes_keep_to_a_bound_that_was_configured_again_while_there_was_more() {
    let cache = cache(bounded_to(1_000_000).memory);
    let mut key = 0_u32;
    while cache.evicted() == 0 {
        put(&cache, &key.to_be_bytes(), &[7; 500]);
        key += 1;
    }
    // Just between a write and the eviction that follows it.
    let many = [0_u8; 20_000];
    let write = Command::write(b"many", &many, Expiration::NEVER);
    let segment = cache.placed(hash::hash(b"many"));
    let _ =
        segment.lock().apply(hash::hash(b"many"), &write, now(), &mut |_: Outcome<'_>| ()).unwrap();
    assert!(cache.usage.bytes() > 1_000_000);
    cache.reconfigure(Arc::new(bounded_to(1_000_000)));
    put(&cache, b"one", b"v");
    assert!(cache.usage.bytes() <= 1_000_000, "{}", cache.usage.bytes());
}

#[test]
fn large_entries_do_not_make_a_cache_grow_while_it_is_to_become_smaller() {
    let cache = cache(bounded_to(10_000_000).memory);
    (0_u32..9_000).for_each(|key| put(&cache, &key.to_be_bytes(), &[7; 1_000]));
    connect(&cache);
    let before = cache.usage.bytes();
    cache.reconfigure(Arc::new(bounded_to(1_000_000)));
    let large = [7; 200_000];
    let imported = Imported { value: Value::Inline(&large), metadata: EntryMetadata::default() };
    for key in 10_000_u32..10_015 {
        put(&cache, &key.to_be_bytes(), &large);
        let key = (2 * key).to_be_bytes();
        let mut came = None;
        let entries = [(&key[..], imported)];
        cache.import(&entries, ImportRule::Copy, ConnectionId(1), now(), |_, import| {
            came = Some(import);
        });
        assert_eq!(came, Some(Import::Written));
        // Its table may have grown a little.
        assert!(cache.usage.bytes() < before + 100_000, "{} of {before}", cache.usage.bytes());
    }
    assert!(cache.usage.bytes() > 5_000_000, "most of it waits for evict_excess");
}

#[test]
fn every_entry_that_is_imported_evicts_another_while_a_cache_is_to_become_smaller() {
    let config = |max_count| {
        let memory = MemoryConfig { max_count: Some(max_count), ..MemoryConfig::default() };
        CacheConfig { memory, ..CacheConfig::new(CacheMode::Distributed) }
    };
    let cache = cache(config(1_000).memory);
    (0_u32..1_000).for_each(|key| put(&cache, &key.to_be_bytes(), &[7; 100]));
    connect(&cache);
    cache.reconfigure(Arc::new(config(100)));
    let keys: Vec<_> = (5_000_u32..5_050).map(u32::to_be_bytes).collect();
    let imported = Imported { value: Value::Inline(b"v"), metadata: EntryMetadata::default() };
    let entries: Vec<_> = keys.iter().map(|key| (&key[..], imported)).collect();
    cache.import(&entries, ImportRule::Copy, ConnectionId(1), now(), |_, _| ());
    assert_eq!(cache.approximate_len(), 1_000 + 50 - 100);
}

#[test]
fn an_eviction_stops_where_the_bound_is_made_larger_again() {
    let config = |max_count| {
        let memory = MemoryConfig { max_count: Some(max_count), ..MemoryConfig::default() };
        CacheConfig { memory, ..CacheConfig::new(CacheMode::Distributed) }
    };
    let cache = cache(config(5_000).memory);
    (0_u32..5_000).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    cache.reconfigure(Arc::new(config(10)));
    cache.evict_while_over(None, |freed| {
        if freed.entries == 100 {
            cache.reconfigure(Arc::new(config(5_000)));
        }
        true
    });
    assert_eq!(cache.approximate_len(), 4_900);
    put(&cache, b"key", b"v");
    assert_eq!(cache.approximate_len(), 4_901);
}

#[test]
fn a_repair_evicts_nothing_whatever_bounds_the_cache() {
    let entries = MemoryConfig { max_count: Some(100), ..MemoryConfig::default() };
    for memory in [entries, bounded_to(1_000_000).memory] {
        let cache = cache(memory);
        connect(&cache);
        let repair = |key: u32, value: &[u8]| {
            let imported =
                Imported { value: Value::Inline(value), metadata: EntryMetadata::default() };
            let (key, mut came) = (key.to_be_bytes(), None);
            let entries = [(&key[..], imported)];
            cache.import(&entries, ImportRule::Repair, ConnectionId(1), now(), |_, import| {
                came = Some(import);
            });
            came.unwrap()
        };
        let written = (0..5_000).take_while(|key| repair(*key, &[7; 1_000]) == Import::Written);
        let written = written.count();
        assert!(written >= 100, "as many as there is room for: {written}");
        assert_eq!(repair(9_000, &[7; 1_000]), Import::Failed(CacheError::Full));
        assert_eq!(repair(0, &[8; 1_000]), Import::Written, "it takes no more than before");
        assert_eq!((cache.evicted(), len(&cache, now())), (0, written as u64));
    }
}
