//! Tests the load generator against fake servers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod compare;
mod fake;
mod faults;
mod load;
