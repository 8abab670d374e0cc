//! The header `flags`.

use http::{HeaderMap, HeaderName};
use store::Source;

use crate::{problem::Problem, request::headers};

const FLAGS: HeaderName = HeaderName::from_static("flags");

/// Flags of a real server that change nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    "ZERO_LOCK_ACQUISITION_TIMEOUT",
    "CACHE_MODE_LOCAL",
    "SKIP_LOCKING",
    "FORCE_WRITE_LOCK",
    "FORCE_ASYNCHRONOUS",
    "FORCE_SYNCHRONOUS",
    "SKIP_CACHE_STORE",
    "FAIL_SILENTLY",
    "SKIP_REMOTE_LOOKUP",
    "SKIP_INDEXING",
    "PUT_FOR_EXTERNAL_READ",
    "PUT_FOR_STATE_TRANSFER",
    "PUT_FOR_X_SITE_STATE_TRANSFER",
    "SKIP_SHARED_CACHE_STORE",
    "SKIP_OWNERSHIP_CHECK",
    "IGNORE_RETURN_VALUES",
    "SKIP_XSITE_BACKUP",
    "SKIP_LISTENER_NOTIFICATION",
    "SKIP_STATISTICS",
    "SKIP_INDEX_CLEANUP",
    "COMMAND_RETRY",
    "ROLLING_UPGRADE",
    "REMOTE_ITERATION",
    "SKIP_SIZE_OPTIMIZATION",
    "IGNORE_TRANSACTION",
    "IRAC_UPDATE",
    "IRAC_STATE",
    "ALREADY_HAS_LOCK",
    "BACKUP_WRITE",
];

/// Flags of a request about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryFlags {
    skips_source: bool,
}

impl EntryFlags {
    /// Those of a request.
    ///
    /// # Errors
    ///
    /// If it has one that nobody knows.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut flags = Self::default();
        for flag in names(headers)? {
            match flag {
                "SKIP_CACHE_LOAD" => flags.skips_source = true,
                other if WITHOUT_EFFECT.contains(&other) => {}
                other => return Err(unknown("org.infinispan.context.Flag", other)),
            }
        }
        Ok(flags)
    }

    /// What a command without a condition is told of the source: nothing, or not to ask it.
    /// Conditional commands do not honour the flag, because their answer depends on the entry.
    pub(crate) fn source(self) -> Source<'static> {
        if self.skips_source { Source::Skip } else { Source::NotAsked }
    }
}

/// Flags of a request about a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AdminFlags {
    /// The cache goes with the process.
    pub(crate) volatile: bool,
    /// The cache may be there already.
    pub(crate) update: bool,
}

impl AdminFlags {
    /// Those of a request.
    ///
    /// # Errors
    ///
    /// If it has one that nobody knows.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut flags = Self::default();
        for flag in names(headers)? {
            match flag.to_ascii_uppercase().as_str() {
                "VOLATILE" => flags.volatile = true,
                // Without it nothing else is written either.
                "PERMANENT" => {}
                "UPDATE" => flags.update = true,
                _ => {
                    let class = "org.infinispan.commons.api.CacheContainerAdmin.AdminFlag";
                    return Err(unknown(class, flag));
                }
            }
        }
        Ok(flags)
    }
}

fn names(headers: &HeaderMap) -> Result<impl Iterator<Item = &str>, Problem> {
    let flags = headers::text(headers, FLAGS)?.unwrap_or_default();
    Ok(flags.split(',').map(str::trim).filter(|flag| !flag.is_empty()))
}

fn unknown(class: &str, flag: &str) -> Problem {
    Problem::bad_request(format!("No enum constant {class}.{flag}"))
}
