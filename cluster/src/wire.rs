//! Metadata as it lies on a disk, and later goes between members. The only file that names the
//! serializer.
//!
//! A form that was released never changes: a new field is a new variant at the end. Every decoding has
//! a limit, because without one a hostile length aborts the process.

mod source;

use std::sync::Arc;

use bincode::{Decode, Encode};
use config::{CacheConfig, CacheName};
use store::{SourceSegment, Timestamp};

use self::source::{
    ConnectionV1, CountV3, LostV5, ProcessV1, ProcessV3, ProcessV4, StartedByV1, add_all_known,
    add_known, add_starts, identity_of, known_of, lost_from, lost_to, processes, space_from,
    space_to,
};
use crate::{
    metadata::{Connection, MetaCommand, SourceCount},
    source::LostServers,
};

/// Longest encoded command, in bytes. A cache's configuration is the longest part of one.
pub(crate) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Longest encoded command that is taken in. What grows afterwards, such as the list of complete segments, has
/// the rest.
const MOST_TAKEN: usize = 3 * 1024 * 1024;

/// Bytes are not a command.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// They cannot be decoded.
    #[error("the bytes of a metadata command cannot be decoded: {0}")]
    Bytes(String),
    /// A part of it makes no sense.
    #[error("a metadata command holds an illegal {what}: {reason}")]
    Part {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The bytes of a command.
pub(crate) fn encode(command: &MetaCommand) -> Result<Vec<u8>, WireError> {
    let bytes = serialize(CommandV1::from(command))?;
    if bytes.len() > MOST_BYTES {
        return Err(WireError::Bytes(format!("{} bytes are more than {MOST_BYTES}", bytes.len())));
    }
    Ok(bytes)
}

/// Checks that a command is read back from its bytes as what it is.
///
/// # Errors
///
/// Why it is not, for whoever sent what is in it.
pub(crate) fn check(command: &MetaCommand) -> Result<(), String> {
    // What is longer than anything that is serialized at all is an error there.
    let bytes = serialize(CommandV1::from(command)).ok();
    let Some(bytes) = bytes.filter(|bytes| bytes.len() <= MOST_TAKEN) else {
        return Err(format!(
            "it would take more than {MOST_TAKEN} bytes; leave out what has no effect here"
        ));
    };
    match decode(&bytes) {
        Ok(read) if read == *command => Ok(()),
        Ok(read) => {
            Err(format!("{} would be read back as something else", differing(command, &read)))
        }
        Err(error) => Err(format!("it could not be read back: {error}")),
    }
}

/// Describes what was lost when a command was written and read back, for the error that refuses it.
fn differing(command: &MetaCommand, read: &MetaCommand) -> String {
    let config = |command: &MetaCommand| match command {
        MetaCommand::CreateCache { config, .. } | MetaCommand::CreateTemplate { config, .. } => {
            Some(Arc::clone(config))
        }
        _ => None,
    };
    let names = config(command).zip(config(read)).map(|(one, other)| one.differences(&other));
    match names.unwrap_or_default().as_slice() {
        [] => "a part of it".to_owned(),
        names => {
            names.iter().take(10).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
        }
    }
}

fn serialize(command: CommandV1) -> Result<Vec<u8>, WireError> {
    bincode::encode_to_vec(command, limited()).map_err(|error| WireError::Bytes(error.to_string()))
}

/// The command of these bytes, all of them.
pub(crate) fn decode(bytes: &[u8]) -> Result<MetaCommand, WireError> {
    let (command, read): (CommandV1, usize) = bincode::decode_from_slice(bytes, limited())
        .map_err(|error| WireError::Bytes(error.to_string()))?;
    if read != bytes.len() {
        return Err(WireError::Bytes(format!("{} bytes are left over", bytes.len() - read)));
    }
    command.try_into()
}

fn limited() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MOST_BYTES>()
}

