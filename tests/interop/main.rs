//! Real servers and clients.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong fails the test"
)]

use godwit_tests as harness;

mod administration;
mod cli;
mod clients;
mod clocks;
mod faults;
mod formats;
mod logins;
mod refusals;
mod rounds;
mod slow;
mod sources;
mod verdicts;
