//! What is written is read back whole, in every format.

use std::time::Duration;

use media::MediaType;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    Authentication, AuthenticationElement, CacheMode, DefaultExpiration, Encoding, MemoryConfig,
    RemoteServer, RemoteStoreConfig, Replication, WhenFull,
};

const FORMATS: [Format; 3] = [Format::Json, Format::Xml, Format::Yaml];

/// Texts with whatever formats treat in a way of their own.
fn text() -> impl Strategy<Value = String> {
    let awkward = "[ -~\\t\\n\u{a0}ö\u{85}\u{2028}😀\"'<>&:#{}\\[\\]~|\\\\$,*!%@`]{1,12}";
    prop_oneof![awkward, "[a-z]{1,8}", Just("null".into()), Just("true".into()), Just("007".into())]
}

fn time() -> impl Strategy<Value = Option<Duration>> {
    option::of((1..100_000_000_u64).prop_map(Duration::from_millis))
}

fn media_type() -> impl Strategy<Value = Option<MediaType>> {
    let types = ["application/json", "text/plain; charset=utf-8", "application/x-protostream"];
    option::of(prop::sample::select(types.to_vec()).prop_map(|text| text.parse().unwrap()))
}

fn server() -> impl Strategy<Value = RemoteServer> {
    let host = prop_oneof!["[a-z0-9][a-z0-9.-]{0,10}", Just("::1".to_owned())];
    (host, 1..=u16::MAX).prop_map(|(host, port)| RemoteServer { host, port })
}

fn authentication() -> impl Strategy<Value = Authentication> {
    let element = prop::sample::select(vec![
        None,
        Some(AuthenticationElement::Plain),
        Some(AuthenticationElement::Digest),
        Some(AuthenticationElement::Scram),
    ]);
    let mechanism = option::of(Just("SCRAM-SHA-512".to_owned()));
    (text(), text(), option::of(text()), option::of(text()), mechanism, element).prop_map(
        |(username, password, realm, server_name, mechanism, element)| Authentication {
            username,
            password,
            realm,
            server_name,
            mechanism,
            element,
        },
    )
}

fn remote_store() -> impl Strategy<Value = RemoteStoreConfig> {
    let version = option::of(prop::sample::select(vec!["2.0".to_owned(), "4.1".to_owned()]));
    let servers = vec(server(), 1..4).prop_map(|mut servers| {
        let mut seen = std::collections::HashSet::new();
        servers.retain(|server| seen.insert(server.clone()));
        servers
    });
    let flags = (any::<bool>(), any::<bool>());
    let cache = option::of(prop_oneof![text(), Just(String::new())]);
    (cache, servers, option::of(authentication()), flags, version, time(), time()).prop_map(
        |(cache, servers, authentication, flags, version, connect_timeout, socket_timeout)| {
            RemoteStoreConfig {
                cache,
                servers,
                authentication,
                encryption: flags.0,
                read_only: flags.1,
                protocol_version: version,
                connect_timeout,
                socket_timeout,
                ignored: vec![],
            }
        },
    )
}

fn memory() -> impl Strategy<Value = MemoryConfig> {
    let bound = || option::of(1..1_u64 << 40);
    let when_full = prop::sample::select(vec![WhenFull::Remove, WhenFull::Exception]);
    (bound(), any::<bool>(), when_full).prop_map(|(bound, is_count, when_full)| MemoryConfig {
        max_count: bound.filter(|_| is_count),
        max_size: bound.filter(|_| !is_count),
        when_full,
    })
}

