//! The Hot Rod protocol, 2.0 to 4.1: bytes to messages and back.
//!
//! Nothing here waits, opens a socket or reads a clock. A server pushes bytes into a [`Decoder`] and
//! takes requests out; with the feature `serve`, a request says what it asks of the store. A client
//! encodes a [`Request`](op::Request) behind a [`RequestHeader`] and decodes its
//! [`Response`](op::Response) behind a [`ResponseHeader`]. The layout is Infinispan's `hotrod.gr`.
//!
//! Start reading at [`RequestHeader`], then the table in [`op`].

mod decoder;
mod error;
mod expiration;
pub mod fuzz;
mod header;
mod media_type;
mod metadata;
pub mod op;
mod previous;
mod reader;
#[cfg(test)]
mod recorded;
mod segments;
#[cfg(feature = "serve")]
pub mod serve;
mod status;
mod topology;
mod version;
mod writer;

pub use self::{
    decoder::{Decoded, Decoder, Refused},
    error::DecodeError,
    expiration::{Duration, RequestExpiration},
    header::{
        ERROR_RESPONSE, Flags, NO_TOPOLOGY, REQUEST_MAGIC, RESPONSE_MAGIC, RequestHeader,
        ResponseHeader, encode_error, encode_response_header,
    },
    media_type::{Essence, MediaTypeRef, Parameters},
    metadata::{Lifetime, Metadata},
    previous::{Bytes, Changed, Previous},
    reader::{Arrays, Limits, Reader, Resume},
    segments::SegmentSet,
    status::Status,
    topology::{Intelligence, ServerAddress, Topology},
    version::{ProtocolVersion, UnknownVersionName},
    writer::Writer,
};
