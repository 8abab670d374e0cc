//! The Hot Rod endpoint: bytes of a connection to commands, and outcomes back.
//!
//! What can be done at once is done in the read loop, request by request, and its answers leave in
//! one write. What has to wait takes its request along and waits beside the loop. Later requests about
//! the same keys wait behind it: see [`order`].
//!
//! Start reading at [`connection::serve`], then [`session::Session::take`].

mod admin;
mod bulk;
mod codec;
mod connection;
mod errors;
mod iteration;
mod logins;
mod order;
mod refusal;
#[cfg(test)]
mod samples;
mod scope;
mod session;
mod slow;
mod statistics;
mod topology;
mod waiting;

pub(crate) use self::{
    connection::serve, iteration::Iterations, logins::Logins, refusal::refuse,
    topology::TopologyIds,
};
