//! Real servers and clients.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong fails the test"
)]

use godwit_tests as harness;

mod clients;
mod faults;
mod sources;
