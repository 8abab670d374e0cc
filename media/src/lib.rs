//! Formats of keys and values: media types, conversions between them, and the placement hash.
//!
//! Nothing here waits, opens a socket, reads a clock or knows a protocol: Hot Rod and REST convert
//! at their edge, before a key is hashed.
//!
//! Start reading at [`Conversion`], then [`MediaType`]; [`negotiate`] and [`KeyForm`] are for REST.
//! Error messages are those of Infinispan's server.

mod accept;
mod convert;
mod encoding;
mod error;
mod fuzz;
pub mod hash;
mod java;
mod json;
mod key_form;
mod media_type;
mod text;
mod wrapped;

pub use self::{
    accept::{NotAcceptable, negotiate},
    convert::Conversion,
    encoding::Encoding,
    error::{ConversionError, MessageType, NoConversion},
    fuzz::fuzz,
    key_form::{KeyForm, KeyFormError},
    media_type::{MediaType, NotAMediaType},
    text::Charset,
};
