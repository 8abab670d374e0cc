//! What tests are made of.

use cluster::{Connection, LostServers, SourceCount, SourceIdentity};
use config::RemoteStoreConfig;
use store::{Coverage, SourceSpace, Timestamp};

/// A connection of which nothing is complete, over which nobody has changed anything.
pub(crate) fn connection(space: SourceSpace, since: Timestamp) -> Connection {
    Connection {
        remote: RemoteStoreConfig::new(Vec::new()),
        space,
        identity: SourceIdentity::default(),
        since,
        complete: Coverage::none(space.count()),
        marked: false,
        cleared: false,
        forgets: false,
        imported: None,
        count: SourceCount::default(),
        lost: LostServers::default(),
    }
}
