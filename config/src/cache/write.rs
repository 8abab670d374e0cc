//! A cache as a real server writes it: what is not the default, and the mode.

use std::time::Duration;

use media::MediaType;

use super::{
    CacheConfig, CacheMode, DEFAULT_OWNERS, DEFAULT_SEGMENTS, DefaultExpiration, Encoding,
    MemoryConfig, Replication, WhenFull,
};
use crate::{
    quantity::ByteSize,
    remote_store::{self, Secrets},
    write::Node,
};

/// The element of a cache.
pub(crate) fn node(config: &CacheConfig, secrets: Secrets) -> Node {
    let name = match config.mode {
        CacheMode::Distributed => "distributed-cache",
        CacheMode::Replicated => "replicated-cache",
        CacheMode::Local => "local-cache",
    };
    let mut node = Node::new(name);
    if config.mode == CacheMode::Distributed && config.owners != DEFAULT_OWNERS {
        node = node.number("owners", config.owners.into());
    }
    if config.mode.is_clustered() {
        if config.segments != DEFAULT_SEGMENTS {
            node = node.number("segments", config.segments.into());
        }
        node = node.text(
            "mode",
            match config.replication {
                Replication::Sync => "SYNC",
                Replication::Async => "ASYNC",
            },
        );
    }
    if config.statistics {
        node = node.flag("statistics", true);
    }
    node = node
        .child_unless_empty(encoding(&config.encoding))
        .child_unless_empty(expiration(&config.expiration))
        .child_unless_empty(memory(&config.memory));
    if let Some(remote_store) = &config.remote_store {
        let store = remote_store::node(remote_store, secrets);
        node = node.child(Node::new("persistence").child(store));
    }
    node
}

fn encoding(encoding: &Encoding) -> Node {
    let part = |name, media_type: &Option<MediaType>| {
        let media_type = media_type.as_ref().map(ToString::to_string);
        Node::new(name).text_if("media-type", media_type.as_deref())
    };
    match (&encoding.key, &encoding.value) {
        (Some(key), Some(value)) if key.to_string() == value.to_string() => {
            Node::new("encoding").text("media-type", &key.to_string())
        }
        (key, value) => Node::new("encoding")
            .child_unless_empty(part("key", key))
            .child_unless_empty(part("value", value)),
    }
}

fn expiration(expiration: &DefaultExpiration) -> Node {
    let default = DefaultExpiration::default();
    let interval = Some(expiration.interval).filter(|interval| *interval != default.interval);
    Node::new("expiration")
        .number_if("lifespan", expiration.lifespan.map(millis))
        .number_if("max-idle", expiration.max_idle.map(millis))
        .number_if("interval", interval.map(millis))
}

fn memory(memory: &MemoryConfig) -> Node {
    let is_bounded = memory.max_count.is_some() || memory.max_size.is_some();
    let when_full = match memory.when_full {
        WhenFull::Remove if is_bounded => Some("REMOVE"),
        WhenFull::Remove => None,
        WhenFull::Exception => Some("EXCEPTION"),
    };
    let max_size = memory.max_size.map(|size| ByteSize(size).to_string());
    Node::new("memory")
        .number_if("max-count", memory.max_count)
        .text_if("max-size", max_size.as_deref())
        .text_if("when-full", when_full)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
