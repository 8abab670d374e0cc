//! What is looked at before a cache is connected: all of it, and all that is wrong is said at once.

use std::net::ToSocketAddrs;

use client::{Client, ClientError, Item, Iterate, RemoteCache, ServerAddress};
use cluster::{Clock, Connection, SourceIdentity};
use config::{CacheConfig, RemoteStoreConfig};
use media::{MediaType, hash};
use serde::Serialize;
use store::{Cache, Coverage, SourceSpace};

use crate::{identity::identify, remote, settings::Settings, source::chain};

/// Keys that are looked at to see whether the source places them as we do.
const SAMPLE: usize = 1_000;

/// Something that stands in the way of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub code: ProblemCode,
    /// What it is, and what to do.
    pub text: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// What was said of the source makes no sense.
    Description,
    /// No server can be reached.
    Unreachable,
    /// The login was refused.
    Credentials,
    /// The source has no such cache.
    NoSuchCache,
    /// The user may not do what a migration needs.
    Permission,
    /// Keys or values have another form here.
    MediaTypes,
    /// The source is this server.
    Ourselves,
    /// The cache was connected before, and removed keys could come back.
    Reconnect,
    /// The source answers, but not as it should.
    Protocol,
}

/// A source that can be connected.
pub(crate) struct Ready {
    pub(crate) client: Client,
    pub(crate) remote: RemoteCache,
    pub(crate) connection: Connection,
    /// What the operator should know although nothing stands in the way.
    pub(crate) notices: Vec<String>,
    /// Whether an earlier connection is taken up again.
    is_again: bool,
}

impl Ready {
    /// Looks again at what clients may have done while everything was looked at: of what they removed,
    /// nothing is remembered before the connection is made.
    ///
    /// # Errors
    ///
    /// If that stands in the way by now.
    pub(crate) fn settle(&mut self, plan: &Plan<'_>) -> Result<(), Problem> {
        if !self.is_again || !plan.cache.changed_since_disconnect() {
            return Ok(());
        }
        if !has_all(&self.connection) {
            return Err(could_come_back(plan));
        }
        self.connection.forgets = true;
        Ok(())
    }

    /// Whether nothing may have changed here before the connection is made.
    pub(crate) fn needs_unchanged(&self) -> bool {
        self.is_again && !has_all(&self.connection)
    }
}

impl Plan<'_> {
    /// What stands in the way if something had changed all the same.
    pub(crate) fn changed_before_connect(&self) -> Option<Problem> {
        self.cache.changed_before_connect().then(|| could_come_back(self))
    }
}

/// What is to be connected.
pub(crate) struct Plan<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) config: &'a CacheConfig,
    pub(crate) remote: &'a RemoteStoreConfig,
    pub(crate) past: Option<&'a Connection>,
    /// Whether removed keys may come back.
    pub(crate) fresh: bool,
    pub(crate) settings: &'a Settings,
    pub(crate) clock: &'a Clock,
}

/// Looks at everything that could stand in the way.
///
/// # Errors
///
/// All that does.
pub(crate) async fn check(plan: &Plan<'_>) -> Result<Ready, Vec<Problem>> {
    let mut problems = Vec::new();
    if let Some(problem) = ourselves(plan.remote, &plan.settings.own_servers).await {
        // What we say of ourselves says nothing of a source.
        return Err(vec![problem]);
    }
    let config = match remote::client_config(plan.remote, plan.cache.name()) {
        Ok(config) => config,
        Err(error) => {
            problems.push(problem(ProblemCode::Description, error));
            return Err(problems);
        }
    };
    let user = config.credentials.as_ref().map(|user| user.user.clone());
    let client = match Client::connect(config).await {
        Ok(client) => client,
        Err(error) => {
            problems.push(of_client(&error));
            return Err(problems);
        }
    };
    let mut notices = Vec::new();
    match look_inside(plan, &client, user.as_deref(), &mut problems, &mut notices).await {
        Some(Seen { remote, connection, is_again }) if problems.is_empty() => {
            Ok(Ready { client, remote, connection, notices, is_again })
        }
        _ => {
            client.close().await;
            Err(problems)
        }
    }
}

/// What a look inside the source has shown.
struct Seen {
    remote: RemoteCache,
    connection: Connection,
    is_again: bool,
}

