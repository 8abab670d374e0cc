//! Which processes a source consists of: asks its servers who they are.

use std::time::Duration;

use client::{ClientError, Identity, RemoteCache, Statistics};
use cluster::{Clock, Counters, SinceBoot, SourceIdentity, SourceProcess, StartedBy, ToldTopology};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;

use crate::clocks::SourceClocks;

/// Most time that a server has for saying who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time that the other servers have once enough is known.
const OTHERS: Duration = Duration::from_millis(100);

/// Most time for learning closely when the processes of a source were started.
const CLOSER: Duration = Duration::from_millis(1_200);

/// Time between two of the readings that this takes.
const STEP: Duration = Duration::from_millis(50);

/// Milliseconds of width, beside the time of an answer, at which it is known closely.
const CLOSE: i64 = 100;

/// Who is asked which processes a source consists of, and the clocks by which the answers are read.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) remote: &'a RemoteCache,
    pub(crate) clock: &'a Clock,
    pub(crate) clocks: &'a SourceClocks,
}

impl Asking<'_> {
    /// Which processes the source consists of now.
    ///
    /// # Errors
    ///
    /// If none of them says; [`ClientError::NoSuchCache`] only if all of them say that the cache is not there.
    pub(crate) async fn all(&self) -> Result<SourceIdentity, ClientError> {
        self.until(|_| false).await
    }

    /// Which processes the source consists of now, as far as it takes to know `enough`: a server that hangs is not
    /// waited for then.
    ///
    /// # Errors
    ///
    /// As [`Asking::all`].
    pub(crate) async fn until(
        &self,
        enough: impl Fn(&SourceIdentity) -> bool,
    ) -> Result<SourceIdentity, ClientError> {
        let remote = self.remote.with_timeout(PATIENCE);
        match self.ask_each(&remote, &enough).await {
            Err(ClientError::NoSuchCache { name }) => Err(ClientError::NoSuchCache { name }),
            // Those that were announced may all be gone: who else is configured announces others.
            Err(_) => {
                remote.ping().await?;
                self.ask_each(&remote, &enough).await
            }
            answered => answered,
        }
    }

    /// The same as [`Asking::all`], asked until it is known closely when the processes were started: whichever
    /// process answers later is compared with that.
    ///
    /// # Errors
    ///
    /// As [`Asking::all`].
    pub(crate) async fn closely(&self) -> Result<SourceIdentity, ClientError> {
        let end = Instant::now() + CLOSER;
        let mut known = self.all().await?;
        loop {
            tokio::time::sleep(STEP).await;
            let asked = Instant::now();
            let Ok(Ok(now)) = tokio::time::timeout_at(end, self.all()).await else { break };
            known = now.with_earlier(&known, |_| true);
            let took = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
            let start = known.widest_start(self.clock.since_boot().boot);
            if start.is_none_or(|start| start.width_ms() <= took.saturating_add(CLOSE)) {
                break;
            }
        }
        Ok(known)
    }

    async fn ask_each(
        &self,
        remote: &RemoteCache,
        enough: &impl Fn(&SourceIdentity) -> bool,
    ) -> Result<SourceIdentity, ClientError> {
        let servers = remote.servers();
        let ask = async |server| {
            let asked = self.clock.since_boot();
            let (identity, statistics) = remote.stats_of(server).await?;
            Ok(process(&identity, &statistics, asked, self.clock, self.clocks))
        };
        collect(servers.iter().map(ask), enough).await
    }
}

/// The processes whose answers these are: all of them, or those that come soon after `enough` is known.
async fn collect(
    answers: impl Iterator<Item = impl Future<Output = Result<SourceProcess, ClientError>>>,
    enough: &impl Fn(&SourceIdentity) -> bool,
) -> Result<SourceIdentity, ClientError> {
    let mut answers: FuturesUnordered<_> = answers.collect();
    let (mut identity, mut errors, mut end) = (SourceIdentity::default(), Vec::new(), None);
    loop {
        let next = match end {
            Some(end) => tokio::time::timeout_at(end, answers.next()).await.unwrap_or(None),
            None => answers.next().await,
        };
        match next {
            Some(Ok(process)) => identity.0.push(process),
            Some(Err(error)) => errors.push(error),
            None => break,
        }
        if end.is_none() && enough(&identity) {
            end = Some(Instant::now() + OTHERS);
        }
    }
    if identity.0.is_empty() { Err(weakest(errors)) } else { Ok(identity) }
}