#[derive(Encode, Decode)]
enum CommandV1 {
    CreateCache {
        cache: String,
        config: String,
        volatile: bool,
    },
    UpdateCache {
        cache: String,
        config: String,
    },
    RemoveCache {
        cache: String,
    },
    Connect {
        cache: String,
        connection: ConnectionV1,
    },
    Complete {
        cache: String,
        since: u64,
        space: Option<u32>,
        segments: Vec<u32>,
    },
    Mark {
        cache: String,
    },
    Clear {
        cache: String,
    },
    Finish {
        cache: String,
        imported: u64,
    },
    AcceptSource {
        cache: String,
        identity: Vec<ProcessV1>,
    },
    AcceptLoss {
        cache: String,
    },
    BecomeUnit {
        cache: String,
    },
    Disconnect {
        cache: String,
    },
    AssignAlias {
        cache: String,
        alias: String,
    },
    CreateTemplate {
        template: String,
        config: String,
        volatile: bool,
    },
    RemoveTemplate {
        template: String,
    },
    ConnectV2 {
        cache: String,
        connection: ConnectionV1,
        started_by: Vec<StartedByV1>,
    },
    AcceptSourceV2 {
        cache: String,
        identity: Vec<ProcessV1>,
        started_by: Vec<StartedByV1>,
    },
    ConnectV3 {
        cache: String,
        connection: ConnectionV1,
        processes: Vec<ProcessV3>,
        count: CountV3,
    },
    AcceptSourceV3 {
        cache: String,
        identity: Vec<ProcessV1>,
        processes: Vec<ProcessV3>,
    },
    CompleteV3 {
        cache: String,
        since: u64,
        space: Option<u32>,
        segments: Vec<(u32, u64)>,
    },
    ConnectV4 {
        cache: String,
        connection: ConnectionV1,
        processes: Vec<ProcessV4>,
        count: CountV3,
    },
    AcceptSourceV4 {
        cache: String,
        identity: Vec<ProcessV1>,
        processes: Vec<ProcessV4>,
    },
    Count {
        cache: String,
        since: u64,
        entries: u64,
    },
    ConnectV5 {
        cache: String,
        connection: ConnectionV1,
        processes: Vec<ProcessV4>,
        count: CountV3,
        lost: LostV5,
    },
    AcceptSourceV5 {
        cache: String,
        identity: Vec<ProcessV1>,
        processes: Vec<ProcessV4>,
        lost: LostV5,
    },
}

impl From<&MetaCommand> for CommandV1 {
    fn from(command: &MetaCommand) -> Self {
        let name = |cache: &CacheName| cache.to_string();
        match command {
            MetaCommand::CreateCache { cache, config, volatile } => {
                let config = config.to_stored_json();
                Self::CreateCache { cache: name(cache), config, volatile: *volatile }
            }
            // What it replaces was compared before it is written. Members that are yet to decide will need it.
            MetaCommand::UpdateCache { cache, config, replaces: _ } => {
                Self::UpdateCache { cache: name(cache), config: config.to_stored_json() }
            }
            MetaCommand::RemoveCache { cache } => Self::RemoveCache { cache: name(cache) },
            MetaCommand::Connect { cache, connection } => {
                let (cache, processes) = (name(cache), known_of(&connection.identity));
                let SourceCount { said, shown } = connection.count;
                let count = CountV3 { said, shown };
                let (lost, connection) = (&connection.lost, (&**connection).into());
                // Without lost servers, a connection is written in the form of the version before.
                if lost.is_empty() {
                    Self::ConnectV4 { cache, connection, processes, count }
                } else {
                    let lost = lost_to(lost);
                    Self::ConnectV5 { cache, connection, processes, count, lost }
                }
            }
            MetaCommand::Complete { cache, since, space, segments } => {
                let segments =
                    segments.iter().map(|(segment, shown)| (segment.0, *shown)).collect();
                let (since, space) = (since.millis(), space_to(*space));
                Self::CompleteV3 { cache: name(cache), since, space, segments }
            }
            MetaCommand::Mark { cache } => Self::Mark { cache: name(cache) },
            MetaCommand::Clear { cache } => Self::Clear { cache: name(cache) },
            MetaCommand::Count { cache, since, entries } => {
                Self::Count { cache: name(cache), since: since.millis(), entries: *entries }
            }
            MetaCommand::Finish { cache, imported } => {
                Self::Finish { cache: name(cache), imported: *imported }
            }
            MetaCommand::AcceptSource { cache, identity, lost } => {
                let (cache, processes, identity) =
                    (name(cache), known_of(identity), processes(identity));
                if lost.is_empty() {
                    Self::AcceptSourceV4 { cache, identity, processes }
                } else {
                    Self::AcceptSourceV5 { cache, identity, processes, lost: lost_to(lost) }
                }
            }
            MetaCommand::AcceptLoss { cache } => Self::AcceptLoss { cache: name(cache) },
            MetaCommand::BecomeUnit { cache } => Self::BecomeUnit { cache: name(cache) },
            MetaCommand::Disconnect { cache } => Self::Disconnect { cache: name(cache) },
            MetaCommand::AssignAlias { cache, alias } => {
                Self::AssignAlias { cache: name(cache), alias: name(alias) }
            }
            MetaCommand::CreateTemplate { template, config, volatile } => {
                let config = config.to_stored_json();
                Self::CreateTemplate { template: name(template), config, volatile: *volatile }
            }
            MetaCommand::RemoveTemplate { template } => {
                Self::RemoveTemplate { template: name(template) }
            }
        }
    }
}

impl TryFrom<CommandV1> for MetaCommand {
    type Error = WireError;

