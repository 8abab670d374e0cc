//! What documents say about caches, in every spelling, and what is refused.

use super::*;
use crate::{ConfigError, Format, Options, Parsed, parse_cache};

fn parsed_as(text: &str, format: Format) -> Parsed<CacheConfig> {
    let parsed = parse_cache(text.as_bytes(), format, &Options::default());
    parsed.unwrap_or_else(|error| panic!("{error}: {text}")).map(|cache| cache.config)
}

fn parsed(xml: &str) -> Parsed<CacheConfig> {
    parsed_as(xml, Format::Xml)
}

fn config(xml: &str) -> CacheConfig {
    parsed(xml).value
}

fn whats(xml: &str) -> Vec<String> {
    parsed(xml).ignored.into_iter().map(|ignored| ignored.what).collect()
}

fn error(xml: &str) -> ConfigError {
    parse_cache(xml.as_bytes(), Format::Xml, &Options::default()).unwrap_err()
}

/// A distributed cache with something in it.
fn with(content: &str) -> String {
    format!("<distributed-cache>{content}</distributed-cache>")
}

#[test]
fn the_sample_in_json_is_read_with_its_name() {
    let json = include_str!("../../samples/cache.json");
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
        ..CacheConfig::new(CacheMode::Distributed)
    };
    assert_eq!(config, expected);
    assert_eq!(config.remote_store.unwrap().cache.as_deref(), Some("old"));
    let whats: Vec<_> = parsed.ignored.into_iter().map(|ignored| ignored.what).collect();
    assert_eq!(
        whats,
        ["'locking' of 'distributed-cache'", "'partition-handling' of 'distributed-cache'"]
    );
}

