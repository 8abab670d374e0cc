//! Pages in a browser, which may send requests to a server on the same machine or behind a firewall.

use client::RequestExpiration;
use config::{CorsRule, ServerFile};
use http::{Method, StatusCode};

use crate::harness::{OCTETS, ServerProcess, TestServer, eventually};

/// Requests that change something, as a page can send them.
fn changes() -> Vec<(Method, &'static str)> {
    let post = [
        "/rest/v2/server?action=stop",
        "/v2/server?action=stop",
        "/rest/v2/server/?action=stop",
        "/rest/v2/cluster?action=stop",
        "/rest/v2/container?action=shutdown",
        "/rest/v2/caches/c?action=clear",
        "/v2/caches/c?action=clear",
        "/rest/v2/caches/c/?action=clear",
        "/rest/v2/caches/c?action=stats-reset",
        "/rest/v2/caches/c?action=sync-data",
        "/rest/v2/caches/c?action=disconnect-source&force=true",
        "/rest/v2/caches/c?action=assign-alias&alias=other",
        "/rest/v2/caches/c?action=set-mutable-attribute&attribute-name=memory.max-count&attribute-value=1",
        "/rest/v2/caches/c?action=set-availability&availability=AVAILABLE",
        "/rest/v2/caches/c/rolling-upgrade?action=accept-loss",
        "/rest/v2/caches/c/rolling-upgrade?action=accept-source-loss",
        "/rest/v2/caches/c/rolling-upgrade?action=cancel",
        "/rest/v2/caches/c/rolling-upgrade/_cancel",
        "/rest/v2/caches/c/rolling-upgrade/source-connection",
        "/rest/v2/caches/made?template=org.infinispan.LOCAL",
        "/rest/v2/caches/c/k2",
        "/rest/v2/schemas/page.proto",
    ];
    let delete = [
        "/rest/v2/caches/c",
        "/rest/v2/caches/c/k",
        "/rest/v2/caches/c/rolling-upgrade/source-connection",
    ];
    let put = ["/rest/v2/caches/c/k", "/rest/v2/caches/c", "/rest/v2/schemas/page.proto"];
    let of = |method: Method, paths: &[&'static str]| -> Vec<_> {
        paths.iter().map(|path| (method.clone(), *path)).collect()
    };
    [of(Method::POST, &post), of(Method::DELETE, &delete), of(Method::PUT, &put)].concat()
}

/// A server with one entry in the cache `c`.
async fn with_an_entry(file: ServerFile) -> TestServer {
    let server = TestServer::start_with(file).await;
    let cache = server.cache("c").await;
    cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    server
}