/// The error that says least: a server that is silent may have the cache that another one does not have.
fn weakest(errors: Vec<ClientError>) -> ClientError {
    let is_absent = |error: &ClientError| matches!(error, ClientError::NoSuchCache { .. });
    errors.into_iter().min_by_key(is_absent).unwrap_or(ClientError::NoServer)
}

/// Which process a server is that was asked at `asked` and has answered now.
pub(crate) fn process(
    identity: &Identity,
    statistics: &Statistics,
    asked: SinceBoot,
    clock: &Clock,
    theirs: &SourceClocks,
) -> SourceProcess {
    let (now, answered) = (clock.now(), clock.since_boot());
    let seconds = now.millis() / 1_000;
    let by_source = |running: Duration| {
        let ahead = theirs.known(&identity.server)?.read_offset(now)?;
        seconds.checked_add_signed(ahead.div_euclid(1_000))?.checked_sub(running.as_secs())
    };
    SourceProcess {
        server: identity.server.to_string(),
        started: identity.running.map(|running| seconds.saturating_sub(running.as_secs())),
        started_by: StartedBy {
            source: identity.running.and_then(by_source),
            ..identity
                .running
                .map_or_else(StartedBy::default, |running| StartedBy::of(running, asked, answered))
        },
        counters: Counters::of(|name| u64::try_from(statistics.number(name)?).ok()),
        topology: identity.topology.map(|told| ToldTopology { id: told.id, alone: told.alone }),
    }
}

#[cfg(test)]
mod tests {
    //! Servers that hang, and those that are heard all the same.

    use futures_util::FutureExt as _;

    use super::*;

    /// An answer that takes so long.
    async fn after(
        millis: u64,
        answer: Result<&str, ClientError>,
    ) -> Result<SourceProcess, ClientError> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        answer.map(|server| SourceProcess { server: server.into(), ..SourceProcess::default() })
    }

    fn names(identity: &SourceIdentity) -> Vec<&str> {
        identity.0.iter().map(|process| process.server.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_hangs_is_not_waited_for_once_enough_is_known() {
        let begun = Instant::now();
        let hangs = || after(2_000, Err(ClientError::NoServer)).boxed();
        let answers =
            || [hangs(), after(30, Ok("a")).boxed(), after(90, Ok("b")).boxed()].into_iter();
        let has_a = |now: &SourceIdentity| now.at("a").is_some();
        let known = collect(answers(), &has_a).await.unwrap();
        assert_eq!((names(&known), begun.elapsed().as_millis()), (vec!["a", "b"], 130));
        // Until then it is.
        let begun = Instant::now();
        let known = collect(answers(), &|_| false).await.unwrap();
        assert_eq!((names(&known), begun.elapsed().as_secs()), (vec!["a", "b"], 2));
        let error = collect([hangs(), hangs()].into_iter(), &has_a).await.unwrap_err();
        assert!(matches!(error, ClientError::NoServer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_is_gone_only_if_every_server_says_so() {
        let absent = || after(1, Err(ClientError::NoSuchCache { name: "c".into() })).boxed();
        let silent = || after(5, Err(ClientError::NoServer)).boxed();
        let said = async |answers: Vec<_>| collect(answers.into_iter(), &|_| false).await;
        assert!(matches!(
            said(vec![absent(), absent()]).await,
            Err(ClientError::NoSuchCache { .. })
        ));
        assert!(matches!(said(vec![absent(), silent()]).await, Err(ClientError::NoServer)));
        assert!(said(vec![absent(), after(3, Ok("a")).boxed()]).await.is_ok());
    }
}
