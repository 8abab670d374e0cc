//! Why an operator did not get what was asked for.

use cluster::{MetaError, ProposeError};
use config::CacheName;

use crate::{loss::listed, preflight::Problem};

/// What an operator asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// There is no such cache.
    #[error("ISPN012010: Cache with name '{0}' not found amongst the configured caches")]
    NoSuchCache(String),
    /// The cache is connected to a source already.
    #[error("cache {0} is connected to a source already")]
    AlreadyConnected(CacheName),
    /// The source cannot be connected: everything that stands in the way.
    #[error("{}", texts(.0))]
    Problems(Vec<Problem>),
    /// The cache was connected although it must not be, and that could not be undone.
    #[error(
        "Cache {cache} is connected, and must not be: {why}\nIt could not be disconnected again, because the \
         metadata could not be stored: {error}\nOnce that is mended: DELETE \
         /rest/v2/caches/{cache}/rolling-upgrade/source-connection?force=true (godwit migrate cluster disconnect \
         --force -c {cache})."
    )]
    StaysConnected {
        /// The cache.
        cache: CacheName,
        /// Why it must not be connected.
        why: String,
        /// Why it could not be disconnected.
        error: cluster::LogError,
    },
    /// There is nothing to synchronize from.
    #[error(
        "ISPN010016: Could not migrate data for cache {0}, check remote store config in the target \
         cluster. Make sure only one remote store is present and is pointing to the source cluster"
    )]
    NothingToSynchronize(CacheName),
    /// What was asked for needs a source.
    #[error("cache {0} is not connected to a source: connect it first")]
    NotConnected(CacheName),
    /// The job that was to be joined is paused, and nobody knows for how long.
    #[error(
        "The {what} of cache {cache} is paused.\nTo go on: POST \
         /rest/v2/caches/{cache}/rolling-upgrade?action=resume (godwit migrate cluster resume -c {cache})."
    )]
    Paused {
        /// The cache.
        cache: CacheName,
        /// What kind of job it is.
        what: &'static str,
    },
    /// The job could not be begun.
    #[error("cache {cache} cannot be synchronized: {reason}")]
    NotBegun {
        /// The cache.
        cache: CacheName,
        /// Why.
        reason: String,
    },
    /// The job has failed, or was cancelled.
    #[error("the synchronization of cache {cache} has ended without everything: {reason}")]
    NotSynchronized {
        /// The cache.
        cache: CacheName,
        /// Why.
        reason: String,
    },
    /// Entries would be lost, or nobody knows whether they would.
    #[error("{}", would_lose(cache, blockers, doubts))]
    WouldLose {
        /// The cache.
        cache: CacheName,
        /// What would be lost.
        blockers: Vec<String>,
        /// What nobody knows, if that counts too.
        doubts: Vec<String>,
    },
    /// It is not the time for that.
    #[error("{0}")]
    NotNow(String),
    /// It could not be read back at a later start.
    #[error(transparent)]
    NotStorable(MetaError),
    /// It could not be recorded.
    #[error(transparent)]
    NotStored(#[from] cluster::LogError),
}

fn would_lose(cache: &CacheName, blockers: &[String], doubts: &[String]) -> String {
    let why = match blockers {
        [] => "disconnecting it now may lose entries",
        _ => "disconnecting it now would lose entries",
    };
    format!(
        "Cache {cache} stays connected to its source: {why}.\n{}{}To disconnect it anyway: ?force=true \
         (godwit migrate cluster disconnect --force).",
        listed(blockers),
        listed(doubts)
    )
}

fn texts(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.text.as_str()).collect::<Vec<_>>().join("\n")
}

impl From<ProposeError> for MigrationError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotStored(error) => Self::NotStored(error),
            ProposeError::Refused(MetaError::Connected(cache)) => Self::AlreadyConnected(cache),
            ProposeError::Refused(MetaError::NotConnected(cache) | MetaError::Outdated(cache)) => {
                Self::NotConnected(cache)
            }
            ProposeError::Refused(
                MetaError::NoSuchCache(cache)
                | MetaError::CacheExists(cache)
                | MetaError::Reconfigured(cache),
            ) => Self::NoSuchCache(cache.to_string()),
            ProposeError::Refused(error @ MetaError::NotStorable { .. }) => {
                Self::NotStorable(error)
            }
            // No command of a migration names anything else.
            ProposeError::Refused(MetaError::Name(error)) => Self::NoSuchCache(error.to_string()),
        }
    }
}
