//! Whether a source gives out its entries to those who walk over them.
//!
//! A source may answer everything else and let its iterations hang, or fail. Then nothing is copied, compared or
//! listed, so people have to be told why.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use client::{ClientError, Item, Iteration, ServerAddress};
use futures_util::FutureExt as _;
use parking_lot::Mutex;

use super::{SourceConnection, chain, watch::SILENT};
use crate::waits::Working;

/// Why walks over the source fail, or hang.
///
/// A failure is one of a server. It is known until that server gives out entries to anybody, has gone, or was started
/// again; until the source is away as a whole; or until the walker has ended that was told.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// By server and number of the walker.
    failures: Mutex<BTreeMap<(String, u64), WalkFailure>>,
    /// Whether there are any.
    have_failed: AtomicBool,
    /// Walkers so far.
    walkers: AtomicU64,
}

/// A copy or a verification, which walks over the source. What its walks have met is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Walker {
    walks: Arc<Walks>,
    number: u64,
}

impl Walker {
    fn new(walks: &Arc<Walks>) -> Arc<Self> {
        let number = walks.walkers.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { walks: Arc::clone(walks), number })
    }

    /// Why its walks fail, or hang.
    pub(crate) fn failure(&self) -> Option<WalkFailure> {
        self.walks.failure(|_, walker| walker == self.number)
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        self.walks.forget(|_, walker| walker == self.number);
    }
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
    fn note(&self, server: &str, walker: &Walker, failure: WalkFailure) -> bool {
        let mut failures = self.failures.lock();
        self.have_failed.store(true, Ordering::Release);
        let is_first = !failures.keys().any(|(failed, _)| failed == server);
        failures.insert((server.to_owned(), walker.number), failure);
        is_first
    }

    /// A server has given out entries. Returns whether it had failed.
    fn heard(&self, server: &str) -> bool {
        // Of one that nobody had chosen, any server stands for it.
        self.forget(|failed, _| failed == ANY || failed == server)
    }

    /// Forgets those of these servers and walkers. Returns whether there were any.
    fn forget(&self, is_over: impl Fn(&str, u64) -> bool) -> bool {
        if !self.have_failed.load(Ordering::Acquire) {
            return false;
        }
        let mut failures = self.failures.lock();
        let before = failures.len();
        failures.retain(|(server, walker), _| !is_over(server, *walker));
        self.have_failed.store(!failures.is_empty(), Ordering::Release);
        failures.len() < before
    }

    /// One of those of these servers and walkers.
    fn failure(&self, is_wanted: impl Fn(&str, u64) -> bool) -> Option<WalkFailure> {
        let failures = self.failures.lock();
        let mut wanted = failures.iter().filter(|((server, walker), _)| is_wanted(server, *walker));
        // What is known of a certain server says more.
        wanted.next_back().map(|(_, failure)| failure.clone())
    }

    /// One of those of a source that consists of these servers.
    fn failure_of(&self, servers: &[ServerAddress]) -> Option<WalkFailure> {
        let is_there = |name: &str| servers.iter().any(|server| server.to_string() == name);
        self.failure(|server, _| server == ANY || is_there(server))
    }
}

/// What it means for people that walks over a source fail.
const WALKS_FAIL: &str = "the source is there, but does not give out all of its entries: those that it keeps back \
                          cannot be copied, compared or listed";

/// Stands for the server of a walk that may go to any.
const ANY: &str = "";

/// Listens to what a source says to somebody who walks over it.
pub(crate) struct Hearing<'h> {
    connection: &'h SourceConnection,
    walker: &'h Walker,
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
        if !error.is_disconnection() {
            self.fail(reason.clone(), error.is_silence());
        } else if let Some(server) = &self.server {
            // Whether the server is there shows elsewhere; what it did before is past.
            self.connection.forget_walk_failures_of(&server.to_string());
        }
        reason
    }

    fn fail(&self, reason: String, is_silence: bool) {
        self.connection.walk_failed(self.walker, self.server.as_ref(), reason, is_silence);
    }
}

impl WalkFailure {
    /// The failure for people.
    pub(crate) fn text(&self) -> String {
        format!("{WALKS_FAIL}: {}", self.reason)
    }
}

impl SourceConnection {
    /// Somebody who walks over the source from now on.
    pub(crate) fn walker(&self) -> Arc<Walker> {
        Walker::new(&self.walks)
    }

