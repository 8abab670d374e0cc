//! Whether the source is still the processes that it was.

use std::time::Duration;

use client::{ClientError, RemoteCache};
use cluster::{SourceIdentity, SourceProcess};
use futures_util::future::join_all;
use store::Timestamp;

/// Most time that a server has for saying who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which processes the source consists of now.
///
/// # Errors
///
/// If none of them answers.
pub(crate) async fn identify(
    remote: &RemoteCache,
    now: Timestamp,
) -> Result<SourceIdentity, ClientError> {
    let remote = remote.with_timeout(PATIENCE);
    let servers = remote.servers();
    let answers = join_all(servers.iter().map(|server| remote.stats_of(server))).await;
    let mut processes = Vec::new();
    let mut failed = ClientError::NoServer;
    for (server, answer) in servers.iter().zip(answers) {
        match answer {
            Ok((identity, statistics)) => processes.push(SourceProcess {
                server: server.to_string(),
                started: identity
                    .running
                    .map(|running| (now.millis() / 1000).saturating_sub(running.as_secs())),
                written: statistics
                    .number("totalBytesWritten")
                    .and_then(|bytes| u64::try_from(bytes).ok()),
                topology: identity.topology,
            }),
            Err(error) => failed = error,
        }
    }
    if processes.is_empty() { Err(failed) } else { Ok(SourceIdentity(processes)) }
}
