//! Jobs that somebody has asked for, and may wait for.

use config::CacheName;

use super::MigrationError;
use crate::{
    job::JobHandle,
    sync::Ending,
    verify::{VerifyHandle, VerifyReport},
};

/// A synchronization that was asked for.
pub struct Synchronizing(pub(super) Asked);

pub(super) enum Asked {
    /// A job, which may still run.
    Job(CacheName, JobHandle),
    /// There is no source any more; its finished jobs have written so many entries.
    Finished(u64),
}

impl Synchronizing {
    /// Name of the job, if there is one.
    #[must_use]
    pub fn job(&self) -> Option<String> {
        match &self.0 {
            Asked::Job(_, job) => Some(job.status().id),
            Asked::Finished(_) => None,
        }
    }

    /// Waits until it is over. The number of entries that it wrote.
    ///
    /// # Errors
    ///
    /// If not everything is here, or it is paused: then nobody knows how long it takes.
    pub async fn written(self) -> Result<u64, MigrationError> {
        let (cache, job) = match self.0 {
            Asked::Finished(written) => return Ok(written),
            Asked::Job(cache, job) => (cache, job),
        };
        let Some(status) = job.ended_unless_paused().await else {
            return Err(MigrationError::Paused { cache, what: "synchronization" });
        };
        let reason = match (&status.ending, status.failure()) {
            (Some(Ending::Finished), _) => return Ok(status.counts.written),
            (Some(_), Some(failure)) => failure,
            (Some(_), None) => "it was cancelled".into(),
            (None, _) => "the cache was disconnected from its source".into(),
        };
        Err(MigrationError::NotSynchronized { cache, reason })
    }
}

/// A verification that was asked for.
pub struct Verifying {
    pub(super) cache: CacheName,
    pub(super) verification: VerifyHandle,
}

impl Verifying {
    /// Waits until it is over.
    ///
    /// # Errors
    ///
    /// If it is paused: then nobody knows how long it takes.
    pub async fn report(self) -> Result<VerifyReport, MigrationError> {
        let Self { cache, verification } = self;
        let report = verification.ended_unless_paused().await;
        report.ok_or(MigrationError::Paused { cache, what: "verification" })
    }
}
