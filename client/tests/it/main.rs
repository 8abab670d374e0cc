//! Tests the client against fake servers: correct, old, slow and faulty ones.

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
