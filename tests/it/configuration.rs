//! Configurations as operators have them: files of an Infinispan server, other names of caches, and
//! what is changed while the server is running.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Output,
};

use client::{Duration, RequestExpiration, ServerAddress};
use config::ServerFile;
use http::Method;
use serde_json::json;
use tokio::process::Command;

use crate::harness::{Faulty, OCTETS, ServerProcess, TestServer, binary};

async fn check(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--check-config").kill_on_drop(true).output().await.unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A file with most of what can stand in the way.
const WRONG: &str = r#"<infinispan><cache-container name="default">
  <transport cluster="c" stack="tcp"/>
  <distributed-cache-configuration name="unused"><transaction mode="NON_XA"/></distributed-cache-configuration>
  <distributed-cache name="a"><persistence><file-store/></persistence></distributed-cache>
  <distributed-cache name="b" onwers="3"><expiration lifespan="soon"/></distributed-cache>
  <distributed-cache name="c"><security><authorization/></security><locking isolation="NONE"/></distributed-cache>
  <local-cache name="d"><encoding media-type="application/x-protosteam"/></local-cache>
</cache-container></infinispan>"#;

#[tokio::test]
async fn everything_that_is_wrong_is_said_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "infinispan.xml", WRONG);
    let output = check(&["--config", &file, "--bind-address", "0.0.0.0"]).await;
    assert_eq!(output.status.code(), Some(78));
    let said = err(&output);
    for part in [
        "6 problems",
        "'file-store' is refused (line 4",
        "--lenient",
        "'onwers' encountered[5",
        "did you mean 'owners'",
        "'lifespan' is \"soon\" (line 5",
        "'authorization' is refused (line 6",
        "did you mean \"application/x-protostream\"",
        "0.0.0.0 can be reached from other machines",
        "WARN",
        "'stack' of 'transport'",
        "'locking' of 'distributed-cache'",
        "the configuration 'unused', which no cache can use",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }

    let right = WRONG
        .replace("onwers", "owners")
        .replace("soon", "1h")
        .replace("protosteam", "protostream");
    let file = write(folder.path(), "right.xml", &right);
    let flags = ["--config", &file, "--bind-address", "0.0.0.0", "--lenient", "--insecure"];
    let output = check(&flags).await;
    assert!(output.status.success(), "{}", err(&output));
    for part in ["'file-store' of cache 'a'", "'authorization' of cache 'c'"] {
        assert!(err(&output).contains(part), "{part:?} in {}", err(&output));
    }
}

