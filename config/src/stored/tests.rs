//! Whatever is accepted is read back from its stored form as what it is.

use std::panic::AssertUnwindSafe;

use super::*;
use crate::{
    Format, NamedCache, Options,
    fuzz::{rewrite, store},
    parse_cache, parse_remote_store, parse_server_as,
    random::Random,
};

/// Kinds of caches, with what only those of the kind may say.
const KINDS: &[(&str, &[&str])] = &[
    ("local-cache", &["", "simple-cache='true'", "start='EAGER'"]),
    ("replicated-cache", &["", "mode='ASYNC'", "segments='7'", "key-partitioner='a.B'"]),
    (
        "distributed-cache",
        &["", "owners='3'", "segments=' 60 '", "key-partitioner='a.B'", "l1-lifespan='5s'"],
    ),
    ("scattered-cache", &["", "bias-acquisition='NEVER' owners='1'"]),
];

/// What any cache may say as attributes, one of each line.
const ATTRIBUTES: &[&[&str]] = &[
    &["", "statistics='true'", "statistics='false'"],
    &["", "aliases='x y'", "aliases=''"],
    &["", "unreliable-return-values='true'"],
];

/// What any cache may have as elements, at most one of each line.
const ELEMENTS: &[&[&str]] = &[
    &[
        "<encoding media-type='application/json'/>",
        "<encoding media-type='application/json; charset=utf-8'/>",
        "<encoding><key media-type='text/plain'/></encoding>",
        "<encoding><value media-type='application/x-protostream'/></encoding>",
        "<encoding><key media-type='text/plain'/><value media-type='text/plain'/></encoding>",
        "<encoding/>",
    ],
    &[
        "<expiration lifespan='5s' max-idle='-1'/>",
        "<expiration interval='60000'/>",
        "<expiration interval='-1' touch='ASYNC'/>",
        "<expiration max-idle='1500ms'/>",
    ],
    &[
        "<memory max-count='10'/>",
        "<memory max-size='1.5 GB' when-full='EXCEPTION'/>",
        "<memory max-count='10' when-full='MANUAL'/>",
        "<memory when-full='MANUAL'/>",
        "<memory max-count='-1' when-full='NONE'/>",
        "<memory><off-heap size='1000' eviction='MEMORY' address-count='8'/></memory>",
        "<memory><binary size='5' strategy='MANUAL'/></memory>",
        "<memory storage='OFF_HEAP' when-full='REMOVE'/>",
    ],
    &["<eviction max-entries='10' strategy='LIRS'/>", "<eviction size='9' strategy='MANUAL'/>"],
    &[
        "<indexing/>",
        "<indexing enabled='false'/>",
        "<indexing><indexed-entities><indexed-entity>a b</indexed-entity>\
         <indexed-entity>c</indexed-entity></indexed-entities></indexing>",
        "<indexing><x>one two</x><x>three</x><y a='1'/><y a='2'/><y/></indexing>",
        "<indexing index='NONE'><property name='p'>v &#1;</property></indexing>",
        "<indexing a='1'><a/></indexing>",
    ],
    &["<locking isolation='read_committed'/>", "<locking striping='TRUE' acquire-timeout='0'/>"],
    &["<transaction mode='none' stop-timeout='30s'/>", "<transaction/>"],
    &["<partition-handling when-split='DENY_READ_WRITES'/>", "<partition-handling/>"],
    &["<security><authorization enabled='false' roles='a b'/></security>", "<security/>"],
    &["<state-transfer timeout='1'/>", "<tracing categories='a b'/>", "<query/>", "<backups/>"],
    &[
        "<custom-interceptors><interceptor class='a'/><interceptor class='b'/></custom-interceptors>",
        "<custom-interceptors/>",
    ],
    &[
        "<persistence passivation='true'/>",
        "<persistence passivation='false' connection-attempts='3'/>",
        "<persistence><remote-store cache='' read-only='true' fetch-state='true'>\
         <remote-server host='[::1]' port='1'/><remote-server host='a'/>\
         <connection-pool max-active='3'/><security><authentication server-name='s'>\
         <digest username='u' password='p&#10;&#9;' realm='r' sasl-mechanism='DIGEST-MD5'/>\
         </authentication><encryption><truststore filename='t'/></encryption></security>\
         </remote-store></persistence>",
        "<persistence><remote-store uri='hotrods://u:p%40@h:1,i?auth_realm=r&amp;foo=1'>\
         <property name='infinispan.client.hotrod.trust_store_path'>t</property>\
         <property name='mine'> v </property></remote-store></persistence>",
        "<persistence><remote-store uri='hotrod://h' protocol-version='2.9' purge='false'>\
         <properties><property name='auth_username'>u</property>\
         <property name='auth_password'></property><property name='auth_realm'/>\
         <property name='sasl_mechanism'> PLAIN </property></properties>\
         </remote-store></persistence>",
    ],
    &["<remote-store fetch-state='true' cache='old' connect-timeout='5s' socket-timeout='0'>\
         <remote-server host='h'/><authentication><plain username='u' password=''/>\
         </authentication><encryption/><connection-pool max-active='1'/></remote-store>"],
];

