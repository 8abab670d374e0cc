//! The process: sockets, tasks, signals; wires everything together.
//!
//! A driver: it owns connections and tasks and decides nothing. What a request means stands in `hotrod`
//! and `rest`, what comes of it in `store`, what must be waited for in `migrate`.
//!
//! Start reading at [`Server::start`], then `endpoint`, then `hotrod::connection`.

mod background;
mod budget;
mod cli;
pub mod demo;
mod descriptors;
mod endpoint;
mod error;
mod hotrod;
mod http;
mod linger;
mod memory;
mod metrics;
mod node;
mod start;

pub use self::{cli::main, error::StartError, start::Server};
