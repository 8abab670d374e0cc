//! What the connections of a client have in common.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use crate::{config::ClientConfig, notice::Notices, sasl::Mechanism};

/// What the connections of a client have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: ClientConfig,
    pub(crate) notices: Notices,
    /// Connections that have come about, of all servers.
    pub(crate) connections_made: AtomicU64,
    /// The mechanism by which the last login succeeded: it is tried first.
    pub(crate) accepted: Mutex<Option<Mechanism>>,
}

impl Common {
    pub(crate) fn new(config: ClientConfig, notices: Notices) -> Self {
        Self { config, notices, connections_made: AtomicU64::new(0), accepted: Mutex::default() }
    }
}
