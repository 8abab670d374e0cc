//! Documents as the real server reads and writes them.

use proptest::prelude::*;

use super::*;

/// Tests both directions.
#[test]
fn every_scalar_has_its_document() {
    for (scalar, document) in [
        (Scalar::Null, "null"),
        (Scalar::String("hello".into()), r#"{"_type":"string","_value":"hello"}"#),
        (
            Scalar::String("<a href='x'>\"&\\\t\u{1}é\u{2028}".into()),
            "{\"_type\":\"string\",\"_value\":\"\\u003ca href\\u003d\\u0027x\\u0027\\u003e\\\"\
             \\u0026\\\\\\t\\u0001é\\u2028\"}",
        ),
        (Scalar::Int32(-7), r#"{"_type":"int32","_value":-7}"#),
        (Scalar::Int64(i64::MAX), r#"{"_type":"int64","_value":9223372036854775807}"#),
        (Scalar::UInt64(u64::MAX), r#"{"_type":"uint64","_value":18446744073709551615}"#),
        (Scalar::UInt32(u32::MAX), r#"{"_type":"uint32","_value":4294967295}"#),
        (Scalar::Fixed64(u64::MAX), r#"{"_type":"fixed64","_value":18446744073709551615}"#),
        (Scalar::Fixed32(1), r#"{"_type":"fixed32","_value":1}"#),
        (Scalar::SFixed64(-1), r#"{"_type":"sfixed64","_value":-1}"#),
        (Scalar::SFixed32(-1), r#"{"_type":"sfixed32","_value":-1}"#),
        (Scalar::SInt64(-1), r#"{"_type":"sint64","_value":-1}"#),
        (Scalar::SInt32(-1), r#"{"_type":"sint32","_value":-1}"#),
        (Scalar::Double(1.0), r#"{"_type":"double","_value":1.0}"#),
        (Scalar::Double(1e100), r#"{"_type":"double","_value":1.0E100}"#),
        (Scalar::Double(f64::INFINITY), r#"{"_type":"double","_value":"Infinity"}"#),
        (Scalar::Float(3.3), r#"{"_type":"float","_value":3.3}"#),
        (Scalar::Float(f32::NEG_INFINITY), r#"{"_type":"float","_value":"-Infinity"}"#),
        (Scalar::Bool(true), r#"{"_type":"bool","_value":true}"#),
        (Scalar::Bool(false), r#"{"_type":"bool","_value":false}"#),
        (Scalar::Bytes((&[1, 2, 3]).into()), r#"{"_type":"bytes","_value":"AQID"}"#),
        (
            Scalar::Date(1744288478165),
            r#"{"_type":"org.infinispan.protostream.commons.Date","wrappedDateMillis":1744288478165}"#,
        ),
        (
            Scalar::Instant { seconds: 1744288313, nanos: 308361201 },
            concat!(
                r#"{"_type":"org.infinispan.protostream.commons.Instant","#,
                r#""wrappedInstantSeconds":1744288313,"wrappedInstantNanos":308361201}"#
            ),
        ),
    ] {
        assert_eq!(of_scalar(&scalar), document);
        assert_eq!(to_scalar(document.as_bytes()), Ok(scalar), "{document}");
    }
}

#[test]
fn the_small_java_types_are_written_as_int32() {
    for (scalar, document) in [
        (Scalar::Char(97), r#"{"_type":"int32","_value":97}"#),
        (Scalar::Short(-1), r#"{"_type":"int32","_value":-1}"#),
        (Scalar::Byte(1), r#"{"_type":"int32","_value":1}"#),
    ] {
        assert_eq!(of_scalar(&scalar), document);
    }
}

#[test]
fn values_are_read_as_leniently_as_on_the_real_server() {
    for (document, scalar) in [
        ("", Scalar::Null),
        (" \n", Scalar::Null),
        ("{}", Scalar::Null),
        (r#"{"_type":"string"}"#, Scalar::Null),
        (r#"{"_type":"string","_value":null}"#, Scalar::Null),
        (" { \"_type\" : \"int32\" ,\n \"_value\" : 7 } ", Scalar::Int32(7)),
        (r#"{"_type":"int32","_value":"7"}"#, Scalar::Int32(7)),
        (r#"{"_type":"string","_value":7}"#, Scalar::String("7".into())),
        (r#"{"_type":"string","_value":true}"#, Scalar::String("true".into())),
        (r#"{"_type":"double","_value":7}"#, Scalar::Double(7.0)),
        (r#"{"_type":"double","_value":1e400}"#, Scalar::Double(f64::INFINITY)),
        (r#"{"_type":"str\u0069ng","_value":"\u00e9\n"}"#, Scalar::String("é\n".into())),
    ] {
        assert_eq!(to_scalar(document.as_bytes()), Ok(scalar), "{document}");
    }
    let nan = to_scalar(br#"{"_type":"double","_value":"NaN"}"#);
    assert!(matches!(nan, Ok(Scalar::Double(value)) if value.is_nan()));
}

#[test]
fn what_the_real_server_refuses_is_refused_with_its_text() {
    for (document, text) in [
        (r#""hello""#, "Invalid top level object! Found token: VALUE_STRING"),
        ("5", "Invalid top level object! Found token: VALUE_NUMBER_INT"),
        ("5.5", "Invalid top level object! Found token: VALUE_NUMBER_FLOAT"),
        ("true", "Invalid top level object! Found token: VALUE_TRUE"),
        ("false", "Invalid top level object! Found token: VALUE_FALSE"),
        ("[1]", "Invalid top level object! Found token: START_ARRAY"),
        ("nothing", "Invalid JSON"),
        ("{", "Invalid JSON"),
        (r#"{"_type":"string","_value":}"#, "Invalid JSON"),
        (r#"{"_type":"string","_value":"\ud800"}"#, "Invalid JSON"),
        (r#"{"_type":"bool","_value":"true"}"#, "Invalid JSON"),
        (r#"{"_type":"bytes","_value":"!"}"#, "Invalid JSON"),
        (r#"{"_type":"bytes","_value":5}"#, "Invalid JSON"),
        (r#"{"name":"x"}"#, "Expected field '_type' but it was 'name'"),
        (r#"{"_value":1,"_type":"int32"}"#, "Expected field '_type' but it was '_value'"),
        (r#"{"_type":"int32","value":1}"#, "Expected field '_value' but it was 'value'"),
        (r#"{"_type":"int32","_value":1,"x":2}"#, "Expected field '_type' but it was 'x'"),
        (r#"{"_type":7}"#, "Unexpected JSON token: VALUE_NUMBER_INT"),
        (r#"{"_type":"int32","_value":{}}"#, "Unexpected JSON token: START_OBJECT"),
        (r#"{"_type":"int32","_value":[1]}"#, "Unexpected JSON token: START_ARRAY"),
        (r#"{"_type":"int32","_value":"x"}"#, "For input string: \"x\""),
        (r#"{"_type":"int32","_value":7.0}"#, "For input string: \"7.0\""),
        (r#"{"_type":"int32","_value":2147483648}"#, "For input string: \"2147483648\""),
        (r#"{"_type":"uint32","_value":-1}"#, "For input string: \"-1\""),
        (r#"{"_type":"float","_value":true}"#, "For input string: \"true\""),
        (
            r#"{"_type":"org.example.Person","name":"x","age":1,"a":[],"b":{}}"#,
            "a message of type 'org.example.Person' needs the registered schema; not supported yet",
        ),
    ] {
        let error = to_scalar(document.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), text, "{document}");
    }
    assert!(to_scalar(b"\xff").is_err());
}

#[test]
fn json_is_any_number_of_values() {
    for (text, json) in [
        ("", true),
        (" ", true),
        ("1", true),
        ("1 {\"a\":[null]}", true),
        ("\"é\"", true),
        ("hello", false),
        ("{", false),
        ("[1,]", false),
        ("01", false),
        ("NaN", false),
    ] {
        assert_eq!(is_json(text.as_bytes()), json, "{text}");
    }
    assert!(!is_json(b"\"\xff\""));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert!(is_json(&deep), "depth takes no stack");
}

#[test]
fn depth_takes_no_stack_in_a_value_that_is_refused() {
    let deep = format!("{{\"_type\":\"x\",\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(to_scalar(deep.as_bytes()), Err(ConversionError::NeedsSchema(_))));
}

proptest! {
    #[test]
    fn any_scalar_comes_back_from_its_document(
        text in any::<String>(),
        bytes in any::<Vec<u8>>(),
        value in any::<i64>(),
        double in any::<f64>(),
        float in any::<f32>(),
    ) {
        for scalar in [
            Scalar::String(text.into()),
            Scalar::Bytes(bytes.into()),
            Scalar::Int64(value),
            Scalar::UInt64(value.cast_unsigned()),
            Scalar::Double(double),
            Scalar::Float(float),
            Scalar::Bool(value > 0),
        ] {
            let document = of_scalar(&scalar);
            prop_assert!(is_json(document.as_bytes()));
            prop_assert_eq!(to_scalar(document.as_bytes()), Ok(scalar));
        }
    }
}
