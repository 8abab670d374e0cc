//! How caches are, in the real server's words.

use std::fmt;

use migrate::Stage;
use store::Cache;

use crate::node::Node;

/// How a cache, or all of them, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It is served.
    Healthy,
    /// It waits for its operator, or entries of it are at a source that does not answer.
    Degraded,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
        })
    }
}

impl Node {
    /// How one cache is.
    pub(crate) fn health_of(&self, cache: &Cache) -> Health {
        if cache.check_served().is_err() {
            return Health::Degraded;
        }
        if !self.is_connected(cache.name()) {
            return Health::Healthy;
        }
        let troubled = self.migrations.status(cache.name()).is_ok_and(|status| {
            let silent = status.source.is_some_and(|source| !source.reachable);
            silent || status.state == Stage::Failed
        });
        if troubled { Health::Degraded } else { Health::Healthy }
    }

    /// How they all are.
    pub(crate) fn health(&self) -> Health {
        let mut all = self.all_caches().into_iter();
        let troubled = all.any(|cache| self.health_of(&cache) == Health::Degraded);
        if troubled { Health::Degraded } else { Health::Healthy }
    }
}