/// What only a lenient reader takes.
const LENIENT: &[&str] = &[
    "<persistence><file-store path='a'/><store class='c'/><store class='d'/></persistence>",
    "<persistence><remote-store><remote-server host='h' x='1'/><security y='2'><authentication>\
     <digest username='u' password='p' z='3'/></authentication></security></remote-store>\
     </persistence>",
    "<file-store/>",
    "<statistics/>",
    "<statistics a='1'/>",
    "<encoding>text</encoding>",
    "<distributed-cache/>",
    "<outbound-socket-binding/>",
    "<properties><security a='1'/></properties>",
    "<indexing property='x'><property name='y'>z</property></indexing>",
    "<own a='1'>text</own>",
];

/// An element of a cache, or of a configuration for caches, that is made from a parent.
fn cache(random: &mut Random, suffix: &str, name: &str, parent: &str, lenient: bool) -> String {
    let (kind, own) = KINDS[random.below(KINDS.len())];
    let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
    let mut text = format!("<{kind}{suffix} name='{name}' {} ", random.one(own));
    if !parent.is_empty() {
        text.push_str(&format!("configuration='{parent}' "));
    }
    for attributes in ATTRIBUTES {
        text.push_str(random.one(attributes));
        text.push(' ');
    }
    text.push('>');
    for elements in ELEMENTS {
        if random.below(4) == 0 {
            text.push_str(random.one(elements));
        }
    }
    if lenient && random.below(2) == 0 {
        text.push_str(random.one(LENIENT));
    }
    text + &format!("</{kind}{suffix}>")
}

/// Documents that are made up in a run.
const ROUNDS: usize = 1_000;

#[test]
fn every_accepted_configuration_is_read_back_as_what_it_is() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11222);
    let mut random = Random(seed);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let lenient = random.below(3) == 0;
        let caches = [
            cache(&mut random, "configuration", "first", "", lenient),
            cache(&mut random, "configuration", "second", "first", lenient),
            cache(&mut random, "", "orders", "second", lenient),
        ];
        let options = Options { lenient, insecure: lenient, ..Options::default() };
        let document = format!(
            "<infinispan><cache-container>{}</cache-container></infinispan>",
            caches.concat()
        );
        match parse_server_as(document.as_bytes(), Format::Xml, &options) {
            Ok(parsed) => {
                accepted += 1;
                let file = parsed.value;
                for (name, config) in file.caches.iter().chain(&file.templates) {
                    let cache = NamedCache { name: Some(name.clone()), config: config.clone() };
                    let read_back = AssertUnwindSafe(|| rewrite(&cache, &options));
                    let read_back = std::panic::catch_unwind(read_back);
                    assert!(read_back.is_ok(), "SEED={seed}: {name} in {document}");
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > ROUNDS / 3, "{accepted} of {} documents were accepted", accepted + refused);
}

#[test]
fn what_is_stored_may_be_deeper_than_what_is_accepted() {
    let inner = "<x a='1'/><x>".repeat(20) + "<y b='1'/>" + &"</x>".repeat(20);
    let deep = format!("<local-cache><indexing>{inner}</indexing></local-cache>");
    let config = parse_cache(deep.as_bytes(), Format::Xml, &Options::default()).unwrap();
    store(&config.value.config);
}

#[test]
fn what_is_stored_may_be_longer_than_what_is_accepted() {
    let path = "\\".repeat(600_000);
    let long = format!("<local-cache><indexing path='{path}'/></local-cache>");
    let config = parse_cache(long.as_bytes(), Format::Xml, &Options::default()).unwrap();
    assert!(config.value.config.to_stored_json().len() > tree::MAX_DOCUMENT);
    store(&config.value.config);

    let servers = [r#"{"host":"h"}"#; 3].join(",");
    let path = "\\\\".repeat(500_000);
    let body = format!(
        r#"{{"remote-store":{{"cache":"{path}","remote-server":[{servers}],"properties":{{"migration":true}}}}}}"#
    );
    let remote = parse_remote_store(body.as_bytes()).unwrap().value;
    assert!(RemoteStoreConfig::from_stored_json(&remote.to_stored_json()) == Ok(remote));
}

#[test]
fn what_was_stored_by_an_earlier_version_is_read_although_it_is_refused_now() {
    let stored = r#"{"local-cache":{"persistence":{"passivation":true,
        "remote-store":{"remote-server":[{"host":"h","port":1}]}},"batching":true}}"#;
    let config = CacheConfig::from_stored_json(stored).unwrap();
    assert!(config.remote_store.is_some());
    let again = parse_cache(stored.as_bytes(), Format::Json, &Options::default()).unwrap_err();
    assert!(again.to_string().contains("'passivation' of 'persistence' is refused"), "{again}");
}

