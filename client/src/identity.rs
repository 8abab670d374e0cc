//! Identifies the process behind a server's address.

use std::time::Duration;

use hotrod::{ServerAddress, Topology, op::Statistics};

/// Name of the statistic that counts the seconds since the cache started.
const SINCE_START: &str = "timeSinceStart";

/// What a server's statistics and topology tell about its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The server.
    pub server: ServerAddress,
    /// How long its cache has been running, in whole seconds; `None` if it does not report that.
    pub running: Option<Duration>,
    /// The topology that it reports, if any.
    pub topology: Option<ToldTopology>,
}

/// A topology that a server reports. Its id changes when the server restarts or its cluster
/// changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldTopology {
    /// Id of the topology.
    pub id: u32,
    /// Whether it lists a single server. The id then identifies that server's process.
    pub alone: bool,
}

impl ToldTopology {
    pub(crate) fn of(topology: &Topology) -> Self {
        Self { id: topology.id, alone: topology.servers.len() == 1 }
    }
}

impl Identity {
    pub(crate) fn of(
        server: ServerAddress,
        statistics: &Statistics,
        topology: Option<ToldTopology>,
    ) -> Self {
        let running =
            statistics.number(SINCE_START).and_then(|seconds| u64::try_from(seconds).ok());
        Self { server, running: running.map(Duration::from_secs), topology }
    }
}
