//! Which process a server is.

use std::time::Duration;

use hotrod::{ServerAddress, Topology, op::Statistics};

/// Name of the statistic that grows by one each second that a cache runs.
const SINCE_START: &str = "timeSinceStart";

/// Which process a server is, as far as its statistics tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The server.
    pub server: ServerAddress,
    /// How long its cache had been running, in whole seconds; `None` if it does not count that.
    pub running: Option<Duration>,
    /// The topology that it tells; `None` if it tells none.
    pub topology: Option<ToldTopology>,
}

/// A topology that a server tells. One that was started again tells another number, and so does one whose cluster
/// has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldTopology {
    /// Its number.
    pub id: u32,
    /// Whether it lists a single server. The number then identifies that server's process.
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
