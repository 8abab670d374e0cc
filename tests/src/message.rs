//! Hot Rod requests for tests that write bytes to a socket themselves.

use hotrod::{
    Flags, Intelligence, MediaTypeRef, ProtocolVersion, RequestHeader, Writer,
    op::{Operation, Request},
};

/// Encodes a request to this cache, with message id 1.
#[must_use]
pub fn message<'a, R: Request<'a> + Operation>(cache: &'a str, request: &R) -> Vec<u8> {
    let header = RequestHeader {
        message_id: 1,
        version: ProtocolVersion::V4_1,
        opcode: R::REQUEST,
        cache_name: cache,
        flags: Flags(0),
        intelligence: Intelligence::Basic,
        topology_id: 0,
        key_type: MediaTypeRef::Unspecified,
        value_type: MediaTypeRef::Unspecified,
    };
    let mut writer = Writer::default();
    header.encode(&mut writer);
    request.encode(header.version, &mut writer);
    writer.into_bytes()
}
