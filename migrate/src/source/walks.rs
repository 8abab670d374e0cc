//! Whether a source gives out its entries to those who walk over them.
//!
//! A source may answer everything else and let its iterations hang, or fail. Then nothing is copied, compared or
//! listed, so people have to be told why.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
};

use client::{ClientError, Item, Iteration, ServerAddress};
use futures_util::FutureExt as _;
use parking_lot::Mutex;

use super::{SourceConnection, chain, watch::SILENT};
use crate::waits::Working;

/// Why walks over the source fail, or hang, by server.
#[derive(Debug, Default)]
pub(super) struct Walks {
    failures: Mutex<BTreeMap<String, WalkFailure>>,
    /// Whether there are any.
    have_failed: AtomicBool,
}

/// Why a walk over the source has failed, or hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalkFailure {
    /// Why, with the server.
    pub(crate) reason: String,
    /// Whether the source has said nothing.
    pub(crate) is_silence: bool,
}

impl Walks {
    /// Notes a failure. Returns whether there was none of this server before.
    fn note(&self, server: &str, failure: WalkFailure) -> bool {
        let mut failures = self.failures.lock();
        self.have_failed.store(true, Ordering::Release);
        failures.insert(server.to_owned(), failure).is_none()
    }

    /// A server has given out entries. Returns whether it had failed.
    fn heard(&self, server: &str) -> bool {
        if !self.have_failed.load(Ordering::Acquire) {
            return false;
        }
        let mut failures = self.failures.lock();
        // Of one that nobody had chosen, any server stands for it.
        let any = failures.remove(ANY).is_some();
        let had_failed = failures.remove(server).is_some();
        self.have_failed.store(!failures.is_empty(), Ordering::Release);
        any || had_failed
    }

    /// Forgets all of them.
    fn clear(&self) {
        self.failures.lock().clear();
        self.have_failed.store(false, Ordering::Release);
    }

    /// One of those of these servers.
    fn failure(&self, servers: &[ServerAddress]) -> Option<WalkFailure> {
        let failures = self.failures.lock();
        let is_there = |name: &str| servers.iter().any(|server| server.to_string() == name);
        let is_of_source = |server: &str| server == ANY || is_there(server);
        let mut of_source = failures.iter().filter(|(server, _)| is_of_source(server));
        // What is known of a certain server says more.
        of_source.next_back().map(|(_, failure)| failure.clone())
    }
}

/// What it means for people that walks over a source fail.
const WALKS_FAIL: &str = "the source is there, but does not give out its entries: nothing can be copied, compared or \
                          listed";

/// Stands for the server of a walk that may go to any.
const ANY: &str = "";

/// Listens to what a source says to somebody who walks over it.
pub(crate) struct Hearing<'h> {
    connection: &'h SourceConnection,
    /// Which server is asked, if that is known.
    server: Option<ServerAddress>,
    /// The reader that listens, of a copy.
    reader: Option<&'h Working<'h>>,
}

impl Hearing<'_> {
    /// Waits for an answer. If that takes long, the status and the log say so.
    pub(crate) async fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        if let Some(answered) = answer.as_mut().now_or_never() {
            return answered;
        }
        let _waiting = self.reader.map(Working::wait);
        if let Ok(answered) = tokio::time::timeout(SILENT, answer.as_mut()).await {
            return answered;
        }
        let who = self.server.as_ref().map_or_else(|| "the source".into(), ToString::to_string);
        let reason = format!("{who} has said nothing for {} s", SILENT.as_secs());
        self.fail(reason, true);
        answer.await
    }

    /// Waits for what an iteration gives next.
    pub(crate) async fn next(
        &self,
        iteration: &mut Iteration,
    ) -> Result<Option<Item>, ClientError> {
        let received = iteration.received();
        let next = self.wait(iteration.next()).await?;
        // What has arrived together counts once.
        if iteration.received() != received {
            self.heard(iteration.server());
        }
        Ok(next)
    }

    fn heard(&self, server: &ServerAddress) {
        self.reader.into_iter().for_each(Working::heard);
        if self.connection.walks.heard(&server.to_string()) {
            let cache = self.connection.cache.name();
            tracing::info!(%cache, %server, "the source gives out its entries again");
        }
    }

    /// Notes that the walk has failed. Returns why.
    pub(crate) fn failed(&self, error: &ClientError) -> String {
        let reason = chain(error);
        self.fail(reason.clone(), error.is_silence());
        reason
    }

    fn fail(&self, reason: String, is_silence: bool) {
        self.connection.walk_failed(self.server.as_ref(), reason, is_silence);
    }
}

impl WalkFailure {
    /// The failure for people.
    pub(crate) fn text(&self) -> String {
        format!("{WALKS_FAIL}: {}", self.reason)
    }
}

impl SourceConnection {
    /// Listens to this server, or to any, for somebody who walks over the source; for this reader, if it is one of a
    /// copy.
    pub(crate) fn hearing<'h>(
        &'h self,
        server: Option<ServerAddress>,
        reader: Option<&'h Working<'h>>,
    ) -> Hearing<'h> {
        Hearing { connection: self, server, reader }
    }

    /// Notes why a walk over a server has failed, or hangs.
    pub(crate) fn walk_failed(
        &self,
        server: Option<&ServerAddress>,
        reason: String,
        is_silence: bool,
    ) {
        // Of a source that is not there, or not believed, people are told anyway.
        if !self.is_believed() {
            return;
        }
        let name = server.map_or_else(|| ANY.to_owned(), ToString::to_string);
        let failure = WalkFailure { reason: reason.clone(), is_silence };
        if self.walks.note(&name, failure) {
            tracing::warn!(cache = %self.cache.name(), reason, "{WALKS_FAIL}");
        }
    }

    /// Why the source does not give out its entries, although it is there.
    pub(crate) fn walk_failure(&self) -> Option<WalkFailure> {
        self.walks.failure(&self.remote.servers())
    }

    /// Forgets why the source has not given out its entries: it was away, or all that was wanted is here.
    pub(crate) fn forget_walk_failures(&self) {
        self.walks.clear();
    }
}

#[cfg(test)]
mod tests {
    //! Which failures are known, and until when.

    use super::*;

    #[test]
    fn a_failure_is_known_until_the_server_gives_out_entries_or_has_left() {
        let server = |port| ServerAddress { host: "a".into(), port };
        let failure = |reason: &str| WalkFailure { reason: reason.into(), is_silence: true };
        let walks = Walks::default();
        let both = [server(1), server(2)];
        assert_eq!(walks.failure(&both), None);
        assert!(walks.note("a:1", failure("one")));
        assert!(!walks.note("a:1", failure("two")), "told already");
        assert!(walks.note("a:2", failure("three")));
        assert_eq!(walks.failure(&both), Some(failure("three")));
        assert_eq!(walks.failure(&[server(1)]), Some(failure("two")), "the other one has left");
        assert!(walks.heard("a:2"));
        assert_eq!(walks.failure(&both), Some(failure("two")));
        assert!(!walks.heard("a:2"), "it had not failed");
        assert!(walks.note(ANY, failure("four")));
        assert_eq!(walks.failure(&both), Some(failure("two")), "it says more");
        assert_eq!(walks.failure(&[]), Some(failure("four")));
        assert!(walks.heard("a:1"), "any server stands for it");
        assert_eq!(walks.failure(&[]), None);
        walks.clear();
        assert_eq!(walks.failure(&both), None);
        assert!(walks.note("a:2", failure("five")));
    }
}
