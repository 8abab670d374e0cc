//! Real servers and clients.

use godwit_tests as harness;

mod cli;
mod clients;
mod refusals;