#[test]
fn the_sample_in_yaml_is_read() {
    let parsed = parsed_as(include_str!("../../samples/cache.yaml"), Format::Yaml);
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
    assert_eq!(scattered.value, CacheConfig::new(CacheMode::Distributed));
    assert_eq!(scattered.ignored[0].what, "'scattered-cache': it becomes a distributed cache");
    assert_eq!(
        error("<invalidation-cache name='x'/>").to_string(),
        "'invalidation-cache' is refused (line 1, column 1): its entries would live nowhere; \
         take a local-cache or a distributed-cache"
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
fn encoding_is_of_both_or_of_each() {
    let encoding = |content: &str| config(&with(content)).encoding;
    let json = Some(MediaType::JSON);
    assert_eq!(
        encoding("<encoding media-type='application/json'/>"),
        Encoding { key: json.clone(), value: json.clone() }
    );
    assert_eq!(
        encoding("<encoding><value media-type='application/json'/></encoding>"),
        Encoding { key: None, value: json }
    );
    assert_eq!(encoding("<encoding/>"), Encoding::default());
    let error = error(&with("<encoding media-type='json'/>")).to_string();
    assert!(error.contains("a media type such as application/json"), "{error}");
}

#[test]
fn times_have_units_and_minus_one_is_none() {
    let expiration =
        |attributes: &str| config(&with(&format!("<expiration {attributes}/>"))).expiration;
    assert_eq!(
        expiration("lifespan='5s' max-idle='500' interval='2m'"),
        DefaultExpiration {
            lifespan: Some(Duration::from_secs(5)),
            max_idle: Some(Duration::from_millis(500)),
            interval: Duration::from_mins(2),
        }
    );
    assert_eq!(expiration("lifespan='-1' max-idle='-1'"), DefaultExpiration::default());
    let forever = expiration("lifespan='9223372036854775807'").lifespan.unwrap();
    assert!(forever > Duration::from_hours(24 * 365 * 900));
    let error = error(&with("<expiration lifespan='0'/>")).to_string();
    assert!(error.starts_with("'lifespan' 0 is refused"), "{error}");
    assert_eq!(
        whats(&with("<expiration interval='-1'/>")),
        ["'interval' of 'expiration': entries that ended are always looked for"]
    );
}

#[test]
fn the_bound_of_a_cache_has_been_spelled_in_three_ways() {
    let count = |max_count, when_full| MemoryConfig {
        max_count: Some(max_count),
        max_size: None,
        when_full,
    };
    let size = |max_size| MemoryConfig { max_size: Some(max_size), ..MemoryConfig::default() };
    for (content, memory) in [
        ("<memory max-count='10' when-full='REMOVE'/>", count(10, WhenFull::Remove)),
        ("<memory max-count='10'/>", count(10, WhenFull::Remove)),
        ("<memory max-count='10' when-full='NONE'/>", count(10, WhenFull::Remove)),
        ("<memory max-count='10' when-full='EXCEPTION'/>", count(10, WhenFull::Exception)),
        ("<memory max-size='1.5 GB'/>", size(1_500_000_000)),
        ("<memory max-count='-1' max-size='1GiB'/>", size(1 << 30)),
        ("<memory><object size='10' strategy='REMOVE'/></memory>", count(10, WhenFull::Remove)),
        ("<memory><binary size='10' eviction='COUNT'/></memory>", count(10, WhenFull::Remove)),
        (
            "<memory><off-heap size='1000' eviction='MEMORY' address-count='8'/></memory>",
            size(1_000),
        ),
        ("<eviction max-entries='10' strategy='LIRS'/>", count(10, WhenFull::Remove)),
        ("<eviction size='10' type='COUNT' strategy='LRU'/>", count(10, WhenFull::Remove)),
        ("<eviction size='1000' type='MEMORY'/>", size(1_000)),
        ("<memory max-count='10' when-full='MANUAL'/>", MemoryConfig::default()),
        ("<memory/>", MemoryConfig::default()),
    ] {
        assert_eq!(config(&with(content)).memory, memory, "{content}");
    }
    assert_eq!(
        whats(&with("<memory max-count='10' when-full='MANUAL'/>")),
        ["the bound of 'memory': MANUAL removes nothing"]
    );
}

#[test]
fn what_would_change_what_happens_to_data_is_refused() {
    for (content, what) in [
        ("<transaction mode='NON_XA'/>", "'mode' of 'transaction'"),
        ("<persistence><file-store/></persistence>", "'file-store'"),
        (
            "<persistence><s:string-keyed-jdbc-store xmlns:s='x'/></persistence>",
            "'s:string-keyed-jdbc-store'",
        ),
        ("<file-store/>", "'file-store'"),
        (
            "<persistence passivation='true'><remote-store uri='hotrod://h'/></persistence>",
            "'passivation' of 'persistence'",
        ),
        ("<backups><backup site='LON'/></backups>", "'backups'"),
        ("<backup-for remote-cache='a' remote-site='LON'/>", "'backup-for'"),
        ("<security><authorization/></security>", "'authorization'"),
        ("<security><authorization roles='admin'/></security>", "'authorization'"),
    ] {
        let error = error(&with(content));
        assert!(
            matches!(&error, ConfigError::Refused { what: refused, .. } if refused == what),
            "{error}"
        );
    }
    let partitioner = "<distributed-cache key-partitioner='org.infinispan.distribution.ch.impl.\
                       RESPHashFunctionPartitioner'/>";
    assert!(matches!(error(partitioner), ConfigError::Refused { .. }));
    assert!(matches!(error("<local-cache batching='true'/>"), ConfigError::Refused { .. }));
}

#[test]
fn what_is_done_anyway_is_accepted_in_silence() {
    for xml in [
        with("<transaction mode='NONE'/>"),
        with("<transaction/>"),
        with("<persistence passivation='false'/>"),
        with("<backups/>"),
        with("<security/>"),
        with("<security><authorization enabled='false'/></security>"),
        with("<indexing enabled='false'/>"),
        with("<partition-handling when-split='ALLOW_READ_WRITES' merge-policy='NONE'/>"),
        with("<memory storage='HEAP'/>"),
        with("<expiration touch='SYNC'/>"),
        "<distributed-cache l1-lifespan='0' capacity-factor='1.0' batching='false' \
         key-partitioner='org.infinispan.distribution.ch.impl.HashFunctionPartitioner'/>"
            .to_owned(),
        "<local-cache simple-cache='false' unreliable-return-values='false' aliases=''/>"
            .to_owned(),
    ] {
        assert_eq!(whats(&xml), Vec::<String>::new(), "{xml}");
    }
}

#[test]
fn what_has_no_effect_is_noted_once_with_its_place() {
    let parsed = parsed(
        "<distributed-cache remote-timeout='1' aliases='a b'>\n <indexing><indexed-entities/></indexing>\n \
         <state-transfer timeout='1'/><tracing/><query/>\n</distributed-cache>",
    );
    let shown: Vec<_> = parsed.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "'remote-timeout' of 'distributed-cache' (line 1, column 20)",
            "'aliases' of 'distributed-cache' (line 1, column 39)",
            "'indexing' of 'distributed-cache': queries are not supported (line 2, column 2)",
            "'state-transfer' of 'distributed-cache' (line 3, column 2)",
            "'tracing' of 'distributed-cache' (line 3, column 31)",
            "'query' of 'distributed-cache' (line 3, column 41)",
        ]
    );
}

