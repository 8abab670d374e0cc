//! Position, name and kind of a cache in a document.

use super::*;
use crate::{Secrets, Writing};

#[test]
fn the_sample_in_json_is_read_with_its_name() {
    let json = include_str!("../../../samples/cache.json");
    let parsed = parse_cache(json.as_bytes(), Format::Json, &Options::default()).unwrap();
    assert_eq!(parsed.value.name.unwrap().as_str(), "orders");
    let config = parsed.value.config;
    let expected = CacheConfig {
        statistics: true,
        encoding: Encoding {
            key: Some(MediaType::PROTOSTREAM),
            value: Some(MediaType::PROTOSTREAM),
        },
        expiration: DefaultExpiration {
            lifespan: Some(Duration::from_secs(5)),
            max_idle: Some(Duration::from_secs(1)),
            ..DefaultExpiration::default()
        },
        memory: MemoryConfig { max_count: Some(1_000_000), ..MemoryConfig::default() },
        remote_store: config.remote_store.clone(),
        kept: config.kept.clone(),
        ..CacheConfig::new(CacheMode::Distributed)
    };
    assert_eq!(config, expected);
    assert_eq!(
        config.kept.child("partition-handling").unwrap().text("merge-policy"),
        Some("PREFERRED_NON_NULL")
    );
    assert_eq!(config.remote_store.unwrap().cache.as_deref(), Some("old"));
    let whats: Vec<_> = parsed.ignored.into_iter().map(|ignored| ignored.what).collect();
    assert_eq!(
        whats,
        ["'locking' of 'distributed-cache'", "'partition-handling' of 'distributed-cache'"]
    );
}

#[test]
fn the_sample_in_yaml_is_read() {
    let parsed = parsed_as(include_str!("../../../samples/cache.yaml"), Format::Yaml);
    assert_eq!(parsed.value.expiration.lifespan, Some(Duration::from_secs(5)));
    assert_eq!(parsed.value.remote_store.unwrap().servers.len(), 2);
    assert_eq!(parsed.ignored[0].what, "'connection-pool' of 'remote-store'");
}

