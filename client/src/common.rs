//! What the connections of a client have in common.

use std::sync::atomic::AtomicU64;

use crate::{config::ClientConfig, notice::Notices};

/// What the connections of a client have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: ClientConfig,
    pub(crate) notices: Notices,
    /// Connections that have come about, of all servers.
    pub(crate) connections_made: AtomicU64,
}

impl Common {
    pub(crate) fn new(config: ClientConfig, notices: Notices) -> Self {
        Self { config, notices, connections_made: AtomicU64::new(0) }
    }
}