#[test]
fn an_unknown_name_is_an_error_with_its_place_and_the_nearest() {
    for (xml, text) in [
        (
            "<distributed-cache\n owner='2'/>",
            "Unexpected attribute 'owner' encountered[2,2]; did you mean 'owners'?",
        ),
        (
            "<distributed-cache>\n  <expiry/></distributed-cache>",
            "Unexpected element 'expiry' encountered[2,3]",
        ),
        (
            "<distributed-cache><expiration lifspan='1'/></distributed-cache>",
            "Unexpected attribute 'lifspan' encountered[1,32]; did you mean 'lifespan'?",
        ),
        (
            "<distributedcache/>",
            "Unexpected element 'distributedcache' encountered[1,1]; did you mean 'distributed-cache'?",
        ),
        (
            "<distributed-cache>text</distributed-cache>",
            "unexpected text in 'distributed-cache' (line 1, column 1); it takes attributes and elements only",
        ),
    ] {
        assert_eq!(error(xml).to_string(), text);
    }
    let json = r#"{"a":{"distribted-cache":{}}}"#;
    let error = parse_cache(json.as_bytes(), Format::Json, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Unexpected element 'distribted-cache' encountered[1,8]; did you mean 'distributed-cache'?"
    );
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
fn a_lenient_reader_notes_unknown_names_and_lost_stores() {
    let xml = "<distributed-cache owner='2' owners='3'><bogus/>\
               <persistence><file-store/></persistence></distributed-cache>";
    let options = Options { lenient: true, ..Options::default() };
    let parsed = parse_cache(xml.as_bytes(), Format::Xml, &options).unwrap();
    assert_eq!(parsed.value.config.owners, 3);
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    assert_eq!(whats.len(), 3);
    assert!(whats[0].starts_with("Unexpected attribute 'owner'"), "{whats:?}");
    assert!(whats[1].starts_with("Unexpected element 'bogus'"), "{whats:?}");
    assert!(whats[2].starts_with("'file-store' is refused"), "{whats:?}");

    let transaction = "<local-cache><transaction mode='BATCH'/></local-cache>";
    assert!(parse_cache(transaction.as_bytes(), Format::Xml, &options).is_err());
}

#[test]
fn a_cache_is_made_from_the_configuration_that_it_names() {
    let file = "<infinispan><cache-container>\
        <distributed-cache-configuration name='base' owners='3' statistics='true'><expiration lifespan='1s'/>\
        </distributed-cache-configuration>\
        <distributed-cache-configuration name='more' configuration='base' owners='4'/>\
        <replicated-cache name='a' configuration='more'><expiration max-idle='2s'/></replicated-cache>\
        </cache-container></infinispan>";
    let file = crate::parse_server(file.as_bytes(), &Options::default()).unwrap().value;
    let (_, cache) = &file.caches[0];
    let expected = CacheConfig {
        statistics: true,
        expiration: DefaultExpiration {
            lifespan: Some(Duration::from_secs(1)),
            max_idle: Some(Duration::from_secs(2)),
            ..DefaultExpiration::default()
        },
        ..CacheConfig::new(CacheMode::Replicated)
    };
    assert_eq!(*cache, expected);
    assert_eq!(file.templates[1].1.owners, 4);
}

#[test]
fn a_configuration_of_the_caller_or_a_built_in_one_can_be_named() {
    let mine = CacheConfig { owners: 5, ..CacheConfig::new(CacheMode::Distributed) };
    let templates = [("mine".parse().unwrap(), mine.clone())];
    let options = Options { templates: &templates, ..Options::default() };
    let json = br#"{"distributed-cache":{"configuration":"mine"}}"#;
    assert_eq!(parse_cache(json, Format::Json, &options).unwrap().value.config, mine);
    let asynchronous = config("<replicated-cache configuration='org.infinispan.REPL_ASYNC'/>");
    assert_eq!(asynchronous.replication, Replication::Async);

    let error = error("<local-cache configuration='other'/>");
    assert_eq!(
        error.to_string(),
        "there is no configuration 'other' (line 1, column 14); there are org.infinispan.LOCAL, \
         org.infinispan.REPL_SYNC, org.infinispan.REPL_ASYNC, org.infinispan.DIST_SYNC, \
         org.infinispan.DIST_ASYNC"
    );
}

#[test]
fn configurations_that_name_each_other_are_refused() {
    let xml = "<caches><local-cache name='a' configuration='b'/><local-cache name='b' configuration='a'/></caches>";
    let error = crate::parse_server(xml.as_bytes(), &Options::default()).unwrap_err();
    assert!(matches!(error, ConfigError::Circle { .. }), "{error}");
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
    assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
}
