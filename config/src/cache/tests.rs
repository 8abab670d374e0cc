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
    assert_eq!(scattered.value.mode, CacheMode::Distributed);
    assert_eq!(scattered.value.kept.text("bias-acquisition"), Some("NEVER"));
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
    assert_eq!(whats.len(), 3, "{whats:?}");
    assert_eq!(whats[0], "'file-store': entries are in memory only, a restart loses them");
    assert!(whats[1].starts_with("Unexpected attribute 'owner'"), "{whats:?}");
    assert!(whats[2].starts_with("Unexpected element 'bogus'"), "{whats:?}");

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

#[test]
fn a_partitioner_that_is_not_the_default_one_is_kept_and_noted() {
    let class = "org.infinispan.distribution.ch.impl.RESPHashFunctionPartitioner";
    let parsed = parsed(&format!("<distributed-cache key-partitioner='{class}'/>"));
    assert_eq!(parsed.value.key_partitioner.as_deref(), Some(class));
    assert!(parsed.ignored[0].what.starts_with("'key-partitioner'"), "{:?}", parsed.ignored);
}

#[test]
fn aliases_are_other_names_and_are_checked() {
    let aliases = |config: &CacheConfig| -> Vec<String> {
        config.aliases.iter().map(ToString::to_string).collect()
    };
    assert_eq!(aliases(&config("<local-cache aliases='b a'/>")), ["a", "b"]);
    let json = r#"{"local-cache":{"aliases":["a","b"]}}"#;
    assert_eq!(aliases(&parsed_as(json, Format::Json).value), ["a", "b"]);
    let error = error("<local-cache aliases='a&#7;'/>").to_string();
    assert!(error.contains("control character"), "{error}");
}

#[test]
fn an_indexed_cache_without_an_encoding_holds_protostream() {
    let proto = || Some(MediaType::PROTOSTREAM);
    let encoding = |content: &str| config(&with(content)).encoding;
    for indexing in
        ["<indexing/>", "<indexing enabled='true'/>", "<indexing><indexed-entities/></indexing>"]
    {
        assert_eq!(encoding(indexing), Encoding { key: proto(), value: proto() }, "{indexing}");
        let config = config(&with(indexing));
        let writing = crate::Writing { secrets: crate::Secrets::Kept, pretty: false };
        let text = config.write(None, Format::Xml, writing);
        assert!(!text.contains("encoding"), "it was not said: {text}");
    }
    for indexing in ["<indexing enabled='false'/>", "<indexing index='NONE'/>", ""] {
        assert_eq!(encoding(indexing), Encoding::default(), "{indexing}");
    }
    let text = "<indexing/><encoding><key media-type='text/plain'/></encoding>";
    assert_eq!(encoding(text), Encoding { key: Some(MediaType::TEXT), value: proto() });
    let octets = "<indexing/><encoding media-type='application/octet-stream'/>";
    assert_eq!(encoding(octets).value, Some(MediaType::OCTET_STREAM));

    // What follows from being indexed does not outlive it.
    let file = "<caches><distributed-cache-configuration name='t'><indexing/>\
                </distributed-cache-configuration><distributed-cache name='a' configuration='t'>\
                <indexing enabled='false'/></distributed-cache></caches>";
    let file = crate::parse_server(file.as_bytes(), &Options::default()).unwrap().value;
    assert_eq!(file.caches[0].1.encoding, Encoding::default());
}

#[test]
fn the_media_type_of_both_stands_before_that_of_one() {
    let parsed = parsed(&with(
        "<encoding media-type='text/plain'><value media-type='application/json'/></encoding>",
    ));
    assert_eq!(parsed.value.encoding.value, Some(MediaType::TEXT));
    assert_eq!(parsed.ignored[0].what, "'value' of 'encoding': 'media-type' is of both");
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let xml = "<distributed-cache owner='2' segments='x' statistics='perhaps'>\n\
               <expiration lifespan='soon' max-idle='0'/><transaction mode='NON_XA'/>\n\
               <encoding><key media-type='json'/></encoding><backups><backup site='LON'/></backups>\n\
               <persistence><file-store/><remote-store purge='true'><remote-server port='0'/>\
               </remote-store></persistence></distributed-cache>";
    let problems = error(xml).problems();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    for part in [
        "'owner' encountered[1,20]",
        "'segments' is \"x\" (line 1",
        "'statistics' is \"perhaps\"",
        "'lifespan' is \"soon\" (line 2",
        "'max-idle' 0 is refused",
        "'mode' of 'transaction'",
        "'media-type' is \"json\" (line 3",
        "'backups' is refused",
        "'file-store' is refused (line 4",
        "'purge' of 'remote-store'",
        "'port' is \"0\"",
        "'remote-server' has no host",
    ] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part} in {texts:#?}");
    }
    assert_eq!(texts.len(), 12, "{texts:#?}");
    let places: Vec<_> = problems.iter().map(ConfigError::place).collect();
    assert!(places.is_sorted(), "{texts:#?}");
}

