//! A connection to a source as it is written: who the source is, and which of its servers have gone.

use config::RemoteStoreConfig;
use store::{Coverage, SourceSegment, SourceSpace, Timestamp};

use super::{Decode, Encode, WireError, part};
use crate::{
    metadata::{Connection, SourceCount},
    source::{
        Counters, Gone, LostServer, LostServers, SourceIdentity, SourceProcess, StartInterval,
        StartedBy, ToldTopology, UnheardServer,
    },
};

/// Servers of the source that have gone, and those that do not answer.
#[derive(Encode, Decode)]
pub(super) struct LostV5 {
    pub(super) gone: Vec<GoneV5>,
    pub(super) unheard: Vec<UnheardV5>,
}

/// A server of the source that has gone: it has left the cluster, or was started again.
#[derive(Encode, Decode)]
pub(super) struct GoneV5 {
    pub(super) server: String,
    pub(super) left: bool,
    pub(super) after_copy: bool,
}

/// A server of the source that does not answer.
#[derive(Encode, Decode)]
pub(super) struct UnheardV5 {
    pub(super) server: String,
    pub(super) since: Option<u64>,
    pub(super) after_copy: bool,
}

#[derive(Encode, Decode)]
pub(super) struct CountV3 {
    pub(super) said: Option<u64>,
    pub(super) shown: u64,
}

/// By which clocks the process at the same place was started.
#[derive(Encode, Decode)]
pub(super) struct StartedByV1 {
    pub(super) boot: Option<(u128, i64)>,
    pub(super) source: Option<u64>,
}

/// What else is known of the process at the same place.
#[derive(Encode, Decode)]
pub(super) struct ProcessV3 {
    pub(super) started: Option<StartV3>,
    pub(super) started_by_source: Option<u64>,
    pub(super) counters: Vec<Option<u64>>,
    pub(super) alone: bool,
}

/// The same, and when it was started without the time for which a machine was suspended.
#[derive(Encode, Decode)]
pub(super) struct ProcessV4 {
    pub(super) known: ProcessV3,
    pub(super) awake: Option<StartV3>,
}

#[derive(Encode, Decode)]
pub(super) struct StartV3 {
    pub(super) boot: u128,
    pub(super) earliest: i64,
    pub(super) latest: i64,
    pub(super) read: i64,
}

#[derive(Encode, Decode)]
pub(super) struct ConnectionV1 {
    pub(super) remote: String,
    pub(super) segments: Option<u32>,
    pub(super) identity: Vec<ProcessV1>,
    pub(super) since: u64,
    pub(super) complete: Vec<u32>,
    pub(super) marked: bool,
    pub(super) cleared: bool,
    pub(super) forgets: bool,
    pub(super) imported: Option<u64>,
}

#[derive(Encode, Decode)]
pub(super) struct ProcessV1 {
    pub(super) server: String,
    pub(super) started: Option<u64>,
    pub(super) written: Option<u64>,
    pub(super) topology: Option<u32>,
}

impl From<&Connection> for ConnectionV1 {
    fn from(connection: &Connection) -> Self {
        Self {
            remote: connection.remote.to_stored_json(),
            segments: space_to(connection.space),
            identity: processes(&connection.identity),
            since: connection.since.millis(),
            complete: connection.complete.iter().map(|segment| segment.0).collect(),
            marked: connection.marked,
            cleared: connection.cleared,
            forgets: connection.forgets,
            imported: connection.imported,
        }
    }
}

impl TryFrom<ConnectionV1> for Connection {
    type Error = WireError;

    fn try_from(connection: ConnectionV1) -> Result<Self, WireError> {
        /// No source has so many segments.
        const MOST_SEGMENTS: u32 = 65_537;
        let space = match connection.segments {
            Some(count @ (0 | MOST_SEGMENTS..)) => {
                return Err(part("number of source segments", count));
            }
            segments => space_from(segments),
        };
        let mut complete = Coverage::none(space.count());
        connection.complete.into_iter().for_each(|segment| complete.insert(SourceSegment(segment)));
        Ok(Self {
            remote: RemoteStoreConfig::from_stored_json(&connection.remote)
                .map_err(|error| part("source", error))?,
            space,
            identity: identity_of(connection.identity),
            since: Timestamp::from_millis(connection.since),
            complete,
            marked: connection.marked,
            cleared: connection.cleared,
            forgets: connection.forgets,
            imported: connection.imported,
            // Earlier versions did not know it.
            count: SourceCount::default(),
            lost: LostServers::default(),
        })
    }
}

pub(super) fn space_to(space: SourceSpace) -> Option<u32> {
    match space {
        SourceSpace::Segments(count) => Some(count),
        SourceSpace::Unit => None,
    }
}

