//! What is spread over segments.

use std::{collections::HashSet, ops::ControlFlow, thread};

use config::{CacheMode, MemoryConfig};

mod bound;
mod room;

use super::*;
use crate::{
    command::{Imported, Outcome},
    entry::{EntryMetadata, EntryRef},
    segment::{Import, ImportRule},
    source::{ConnectionId, Coverage, Link},
    time::{Expiration, Lifetime},
    walk::{Walk, WalkStep},
};

fn cache(memory: MemoryConfig) -> Arc<Cache> {
    let config = CacheConfig { memory, ..CacheConfig::new(CacheMode::Distributed) };
    Arc::new(Cache::new(
        "test".parse().unwrap(),
        Arc::new(config),
        VersionKey::new(9),
        MemoryLimit::unlimited(),
        now(),
    ))
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_000)
}

fn put(cache: &Cache, key: &[u8], value: &[u8]) {
    let command = Command::write(key, value, Expiration::NEVER);
    let progress = cache.execute(&command, now(), &mut |_: Outcome<'_>| ());
    assert_eq!(progress, Ok(Progress::Done));
}

fn len(cache: &Arc<Cache>, now: Timestamp) -> u64 {
    let (mut walk, mut entries) = (Walk::over(Arc::clone(cache)), 0);
    let mut count = |_: EntryRef<'_>| {
        entries += 1;
        ControlFlow::Continue(())
    };
    while walk.step(now, &mut count).unwrap() != WalkStep::End {}
    entries
}

fn has(cache: &Cache, key: &[u8]) -> bool {
    cache.inspect(key, now(), |standing| matches!(standing, Standing::Local(_)))
}

#[test]
fn a_cache_bounded_to_n_entries_holds_n() {
    for most in [1, 10, 3_000] {
        let bound = MemoryConfig { max_count: Some(most), ..MemoryConfig::default() };
        let cache = cache(bound);
        for key in 0..most {
            put(&cache, &key.to_be_bytes(), b"v");
        }
        assert_eq!(len(&cache, now()), most, "none goes before the bound is reached");
        for key in most..3 * most {
            put(&cache, &key.to_be_bytes(), b"v");
            assert!(has(&cache, &key.to_be_bytes()), "what was just written stays");
            assert_eq!(len(&cache, now()), most);
        }
        assert_eq!(cache.stats().evictions, 2 * most);
    }
}

#[test]
fn a_cache_bounded_to_bytes_stays_below_them_and_near_them() {
    let bound = MemoryConfig { max_size: Some(2_000_000), ..MemoryConfig::default() };
    let cache = cache(bound);
    for key in 0_u32..20_000 {
        put(&cache, &key.to_be_bytes(), &[7; 500]);
        assert!(cache.usage.bytes() <= 2_000_000);
    }
    assert!(cache.memory() > 1_900_000, "{} bytes", cache.memory());
}

#[test]
fn entries_keep_half_of_a_bound_that_tables_alone_exceed() {
    let memory = |max_size| MemoryConfig { max_size: Some(max_size), ..MemoryConfig::default() };
    let config = |memory| CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) };
    let cache = cache(memory(100_000_000));
    (0_u32..60_000).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    assert!(cache.usage.fixed() > 1_000_000, "{} bytes of tables", cache.usage.fixed());
    cache.reconfigure(Arc::new(config(memory(1_000_000))));
    cache.evict_excess(|| true);
    let kept = len(&cache, now());
    assert!((10_000..60_000).contains(&kept), "{kept} entries");
    (60_000_u32..60_100).for_each(|key| put(&cache, &key.to_be_bytes(), b"v"));
    assert_eq!(len(&cache, now()), kept, "one goes for each that comes");
}

