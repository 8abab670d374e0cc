//! Settings in every spelling, and their meaning.

use super::*;

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
fn times_have_units_zero_is_one_and_below_it_is_none() {
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
    assert_eq!(expiration("lifespan='-5s' max-idle='-2'"), DefaultExpiration::default());
    let at_once = expiration("lifespan='0' max-idle='0s'");
    assert_eq!(at_once.lifespan, Some(Duration::ZERO), "as in Infinispan");
    assert_eq!(at_once.max_idle, Some(Duration::ZERO), "as in Infinispan");
    for never in ["-1", "0"] {
        assert_eq!(
            whats(&with(&format!("<expiration interval='{never}'/>"))),
            ["'interval' of 'expiration': expired entries are always removed"]
        );
    }
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
fn a_partitioner_that_is_not_the_default_one_is_kept_and_noted() {
    let class = "org.infinispan.distribution.ch.impl.RESPHashFunctionPartitioner";
    let parsed = parsed(&format!("<distributed-cache key-partitioner='{class}'/>"));
    assert_eq!(parsed.value.key_partitioner.as_deref(), Some(class));
    assert!(parsed.ignored[0].what.starts_with("'key-partitioner'"), "{:?}", parsed.ignored);
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

    // The implied encoding ends with the index.
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
    assert_eq!(parsed.ignored[0].what, "'value' of 'encoding': 'media-type' applies to both");
}
