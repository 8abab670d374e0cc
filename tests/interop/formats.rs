//! Entries of every format come over from servers of every line, and are read as before.
//!
//! An application of the same line writes them into the source. The same application then reads them
//! from the source, from a target that reads through, and from one that has copied everything and was
//! disconnected: the three must be equal, types of values included. `docs/migrating.md` says what came
//! of it.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{
    Rest, TestServer,
    infinispan::{Infinispan, Setup, Version, java_program},
    note,
};

/// A cache, how the documentation calls its format, and the media types of its keys and values.
struct Format {
    cache: &'static str,
    row: &'static str,
    types: Option<(&'static str, &'static str)>,
}

const fn format(cache: &'static str, row: &'static str, both: &'static str) -> Format {
    Format { cache, row, types: Some((both, both)) }
}

const FORMATS: [Format; 11] = [
    format("octets", "`application/octet-stream`", "application/octet-stream"),
    format("text", "`text/plain`", "text/plain"),
    format("latin", "`text/plain; charset=ISO-8859-1`", "text/plain; charset=ISO-8859-1"),
    format("json", "`application/json`", "application/json"),
    format("xml", "`application/xml`", "application/xml"),
    Format {
        cache: "text-json",
        row: "keys `text/plain`, values `application/json`",
        types: Some(("text/plain", "application/json")),
    },
    format("protostream", "`application/x-protostream`", "application/x-protostream"),
    format("object", "`application/x-java-object`", "application/x-java-object"),
    format("jboss", "`application/x-jboss-marshalling`", "application/x-jboss-marshalling"),
    Format { cache: "none", row: "none", types: None },
    Format { cache: INDEXED, row: "none, indexed", types: None },
];

/// A cache that can only be made once its schema is there.
const INDEXED: &str = "indexed";

/// The schema, as the application writes it once more.
const SCHEMA: &str =
    "package godwit; /* @Indexed */ message Bird { /* @Basic */ optional string name = 1; }";

/// Caches that every server has.
const INTERNAL: [(&str, &str); 2] =
    [("___protobuf_metadata", "`___protobuf_metadata`"), ("___script_cache", "`___script_cache`")];

/// What was found out, as users read it.
const DOCUMENTATION: &str = include_str!("../../docs/migrating.md");

#[tokio::test(flavor = "multi_thread")]
async fn every_format_comes_over_from_14() {
    come_over(Version::V14, "14.0.28", "client-14").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_comes_over_from_15() {
    come_over(Version::V15, "15.2.6", "client-15").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_comes_over_from_16() {
    come_over(Version::V16, "16.0.7", "client-16").await;
}

#[test]
fn every_cell_of_the_documentation_is_tried() {
    let table = DOCUMENTATION.lines().skip_while(|line| !line.contains("| 14.0.28 |"));
    let table: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    assert_eq!(cells(table[0])[2..5], ["14.0.28", "15.2.6", "16.0.7"]);
    let documented: Vec<&str> = table[2..].iter().map(|line| cells(line)[1]).collect();
    let tried: Vec<&str> = rows().map(|(_, row)| row).collect();
    assert_eq!(documented, tried);
}

async fn come_over(version: Version, line: &str, client: &str) {
    let program = java_program("Formats", client);
    let from_start = FORMATS.iter().filter(|format| format.cache != INDEXED);
    let elements: String = from_start.map(Format::element).collect();
    let setup = Setup { login: false, ..Setup::new(version, elements) };
    let source = Infinispan::start(setup).await;
    let port = source.address().port().to_string();
    let rest = Rest::new(source.address());
    rest.call(Method::PUT, "/rest/v2/schemas/godwit.proto", &[], SCHEMA).await.with(200);
    for format in FORMATS.iter().filter(|format| format.cache == INDEXED) {
        let path = format!("/rest/v2/caches/{INDEXED}");
        rest.post(&path, format.json().to_string()).await.with(200);
    }
    let written = program.run(vec!["write".into(), port.clone()]).await;
    let entries = by_cache(&written.lines());

    let (reading, copying) = (TestServer::start().await, TestServer::start().await);
    for cache in caches() {
        for target in [&reading, &copying] {
            connect(target, &source, cache).await;
        }
        let expected = entries.get(cache).map_or(0, Vec::len) as u64;
        copy(&copying, cache, expected).await;
    }
    let ports = [reading.address(), copying.address()].map(|address| address.port().to_string());
    let read = program.run([vec!["read".into(), port], ports.to_vec()].concat()).await;
    let lines = read.lines();
    let servers: Vec<_> =
        lines.split(|line| line.starts_with("# ")).skip(1).map(by_cache).collect();
    let [theirs, read_through, copied] = servers.as_slice() else { panic!("{lines:#?}") };
    for (cache, row) in rows() {
        let expected = theirs.get(cache).cloned().unwrap_or_default();
        assert!(!expected.iter().any(|line| line.contains("-> ! ")), "{line}: {expected:#?}");
        for found in [read_through, copied] {
            assert_eq!(found.get(cache).cloned().unwrap_or_default(), expected, "{line}: {cache}");
        }
        assert_eq!(documented(row, line), "works", "{row} from {line}");
        note(format_args!("{line}, {cache}: {} entries read as before", expected.len()));
    }
    reading.stop().await;
    copying.stop().await;
}

fn caches() -> impl Iterator<Item = &'static str> {
    rows().map(|(cache, _)| cache)
}

/// Each cache with its row in the documentation.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMATS.iter().map(|format| (format.cache, format.row)).chain(INTERNAL)
}