async fn look_inside(
    plan: &Plan<'_>,
    client: &Client,
    user: Option<&str>,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<String>,
) -> Option<Seen> {
    let name = remote::cache_name(plan.remote, plan.cache.name());
    let remote = match client.cache(&name).await {
        Ok(remote) => remote,
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    };
    problems.extend(media_types(plan, &remote));
    problems.extend(permissions(&remote, user).await);
    notices.extend(client.notices().iter().map(ToString::to_string));
    notices.extend(plan.remote.ignored.iter().map(|ignored| format!("{ignored} is ignored")));
    notices.extend(too_small(plan, &remote).await);
    let identity = match identify(&remote, plan.clock).await {
        Ok(identity) => identity,
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    };
    if identity.0.iter().all(|process| process.started.is_none()) {
        notices.push(
            "the source's cache keeps no statistics, and cannot say since when it runs: whenever its \
             cluster changes, it counts as started again. Set statistics=\"true\" there"
                .into(),
        );
    }
    if !problems.is_empty() {
        return None;
    }
    let space = match space(&remote).await {
        Ok(space) => space,
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    };
    if space == SourceSpace::Unit {
        notices.push(
            "the source does not place its keys by their hash in segments: it is complete only as a \
             whole"
                .into(),
        );
    }
    match reconnect(plan, &identity) {
        Ok(past) => {
            let (space, complete) = taken_up(past, space);
            let connection = Connection {
                remote: plan.remote.clone(),
                space,
                identity,
                since: plan.clock.now(),
                complete,
                // What stands here already would be lost with the process too.
                marked: plan.cache.approximate_len() > 0 || past.is_some_and(|past| past.marked),
                cleared: past.is_some_and(|past| past.cleared),
                // And of what was removed before, nothing is remembered any more.
                forgets: past.is_some_and(|past| past.forgets || past.marked),
                imported: None,
            };
            Some(Seen { remote, connection, is_again: past.is_some() })
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Whether the source is this server: it would be asked for what it asks for.
async fn ourselves(remote: &RemoteStoreConfig, own: &[ServerAddress]) -> Option<Problem> {
    let servers = remote.servers.clone();
    let own = own.to_vec();
    let same = tokio::task::spawn_blocking(move || {
        servers.into_iter().find(|server| own.iter().any(|own| is_same(server, own)))
    });
    let server = same.await.ok()??;
    let text = format!(
        "{}:{} is this server itself: a cache cannot be its own source",
        server.host, server.port
    );
    Some(Problem { code: ProblemCode::Ourselves, text })
}

fn is_same(server: &config::RemoteServer, own: &ServerAddress) -> bool {
    if server.port != own.port {
        return false;
    }
    let addresses = |host: &str| {
        let found = (host, own.port).to_socket_addrs();
        found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>()).unwrap_or_default()
    };
    let (theirs, ours) = (addresses(&server.host), addresses(&own.host));
    let any = ours.iter().any(|ip| ip.is_unspecified());
    theirs.iter().any(|ip| ours.contains(ip) || (any && ip.is_loopback()))
}

/// Whether keys and values have the same form on both sides: bytes pass as they are.
fn media_types(plan: &Plan<'_>, remote: &RemoteCache) -> Vec<Problem> {
    if plan.cache.name().is_internal() {
        return Vec::new();
    }
    let theirs = remote.media_types();
    let encoding = &plan.config.encoding;
    let opaque = |media_type: Option<&MediaType>| media_type.is_none_or(MediaType::is_opaque);
    let shown = |media_type: Option<&MediaType>| {
        media_type.map_or_else(|| "no media type".to_owned(), ToString::to_string)
    };
    [("keys", &theirs.key, &encoding.key), ("values", &theirs.value, &encoding.value)]
        .into_iter()
        .filter(|(_, theirs, ours)| {
            theirs != ours && !(opaque(theirs.as_ref()) && opaque(ours.as_ref()))
        })
        .map(|(what, theirs, ours)| {
            let (theirs, ours) = (shown(theirs.as_ref()), shown(ours.as_ref()));
            let cache = plan.cache.name();
            let text = format!(
                "{what} are {theirs} at the source and {ours} here: create cache {cache} with the \
                 source's encoding"
            );
            Problem { code: ProblemCode::MediaTypes, text }
        })
        .collect()
}

/// Whether the user may read entries, one by one and all of them. Nothing is written.
async fn permissions(remote: &RemoteCache, user: Option<&str>) -> Vec<Problem> {
    const NOBODYS_KEY: &[u8] = b"godwit-preflight-0e5f7d";
    let mut problems = Vec::new();
    let mut refused = |what: &str, error: &ClientError| {
        let as_whom = user.map_or_else(|| "without a user".to_owned(), |user| format!("as {user}"));
        let text = format!("the source refuses {what} {as_whom}: {}", chain(error));
        let code = match error {
            ClientError::Server { .. } => ProblemCode::Permission,
            _ => of_client(error).code,
        };
        problems.push(Problem { code, text });
    };
    if let Err(error) = remote.get_with_metadata(NOBODYS_KEY).await {
        refused("to read an entry", &error);
    }
    let none = Some(std::iter::once(0).collect());
    let iterate = Iterate { segments: none, batch: 1, keys_only: true, ..Iterate::default() };
    match remote.iterate(iterate).await {
        Ok(iteration) => drop(iteration.end().await),
        Err(error) => refused("to iterate over entries", &error),
    }
    problems
}

/// Whether the cache may hold fewer entries than the source has.
async fn too_small(plan: &Plan<'_>, remote: &RemoteCache) -> Option<String> {
    let most = plan.config.memory.max_count?;
    let theirs = remote.size().await.ok()?;
    (theirs > most).then(|| {
        format!(
            "the source has {theirs} entries and cache {} holds at most {most}: some will be evicted",
            plan.cache.name()
        )
    })
}

/// How the source divides its keys: by segments if it says so, and if a sample of its keys is where it
/// should be then.
async fn space(remote: &RemoteCache) -> Result<SourceSpace, ClientError> {
    let Some(topology) = remote.topology() else { return Ok(SourceSpace::Unit) };
    let count = u32::try_from(topology.owners.len()).unwrap_or(0);
    if count == 0 {
        return Ok(SourceSpace::Unit);
    }
    let space = SourceSpace::Segments(count);
    let mut looked_at = 0;
    // Spread over the segments, so that few keys are enough.
    for first in (0..count).step_by((count as usize / 8).max(1)) {
        let asked: client::SegmentSet = (first..(first + 2).min(count)).collect();
        let iterate = Iterate {
            segments: Some(asked.clone()),
            batch: 100,
            keys_only: true,
            ..Iterate::default()
        };
        let mut iteration = remote.iterate(iterate).await?;
        let mut of_these = 0;
        while let Some(item) = iteration.next().await? {
            let Item::Entry { key, .. } = item else { continue };
            if !asked.contains(space.segment_of(hash::hash(&key)).0) {
                return Ok(SourceSpace::Unit);
            }
            of_these += 1;
            if of_these >= SAMPLE / 8 {
                break;
            }
        }
        looked_at += of_these;
        if looked_at >= SAMPLE {
            break;
        }
    }
    Ok(space)
}

/// The connection that is taken up again, if the same source was let go of before.
fn reconnect<'a>(
    plan: &Plan<'a>,
    identity: &SourceIdentity,
) -> Result<Option<&'a Connection>, Problem> {
    let same = |past: &&Connection| {
        remote::cache_name(&past.remote, plan.cache.name())
            == remote::cache_name(plan.remote, plan.cache.name())
            && identity
                .0
                .iter()
                .any(|process| past.identity.0.iter().any(|known| known.server == process.server))
    };
    let Some(past) = plan.past.filter(same).filter(|_| !plan.fresh) else { return Ok(None) };
    let unchanged = !past.marked && !plan.cache.changed_since_disconnect();
    if (has_all(past) || unchanged) && identity.continues(&past.identity) {
        return Ok(Some(past));
    }
    Err(could_come_back(plan))
}