    fn try_from(command: CommandV1) -> Result<Self, WireError> {
        Ok(match command {
            CommandV1::CreateCache { cache, config, volatile } => {
                Self::CreateCache { cache: name(&cache)?, config: cache_config(&config)?, volatile }
            }
            CommandV1::UpdateCache { cache, config } => {
                let (cache, config) = (name(&cache)?, cache_config(&config)?);
                Self::UpdateCache { cache, config, replaces: None }
            }
            CommandV1::RemoveCache { cache } => Self::RemoveCache { cache: name(&cache)? },
            CommandV1::Connect { cache, connection } => {
                Self::Connect { cache: name(&cache)?, connection: Box::new(connection.try_into()?) }
            }
            CommandV1::Complete { cache, since, space, segments } => {
                let segments = segments.into_iter().map(|segment| (SourceSegment(segment), 0));
                let (since, space) = (Timestamp::from_millis(since), space_from(space));
                Self::Complete { cache: name(&cache)?, since, space, segments: segments.collect() }
            }
            CommandV1::CompleteV3 { cache, since, space, segments } => {
                let shown = |(segment, shown)| (SourceSegment(segment), shown);
                let segments = segments.into_iter().map(shown).collect();
                let (since, space) = (Timestamp::from_millis(since), space_from(space));
                Self::Complete { cache: name(&cache)?, since, space, segments }
            }
            CommandV1::Mark { cache } => Self::Mark { cache: name(&cache)? },
            CommandV1::Clear { cache } => Self::Clear { cache: name(&cache)? },
            CommandV1::Count { cache, since, entries } => {
                let since = Timestamp::from_millis(since);
                Self::Count { cache: name(&cache)?, since, entries }
            }
            CommandV1::Finish { cache, imported } => {
                Self::Finish { cache: name(&cache)?, imported }
            }
            CommandV1::AcceptSource { cache, identity } => {
                let (identity, lost) = (identity_of(identity), LostServers::default());
                Self::AcceptSource { cache: name(&cache)?, identity, lost }
            }
            CommandV1::ConnectV2 { cache, connection, started_by } => {
                let mut connection = Box::new(Connection::try_from(connection)?);
                add_starts(&mut connection.identity, started_by);
                Self::Connect { cache: name(&cache)?, connection }
            }
            CommandV1::AcceptSourceV2 { cache, identity, started_by } => {
                let mut identity = identity_of(identity);
                add_starts(&mut identity, started_by);
                let lost = LostServers::default();
                Self::AcceptSource { cache: name(&cache)?, identity, lost }
            }
            CommandV1::ConnectV3 { cache, connection, processes, count } => {
                let mut connection = Box::new(Connection::try_from(connection)?);
                connection.count = SourceCount { said: count.said, shown: count.shown };
                add_known(&mut connection.identity, processes);
                Self::Connect { cache: name(&cache)?, connection }
            }
            CommandV1::AcceptSourceV3 { cache, identity, processes } => {
                let mut identity = identity_of(identity);
                add_known(&mut identity, processes);
                let lost = LostServers::default();
                Self::AcceptSource { cache: name(&cache)?, identity, lost }
            }
            CommandV1::ConnectV4 { cache, connection, processes, count } => {
                let mut connection = Box::new(Connection::try_from(connection)?);
                connection.count = SourceCount { said: count.said, shown: count.shown };
                add_all_known(&mut connection.identity, processes);
                Self::Connect { cache: name(&cache)?, connection }
            }
            CommandV1::ConnectV5 { cache, connection, processes, count, lost } => {
                let mut connection = Box::new(Connection::try_from(connection)?);
                connection.count = SourceCount { said: count.said, shown: count.shown };
                connection.lost = lost_from(lost);
                add_all_known(&mut connection.identity, processes);
                Self::Connect { cache: name(&cache)?, connection }
            }
            CommandV1::AcceptSourceV5 { cache, identity, processes, lost } => {
                let (mut identity, lost) = (identity_of(identity), lost_from(lost));
                add_all_known(&mut identity, processes);
                Self::AcceptSource { cache: name(&cache)?, identity, lost }
            }
            CommandV1::AcceptSourceV4 { cache, identity, processes } => {
                let mut identity = identity_of(identity);
                add_all_known(&mut identity, processes);
                let lost = LostServers::default();
                Self::AcceptSource { cache: name(&cache)?, identity, lost }
            }
            CommandV1::AcceptLoss { cache } => Self::AcceptLoss { cache: name(&cache)? },
            CommandV1::BecomeUnit { cache } => Self::BecomeUnit { cache: name(&cache)? },
            CommandV1::Disconnect { cache } => Self::Disconnect { cache: name(&cache)? },
            CommandV1::AssignAlias { cache, alias } => {
                Self::AssignAlias { cache: name(&cache)?, alias: name(&alias)? }
            }
            CommandV1::CreateTemplate { template, config, volatile } => {
                let (template, config) = (name(&template)?, cache_config(&config)?);
                Self::CreateTemplate { template, config, volatile }
            }
            CommandV1::RemoveTemplate { template } => {
                Self::RemoveTemplate { template: name(&template)? }
            }
        })
    }
}

fn name(text: &str) -> Result<CacheName, WireError> {
    text.parse().map_err(|error| part("cache name", error))
}

fn cache_config(json: &str) -> Result<Arc<CacheConfig>, WireError> {
    let config = CacheConfig::from_stored_json(json);
    config.map(Arc::new).map_err(|error| part("cache configuration", error))
}

fn part(what: &'static str, reason: impl ToString) -> WireError {
    WireError::Part { what, reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
