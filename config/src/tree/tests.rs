//! The same tree from every format, places, and what is refused.

use super::*;

fn tree(text: &str, format: Format) -> Result<Element, ConfigError> {
    read(text.as_bytes(), format, &Options::default())
}

/// Elements and attributes without their places.
fn shape(element: &Element) -> String {
    let attributes = element.attributes.iter().map(|a| format!(" {}={}", a.name, a.value));
    let children = element.children.iter().map(shape);
    format!(
        "{}{}{}({})",
        element.name,
        attributes.collect::<String>(),
        element.text,
        children.collect::<String>()
    )
}

fn error(text: &str, format: Format) -> String {
    tree(text, format).unwrap_err().to_string()
}

#[test]
fn every_format_gives_the_same_tree() {
    let wanted =
        "(distributed-cache mode=SYNC owners=2 l1-lifespan=5s(expiration max-idle=7 roles=a b()))";
    for (text, format) in [
        (
            r#"{"distributed-cache":{"mode":"SYNC","owners":2,"l1-lifespan":"5s",
                "expiration":{"max-idle":7,"roles":["a","b"]}}}"#,
            Format::Json,
        ),
        (
            r#"{"distributedCache":{"mode":"SYNC","owners":"2","l1Lifespan":"5s",
                "expiration":{"maxIdle":"7","roles":"a b"}}}"#,
            Format::Json,
        ),
        (
            "<?xml version='1.0'?>\n<!-- a --><c:distributed-cache xmlns:c='urn:infinispan:config:15.0' \
             mode='SYNC' owners=\"2\" l1-lifespan='5s'> <expiration max-idle='7' roles='a&#32;b'/>\
             </c:distributed-cache>",
            Format::Xml,
        ),
        (
            "distributedCache:\n  mode: SYNC\n  owners: 2\n  l1Lifespan: \"5s\"\n  expiration:\n    \
             maxIdle: 7\n    roles:\n    - a\n    - b\n",
            Format::Yaml,
        ),
        (
            "[distributed-cache]\nl1-lifespan = '5s'\nmode = 'SYNC'\nowners = 2\n\
             expiration = {max-idle = 7, roles = ['a', 'b']}",
            Format::Toml,
        ),
    ] {
        let mut root = tree(text, format).unwrap();
        // TOML does not keep the order.
        let order = ["mode", "owners", "l1-lifespan"];
        let rank = |attribute: &Attribute| order.iter().position(|name| *name == attribute.name);
        root.children[0].attributes.sort_by_key(rank);
        assert_eq!(shape(&root), wanted, "{text}");
    }
}

#[test]
fn a_list_of_objects_is_a_repeated_element_and_null_an_empty_one() {
    let root = tree(
        r#"{"s":{"remote-server":[{"host":"a"},{"host":"b"}],"x":null,"y":[]}}"#,
        Format::Json,
    );
    assert_eq!(shape(&root.unwrap()), "(s(remote-server host=a()remote-server host=b()x()))");
    let root = tree("s:\n  remoteServer:\n  - host: a\n  - host: b\n  x: ~\n  y: []", Format::Yaml);
    assert_eq!(shape(&root.unwrap()), "(s(remote-server host=a()remote-server host=b()x()))");
}

#[test]
fn scalars_keep_their_spelling() {
    let root =
        tree(r#"{"a":1.50,"b":-1,"c":true,"d":"\u00f6\ud83d\ude00\n"}"#, Format::Json).unwrap();
    assert_eq!(shape(&root), " a=1.50 b=-1 c=true d=ö😀\n()");
    let root = tree("a: 007\nb: 'null'\nc: yes\nd: 0x10", Format::Yaml).unwrap();
    assert_eq!(shape(&root), " a=007 b=null c=yes d=0x10()");
}

#[test]
fn names_and_attributes_know_their_places() {
    let place = |line, column| Place { line, column };
    let root = tree("{\n  \"a\": {\"b\": 1}\n}", Format::Json).unwrap();
    assert_eq!(root.children[0].place, place(2, 4));
    assert_eq!(root.children[0].attributes[0].place, place(2, 10));
    let root = tree("<a>\n  <ö/>\n  <c d='1'\n e='2'/></a>", Format::Xml).unwrap();
    assert_eq!(root.children[0].children[1].place, place(3, 3));
    assert_eq!(root.children[0].children[1].attributes[1].place, place(4, 2));
    let root = tree("a:\n  b: 1\n", Format::Yaml).unwrap();
    assert_eq!(root.children[0].attributes[0].place, place(2, 3));
    let root = tree("[a]\n  b = 1\n", Format::Toml).unwrap();
    assert_eq!(root.children[0].attributes[0].place, place(2, 3));
}

#[test]
fn text_in_xml_is_trimmed_and_its_references_resolved() {
    let root = tree("<p name='a'>\n x &lt;&#x41;&amp;<![CDATA[<&]]> </p>", Format::Xml).unwrap();
    assert_eq!(root.children[0].text, "x <A&<&");
}

#[test]
fn entities_and_document_types_are_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;\">]>\n<a>&c;</a>";
    assert_eq!(
        error(bomb, Format::Xml),
        "Invalid XML at [1,1]: a document type has no meaning here"
    );
    assert_eq!(
        error("<a>\n&c;</a>", Format::Xml),
        "Invalid XML at [2,1]: an entity that XML itself does not have"
    );
    assert!(error("<a b='&c;'/>", Format::Xml).starts_with("Invalid XML at [1,4]: "));
    let aliases = "a: &x [1, 2]\nb: *x";
    assert_eq!(
        error(aliases, Format::Yaml),
        "Invalid YAML at [1,7]: anchors and aliases are not taken; write it out"
    );
}

