//! Clients that want to log in, which nobody can do here yet.

use cluster::Sparingly;
use store::Timestamp;

/// Attempts to log in, all of which are refused. A client that asks for a login, is told that there is none, and goes on
/// without it, is none of them.
#[derive(Debug, Default)]
pub(crate) struct Logins(Sparingly);

impl Logins {
    /// Warns of an attempt, unless the log has the warning already: a client that cannot log in tries again and again.
    pub(crate) fn refused(&self, now: Timestamp) {
        if self.0.is_due(now) {
            tracing::warn!(
                "a Hot Rod client wants to log in, and there is no authentication of clients yet: most clients do not \
                 connect then. Take user and password (or token) out of its configuration"
            );
        }
    }
}