/// Whether everything of the source was here.
fn has_all(connection: &Connection) -> bool {
    connection.complete.len() >= connection.space.count()
}

fn could_come_back(plan: &Plan<'_>) -> Problem {
    let text = format!(
        "cache {} was connected to this source before, and let go of it before everything was here, or \
         one of them was started again since: keys that clients have removed could come back. Connect \
         with --fresh (fresh=true) to accept that",
        plan.cache.name()
    );
    Problem { code: ProblemCode::Reconnect, text }
}

/// How the source divides its keys, and what of them is here, if `past` is taken up again.
fn taken_up(past: Option<&Connection>, space: SourceSpace) -> (SourceSpace, Coverage) {
    match past {
        None => (space, Coverage::none(space.count())),
        Some(past) if past.space == space => (space, past.complete.clone()),
        // Keys were seen where they should not be, then. A sample may have missed them now.
        Some(past) if past.space == SourceSpace::Unit => (past.space, past.complete.clone()),
        Some(past) if has_all(past) => (space, Coverage::all(space.count())),
        Some(_) => (space, Coverage::none(space.count())),
    }
}

fn problem(code: ProblemCode, text: impl ToString) -> Problem {
    Problem { code, text: text.to_string() }
}

fn of_client(error: &ClientError) -> Problem {
    let code = match error {
        ClientError::Unreachable { .. }
        | ClientError::TimedOut { .. }
        | ClientError::Lost { .. }
        | ClientError::InDoubt { .. }
        | ClientError::Closed
        | ClientError::NoServer => ProblemCode::Unreachable,
        ClientError::Refused { .. }
        | ClientError::NoMechanism { .. }
        | ClientError::Untrusted { .. } => ProblemCode::Credentials,
        ClientError::NoSuchCache { .. } => ProblemCode::NoSuchCache,
        ClientError::Server { .. } => ProblemCode::Permission,
        ClientError::Protocol { .. } | ClientError::InvalidIteration { .. } => {
            ProblemCode::Protocol
        }
    };
    let text = match error {
        ClientError::NoSuchCache { name } => format!("the source has no cache \"{name}\""),
        error => chain(error),
    };
    Problem { code, text }
}

