//! Connections left by finished iterations, kept for the next one: a login can cost as much as an
//! iteration.

use std::collections::HashMap;

use hotrod::{ProtocolVersion, ServerAddress};
use parking_lot::Mutex;

use crate::line::Line;

/// Most idle connections to one server.
const MOST: usize = 4;

/// Connections without a pending request.
#[derive(Debug, Default)]
pub(crate) struct IdleLines {
    lines: Mutex<HashMap<ServerAddress, Vec<(Line, ProtocolVersion)>>>,
}

impl IdleLines {
    /// Takes a connection to this server, if there is one. The server may have closed it.
    pub(crate) fn take(&self, server: &ServerAddress) -> Option<(Line, ProtocolVersion)> {
        self.lines.lock().get_mut(server)?.pop()
    }

    /// Keeps a connection whose requests have all been answered.
    pub(crate) fn keep(&self, line: Line, version: ProtocolVersion) {
        let mut lines = self.lines.lock();
        let of_server = lines.entry(line.server.clone()).or_default();
        if of_server.len() < MOST {
            of_server.push((line, version));
        }
    }

    /// Closes connections to servers that are no longer wanted.
    pub(crate) fn retain(&self, is_wanted: impl Fn(&ServerAddress) -> bool) {
        self.lines.lock().retain(|server, _| is_wanted(server));
    }

    /// Closes all connections.
    pub(crate) fn close(&self) {
        self.lines.lock().clear();
    }
}
