//! Which process a server is.

use std::time::Duration;

use hotrod::{ServerAddress, op::Statistics};

/// Name of the statistic that grows by one each second that a cache runs.
const SINCE_START: &str = "timeSinceStart";

/// Which process a server is, as far as its statistics tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The server.
    pub server: ServerAddress,
    /// How long its cache had been running, in whole seconds; `None` if it does not count that.
    pub running: Option<Duration>,
    /// The topology that it tells; `None` if it tells none. A server that was started again tells another
    /// one, and so does one whose cluster has changed.
    pub topology: Option<u32>,
}

impl Identity {
    pub(crate) fn of(
        server: ServerAddress,
        statistics: &Statistics,
        topology: Option<u32>,
    ) -> Self {
        let running =
            statistics.number(SINCE_START).and_then(|seconds| u64::try_from(seconds).ok());
        Self { server, running: running.map(Duration::from_secs), topology }
    }
}