#[test]
fn a_cache_is_found_in_every_wrapping() {
    let cache = CacheConfig { owners: 3, ..CacheConfig::new(CacheMode::Distributed) };
    for (name, json) in [
        (None, r#"{"distributed-cache":{"owners":3}}"#),
        (None, r#"{"distributedCache":{"owners":"3"}}"#),
        (None, r#"{"distributed-cache-configuration":{"owners":3}}"#),
        (Some("a"), r#"{"distributed-cache":{"owners":3,"name":"a"}}"#),
        (Some("a:b"), r#"{"a:b":{"distributed-cache":{"owners":3}}}"#),
        (Some("localCache"), r#"{"localCache":{"distributed-cache":{"owners":3}}}"#),
        (Some("server"), r#"{"server":{"distributed-cache":{"owners":3}}}"#),
        (Some("a"), r#"{"caches":{"a":{"distributed-cache":{"owners":3}}}}"#),
        (
            Some("a"),
            r#"{"infinispan":{"cache-container":{"name":"default","caches":{"a":{"distributed-cache":{"owners":3}}}}}}"#,
        ),
    ] {
        let parsed = parse_cache(json.as_bytes(), Format::Json, &Options::default());
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}: {json}")).value;
        assert_eq!(parsed.name.as_ref().map(|name| name.as_str()), name, "{json}");
        assert_eq!(parsed.config, cache, "{json}");
    }
    for xml in [
        "<distributed-cache owners='3'/>",
        "<distributed-cache xmlns='urn:infinispan:config:9.4' name='a' owners='3'/>",
        "<infinispan><cache-container><distributed-cache owners='3'/></cache-container></infinispan>",
        "<i:infinispan xmlns:i='urn:infinispan:config:16.0'><i:cache-container><i:caches>\
         <i:distributed-cache name='a' owners='3'/></i:caches></i:cache-container></i:infinispan>",
    ] {
        assert_eq!(config(xml), cache, "{xml}");
    }
}

#[test]
fn a_document_with_more_or_less_than_one_cache_is_refused() {
    for (found, json) in [
        (0, "{}"),
        (0, r#"{"infinispan":{}}"#),
        (2, r#"{"a":{"local-cache":{}},"b":{"local-cache":{}}}"#),
    ] {
        let error = parse_cache(json.as_bytes(), Format::Json, &Options::default());
        assert_eq!(error, Err(ConfigError::NotOneCache { found }), "{json}");
    }
}

#[test]
fn every_kind_of_cache_has_its_mode() {
    assert_eq!(config("<local-cache/>"), CacheConfig::new(CacheMode::Local));
    assert_eq!(config("<replicated-cache/>"), CacheConfig::new(CacheMode::Replicated));
    let asynchronous = config("<replicated-cache mode='ASYNC' segments='7'/>");
    assert_eq!((asynchronous.replication, asynchronous.segments), (Replication::Async, 7));
    let scattered = parsed("<scattered-cache bias-acquisition='NEVER'/>");
    assert_eq!(scattered.value.mode, CacheMode::Distributed);
    assert_eq!(scattered.value.kept.text("bias-acquisition"), Some("NEVER"));
    assert_eq!(scattered.ignored[0].what, "'scattered-cache': it becomes a distributed cache");
    assert_eq!(
        error("<invalidation-cache name='x'/>").to_string(),
        "'invalidation-cache' is refused (line 1, column 1): it would not hold its entries; \
         use a local-cache or a distributed-cache"
    );
    for xml in [
        "<local-cache mode='SYNC'/>",
        "<local-cache segments='1'/>",
        "<replicated-cache owners='1'/>",
    ] {
        assert!(matches!(error(xml), ConfigError::UnexpectedAttribute { .. }), "{xml}");
    }
}

#[test]
fn a_value_in_the_place_of_an_element_is_not_overlooked() {
    for (json, text) in [
        (
            r#"{"local-cache":{"transaction":"FULL_XA"}}"#,
            "Unexpected attribute 'transaction' encountered[1,18]",
        ),
        (
            r#"{"distributed-cache":{"owners":{"value":2}}}"#,
            "Unexpected element 'owners' encountered[1,24]",
        ),
        (
            r#"{"local-cache":{"persistence":{"remote-store":"hotrod://h"}}}"#,
            "Unexpected attribute 'remote-store' encountered[1,33]",
        ),
    ] {
        let error = parse_cache(json.as_bytes(), Format::Json, &Options::default()).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_name_in_two_spellings_is_given_twice() {
    let json = r#"{"local-cache":{"expiration":{"max-idle":1,"maxIdle":2}}}"#;
    let error = parse_cache(json.as_bytes(), Format::Json, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'maxIdle' is given a second time (line 1, column 45); leave one of them out"
    );
}

#[test]
fn a_name_of_a_cache_is_checked_and_used_once() {
    let xml = "<caches><local-cache name='a'/>\n<local-cache name='a'/></caches>";
    let error = crate::parse_server(xml.as_bytes(), &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'a' is given a second time (line 2, column 14); leave one of them out"
    );
    let xml = "<caches><local-cache name='a&#7;'/></caches>";
    let error = crate::parse_server(xml.as_bytes(), &Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("the cache name \"a\\u{7}\" holds a control character"));
    let error = crate::parse_server(b"<local-cache/>", &Options::default()).unwrap_err();
    assert!(matches!(error, ConfigError::NoName { .. }), "{error}");
}

#[test]
fn aliases_are_other_names_and_are_checked() {
    let aliases = |config: &CacheConfig| -> Vec<String> {
        config.aliases.iter().map(ToString::to_string).collect()
    };
    assert_eq!(aliases(&config("<local-cache aliases='b a'/>")), ["a", "b"]);
    let json = r#"{"local-cache":{"aliases":["a","b"]}}"#;
    assert_eq!(aliases(&parsed_as(json, Format::Json).value), ["a", "b"]);
    let two_words = r#"{"local-cache":{"aliases":["a","two words"]}}"#;
    let refused = parse_cache(two_words.as_bytes(), Format::Json, &Options::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "'aliases' is \"two words\" (line 1, column 18); it has to be a name without spaces"
    );
    let error = error("<local-cache aliases='a&#7;'/>").to_string();
    assert!(error.contains("control character"), "{error}");
}

#[test]
fn a_cache_of_another_mode_than_its_parent_has_nothing_that_its_mode_cannot_have() {
    let document = |kind: &str| {
        format!(
            "<caches><distributed-cache-configuration name='t' l1-lifespan='5s' capacity='2' remote-timeout='1s'>\
             <state-transfer timeout='1'/></distributed-cache-configuration>\
             <{kind} name='c' configuration='t'/></caches>"
        )
    };
    let shown = |kind: &str| {
        let file = crate::parse_server(document(kind).as_bytes(), &Options::default()).unwrap();
        let (name, config) = &file.value.caches[0];
        let writing = Writing { secrets: Secrets::Kept, pretty: false };
        let json = CacheConfig::write(config, Some(name), Format::Json, writing);
        assert!(parse_cache(json.as_bytes(), Format::Json, &Options::default()).is_ok(), "{json}");
        ["l1-lifespan", "capacity", "remote-timeout", "state-transfer"].map(|it| json.contains(it))
    };
    assert_eq!(shown("distributed-cache"), [true; 4]);
    assert_eq!(shown("replicated-cache"), [false, false, true, true]);
    assert_eq!(shown("local-cache"), [false; 4]);
}
