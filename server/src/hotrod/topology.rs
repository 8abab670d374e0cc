//! The topology that clients are told of.

use std::net::SocketAddr;

use config::CacheConfig;
use hotrod::{Intelligence, RequestHeader, ServerAddress, Topology};

use crate::node::Node;

/// The topology of one cache as its blocks go on the wire.
pub(crate) struct TopologyBlocks {
    id: u32,
    servers: Vec<u8>,
    owners: Vec<u8>,
}

impl TopologyBlocks {
    /// The topology of a cache that this server alone holds. `None` for one that is not clustered.
    pub(crate) fn new(id: u32, config: &CacheConfig, server: ServerAddress) -> Option<Self> {
        if !config.mode.is_clustered() {
            return None;
        }
        let owners = vec![vec![0]; config.segments as usize];
        let topology = Topology { id, servers: vec![server], owners };
        Some(Self {
            id,
            servers: topology.block(Intelligence::TopologyAware),
            owners: topology.block(Intelligence::HashAware),
        })
    }

    /// The block that a request's client has to learn, if any.
    #[inline]
    pub(crate) fn news_for(&self, header: &RequestHeader<'_>) -> Option<&[u8]> {
        if header.topology_id == self.id {
            return None;
        }
        match header.intelligence {
            Intelligence::Basic => None,
            Intelligence::TopologyAware => Some(&self.servers),
            Intelligence::HashAware => Some(&self.owners),
        }
    }
}

/// The address under which a connection's client reaches this server.
pub(crate) fn address(node: &Node, local: SocketAddr) -> ServerAddress {
    node.advertised.clone().unwrap_or_else(|| ServerAddress {
        host: local.ip().to_canonical().to_string(),
        port: node.advertised_port.unwrap_or_else(|| local.port()),
    })
}
