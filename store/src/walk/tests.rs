//! A walk over a cache as its driver sees it.

use config::{CacheConfig, CacheMode};

use super::*;
use crate::{
    command::{Command, Outcome},
    memory::MemoryLimit,
    stamp::VersionKey,
    time::Expiration,
};

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn cache(memory: &Arc<MemoryLimit>, entries: u32) -> Arc<Cache> {
    let mut config = CacheConfig::new(CacheMode::Distributed);
    config.segments = 2;
    let name = "test".parse().unwrap();
    let (versions, memory) = (VersionKey::new(9), Arc::clone(memory));
    let cache = Arc::new(Cache::new(name, Arc::new(config), versions, memory, NOW));
    for key in 0..entries {
        let key = key.to_be_bytes();
        let command = Command::write(&key, b"v", Expiration::NEVER);
        let _ = cache.execute(&command, NOW, &mut |_: Outcome<'_>| ()).unwrap();
    }
    cache
}

fn walk_on(walk: &mut Walk, shown: &mut u32) -> Result<WalkStep, CacheError> {
    walk.step(NOW, |_| {
        *shown += 1;
        ControlFlow::Continue(())
    })
}

#[test]
fn each_segment_is_reported_once_after_all_of_its_entries() {
    let mut walk = Walk::over(cache(&MemoryLimit::unlimited(), 1_000));
    let (mut shown, mut segments) = (0, Vec::new());
    loop {
        match walk_on(&mut walk, &mut shown).unwrap() {
            WalkStep::More => assert!(!walk.is_over()),
            WalkStep::Segment(id) => segments.push(id),
            WalkStep::End => break,
        }
    }
    assert_eq!((segments, shown), (vec![SegmentId(0), SegmentId(1)], 1_000));
    assert!(walk.is_over());
    assert_eq!(walk_on(&mut walk, &mut shown), Ok(WalkStep::End));
}

#[test]
fn a_walk_counts_against_the_memory_limit_until_it_is_dropped() {
    let memory = MemoryLimit::unlimited();
    let cache = cache(&memory, 100_000);
    cache.settle_accounts();
    let before = memory.used();
    let (mut walk, mut shown) = (Walk::over(Arc::clone(&cache)), 0);
    while shown == 0 {
        walk_on(&mut walk, &mut shown).unwrap();
    }
    assert!((400_000..1_100_000).contains(&(memory.used() - before)), "8 bytes an entry, or 16");
    drop(walk);
    assert_eq!(memory.used(), before);
}

#[test]
fn where_there_is_no_memory_left_a_walk_takes_little_and_shows_all() {
    let memory = MemoryLimit::new(1 << 30);
    let cache = cache(&memory, 100_000);
    cache.settle_accounts();
    memory.add(1 << 30);
    let before = memory.used();
    let (mut walk, mut shown) = (Walk::over(Arc::clone(&cache)), 0);
    while walk_on(&mut walk, &mut shown).unwrap() != WalkStep::End {
        assert!(memory.used() - before <= 16 * 1024, "no more than there is always");
    }
    assert_eq!(shown, 100_000);
}

#[test]
fn a_walk_over_a_removed_cache_says_so() {
    let cache = cache(&MemoryLimit::unlimited(), 100);
    let (mut walk, mut shown) = (Walk::over(Arc::clone(&cache)), 0);
    walk_on(&mut walk, &mut shown).unwrap();
    cache.end();
    cache.free();
    assert_eq!(walk_on(&mut walk, &mut shown), Err(CacheError::NotExecuted));
}
