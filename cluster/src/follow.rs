//! What a change of the metadata means for the cache that it is about.

use std::sync::Arc;

use store::{Cache, Link, Timestamp};

use crate::metadata::{CacheMetadata, Connection, MetaCommand};

/// Does to a cache what a command means for it, once the metadata has taken the command in: `known` is what
/// it knows of the cache then. All segments together keep `max_tombstones` for what is complete.
pub fn follow(
    cache: &Cache,
    command: &MetaCommand,
    known: Option<&CacheMetadata>,
    now: Timestamp,
    max_tombstones: u64,
) {
    let connection = known.and_then(|known| known.connection.as_ref());
    match command {
        MetaCommand::CreateCache { .. }
        | MetaCommand::RemoveCache { .. }
        | MetaCommand::CreateTemplate { .. }
        | MetaCommand::RemoveTemplate { .. } => {}
        MetaCommand::AssignAlias { .. } => {
            if let Some(known) = known {
                cache.reconfigure(Arc::clone(&known.config));
            }
        }
        MetaCommand::UpdateCache { config, .. } => {
            cache.reconfigure(Arc::clone(config));
        }
        MetaCommand::Connect { connection, .. } => connect(cache, connection, now, max_tombstones),
        MetaCommand::Complete { segments, .. } => {
            segments.iter().for_each(|(segment, _)| cache.complete(*segment));
        }
        MetaCommand::Mark { .. } => cache.mark(),
        MetaCommand::Clear { .. } => {
            cache.end_imports();
            cache.mark();
        }
        MetaCommand::BecomeUnit { .. } => {
            let complete = connection.map(|connection| &connection.complete);
            complete.into_iter().for_each(|complete| cache.become_unit(complete));
        }
        MetaCommand::AcceptLoss { .. } => {
            if let Some(connection) = connection {
                connect(cache, connection, now, max_tombstones);
            }
        }
        MetaCommand::Disconnect { .. } => {
            cache.disconnect();
            cache.fence(None);
        }
        MetaCommand::Count { .. }
        | MetaCommand::Finish { .. }
        | MetaCommand::AcceptSource { .. } => {}
    }
}

fn connect(cache: &Cache, connection: &Connection, now: Timestamp, max_tombstones: u64) {
    let mut link = Link::new(connection.id(), connection.space, now);
    link.complete = connection.complete.clone();
    (link.marked, link.cleared) = (connection.marked, connection.cleared);
    link.max_tombstones = max_tombstones.div_ceil(cache.segment_ids().count().max(1) as u64);
    cache.connect(&link);
    cache.fence(None);
}
