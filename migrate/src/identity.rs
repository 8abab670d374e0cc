//! Whether the source is still the processes that it was.

use std::time::Duration;

use client::{ClientError, Identity, RemoteCache, Statistics};
use cluster::{Clock, SinceBoot, SourceIdentity, SourceProcess, StartedBy};
use futures_util::future::join_all;

use crate::clocks::SourceClocks;

/// Most time that a server has for saying who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which processes the source consists of now.
///
/// # Errors
///
/// If none of them says; [`ClientError::NoSuchCache`] only if all of them say that the cache is not there.
pub(crate) async fn identify(
    remote: &RemoteCache,
    clock: &Clock,
    theirs: &SourceClocks,
) -> Result<SourceIdentity, ClientError> {
    let remote = remote.with_timeout(PATIENCE);
    match ask_each(&remote, clock, theirs).await {
        Err(ClientError::NoSuchCache { name }) => Err(ClientError::NoSuchCache { name }),
        // Those that were announced may all be gone: who else is configured announces others.
        Err(_) => {
            remote.ping().await?;
            ask_each(&remote, clock, theirs).await
        }
        answered => answered,
    }
}

async fn ask_each(
    remote: &RemoteCache,
    clock: &Clock,
    theirs: &SourceClocks,
) -> Result<SourceIdentity, ClientError> {
    let servers = remote.servers();
    let ask = async |server| {
        let (identity, statistics) = remote.stats_of(server).await?;
        // It says how long it has run by the time at which it answers.
        Ok(process(&identity, &statistics, clock, theirs))
    };
    let answers = join_all(servers.iter().map(ask)).await;
    let mut processes = Vec::new();
    let mut errors = Vec::new();
    for answer in answers {
        match answer {
            Ok(process) => processes.push(process),
            Err(error) => errors.push(error),
        }
    }
    if processes.is_empty() { Err(weakest(errors)) } else { Ok(SourceIdentity(processes)) }
}

/// The error that says least: a server that is silent may have the cache that another one does not have.
fn weakest(errors: Vec<ClientError>) -> ClientError {
    let is_absent = |error: &ClientError| matches!(error, ClientError::NoSuchCache { .. });
    errors.into_iter().min_by_key(is_absent).unwrap_or(ClientError::NoServer)
}

/// Which process a server is that has said this now.
pub(crate) fn process(
    identity: &Identity,
    statistics: &Statistics,
    clock: &Clock,
    theirs: &SourceClocks,
) -> SourceProcess {
    let now = clock.now();
    let seconds = now.millis() / 1_000;
    let ago = |running: Duration| i64::try_from(running.as_secs()).unwrap_or(i64::MAX);
    let since_boot = |running: Duration| {
        let now = clock.since_boot()?;
        Some(SinceBoot { seconds: now.seconds.saturating_sub(ago(running)), ..now })
    };
    let by_source = |running: Duration| {
        let ahead = theirs.known(&identity.server)?.read_offset(now)?;
        seconds.checked_add_signed(ahead.div_euclid(1_000))?.checked_sub(running.as_secs())
    };
    let written = statistics.number("totalBytesWritten");
    SourceProcess {
        server: identity.server.to_string(),
        started: identity.running.map(|running| seconds.saturating_sub(running.as_secs())),
        started_by: StartedBy {
            boot: identity.running.and_then(since_boot),
            source: identity.running.and_then(by_source),
        },
        topology: identity.topology,
        written: written.and_then(|bytes| u64::try_from(bytes).ok()),
    }
}
