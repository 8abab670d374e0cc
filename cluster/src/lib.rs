//! What members agree on: caches, their configuration, source connections, and checkpoints. The clock is here too, and
//! [`Sparingly`], which limits how often a log line is written, because all drivers use them.
//!
//! [`Metadata`] is a decider: commands in, state. [`Agreement`] brings commands to it, through the
//! file of one member for now. Entries never go this way.
//!
//! Start reading at [`Metadata::apply`], then [`Agreement::propose`].

mod agreement;
mod caches;
mod clock;
mod continuity;
mod follow;
pub mod fuzz;
mod log;
mod metadata;
#[cfg(test)]
mod samples;
mod source;
mod sparingly;
mod wire;

pub use self::{
    agreement::{Agreement, ProposeError},
    caches::{AdminError, Caches, RemoveRule, Tolerance, log_ignored},
    clock::{Clock, MAX_SLEW_PER_TICK, TICK},
    continuity::{Attempt, Gap, Start},
    follow::follow,
    log::{Finding, LogError, Survey, inspect, salvage},
    metadata::{
        CacheMetadata, Connection, MetaCommand, MetaError, Metadata, NameError, SourceCount,
        TemplateMetadata,
    },
    source::{
        COUNTERS, Change, Copied, Counters, Gone, LostServer, LostServers, RollCall, SinceBoot,
        SourceIdentity, SourceProcess, SourceServers, StartInterval, StartedBy, ToldTopology,
        UnheardServer,
    },
    sparingly::Sparingly,
    wire::WireError,
};
