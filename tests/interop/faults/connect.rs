//! A connection that cannot come about says why, and nothing of it stays behind.

use std::net::SocketAddr;

use client::{RemoteCache, RequestExpiration};
use http::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::Instant};

use super::path;
use crate::harness::{
    TestServer,
    infinispan::{Infinispan, PASSWORD, Setup, USER, Version, cache_element},
    note,
};

/// The cache that is not connected.
const CACHE: &str = "c";

/// What stands in the way, and how it is told.
struct Case {
    what: &'static str,
    document: String,
    /// The kind of each problem, in the order in which they are told.
    codes: &'static [&'static str],
    /// What the texts must name.
    named: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_made_leaves_nothing_behind() {
    let elements = [
        cache_element("octets", "application/octet-stream", ""),
        cache_element("protostream", "application/x-protostream", ""),
    ];
    let source = Infinispan::start(Setup::new(Version::V16, elements.concat())).await;
    let target = TestServer::start().await;
    let cache = target.cache(CACHE).await;
    cache.put(b"mine", b"before", RequestExpiration::default()).await.unwrap();
    let silent = Endpoint::silent().await;
    let other = Endpoint::of_another_kind().await;
    for case in cases(&source, &target, silent, other) {
        let begin = Instant::now();
        refused(&target, &case).await;
        nothing_stays_behind(&target, &cache).await;
        note(format_args!(
            "{}: refused in {:.1} s",
            case.what,
            begin.elapsed().as_secs_f64() / 2.0
        ));
    }

    let right = source.document("octets").to_string();
    let connection = path(CACHE, "/rolling-upgrade/source-connection");
    target.rest.post(&connection, right.clone()).await.with(204);
    target.rest.post(&connection, right).await.with(304);
    assert!(!target.rest.get(&connection).await.with(200).text().contains(PASSWORD));
    target.rest.delete(&connection).await.with(409);
    target.rest.delete(&format!("{connection}?force=true")).await.with(200);
    target.stop().await;
}

/// Both forms of the refusal: as people read it, and as programs do.
async fn refused(target: &TestServer, case: &Case) {
    let connection = path(CACHE, "/rolling-upgrade/source-connection");
    let answer = target.rest.post(&connection, case.document.clone()).await;
    let text = answer.text().to_owned();
    assert_eq!(answer.status, 400, "{}: {text}", case.what);
    assert!(text.contains(&case.named), "{}: {text}", case.what);
    assert!(!text.contains(PASSWORD), "{}: {text}", case.what);
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let document = case.document.clone();
    let answer = target.rest.call(Method::POST, &connection, &headers, document).await.with(400);
    let answer = answer.json();
    let problems = answer["problems"].as_array().unwrap();
    let codes: Vec<&str> = problems.iter().filter_map(|problem| problem["code"].as_str()).collect();
    assert_eq!(codes, case.codes, "{}: {problems:?}", case.what);
}

async fn nothing_stays_behind(target: &TestServer, cache: &RemoteCache) {
    let rest = &target.rest;
    let connection = path(CACHE, "/rolling-upgrade/source-connection");
    rest.get(&connection).await.with(404);
    rest.call(Method::HEAD, &connection, &[], "").await.with(404);
    rest.delete(&connection).await.with(304);
    rest.post(&path(CACHE, "?action=sync-data"), "").await.with(500);
    assert_eq!(rest.migration(CACHE).await["state"], "DISCONNECTED");
    rest.get("/rest/v2/container/stats").await.with(200);
    assert_eq!(cache.get(b"mine").await.unwrap().unwrap(), &b"before"[..]);
    assert_eq!(cache.get(b"missing").await.unwrap(), None);
    let put = cache.put_if_absent(b"other", b"v", RequestExpiration::default()).await.unwrap();
    assert!(put.is_done());
    assert!(cache.remove(b"other").await.unwrap().is_done());
    assert_eq!(cache.size().await.unwrap(), 1);
}

