//! What a cache counts, under the real server's names and in its order.

use serde_json::{Value, json};
use store::{Cache, Timestamp};

use crate::{
    answer::{Answer, Json},
    node::Node,
};

pub(super) fn show(node: &Node, name: &str) -> Answer {
    let cache = node.cache(name)?;
    Json(of(node, &cache)).into()
}

/// The statistics of a cache. How long operations take is not measured here: -1, as the real server
/// says of what it does not know.
pub(super) fn of(node: &Node, cache: &Cache) -> Value {
    let (stats, entries) = (cache.stats(), cache.approximate_len());
    let now = node.driver.now();
    let seconds = |since: Timestamp| now.millis().saturating_sub(since.millis()) / 1000;
    json!({
        "time_since_start": seconds(cache.started()),
        "time_since_reset": seconds(node.counting_since(cache)),
        "approximate_entries": entries,
        "approximate_entries_in_memory": entries,
        "approximate_entries_unique": entries,
        "current_number_of_entries": entries,
        "current_number_of_entries_in_memory": entries,
        "off_heap_memory_used": 0,
        "data_memory_used": cache.memory(),
        "stores": stats.stores,
        "retrievals": stats.hits + stats.misses,
        "hits": stats.hits,
        "misses": stats.misses,
        "remove_hits": stats.remove_hits,
        "remove_misses": stats.remove_misses,
        "evictions": stats.evictions,
        "average_read_time": -1,
        "average_read_time_nanos": -1,
        "average_write_time": -1,
        "average_write_time_nanos": -1,
        "average_remove_time": -1,
        "average_remove_time_nanos": -1,
        "required_minimum_number_of_nodes": 1,
    })
}
