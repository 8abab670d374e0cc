//! The load generator against servers that are played.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod compare;
mod fake;
mod faults;
mod load;