#[test]
fn deep_nesting_is_refused_in_every_format() {
    for (open, close, format) in [
        ("<a>", "</a>", Format::Xml),
        ("{\"a\":", "}", Format::Json),
        ("[", "]", Format::Json),
        ("{a: ", "}", Format::Yaml),
        ("[", "]", Format::Yaml),
    ] {
        for depth in [MAX_DEPTH + 1, MAX_DEPTH + 5, 5_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let error = tree(&deep, format).unwrap_err();
            let refused = matches!(error, ConfigError::TooDeep { .. } | ConfigError::Syntax { .. });
            assert!(refused, "{format} {error:?}");
        }
    }
    let table = format!("x = {}1{}", "{a = ".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
    assert!(matches!(tree(&table, Format::Toml), Err(ConfigError::TooDeep { .. })));
    let deep = format!("{}{}", "<a>".repeat(MAX_DEPTH), "</a>".repeat(MAX_DEPTH));
    assert!(tree(&deep, Format::Xml).is_ok());
}

#[test]
fn a_large_document_is_refused() {
    let large = " ".repeat(MAX_DOCUMENT + 1);
    let error = tree(&large, Format::Json).unwrap_err();
    assert_eq!(error, ConfigError::TooLarge { limit: MAX_DOCUMENT });
}

#[test]
fn what_is_broken_is_placed() {
    for (text, format, wanted) in [
        ("{bad", Format::Json, "Invalid JSON at [1,3]: "),
        ("<a/>", Format::Json, "Invalid JSON at [1,2]: "),
        ("{\"a\":\n  {\"b\":1", Format::Json, "Invalid JSON at [2,9]: "),
        ("{\"a\":1}\nx", Format::Json, "Invalid JSON at [2,2]: "),
        ("{\"a\":01}", Format::Json, "Invalid JSON at [1,8]: "),
        ("{\"a\":\"\\ud800\"}", Format::Json, "Invalid JSON at [1,14]: "),
        (
            "{\"a\":1,}",
            Format::Json,
            "Invalid JSON at [1,9]: a comma stands before the closing brace",
        ),
        (
            "{\"a\":[1,\n]}",
            Format::Json,
            "Invalid JSON at [2,2]: a comma stands before the closing bra",
        ),
        ("{\"a\":[1,", Format::Json, "Invalid JSON at [1,9]: the document ends too early; "),
        (
            "{\"a\":\"b",
            Format::Json,
            "Invalid JSON at [1,8]: the document ends too early; a text has",
        ),
        ("", Format::Json, "Invalid JSON at [1,1]: "),
        ("[1]", Format::Json, "Invalid JSON at [1,1]: "),
        ("<a>\n <b>", Format::Xml, "Invalid XML at [2,5]: "),
        ("<a>\n <b></a>", Format::Xml, "Invalid XML at [2,5]: "),
        ("<a b='1/>", Format::Xml, "Invalid XML at [1,"),
        ("<a/><b/>", Format::Xml, "Invalid XML at [1,5]: "),
        ("text", Format::Xml, "Invalid XML at [1,1]: "),
        ("", Format::Xml, "Invalid XML at [1,1]: "),
        ("a: 1\nb: {c: 1", Format::Yaml, "Invalid YAML at [2,"),
        ("a: 1\nb: \"x", Format::Yaml, "Invalid YAML at [2,"),
        ("a: 1\n  b: 1", Format::Yaml, "Invalid YAML at [2,"),
        ("a: 1\n---\nb: 1", Format::Yaml, "Invalid YAML at [3,"),
        ("a = 1\nb = ", Format::Toml, "Invalid TOML at [2,"),
        ("a = 1\na = 2", Format::Toml, "Invalid TOML at [2,1]: "),
    ] {
        let error = error(text, format);
        assert!(error.starts_with(wanted), "{text:?}: {error}");
    }
    let error = read(b"{\"a\":\n\"\xff\"}", Format::Json, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "Invalid JSON at [2,2]: this is not UTF-8");
}

#[test]
fn a_name_that_is_given_twice_is_refused() {
    for (text, format) in [
        ("{\"a\":1,\n\"a\":2}", Format::Json),
        ("<x a='1'\na='2'/>", Format::Xml),
        ("a: 1\na: 2", Format::Yaml),
    ] {
        let error = error(text, format);
        assert!(error.starts_with("'a' is given a second time (line 2, column "), "{error}");
    }
}

#[test]
fn names_become_kebab_case() {
    for (spelled, name) in [
        ("remoteCacheContainer", "remote-cache-container"),
        ("l1CleanupInterval", "l1-cleanup-interval"),
        ("max-idle", "max-idle"),
        ("ispn:stack.combine", "stack.combine"),
        ("MPING", "mping"),
    ] {
        assert_eq!(kebab(spelled), name);
    }
}
