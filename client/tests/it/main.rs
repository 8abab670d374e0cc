//! The client against servers that are played: honest ones, old ones, slow ones and liars.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod fake;
mod iteration;
mod lies;
mod login;
mod negotiation;
mod pipelining;
mod recorded;
mod replay;
mod silence;
mod topology;