/// A container with configurations that cannot be used here.
const WITH_TEMPLATES: &str = "<infinispan><cache-container>\
    <distributed-cache-configuration name='tx'><transaction mode='NON_XA'/></distributed-cache-configuration>\
    <distributed-cache-configuration name='disk'><persistence><file-store/></persistence></distributed-cache-configuration>\
    <distributed-cache-configuration name='below' configuration='disk'/>\
    <distributed-cache-configuration name='odd' bogus='1'/>\
    <invalidation-cache-configuration name='inv'/>\
    <distributed-cache-configuration name='plain' mode='ASYNC'/>\
    <distributed-cache name='a' configuration='plain'/>CACHES</cache-container></infinispan>";

#[test]
fn a_configuration_that_no_cache_is_made_from_is_noted_and_not_offered() {
    let file = WITH_TEMPLATES.replace("CACHES", "");
    let parsed = crate::parse_server(file.as_bytes(), &Options::default()).unwrap();
    let names: Vec<_> = parsed.value.templates.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["plain"]);
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    for name in ["tx", "disk", "below", "odd", "inv"] {
        let start = format!("the configuration '{name}', which no cache can use: ");
        assert!(whats.iter().any(|what| what.starts_with(&start)), "{name} in {whats:#?}");
    }
}

#[test]
fn a_cache_that_is_made_from_such_a_configuration_is_refused_with_its_name() {
    let caches = "<distributed-cache name='b' configuration='tx'/><distributed-cache name='c' configuration='below'/>";
    let file = WITH_TEMPLATES.replace("CACHES", caches);
    let error = crate::parse_server(file.as_bytes(), &Options::default()).unwrap_err();
    let texts: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(
        texts[0].starts_with("cache 'b' is made from 'tx': 'mode' of 'transaction'"),
        "{texts:#?}"
    );
    assert!(texts[1].starts_with("cache 'c' is made from 'disk': 'file-store'"), "{texts:#?}");
    assert!(texts[1].contains("--lenient"), "{texts:#?}");
}

#[test]
fn a_lenient_reader_names_every_cache_that_loses_its_store() {
    let caches = "<distributed-cache name='b' configuration='disk'/><distributed-cache name='c' configuration='below'/>";
    let file = WITH_TEMPLATES.replace("CACHES", caches);
    let options = Options { lenient: true, ..Options::default() };
    let parsed = crate::parse_server(file.as_bytes(), &options).unwrap();
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    for name in ["b", "c"] {
        let what = format!(
            "'file-store' of cache '{name}': entries are in memory only, a restart loses them"
        );
        assert!(whats.contains(&what.as_str()), "{what} in {whats:#?}");
    }
    assert!(whats.iter().all(|what| !what.contains("of cache 'a'")), "{whats:#?}");
}

#[test]
fn authorization_is_noted_where_everyone_may_do_everything() {
    let xml = "<caches><local-cache name='a'><security><authorization roles='x'/></security></local-cache>\
               <local-cache name='b'><security><authorization enabled='false'/></security></local-cache></caches>";
    let error = crate::parse_server(xml.as_bytes(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("--insecure"), "{error}");
    let options = Options { insecure: true, ..Options::default() };
    let parsed = crate::parse_server(xml.as_bytes(), &options).unwrap();
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    assert_eq!(
        whats,
        ["'authorization' of cache 'a': everyone who reaches the server may do everything"]
    );
}

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
    let start = config(&with("<memory max-count='5' max-size='1GB'/>"));
    for attribute in MUTABLE_ATTRIBUTES {
        let (value, shown) = match attribute.kind {
            "timequantity" => ("7s", "7000"),
            "boolean" => ("true", "true"),
            "integer" | "long" => ("7", "7"),
            "string" => ("7MB", "7MB"),
            "set" => ("a b", r#"["a","b"]"#),
            "indexstartupmode" => ("REINDEX", "REINDEX"),
            kind => panic!("{kind}"),
        };
        let changed = attribute.with(&start, value).unwrap();
        let read = match attribute.value(&changed) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let millis = attribute.name == "clustering.remote-timeout" || shown == "7000";
        assert!(read == shown || millis && read == "7s", "{}: {read}", attribute.name);
        assert_eq!(start.mutable(attribute.name), Ok(*attribute));
        let stored = CacheConfig::from_stored_json(&changed.to_stored_json()).unwrap();
        assert_eq!(stored, changed, "{}", attribute.name);
        if !["set", "string"].contains(&attribute.kind) {
            let error = attribute.with(&start, "bogus").unwrap_err().to_string();
            assert!(error.contains("bogus"), "{error}");
        }
    }
    let error = start.mutable("memory.when-full").unwrap_err().to_string();
    assert_eq!(error, "ISPN012035: Attribute 'memory.when-full' is immutable");
    let error = start.mutable("bogus").unwrap_err().to_string();
    assert_eq!(error, "ISPN000960: No attribute 'bogus' in 'distributed-cache'");
}
