//! Brings entries over from the source: read-through, copy, proof, and letting go.
//!
//! Two deciders say what happens: the store's segment decides for each entry whether it is taken in,
//! and [`sync::SyncJob`] decides what is read next and when a source segment is complete. The rest
//! drives them: it owns the connection to the source, reads the time and waits.
//!
//! Start reading at [`Migrations`], then [`Driver::drive`], then [`sync::SyncJob::on`].

mod census;
mod clearing;
mod clocks;
mod copy;
mod counts;
mod drive;
mod entry;
mod http_date;
mod identity;
mod job;
mod ledger;
mod loader;
mod loss;
mod migration;
mod migrations;
mod opening;
#[cfg(test)]
mod oracle;
mod overdue;
mod overlap;
mod preflight;
mod read;
mod relief;
mod remote;
#[cfg(test)]
mod samples;
mod settings;
mod silences;
mod source;
mod source_clock;
mod sources;
mod status;
mod steering;
mod stored_key;
pub mod sync;
mod tally;
mod throttle;
mod tombstones;
mod verify;
mod waits;

pub use self::{
    clocks::ClockStatus,
    copy::SyncRequest,
    counts::Counts,
    drive::{Driver, Size},
    job::FailedEntry,
    ledger::Here,
    loss::DisconnectRule,
    migrations::{
        ConnectOptions, Disconnected, MigrationError, Migrations, Synchronizing, Verifying,
    },
    preflight::{Problem, ProblemCode},
    settings::{ByteBudget, OnSourceError, PROCESS, Settings},
    silences::{Silences, Turn},
    sources::Sources,
    status::{Departure, JobStatus, ReadThrough, Segments, SourceStatus, Stage, Status},
    throttle::Rates,
    verify::{Finding, Listed, VerifyReport, VerifyRequest},
};
