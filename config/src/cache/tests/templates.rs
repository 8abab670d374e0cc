//! Templates of caches.

use super::*;

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

/// A container with templates that cannot be used.
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