impl Format {
    /// As an element of a server's configuration.
    fn element(&self) -> String {
        let encoding = self.types.map_or_else(String::new, |(key, value)| {
            format!(
                r#"<encoding><key media-type="{key}"/><value media-type="{value}"/></encoding>"#
            )
        });
        let name = self.cache;
        format!(
            r#"<distributed-cache name="{name}" mode="SYNC" statistics="true">{encoding}</distributed-cache>"#
        )
    }

    fn json(&self) -> Value {
        let mut config = json!({ "mode": "SYNC", "statistics": true });
        if let Some((key, value)) = self.types {
            config["encoding"] =
                json!({ "key": { "media-type": key }, "value": { "media-type": value } });
        }
        if self.cache == INDEXED {
            config["indexing"] = json!({
                "enabled": true, "storage": "local-heap", "indexed-entities": ["godwit.Bird"]
            });
        }
        json!({ "distributed-cache": config })
    }
}

/// Creates a cache as it is at the source, and connects it.
async fn connect(target: &TestServer, source: &Infinispan, cache: &str) {
    if let Some(format) = FORMATS.iter().find(|format| format.cache == cache) {
        let path = format!("/rest/v2/caches/{cache}");
        target.rest.post(&path, format.json().to_string()).await.with(200);
    }
    target.connect(cache, &source.document(cache).to_string()).await;
}

/// Copies everything, compares it with the source, and lets go of the source.
async fn copy(target: &TestServer, cache: &str, entries: u64) {
    assert_eq!(target.synchronize(cache).await, entries, "{cache}");
    let path = |rest: &str| format!("/rest/v2/caches/{cache}/rolling-upgrade{rest}");
    let report = target.rest.post(&path("?action=verify"), "").await.with(200).json();
    assert_eq!(
        (&report["same"], &report["compared"]),
        (&json!(entries), &json!(entries)),
        "{report:#}"
    );
    target.rest.delete(&path("/source-connection?strict=true")).await.with(204);
}

/// Lines of a program, by the cache that they begin with.
fn by_cache(lines: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut by_cache = BTreeMap::<String, Vec<String>>::new();
    for line in lines.iter().filter(|line| !line.starts_with("# ")) {
        let cache = line.split(' ').next().unwrap_or_default();
        by_cache.entry(cache.to_owned()).or_default().push((*line).to_owned());
    }
    by_cache
}

/// What the documentation says of a format at a source of this version.
fn documented(row: &str, version: &str) -> &'static str {
    let cells = |line: &'static str| line.split('|').map(str::trim);
    let mut lines = DOCUMENTATION.lines().filter(|line| line.starts_with('|'));
    let head = lines.find(|line| line.contains(version)).expect("the table of formats");
    let column = cells(head).position(|cell| cell == version).expect("its column");
    let line = lines.find(|line| cells(line).nth(1) == Some(row));
    line.and_then(|line| cells(line).nth(column)).unwrap_or_else(|| panic!("no row {row}"))
}