fn config() -> impl Strategy<Value = CacheConfig> {
    let mode =
        prop::sample::select(vec![CacheMode::Distributed, CacheMode::Replicated, CacheMode::Local]);
    let replication = prop::sample::select(vec![Replication::Sync, Replication::Async]);
    let spread = (mode, replication, 1..=65_536_u32, 1..=1_000_u32);
    let encoding = (media_type(), media_type()).prop_map(|(key, value)| Encoding { key, value });
    let expiration =
        (time(), time(), 1..10_000_000_u64).prop_map(|(lifespan, max_idle, interval)| {
            DefaultExpiration { lifespan, max_idle, interval: Duration::from_millis(interval) }
        });
    let store = option::of(remote_store());
    (spread, any::<bool>(), encoding, expiration, memory(), store).prop_map(
        |(
            (mode, replication, segments, owners),
            statistics,
            encoding,
            expiration,
            memory,
            store,
        )| {
            let default = CacheConfig::new(mode);
            let is_clustered = mode.is_clustered();
            CacheConfig {
                mode,
                replication: if is_clustered { replication } else { default.replication },
                segments: if is_clustered { segments } else { default.segments },
                owners: if mode == CacheMode::Distributed { owners } else { default.owners },
                statistics,
                encoding,
                expiration,
                memory,
                remote_store: store,
                ..default
            }
        },
    )
}

fn name() -> impl Strategy<Value = Option<CacheName>> {
    let name = "[ -~öä:]{1,20}".prop_map(|name| name.parse().unwrap());
    let special = ["server", "config", "caches", "local-cache", "localCache", "infinispan", "null"];
    let special = prop::sample::select(special.to_vec()).prop_map(|name| name.parse().unwrap());
    option::of(prop_oneof![name, special])
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_whole_in_every_format(
        config in config(),
        name in name(),
        pretty in any::<bool>(),
    ) {
        for format in FORMATS {
            let writing = Writing { secrets: Secrets::Kept, pretty };
            let text = config.write(name.as_ref(), format, writing);
            let parsed = parse_cache(text.as_bytes(), format, &Options::default());
            let parsed = parsed.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(&parsed.value.name, &name, "{}", text);
            prop_assert!(parsed.value.config == config, "{text}");
            prop_assert_eq!(parsed.ignored, []);
        }
        prop_assert_eq!(CacheConfig::from_stored_json(&config.to_stored_json()), Ok(config));
    }

    #[test]
    fn a_source_that_is_stored_is_read_back_whole(config in remote_store()) {
        let stored = config.to_stored_json();
        prop_assert_eq!(RemoteStoreConfig::from_stored_json(&stored), Ok(config), "{}", stored);
    }
}

