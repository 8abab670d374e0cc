//! Differences between configurations, and attributes that can be changed.

use serde_json::json;

use super::*;

#[test]
fn configurations_differ_in_what_has_no_effect_unless_it_is_the_default() {
    for (content, names) in [
        (
            "<indexing><indexed-entities><indexed-entity>a.B</indexed-entity></indexed-entities></indexing>",
            vec!["encoding", "indexing"],
        ),
        ("<partition-handling when-split='DENY_READ_WRITES'/>", vec!["partition-handling"]),
        ("<partition-handling when-split='allow_read_writes' merge-policy='NONE'/>", vec![]),
        ("<locking isolation='REPEATABLE_READ' acquire-timeout='10s' striping='FALSE'/>", vec![]),
        ("<locking acquire-timeout='11s'/>", vec!["locking"]),
        ("<state-transfer timeout='4m'/><memory storage='HEAP'/><transaction/>", vec![]),
    ] {
        let (plain, other) = (config(&with("")), config(&with(content)));
        assert_eq!(plain.differences(&other), names, "{content}");
        assert_eq!(plain == other, names.is_empty(), "{content}");
    }
    let timeout = config("<distributed-cache remote-timeout='17500'/>");
    assert_eq!(config("<distributed-cache/>").differences(&timeout), ["remote-timeout"]);
    assert_eq!(timeout, config("<distributed-cache remote-timeout='17500ms' owners='2'/>"));
    assert_eq!(timeout.without_mutable(), config("<distributed-cache/>"));
}

#[test]
fn every_mutable_attribute_can_be_set_and_read_back() {
    let bounded = |bound: &str| {
        let document = format!(
            r#"{{"distributed-cache":{{"memory":{{{bound}}},"indexing":{{"path":"p"}},
            "security":{{"authorization":{{"roles":["x"]}}}}}}}}"#
        );
        CacheConfig::from_stored_json(&document).unwrap()
    };
    let (by_entries, by_bytes) = (bounded(r#""max-count":5"#), bounded(r#""max-size":"1GB""#));
    for attribute in MUTABLE_ATTRIBUTES {
        let start = if attribute.name == "memory.max-size" { &by_bytes } else { &by_entries };
        let (value, shown) = match attribute.kind {
            "timequantity" => ("7s", "7s"),
            "boolean" => ("true", "true"),
            "integer" | "long" => ("7", "7"),
            "string" => ("7MB", "7MB"),
            "set" => ("a b", r#"["a","b"]"#),
            "indexstartupmode" => ("REINDEX", "REINDEX"),
            kind => panic!("{kind}"),
        };
        let changed = attribute.with(start, value).unwrap();
        let read = match attribute.value(&changed) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        assert_eq!(read, shown, "{}", attribute.name);
        assert_eq!(start.mutable(attribute.name), Ok(*attribute));
        let stored = CacheConfig::from_stored_json(&changed.to_stored_json()).unwrap();
        assert_eq!(stored, changed, "{}", attribute.name);
        if !["set", "string"].contains(&attribute.kind) {
            let error = attribute.with(start, "bogus").unwrap_err().to_string();
            assert!(error.contains("bogus"), "{error}");
        }
    }
    let size = by_entries.mutable("memory.max-size").unwrap();
    let error = size.with(&by_entries, "7MB").unwrap_err().to_string();
    assert!(error.contains("'max-count' with 'max-size' is refused"), "{error}");
    let start = by_entries;
    let error = start.mutable("memory.when-full").unwrap_err().to_string();
    assert_eq!(error, "ISPN012035: Attribute 'memory.when-full' is immutable");
    let error = start.mutable("bogus").unwrap_err().to_string();
    assert_eq!(error, "ISPN000960: No attribute 'bogus' in 'distributed-cache'");
}

#[test]
fn an_attribute_makes_no_cache_an_indexed_one_or_one_with_authorization() {
    let plain = config(&with("<encoding media-type='application/x-protostream'/>"));
    for (name, value, element) in [
        ("indexing.startup-mode", "REINDEX", "indexing"),
        ("indexing.indexed-entities", "a.B", "indexing"),
        ("security.authorization.roles", "admin", "authorization"),
    ] {
        let error = plain.mutable(name).unwrap().with(&plain, value).unwrap_err().to_string();
        assert_eq!(error, format!("'{name}' cannot be set: the cache has no '{element}'"));
    }
    let local = config("<local-cache/>");
    for (name, value) in [
        ("clustering.remote-timeout", "5s"),
        ("clustering.state-transfer.await-initial-transfer", "false"),
    ] {
        let set = local.mutable(name).unwrap().with(&local, value).unwrap();
        assert_eq!(set.to_stored_json(), local.to_stored_json(), "a local cache cannot say {name}");
    }
    let traced = plain.mutable("tracing.enabled").unwrap().with(&plain, "false").unwrap();
    assert!(!plain.differences(&traced).is_empty());
}

#[test]
fn attributes_that_were_not_given_are_shown_as_a_real_server_shows_them() {
    let config = config("<distributed-cache/>");
    let shown = |name: &str| config.mutable(name).unwrap().value(&config);
    for (name, value) in [
        ("clustering.remote-timeout", json!("15s")),
        ("clustering.state-transfer.await-initial-transfer", json!(true)),
        ("expiration.lifespan", json!("-1")),
        ("expiration.interval", json!("1m")),
        ("indexing.startup-mode", json!("AUTO")),
        ("locking.acquire-timeout", json!("10s")),
        ("memory.max-count", json!(-1)),
        ("memory.max-size", json!(null)),
        ("tracing.categories", json!(["container"])),
        ("transaction.stop-timeout", json!("30s")),
    ] {
        assert_eq!(shown(name), value, "{name}");
    }
}
