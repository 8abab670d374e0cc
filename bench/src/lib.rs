//! A load generator that puts the same load on different cache servers, over Hot Rod or memcached.
//!
//! It does not use the client crate: it encodes requests with the codec and measures the answers.
//! Both protocols get the same keys, values and random sequence, and the same window of requests in
//! flight, so their figures are comparable. The loop is closed: a connection sends its next request
//! only when one is answered. Latencies are therefore those at the rate that the server reached,
//! not at a rate that independent users would cause.
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
