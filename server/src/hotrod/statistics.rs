//! The pairs of STATS, under the real server's names.

use std::sync::atomic::Ordering::Relaxed;

use hotrod::op::Statistics;
use store::Timestamp;

use super::scope::Target;
use crate::node::Traffic;

/// The statistics of a cache. From 2.4 on they come a second time, for the cluster.
pub(crate) fn of(
    target: &Target,
    traffic: &Traffic,
    with_global: bool,
    now: Timestamp,
) -> Statistics {
    let (cache, stats) = (&target.cache, target.cache.stats());
    let entries = cache.approximate_len();
    let counts = [
        ("CurrentNumberOfEntries", entries),
        ("Stores", stats.stores),
        ("Retrievals", stats.hits + stats.misses),
        ("Hits", stats.hits),
        ("Misses", stats.misses),
        ("RemoveHits", stats.remove_hits),
        ("RemoveMisses", stats.remove_misses),
        ("ApproximateEntries", entries),
        ("ApproximateEntriesUnique", entries),
    ];
    let seconds = now.millis().saturating_sub(cache.started().millis()) / 1000;
    let mut pairs = vec![("timeSinceStart".to_owned(), seconds.to_string())];
    pairs.extend(counts.map(|(name, count)| (lower_first(name), count.to_string())));
    // Of all caches: no server counts bytes by cache.
    let bytes = [("totalBytesRead", &traffic.read), ("totalBytesWritten", &traffic.written)];
    pairs.extend(bytes.map(|(name, count)| (name.to_owned(), count.load(Relaxed).to_string())));
    if with_global {
        pairs.extend(counts.map(|(name, count)| (format!("global{name}"), count.to_string())));
    }
    Statistics(pairs)
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
