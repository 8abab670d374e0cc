//! Whether a server is still the process that it was.

use std::time::Duration;

use hotrod::{
    ServerAddress,
    op::{Statistics, Stats},
};
use tokio::time::Instant;

use super::RemoteCache;
use crate::{call::Ask, cluster::Route, error::ClientError};

/// Name of the statistic that grows by one each second that a cache runs.
const SINCE_START: &str = "timeSinceStart";

/// How far two clocks that count whole seconds may be apart.
const TOLERANCE: Duration = Duration::from_secs(2);

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
    /// When it was asked.
    pub asked_at: Instant,
}

impl Identity {
    pub(crate) fn of(
        server: ServerAddress,
        statistics: &Statistics,
        topology: Option<u32>,
        asked_at: Instant,
    ) -> Self {
        let running =
            statistics.number(SINCE_START).and_then(|seconds| u64::try_from(seconds).ok());
        Self { server, running: running.map(Duration::from_secs), topology, asked_at }
    }

    /// Whether the cache may have been running ever since: `false` says that the server was restarted, or
    /// the cache removed and created. Without statistics nothing can be said, and the answer is `None`.
    #[must_use]
    pub fn is_still(&self, earlier: &Self) -> Option<bool> {
        let (now, then) = self.running.zip(earlier.running)?;
        let passed = self.asked_at.saturating_duration_since(earlier.asked_at);
        Some(self.server == earlier.server && now + TOLERANCE >= then + passed)
    }
}

impl RemoteCache {
    /// What this server counts, and which process it is.
    ///
    /// # Errors
    ///
    /// If this server does not answer; no other is asked.
    pub async fn stats_of(
        &self,
        server: &ServerAddress,
    ) -> Result<(Identity, Statistics), ClientError> {
        let asked = self.cluster.server(server);
        let asked_at = Instant::now();
        let ask = Ask { wants_topology: true, ..self.ask(Route::Server(&asked), true) };
        let answered = self.cluster.call::<Stats>(ask, &|_, _| {}).await?;
        let statistics = answered.read::<Stats>()?;
        let identity = Identity::of(server.clone(), &statistics, answered.topology, asked_at);
        Ok((identity, statistics))
    }
}
