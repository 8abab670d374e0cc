//! What Prometheus is told.
//!
//! Counts live where they are counted (segments, source connections); here they are read when somebody
//! asks.

use std::sync::{Arc, atomic::Ordering};

use metrics::{Label, counter, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::node::Node;

/// Names and meanings, in the words of `docs/operations.md`.
mod name {
    pub(super) const ENTRIES: &str = "godwit_cache_entries";
    pub(super) const MEMORY: &str = "godwit_cache_memory_bytes";
    pub(super) const TOMBSTONES: &str = "godwit_cache_tombstones";
    pub(super) const HITS: &str = "godwit_cache_hits_total";
    pub(super) const MISSES: &str = "godwit_cache_misses_total";
    pub(super) const STORES: &str = "godwit_cache_stores_total";
    pub(super) const REMOVE_HITS: &str = "godwit_cache_remove_hits_total";
    pub(super) const REMOVE_MISSES: &str = "godwit_cache_remove_misses_total";
    pub(super) const EVICTIONS: &str = "godwit_cache_evictions_total";
    pub(super) const EXPIRATIONS: &str = "godwit_cache_expirations_total";
    pub(super) const MEMORY_LIMIT: &str = "godwit_memory_limit_bytes";
    pub(super) const MEMORY_USED: &str = "godwit_memory_used_bytes";
    pub(super) const BYTES_READ: &str = "godwit_hotrod_bytes_read_total";
    pub(super) const BYTES_WRITTEN: &str = "godwit_hotrod_bytes_written_total";
    pub(super) const CONNECTED: &str = "godwit_migration_source_connected";
    pub(super) const REACHABLE: &str = "godwit_migration_source_reachable";
    pub(super) const SEGMENTS: &str = "godwit_migration_segments";
    pub(super) const SEGMENTS_COMPLETE: &str = "godwit_migration_segments_complete";
    pub(super) const READ: &str = "godwit_migration_entries_read_total";
    pub(super) const WRITTEN: &str = "godwit_migration_entries_written_total";
    pub(super) const LOADED: &str = "godwit_migration_read_through_hits_total";
    pub(super) const UNANSWERED: &str = "godwit_migration_read_through_silent_total";
}

/// The metrics of one node.
pub(crate) struct Metrics {
    node: Arc<Node>,
}

impl Metrics {
    pub(crate) fn start(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// All metrics as they are now, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        // A new one each time: it knows nothing of caches that are gone, and counts may have been reset.
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || self.publish());
        recorder.handle().render()
    }

    fn publish(&self) {
        let container = self.node.driver.agreement().container();
        let memory = container.memory();
        set(name::MEMORY_LIMIT, Vec::new(), memory.limit());
        set(name::MEMORY_USED, Vec::new(), memory.used());
        let traffic = &self.node.traffic;
        let bytes = |name, count: &std::sync::atomic::AtomicU64| {
            counter!(name).absolute(count.load(Ordering::Relaxed));
        };
        bytes(name::BYTES_READ, &traffic.read);
        bytes(name::BYTES_WRITTEN, &traffic.written);
        for cache in container.caches() {
            let labels = || vec![Label::new("cache", cache.name().to_string())];
            let stats = cache.stats();
            set(name::ENTRIES, labels(), cache.approximate_len());
            set(name::MEMORY, labels(), cache.memory());
            set(name::TOMBSTONES, labels(), cache.tombstones());
            for (name, count) in [
                (name::HITS, stats.hits),
                (name::MISSES, stats.misses),
                (name::STORES, stats.stores),
                (name::REMOVE_HITS, stats.remove_hits),
                (name::REMOVE_MISSES, stats.remove_misses),
                (name::EVICTIONS, stats.evictions),
                (name::EXPIRATIONS, stats.expirations),
            ] {
                counter!(name, labels()).absolute(count);
            }
        }
        self.node.migrations.all().iter().for_each(publish_migration);
    }
}

fn publish_migration(status: &migrate::Status) {
    let labels = || vec![Label::new("cache", status.cache.clone())];
    set(name::CONNECTED, labels(), u64::from(status.source.is_some()));
    if let Some(source) = &status.source {
        set(name::REACHABLE, labels(), u64::from(source.reachable));
        set(name::SEGMENTS, labels(), source.segments.into());
        set(name::SEGMENTS_COMPLETE, labels(), source.segments_complete.into());
    }
    if let Some(job) = &status.job {
        counter!(name::READ, labels()).absolute(job.entries.read);
        counter!(name::WRITTEN, labels()).absolute(job.entries.written);
    }
    if let Some(read_through) = &status.read_through {
        counter!(name::LOADED, labels()).absolute(read_through.hits);
        counter!(name::UNANSWERED, labels()).absolute(read_through.silent);
    }
}

fn set(name: &'static str, labels: Vec<Label>, value: u64) {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
    gauge!(name, labels).set(value as f64);
}
