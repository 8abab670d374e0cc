//! The operations: one file for each, and one table of them all.
//!
//! A file holds an operation's request and response, each with `decode` and `encode`, shared by
//! server and client. With the feature `serve` it also maps the request to a store command and the
//! outcome to the response.

mod auth;
mod auth_mech_list;
mod bulk_get;
mod bulk_get_keys;
mod clear;
mod contains_key;
mod exec;
mod get;
mod get_all;
mod get_with_metadata;
mod get_with_version;
mod iteration_end;
mod iteration_next;
mod iteration_start;
mod later;
mod new_entry;
mod ping;
mod put;
mod put_all;
mod put_if_absent;
mod remove;
mod remove_if_unmodified;
mod replace;
mod replace_if_unmodified;
mod size;
mod stats;

pub use self::{
    auth::{Auth, Challenge},
    auth_mech_list::{AuthMechList, Mechanisms},
    bulk_get::{BulkGet, BulkGot},
    bulk_get_keys::{BulkGetKeys, BulkGotKeys},
    clear::Clear,
    contains_key::{Contains, ContainsKey},
    exec::{Exec, Executed, Parameter},
    get::{Get, Got},
    get_all::{GetAll, GotAll},
    get_with_metadata::{GetWithMetadata, GotWithMetadata},
    get_with_version::{GetWithVersion, GotWithVersion},
    iteration_end::{IterationEnd, IterationEnded},
    iteration_next::{Batch, BatchEntry, BatchHead, IterationNext},
    iteration_start::{IterationStart, IterationStarted, KEYS_ONLY},
    later::Later,
    new_entry::NewEntry,
    ping::{Ping, Pong},
    put::Put,
    put_all::PutAll,
    put_if_absent::PutIfAbsent,
    remove::Remove,
    remove_if_unmodified::RemoveIfUnmodified,
    replace::Replace,
    replace_if_unmodified::ReplaceIfUnmodified,
    size::{Count, Size},
    stats::{Statistics, Stats},
};
use crate::{
    error::DecodeError, header::RequestHeader, reader::Reader, status::Status,
    version::ProtocolVersion, writer::Writer,
};

/// The fields after the header of a request.
pub trait Request<'a>: Sized {
    /// The response to this request.
    type Response<'b>: Response<'b>;

    /// Decodes the fields in wire order.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not such a request.
    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Encodes the fields in wire order.
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer);
}

/// The fields after the header of a response.
pub trait Response<'b>: Sized {
    /// Returns the status of the response.
    fn status(&self) -> Status;

    /// Decodes the fields in wire order.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not such a response.
    fn decode(
        status: Status,
        version: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError>;

    /// Encodes the fields in wire order.
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer);
}

/// A response that consists of its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty(pub Status);

impl Response<'_> for Empty {
    fn status(&self) -> Status {
        self.0
    }
    fn decode(status: Status, _: ProtocolVersion, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(status))
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

/// Opcodes and name of an operation.
pub trait Operation {
    /// Opcode of the request.
    const REQUEST: u8;
    /// Opcode of the response.
    const RESPONSE: u8;
    /// Name in the specification.
    const NAME: &'static str;
}

/// Permission that an operation needs, by Infinispan's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// None: the operation is part of logging in.
    Nothing,
    /// Read one entry.
    Read,
    /// Write named entries.
    Write,
    /// Read many entries.
    BulkRead,
    /// Change all entries.
    BulkWrite,
    /// Run a task. Administrative tasks check further permissions.
    Exec,
    /// Listen to changes.
    Listen,
    /// Read statistics.
    Monitor,
}

