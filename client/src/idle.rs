//! Connections that a walk has left in order, for the next one: a login can cost as much as a walk.

use std::collections::HashMap;

use hotrod::{ProtocolVersion, ServerAddress};
use parking_lot::Mutex;

use crate::line::Line;

/// Most connections to one server that wait for a walk.
const MOST: usize = 4;

/// Connections over which nothing is asked at the moment.
#[derive(Debug, Default)]
pub(crate) struct IdleLines {
    lines: Mutex<HashMap<ServerAddress, Vec<(Line, ProtocolVersion)>>>,
}

impl IdleLines {
    /// One to this server, if there is one. It may have ended meanwhile.
    pub(crate) fn take(&self, server: &ServerAddress) -> Option<(Line, ProtocolVersion)> {
        self.lines.lock().get_mut(server)?.pop()
    }

    /// Keeps one over which everything was answered.
    pub(crate) fn keep(&self, line: Line, version: ProtocolVersion) {
        let mut lines = self.lines.lock();
        let of_server = lines.entry(line.server.clone()).or_default();
        if of_server.len() < MOST {
            of_server.push((line, version));
        }
    }

    /// Ends those to servers that are not wanted any more.
    pub(crate) fn retain(&self, is_wanted: impl Fn(&ServerAddress) -> bool) {
        self.lines.lock().retain(|server, _| is_wanted(server));
    }

    /// Ends all of them.
    pub(crate) fn close(&self) {
        self.lines.lock().clear();
    }
}
