//! Which source segments have to be copied before what was removed, or has ended, may be forgotten.

use std::collections::BTreeMap;

use store::{Cache, Link, SourceSegment, SourceSpace};

use crate::overlap::overlap;

/// Tombstones that wait for each source segment that is not complete, about: those of one of our segments
/// count for every source segment that it overlaps. Segments without any are left out.
pub(crate) fn weights(cache: &Cache, link: &Link) -> BTreeMap<SourceSegment, u64> {
    let ours = cache.segment_count();
    let mut weights = BTreeMap::new();
    for id in cache.segment_ids() {
        let tombstones = cache.segment(id).tombstones();
        if tombstones == 0 {
            continue;
        }
        for theirs in incomplete(link) {
            let overlaps = match link.space {
                SourceSpace::Unit => true,
                SourceSpace::Segments(count) => overlap((id.0, ours), (theirs.0, count)),
            };
            if overlaps {
                *weights.entry(theirs).or_default() += tombstones;
            }
        }
    }
    weights
}

fn incomplete(link: &Link) -> impl Iterator<Item = SourceSegment> + '_ {
    let all = (0..link.space.count()).map(SourceSegment);
    all.filter(|segment| !link.complete.contains(*segment))
}

/// The segments with the greatest weights, at most so many, the heaviest first.
pub(crate) fn heaviest(weights: &BTreeMap<SourceSegment, u64>, most: usize) -> Vec<SourceSegment> {
    let mut segments: Vec<(SourceSegment, u64)> =
        weights.iter().map(|(segment, weight)| (*segment, *weight)).collect();
    segments.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    segments.into_iter().take(most).map(|(segment, _)| segment).collect()
}

/// Returns whether the tombstones of a cache are worth copying its segments for, where all of these caches
/// together have many: it has at least half of what each would have if all had the same number. The one with the
/// most has.
pub(crate) fn are_worth_it(own: u64, all: &[u64]) -> bool {
    let caches = all.iter().filter(|tombstones| **tombstones > 0).count() as u64;
    let sum = all.iter().fold(0, |sum: u64, tombstones| sum.saturating_add(*tombstones));
    own > 0 && own.saturating_mul(2).saturating_mul(caches) >= sum
}

/// Drops the tombstones that were kept for these source segments, which are complete now.
pub(crate) async fn release(cache: &Cache, space: SourceSpace, complete: &[SourceSegment]) {
    let ours = cache.segment_count();
    for id in cache.segment_ids() {
        let overlaps = |theirs: &SourceSegment| match space {
            SourceSpace::Unit => true,
            SourceSpace::Segments(count) => overlap((id.0, ours), (theirs.0, count)),
        };
        if complete.iter().any(overlaps) {
            cache.release_tombstones(id);
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Where tombstones weigh.

    use std::sync::Arc;

    use config::{CacheConfig, CacheMode};
    use store::{Command, ConnectionId, MemoryLimit, Outcome, Progress, Timestamp, VersionKey};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    /// A cache that is connected to a source of so many segments, and from which these keys were removed.
    fn cache(space: SourceSpace, removed: &[[u8; 2]]) -> (Cache, Link) {
        let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
        let memory = MemoryLimit::unlimited();
        let cache = Cache::new("c".parse().unwrap(), config, VersionKey::new(1), memory, NOW);
        let mut link = Link::new(ConnectionId(1), space, NOW);
        link.marked = true;
        cache.connect(&link);
        for key in removed {
            let answer = store::Source::Asked(ConnectionId(1), store::Answer::Absent);
            let remove = Command { source: answer, ..Command::remove(key) };
            let progress = cache.execute(&remove, NOW, &mut |_: Outcome<'_>| ());
            assert_eq!(progress, Ok(Progress::Done));
        }
        (cache, link)
    }

    #[test]
    fn tombstones_weigh_on_the_source_segments_that_are_not_complete() {
        let space = SourceSpace::Segments(256);
        let of = |key: &[u8]| space.segment_of(media::hash::hash(key));
        let keys: Vec<[u8; 2]> = (0_u16..1_000).map(u16::to_be_bytes).collect();
        let (cache, mut link) = cache(space, &keys);
        let weights = weights(&cache, &link);
        for (segment, weight) in &weights {
            let there = keys.iter().filter(|key| of(*key) == *segment).count();
            assert_eq!(*weight, there as u64, "{segment:?}");
        }
        let order = heaviest(&weights, 3);
        assert!(
            weights[&order[0]] >= weights[&order[1]] && weights[&order[1]] >= weights[&order[2]]
        );
        assert!(weights.values().all(|weight| *weight <= weights[&order[0]]));
        link.complete.insert(order[0]);
        assert!(!super::weights(&cache, &link).contains_key(&order[0]));
    }

    #[test]
    fn a_source_that_is_one_unit_carries_all_of_them() {
        let (cache, link) = cache(SourceSpace::Unit, &[[1, 1], [2, 2]]);
        let weights = weights(&cache, &link);
        assert_eq!(weights.into_iter().collect::<Vec<_>>(), [(SourceSegment(0), 2)]);
    }

    #[test]
    fn a_cache_with_few_tombstones_is_not_copied_for_those_of_another_one() {
        assert!(are_worth_it(1_000_000, &[1_000_000, 10, 0, 0]));
        assert!(!are_worth_it(10, &[1_000_000, 10, 0, 0]));
        assert!(!are_worth_it(0, &[0, 0]), "there is nothing to copy for");
        assert!(are_worth_it(5, &[5]));
        for all in [vec![3, 3, 3], vec![1, 1, 9], (1..100).collect(), vec![u64::MAX, u64::MAX]] {
            assert!(all.iter().any(|own| are_worth_it(*own, &all)), "somebody begins: {all:?}");
        }
    }
}
