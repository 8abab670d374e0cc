//! Administration by the Java client, and configurations read back, are as at a real server.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::{
    clients::TEMPLATES,
    harness::{
        Rest, TestServer,
        infinispan::{Infinispan, Setup, Version, java_program},
        note,
    },
};

/// A step that comes out otherwise here.
struct Difference {
    /// Name of the step.
    step: &'static str,
    /// What comes of it here, or how that begins.
    ours: &'static str,
    /// Why this is right too.
    reason: &'static str,
}

const IN_OUR_WORDS: &str = "it says the same in our words";

const DIFFERENCES: &[Difference] = &[
    Difference {
        step: "set expiration.lifespan to soon",
        ours: "! org.infinispan.commons.CacheException: 'lifespan' is \"soon\"; it has to be a time",
        reason: IN_OUR_WORDS,
    },
    Difference {
        step: "set jmx-statistics.statistics to maybe",
        ours: "! org.infinispan.commons.CacheException: 'statistics' is \"maybe\"; it has to be true or false",
        reason: IN_OUR_WORDS,
    },
    Difference {
        step: "set indexing.startup-mode to bogus",
        ours: "! org.infinispan.commons.CacheException: 'startup-mode' is \"bogus\"; it has to be PURGE or",
        reason: IN_OUR_WORDS,
    },
    Difference {
        step: "a new alias",
        ours: "first",
        reason: "16.0.7 only moves aliases that a cache has already, and refuses others as if they were missing caches",
    },
    Difference {
        step: "create a template of nonsense",
        ours: "! org.infinispan.commons.CacheConfigurationException: Unexpected attribute 'owner' encountered[1,20]; did \
               you mean 'owners'?",
        reason: "the place is that of the attribute",
    },
    Difference {
        step: "a cache under the name of a template",
        ours: "! org.infinispan.commons.CacheException: org.infinispan.commons.CacheConfigurationException: ISPN000453: \
               Attempt to define configuration for cache admin-json which already exists",
        reason: "it names the reason, which there is only in the log",
    },
    Difference {
        step: "a template under the name of a cache",
        ours: "! org.infinispan.commons.CacheException: org.infinispan.commons.CacheConfigurationException: ISPN000453: \
               Attempt to define configuration for cache admin-a which already exists",
        reason: "it names the reason, which there is only in the log",
    },
    Difference {
        step: "another schema for no index",
        ours: "! org.infinispan.commons.CacheException: Indexing was not enabled on cache admin-a",
        reason: "there it is the text of a null pointer",
    },
];

