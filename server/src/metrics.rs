//! What Prometheus is told.
//!
//! Counts live where they are counted (segments, source connections); here they are read when somebody
//! asks.

use std::sync::{Arc, atomic::Ordering};

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::node::Node;

/// Its name, and its meaning in the words of `docs/operations.md`.
type Metric = (&'static str, &'static str);

mod name {
    use super::Metric;

    pub(super) const ENTRIES: Metric =
        ("godwit_cache_entries", "Entries, including expired ones not yet swept");
    pub(super) const MEMORY: Metric = (
        "godwit_cache_memory_bytes",
        "Bytes that the entries take, with their share of the tables",
    );
    pub(super) const TOMBSTONES: Metric =
        ("godwit_cache_tombstones", "Removed keys that are remembered");
    pub(super) const HITS: Metric = ("godwit_cache_hits_total", "Reads that found an entry");
    pub(super) const MISSES: Metric = ("godwit_cache_misses_total", "Reads that found none");
    pub(super) const STORES: Metric = ("godwit_cache_stores_total", "Writes");
    pub(super) const REMOVE_HITS: Metric =
        ("godwit_cache_remove_hits_total", "Removals that found an entry");
    pub(super) const REMOVE_MISSES: Metric =
        ("godwit_cache_remove_misses_total", "Removals that found none");
    pub(super) const EVICTIONS: Metric =
        ("godwit_cache_evictions_total", "Entries that went because of the bound");
    pub(super) const EXPIRATIONS: Metric =
        ("godwit_cache_expirations_total", "Entries that went because of time");
    pub(super) const MEMORY_LIMIT: Metric =
        ("godwit_memory_limit_bytes", "Bytes that entries may take");
    pub(super) const MEMORY_USED: Metric = ("godwit_memory_used_bytes", "Bytes that entries take");
    pub(super) const CONNECTIONS: Metric = ("godwit_connections", "Open connections");
    pub(super) const CONNECTIONS_CLOSED: Metric =
        ("godwit_connections_closed_total", "Connections that a limit has closed, by reason");
    pub(super) const CONNECTION_LIMIT: Metric = (
        "godwit_connection_memory_limit_bytes",
        "Bytes that requests and answers of all connections may take",
    );
    pub(super) const CONNECTION_MEMORY: Metric =
        ("godwit_connection_memory_bytes", "Bytes that requests and answers take");
    pub(super) const TOMBSTONE_LIMIT: Metric =
        ("godwit_tombstone_limit_bytes", "Bytes that removed keys which are remembered may take");
    pub(super) const TOMBSTONES_USED: Metric =
        ("godwit_tombstone_used_bytes", "Bytes that removed keys which are remembered take");
    pub(super) const BYTES_READ: Metric =
        ("godwit_hotrod_bytes_read_total", "Bytes that Hot Rod clients sent");
    pub(super) const BYTES_WRITTEN: Metric =
        ("godwit_hotrod_bytes_written_total", "Bytes that Hot Rod clients were sent");
    pub(super) const CONNECTED: Metric =
        ("godwit_migration_source_connected", "1 if the cache is connected to a source, else 0");
    pub(super) const REACHABLE: Metric =
        ("godwit_migration_source_reachable", "1 if the source answers, else 0");
    pub(super) const SEGMENTS: Metric = ("godwit_migration_segments", "Segments of the source");
    pub(super) const SEGMENTS_COMPLETE: Metric = (
        "godwit_migration_segments_complete",
        "Segments of the source of which everything was copied",
    );
    pub(super) const READ: Metric =
        ("godwit_migration_entries_read_total", "Entries that synchronizations read");
    pub(super) const WRITTEN: Metric =
        ("godwit_migration_entries_written_total", "Entries that synchronizations wrote");
    pub(super) const LOADED: Metric =
        ("godwit_migration_read_through_hits_total", "Reads of the source that brought an entry");
    pub(super) const FOR_ITERATIONS: Metric = (
        "godwit_migration_iteration_entries_total",
        "Entries that were brought in because clients iterate over them",
    );
    pub(super) const SKEW: Metric = (
        "godwit_migration_source_clock_skew_seconds",
        "Seconds that the source's clock is ahead of the clock here, at least; negative if it is behind",
    );
    pub(super) const LIVED_ON: Metric = (
        "godwit_migration_lived_on_total",
        "Imported entries whose time was over here and that the source still had",
    );
    pub(super) const FOR_TOMBSTONES: Metric = (
        "godwit_migration_tombstone_entries_total",
        "Entries that were brought in so that removed keys need not be remembered",
    );
    pub(super) const LOADS_FAILED: Metric = (
        "godwit_migration_read_through_failed_total",
        "Reads that the source answered with an error",
    );
    pub(super) const UNANSWERED: Metric =
        ("godwit_migration_read_through_silent_total", "Reads of the source without an answer");
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
        set(name::TOMBSTONE_LIMIT, Vec::new(), memory.tombstone_limit());
        set(name::TOMBSTONES_USED, Vec::new(), memory.tombstones());
        let budget = &self.node.budget;
        set(name::CONNECTIONS, Vec::new(), budget.connections() as u64);
        set(name::CONNECTION_LIMIT, Vec::new(), budget.limit());
        set(name::CONNECTION_MEMORY, Vec::new(), budget.used());
        for (reason, closed) in budget.closed() {
            count(name::CONNECTIONS_CLOSED, vec![Label::new("reason", reason)], closed);
        }
        let traffic = &self.node.traffic;
        count(name::BYTES_READ, Vec::new(), traffic.read.load(Ordering::Relaxed));
        count(name::BYTES_WRITTEN, Vec::new(), traffic.written.load(Ordering::Relaxed));
        for cache in container.caches() {
            let labels = || vec![Label::new("cache", cache.name().to_string())];
            let stats = cache.stats();
            set(name::ENTRIES, labels(), cache.approximate_len());
            set(name::MEMORY, labels(), cache.memory());
            set(name::TOMBSTONES, labels(), cache.tombstones());
            for (metric, so_far) in [
                (name::HITS, stats.hits),
                (name::MISSES, stats.misses),
                (name::STORES, stats.stores),
                (name::REMOVE_HITS, stats.remove_hits),
                (name::REMOVE_MISSES, stats.remove_misses),
                (name::EVICTIONS, stats.evictions),
                (name::EXPIRATIONS, stats.expirations),
            ] {
                count(metric, labels(), so_far);
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
        set_seconds(name::SKEW, labels(), source.clock_skew_ms);
        count(name::LIVED_ON, labels(), status.lived_on);
    }
    if let Some(entries) = &status.synchronized {
        count(name::READ, labels(), entries.read);
        count(name::WRITTEN, labels(), entries.written);
    }
    if let Some(read_through) = &status.read_through {
        count(name::LOADED, labels(), read_through.hits);
        count(name::LOADS_FAILED, labels(), read_through.failed);
        count(name::UNANSWERED, labels(), read_through.silent);
        count(name::FOR_ITERATIONS, labels(), read_through.for_iterations);
        count(name::FOR_TOMBSTONES, labels(), read_through.for_tombstones);
    }
}

fn set((name, meaning): Metric, labels: Vec<Label>, value: u64) {
    describe_gauge!(name, meaning);
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
    gauge!(name, labels).set(value as f64);
}

fn set_seconds((name, meaning): Metric, labels: Vec<Label>, millis: i64) {
    describe_gauge!(name, meaning);
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
    gauge!(name, labels).set(millis as f64 / 1_000.0);
}

fn count((name, meaning): Metric, labels: Vec<Label>, so_far: u64) {
    describe_counter!(name, meaning);
    counter!(name, labels).absolute(so_far);
}
