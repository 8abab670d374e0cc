//! A load generator that shows cache servers the same load, over Hot Rod or memcached.
//!
//! A driver of its own and no client: it writes requests through the codec and measures what comes
//! back. Both protocols get the same keys, values and random sequence, and the same window of requests
//! in flight, so their figures can be compared. The loop is closed: a connection asks again only when it
//! was answered. Latencies are therefore those at the rate that the server reached, not at one that
//! users would bring along.
//!
//! Start reading at [`Load`], then [`measure`], then `conversation` and `phase`.

mod args;
mod compare;
mod conversation;
mod data;
mod error;
mod iterate;
mod load;
mod phase;
mod plan;
mod probe;
mod process;
mod record;
mod report;
mod show;
mod target;
mod wire;

pub use self::{
    args::{BenchArgs, CompareArgs, IterateArgs, compare, run},
    compare::{
        Cell, Compared, Comparison, Filled, FilledTarget, Matrix, Measured, Pace, compare_targets,
    },
    error::{BenchError, LoadError, WrongAnswer},
    load::{Amount, Load, Mix, Protocol, ValueSizes, Work},
    phase::measure,
    plan::Kind,
    report::{Figures, Latency, Report, ServerUsage},
    target::Target,
};
