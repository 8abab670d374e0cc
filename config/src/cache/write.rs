//! Writes a cache as a real server does: its mode and what is not the default.

use std::time::Duration;

use media::MediaType;

use super::{
    CacheConfig, CacheMode, DEFAULT_OWNERS, DEFAULT_SEGMENTS, DefaultExpiration, Encoding, Given,
    MemoryConfig, Replication, WhenFull,
};
use crate::{
    quantity::{self, ByteSize},
    remote_store::{self, Secrets},
    write::Node,
};

/// Returns the element of a cache.
pub(crate) fn node(config: &CacheConfig, secrets: Secrets) -> Node {
    let given = &config.given;
    let mut node = Node::new(config.element_name());
    node = node.list("aliases", config.aliases.iter().map(ToString::to_string).collect());
    let is_distributed = config.mode == CacheMode::Distributed;
    if is_distributed && (config.owners != DEFAULT_OWNERS || given.has("owners")) {
        node = node.number("owners", config.owners.into());
    }
    if config.mode.is_clustered() {
        if config.segments != DEFAULT_SEGMENTS || given.has("segments") {
            node = node.number("segments", config.segments.into());
        }
        node = node.text(
            "mode",
            match config.replication {
                Replication::Sync => "SYNC",
                Replication::Async => "ASYNC",
            },
        );
        node = node.text_if("key-partitioner", config.key_partitioner.as_deref());
    }
    if config.statistics || given.has("statistics") {
        node = node.flag("statistics", config.statistics);
    }
    node = node
        .child_unless_empty(encoding(&config.said_encoding(), given))
        .child_unless_empty(expiration(&config.expiration, given))
        .child_unless_empty(memory(&config.memory, given));
    if let Some(remote_store) = &config.remote_store {
        let store = remote_store::node(remote_store, secrets);
        node = node.child(Node::new("persistence").child(store));
    }
    config.kept.write(&mut node, secrets);
    node
}

fn encoding(encoding: &Encoding, given: &Given) -> Node {
    let part = |name, media_type: &Option<MediaType>| {
        let media_type = media_type.as_ref().map(ToString::to_string);
        Node::new(name).text_if("media-type", media_type.as_deref())
    };
    // A media type for both differs from the same one for each, because a cache that inherits it
    // cannot change only one.
    let is_of_each = !given.has("encoding/media-type")
        && given.has("encoding/key/media-type")
        && given.has("encoding/value/media-type");
    match (&encoding.key, &encoding.value) {
        (Some(key), Some(value)) if !is_of_each && key.to_string() == value.to_string() => {
            Node::new("encoding").text("media-type", &key.to_string())
        }
        (key, value) => Node::new("encoding")
            .child_unless_empty(part("key", key))
            .child_unless_empty(part("value", value)),
    }
}

fn expiration(expiration: &DefaultExpiration, given: &Given) -> Node {
    let mut node = Node::new("expiration");
    for (name, path, time) in [
        ("lifespan", "expiration/lifespan", expiration.lifespan),
        ("max-idle", "expiration/max-idle", expiration.max_idle),
    ] {
        if time.is_some() || given.has(path) {
            node = node.text(name, &life(given, path, time));
        }
    }
    let path = "expiration/interval";
    if expiration.interval != DefaultExpiration::default().interval || given.has(path) {
        node = node.text("interval", &interval(given, path, expiration.interval));
    }
    node
}

/// Returns a lifetime, as it was spelled if it still has that value; -1 means for ever.
pub(super) fn life(given: &Given, path: &str, time: Option<Duration>) -> String {
    let is_same = |spelled: &&str| match time {
        Some(time) => quantity::time(spelled) == Some(time),
        None => quantity::is_never(spelled),
    };
    let canonical = || time.map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string());
    given.spelled(path).filter(is_same).map_or_else(canonical, str::to_owned)
}

/// Returns the interval of sweeps, as it was spelled. The spelling may mean "never", although
/// sweeps go on.
pub(super) fn interval(given: &Given, path: &str, time: Duration) -> String {
    let is_same = |spelled: &&str| {
        let never = quantity::is_never(spelled);
        never || quantity::time(spelled).is_some_and(|said| said.is_zero() || said == time)
    };
    let canonical = || time.as_millis().to_string();
    given.spelled(path).filter(is_same).map_or_else(canonical, str::to_owned)
}

/// Returns a size, as it was spelled if it still has that value.
pub(super) fn size(given: &Given, size: u64) -> String {
    let spelled = given.spelled("memory/max-size");
    let spelled = spelled.filter(|spelled| quantity::size(spelled) == Some(size));
    spelled.map_or_else(|| ByteSize(size).to_string(), str::to_owned)
}

fn memory(memory: &MemoryConfig, given: &Given) -> Node {
    let is_bounded = memory.max_count.is_some() || memory.max_size.is_some();
    let when_full = match memory.when_full {
        // Without an action, a bound means REMOVE, and so does NONE.
        WhenFull::Remove if is_bounded => match given.spelled("memory/when-full") {
            Some(said) if said.trim().eq_ignore_ascii_case("NONE") => None,
            None if given.has("memory/max-count") || given.has("memory/max-size") => None,
            _ => Some("REMOVE"),
        },
        WhenFull::Remove => Some("NONE").filter(|_| given.has("memory/when-full")),
        WhenFull::Exception => Some("EXCEPTION"),
    };
    let max_size = memory.max_size.map(|bytes| size(given, bytes));
    let node = match memory.max_count {
        Some(count) => Node::new("memory").number("max-count", count),
        None => Node::new("memory")
            .text_if("max-count", Some("-1").filter(|_| given.has("memory/max-count"))),
    };
    node.text_if("max-size", max_size.as_deref()).text_if("when-full", when_full)
}
