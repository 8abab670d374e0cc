//! No document ends in a panic, and none takes longer than its length allows.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::*;
use crate::{ConfigError, convert, random::Random, tree::MAX_DOCUMENT};

const SAMPLES: &[&str] = &[
    include_str!("../../samples/godwit.toml"),
    include_str!("../../samples/infinispan.xml"),
    include_str!("../../samples/standalone.xml"),
    include_str!("../../samples/cache.json"),
    include_str!("../../samples/cache.yaml"),
    r#"{"remote-store":{"cache":"c","uri":"hotrod://u:p@h:1","remote-server":[{"host":"a","port":1}],
        "security":{"authentication":{"digest":{"username":"u","password":"p","realm":"r"}}}}}"#,
];

/// Parts that stand where they do not belong.
const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "</",
    "/>",
    "\"",
    "'",
    ":",
    ",",
    "&",
    "&#x0;",
    "&lt;",
    "${",
    "}",
    "\\u",
    "\\ud800",
    "\0",
    "\u{feff}",
    "ö",
    "😀",
    "-",
    "- ",
    "\n",
    "\t",
    "#",
    "~",
    "*a",
    "&a",
    "!!str",
    "|",
    ">-",
    "<![CDATA[",
    "]]>",
    "<!--",
    "<?",
    "<!DOCTYPE",
    "=",
    "[[",
    "%",
    "-1",
    "99999999999999999999",
    "1e9",
    ".5s",
];

/// Changes a few places of a document.
fn mutate(document: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for _ in 0..=random.below(6) {
        let from = random.below(bytes.len().max(1));
        let to = (from + random.below(24)).min(bytes.len());
        let from = from.min(bytes.len());
        let part: Vec<u8> = match random.below(6) {
            0 => vec![],
            1 => vec![u8::try_from(random.below(256)).unwrap()],
            2 => PARTS[random.below(PARTS.len())].into(),
            3 => bytes[from..to].repeat(1 + random.below(40)),
            4 => {
                bytes.truncate(to);
                continue;
            }
            _ => {
                let other = SAMPLES[random.below(SAMPLES.len())].as_bytes();
                let start = random.below(other.len());
                other[start..(start + random.below(64)).min(other.len())].to_vec()
            }
        };
        bytes.splice(from..to, part);
    }
    bytes
}

#[test]
fn a_changed_sample_is_read_or_refused_and_never_a_panic() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11222);
    let mut random = Random(seed);
    for round in 0..2_000 {
        let sample = SAMPLES[random.below(SAMPLES.len())];
        let document = mutate(sample.as_bytes(), &mut random);
        let ended = std::panic::catch_unwind(|| fuzz_config(&document));
        assert!(
            ended.is_ok(),
            "SEED={seed}, round {round}: {}",
            String::from_utf8_lossy(&document)
        );
    }
}

#[test]
fn the_samples_themselves_pass() {
    SAMPLES.iter().for_each(|sample| fuzz_config(sample.as_bytes()));
    fuzz_config(b"");
}

/// As many parts as fit into a quarter of the longest document.
fn full_of(begin: &str, part: impl Fn(usize) -> String, end: &str) -> String {
    let mut text = begin.to_owned();
    let mut number = 0;
    loop {
        let part = part(number);
        if text.len() + part.len() + end.len() > MAX_DOCUMENT / 4 {
            return text + end;
        }
        text.push_str(&part);
        number += 1;
    }
}

/// Far more than any of this takes on a busy machine. Were the time to grow with the square of the length, each of these
/// documents would take longer.
const LONGEST: Duration = Duration::from_mins(2);

/// Does some work that must not take forever.
fn in_time(work: fn()) {
    let (done, over) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        done.send(())
    });
    if over.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
        panic!("it takes longer than {LONGEST:?}");
    }
    worker.join().unwrap().unwrap();
}

#[test]
fn a_document_full_of_names_is_read_in_a_time_that_its_length_allows() {
    in_time(read_documents_full_of_names);
}