/// Configurations that must be read back as at a real server, in every format.
const CONFIGURATIONS: &[(&str, &str)] = &[
    (
        "application/json",
        r#"{"distributed-cache":{"mode":"SYNC","owners":"3","segments":64,"remote-timeout":"17s","statistics":true,"encoding":{"media-type":"application/x-protostream"},"memory":{"max-count":"1000","when-full":"REMOVE"},"expiration":{"lifespan":"5000","max-idle":"1s","interval":"-1"},"state-transfer":{"timeout":"60000","chunk-size":"10","await-initial-transfer":false},"partition-handling":{"when-split":"DENY_READ_WRITES","merge-policy":"PREFERRED_ALWAYS"},"locking":{"isolation":"READ_COMMITTED","acquire-timeout":"5s","striping":true,"concurrency-level":"64"}}}"#,
    ),
    (
        "application/xml",
        r#"<distributed-cache name="c" mode="ASYNC" owners="1" capacity-factor="2.5" l1-lifespan="10000" unreliable-return-values="true"><encoding><key media-type="text/plain; charset=UTF-8"/><value media-type="application/json"/></encoding><memory max-size="1.5GB" when-full="REMOVE" storage="OFF_HEAP"/></distributed-cache>"#,
    ),
    (
        "application/yaml",
        "localCache:\n  statistics: true\n  simpleCache: true\n  encoding:\n    mediaType: \"application/octet-stream\"\n  \
         memory:\n    maxCount: 500\n    whenFull: REMOVE\n",
    ),
    (
        "application/xml",
        r#"<local-cache name="c"><encoding media-type="application/octet-stream"/><expiration touch="ASYNC" lifespan="1d"/><query default-max-results="50"/><tracing enabled="true" categories="container cluster"/></local-cache>"#,
    ),
    ("application/xml", r#"<distributed-cache name="c"/>"#),
    (
        "application/json",
        r#"{"c":{"replicated-cache":{"mode":"SYNC","encoding":{"media-type":"text/plain"},"expiration":{"lifespan":"-1","max-idle":"-1"},"transaction":{"mode":"NONE"},"persistence":{"passivation":false}}}}"#,
    ),
    (
        "application/xml",
        r#"<distributed-cache name="c" mode="SYNC" remote-timeout="15000" owners="2" segments="256"><memory storage="HEAP"/><locking isolation="REPEATABLE_READ"/></distributed-cache>"#,
    ),
    (
        "application/json",
        r#"{"distributed-cache":{"mode":"SYNC","encoding":{"media-type":"application/xml"},"memory":{"max-size":"100 MB","when-full":"REMOVE"}}}"#,
    ),
    (
        "application/json",
        r#"{"distributed-cache":{"mode":"SYNC","expiration":{"lifespan":0,"max-idle":"0"},"encoding":{"media-type":"text/plain"}}}"#,
    ),
    (
        "application/json",
        r#"{"distributed-cache":{"mode":"SYNC","aliases":["x1","x2"],"encoding":{"media-type":"text/plain; charset=ISO-8859-1"},"memory":{"storage":"HEAP"}}}"#,
    ),
    (
        "application/json",
        r#"{"replicated-cache":{"mode":"SYNC","statistics":false,"expiration":{"lifespan":"1.5s","max-idle":"500 ms","interval":"0"}}}"#,
    ),
    ("application/json", r#"{"local-cache":{"memory":{"max-count":"0100","when-full":"NONE"}}}"#),
];

#[tokio::test(flavor = "multi_thread")]
async fn administration_and_configurations_are_as_at_a_real_server() {
    let setup = Setup { login: false, ..Setup::new(Version::V16, TEMPLATES) };
    let (theirs, ours) = (Infinispan::start(setup).await, TestServer::start().await);
    let program = java_program("Administration", "client-16");
    let ports = [theirs.address().port(), ours.address().port()];
    let [their_run, our_run] = ports.map(|port| program.run(vec![port.to_string()]));
    let (their_run, our_run) = tokio::join!(their_run, our_run);
    compare_steps(&their_run.lines(), &our_run.lines());

    for (media_type, configuration) in CONFIGURATIONS {
        let judge = Rest::new(theirs.address());
        let created = [judge.clone(), ours.rest.clone()]
            .map(|rest| read_back(rest, judge.clone(), media_type, configuration));
        let [theirs, ours] = created;
        let (theirs, ours) = tokio::join!(theirs, ours);
        assert_eq!(theirs, ours, "{configuration}");
    }
    note(format_args!("{} configurations read back", CONFIGURATIONS.len()));
    for (attribute, value) in ATTRIBUTES {
        let set = [Rest::new(theirs.address()), ours.rest.clone()]
            .map(|rest| set_attribute(rest, attribute, value));
        let [theirs, ours] = set;
        let (theirs, ours) = tokio::join!(theirs, ours);
        assert_eq!(theirs, ours, "{attribute}");
    }
    ours.stop().await;
}

fn compare_steps(theirs: &[&str], ours: &[&str]) {
    note(format_args!("administration: {} steps", theirs.len()));
    assert_eq!(theirs.len(), ours.len(), "{theirs:#?}\n{ours:#?}");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (theirs, ours) in theirs.iter().zip(ours).filter(|(theirs, ours)| theirs != ours) {
        let known = DIFFERENCES.iter().find(|difference| {
            ours.strip_prefix(difference.step)
                .and_then(|rest| rest.strip_prefix(" -> "))
                .is_some_and(|outcome| outcome.starts_with(difference.ours))
        });
        match known {
            Some(known) => drop(seen.insert(known.step)),
            None => wrong.push(format!("theirs: {theirs}\n  ours:   {ours}")),
        }
    }
    let gone = DIFFERENCES.iter().filter(|difference| !seen.contains(difference.step));
    wrong.extend(
        gone.map(|gone| format!("{} does not differ, although {}", gone.step, gone.reason)),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Attributes of elements that a cache does not have, with values for them.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("indexing.startup-mode", "AUTO"),
    ("indexing.indexed-entities", "a"),
    ("security.authorization.roles", "admin"),
    ("memory.max-count", "10"),
    ("memory.max-size", "1MB"),
    ("tracing.enabled", "false"),
    ("tracing.categories", "container"),
    ("persistence.connection-attempts", "5"),
    ("expiration.lifespan", "5s"),
    ("locking.acquire-timeout", "5s"),
    ("transaction.stop-timeout", "5s"),
    ("clustering.remote-timeout", "5s"),
    ("clustering.state-transfer.await-initial-transfer", "false"),
    ("aliases", "x1"),
];

/// Creates a cache that says nothing, and sets an attribute. Returns the status of that, and what the attribute is if it
/// has an effect.
async fn set_attribute(rest: Rest, attribute: &str, value: &str) -> (u16, Option<String>) {
    let body = r#"{"local-cache":{}}"#;
    rest.post("/rest/v2/caches/absent", body).await.with(200);
    let path = format!(
        "/rest/v2/caches/absent?action=set-mutable-attribute&attribute-name={attribute}&attribute-value={value}"
    );
    let set = rest.post(&path, "").await.status.as_u16();
    let path =
        format!("/rest/v2/caches/absent?action=get-mutable-attribute&attribute-name={attribute}");
    let shown = rest.get(&path).await.with(200).text().to_owned();
    rest.delete("/rest/v2/caches/absent").await.with(200);
    // A real server shows what it has refused, and what a local cache does not have.
    (set, (set == 200 && !attribute.starts_with("clustering.")).then_some(shown))
}

/// Creates a cache and gives back what is then shown of it, in every format, with all attributes that can
/// be changed, and what it is converted to. Objects are compared whatever their order. The `judge` converts what is in
/// other formats.
async fn read_back(
    rest: Rest,
    judge: Rest,
    media_type: &str,
    configuration: &str,
) -> Vec<(String, Value)> {
    let body = configuration.to_owned();
    let content = [("Content-Type", media_type)];
    rest.call(Method::POST, "/rest/v2/caches/c", &content, body.clone()).await.with(200);
    let mut shown = Vec::new();
    let path = "/rest/v2/caches/c?action=config";
    let json = rest.call(Method::GET, path, &[("Accept", "application/json")], "").await;
    shown.push(("as JSON".to_owned(), json.with(200).json()));
    for format in ["application/xml", "application/yaml"] {
        let text = rest.call(Method::GET, path, &[("Accept", format)], "").await.with(200);
        let headers = [("Content-Type", format), ("Accept", "application/json")];
        let path = "/rest/v2/caches?action=convert";
        let converted = judge.call(Method::POST, path, &headers, text.text().to_owned()).await;
        shown.push((format!("as {format}"), converted.with(200).json()));
    }
    let path = "/rest/v2/caches/c?action=get-mutable-attributes&full=true";
    let mut attributes = rest.get(path).await.with(200).json();
    // Sets come in any order.
    let values = attributes.as_object_mut().unwrap().values_mut();
    for value in values.filter_map(|attribute| attribute["value"].as_array_mut()) {
        value.sort_by_key(ToString::to_string);
    }
    shown.push(("attributes".to_owned(), attributes));
    let headers = [content[0], ("Accept", "application/json")];
    let path = "/rest/v2/caches?action=convert";
    let converted = rest.call(Method::POST, path, &headers, body).await.with(200);
    shown.push(("converted".to_owned(), converted.json()));
    rest.delete("/rest/v2/caches/c").await.with(200);
    shown
}