/// What an earlier version stored of a store that stands where 8.x has it, and of what document.
const STORED_APART: &[(&str, &str)] = &[
    (
        r#"{"distributed-cache":{"mode":"SYNC","persistence":{"remote-store":{"shared":true,
            "cache":"a","remote-server":[{"host":"one","port":11222}],
            "properties":{"migration":"true"}}},
            "remote-store":{"connection-pool":{"max-active":"10"}}}}"#,
        r#"{"distributed-cache":{"remote-store":{"cache":"a","remote-server":[{"host":"one"}],
            "connection-pool":{"max-active":"10"}}}}"#,
    ),
    (
        r#"{"distributed-cache":{"mode":"SYNC","persistence":{"remote-store":{"shared":true,
            "cache":"a","remote-server":[{"host":"one","port":11222}],
            "properties":{"migration":"true"}}},"remote-store":{"raw-values":true}}}"#,
        r#"{"distributed-cache":{"remote-store":{"cache":"a","raw-values":true,
            "remote-server":[{"host":"one"}]}}}"#,
    ),
    (
        r#"{"distributed-cache":{"mode":"SYNC","persistence":{"connection-attempts":"3",
            "remote-store":{"shared":true,"cache":"a",
            "remote-server":[{"host":"one","port":11222}],"security":{"authentication":
            {"server-name":"s","plain":{"username":"u","password":"p"}},"encryption":{}},
            "properties":{"migration":"true"}}},"remote-store":{"fetch-state":true,
            "raw-values":true,"security":{"encryption":{"truststore":{"filename":"t"}}},
            "write-behind":{"x":"1"},"properties":{"mine":"v"}}}}"#,
        r#"{"distributed-cache":{"remote-store":{"cache":"a","raw-values":true,"fetch-state":true,
            "remote-server":[{"host":"one"}],"write-behind":{"x":1},"properties":{"mine":"v"},
            "security":{"authentication":{"server-name":"s",
            "plain":{"username":"u","password":"p"}},
            "encryption":{"truststore":{"filename":"t"}}}},
            "persistence":{"connection-attempts":3}}}"#,
    ),
];

#[test]
fn a_store_that_an_earlier_version_stored_in_two_parts_is_one() {
    for (stored, document) in STORED_APART {
        let config = CacheConfig::from_stored_json(stored).unwrap();
        let options = Options { lenient: true, ..Options::default() };
        let meant = parse_cache(document.as_bytes(), Format::Json, &options).unwrap();
        assert_eq!(config, meant.value.config, "{stored}");
        store(&config);
        let again = parse_cache(stored.as_bytes(), Format::Json, &options).unwrap_err();
        assert!(again.to_string().contains("remote-store"), "{again}");
    }
}

#[test]
fn what_is_no_configuration_of_ours_is_refused() {
    for stored in ["", "{}", "[]", r#"{"x":{}}"#, r#"{"local-cache":{}, "a":1}"#] {
        assert!(CacheConfig::from_stored_json(stored).is_err(), "{stored}");
        assert!(RemoteStoreConfig::from_stored_json(stored).is_err(), "{stored}");
    }
    let deep = format!(r#"{{"local-cache":{}1{}}}"#, r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
    assert!(matches!(CacheConfig::from_stored_json(&deep), Err(ConfigError::TooDeep { .. })));
}