#[tokio::test]
async fn a_file_that_passes_the_check_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    // Each quote takes two bytes of what is stored.
    let quotes = "\"".repeat(1_000_000);
    let template = format!(
        "<caches><distributed-cache-configuration name='t'><locking isolation='{quotes}'/></distributed-cache-configuration></caches>"
    );
    let template = write(folder.path(), "template.xml", &template);
    let large = format!(
        "<caches><distributed-cache name='large' configuration='t'><state-transfer timeout='{quotes}'/></distributed-cache></caches>"
    );
    for (file, wanted) in [
        ("<caches><local-cache name='___mine'/></caches>", "cache '___mine' cannot be configured"),
        (
            "<caches><local-cache name='a' aliases='___script_cache'/></caches>",
            "the alias '___script_cache' of cache 'a' is a name of cache '___script_cache'",
        ),
        (&large, "the configuration of large cannot be stored"),
    ] {
        let file = write(folder.path(), "caches.xml", file);
        let output = check(&["--config", &template, "--config", &file, "--data-dir", data]).await;
        assert_eq!(output.status.code(), Some(78), "{wanted}");
        assert!(err(&output).contains(wanted), "{wanted}: {}", err(&output));
    }
    // Without a data directory, nothing is stored.
    let file = folder.path().join("caches.xml");
    let output = check(&["--config", &template, "--config", file.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", err(&output));
}

#[tokio::test]
async fn the_root_of_an_infinispan_server_is_served_with_what_it_remembers() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "server/conf/infinispan.xml",
        r#"<infinispan><cache-container name="shop"><transport cluster="${infinispan.cluster.name:c}"/>
           <replicated-cache name="fixed" aliases="other"/>
           <distributed-cache-configuration name="base" owners="3"/></cache-container>
           <server><endpoints><endpoint socket-binding="default">
           <hotrod-connector external-host="cache.example.org" external-port="4711" max-content-length="2MB"/>
           <rest-connector><cors-rules><cors-rule name="app" allow-credentials="true" max-age-seconds="60">
           <allowed-origins>http://app.example.org</allowed-origins><allowed-methods>GET,PUT</allowed-methods>
           </cors-rule></cors-rules></rest-connector></endpoint></endpoints></server></infinispan>"#,
    );
    write(home.path(), "server/conf/log4j2.xml", "<Configuration/>");
    write(
        home.path(),
        "server/data/caches.xml",
        r#"<infinispan><cache-container><caches>
           <distributed-cache name="made-later" configuration="base" mode="SYNC"/></caches></cache-container></infinispan>"#,
    );
    let root = home.path().join("server");
    let root = root.to_str().unwrap();
    let flags =
        ["-s", root, "-Dinfinispan.cluster.name=mine", "-j", "tcp", "-k", "10.0.0.1", "-n", "one"];
    let server = ServerProcess::start(&flags).await;
    for flag in ["--cluster-stack", "--cluster-address"] {
        let notice = format!("WARN ignored: {flag}: there is one member");
        assert!(server.log().contains(&notice), "{flag}: {}", server.log());
    }
    let names = server.rest.get("/rest/v2/caches").await.with(200).json();
    for name in ["fixed", "made-later"] {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{names}");
    }
    let config = server.rest.get("/rest/v2/caches/made-later?action=config").await.with(200);
    assert_eq!(config.json()["made-later"]["distributed-cache"]["owners"], "3");
    let container = server.rest.get("/rest/v2/container").await.with(200).json();
    assert_eq!(container["cluster_name"], "mine");

    // The REST interface obeys the rules of the file.
    let app = ("Origin", "http://app.example.org");
    let wants = ("Access-Control-Request-Method", "PUT");
    let asked = server.rest.call(Method::OPTIONS, "/rest/v2/caches", &[app, wants], "").await;
    let asked = asked.with(200);
    assert_eq!(asked.headers["access-control-allow-origin"], app.1);
    assert_eq!(asked.headers["access-control-allow-methods"], "GET,PUT");
    assert_eq!(asked.headers["access-control-max-age"], "60");
    let read = server.rest.call(Method::GET, "/rest/v2/caches", &[app], "").await.with(200);
    assert_eq!(read.headers["access-control-allow-credentials"], "true");
    let other = [("Origin", "http://evil.example")];
    server.rest.call(Method::GET, "/rest/v2/caches", &other, "").await.with(403);
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn an_alias_opens_its_cache_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let server = ServerProcess::start(&["--data-dir", &data]).await;
    for cache in ["orders", "sales"] {
        server.rest.post(&format!("/rest/v2/caches/{cache}"), OCTETS).await.with(200);
    }
    let client = server.client().await;
    let assign = |cache: &'static str, alias: &'static str| {
        let client = client.clone();
        async move {
            let parameters = [("name", cache.as_bytes()), ("alias", alias.as_bytes())];
            client.exec("@@cache@assignAlias", &parameters).await.map(drop)
        }
    };
    assign("orders", "current").await.unwrap();
    let orders = client.cache("orders").await.unwrap();
    orders.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    let current = client.cache("current").await.unwrap();
    assert_eq!(current.get(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));
    current.put(b"l", b"w", RequestExpiration::NEVER).await.unwrap();
    server.rest.get("/rest/v2/caches/current?action=size").await.with(200);
    let detail = server.rest.get("/rest/v2/caches/current").await.with(200).json();
    assert_eq!((&detail["name"], &detail["aliases"]), (&json!("orders"), &json!(["current"])));

    // Names that are taken stay where they are.
    let error = assign("orders", "sales").await.unwrap_err().to_string();
    assert!(error.contains("ISPN000438"), "{error}");
    server.rest.post("/rest/v2/caches/current", OCTETS).await.with(400);
    let taken = OCTETS.replace(r#""mode""#, r#""aliases":["current"],"mode""#);
    let refused = server.rest.post("/rest/v2/caches/third", taken).await.with(400);
    assert!(refused.text().contains("ISPN000702"), "{}", refused.text());
    server.rest.call(Method::DELETE, "/rest/v2/caches/current", &[], "").await.with(404);

    // It moves to another cache, also for those who have it open.
    server.rest.post("/rest/v2/caches/sales?action=assign-alias&alias=current", "").await.with(200);
    assert_eq!(current.get(b"k").await.unwrap(), None);
    assert!(server.terminate().await.success());

    let server = ServerProcess::start(&["--data-dir", &data]).await;
    let detail = server.rest.get("/rest/v2/caches/current").await.with(200).json();
    assert_eq!(detail["name"], "sales");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn names_that_were_given_away_at_run_time_do_not_prevent_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("caches.xml"));
    let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
    fs::write(
        file,
        "<infinispan><cache-container>
           <local-cache name='orders'/>
           <local-cache name='sales' aliases='current latest other'/>
         </cache-container></infinispan>",
    )
    .unwrap();
    let arguments = ["--data-dir", data, "--config", file];
    let server = ServerProcess::start(&arguments).await;
    assert!(!server.log().contains("WARN"), "{}", server.log());
    for cache in ["orders", "sales"] {
        let path = format!("/rest/v2/caches/{cache}");
        server.rest.call(Method::DELETE, &path, &[], "").await.with(200);
    }
    // A cache gets the names of those that it stands in for, and one becomes a cache of its own.
    for cache in ["orders-v2", "latest"] {
        server.rest.post(&format!("/rest/v2/caches/{cache}"), OCTETS).await.with(200);
    }
    for alias in ["orders", "current"] {
        let path = format!("/rest/v2/caches/orders-v2?action=assign-alias&alias={alias}");
        server.rest.post(&path, "").await.with(200);
    }
    assert!(server.terminate().await.success());

    for start in ["the next one", "the one after it"] {
        let server = ServerProcess::start(&arguments).await;
        assert!(server.log().contains("a configured cache is not created"), "{}", server.log());
        let name = |path: &'static str| {
            let rest = server.rest.clone();
            async move { rest.get(path).await.with(200).json()["name"].clone() }
        };
        assert_eq!(name("/rest/v2/caches/orders").await, "orders-v2", "{start}");
        assert_eq!(name("/rest/v2/caches/current").await, "orders-v2", "{start}");
        assert_eq!(name("/rest/v2/caches/latest").await, "latest", "{start}");
        assert_eq!(name("/rest/v2/caches/other").await, "sales", "{start}: nobody else has it");
        assert!(server.terminate().await.success());
    }
}

