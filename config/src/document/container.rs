//! The container: its name, what it is in a cluster, and its caches.

use super::caches::{CACHES, Found};
use crate::{
    ConfigError,
    cache::CacheKind,
    fields::{Fields, not_used},
    nearest::nearest,
    notes::Notes,
    server::ServerFile,
    tree::{Attribute, Element},
};

/// Reads `cache-container`.
pub(super) fn read<'a>(
    element: &'a Element,
    found: &mut Vec<Found<'a>>,
    settings: &mut ServerFile,
    notes: &mut Notes,
) {
    let mut fields = Fields::of(element, notes);
    settings.container_name = fields.text("name").map(|name| name.value.clone());
    settings.default_cache = fields.read("default-cache", Attribute::cache_name);
    settings.statistics = fields.flag("statistics");
    if let Some(transport) = fields.child("transport") {
        self::transport(transport, settings, fields.notes);
    }
    for caches in fields.children("caches") {
        self::caches(caches, found, fields.notes);
    }
    fields.accept_elements(&["remote-cache-containers"]);
    fields.ignore_for("security", "authorization is not there yet");
    fields.ignore(&[
        "aliases",
        "async-executor",
        "async-operations-thread-pool",
        "blocking-executor",
        "counters",
        "eviction-containers",
        "eviction-executor",
        "expiration-executor",
        "expiration-thread-pool",
        "global-state",
        "jmx",
        "jndi-name",
        "listener-executor",
        "listener-thread-pool",
        "memory-monitor",
        "metrics",
        "module",
        "modules",
        "multimaps",
        "non-blocking-executor",
        "persistence-executor",
        "persistence-thread-pool",
        "remote-command-thread-pool",
        "replication-queue-executor",
        "replication-queue-thread-pool",
        "serialization",
        "shutdown-hook",
        "start",
        "state-transfer-executor",
        "state-transfer-thread-pool",
        "tracing",
        "transport-thread-pool",
        "zero-capacity-node",
    ]);
    let is_cache = |child: &Element| CacheKind::of(child).is_some();
    Found::collect(element.children.iter().filter(|child| is_cache(child)), found, fields.notes);
    fields.suggest(CACHES);
    fields.finish_except(is_cache);
}

/// Reads `caches`: elements with a name, or names with an element.
pub(crate) fn caches<'a>(element: &'a Element, found: &mut Vec<Found<'a>>, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    Found::collect(element.children.iter(), found, fields.notes);
    // Whatever is not nearly a kind of cache is meant to be the name of one.
    let has_no_type =
        |child: &Element| !Found::was_collected(child) && nearest(&child.name, CACHES).is_none();
    for child in &element.children {
        // Comparing names takes time, and no more of them would be listed.
        if !fields.notes.is_full_of_names() && has_no_type(child) {
            let (cache, place) = (child.spelled.clone(), child.place);
            fields.notes.refuse(ConfigError::NoType { cache, place });
        }
    }
    fields.suggest(CACHES);
    fields.finish_except(|child| Found::was_collected(child) || has_no_type(child));
}

fn transport(element: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    settings.cluster_name = fields.text("cluster").map(|name| name.value.clone());
    settings.node_name = fields.text("node-name").map(|name| name.value.clone());
    fields.ignore(&[
        "channel",
        "executor",
        "initial-cluster-size",
        "initial-cluster-timeout",
        "lock-timeout",
        "locking",
        "machine",
        "properties",
        "property",
        "rack",
        "raft-members",
        "remote-command-executor",
        "site",
        "stack",
        "strict-peer-to-peer",
        "total-order-executor",
    ]);
    fields.finish();
}

/// Reads a subsystem of a `standalone.xml`: of those with containers, the default one.
pub(super) fn subsystem<'a>(
    element: &'a Element,
    found: &mut Vec<Found<'a>>,
    settings: &mut ServerFile,
    notes: &mut Notes,
) {
    let containers: Vec<_> = element.children("cache-container").collect();
    let default = ["default-container", "default-cache-container"]
        .iter()
        .find_map(|name| element.attribute(name))
        .map(|name| name.value.as_str());
    let is_default = |container: &&&Element| {
        let name = container.attribute("name").map(|name| name.value.as_str());
        name.is_some() && name == default
    };
    let container = containers.iter().find(is_default).or_else(|| containers.first()).copied();
    let Some(container) = container else {
        notes.ignore(not_used("subsystem", "profile", ""), element.place);
        return;
    };
    for other in containers {
        if !std::ptr::eq(other, container) {
            let name = other.attribute("name").map_or("", |name| &name.value);
            notes.ignore(format!("the container '{name}': there is one here"), other.place);
        }
    }
    read(container, found, settings, notes);
}