/// Asserts that nothing of it has changed.
async fn is_as_before(server: &TestServer) {
    let answer = server.rest.get("/rest/v2/caches/c/k").await.with(200);
    assert_eq!(answer.text(), "v");
    assert_eq!(server.rest.get("/rest/v2/caches/c?action=size").await.with(200).text(), "1");
    server.rest.get("/rest/v2/caches/made").await.with(404);
    server.rest.get("/rest/v2/caches/other").await.with(404);
    server.rest.get("/rest/v2/schemas/page.proto").await.with(404);
    let stats = server.rest.get("/rest/v2/caches/c?action=stats").await.with(200).json();
    assert_eq!(stats["stores"], 1);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_and_reads_nothing() {
    let server = with_an_entry(ServerFile::default()).await;
    // What forms can send goes out without a preflight.
    let forms =
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"];
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1"] {
        let origin = ("Origin", origin);
        for (method, path) in changes() {
            let answer = server.rest.call(method.clone(), path, &[origin], "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} from {origin:?}");
            assert!(answer.text().contains("cors-rules"), "{}", answer.text());
            let wants = ("Access-Control-Request-Method", method.as_str());
            let headers = [origin, wants, ("Access-Control-Request-Headers", "content-type")];
            let preflight = server.rest.call(Method::OPTIONS, path, &headers, "").await.with(403);
            assert_eq!(preflight.headers.get("access-control-allow-origin"), None);
        }
        for form in forms {
            let headers = [origin, ("Content-Type", form)];
            let stop = "/rest/v2/server?action=stop";
            server.rest.call(Method::POST, stop, &headers, "a=b").await.with(403);
        }
        for path in ["/", "/metrics", "/health/live", "/rest/v2/caches/c/k", "/nowhere"] {
            server.rest.call(Method::GET, path, &[origin], "").await.with(403);
            server.rest.call(Method::HEAD, path, &[origin], "").await.with(403);
        }
    }
    is_as_before(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_the_server_itself_and_one_of_a_rule_may_do_everything() {
    let app = CorsRule {
        name: "app".into(),
        origins: vec!["http://app.example.org".into()],
        methods: vec!["DELETE".into()],
        ..CorsRule::default()
    };
    let server = with_an_entry(ServerFile { cors: vec![app], ..ServerFile::default() }).await;
    let address = server.address();
    // A proxy in front of it may speak HTTPS to the browser.
    for scheme in ["http", "https"] {
        let origin = format!("{scheme}://{address}");
        let headers = [("Origin", origin.as_str()), ("Content-Type", "text/plain")];
        let path = format!("/rest/v2/caches/c/{scheme}");
        server.rest.call(Method::POST, &path, &headers, "v").await.with(204);
        server.rest.call(Method::GET, &path, &headers, "").await.with(200);
    }
    let app = ("Origin", "http://app.example.org");
    let wants = ("Access-Control-Request-Method", "DELETE");
    let k = "/rest/v2/caches/c/k";
    let preflight = server.rest.call(Method::OPTIONS, k, &[app, wants], "").await.with(200);
    assert_eq!(preflight.headers["access-control-allow-origin"], app.1);
    server.rest.call(Method::DELETE, k, &[app], "").await.with(204);
    server.rest.call(Method::POST, "/rest/v2/server?action=stop", &[app], "").await.with(204);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_to_loopback_is_refused_unless_it_is_allowed() {
    let hosts = vec!["cache.example.org".parse().unwrap()];
    let file = ServerFile { allowed_hosts: hosts, ..ServerFile::default() };
    let server = with_an_entry(file).await;
    let port = server.address().port();
    let host = |name: &str| format!("{name}:{port}");
    // To the browser, the page and the server have the same origin.
    let (evil, origin) = (host("evil.example"), format!("http://{}", host("evil.example")));
    for (method, path) in changes() {
        for headers in [&[("Host", evil.as_str()), ("Origin", &origin)][..], &[("Host", &evil)]] {
            let answer = server.rest.call(method.clone(), path, headers, "").await.with(403);
            assert!(answer.text().contains("--allowed-hosts"), "{}", answer.text());
        }
    }
    server.rest.call(Method::GET, "/rest/v2/caches/c/k", &[("Host", &evil)], "").await.with(403);
    is_as_before(&server).await;
    for name in ["localhost", "127.0.0.1", "[::1]", "cache.example.org"] {
        let (host, origin) = (host(name), format!("https://{}", host(name)));
        let headers = [("Host", host.as_str()), ("Origin", &origin)];
        server.rest.call(Method::PUT, "/rest/v2/caches/c/k", &headers, "w").await.with(204);
    }
    server.stop().await;
}

#[tokio::test]
async fn names_of_services_lead_to_a_server_that_other_machines_reach() {
    let everywhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    let file = ServerFile {
        bind_address: Some(everywhere),
        insecure: Some(true),
        ..ServerFile::default()
    };
    let server = with_an_entry(file).await;
    for name in ["cache.default.svc.cluster.local:11222", "cache.example.org", "10.0.0.7"] {
        let origin = format!("https://{name}");
        let headers = [("Host", name), ("Origin", origin.as_str())];
        server.rest.call(Method::GET, "/rest/v2/caches/c/k", &headers, "").await.with(200);
        let headers = [("Host", name), ("Origin", "http://evil.example")];
        server.rest.call(Method::GET, "/rest/v2/caches/c/k", &headers, "").await.with(403);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_names_the_process_only_to_those_who_ask_for_it() {
    let server = with_an_entry(ServerFile::default()).await;
    let path = "/rest/v2/caches/c/k";
    let process = async |headers: &[(&str, &str)]| {
        let answer = server.rest.call(Method::GET, path, headers, "").await.with(200);
        answer.headers.get("godwit-process").is_some_and(|process| !process.is_empty())
    };
    assert!(!process(&[]).await);
    assert!(process(&[("godwit-process", "?")]).await);
    server.stop().await;
}

#[tokio::test]
async fn no_get_changes_anything() {
    // An image or a link in any page makes a browser send a GET, and without an origin.
    let server = with_an_entry(ServerFile::default()).await;
    for (_, path) in changes() {
        // Without an action, a GET of the same path reads.
        for method in [Method::GET, Method::HEAD] {
            let answer = server.rest.call(method.clone(), path, &[], "").await;
            let refused = !answer.status.is_success();
            assert!(refused || !path.contains("action="), "{method} {path}: {}", answer.status);
        }
    }
    let clear = server.rest.get("/rest/v2/caches/c?action=clear").await.with(405);
    assert!(clear.text().contains("use POST"), "{}", clear.text());
    let read = server.rest.get("/rest/v2/caches/c?action=stats").await.with(200).json();
    assert_eq!(read["stores"], 1);
    is_as_before(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn allowed_hosts_are_a_flag_and_a_refusal_is_logged_once() {
    let server = ServerProcess::start(&["--allowed-hosts", "a.example.org,B.example.org"]).await;
    server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    for name in ["a.example.org", "b.example.org"] {
        server.rest.call(Method::GET, "/rest/v2/caches", &[("Host", name)], "").await.with(200);
    }
    for _ in 0..3 {
        let other = [("Host", "c.example.org")];
        server.rest.call(Method::GET, "/rest/v2/caches", &other, "").await.with(403);
        let page = [("Origin", "http://evil.example")];
        server.rest.call(Method::GET, "/rest/v2/caches", &page, "").await.with(403);
    }
    let log = eventually("the first is logged", || async {
        let log = server.later_log();
        log.contains("'c.example.org'").then_some(log)
    })
    .await;
    assert_eq!(log.lines().filter(|line| line.contains("refused requests")).count(), 1, "{log}");
    assert!(server.terminate().await.success());
}
