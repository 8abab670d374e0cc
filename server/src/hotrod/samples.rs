//! A member with one cache, and requests to it, for tests.

use std::sync::Arc;

use cluster::MetaCommand;
use config::{CacheConfig, CacheMode, ServerFile};
use hotrod::{
    Flags, Intelligence, MediaTypeRef, ProtocolVersion, RequestHeader, Writer,
    op::{Operation, Request},
};
use store::Cache;

use crate::node::Node;

/// A member with the distributed cache `c`.
pub(crate) async fn with_cache() -> (Arc<Node>, Arc<Cache>) {
    let config = ServerFile::default().resolve(None).unwrap();
    let node = Node::start(config, 1 << 30, Vec::new()).await.unwrap();
    let config = CacheConfig::new(CacheMode::Distributed).into();
    let create = MetaCommand::CreateCache { cache: "c".parse().unwrap(), config, volatile: true };
    node.caches.agreement().propose(create).await.unwrap();
    let cache = node.cache("c").unwrap();
    (node, cache)
}

/// The bytes of a request to the cache `c`.
pub(crate) fn message<'a, R: Request<'a> + Operation>(request: &R) -> Vec<u8> {
    let header = RequestHeader {
        message_id: 1,
        version: ProtocolVersion::V4_1,
        opcode: R::REQUEST,
        cache_name: "c",
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
