//! Operations that are known but not implemented. Their fields are decoded, so that the connection
//! stays usable after the error response.

use std::ops::ControlFlow;

use super::{DecodeError, Permission, Reader, RequestHeader};
use crate::{expiration::RequestExpiration, version::ProtocolVersion};

/// An operation that is not implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// Opcode of the request.
    pub opcode: u8,
    /// Name in the specification.
    pub name: &'static str,
    /// The permission that the operation needs.
    pub permission: Permission,
}

/// Type of a field of such an operation.
#[derive(Clone, Copy)]
enum Field {
    Array,
    Text,
    Byte,
    Int,
    Long,
    VInt,
    Expiration,
    /// A text; if it is not empty, a byte and then as many arrays as the byte says.
    Factory,
    /// A byte, from this protocol version on.
    ByteSince(ProtocolVersion),
    /// A number, from this protocol version on.
    VIntSince(ProtocolVersion),
    /// Arrays, up to and including an empty one.
    Chunks,
    /// Flags, the fields that the flags announce, and a long.
    CounterConfiguration,
    /// Format, global identifier and branch identifier.
    Xid,
    /// A count and that many changes of a transaction.
    Modifications,
}

/// Most changes that a transaction may have.
const MOST_MODIFICATIONS: u32 = 1 << 20;

use Field::{
    Array, Byte, ByteSince, Chunks, CounterConfiguration, Expiration, Factory, Int, Long,
    Modifications, Text, VInt, VIntSince, Xid,
};
use Permission::{Listen, Read, Write};

const V21: ProtocolVersion = ProtocolVersion::V2_1;
const V26: ProtocolVersion = ProtocolVersion::V2_6;
/// `supportsDuplicates` of a multimap.
const DUPLICATES: Field = ByteSince(ProtocolVersion::V4_0);

/// (opcode, name, permission, fields)
#[rustfmt::skip]
const LATER: &[(u8, &str, Permission, &[Field])] = &[
    (0x1F, "QUERY", Permission::BulkRead, &[Array]),
    (0x25, "ADD_CLIENT_LISTENER", Listen, &[Array, Byte, Factory, Factory, ByteSince(V21), VIntSince(V26)]),
    (0x27, "REMOVE_CLIENT_LISTENER", Listen, &[Array]),
    (0x37, "GET_STREAM", Read, &[Array, VInt]),
    (0x39, "PUT_STREAM", Write, &[Array, Expiration, Long, Chunks]),
    (0x3B, "PREPARE_TX", Write, &[Xid, Byte, Modifications]),
    (0x3D, "COMMIT_TX", Write, &[Xid]),
    (0x3F, "ROLLBACK_TX", Write, &[Xid]),
    (0x41, "ADD_BLOOM_NEAR_CACHE_LISTENER", Listen, &[Array, VInt]),
    (0x43, "UPDATE_BLOOM_FILTER", Listen, &[Array]),
    (0x4B, "COUNTER_CREATE", Write, &[Text, CounterConfiguration]),
    (0x4D, "COUNTER_GET_CONFIGURATION", Read, &[Text]),
    (0x4F, "COUNTER_IS_DEFINED", Read, &[Text]),
    (0x52, "COUNTER_ADD_AND_GET", Write, &[Text, Long]),
    (0x54, "COUNTER_RESET", Write, &[Text]),
    (0x56, "COUNTER_GET", Read, &[Text]),
    (0x58, "COUNTER_CAS", Write, &[Text, Long, Long]),
    (0x5A, "COUNTER_ADD_LISTENER", Listen, &[Text, Array]),
    (0x5C, "COUNTER_REMOVE_LISTENER", Listen, &[Text, Array]),
    (0x5E, "COUNTER_REMOVE", Write, &[Text]),
    (0x64, "COUNTER_GET_NAMES", Read, &[]),
    (0x67, "GET_MULTIMAP", Read, &[Array, DUPLICATES]),
    (0x69, "GET_MULTIMAP_WITH_METADATA", Read, &[Array, DUPLICATES]),
    (0x6B, "PUT_MULTIMAP", Write, &[Array, Expiration, Array, DUPLICATES]),
    (0x6D, "REMOVE_KEY_MULTIMAP", Write, &[Array, DUPLICATES]),
    (0x6F, "REMOVE_ENTRY_MULTIMAP", Write, &[Array, Expiration, Array, DUPLICATES]),
    (0x71, "SIZE_MULTIMAP", Permission::BulkRead, &[DUPLICATES]),
    (0x73, "CONTAINS_ENTRY_MULTIMAP", Read, &[Array, Expiration, Array, DUPLICATES]),
    (0x75, "CONTAINS_KEY_MULTIMAP", Read, &[Array, DUPLICATES]),
    (0x77, "CONTAINS_VALUE_MULTIMAP", Read, &[Expiration, Array, DUPLICATES]),
    (0x79, "FORGET_TX", Write, &[Xid]),
    (0x7B, "FETCH_TX_RECOVERY", Read, &[]),
    (0x7D, "PREPARE_TX_2", Write, &[Xid, Byte, Byte, Long, Modifications]),
    (0x7F, "COUNTER_GET_AND_SET", Write, &[Text, Long]),
    (0xE5, "END_GET_STREAM", Read, &[Int]),
    (0xE7, "NEXT_GET_STREAM", Read, &[Int]),
    (0xE9, "START_GET_STREAM", Read, &[Array, VInt]),
    (0xEB, "END_PUT_STREAM", Write, &[Int]),
    (0xED, "NEXT_PUT_STREAM", Write, &[Int, Byte, Array]),
    (0xEF, "START_PUT_STREAM", Write, &[Array, Expiration, Long]),
];

