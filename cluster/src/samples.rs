//! Values that several tests begin with.

use std::sync::Arc;

use config::{CacheConfig, CacheMode, CacheName, RemoteServer, RemoteStoreConfig};
use store::{Coverage, SourceSegment, SourceSpace, Timestamp};

use crate::{
    metadata::{Connection, MetaCommand, SourceCount},
    source::{Gone, LostServer, LostServers, SourceIdentity, SourceProcess, ToldTopology},
};

pub(crate) fn name(name: &str) -> CacheName {
    name.parse().unwrap()
}

/// Segments of a connection of [`connection`] that are complete.
pub(crate) fn complete(cache: &str, count: u32, segments: &[u32]) -> MetaCommand {
    MetaCommand::Complete {
        cache: name(cache),
        since: Timestamp::from_millis(1_000),
        space: SourceSpace::Segments(count),
        segments: segments.iter().map(|segment| (SourceSegment(*segment), 9)).collect(),
    }
}

/// Processes of these servers, which were started then, in seconds of our clock.
pub(crate) fn of(processes: &[(&str, u64)]) -> SourceIdentity {
    let process = |(server, started): &(&str, u64)| SourceProcess {
        server: (*server).into(),
        started: Some(*started),
        ..SourceProcess::default()
    };
    SourceIdentity(processes.iter().map(process).collect())
}

/// A connection to a source of so many segments, none of which is complete.
pub(crate) fn connection(segments: u32) -> Connection {
    let process = SourceProcess {
        server: "127.0.0.1:11222".into(),
        started: Some(100),
        topology: Some(ToldTopology { id: 5, alone: false }),
        ..SourceProcess::default()
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
        count: SourceCount { said: Some(40), shown: 0 },
        lost: LostServers::default(),
    }
}

/// A server of a source that was started again.
pub(crate) fn lost(server: &str, after_copy: bool) -> LostServer {
    LostServer { server: server.into(), how: Gone::Replaced, after_copy }
}

/// Servers of a source that have gone.
pub(crate) fn gone(gone: &[LostServer]) -> LostServers {
    LostServers { gone: gone.to_vec(), ..LostServers::default() }
}

/// A cache of this name comes into being.
pub(crate) fn create(cache: &str) -> MetaCommand {
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    MetaCommand::CreateCache { cache: name(cache), config, volatile: false }
}

/// A cache is connected to a source of so many segments.
pub(crate) fn connect(cache: &str, segments: u32) -> MetaCommand {
    MetaCommand::Connect { cache: name(cache), connection: Box::new(connection(segments)) }
}

/// Commands of every kind, in an order in which all of them apply.
pub(crate) fn story() -> Vec<MetaCommand> {
    let orders = || name("orders");
    let config = CacheConfig { statistics: true, ..CacheConfig::new(CacheMode::Distributed) };
    let identity = SourceIdentity(vec![]);
    vec![
        create("orders"),
        create("customers"),
        MetaCommand::UpdateCache { cache: orders(), config: Arc::new(config), replaces: None },
        connect("orders", 4),
        complete("orders", 4, &[1, 3]),
        MetaCommand::Mark { cache: orders() },
        MetaCommand::Count { cache: orders(), since: Timestamp::from_millis(1_000), entries: 50 },
        MetaCommand::Finish { cache: orders(), imported: 1_000 },
        MetaCommand::AcceptSource {
            cache: orders(),
            identity: identity.clone(),
            lost: gone(&[lost("a:1", false)]),
        },
        MetaCommand::AcceptSource { cache: orders(), identity, lost: LostServers::default() },
        MetaCommand::AcceptLoss { cache: orders() },
        MetaCommand::Clear { cache: orders() },
        MetaCommand::BecomeUnit { cache: orders() },
        MetaCommand::Disconnect { cache: orders() },
        create("third"),
        connect("customers", 256),
        MetaCommand::RemoveCache { cache: name("third") },
        MetaCommand::AssignAlias { cache: name("customers"), alias: name("clients") },
        MetaCommand::CreateTemplate {
            template: name("plain"),
            config: Arc::new(CacheConfig::new(CacheMode::Local)),
            volatile: false,
        },
        MetaCommand::RemoveTemplate { template: name("plain") },
    ]
}