#[cfg(test)]
mod tests {
    //! Who is who, and what is known of it.

    use store::{SourceSegment, Timestamp};

    use super::*;

    #[test]
    fn this_server_is_recognized_by_any_name_of_it() {
        let own = |host: &str| ServerAddress { host: host.into(), port: 11222 };
        let server = |host: &str, port| config::RemoteServer { host: host.into(), port };
        assert!(is_same(&server("127.0.0.1", 11222), &own("127.0.0.1")));
        assert!(is_same(&server("localhost", 11222), &own("127.0.0.1")));
        assert!(is_same(&server("127.0.0.1", 11222), &own("0.0.0.0")));
        assert!(!is_same(&server("127.0.0.1", 11322), &own("127.0.0.1")));
        assert!(!is_same(&server("192.0.2.1", 11222), &own("127.0.0.1")));
    }

    #[test]
    fn what_is_taken_up_again_is_as_complete_as_it_was() {
        let past = |space: SourceSpace, complete: &[u32]| {
            let mut coverage = Coverage::none(space.count());
            complete.iter().for_each(|segment| coverage.insert(SourceSegment(*segment)));
            Connection {
                remote: RemoteStoreConfig::new(Vec::new()),
                space,
                identity: SourceIdentity::default(),
                since: Timestamp::default(),
                complete: coverage,
                marked: false,
                cleared: false,
                forgets: false,
                imported: None,
            }
        };
        let (four, eight) = (SourceSpace::Segments(4), SourceSpace::Segments(8));
        let taken_up = |past: Option<Connection>, space| {
            let (space, complete) = taken_up(past.as_ref(), space);
            (space, complete.len())
        };
        assert_eq!(taken_up(None, four), (four, 0));
        assert_eq!(taken_up(Some(past(four, &[0, 2])), four), (four, 2));
        assert_eq!(taken_up(Some(past(four, &[0, 1, 2, 3])), eight), (eight, 8));
        assert_eq!(taken_up(Some(past(four, &[0, 2])), eight), (eight, 0));
        assert_eq!(taken_up(Some(past(SourceSpace::Unit, &[0])), four), (SourceSpace::Unit, 1));
        assert_eq!(taken_up(Some(past(SourceSpace::Unit, &[])), four), (SourceSpace::Unit, 0));
    }
}
