//! What we do not do yet, clients are told; their connection goes on.

use crate::harness::{
    Faulty, TestServer,
    infinispan::{Ran, java_program, javascript},
    note,
};

const CACHE: &str = "refusals";

/// What the Java clients ask for, and the operations by which they do; clients differ.
const JAVA: &[(&str, &[&str])] = &[
    ("listener", &["ADD_CLIENT_LISTENER"]),
    ("write to a stream", &["PUT_STREAM", "START_PUT_STREAM"]),
    ("read from a stream", &["GET_STREAM", "START_GET_STREAM"]),
    ("put into a multimap", &["PUT_MULTIMAP"]),
    ("get from a multimap", &["GET_MULTIMAP"]),
    ("remove from a multimap", &["REMOVE_KEY_MULTIMAP"]),
    ("size of a multimap", &["SIZE_MULTIMAP"]),
];

const COUNTERS: &[(&str, &[&str])] = &[
    ("define UNBOUNDED_STRONG", &["COUNTER_CREATE"]),
    ("define BOUNDED_STRONG", &["COUNTER_CREATE"]),
    ("define WEAK", &["COUNTER_CREATE"]),
    ("is it defined", &["COUNTER_IS_DEFINED"]),
    ("its configuration", &["COUNTER_GET_CONFIGURATION"]),
    ("names", &["COUNTER_GET_NAMES"]),
    ("count", &["COUNTER_GET_CONFIGURATION"]),
    ("remove", &["COUNTER_REMOVE"]),
];

const JAVASCRIPT: &[(&str, &[&str])] = &[("query", &["QUERY"])];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_yet_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start().await;
    let config =
        r#"{"distributed-cache":{"mode":"SYNC","encoding":{"media-type":"application/json"}}}"#;
    server.cache_of(CACHE, config).await;
    for client in ["client-11", "client-14", "client-15", "client-16"] {
        let program = java_program("Refusals", client);
        let relay = Faulty::start(server.address()).await;
        check(client, JAVA, &program.run(arguments(&relay)).await, &relay);
    }
    let relay = Faulty::start(server.address()).await;
    let counters = java_program("Counters", "client-16").run(arguments(&relay)).await;
    check("counters", COUNTERS, &counters, &relay);
    let relay = Faulty::start(server.address()).await;
    let ran = javascript("refusals.mjs", arguments(&relay)).await;
    check("JavaScript", JAVASCRIPT, &ran, &relay);
}

fn arguments(relay: &Faulty) -> Vec<String> {
    vec![relay.address.port().to_string(), CACHE.to_owned()]
}

/// Each step was refused by the name of its operation, and the next one came out.
fn check(client: &str, expected: &[(&str, &[&str])], ran: &Ran, relay: &Faulty) {
    let lines = ran.lines();
    note(format_args!("{client}: {} steps, {} connections", lines.len(), relay.connections()));
    for line in &lines {
        assert!(line.ends_with(" | then 1"), "{client}: {line}");
    }
    for (step, operations) in expected {
        let prefix = format!("{step} -> ! ");
        let line = lines.iter().find(|line| line.starts_with(&prefix));
        let line = line.unwrap_or_else(|| panic!("{client}: {step} was not refused: {lines:#?}"));
        let named =
            |operation: &&str| line.contains(&format!("({operation} is not supported yet)"));
        assert!(operations.iter().any(named), "{client}: {line}");
    }
    assert_eq!(relay.connections(), 1, "{client}");
}
