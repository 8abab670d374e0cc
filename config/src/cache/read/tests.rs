//! Caches that inherit from templates.

use super::*;
use crate::{Format, MemoryConfig, Options, Parsed, ServerFile, WhenFull, parse_server_as};

/// Reads a cache `c` that inherits from a template `t`.
fn over(template: &str, cache: &str) -> Result<Parsed<ServerFile>, ConfigError> {
    let document = format!(
        "<infinispan><cache-container>\
         <local-cache-configuration name='t'>{template}</local-cache-configuration>\
         <local-cache name='c' configuration='t'>{cache}</local-cache>\
         </cache-container></infinispan>"
    );
    parse_server_as(document.as_bytes(), Format::Xml, &Options::default())
}

fn config(template: &str, cache: &str) -> CacheConfig {
    over(template, cache).unwrap().value.caches.remove(0).1
}

fn whats(template: &str, cache: &str) -> Vec<String> {
    over(template, cache).unwrap().ignored.into_iter().map(|ignored| ignored.what).collect()
}

fn encoding_of(key: Option<MediaType>, value: Option<MediaType>) -> Encoding {
    Encoding { key, value }
}

#[test]
fn an_encoding_of_a_part_leaves_the_other_part_as_it_is() {
    let (text, json, protostream) =
        (Some(MediaType::TEXT), Some(MediaType::JSON), Some(MediaType::PROTOSTREAM));
    let each =
        "<encoding><key media-type='text/plain'/><value media-type='application/json'/></encoding>";
    let same =
        "<encoding><key media-type='text/plain'/><value media-type='text/plain'/></encoding>";
    let both = "<encoding media-type='text/plain'/>";
    let value = "<encoding><value media-type='application/x-protostream'/></encoding>";
    let key = "<encoding><key media-type='application/x-protostream'/></encoding>";
    for (template, cache, key, value) in [
        (each, value, &text, &protostream),
        (each, key, &protostream, &json),
        (each, both, &text, &text),
        (each, "", &text, &json),
        (each, "<encoding/>", &text, &json),
        (same, value, &text, &protostream),
        ("", value, &None, &protostream),
        ("<indexing/>", "<encoding><key media-type='text/plain'/></encoding>", &text, &protostream),
        // A media type for both takes precedence.
        (both, value, &text, &text),
    ] {
        let wanted = encoding_of(key.clone(), value.clone());
        assert_eq!(config(template, cache).encoding, wanted, "{template} {cache}");
    }
    assert_eq!(whats(each, value), Vec::<String>::new());
    assert_eq!(whats(both, value), ["'value' of 'encoding': 'media-type' applies to both"]);
    assert_eq!(whats(both, both), Vec::<String>::new());
}

#[test]
fn a_part_can_be_set_alone_also_after_a_restart() {
    let each =
        "<encoding><key media-type='text/plain'/><value media-type='text/plain'/></encoding>";
    let template = over(each, "").unwrap().value.templates.remove(0);
    let stored = CacheConfig::from_stored_json(&template.1.to_stored_json()).unwrap();
    let options = Options { templates: &[(template.0, stored)], ..Options::default() };
    let document = r#"{"local-cache":{"configuration":"t",
        "encoding":{"value":{"media-type":"application/json"}}}}"#;
    let cache = crate::parse_cache(document.as_bytes(), Format::Json, &options).unwrap();
    let wanted = encoding_of(Some(MediaType::TEXT), Some(MediaType::JSON));
    assert_eq!(cache.value.config.encoding, wanted);
}

