//! One row for each pair of media types.

use proptest::prelude::*;

use super::*;

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
const XML: &str = "application/xml";
const YAML: &str = "application/yaml";
const OCTETS: &str = "application/octet-stream";
const UNKNOWN: &str = "application/unknown";
const PROTO: &str = "application/x-protostream";
const JBOSS: &str = "application/x-jboss-marshalling";
const OBJECT: &str = "application/x-java-object";
const FORM: &str = "application/x-www-form-urlencoded";

/// Stands for a missing media type.
const NONE: &str = "";

#[test]
fn what_converts_converts_as_on_the_real_server() {
    let hello = br#"{"_type":"string","_value":"hello"}"#;
    let rows: &[(&str, &str, &[u8], &[u8])] = &[
        // Equal types, and types that are not given.
        (TEXT, TEXT, b"hello", b"hello"),
        (PROTO, PROTO, b"\x4a\x05hello", b"\x4a\x05hello"),
        (JSON, JSON, b"no json", b"no json"),
        ("image/png", "image/png", b"\x89PNG", b"\x89PNG"),
        ("*/*", PROTO, b"hello", b"hello"),
        (NONE, TEXT, b"\xff", b"\xff"),
        (NONE, PROTO, b"\xff", b"\xff"),
        (PROTO, NONE, b"\x4a\x05hello", b"\x4a\x05hello"),
        (NONE, NONE, b"\xff", b"\xff"),
        // Octet streams and unknown bytes: unchanged, both ways.
        (OCTETS, TEXT, b"1", b"1"),
        (OCTETS, JSON, b"1", b"1"),
        (OCTETS, PROTO, b"\x4a\x01b", b"\x4a\x01b"),
        (PROTO, OCTETS, b"\x4a\x01b", b"\x4a\x01b"),
        (OCTETS, JBOSS, b"\x03\x3e\x01a", b"\x03\x3e\x01a"),
        (JBOSS, OCTETS, b"\x03\x3e\x01a", b"\x03\x3e\x01a"),
        (JBOSS, UNKNOWN, b"\x03\x3e\x01a", b"\x03\x3e\x01a"),
        (TEXT, OCTETS, b"hello", b"hello"),
        (TEXT, UNKNOWN, b"hello", b"hello"),
        (UNKNOWN, JSON, b"hello", b"hello"),
        ("image/png", OCTETS, b"\x89PNG", b"\x89PNG"),
        ("text/plain; charset=ISO-8859-1", OCTETS, b"\xe9", b"\xe9"),
        (OCTETS, "text/plain; charset=klingon", b"\xe9", b"\xe9"),
        // Text.
        (TEXT, JSON, b"{\"a\":1}", b"{\"a\":1}"),
        (TEXT, JSON, b"", b""),
        (JSON, TEXT, b"{\"a\":1}", b"{\"a\":1}"),
        (TEXT, XML, b"<foo>bar</foo>", b"<foo>bar</foo>"),
        (TEXT, XML, b"Hello World!", b"<string>Hello World!</string>"),
        (XML, TEXT, b"<foo>bar</foo>", b"<foo>bar</foo>"),
        (TEXT, YAML, b"a: 1", b"a: 1"),
        (YAML, TEXT, b"a: 1", b"a: 1"),
        (OBJECT, TEXT, b"hello", b"hello"),
        (TEXT, OBJECT, b"hello", b"hello"),
        (OBJECT, JSON, b"5", b"5"),
        // Forms.
        (FORM, TEXT, b"word1+word2%21", b"word1 word2!"),
        (FORM, JSON, b"%7B%7D", b"{}"),
        (FORM, XML, b"%3Ca/%3E", b"<a/>"),
        (FORM, NONE, b"word1+word2", b"word1 word2"),
        (FORM, FORM, b"word1+word2", b"word1+word2"),
        (TEXT, FORM, b"word1 word2", b"word1+word2"),
        // ProtoStream and text.
        (TEXT, PROTO, b"a", b"\x4a\x01a"),
        (TEXT, PROTO, b"plain", b"\x4a\x05plain"),
        (TEXT, PROTO, b"", b"\x4a\x00"),
        (PROTO, TEXT, b"\x4a\x05hello", b"hello"),
        (PROTO, TEXT, b"\x28\x07", b"7"),
        (PROTO, TEXT, b"\x40\x01", b"true"),
        (PROTO, TEXT, b"", b""),
        ("text/plain; charset=utf-8", PROTO, b"c", b"\x4a\x01c"),
        (PROTO, "text/plain; charset=UTF-8", b"\x4a\x05plain", b"plain"),
        (OBJECT, PROTO, b"a", b"\x4a\x01a"),
        (PROTO, OBJECT, b"\x4a\x05hello", b"hello"),
        ("application/x-java-object; type=java.lang.String", PROTO, b"7", b"\x4a\x017"),
        ("application/x-java-object; type=java.lang.Integer", PROTO, b"7", b"\x28\x07"),
        ("application/x-java-object; type=java.lang.Long", PROTO, b"7", b"\x18\x07"),
        ("application/x-java-object; type=java.lang.Boolean", PROTO, b"TRUE", b"\x40\x01"),
        ("application/x-java-object; type=java.lang.Short", PROTO, b"7", b"\xa8\x01\x07"),
        ("application/x-java-object; type=java.lang.Byte", PROTO, b"7", b"\xb0\x01\x07"),
        ("application/x-java-object; type=java.lang.Float", PROTO, b"1", b"\x15\0\0\x80\x3f"),
        ("application/x-java-object; type=ByteArray", PROTO, b"0x01", b"\x52\x01\x01"),
        (PROTO, "application/x-java-object; type=java.lang.Integer", b"\x28\x07", b"7"),
        // ProtoStream and JSON.
        (JSON, PROTO, hello, b"\x4a\x05hello"),
        (PROTO, JSON, b"\x4a\x05hello", hello),
        (JSON, PROTO, br#"{"_type":"int32","_value":7}"#, b"\x28\x07"),
        (PROTO, JSON, b"\x28\x07", br#"{"_type":"int32","_value":7}"#),
        ("application/json; charset=utf-8", PROTO, hello, b"\x4a\x05hello"),
        (JSON, PROTO, b"null", b""),
        (PROTO, JSON, b"", b"null"),
        // Charsets.
        ("text/plain; charset=ISO-8859-1", TEXT, b"\xe9", "é".as_bytes()),
        (TEXT, "text/plain; charset=iso-8859-1", "é".as_bytes(), b"\xe9"),
        (TEXT, "text/plain; charset=UTF-16", b"a", b"\xfe\xff\0a"),
        ("text/plain; charset=UTF-16LE", "text/plain; charset=UTF-16BE", b"a\0", b"\0a"),
        ("text/plain; charset=UTF-16", "text/plain; charset=utf-16", b"\xff", b"\xff"),
        ("text/plain; charset=US-ASCII", TEXT, b"a", b"a"),
        ("text/plain; charset=ISO-8859-1", PROTO, b"\xe9", "\u{4a}\u{2}é".as_bytes()),
        (PROTO, "text/plain; charset=ISO-8859-1", "\u{4a}\u{2}é".as_bytes(), b"\xe9"),
        ("text/plain; charset=UTF-16BE", JSON, b"\0{\0}", b"{}"),
        // Encodings.
        ("application/octet-stream; encoding=hex", TEXT, b"0x6869", b"hi"),
        ("application/octet-stream; encoding=base64", NONE, b"aGk=", b"hi"),
        (TEXT, "application/octet-stream; encoding=hex", b"hi", b"0x6869"),
        (NONE, "application/octet-stream; encoding=base64", b"hi", b"aGk="),
        (OCTETS, "application/octet-stream; encoding=hex", b"hi", b"0x6869"),
        (TEXT, "application/x-protostream; encoding=hex", b"a", b"0x4a0161"),
        ("application/x-protostream; encoding=hex", TEXT, b"0x4a0161", b"a"),
        ("text/plain; charset=UTF-16BE; encoding=hex", TEXT, b"0x00e9", "é".as_bytes()),
    ];
    for (from, to, bytes, expected) in rows {
        let converted = between(from, to).unwrap().apply(bytes).map(Cow::into_owned);
        assert_eq!(converted.as_deref(), Ok(*expected), "{from} to {to}");
    }
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let rows: &[(&str, &str, &[u8], &str)] = &[
        (TEXT, JSON, b"hello", "ISPN000655: Unable to convert text content to JSON: 'hello'"),
        (FORM, JSON, b"a+b", "ISPN000655: Unable to convert text content to JSON: 'a b'"),
        (JSON, PROTO, b"5", "Invalid top level object! Found token: VALUE_NUMBER_INT"),
        (JSON, PROTO, b"\xff", "the content is not text in UTF-8"),
        (TEXT, PROTO, b"\xff", "the content is not text in UTF-8"),
        (PROTO, TEXT, b"k", "Invalid WrappedMessage encoding: it ends within a field"),
        (
            PROTO,
            JSON,
            b"\x98\x01\xea\x07\x8a\x01\x00",
            "a message of type id 1002 needs the registered schema; not supported yet",
        ),
        ("text/plain; charset=ascii", TEXT, b"\xff", "the content is not text in US-ASCII"),
        ("text/plain; charset=UTF-16", TEXT, b"a", "the content is not text in UTF-16"),
        (FORM, TEXT, b"%", "the content is not encoded as application/x-www-form-urlencoded"),
        ("application/octet-stream; encoding=hex", TEXT, b"x", "the content is not encoded as hex"),
        (
            "application/x-java-object; type=java.lang.Integer",
            PROTO,
            b"seven",
            "For input string: \"seven\"",
        ),
    ];
    for (from, to, bytes, text) in rows {
        let error = between(from, to).unwrap().apply(bytes).unwrap_err();
        assert_eq!(error.to_string(), *text, "{from} to {to}");
    }
}

#[test]
fn other_pairs_are_refused_with_the_text_of_the_real_server() {
    for (from, to) in [
        (TEXT, JBOSS),
        (JBOSS, TEXT),
        (PROTO, JBOSS),
        (JBOSS, PROTO),
        (JSON, XML),
        (XML, JSON),
        (PROTO, XML),
        (YAML, PROTO),
        (FORM, PROTO),
        (TEXT, "text/html"),
        ("image/png", TEXT),
        ("application/x-java-serialized-object", PROTO),
        ("text/plain; charset=klingon", TEXT),
        (TEXT, "text/plain; encoding=rot13"),
        ("application/x-java-object; type=java.util.UUID", PROTO),
    ] {
        let text = format!("ISPN000492: Cannot find transcoder between '{from}' to '{to}'");
        assert_eq!(between(from, to).unwrap_err().to_string(), text);
    }
}

#[test]
fn an_error_knows_the_exception_it_stands_for() {
    let exception =
        |from, to, bytes| between(from, to).unwrap().apply(bytes).unwrap_err().exception();
    let encoding = "org.infinispan.commons.dataconversion.EncodingException";
    assert_eq!(exception(TEXT, JSON, b"hello"), encoding);
    assert_eq!(NoConversion::EXCEPTION, encoding);
    assert_eq!(exception(JSON, PROTO, b"5"), "java.lang.IllegalStateException");
}

#[test]
fn a_long_content_is_not_repeated_in_an_error() {
    let long = "é".repeat(1_000_000);
    let error = between(TEXT, JSON).unwrap().apply(long.as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 2_000);
}

#[test]
fn the_usual_conversions_are_identities_and_copy_nothing() {
    for (from, to) in [
        (TEXT, TEXT),
        ("text/plain; charset=UTF-8", TEXT),
        ("text/plain; charset=ISO-8859-1", "text/plain; charset=latin1"),
        (JSON, "application/json; charset=utf-8"),
        (PROTO, PROTO),
        (PROTO, NONE),
        (OCTETS, JBOSS),
        (JSON, TEXT),
        (OBJECT, TEXT),
    ] {
        let conversion = between(from, to).unwrap();
        assert!(conversion.is_identity(), "{from} to {to}");
        assert!(matches!(conversion.apply(b"\xff"), Ok(Cow::Borrowed(b"\xff"))));
    }
    let unwrapped = between(PROTO, TEXT).unwrap().apply(b"\x4a\x05hello");
    assert!(matches!(unwrapped, Ok(Cow::Borrowed(b"hello"))), "a wrapped text is not copied");
}

#[test]
fn a_conversion_is_small() {
    assert!(size_of::<Conversion>() <= 8);
}

proptest! {
    #[test]
    fn text_comes_back_from_every_format_that_can_hold_it(text in any::<String>()) {
        for held in [
            PROTO,
            OCTETS,
            FORM,
            "text/plain; charset=UTF-16",
            "text/plain; charset=UTF-16LE; encoding=base64",
            "application/octet-stream; encoding=hex",
            "application/x-protostream; encoding=base64",
        ] {
            let there = between(TEXT, held).unwrap();
            let back = between(held, TEXT).unwrap();
            let bytes = there.apply(text.as_bytes()).unwrap();
            prop_assert_eq!(back.apply(&bytes).unwrap(), text.as_bytes(), "through {}", held);
        }
    }
}

fn between(from: &str, to: &str) -> Result<Conversion, NoConversion> {
    let parse = |name: &str| (name != NONE).then(|| name.parse::<MediaType>().unwrap());
    Conversion::between(parse(from).as_ref(), parse(to).as_ref())
}

#[test]
fn entries_move_untouched_between_caches_that_keep_the_same_bytes() {
    let parsed = |text: &str| match text {
        "" => None,
        text => Some(text.parse::<MediaType>().unwrap()),
    };
    let same = |one: &str, other: &str| {
        let (one, other) = (parsed(one), parsed(other));
        let same = Conversion::same_bytes(one.as_ref(), other.as_ref());
        assert_eq!(Conversion::same_bytes(other.as_ref(), one.as_ref()), same, "{one:?} {other:?}");
        same
    };
    for (one, other) in [
        ("", ""),
        ("", "application/octet-stream"),
        ("application/unknown", "application/octet-stream"),
        ("text/plain", "text/plain"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/plain; charset=latin1", "text/plain; charset=ISO-8859-1"),
        ("text/plain; charset=klingon", "text/plain; charset=Klingon"),
        ("application/json", "application/json; charset=UTF-8"),
        ("application/x-protostream", "application/x-protostream"),
        ("application/x-java-object", "application/x-protostream"),
        ("application/x-java-object; type=java.lang.String", "application/x-java-object"),
        ("application/x-jboss-marshalling", "application/x-jboss-marshalling"),
        ("image/png", "image/png"),
    ] {
        assert!(same(one, other), "{one:?} and {other:?}");
    }
    for (one, other) in [
        ("", "text/plain"),
        ("application/octet-stream", "application/x-protostream"),
        ("text/plain", "text/plain; charset=UTF-16"),
        ("text/plain; charset=UTF-16LE", "text/plain; charset=UTF-16BE"),
        ("text/plain; charset=klingon", "text/plain; charset=elvish"),
        ("text/plain; charset=klingon", "text/plain"),
        ("text/plain", "application/json"),
        ("text/plain", "application/x-java-object"),
        ("application/octet-stream; encoding=hex", "application/octet-stream"),
        ("application/x-jboss-marshalling", "application/x-java-serialized-object"),
        ("image/png", "image/gif"),
    ] {
        assert!(!same(one, other), "{one:?} and {other:?}");
    }
}

#[test]
fn java_objects_are_kept_as_protostream_which_knows_their_types() {
    let (object, protostream, text) = (MediaType::OBJECT, MediaType::PROTOSTREAM, MediaType::TEXT);
    let number = b"\x28\x07";
    let into = Conversion::to_stored(Some(&protostream), Some(&object)).unwrap();
    assert_eq!(&*into.apply(number).unwrap(), number);
    let out = Conversion::of_stored(Some(&object), Some(&protostream)).unwrap();
    assert_eq!(&*out.apply(number).unwrap(), number);
    let into = Conversion::to_stored(Some(&text), Some(&object)).unwrap();
    assert_eq!(&*into.apply(b"seven").unwrap(), b"\x4a\x05seven");
    let out = Conversion::of_stored(Some(&object), Some(&text)).unwrap();
    assert_eq!(&*out.apply(number).unwrap(), b"7");
}

#[test]
fn a_key_is_as_long_as_the_shortest_form_that_a_client_can_send() {
    for (storage, stored, expected) in [
        (PROTO, &b"\x4a\x05hello"[..], 5),
        // A message: nobody reads it without its schema.
        (PROTO, b"\x8a\x01\x01a\x98\x01\x07", 7),
        (TEXT, b"hello", 5),
        ("text/plain; charset=UTF-16BE", b"\0h\0i", 2),
        ("text/plain; charset=ISO-8859-1", b"\xe4\xf6", 2),
        (XML, b"<string>a&amp;lt;b&lt;&#xd;</string>", 8),
        (XML, b"<other>a</other>", 16),
        (XML, b"<string><b/></string>", 21),
        (JSON, b"\"hello\"", 7),
        (OCTETS, b"\x4a\x05hello", 7),
        (NONE, b"\x4a\x05hello", 7),
    ] {
        let storage = (!storage.is_empty()).then(|| storage.parse().unwrap());
        let len = Conversion::shortest_request(storage.as_ref(), stored);
        assert_eq!(len, expected, "{storage:?} {stored:?}");
    }
}
