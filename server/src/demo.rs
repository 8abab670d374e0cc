//! An account of every key: what a cache is filled with, what clients do to it while it migrates, and
//! whether all of it is as it must be in the end.
//!
//! The demo shows it to people; the tests run it against real servers.

mod account;
mod compare;
mod data;
mod life;
mod tally;
mod work;

pub use self::{
    account::Account,
    tally::{Difference, Tally},
    work::{Worked, Workers},
};
