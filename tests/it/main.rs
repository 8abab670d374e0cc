//! Godwit from the outside: bytes, requests, processes, faults.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong fails the test"
)]

use godwit_tests as harness;

mod architecture;
mod budget;
mod cli;
mod configuration;
mod connection;
mod hostile;
mod leaving;
mod metadata;
mod migration;
mod order;
mod replay;
mod room;
mod sources;
mod tidy;
mod walks;
mod web;
