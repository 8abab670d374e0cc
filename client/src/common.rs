//! State that the connections of a client share.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use crate::{config::ClientConfig, notice::Notices, sasl::Mechanism};

/// State that the connections of a client share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: ClientConfig,
    pub(crate) notices: Notices,
    /// Number of connections made so far, to all servers.
    pub(crate) connections_made: AtomicU64,
    /// The mechanism of the last successful login, which is tried first.
    pub(crate) accepted: Mutex<Option<Mechanism>>,
}

impl Common {
    pub(crate) fn new(config: ClientConfig, notices: Notices) -> Self {
        Self { config, notices, connections_made: AtomicU64::new(0), accepted: Mutex::default() }
    }
}