fn read_documents_full_of_names() {
    let strict = Options::default();
    let lenient = Options { lenient: true, ..Options::default() };
    let comma = |number: usize| if number == 0 { "" } else { "," };
    let json = |part: &dyn Fn(usize) -> String| {
        let part = |number| format!("{}{}", comma(number), part(number));
        full_of(r#"{"local-cache":{"#, part, "}}")
    };
    let children = json(&|number| format!(r#""a{number}":{{"x":1}}"#));
    let attributes = json(&|number| format!(r#""a{number}":1"#));
    for document in [&children, &attributes] {
        let error = parse_cache(document.as_bytes(), Format::Json, &strict).unwrap_err();
        assert_eq!(error.problems().len(), 200);
        let config = parse_cache(document.as_bytes(), Format::Json, &lenient).unwrap().value.config;
        store(&config);
        let other = CacheConfig::new(config.mode);
        assert!(config.differences(&other).len() > 10_000);
    }
    let yaml = full_of("localCache:\n  indexing:\n", |n| format!("    a{n}: {{}}\n"), "");
    rewrite(&parse_cache(yaml.as_bytes(), Format::Yaml, &strict).unwrap().value, &strict);

    for (begin, part, end) in [
        ("<local-cache><indexing>", "<x/>", "</indexing></local-cache>"),
        ("<local-cache><indexing>", "<x>y</x>", "</indexing></local-cache>"),
        ("<local-cache aliases='", "a@ ", "'/>"),
        ("<local-cache><indexing x='", "&#1;", "'/></local-cache>"),
    ] {
        let part = |number: usize| part.replace('@', &number.to_string());
        let document = full_of(begin, part, end);
        let parsed = parse_cache(document.as_bytes(), Format::Xml, &strict).unwrap();
        store(&parsed.value.config);
    }
    let long =
        full_of("<local-cache><encoding media-type='a/", |_| "b".into(), "'/></local-cache>");
    store(&parse_cache(long.as_bytes(), Format::Xml, &strict).unwrap().value.config);
}

#[test]
fn many_caches_in_the_place_of_one_are_not_read() {
    let large = format!(
        "<local-cache-configuration name='t'><indexing><x a='{}'/></indexing>\
         </local-cache-configuration>",
        "x".repeat(MAX_DOCUMENT / 8)
    );
    let begin = format!("<infinispan><cache-container>{large}");
    let cache = |number| format!("<local-cache name='c{number}' configuration='t'/>");
    let many = full_of(&begin, cache, "</cache-container></infinispan>");
    let error = parse_cache(many.as_bytes(), Format::Xml, &Options::default()).unwrap_err();
    assert!(matches!(error, ConfigError::NotOneCache { found: 2_000.. }), "{error}");
    let to_yaml =
        |text: &str| convert(text.as_bytes(), Format::Xml, Format::Yaml, true, &Options::default());
    let error = to_yaml(&many).unwrap_err();
    assert!(matches!(error, ConfigError::TooLong { .. }), "{error}");
    assert!(error.to_string().contains("convert fewer of them at a time"), "{error}");
    // Short names take much more than their letters.
    let short = format!(
        "<infinispan><cache-container><local-cache-configuration name='t'><indexing>{}</indexing>\
         </local-cache-configuration>{}</cache-container></infinispan>",
        (0..20_000).map(|number| format!("<a{number}/>")).collect::<String>(),
        (0..20).map(cache).collect::<String>()
    );
    let error = to_yaml(&short).unwrap_err();
    assert!(matches!(error, ConfigError::TooLong { .. }), "{error}");
    let several: String =
        (0..5_000).map(|number| format!("<local-cache name='c{number}'/>")).collect();
    let several = format!("<infinispan><cache-container>{several}</cache-container></infinispan>");
    assert!(to_yaml(&several).is_ok(), "what is small stays possible in any number");

    let wrong = |number| format!("<local-cache name='c{number}'><owers/></local-cache>");
    let many = full_of("<infinispan><cache-container>", wrong, "</cache-container></infinispan>");
    let error = parse_server(many.as_bytes(), &Options::default()).unwrap_err();
    assert_eq!(error.problems().len(), 200);
}
