//! Topology: the servers, and the owners of each segment.

use crate::{error::DecodeError, reader::Reader, writer::Writer};

/// How much of the topology a client wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intelligence {
    /// Nothing.
    Basic = 1,
    /// The servers.
    TopologyAware = 2,
    /// The servers, and which of them own which segment.
    HashAware = 3,
}

impl Intelligence {
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            3 => Self::HashAware,
            2 => Self::TopologyAware,
            _ => Self::Basic,
        }
    }
}

/// Most servers, and most segments, that a topology may have.
const MOST: u32 = crate::segments::MAX_SEGMENTS;

/// The topology of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Number of this topology. Clients up to version 13 accept only a greater one than they know.
    pub id: u32,
    /// Servers, at the addresses that clients use.
    pub servers: Vec<ServerAddress>,
    /// Owners of each segment as indexes into `servers`, the primary first. Empty if keys are not
    /// placed by their hash, or if the client did not ask.
    pub owners: Vec<Vec<u32>>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Id of the hash function that places keys in segments.
const SEGMENT_HASH: u8 = 3;

impl Topology {
    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        intelligence: Intelligence,
    ) -> Result<Self, DecodeError> {
        let id = reader.vint("topology id")?;
        let count = bounded(reader, "number of servers")?;
        let mut servers = Vec::new();
        for _ in 0..count {
            let host = reader.text("host of a server")?.to_owned();
            servers.push(ServerAddress { host, port: reader.short()? });
        }
        let mut owners = Vec::new();
        if intelligence == Intelligence::HashAware {
            let hash = reader.byte()?;
            let segments = bounded(reader, "number of segments")?;
            for _ in 0..segments {
                if hash == 0 {
                    break;
                }
                let count = reader.byte()?;
                owners.push((0..count).map(|_| reader.vint("owner")).collect::<Result<_, _>>()?);
            }
        }
        Ok(Self { id, servers, owners })
    }

    /// Encodes the block for a client of this intelligence.
    #[must_use]
    pub fn block(&self, intelligence: Intelligence) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.vint(self.id);
        writer.vlong(self.servers.len() as u64);
        for server in &self.servers {
            writer.text(&server.host);
            writer.short(server.port);
        }
        if intelligence == Intelligence::HashAware {
            writer.byte(if self.owners.is_empty() { 0 } else { SEGMENT_HASH });
            writer.vlong(self.owners.len() as u64);
            for owners in &self.owners {
                writer.byte(u8::try_from(owners.len()).unwrap_or(u8::MAX));
                owners.iter().take(u8::MAX.into()).for_each(|owner| writer.vint(*owner));
            }
        }
        writer.into_bytes()
    }
}

fn bounded(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, DecodeError> {
    let count = reader.vint(field)?;
    if count > MOST {
        return Err(DecodeError::Illegal { field, value: count.into() });
    }
    Ok(count)
}
