//! Commands and instants as people read them. Passwords are left out.

use config::RemoteStoreConfig;
use store::{SourceSpace, Timestamp};

use crate::metadata::{Connection, MetaCommand};

/// A command in one line.
pub(super) fn command(command: &MetaCommand) -> String {
    let cache = command.cache();
    match command {
        MetaCommand::CreateCache { config, .. } => {
            format!("create cache {cache}: {:?}", config.mode)
        }
        MetaCommand::UpdateCache { .. } => format!("update the configuration of cache {cache}"),
        MetaCommand::RemoveCache { .. } => format!("remove cache {cache}"),
        MetaCommand::Connect { connection, .. } => {
            format!("connect cache {cache} {}", self::connection(connection))
        }
        MetaCommand::Complete { segments, .. } => {
            format!("complete {} source segments of cache {cache}", segments.len())
        }
        MetaCommand::Mark { .. } => format!("note that clients change entries of cache {cache}"),
        MetaCommand::Clear { .. } => format!("clear cache {cache}"),
        MetaCommand::Count { entries, .. } => {
            format!("note that the source of cache {cache} has {entries} entries")
        }
        MetaCommand::Finish { imported, .. } => {
            format!("finish a sync job of cache {cache} that copied {imported} entries")
        }
        MetaCommand::AcceptSource { lost, .. } => {
            let gone = lost.gone.len() + lost.unheard.len();
            let gone = match gone {
                0 => String::new(),
                several => format!(", and that {several} of its servers have gone or may have"),
            };
            format!("record who the source of cache {cache} is now{gone}")
        }
        MetaCommand::AcceptLoss { .. } => format!("accept that entries of cache {cache} are lost"),
        MetaCommand::BecomeUnit { .. } => format!("treat the source of cache {cache} as one unit"),
        MetaCommand::Disconnect { .. } => format!("disconnect cache {cache}"),
        MetaCommand::AssignAlias { alias, .. } => {
            format!("assign the alias {alias} to cache {cache}")
        }
        MetaCommand::CreateTemplate { config, .. } => {
            format!("create template {cache}: {:?}", config.mode)
        }
        MetaCommand::RemoveTemplate { .. } => format!("remove template {cache}"),
    }
}

/// A connection: its source, and what is known of it.
pub(super) fn connection(connection: &Connection) -> String {
    let complete = connection.complete.len();
    let segments = match connection.space {
        SourceSpace::Segments(count) => format!("{complete} of {count} segments complete"),
        SourceSpace::Unit => {
            format!("as one unit, {}complete", if complete == 0 { "not " } else { "" })
        }
    };
    let marked = if connection.marked { ", changed by clients" } else { "" };
    let since = instant(connection.since);
    format!("to {} since {since} ({segments}{marked})", source(&connection.remote))
}

fn source(remote: &RemoteStoreConfig) -> String {
    let servers = remote.servers.iter().map(|server| format!("{}:{}", server.host, server.port));
    servers.collect::<Vec<_>>().join(",")
}

/// An instant, such as `2026-01-31T23:59:59.999Z`.
pub(super) fn instant(at: Timestamp) -> String {
    let millis = i64::try_from(at.millis()).ok();
    let instant = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    instant
        .map_or_else(|| format!("{} ms after 1970", at.millis()), |instant| format!("{instant:.3}"))
}
