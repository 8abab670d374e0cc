//! Shared by the integration tests: servers in this process and in others, and clients for them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failure in the harness fails the test that uses it"
)]

mod fake_clock;
mod faulty;
mod half;
pub mod infinispan;
mod message;
mod note;
mod process;
mod rest;
mod server;
mod wait;

pub use self::{
    fake_clock::FakeClock,
    faulty::Faulty,
    half::Half,
    message::message,
    note::note,
    process::{ServerProcess, binary},
    rest::{Answer, Rest},
    server::{OCTETS, TestServer, source_document, synchronized},
    wait::eventually,
};
