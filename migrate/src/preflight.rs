//! What is looked at before a cache is connected: all of it, and all that is wrong is said at once.

mod keys;

use std::{net::ToSocketAddrs, sync::Arc};

use client::{
    Client, ClientError, Iterate, MediaTypes, ProtocolVersion, RemoteCache, ServerAddress,
};
use cluster::{Attempt, Clock, Connection, Gap, SourceIdentity};
use config::{CacheConfig, CacheName, RemoteStoreConfig};
use media::{Conversion, MediaType};
use serde::Serialize;
use store::{Beginning, Cache, SourceSpace};

use self::keys::{hidden_keys, space};
use crate::{
    clocks::SourceClocks,
    http_date,
    identity::Asking,
    opening::{Opening, since},
    remote,
    settings::Settings,
    source::{Reached, chain},
};

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
    /// The cache was connected before, this connection does not provably continue that one, and removed keys
    /// could come back.
    Reconnect,
    /// The source answers, but not as it should.
    Protocol,
}

/// A source that can be connected.
pub(crate) struct Ready {
    pub(crate) reached: Reached,
    pub(crate) opening: Opening,
    /// What the operator should know although nothing stands in the way.
    pub(crate) notices: Vec<String>,
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
    let config = match remote::client_config(plan.remote) {
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
        Some(Seen { remote, clocks, connection, beginning }) if problems.is_empty() => {
            let opening = Opening { connection, beginning };
            let reached = Reached { client, remote, clocks };
            Ok(Ready { reached, opening, notices })
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
    clocks: Arc<SourceClocks>,
    connection: Connection,
    beginning: Beginning,
}

/// Asks once more who the source is, and adds what was known of that before.
async fn again(
    asking: &Asking<'_>,
    before: Result<SourceIdentity, ClientError>,
) -> Result<SourceIdentity, ClientError> {
    let before = before?;
    Ok(asking.all().await?.with_earlier(&before, |_| true))
}

async fn look_inside(
    plan: &Plan<'_>,
    client: &Client,
    user: Option<&str>,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<String>,
) -> Option<Seen> {
    let remote = match remote::open(client, plan.remote, plan.cache.name()).await {
        Ok(remote) => remote,
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    };
    let own = &plan.settings.process;
    if let Some(server) = http_date::find_process(remote.servers(), plan.clock, own).await {
        problems.push(announces_ourselves(&server));
        return None;
    }
    let is_own = plan.cache.name().is_internal();
    let keeps_protostream = !is_own && keeps_protostream(&remote).await;
    if keeps_protostream {
        notices.push(
            "the source does not name the formats of its entries, but keeps protostream, as it does for \
             an indexed cache"
                .into(),
        );
    }
    problems.extend(media_types(plan, &remote, keeps_protostream));
    problems.extend(permissions(&remote, user).await);
    notices.extend(client.notices().iter().map(ToString::to_string));
    notices.extend(remote::version_notice(plan.remote));
    notices.extend(plan.remote.ignored.iter().map(|ignored| format!("{ignored} is ignored")));
    notices.extend(too_small(plan, &remote).await);
    let clocks = SourceClocks::new(plan.cache.name().clone());
    let asking = Asking { remote: &remote, clock: plan.clock, clocks: &clocks };
    let read = http_date::read_all(remote.servers(), plan.clock, &clocks);
    let ((), closely) = tokio::join!(read, asking.closely());
    notices.extend(clocks.notices(plan.clock.now()));
    // Whatever was started later than this is not what is asked now.
    let (asked, servers) = (plan.clock.now(), remote::source_servers(&remote));
    // Asked once more, now that the clocks are known.
    let identity = match again(&asking, closely).await {
        Ok(identity) => identity,
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    };
    if identity.0.iter().all(|process| process.started.is_none()) {
        notices.push(
            "the source's cache keeps no statistics, and cannot say since when it runs: whenever its cluster changes, \
             it counts as started again, and accept-source-loss has to be given. Leave the source as it is unless its \
             entries survive a restart, because they are in a store or its servers are restarted one after the other. \
             If they do: disconnect, set statistics=\"true\" for this cache and its container in the source's \
             configuration file, restart the source, and connect again: connect says whether it needs --fresh. Do not \
             set it at run time: afterwards an Infinispan server may not start any more (ISPN000438)"
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
    match hidden_keys(&remote, plan.config.encoding.key.as_ref()).await {
        Ok(None) => {}
        Ok(Some(problem)) => {
            problems.push(problem);
            return None;
        }
        Err(error) => {
            problems.push(of_client(&error));
            return None;
        }
    }
    if space == SourceSpace::Unit {
        notices.push(
            "the source does not place its keys by their hash in segments: it is complete only as a \
             whole"
                .into(),
        );
    }
    let attempt = Attempt {
        cache: plan.cache.name(),
        remote: plan.remote,
        identity: &identity,
        servers: &servers,
        asked: asked.millis() / 1_000,
        space,
        changed: plan.cache.changed_since_disconnect(),
        fresh: plan.fresh,
    };
    match attempt.after(plan.past) {
        Ok(start) => {
            let connection = Connection {
                remote: plan.remote.clone(),
                space: start.space,
                identity: start.identity,
                since: since(asked, plan.past),
                complete: start.complete,
                marked: start.marked,
                cleared: start.cleared,
                forgets: start.forgets,
                imported: None,
                count: start.count,
                lost: start.lost,
            };
            Some(Seen { remote, clocks, connection, beginning: start.beginning })
        }
        Err(gap) => {
            problems.push(could_come_back(plan, gap));
            None
        }
    }
}

/// Returns whether the source is this server: it would be asked for what it asks for.
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

/// The source announces an address to its clients that leads here.
fn announces_ourselves(server: &ServerAddress) -> Problem {
    let text = format!(
        "the source announces {server} to its clients, and that address leads to this server: a cache cannot be its own \
         source. Let the source announce an address that leads to it (external-host and external-port of its \
         connector), or lead this one to it again until the cache is disconnected"
    );
    Problem { code: ProblemCode::Ourselves, text }
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

/// Returns whether a source keeps protostream although it names no formats. A real server does so for an
/// indexed cache without an encoding. It shows in what becomes of a key in JSON: only such a cache reads it,
/// and refuses what is no JSON.
async fn keeps_protostream(remote: &RemoteCache) -> bool {
    let theirs = remote.media_types();
    if theirs.key.is_some()
        || theirs.value.is_some()
        || remote.protocol_version() < remote::NAMES_FORMATS
    {
        return false;
    }
    let asked = remote.in_formats(MediaTypes { key: Some(MediaType::JSON), value: None });
    let [json, no_json] = [r#"{"_type":"string","_value":"godwit-preflight-0e5f7d"}"#, "godwit {"];
    asked.get_with_metadata(json.as_bytes()).await.is_ok()
        && matches!(
            asked.get_with_metadata(no_json.as_bytes()).await,
            Err(ClientError::Server { .. })
        )
}

/// Returns whether keys and values have the same form on both sides: bytes pass as they are.
fn media_types(plan: &Plan<'_>, remote: &RemoteCache, keeps_protostream: bool) -> Vec<Problem> {
    if plan.cache.name().is_internal() {
        return Vec::new();
    }
    let version = remote.protocol_version();
    let (theirs, ours) = (remote.media_types(), &plan.config.encoding);
    let cache = plan.cache.name();
    [("keys", &theirs.key, &ours.key), ("values", &theirs.value, &ours.value)]
        .into_iter()
        .filter(|(_, _, ours)| !keeps_protostream || **ours != Some(MediaType::PROTOSTREAM))
        .filter_map(|(what, theirs, ours)| {
            mismatch(what, (theirs.as_ref(), version), ours.as_ref(), cache)
        })
        .map(|text| problem(ProblemCode::MediaTypes, text))
        .collect()
}

/// What is wrong with the media type of keys or values at the source, whose protocol version is this,
/// and here.
fn mismatch(
    what: &str,
    (theirs, version): (Option<&MediaType>, ProtocolVersion),
    ours: Option<&MediaType>,
    cache: &CacheName,
) -> Option<String> {
    if Conversion::same_bytes(theirs, ours) {
        return None;
    }
    let shown = |media_type: Option<&MediaType>| {
        media_type.map_or_else(|| "no media type".to_owned(), ToString::to_string)
    };
    let ours = shown(ours);
    if theirs.is_none() && version < remote::NAMES_FORMATS {
        return Some(format!(
            "the source speaks protocol version {version}, in which it cannot say what {what} are, and \
             they are {ours} here: create cache {cache} without an encoding"
        ));
    }
    let theirs = shown(theirs);
    Some(format!(
        "{what} are {theirs} at the source and {ours} here: create cache {cache} with the source's encoding"
    ))
}

/// Returns whether the user may read entries, one by one and all of them. Nothing is written.
async fn permissions(remote: &RemoteCache, user: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refused = |what: &str, error: &ClientError| {
        let text = if is_about_permissions(error) {
            let as_whom =
                user.map_or_else(|| "without a user".to_owned(), |user| format!("as {user}"));
            format!("the source refuses {what} {as_whom}: {}", chain(error))
        } else {
            format!("the source fails {what}: {}", chain(error))
        };
        problems.push(problem(of_client(error).code, text));
    };
    let key = remote::nobodys_key(remote.formats().key.as_ref());
    if let Err(error) = remote.get_with_metadata(&key).await {
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

/// Returns whether a server refuses the user rather than the request.
fn is_about_permissions(error: &ClientError) -> bool {
    let ClientError::Server { text, .. } = error else { return false };
    // Not logged in; not allowed to.
    ["SecurityException", "ISPN006017", "ISPN000287"].iter().any(|said| text.contains(said))
}

/// Returns whether the cache may hold fewer entries than the source has.
async fn too_small(plan: &Plan<'_>, remote: &RemoteCache) -> Option<String> {
    let most = plan.config.memory.max_count?;
    let theirs = remote.size().await.ok()?;
    let then = match plan.config.memory.when_full {
        config::WhenFull::Remove => {
            "some will be evicted, of those that clients write here as well, which are nowhere else"
        }
        config::WhenFull::Exception => "all are taken in, and writes of new keys will be refused",
    };
    (theirs > most).then(|| {
        format!(
            "the source has {theirs} entries and cache {} holds at most {most}: {then}",
            plan.cache.name()
        )
    })
}

pub(crate) fn could_come_back(plan: &Plan<'_>, gap: Gap) -> Problem {
    let text = format!(
        "cache {} had a source before, and this connection does not provably continue that one: {gap}. \
         Keys that clients have removed here could come back from the source. To accept that, connect \
         with --fresh (REST: fresh=true), which copies everything anew; entries that are here stay",
        plan.cache.name()
    );
    Problem { code: ProblemCode::Reconnect, text }
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
        ClientError::Server { .. } if is_about_permissions(error) => ProblemCode::Permission,
        ClientError::Server { .. }
        | ClientError::Protocol { .. }
        | ClientError::InvalidIteration { .. } => ProblemCode::Protocol,
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
    fn formats_that_differ_are_named_with_what_tells_them_apart() {
        let cache: CacheName = "c".parse().unwrap();
        let of = |theirs: Option<&str>, version, ours: Option<&str>| {
            let parsed = |text: Option<&str>| text.map(|text| text.parse::<MediaType>().unwrap());
            let (theirs, ours) = (parsed(theirs), parsed(ours));
            mismatch("keys", (theirs.as_ref(), version), ours.as_ref(), &cache)
        };
        let (new, old) = (ProtocolVersion::V4_1, ProtocolVersion::V2_5);
        let protostream = Some("application/x-protostream");
        assert_eq!(of(protostream, new, protostream), None);
        assert_eq!(of(Some("application/x-java-object"), new, protostream), None);
        assert_eq!(of(None, new, Some("application/octet-stream")), None);
        assert_eq!(of(None, old, None), None);
        assert_eq!(
            of(Some("text/plain; charset=ISO-8859-1"), new, Some("text/plain")).unwrap(),
            "keys are text/plain; charset=ISO-8859-1 at the source and text/plain here: create cache c with \
             the source's encoding"
        );
        assert_eq!(
            of(None, new, protostream).unwrap(),
            "keys are no media type at the source and application/x-protostream here: create cache c with \
             the source's encoding"
        );
        assert_eq!(
            of(None, old, protostream).unwrap(),
            "the source speaks protocol version 2.5, in which it cannot say what keys are, and they are \
             application/x-protostream here: create cache c without an encoding"
        );
    }

    #[test]
    fn only_a_refusal_because_of_who_asks_is_one() {
        let error = |text: &str| ClientError::Server {
            server: ServerAddress { host: "a".into(), port: 1 },
            operation: "GET",
            status: client::Status::ServerError,
            text: text.into(),
        };
        for text in [
            "java.lang.SecurityException: ISPN006017: Operation 'GET' requires authentication",
            "java.lang.SecurityException: ISPN000287: Unauthorized access: subject 'u' lacks 'READ'",
        ] {
            assert_eq!(of_client(&error(text)).code, ProblemCode::Permission, "{text}");
        }
        for text in [
            "org.infinispan.commons.dataconversion.EncodingException: ISPN000655: Unable to convert",
            "java.lang.IllegalStateException: Unexpected tag : 34",
        ] {
            assert_eq!(of_client(&error(text)).code, ProblemCode::Protocol, "{text}");
        }
    }
}
