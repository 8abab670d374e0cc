//! The operations: one file each, in both directions, and one table of all.
//!
//! A file holds the request and its response, each decoded and encoded, so server and client share
//! it. Behind the feature `serve` it also says what the operation asks of the store.

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

/// What is asked: the fields after the header of a request.
pub trait Request<'a>: Sized {
    /// What is answered.
    type Response<'b>: Response<'b>;

    /// Reads the fields, in the order of the wire.
    ///
    /// # Errors
    ///
    /// If the bytes run out, or are no such request.
    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Writes the fields, in the order of the wire.
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer);
}

/// What is answered: the fields after the header of a response.
pub trait Response<'b>: Sized {
    /// How the operation ended.
    fn status(&self) -> Status;

    /// Reads the fields, in the order of the wire.
    ///
    /// # Errors
    ///
    /// If the bytes run out, or are no such response.
    fn decode(
        status: Status,
        version: ProtocolVersion,
        reader: &mut Reader<'b>,
    ) -> Result<Self, DecodeError>;

    /// Writes the fields, in the order of the wire.
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer);
}

/// Nothing but the status.
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

/// Opcodes and name of a request.
pub trait Operation {
    /// Opcode of the request.
    const REQUEST: u8;
    /// Opcode of the response.
    const RESPONSE: u8;
    /// Name, as the specification writes it.
    const NAME: &'static str;
}

/// What a user must be allowed to do, by Infinispan's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: it goes before a login.
    Nothing,
    /// To read one entry.
    Read,
    /// To write entries that one names.
    Write,
    /// To read many entries.
    BulkRead,
    /// To change all entries.
    BulkWrite,
    /// To run a task; administration asks for more by itself.
    Exec,
    /// To listen to changes.
    Listen,
    /// To see statistics.
    Monitor,
}

macro_rules! operations {
    ($a:lifetime; $($request:literal => $response:literal, $name:ident $(<$life:lifetime>)?, $spec:literal, $permission:ident;)*) => {
        /// A request of any kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AnyRequest<$a> {
            $(
                #[doc = $spec]
                $name($name $(<$life>)?),
            )*
            /// An operation that is known and not done yet: its fields have been read.
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
            /// Reads the fields after a header.
            ///
            /// # Errors
            ///
            /// If the bytes run out, or are no request that is known.
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

            /// Opcode of its response.
            #[must_use]
            pub fn response_opcode(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $response,)*
                    Self::Later(later) => later.opcode,
                    Self::_Borrows(never, _) => match *never {},
                }
            }

            /// Its name, as the specification writes it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $spec,)*
                    Self::Later(later) => later.name,
                    Self::_Borrows(never, _) => match *never {},
                }
            }

            /// What a user must be allowed to do.
            #[must_use]
            pub fn permission(&self) -> Permission {
                match self {
                    $(Self::$name(_) => Permission::$permission,)*
                    Self::Later(later) => later.permission,
                    Self::_Borrows(never, _) => match *never {},
                }
            }
        }

        /// Opcodes of the requests that are done here, as PING lists them.
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
