//! The topology that clients are told of.

use std::net::SocketAddr;

use config::CacheConfig;
use hotrod::{Intelligence, ProtocolVersion, RequestHeader, ServerAddress, Topology};
use store::Timestamp;

use crate::node::Node;

/// Seconds since the Unix epoch from which topologies are numbered: positive for decades, and growing
/// from one start to the next, as old clients need it.
const TOPOLOGY_EPOCH: u64 = 1_700_000_000;

/// The numbers by which this process tells its topologies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopologyIds {
    /// Grows from one start to the next: clients up to Infinispan 13 take only a greater one.
    growing: u32,
    /// Belongs to this process alone, even if another one was started in the same second. Who copies entries from
    /// here knows the process by it.
    own: u32,
}

impl TopologyIds {
    /// Those of a process that is started now.
    pub(crate) fn new(now: Timestamp) -> Self {
        const MOST: u32 = u32::MAX >> 1;
        let seconds = (now.millis() / 1_000).saturating_sub(TOPOLOGY_EPOCH);
        let growing = u32::try_from(seconds).unwrap_or(1).max(1) & MOST;
        Self { growing, own: rand::random_range(1..=MOST) }
    }
}

/// The topology of one cache as its blocks go on the wire.
pub(crate) struct TopologyBlocks {
    growing: Blocks,
    own: Blocks,
}

/// The blocks of a topology with one number.
struct Blocks {
    id: u32,
    servers: Vec<u8>,
    owners: Vec<u8>,
}

impl TopologyBlocks {
    /// The topology of a cache that this server alone holds. `None` for one that is not clustered.
    pub(crate) fn new(
        ids: TopologyIds,
        config: &CacheConfig,
        server: ServerAddress,
    ) -> Option<Self> {
        if !config.mode.is_clustered() {
            return None;
        }
        let owners = vec![vec![0]; config.segments as usize];
        let mut topology = Topology { id: ids.growing, servers: vec![server], owners };
        let growing = Blocks::of(&topology);
        topology.id = ids.own;
        Some(Self { growing, own: Blocks::of(&topology) })
    }

    /// The block that a request's client has to learn, if any.
    #[inline]
    pub(crate) fn news_for(&self, header: &RequestHeader<'_>) -> Option<&[u8]> {
        let is_old = header.version < ProtocolVersion::V4_1;
        let blocks = if is_old { &self.growing } else { &self.own };
        if header.topology_id == blocks.id {
            return None;
        }
        match header.intelligence {
            Intelligence::Basic => None,
            Intelligence::TopologyAware => Some(&blocks.servers),
            Intelligence::HashAware => Some(&blocks.owners),
        }
    }
}

impl Blocks {
    fn of(topology: &Topology) -> Self {
        Self {
            id: topology.id,
            servers: topology.block(Intelligence::TopologyAware),
            owners: topology.block(Intelligence::HashAware),
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