#[test]
fn removals_of_a_bounded_cache_with_a_source_count_although_their_tombstones_are_as_large() {
    let bound = MemoryConfig { max_count: Some(500), ..MemoryConfig::default() };
    let cache = cache(bound);
    connect(&cache);
    // A header of 12 bytes, 8 of key and 8 of value take as much as the header and the key alone.
    let key = |number: u32| u64::from(number).to_be_bytes();
    for number in 0..1_000 {
        put(&cache, &key(number), &[7; 8]);
        let _ = cache.execute(&Command::remove(&key(number)), now(), &mut |_: Outcome<'_>| ());
    }
    assert_eq!((len(&cache, now()), cache.usage.entries()), (0, 0));
    (1_000..1_500).for_each(|number| put(&cache, &key(number), &[7; 8]));
    assert_eq!(len(&cache, now()), 500, "none had to go");
}

fn link() -> Link {
    Link::new(ConnectionId(1), crate::SourceSpace::Unit, Timestamp::default())
}

fn connect(cache: &Cache) {
    cache.connect(&Link { marked: true, max_tombstones: 1_000, ..link() });
}

#[test]
fn a_segment_is_not_cleared_while_its_source_may_have_more() {
    let cache = cache(MemoryConfig::default());
    connect(&cache);
    put(&cache, b"k", b"v");
    let segment = cache.segment_of(b"k");
    assert!(!cache.clear_segment(segment) && has(&cache, b"k"));
    cache.end_imports();
    assert!(cache.clear_segment(segment) && !has(&cache, b"k"));
}

#[test]
fn a_segment_is_not_cleared_unseen_by_a_connection_that_lacks_nothing() {
    let cache = cache(MemoryConfig::default());
    let complete = Coverage::all(1);
    cache.connect(&Link { marked: true, complete, ..link() });
    put(&cache, b"k", b"v");
    let segment = cache.segment_of(b"k");
    assert!(!cache.clear_segment(segment) && has(&cache, b"k"), "a restart would bring it back");
    cache.end_imports();
    assert!(cache.clear_segment(segment) && !has(&cache, b"k"));
}

#[test]
fn what_was_imported_is_removed_from_a_segment_and_does_not_come_again() {
    let cache = cache(MemoryConfig::default());
    connect(&cache);
    put(&cache, b"ours", b"v");
    let value = Value::Inline(b"theirs");
    let theirs = Imported { value, metadata: EntryMetadata::default() };
    let import = |rule| {
        let (entries, mut came) = ([(&b"theirs"[..], theirs)], None);
        cache.import(&entries, rule, link().connection, now(), |_, import| came = Some(import));
        came.unwrap()
    };
    assert_eq!(import(ImportRule::Copy), Import::Written);
    assert!(!cache.remove_imported(cache.segment_of(b"theirs")), "more could come");
    cache.end_imports();
    assert!(cache.segment_ids().all(|segment| cache.remove_imported(segment)));
    assert!(has(&cache, b"ours"));
    assert_eq!(cache.approximate_len(), 1);
    cache.disconnect();
    assert!(cache.segment_ids().all(|segment| cache.remove_imported(segment)));
    assert!(cache.changed_since_disconnect(), "nothing may come back");
    connect(&cache);
    cache.end_imports();
    for rule in [ImportRule::Copy, ImportRule::Repair] {
        assert_eq!(import(rule), Import::Tombstone);
    }
}

#[test]
fn a_removed_cache_holds_no_memory_and_carries_nothing_out() {
    let memory = MemoryLimit::new(100_000_000);
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    let container = crate::Container::new(Arc::clone(&memory));
    let cache = container.start(&"c".parse().unwrap(), config, VersionKey::new(1), now());
    // Before a client's first write is recorded, it would wait for that for ever.
    (0_u32..1_000).for_each(|key| put(&cache, &key.to_be_bytes(), &[7; 1_000]));
    cache.connect(&Link { max_tombstones: 10, ..link() });
    let write = Command::write(b"k", b"v", Expiration::NEVER);
    let run = || cache.execute(&write, now(), &mut |_: Outcome<'_>| ());
    assert_eq!(run(), Ok(Progress::Mark));

    container.remove("c").unwrap().free();
    assert_eq!(cache.memory(), 0);
    assert!(memory.used() < 1_000_000, "{}", memory.used());
    assert_eq!(run(), Err(CacheError::NotExecuted));
    drop(cache);
    assert_eq!(memory.used(), 0);
}

#[test]
fn eviction_spares_what_is_used() {
    let bound = MemoryConfig { max_count: Some(1_000), ..MemoryConfig::default() };
    let cache = cache(bound);
    let read = |key: u32| {
        let _ = cache.execute(&Command::read(&key.to_be_bytes()), now(), &mut |_: Outcome<'_>| ());
    };
    for key in 0_u32..1_000 {
        put(&cache, &key.to_be_bytes(), b"v");
    }
    for key in 1_000_u32..3_000 {
        (0..100).for_each(read);
        put(&cache, &key.to_be_bytes(), b"v");
    }
    let kept = (0_u32..100).filter(|key| has(&cache, &key.to_be_bytes())).count();
    assert!(kept >= 95, "{kept} of 100 entries that were read all the time");
}

#[test]
fn keys_that_collide_in_the_placement_hash_do_not_collide_in_the_table() {
    let keys = colliding_keys(100_000);
    let place = hash::hash(&keys[0]);
    assert!(keys.iter().all(|key| hash::hash(key) == place));
    let cache = cache(MemoryConfig::default());
    keys.iter().for_each(|key| put(&cache, key, b"v"));
    assert_eq!(len(&cache, now()), 100_000);
    assert!(keys.iter().all(|key| has(&cache, key)));
    let segment = cache.segment(cache.segment_of(&keys[0]));
    assert_eq!(segment.len(), 100_000, "all of them are in one segment");
    let hashes: HashSet<u64> = keys.iter().map(|key| segment.hash(key)).collect();
    assert!(hashes.len() > 99_990, "{} hashes for 100,000 keys", hashes.len());
}

/// Keys with the same state of the placement hash after two blocks: the second block is solved for.
fn colliding_keys(count: u64) -> Vec<[u8; 32]> {
    let keys: Vec<[u8; 32]> = (0..count).map(collide::key).collect();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    keys
}

mod collide {
    //! The mixing of the placement hash, run backwards.

    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;

    pub(super) fn key(number: u64) -> [u8; 32] {
        let start = (0x9368_e53c_2f6a_f274 ^ 9001, 0x586d_cd20_8f7c_d3fd ^ 9001);
        let first = (number, !number);
        let (h1, h2) = mix(start, first, (C1, C2));
        let constants = (next(C1, 0x7b7d_159c), next(C2, 0x6bce_6396));
        let second = solve((h1, h2), (1, 2), constants);
        let mut key = [0; 32];
        for (part, word) in key.chunks_mut(8).zip([first.0, first.1, second.0, second.1]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        key
    }

    fn next(constant: u64, add: u64) -> u64 {
        constant.wrapping_mul(5).wrapping_add(add)
    }

    fn mix((h1, h2): (u64, u64), (k1, k2): (u64, u64), (c1, c2): (u64, u64)) -> (u64, u64) {
        let k1 = k1.wrapping_mul(c1).rotate_left(23).wrapping_mul(c2);
        let h1 = (h1 ^ k1).wrapping_add(h2);
        let k2 = k2.wrapping_mul(c2).rotate_left(23).wrapping_mul(c1);
        let h2 = (h2.rotate_left(41) ^ k2).wrapping_add(h1);
        (h1.wrapping_mul(3).wrapping_add(0x52dc_e729), h2.wrapping_mul(3).wrapping_add(0x3849_5ab5))
    }

    /// The block that leads from the state `from` to the state whose unscaled words are `to`.
    fn solve((h1, h2): (u64, u64), to: (u64, u64), (c1, c2): (u64, u64)) -> (u64, u64) {
        let k1 = to.0.wrapping_sub(h2) ^ h1;
        let k2 = to.1.wrapping_sub(to.0) ^ h2.rotate_left(41);
        let undo = |k: u64, first: u64, last: u64| {
            k.wrapping_mul(inverse(last)).rotate_right(23).wrapping_mul(inverse(first))
        };
        (undo(k1, c1, c2), undo(k2, c2, c1))
    }

    /// Inverse of an odd number modulo 2^64, by Newton's iteration.
    fn inverse(odd: u64) -> u64 {
        (0..6).fold(odd, |x, _| x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x))))
    }
}

#[test]
fn size_leaves_out_what_is_over() {
    let cache = cache(MemoryConfig::default());
    for key in 0_u32..1_000 {
        let lifespan = Some(Lifetime::from_millis(if key % 4 == 0 { 10 } else { 10_000 }));
        let key = key.to_be_bytes();
        let command = Command::write(&key, b"v", Expiration { lifespan, max_idle: None });
        let _ = cache.execute(&command, now(), &mut |_: Outcome<'_>| ());
    }
    let later = Timestamp::from_millis(1_010);
    assert_eq!(
        (len(&cache, now()), len(&cache, later), cache.approximate_len()),
        (1_000, 750, 1_000)
    );
    cache.segment_ids().for_each(|id| cache.sweep(id, later));
    assert_eq!(cache.approximate_len(), 750);
}

#[test]
fn concurrent_writers_of_one_key_get_one_winner_per_version() {
    let cache = cache(MemoryConfig::default());
    put(&cache, b"counter", &0_u64.to_be_bytes());
    let increments = 2_000_u64;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..increments).for_each(|_| increment(&cache)));
        }
    });
    assert_eq!(read_counter(&cache).0, 4 * increments);
}