impl Later {
    pub(super) fn decode(
        opcode: u8,
        header: &RequestHeader<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let Some(&(_, name, permission, fields)) = LATER.iter().find(|row| row.0 == opcode) else {
            return Err(DecodeError::UnknownOperation { opcode });
        };
        fields.iter().try_for_each(|field| field.skip(header, reader))?;
        Ok(Self { opcode, name, permission })
    }
}

impl Field {
    fn skip(self, header: &RequestHeader<'_>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match self {
            Array => drop(reader.array("array")?),
            Text => drop(reader.text("text")?),
            Byte => drop(reader.byte()?),
            Int => drop(reader.int()?),
            Long => drop(reader.long()?),
            VInt => drop(reader.vint("number")?),
            Expiration => drop(RequestExpiration::decode(header, reader)?),
            Factory => {
                if !reader.text("factory")?.is_empty() {
                    let count = reader.byte()?;
                    for _ in 0..count {
                        reader.array("parameter of a factory")?;
                    }
                }
            }
            ByteSince(version) if header.version >= version => drop(reader.byte()?),
            VIntSince(version) if header.version >= version => drop(reader.vint("number")?),
            ByteSince(_) | VIntSince(_) => {}
            Chunks => {
                reader.elements(u64::MAX, |reader| match reader.array("chunk")?.is_empty() {
                    true => Ok(ControlFlow::Break(())),
                    false => Ok(ControlFlow::Continue(())),
                })?;
            }
            CounterConfiguration => skip_counter_configuration(reader)?,
            Xid => {
                reader.signed_vint("format of a transaction")?;
                reader.array("global identifier")?;
                reader.array("branch identifier")?;
            }
            Modifications => skip_modifications(header, reader)?,
        }
        Ok(())
    }
}

fn skip_counter_configuration(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    const WEAK: u8 = 0x01;
    const BOUNDED: u8 = 0x02;
    let flags = reader.byte()?;
    if flags & WEAK != 0 {
        reader.vint("concurrency level")?;
    }
    if flags & BOUNDED != 0 {
        reader.long()?;
        reader.long()?;
    }
    reader.long().map(drop)
}

fn skip_modifications(
    header: &RequestHeader<'_>,
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    const FIELD: &str = "number of modifications";
    const NOT_READ: u8 = 0x01;
    const NON_EXISTING: u8 = 0x02;
    const REMOVE: u8 = 0x04;
    let count = reader.vint(FIELD)?;
    if count > MOST_MODIFICATIONS {
        return Err(DecodeError::Illegal { field: FIELD, value: count.into() });
    }
    reader.elements(count.into(), |reader| {
        reader.key()?;
        let control = reader.byte()?;
        if control & (NOT_READ | NON_EXISTING) == 0 {
            reader.long()?;
        }
        if control & REMOVE == 0 {
            RequestExpiration::decode(header, reader)?;
            reader.array("value")?;
        }
        Ok(ControlFlow::Continue(()))
    })
}
