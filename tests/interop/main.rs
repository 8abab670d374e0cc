//! Real servers and clients.

use godwit_tests as harness;

mod clients;
mod refusals;