#[tokio::test]
async fn attributes_and_templates_are_changed_by_tasks_and_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let server = ServerProcess::start(&["--data-dir", &data]).await;
    server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    let client = server.client().await;
    let set = |attribute: &'static str, value: &'static str| {
        let client = client.clone();
        async move {
            let (attribute, value) = (attribute.as_bytes(), value.as_bytes());
            let parameters = [("name", &b"c"[..]), ("attribute", attribute), ("value", value)];
            client.exec("@@cache@updateConfigurationAttribute", &parameters).await.map(drop)
        }
    };
    set("expiration.lifespan", "5s").await.unwrap();
    for (attribute, value, part) in [
        ("clustering.hash.owners", "1", "ISPN000962: Cannot modify protected attribute 'owners'"),
        ("bogus", "1", "ISPN000960: No attribute 'bogus' in 'distributed-cache'"),
        ("expiration.lifespan", "soon", "soon"),
    ] {
        let error = set(attribute, value).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let template =
        [("name", &b"mine"[..]), ("configuration", &b"<local-cache statistics='true'/>"[..])];
    client.exec("@@template@create", &template).await.unwrap();
    let error = client.exec("@@template@create", &template).await.unwrap_err().to_string();
    assert!(error.contains("ISPN000453"), "{error}");
    // Without a configuration, a cache is local.
    client.exec("@@cache@create", &[("name", b"plain")]).await.unwrap();
    assert!(server.terminate().await.success());

    let server = ServerProcess::start(&["--data-dir", &data]).await;
    let config = |name: &'static str| {
        let rest = server.rest.clone();
        async move {
            let path = format!("/rest/v2/caches/{name}?action=config");
            rest.get(&path).await.with(200).json()[name].clone()
        }
    };
    assert_eq!(config("c").await["distributed-cache"]["expiration"]["lifespan"], "5s");
    let client = server.client().await;
    client.exec("@@cache@create", &[("name", b"made"), ("template", b"mine")]).await.unwrap();
    assert_eq!(config("made").await, json!({ "local-cache": { "statistics": true } }));
    assert_eq!(config("plain").await, json!({ "local-cache": {} }));
    client.exec("@@template@remove", &[("name", b"mine")]).await.unwrap();
    let gone = client.exec("@@cache@create", &[("name", b"late"), ("template", b"mine")]).await;
    assert!(gone.unwrap_err().to_string().contains("ISPN000374"));
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn configurations_are_compared_converted_and_read_back_whole() {
    let server = TestServer::start().await;
    let compare = |other: &str| {
        let other = format!(r#"{{"distributed-cache":{{"mode":"SYNC",{other}}}}}"#);
        let part = |text: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{text}\r\n")
        };
        let one = part(r#"{"distributed-cache":{"mode":"SYNC"}}"#);
        let body = format!("{one}{}--B--\r\n", part(&other));
        let rest = server.rest.clone();
        async move {
            let headers = [("Content-Type", "multipart/form-data; boundary=B")];
            rest.call(Method::POST, "/rest/v2/caches?action=compare", &headers, body).await
        }
    };
    for (other, status) in [
        (r#""remote-timeout":"17500""#, 409),
        (r#""indexing":{"enabled":true,"indexed-entities":["a.B"]}"#, 409),
        (r#""partition-handling":{"when-split":"DENY_READ_WRITES"}"#, 409),
        (r#""transaction":{"mode":"NON_XA"}"#, 409),
        (r#""partition-handling":{"when-split":"ALLOW_READ_WRITES"},"owners":"2""#, 204),
    ] {
        compare(other).await.with(status);
    }
    let headers = [("Content-Type", "application/json"), ("Accept", "application/xml")];
    let json = r#"{"distributed-cache":{"mode":"SYNC","owners":"2","remote-timeout":"17500"}}"#;
    let path = "/rest/v2/caches?action=convert";
    let converted = server.rest.call(Method::POST, path, &headers, json).await.with(200);
    assert_eq!(
        converted.text(),
        r#"<?xml version="1.0"?><distributed-cache owners="2" mode="SYNC" remote-timeout="17500"/>"#
    );
    assert!(converted.headers.get("godwit-notice").is_none());
    let headers = [("Content-Type", "application/xml"), ("Accept", "application/json")];
    let whole = include_str!("../../config/samples/infinispan.xml");
    let converted = server.rest.call(Method::POST, path, &headers, whole).await.with(200);
    let notice = converted.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("only the caches are converted"), "{notice}");
    let lists = &converted.json()["infinispan"]["cache-container"];
    assert_eq!(lists["distributed-cache"][0]["name"], "orders", "{lists:#}");
    assert_eq!(lists["distributed-cache-configuration"][0]["name"], "shop-*", "{lists:#}");
    let config = r#"{"distributed-cache":{"mode":"SYNC","expiration":{"lifespan":"900000000000000000","max-idle":"1 s","interval":"-1"},"indexing":{"enabled":true,"indexed-entities":["a.B"]}}}"#;
    server.rest.post("/rest/v2/caches/c", config).await.with(200);
    let read = server.rest.get("/rest/v2/caches/c?action=config").await.with(200);
    assert_eq!(read.text(), format!(r#"{{"c":{config}}}"#));
    server.stop().await;
}

#[tokio::test]
async fn schemas_are_kept_as_they_were_sent_and_an_index_is_asked_for_in_vain() {
    let server = TestServer::start().await;
    let client = server.client().await;
    let ship = "package a; message Ship { }";
    let save = |op: &'static str, name: &'static str, content: &'static str| {
        let client = client.clone();
        async move {
            let content = content.as_bytes();
            let parameters =
                [("name", name.as_bytes()), ("content", content), ("op", op.as_bytes())];
            client.exec("@@schemas@createOrUpdate", &parameters).await
        }
    };
    for (op, content, saved) in [
        ("u", ship, "n"),
        ("c", ship, "c"),
        ("c", "message B { }", "n"),
        ("u", ship, "n"),
        ("u", "message C { }", "u"),
        ("s", ship, "u"),
    ] {
        assert_eq!(
            save(op, "ship.proto", content).await.unwrap(),
            saved.as_bytes(),
            "{op} {content}"
        );
    }
    assert!(save("s", "ship", ship).await.unwrap_err().to_string().contains("ISPN028009"));
    assert!(save("x", "ship.proto", ship).await.unwrap_err().to_string().contains("'op' is 'x'"));

    let rest = &server.rest;
    let listed = || async { rest.get("/rest/v2/schemas").await.with(200).json() };
    assert_eq!(listed().await, json!([{ "name": "ship.proto", "error": null }]));
    for name in ["ship", "ship.proto"] {
        let path = format!("/rest/v2/schemas/{name}");
        assert_eq!(rest.get(&path).await.with(200).text(), ship);
        rest.post(&path, ship).await.with(409);
    }
    rest.get("/rest/v2/schemas?action=types").await.with(501);
    rest.post("/rest/v2/schemas/boat", "").await.with(400);
    // A name that is no key: nobody could read or remove the entry.
    let long = "x".repeat(64 << 10);
    let parameters = [
        ("name", format!("{long}.proto")),
        ("content", "message X { }".into()),
        ("op", "c".into()),
    ];
    let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_bytes()));
    let refused = client.exec("@@schemas@createOrUpdate", &parameters).await.unwrap_err();
    assert!(refused.to_string().contains("limits.max-key is 65536 bytes"), "{refused}");
    let boat = rest.post("/rest/v2/schemas/boat", "message Boat { }").await.with(200).json();
    assert_eq!(boat, json!({ "name": "boat.proto", "error": null }));
    let put = rest.call(Method::PUT, "/rest/v2/schemas/boat.proto", &[], "message B { }").await;
    put.with(200);
    // Clients also read and write them as entries; a server that they came from may have left errors.
    let headers = [("Content-Type", "text/plain")];
    for (key, value) in [("raft.proto", "x {{"), ("raft.proto.errors", "no label")] {
        let path = format!("/rest/v2/caches/___protobuf_metadata/{key}");
        rest.call(Method::PUT, &path, &headers, value).await.with(204);
    }
    let error = json!({ "message": "Schema raft.proto has errors", "cause": "no label" });
    assert_eq!(listed().await[1], json!({ "name": "raft.proto", "error": error }));
    assert_eq!(save("s", "raft.proto", ship).await.unwrap(), "u".as_bytes());
    assert_eq!(listed().await[1]["error"], json!(null));
    for (name, removed) in [("boat.proto", "1"), ("boat.proto", "0")] {
        let parameters = [("name", name.as_bytes())];
        let answer = client.exec("@@schemas@delete", &parameters).await.unwrap();
        assert_eq!(answer, removed.as_bytes());
    }
    rest.delete("/rest/v2/schemas/ship").await.with(204);
    rest.delete("/rest/v2/schemas/ship").await.with(404);
    rest.get("/rest/v2/schemas/ship").await.with(404);

    let indexed = r#"{"local-cache":{"indexing":{"indexed-entities":["a.Ship"]}}}"#;
    rest.post("/rest/v2/caches/indexed", indexed).await.with(200);
    rest.post("/rest/v2/caches/plain", OCTETS).await.with(200);
    for task in ["@@cache@reindex", "@@cache@updateindexschema"] {
        assert_eq!(client.exec(task, &[("name", b"indexed")]).await.unwrap(), "".as_bytes());
        for (cache, part) in [("plain", "Indexing was not enabled"), ("nothing", "ISPN000436")] {
            let error = client.exec(task, &[("name", cache.as_bytes())]).await.unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn entries_of_a_cache_whose_lifespan_is_nothing_end_at_once() {
    let server = TestServer::start().await;
    let default = RequestExpiration { lifespan: Duration::Default, max_idle: Duration::Default };
    for expiration in [r#""lifespan":0"#, r#""max-idle":"0""#] {
        let config = format!(r#"{{"local-cache":{{"expiration":{{{expiration}}}}}}}"#);
        let cache = server.cache_of("c", &config).await;
        cache.put(b"k", b"v", default).await.unwrap();
        assert_eq!(cache.get(b"k").await.unwrap(), None, "{expiration}");
        cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
        assert_eq!(cache.get(b"k").await.unwrap().as_deref(), Some(&b"v"[..]), "{expiration}");
        server.rest.delete("/rest/v2/caches/c").await.with(200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_port_that_is_told_alone_leads_clients_to_the_address_that_they_know() {
    let relay = Faulty::start(([127, 0, 0, 1], 0).into()).await;
    let port = relay.address.port();
    let mut config = ServerFile {
        port: Some(0),
        // Which of its addresses a client uses is known only by its connection.
        bind_address: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        insecure: Some(true),
        external_port: Some(port),
        ..ServerFile::default()
    }
    .resolve(None)
    .unwrap();
    // A test is not reached from other machines.
    config.bind_address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = TestServer::start_as(config).await;
    relay.lead_to(server.address());
    let cache = server.cache("c").await;
    cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    assert_eq!(cache.get(b"k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(cache.servers(), [ServerAddress { host: "127.0.0.1".into(), port }]);
    assert!(relay.connections() > 0, "the client goes where it is told");
    server.stop().await;
}

#[tokio::test]
async fn names_of_internal_caches_are_refused_however_a_cache_is_created() {
    const REFUSED: &str = "belong to the server; take another";
    let server = TestServer::start().await;
    let client = server.client().await;
    for name in ["___mine", "org.infinispan.MINE"] {
        let path = format!("/rest/v2/caches/{name}");
        let mut said = Vec::new();
        for (method, kind, body) in [
            (Method::POST, "application/json", OCTETS),
            (Method::PUT, "application/json", OCTETS),
            (Method::POST, "application/xml", "<local-cache/>"),
            (Method::POST, "application/yaml", "localCache: {}"),
        ] {
            let answer = server.rest.call(method, &path, &[("content-type", kind)], body).await;
            said.push(answer.with(400).text().to_owned());
        }
        let copied = format!("{path}?template=org.infinispan.DIST_SYNC");
        said.push(server.rest.post(&copied, "").await.with(400).text().to_owned());
        said.push(client.create_cache(name, OCTETS).await.unwrap_err().to_string());
        for text in &said {
            assert!(text.contains(name) && text.contains(REFUSED), "{text}");
        }
        server.rest.get(&path).await.with(404);
        assert!(client.cache(name).await.is_err());
    }
    server.stop().await;
}
