//! Which servers there are, and which of them own which segment.

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

/// Most servers, and most segments, that a topology is believed to have.
const MOST: u32 = crate::segments::MAX_SEGMENTS;

/// The topology of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Number of this topology. Clients up to 13 take only a greater one.
    pub id: u32,
    /// Servers, as clients reach them.
    pub servers: Vec<ServerAddress>,
    /// For each segment, its owners as indexes of `servers`, the primary first. Empty where keys are not
    /// placed by their hash, or where the client did not want to know.
    pub owners: Vec<Vec<u32>>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    /// Name or number of the host.
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

/// The hash function by which keys are placed into segments.
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

    /// The block as it goes on the wire, for a client that wants to know this much.
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
