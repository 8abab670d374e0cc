//! An asynchronous Hot Rod client: the protocol of Infinispan and Data Grid, versions 2.5 to 4.1.
//!
//! A [`Client`] keeps one connection to each server and sends many operations over it at a time. It
//! asks the owner of a key if it can, and another server if that one fails: reads are repeated,
//! changes only if they were certainly not made. Keys and values are bytes; nothing is marshalled.
//! TLS, client listeners, counters and queries are not supported. It runs on Tokio, with I/O and
//! time enabled.
//!
//! ```no_run
//! use client::{Client, Iterate, Item, RequestExpiration};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("hotrod://app:secret@one.example,two.example".parse()?).await?;
//! let orders = client.cache("orders").await?;
//!
//! let changed = orders.returning_previous().put(b"1", b"apples", RequestExpiration::NEVER).await?;
//! println!("{changed:?}");
//!
//! let mut entries = orders.iterate(Iterate::default()).await?;
//! while let Some(item) = entries.next().await? {
//!     if let Item::Entry { key, value, .. } = item {
//!         println!("{key:?} is {value:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Start reading at [`Client`], then [`RemoteCache`]. Internally, an operation goes through `call`,
//! which chooses a server (`cluster`, `server`) and hands a message to its `connection`; `inbox`,
//! `walk`, `probe` and `sasl` interpret bytes and know no socket.

mod cache;
mod call;
mod client;
mod cluster;
mod common;
mod config;
mod connection;
mod credentials;
mod deadline;
mod entry;
mod error;
mod expiration;
mod handshake;
mod identity;
mod idle;
mod inbox;
mod iterate;
mod line;
mod notice;
mod probe;
mod sasl;
mod server;
mod table;
mod walk;

pub use bytes::Bytes;
pub use hotrod::{
    DecodeError, Duration, Intelligence, Lifetime, Metadata, ProtocolVersion, RequestExpiration,
    SegmentSet, ServerAddress, Status, Topology, op::Statistics,
};
pub use media::MediaType;

pub use self::{
    cache::{MediaTypes, RemoteCache},
    client::Client,
    config::{ClientConfig, ConfigError, DEFAULT_PORT, Protocol},
    credentials::Credentials,
    entry::{Changed, Entry, Previous, Versioned},
    error::{AnswerError, ClientError, ConnectionError},
    identity::{Identity, ToldTopology},
    iterate::{Iterate, Iteration},
    notice::Notice,
    sasl::{Family, Mechanism, SaslError, UnknownMechanism},
    walk::Item,
};
