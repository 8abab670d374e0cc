//! Jobs that somebody has asked for, and may wait for.

use config::CacheName;

use super::MigrationError;
use crate::{
    job::JobHandle,
    sync::Ending,
    verify::{VerifyHandle, VerifyReport},
};

/// A synchronization that was asked for.
pub struct Synchronizing {
    pub(super) asked: Asked,
    /// What of the request has no effect, because it holds from the beginning of a job and this one ran already.
    pub notice: Option<String>,
}

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
        match &self.asked {
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
        let (cache, job) = match self.asked {
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
    /// What of the request has no effect, because it holds from the beginning and this one ran already.
    pub notice: Option<String>,
}

impl Verifying {
    /// Waits until it is over.
    ///
    /// # Errors
    ///
    /// If it is paused: then nobody knows how long it takes.
    pub async fn report(self) -> Result<VerifyReport, MigrationError> {
        let Self { cache, verification, .. } = self;
        let report = verification.ended_unless_paused().await;
        report.ok_or(MigrationError::Paused { cache, what: "verification" })
    }
}

/// Says which numbers of a request are not those that the job which it joins was begun with: they have no effect.
/// `numbers` are their names, with what is asked for and what the job was begun with.
pub(super) fn not_followed(
    what: &str,
    cache: &CacheName,
    numbers: &[(&str, Option<u32>, Option<u32>)],
) -> Option<String> {
    let differs = |(name, wanted, begun): &(&str, Option<u32>, Option<u32>)| {
        wanted.filter(|_| wanted != begun).map(|wanted| format!("{name} {wanted}"))
    };
    let differing: Vec<String> = numbers.iter().filter_map(differs).collect();
    (!differing.is_empty()).then(|| {
        format!(
            "the {what} of cache {cache} was running already and goes on as it was begun, without {}: cancel it to \
             begin anew",
            differing.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    //! What is said of a request that joins a job.

    use super::*;

    #[test]
    fn only_what_differs_from_the_running_job_has_no_effect() {
        let cache = "c".parse().unwrap();
        let said = |threads, read_batch| {
            let numbers = [("threads", threads, Some(4)), ("read-batch", read_batch, None)];
            not_followed("synchronization", &cache, &numbers)
        };
        assert_eq!(said(None, None), None, "nothing is asked for");
        assert_eq!(said(Some(4), None), None, "as it was begun");
        let text = said(Some(3), Some(100)).unwrap();
        assert!(
            text.contains("goes on as it was begun, without threads 3 and read-batch 100:"),
            "{text}"
        );
        assert!(said(Some(4), Some(100)).unwrap().contains("without read-batch 100:"));
    }
}