macro_rules! operations {
    ($a:lifetime; $($request:literal => $response:literal, $name:ident $(<$life:lifetime>)?, $spec:literal, $permission:ident;)*) => {
        /// A request of any operation.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AnyRequest<$a> {
            $(
                #[doc = $spec]
                $name($name $(<$life>)?),
            )*
            /// A known operation that is not implemented. Its fields have been read.
            Later(Later),
            #[doc(hidden)]
            _Borrows(std::convert::Infallible, std::marker::PhantomData<&$a ()>),
        }

        $(
            impl $(<$life>)? Operation for $name $(<$life>)? {
                const REQUEST: u8 = $request;
                const RESPONSE: u8 = $response;
                const NAME: &'static str = $spec;
            }
        )*

        impl<$a> AnyRequest<$a> {
            /// Decodes the fields after a header.
            ///
            /// # Errors
            ///
            /// If the bytes run out or are not a known request.
            #[inline]
            pub fn decode(
                header: &RequestHeader<$a>,
                reader: &mut Reader<$a>,
            ) -> Result<Self, DecodeError> {
                match header.opcode {
                    $($request => $name::decode(header, reader).map(Self::$name),)*
                    opcode => Later::decode(opcode, header, reader).map(Self::Later),
                }
            }

            /// Returns the opcode of the response.
            #[must_use]
            pub fn response_opcode(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $response,)*
                    Self::Later(later) => later.opcode,
                    Self::_Borrows(never, _) => match *never {},
                }
            }

            /// Returns the name in the specification.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $spec,)*
                    Self::Later(later) => later.name,
                    Self::_Borrows(never, _) => match *never {},
                }
            }

            /// Returns the permission that the request needs.
            #[must_use]
            pub fn permission(&self) -> Permission {
                match self {
                    $(Self::$name(_) => Permission::$permission,)*
                    Self::Later(later) => later.permission,
                    Self::_Borrows(never, _) => match *never {},
                }
            }
        }

        /// Opcodes of the implemented requests, as PING lists them.
        pub const OPERATIONS: &[u8] = &[$($request),*];
    };
}

// The operation table: request and response opcode, file, name, permission. One row per file.
operations! { 'a;
    0x01 => 0x02, Put<'a>, "PUT", Write;
    0x03 => 0x04, Get<'a>, "GET", Read;
    0x05 => 0x06, PutIfAbsent<'a>, "PUT_IF_ABSENT", Write;
    0x07 => 0x08, Replace<'a>, "REPLACE", Write;
    0x09 => 0x0A, ReplaceIfUnmodified<'a>, "REPLACE_IF_UNMODIFIED", Write;
    0x0B => 0x0C, Remove<'a>, "REMOVE", Write;
    0x0D => 0x0E, RemoveIfUnmodified<'a>, "REMOVE_IF_UNMODIFIED", Write;
    0x0F => 0x10, ContainsKey<'a>, "CONTAINS_KEY", Read;
    0x11 => 0x12, GetWithVersion<'a>, "GET_WITH_VERSION", Read;
    0x13 => 0x14, Clear, "CLEAR", BulkWrite;
    0x15 => 0x16, Stats, "STATS", Monitor;
    0x17 => 0x18, Ping, "PING", Nothing;
    0x19 => 0x1A, BulkGet, "BULK_GET", BulkRead;
    0x1B => 0x1C, GetWithMetadata<'a>, "GET_WITH_METADATA", Read;
    0x1D => 0x1E, BulkGetKeys, "BULK_GET_KEYS", BulkRead;
    0x21 => 0x22, AuthMechList, "AUTH_MECH_LIST", Nothing;
    0x23 => 0x24, Auth<'a>, "AUTH", Nothing;
    0x29 => 0x2A, Size, "SIZE", BulkRead;
    0x2B => 0x2C, Exec<'a>, "EXEC", Exec;
    0x2D => 0x2E, PutAll<'a>, "PUT_ALL", Write;
    0x2F => 0x30, GetAll<'a>, "GET_ALL", BulkRead;
    0x31 => 0x32, IterationStart<'a>, "ITERATION_START", BulkRead;
    0x33 => 0x34, IterationNext<'a>, "ITERATION_NEXT", BulkRead;
    0x35 => 0x36, IterationEnd<'a>, "ITERATION_END", BulkRead;
}

#[cfg(test)]
mod tests;