pub(super) fn space_from(segments: Option<u32>) -> SourceSpace {
    segments.map_or(SourceSpace::Unit, SourceSpace::Segments)
}

pub(super) fn processes(identity: &SourceIdentity) -> Vec<ProcessV1> {
    let process = |known: &SourceProcess| ProcessV1 {
        server: known.server.clone(),
        started: known.started,
        // With the other counters.
        written: None,
        topology: known.topology.map(|topology| topology.id),
    };
    identity.0.iter().map(process).collect()
}

pub(super) fn identity_of(processes: Vec<ProcessV1>) -> SourceIdentity {
    let process = |known: ProcessV1| SourceProcess {
        server: known.server,
        started: known.started,
        counters: Counters::of(|name| known.written.filter(|_| name == "totalBytesWritten")),
        topology: known.topology.map(|id| ToldTopology { id, alone: false }),
        ..SourceProcess::default()
    };
    SourceIdentity(processes.into_iter().map(process).collect())
}

pub(super) fn add_starts(identity: &mut SourceIdentity, started_by: Vec<StartedByV1>) {
    // The start was a difference of whole seconds, read up to two seconds after the answer was given.
    let interval = |(boot, seconds): (u128, i64)| {
        let at = |more: i64| seconds.saturating_add(more).saturating_mul(1_000);
        StartInterval { boot, earliest: at(-3), latest: at(1), read: at(0) }
    };
    for (process, StartedByV1 { boot, source }) in identity.0.iter_mut().zip(started_by) {
        process.started_by = StartedBy { boot: boot.map(interval), awake: None, source };
    }
}

pub(super) fn known_of(identity: &SourceIdentity) -> Vec<ProcessV4> {
    let start = |start: StartInterval| {
        let StartInterval { boot, earliest, latest, read } = start;
        StartV3 { boot, earliest, latest, read }
    };
    let known = |process: &SourceProcess| ProcessV4 {
        known: ProcessV3 {
            started: process.started_by.boot.map(start),
            started_by_source: process.started_by.source,
            counters: process.counters.0.to_vec(),
            alone: process.topology.is_some_and(|topology| topology.alone),
        },
        awake: process.started_by.awake.map(start),
    };
    identity.0.iter().map(known).collect()
}

pub(super) fn start_of(start: StartV3) -> StartInterval {
    let StartV3 { boot, earliest, latest, read } = start;
    StartInterval { boot, earliest, latest, read }
}

pub(super) fn add_all_known(identity: &mut SourceIdentity, processes: Vec<ProcessV4>) {
    let (known, awake): (Vec<ProcessV3>, Vec<Option<StartV3>>) =
        processes.into_iter().map(|ProcessV4 { known, awake }| (known, awake)).unzip();
    add_known(identity, known);
    for (process, awake) in identity.0.iter_mut().zip(awake) {
        process.started_by.awake = awake.map(start_of);
    }
}

pub(super) fn add_known(identity: &mut SourceIdentity, processes: Vec<ProcessV3>) {
    for (process, known) in identity.0.iter_mut().zip(processes) {
        let boot = known.started.map(start_of);
        process.started_by = StartedBy { boot, awake: None, source: known.started_by_source };
        // A later version may know more of them, at the end.
        let mut counted = known.counters.into_iter();
        process.counters = Counters::of(|_| counted.next().flatten());
        if let Some(topology) = &mut process.topology {
            topology.alone = known.alone;
        }
    }
}

pub(super) fn lost_to(lost: &LostServers) -> LostV5 {
    let gone = |LostServer { server, how, after_copy }: &LostServer| GoneV5 {
        server: server.clone(),
        left: *how == Gone::Left,
        after_copy: *after_copy,
    };
    let unheard = |UnheardServer { server, since, after_copy }: &UnheardServer| UnheardV5 {
        server: server.clone(),
        since: *since,
        after_copy: *after_copy,
    };
    LostV5 {
        gone: lost.gone.iter().map(gone).collect(),
        unheard: lost.unheard.iter().map(unheard).collect(),
    }
}

pub(super) fn lost_from(lost: LostV5) -> LostServers {
    let gone = |GoneV5 { server, left, after_copy }| LostServer {
        server,
        how: if left { Gone::Left } else { Gone::Replaced },
        after_copy,
    };
    let unheard =
        |UnheardV5 { server, since, after_copy }| UnheardServer { server, since, after_copy };
    LostServers {
        gone: lost.gone.into_iter().map(gone).collect(),
        unheard: lost.unheard.into_iter().map(unheard).collect(),
    }
}