#[test]
fn a_cache_is_written_without_its_defaults() {
    let name: CacheName = "c".parse().unwrap();
    let json = |config: &CacheConfig| config.to_json(Some(&name), Secrets::Masked).to_string();
    let distributed = CacheConfig::new(CacheMode::Distributed);
    assert_eq!(json(&distributed), r#"{"c":{"distributed-cache":{"mode":"SYNC"}}}"#);
    assert_eq!(json(&CacheConfig::new(CacheMode::Local)), r#"{"c":{"local-cache":{}}}"#);
    let full = CacheConfig {
        statistics: true,
        owners: 3,
        encoding: Encoding { key: Some(MediaType::TEXT), value: Some(MediaType::TEXT) },
        expiration: DefaultExpiration {
            lifespan: Some(Duration::from_secs(5)),
            ..DefaultExpiration::default()
        },
        memory: MemoryConfig { max_size: Some(1_000_000_000), ..MemoryConfig::default() },
        ..distributed
    };
    assert_eq!(
        json(&full),
        r#"{"c":{"distributed-cache":{"owners":"3","mode":"SYNC","statistics":true,"encoding":{"media-type":"text/plain"},"expiration":{"lifespan":"5000"},"memory":{"max-size":"1GB","when-full":"REMOVE"}}}}"#
    );
    let writing = Writing { secrets: Secrets::Masked, pretty: false };
    assert_eq!(
        full.write(Some(&name), Format::Xml, writing),
        r#"<?xml version="1.0"?><distributed-cache name="c" owners="3" mode="SYNC" statistics="true"><encoding media-type="text/plain"/><expiration lifespan="5000"/><memory max-size="1GB" when-full="REMOVE"/></distributed-cache>"#
    );
    assert_eq!(
        full.write(Some(&name), Format::Yaml, writing),
        "\"c\":\n  distributedCache:\n    owners: \"3\"\n    mode: \"SYNC\"\n    statistics: true\n    encoding:\n      \
         mediaType: \"text/plain\"\n    expiration:\n      lifespan: \"5000\"\n    memory:\n      maxSize: \"1GB\"\n      \
         whenFull: \"REMOVE\"\n"
    );
}

#[test]
fn a_password_is_written_for_our_own_storage_only() {
    let xml = "<local-cache><persistence><remote-store uri='hotrod://joe:secret@h'/></persistence></local-cache>";
    let config =
        parse_cache(xml.as_bytes(), Format::Xml, &Options::default()).unwrap().value.config;
    for format in FORMATS {
        let text = |secrets| config.write(None, format, Writing { secrets, pretty: false });
        assert!(text(Secrets::Kept).contains("secret"));
        assert!(!text(Secrets::Masked).contains("secret"));
    }
}

#[test]
fn a_document_is_converted_whole_and_says_what_has_no_effect() {
    let yaml = "c:\n  replicatedCache:\n    mode: ASYNC\n    locking:\n      isolation: NONE\n";
    let parsed = convert(yaml.as_bytes(), Format::Yaml, Format::Xml, true, &Options::default());
    let parsed = parsed.unwrap();
    assert_eq!(
        parsed.value.text,
        "<?xml version=\"1.0\"?>\n<replicated-cache name=\"c\" mode=\"ASYNC\">\n  <locking isolation=\"NONE\"/>\n\
         </replicated-cache>\n"
    );
    assert_eq!(parsed.ignored[0].what, "'locking' of 'replicated-cache'");
    assert!(!parsed.value.is_part);
}

#[test]
fn the_caches_of_a_whole_server_are_converted_as_they_are_served() {
    let options = Options { lookup: Some(&|_| None), ..Options::default() };
    let server = |text: &str, format| {
        let reading = read_server(text.as_bytes(), format, &options);
        assert_eq!(reading.problems, [], "{text}");
        let file = reading.value.unwrap();
        let mut all = [file.caches, file.templates].concat();
        all.sort_by_key(|(name, _)| name.to_string());
        (file.container_name, all)
    };
    let sample = include_str!("../../samples/infinispan.xml");
    let served = server(sample, Format::Xml);
    assert_eq!(served.1.len(), 4);
    for format in [Format::Json, Format::Xml, Format::Yaml] {
        for pretty in [false, true] {
            let converted = convert(sample.as_bytes(), Format::Xml, format, pretty, &options);
            let converted = converted.unwrap().value;
            assert_eq!(server(&converted.text, format), served, "{}", converted.text);
            assert!(converted.is_part, "interfaces, bindings and endpoints are left out");
        }
    }
    let unknown = "<local-cache name='c'><encoding media-type='${type}'/></local-cache>";
    let error = parse_cache(unknown.as_bytes(), Format::Xml, &options).unwrap_err();
    assert!(matches!(error, ConfigError::NoProperty { .. }), "{error}");
    let properties = "<distributed-cache name='c' owners='${owners:3}' remote-timeout='${time}'/>";
    let shown = convert(properties.as_bytes(), Format::Xml, Format::Json, false, &options);
    let text = shown.unwrap().value.text;
    assert!(text.contains(r#""owners":"3""#) && text.contains("${time}"), "{text}");
}

/// Every attribute and element that a cache of Infinispan 16 can have, none with its default.
const EVERYTHING: &str = include_str!("everything.xml");

/// Attributes, texts and properties below an element, each with the path to it.
fn said(element: &tree::Element, path: &str, said: &mut Vec<String>) {
    for attribute in &element.attributes {
        let mut words: Vec<_> = attribute.value.split_whitespace().collect();
        words.sort_unstable();
        said.push(format!("{path}@{}={}", attribute.name, words.join(" ")));
    }
    for child in &element.children {
        match (child.name.as_str(), child.attribute("name")) {
            ("property", Some(name)) => {
                let value = child.attribute("value").map_or(&child.text, |value| &value.value);
                said.push(format!("{path}/properties@{}={value}", name.value));
            }
            ("properties", _) => {
                let properties = child.attributes.iter();
                said.extend(properties.map(|property| {
                    format!("{path}/properties@{}={}", property.spelled, property.value)
                }));
            }
            ("indexed-entities", _) => {
                let texts: Vec<_> = child.children.iter().map(|item| item.text.as_str()).collect();
                said.push(format!("{path}@indexed-entities={}", texts.join(" ")));
            }
            (name, _) => self::said(child, &format!("{path}/{name}"), said),
        }
    }
    said.sort();
}

fn said_in(text: &str, format: Format) -> Vec<String> {
    let mut all = Vec::new();
    said(&tree::read(text.as_bytes(), format, &Options::default()).unwrap(), "", &mut all);
    all.retain(|line| !line.contains("@name=") || line.contains("properties"));
    // JSON and YAML have the name of the cache around it.
    all.into_iter().map(|line| line.replacen("/everything/", "/", 1)).collect()
}

#[test]
fn every_attribute_survives_every_way_through_the_formats() {
    let options = Options { lenient: true, insecure: true, ..Options::default() };
    let original = said_in(EVERYTHING, Format::Xml);
    let config = parse_cache(EVERYTHING.as_bytes(), Format::Xml, &options).unwrap().value.config;
    for first in FORMATS {
        let text =
            convert(EVERYTHING.as_bytes(), Format::Xml, first, true, &options).unwrap().value.text;
        assert_eq!(said_in(&text, first), original, "{first}: {text}");
        for second in FORMATS {
            let again =
                convert(text.as_bytes(), first, second, false, &options).unwrap().value.text;
            assert_eq!(said_in(&again, second), original, "{first} to {second}: {again}");
            let read = parse_cache(again.as_bytes(), second, &options).unwrap().value.config;
            assert_eq!(read, config, "{first} to {second}: {again}");
            assert!(read.given.is_exactly(&config.given), "{first} to {second}: {again}");
        }
    }
    let stored = CacheConfig::from_stored_json(&config.to_stored_json()).unwrap();
    assert_eq!(stored, config);
    assert_eq!(
        said_in(
            &stored.write(None, Format::Xml, Writing { secrets: Secrets::Kept, pretty: false }),
            Format::Xml
        ),
        original
    );
}

#[test]
fn every_attribute_that_is_lost_makes_a_difference() {
    let options = Options { lenient: true, insecure: true, ..Options::default() };
    let config = parse_cache(EVERYTHING.as_bytes(), Format::Xml, &options).unwrap().value.config;
    let root = tree::read(EVERYTHING.as_bytes(), Format::Xml, &Options::default()).unwrap();
    let mut same = Vec::new();
    for index in 0..1_000 {
        let mut left = index;
        let mut without = root.clone();
        let Some(name) = lose(&mut without, &mut left) else { break };
        let mut notes = Notes::new(&options);
        let document = document::read(&without, Templates::Asked, &options, &mut notes);
        let other = document.caches.into_iter().next().unwrap().config;
        if config == other {
            same.push(name);
        }
    }
    // The name of the cache, what is so by default, and a property that is always set.
    let expected = ["name", "batching", "passivation", "shared", "name", "mode", "enabled"];
    assert_eq!(same, expected);
}

/// Removes an attribute of an element or of one below it; its name.
fn lose(element: &mut tree::Element, left: &mut usize) -> Option<String> {
    if *left < element.attributes.len() {
        return Some(element.attributes.remove(*left).name);
    }
    *left -= element.attributes.len();
    element.children.iter_mut().find_map(|child| lose(child, left))
}

#[test]
fn secrets_of_what_has_no_effect_are_masked_too() {
    let config = parse_cache(
        EVERYTHING.as_bytes(),
        Format::Xml,
        &Options { lenient: true, insecure: true, ..Options::default() },
    );
    let config = config.unwrap().value.config;
    for format in FORMATS {
        let text = |secrets| config.write(None, format, Writing { secrets, pretty: false });
        assert!(text(Secrets::Kept).contains("s3cret"));
        assert!(!text(Secrets::Masked).contains("s3cret"), "{}", text(Secrets::Masked));
    }
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn defaults_that_were_said_are_written_and_others_are_not() {
    let xml = r#"<?xml version="1.0"?><distributed-cache owners="2" segments="256" mode="SYNC" statistics="false"><expiration lifespan="-1" max-idle="-1" interval="60000"/><memory max-count="-1" when-full="NONE"/></distributed-cache>"#;
    let config =
        parse_cache(xml.as_bytes(), Format::Xml, &Options::default()).unwrap().value.config;
    let writing = Writing { secrets: Secrets::Masked, pretty: false };
    assert_eq!(config.write(None, Format::Xml, writing), xml);
    assert_eq!(config, CacheConfig::new(CacheMode::Distributed));
    for json in [
        r#"{"local-cache":{"expiration":{"lifespan":"900000000000000000"}}}"#,
        r#"{"local-cache":{"expiration":{"lifespan":"10 s","max-idle":"1.5s","interval":"-1"}}}"#,
        r#"{"local-cache":{"expiration":{"lifespan":"0","max-idle":"-5","interval":"0"}}}"#,
        r#"{"local-cache":{"memory":{"max-size":"1.50 GB","when-full":"EXCEPTION"}}}"#,
        r#"{"local-cache":{"memory":{"max-count":"10"}}}"#,
    ] {
        let config = parse_cache(json.as_bytes(), Format::Json, &Options::default());
        let config = config.unwrap().value.config;
        assert_eq!(config.to_json(None, Secrets::Masked).to_string(), json, "as it was spelled");
        let stored = CacheConfig::from_stored_json(&config.to_stored_json()).unwrap();
        assert_eq!(stored.to_json(None, Secrets::Masked).to_string(), json, "after a restart");
    }
}

#[test]
fn a_container_of_many_caches_is_converted_however_long_it_is() {
    let caches: String = (0..2_000)
        .map(|number| format!("<distributed-cache name='c{number}' configuration='t'/>"))
        .collect();
    let xml = format!(
        "<infinispan><cache-container><distributed-cache-configuration name='t' owners='3'/>{caches}\
         </cache-container></infinispan>"
    );
    let options = Options::default();
    let yaml = convert(xml.as_bytes(), Format::Xml, Format::Yaml, true, &options).unwrap();
    let again = yaml.value.text.as_bytes();
    let again = convert(again, Format::Yaml, Format::Json, false, &options).unwrap().value.text;
    assert!(again.contains("\"c0\"") && again.contains("\"c1999\""));
    assert_eq!(again.matches(r#""owners":"3""#).count(), 2_001);
}

#[test]
fn a_changed_value_is_not_written_as_the_old_one_was_spelled() {
    let json = br#"{"local-cache":{"expiration":{"lifespan":"10 s","interval":"-1"},"memory":{"max-count":"10"}}}"#;
    let config = parse_cache(json, Format::Json, &Options::default()).unwrap().value.config;
    let mut changed = config.clone();
    changed.expiration.lifespan = Some(Duration::from_secs(7));
    changed.memory.max_count = Some(11);
    assert_eq!(
        changed.to_json(None, Secrets::Masked).to_string(),
        r#"{"local-cache":{"expiration":{"lifespan":"7000","interval":"-1"},"memory":{"max-count":"11"}}}"#
    );
    let set = config.mutable("expiration.lifespan").unwrap().with(&config, "1m").unwrap();
    assert!(set.to_json(None, Secrets::Masked).to_string().contains(r#""lifespan":"1m""#));
}

#[test]
fn what_was_stored_is_read_although_it_would_be_refused_today() {
    let slip = r#"{"local-cache":{"encoding":{"media-type":"application/x-yaml"}}}"#;
    let options = Options::default();
    let error = parse_cache(slip.as_bytes(), Format::Json, &options).unwrap_err();
    assert!(error.to_string().contains("did you mean"), "{error}");
    let config = CacheConfig::from_stored_json(slip).unwrap();
    assert_eq!(config.encoding.value.unwrap().to_string(), "application/x-yaml");
}