fn cases(
    source: &Infinispan,
    target: &TestServer,
    silent: SocketAddr,
    other: SocketAddr,
) -> Vec<Case> {
    let right = source.document("octets");
    let case = |what, document: Value, codes, named: &str| {
        let document = json!({ "remote-store": document }).to_string();
        Case { what, document, codes, named: named.to_owned() }
    };
    let store = |member: &str, value: Value| {
        let mut store = right["remote-store"].clone();
        store[member] = value;
        store
    };
    let login = |user: &str, password: &str| {
        let digest = json!({ "username": user, "password": password, "realm": "default" });
        store("security", json!({ "authentication": { "digest": digest } }))
    };
    let server = |host: &str, port| store("remote-server", json!([{ "host": host, "port": port }]));
    let at = |address: SocketAddr| server(&address.ip().to_string(), address.port());
    let mut without_user = store("cache", json!("protostream"));
    without_user.as_object_mut().unwrap().remove("security");
    let closed = crate::harness::infinispan::free_port();
    let mut cases = vec![
        case(
            "wrong password",
            login(USER, "wrong"),
            &["credentials"],
            "refuses the login of \"admin\"",
        ),
        case(
            "wrong user",
            login("nobody", "secret"),
            &["credentials"],
            "refuses the login of \"nobody\"",
        ),
        case("no such cache", store("cache", json!("missing")), &["no-such-cache"], "\"missing\""),
        case(
            "other media types",
            store("cache", json!("protostream")),
            &["media-types", "media-types"],
            "keys are application/x-protostream at the source and application/octet-stream here",
        ),
        case(
            "no user and other media types",
            without_user,
            &["media-types", "media-types", "permission", "permission", "permission"],
            "without a user",
        ),
        case("closed port", server("127.0.0.1", closed), &["unreachable"], &closed.to_string()),
        case(
            "unknown host",
            server("no.such.host.invalid", 11222),
            &["unreachable"],
            "no.such.host",
        ),
        case("silence", at(silent), &["unreachable"], &silent.port().to_string()),
        case("no cache server", at(other), &["protocol"], &other.port().to_string()),
        case("itself", at(target.address()), &["ourselves"], "cannot be its own source"),
    ];
    cases.extend(spellings(&store));
    cases
}

/// What makes no sense in itself: nobody is asked.
fn spellings(store: &impl Fn(&str, Value) -> Value) -> Vec<Case> {
    let unknown_mechanism = json!({ "authentication": { "digest": {
        "username": "u", "password": "p", "sasl-mechanism": "ROT13",
    } } });
    let stores = [
        ("unknown attribute", store("bogus", json!(1)), "bogus"),
        ("unknown version", store("protocol-version", json!("9.9")), "Illegal version 9.9"),
        ("a source that is to be emptied", store("purge", json!(true)), "purge"),
        ("TLS", store("security", json!({ "encryption": { "protocol": "TLSv1.3" } })), "TLS"),
        ("unknown mechanism", store("security", unknown_mechanism), "ROT13"),
        ("no server", store("remote-server", json!([])), "remote-server"),
    ];
    let mut cases: Vec<Case> = stores
        .into_iter()
        .map(|(what, store, named)| Case {
            what,
            document: json!({ "remote-store": store }).to_string(),
            codes: &["description"],
            named: named.to_owned(),
        })
        .collect();
    for (what, document, named) in [
        ("no JSON", "{bad", "Invalid JSON"),
        ("nothing", "", "A remote-store config must be provided"),
        (
            "another element",
            r#"{"file-store":{}}"#,
            "a single remote-store element must be provided",
        ),
    ] {
        let (document, named) = (document.to_owned(), named.to_owned());
        cases.push(Case { what, document, codes: &["description"], named });
    }
    cases
}

/// Something that listens and is no source.
struct Endpoint;

impl Endpoint {
    /// It takes connections, and says nothing.
    async fn silent() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                taken.push(stream);
            }
        });
        address
    }

    /// It says something that no cache server does.
    async fn of_another_kind() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                taken.push(stream);
            }
        });
        address
    }
}