#[test]
fn nothing_is_removed_from_a_cache_whose_template_says_so() {
    let manual = "<memory max-count='1000000' when-full='MANUAL'/>";
    let count = |max_count, when_full| MemoryConfig {
        max_count: Some(max_count),
        when_full,
        ..MemoryConfig::default()
    };
    for (template, cache, wanted) in [
        (manual, "", MemoryConfig::default()),
        (manual, "<memory max-count='5'/>", MemoryConfig::default()),
        (manual, "<memory storage='OFF_HEAP'/>", MemoryConfig::default()),
        (manual, "<memory when-full='REMOVE'/>", count(1_000_000, WhenFull::Remove)),
        (manual, "<memory max-count='5' when-full='EXCEPTION'/>", count(5, WhenFull::Exception)),
        ("<memory max-count='5'/>", "<memory when-full='MANUAL'/>", MemoryConfig::default()),
        (
            "<eviction max-entries='5' strategy='MANUAL'/>",
            "<memory max-count='7'/>",
            MemoryConfig::default(),
        ),
    ] {
        assert_eq!(config(template, cache).memory, wanted, "{template} {cache}");
    }
    for template in [manual, "<memory max-count='5'/>"] {
        let error = over(template, "<memory max-size='1MB'/>").unwrap_err().to_string();
        assert!(error.starts_with("'max-count' with 'max-size' is refused"), "{error}");
        over(template, "<memory max-count='-1' max-size='1MB'/>").unwrap();
    }
    let note = "the bound of 'memory': MANUAL removes nothing";
    assert_eq!(whats(manual, "<memory max-count='5'/>"), [note]);
    let shown =
        |cache| config(manual, cache).kept.value("memory/max-count")?.text().map(str::to_owned);
    assert_eq!(shown("<memory max-count='5'/>").as_deref(), Some("5"));
    assert_eq!(shown("").as_deref(), Some("1000000"));
    assert_eq!(shown("<memory when-full='REMOVE'/>"), None, "it is a bound now");
}

#[test]
fn passivation_is_judged_with_the_store_wherever_both_stand() {
    let store = "<persistence><remote-store uri='hotrod://h'/></persistence>";
    let old_store = "<remote-store><remote-server host='h'/></remote-store>";
    let (on, off) = ("<persistence passivation='true'/>", "<persistence passivation='false'/>");
    for (template, cache) in [(on, store), (on, old_store), (store, on), (old_store, on)] {
        let error = over(template, cache).unwrap_err().to_string();
        assert!(error.starts_with("'passivation' of 'persistence' is refused"), "{error}");
    }
    assert_eq!(whats(on, ""), ["'passivation' of 'persistence': there is no store"]);
    for (template, cache) in [(on, off), (off, store), (store, off)] {
        over(template, cache).unwrap();
    }
    let both = "<persistence passivation='false'><remote-store uri='hotrod://h'/></persistence>";
    assert!(config(on, both).remote_store.is_some());
}

#[test]
fn another_store_takes_nothing_from_that_of_the_template() {
    let secure = "<persistence><remote-store cache='a'><remote-server host='h'/><security><encryption>\
         <truststore filename='t'/></encryption></security><property name='own'>1</property>\
         </remote-store></persistence>";
    let plain = "<persistence><remote-store><remote-server host='i'/></remote-store></persistence>";
    let alone = config("", plain);
    assert_eq!(config(secure, plain), alone);
    assert!(!alone.to_stored_json().contains("encryption"));
    assert_eq!(config("", secure), config(secure, ""));
}

#[test]
fn a_local_cache_has_no_partitioner() {
    let document = "<infinispan><cache-container>\
         <distributed-cache-configuration name='t' key-partitioner='a.B'/>\
         <local-cache name='c' configuration='t'/></cache-container></infinispan>";
    let parsed = parse_server_as(document.as_bytes(), Format::Xml, &Options::default()).unwrap();
    assert_eq!(parsed.value.caches[0].1.key_partitioner, None);
}

#[test]
fn the_mask_of_a_password_is_no_password() {
    for store in [
        "<remote-server host='h'/><security><authentication><digest username='u' password='***'/>\
         </authentication></security>",
        "<remote-server host='h'/><property name='infinispan.client.hotrod.auth_username'>u</property>\
         <property name='infinispan.client.hotrod.auth_password'>***</property>",
    ] {
        let cache = format!("<persistence><remote-store>{store}</remote-store></persistence>");
        let error = over("", &cache).unwrap_err().to_string();
        assert!(error.contains("it is shown in the place of a password"), "{error}");
    }
}