fn increment(cache: &Cache) {
    loop {
        let (count, version) = read_counter(cache);
        let value = (count + 1).to_be_bytes();
        let change = Change::Write { value: Value::Inline(&value), expiration: Expiration::NEVER };
        let command = Command::new(b"counter", crate::Condition::Version(version), change);
        let mut won = false;
        let _ = cache.execute(&command, now(), &mut |outcome: Outcome<'_>| {
            won = matches!(outcome, Outcome::Changed { .. });
        });
        if won {
            return;
        }
    }
}

fn read_counter(cache: &Cache) -> (u64, crate::Version) {
    let mut read = None;
    let _ = cache.execute(&Command::read(b"counter"), now(), &mut |outcome: Outcome<'_>| {
        let Outcome::Found(entry) = outcome else { panic!("{outcome:?}") };
        read =
            Some((u64::from_be_bytes(entry.value().bytes().try_into().unwrap()), entry.version()));
    });
    read.unwrap()
}

#[test]
fn a_segment_takes_memory_from_its_first_use_on_and_the_member_counts_it() {
    let memory = MemoryLimit::new(1 << 30);
    let config = CacheConfig::new(CacheMode::Distributed);
    let name = "test".parse().unwrap();
    let cache = Cache::new(name, Arc::new(config), VersionKey::new(9), Arc::clone(&memory), now());
    let cache = Arc::new(cache);
    let empty = memory.used();
    assert!((4_096..16_384).contains(&empty), "{empty}");
    // What only looks makes nothing.
    cache.settle_accounts();
    cache.segment_ids().for_each(|id| cache.sweep(id, now()));
    cache.segment_ids().for_each(|id| cache.forget_source(id));
    cache.fence(None);
    assert_eq!((len(&cache, now()), cache.memory(), cache.stats().stores), (0, 0, 0));
    assert_eq!(memory.used(), empty);

    put(&cache, b"k", b"v");
    cache.settle_accounts();
    let one = memory.used() - empty - cache.memory();
    assert!((256..2_048).contains(&one), "{one}");
    assert_eq!(len(&cache, now()), 1);

    cache.fence(Some(Fence::Lost));
    assert_eq!(memory.used() - empty - cache.memory(), 256 * one, "a fence is everywhere");
    let read = Command::read(b"other");
    let refused = cache.execute(&read, now(), &mut |_: Outcome<'_>| ());
    assert_eq!(refused, Err(CacheError::Fenced(Fence::Lost)));
    drop(cache);
    assert_eq!(memory.used(), 0);
}

#[test]
fn nothing_is_stored_in_a_removed_cache_whose_segments_were_never_used() {
    let cache = cache(MemoryConfig::default());
    cache.end();
    cache.free();
    let write = Command::write(b"k", b"v", Expiration::NEVER);
    let refused = cache.execute(&write, now(), &mut |_: Outcome<'_>| ());
    assert_eq!(refused, Err(CacheError::NotExecuted));
}

#[test]
fn a_bound_that_was_changed_holds_in_segments_that_are_used_later() {
    let bound = |most| MemoryConfig {
        max_count: Some(most),
        when_full: config::WhenFull::Exception,
        ..MemoryConfig::default()
    };
    let cache = cache(bound(10));
    put(&cache, b"first", b"v");
    let smaller = CacheConfig { memory: bound(1), ..(*cache.config()).clone() };
    cache.reconfigure(Arc::new(smaller));
    for key in 0..10_u8 {
        let write = Command::write(std::slice::from_ref(&key), b"v", Expiration::NEVER);
        let refused = cache.execute(&write, now(), &mut |_: Outcome<'_>| ());
        assert_eq!(refused, Err(CacheError::Full));
    }
}