    /// Listens to this server, or to any, for somebody who walks over the source; for this reader, if it is one of a
    /// copy.
    pub(crate) fn hearing<'h>(
        &'h self,
        walker: &'h Walker,
        server: Option<ServerAddress>,
        reader: Option<&'h Working<'h>>,
    ) -> Hearing<'h> {
        Hearing { connection: self, walker, server, reader }
    }

    /// Notes why a walk over a server has failed, or hangs.
    pub(crate) fn walk_failed(
        &self,
        walker: &Walker,
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
        if self.walks.note(&name, walker, failure) {
            tracing::warn!(cache = %self.cache.name(), reason, "{WALKS_FAIL}");
        }
    }

    /// Why the source does not give out its entries, although it is there.
    pub(crate) fn walk_failure(&self) -> Option<WalkFailure> {
        self.walks.failure_of(&self.remote.servers())
    }

    /// Forgets why the source has not given out its entries: it is away, or all that was wanted is here.
    pub(crate) fn forget_walk_failures(&self) {
        self.walks.forget(|_, _| true);
    }

    /// Forgets why a server has not given out its entries: it, or the connection to it, has gone.
    pub(super) fn forget_walk_failures_of(&self, server: &str) {
        self.walks.forget(|failed, _| failed == server);
    }
}

#[cfg(test)]
mod tests {
    //! Which failures are known, and until when.

    use super::*;

    fn failure(reason: &str) -> WalkFailure {
        WalkFailure { reason: reason.into(), is_silence: true }
    }

    fn server(port: u16) -> ServerAddress {
        ServerAddress { host: "a".into(), port }
    }

    #[test]
    fn a_failure_is_known_until_the_server_gives_out_entries_or_has_left() {
        let walks = Arc::default();
        let walker = &*Walker::new(&walks);
        let both = [server(1), server(2)];
        assert_eq!(walks.failure_of(&both), None);
        assert!(walks.note("a:1", walker, failure("one")));
        assert!(!walks.note("a:1", walker, failure("two")), "told already");
        assert!(walks.note("a:2", walker, failure("three")));
        assert_eq!(walks.failure_of(&both), Some(failure("three")));
        assert_eq!(walks.failure_of(&[server(1)]), Some(failure("two")), "the other one has left");
        assert!(walks.heard("a:2"));
        assert_eq!(walks.failure_of(&both), Some(failure("two")));
        assert!(!walks.heard("a:2"), "it had not failed");
        assert!(walks.note(ANY, walker, failure("four")));
        assert_eq!(walks.failure_of(&both), Some(failure("two")), "it says more");
        assert_eq!(walks.failure_of(&[]), Some(failure("four")));
        assert!(walks.heard("a:1"), "any server stands for it");
        assert_eq!(walks.failure_of(&[]), None);
        assert_eq!(walks.failure_of(&both), None);
        assert!(walks.note("a:2", walker, failure("five")));
    }

    #[test]
    fn a_failure_is_known_as_long_as_somebody_walks_who_was_told() {
        let walks = Arc::default();
        let (one, other) = (Walker::new(&walks), Walker::new(&walks));
        assert!(walks.note("a:1", &one, failure("one")));
        assert!(!walks.note("a:1", &other, failure("two")), "told already");
        assert!(walks.note("a:2", &other, failure("three")));
        assert_eq!(one.failure(), Some(failure("one")), "its own");
        assert_eq!(other.failure(), Some(failure("three")));
        drop(other);
        assert_eq!(walks.failure_of(&[server(1), server(2)]), Some(failure("one")));
        drop(one);
        assert_eq!(walks.failure_of(&[server(1), server(2)]), None);
        assert!(!walks.have_failed.load(Ordering::Acquire));
    }

    #[test]
    fn a_connection_that_is_not_there_is_no_failure_of_a_walk() {
        use client::ConnectionError;
        let error = || Arc::new(std::io::Error::other("reset"));
        let lost = |source| ClientError::Lost { server: server(1), operation: "NEXT", source };
        for (error, is_disconnection) in [
            (ClientError::Unreachable { server: server(1), source: error() }, true),
            (lost(ConnectionError::Io(error())), true),
            (lost(ConnectionError::Ended), true),
            (lost(ConnectionError::Silent), false),
            (ClientError::InvalidIteration { server: server(1) }, false),
        ] {
            assert_eq!(error.is_disconnection(), is_disconnection, "{error}");
        }
    }
}
