//! A server: its connection, and when to reconnect after a failure.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use hotrod::ServerAddress;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::{
    common::Common, connection::Connection, deadline::Deadline, error::ClientError,
    handshake::establish,
};

/// Pauses between attempts to connect: the shortest and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Connected = Result<Arc<Connection>, ClientError>;

/// A server, connected or not.
pub(crate) struct Server {
    pub(crate) address: ServerAddress,
    common: Arc<Common>,
    state: Mutex<State>,
}

struct State {
    link: Link,
    /// Failed attempts to connect since the last success.
    failures: u32,
    /// Whether a connection was ever made.
    was_open: bool,
}

enum Link {
    /// No attempt was made, or the connection ended.
    None,
    /// An attempt is in progress. All callers wait for the same one.
    Connecting(Shared<BoxFuture<'static, Connected>>),
    Open(Arc<Connection>),
    /// The last attempt failed.
    Failed {
        error: ClientError,
        not_before: Instant,
    },
    /// The client is closed.
    Closed,
}

impl Server {
    pub(crate) fn new(address: ServerAddress, common: Arc<Common>) -> Arc<Self> {
        let state = State { link: Link::None, failures: 0, was_open: false };
        Arc::new(Self { address, common, state: Mutex::new(state) })
    }

    /// Returns the connection, if it is open.
    pub(crate) fn open(&self) -> Option<Arc<Connection>> {
        match &self.state.lock().link {
            Link::Open(connection) if connection.is_open() => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// Starts to connect, without waiting for it.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        // The attempt continues in its own task.
        drop(self.link());
    }

    /// Returns the connection, waiting until there is one or the attempt fails. During the pause
    /// after a failed attempt, its error is returned at once.
    pub(crate) async fn connect(self: &Arc<Self>, deadline: Deadline) -> Connected {
        let connecting = match self.link() {
            Ok(link) => link,
            Err(outcome) => return outcome,
        };
        match timeout_at(deadline.at, connecting).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(ClientError::TimedOut {
                server: Some(self.address.clone()),
                operation: "connecting",
                after: deadline.after,
                asked: false,
            }),
        }
    }

    /// Returns the attempt in progress, or the result that is known without one.
    fn link(self: &Arc<Self>) -> Result<Shared<BoxFuture<'static, Connected>>, Connected> {
        let mut state = self.state.lock();
        match &state.link {
            Link::Connecting(connecting) => return Ok(connecting.clone()),
            Link::Open(connection) if connection.is_open() => {
                return Err(Ok(Arc::clone(connection)));
            }
            Link::Failed { error, not_before } if Instant::now() < *not_before => {
                return Err(Err(error.clone()));
            }
            Link::Closed => return Err(Err(ClientError::Closed)),
            Link::None | Link::Open(_) | Link::Failed { .. } => {}
        }
        // A task, so that it continues if the caller goes away. It ends by its own deadline.
        let task = tokio::spawn(Arc::clone(self).attempt());
        let attempt = async move { task.await.unwrap_or(Err(ClientError::Closed)) };
        let connecting = attempt.boxed().shared();
        state.link = Link::Connecting(connecting.clone());
        Ok(connecting)
    }

    async fn attempt(self: Arc<Self>) -> Connected {
        let Common { config, .. } = &*self.common;
        let established = establish(&self.address, &self.common).await;
        let mut state = self.state.lock();
        if matches!(state.link, Link::Closed) {
            return Err(ClientError::Closed);
        }
        match established {
            Ok((line, version)) => {
                let connection = Arc::new(Connection::start(line, version, config));
                state.link = Link::Open(Arc::clone(&connection));
                (state.failures, state.was_open) = (0, true);
                Ok(connection)
            }
            Err(error) => {
                tracing::debug!(server = %self.address, %error, "not connected");
                let not_before = Instant::now() + pause(state.failures, rand::random());
                state.link = Link::Failed { error: error.clone(), not_before };
                state.failures = state.failures.saturating_add(1);
                Err(error)
            }
        }
    }

    /// Returns whether every one of several attempts to connect has failed.
    pub(crate) fn was_never_reached(&self) -> bool {
        let state = self.state.lock();
        state.failures > 1 && !state.was_open
    }

    /// Closes the connection for good, and waits until its task has ended.
    pub(crate) async fn close(&self) {
        let link = std::mem::replace(&mut self.state.lock().link, Link::Closed);
        match link {
            Link::Open(connection) => connection.close().await,
            // The task of an attempt ends without a connection.
            Link::Connecting(_) | Link::None | Link::Failed { .. } | Link::Closed => {}
        }
    }
}

/// Returns the pause after so many failures: it doubles each time, minus a random part, so that
/// many clients do not reconnect at once.
fn pause(failures: u32, random: u8) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    pause / 2 + pause / 2 * u32::from(random) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    //! Growth of the pauses.

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let millis: Vec<_> = (0..9).map(|failures| pause(failures, u8::MAX).as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(40, 0), LONGEST_PAUSE / 2);
    }
}
