//! Values that several tests begin with.

use config::{CacheName, RemoteServer, RemoteStoreConfig};
use store::{Coverage, SourceSegment, SourceSpace, Timestamp};

use crate::metadata::{Connection, MetaCommand, SourceIdentity, SourceProcess};

pub(crate) fn name(name: &str) -> CacheName {
    name.parse().unwrap()
}

/// Segments of a connection of [`connection`] that are complete.
pub(crate) fn complete(cache: &str, count: u32, segments: &[u32]) -> MetaCommand {
    MetaCommand::Complete {
        cache: name(cache),
        since: Timestamp::from_millis(1_000),
        space: SourceSpace::Segments(count),
        segments: segments.iter().copied().map(SourceSegment).collect(),
    }
}

/// A connection to a source of so many segments, none of which is complete.
pub(crate) fn connection(segments: u32) -> Connection {
    let process = SourceProcess {
        server: "127.0.0.1:11222".into(),
        started: Some(100),
        written: None,
        topology: Some(5),
    };
    let server = RemoteServer { host: "127.0.0.1".into(), port: 11222 };
    Connection {
        remote: RemoteStoreConfig {
            cache: Some("old".into()),
            ..RemoteStoreConfig::new(vec![server])
        },
        space: SourceSpace::Segments(segments),
        identity: SourceIdentity(vec![process]),
        since: Timestamp::from_millis(1_000),
        complete: Coverage::none(segments),
        marked: false,
        cleared: false,
        forgets: false,
        imported: None,
    }
}
