//! Bytes as ProtoStream writes them, and malformed ones.

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

/// One row for each field that holds a scalar: the value, its bytes, its text.
#[test]
fn every_scalar_is_written_and_read_as_protostream_does() {
    let rows: [(Scalar<'_>, &[u8], &str); 34] = [
        (Scalar::Null, &[], ""),
        (Scalar::String("a".into()), &hex!("4a 01 61"), "a"),
        (Scalar::String("".into()), &hex!("4a 00"), ""),
        (Scalar::String("user:1001".into()), &hex!("4a 09 757365723a31303031"), "user:1001"),
        (Scalar::String("é".into()), &hex!("4a 02 c3a9"), "é"),
        (Scalar::Int32(7), &hex!("28 07"), "7"),
        (Scalar::Int32(1), &hex!("28 01"), "1"),
        (Scalar::Int32(-1), &hex!("28 ffffffffffffffffff01"), "-1"),
        (Scalar::Int32(300), &hex!("28 ac02"), "300"),
        (Scalar::Int32(i32::MIN), &hex!("28 80808080f8ffffffff01"), "-2147483648"),
        (Scalar::Int64(-1), &hex!("18 ffffffffffffffffff01"), "-1"),
        (Scalar::Int64(i64::MAX), &hex!("18 ffffffffffffffff7f"), "9223372036854775807"),
        (Scalar::UInt64(u64::MAX), &hex!("20 ffffffffffffffffff01"), "18446744073709551615"),
        (Scalar::UInt32(u32::MAX), &hex!("58 ffffffff0f"), "4294967295"),
        (Scalar::Double(1.0), &hex!("09 000000000000f03f"), "1.0"),
        (Scalar::Float(-1.5), &hex!("15 0000c0bf"), "-1.5"),
        (Scalar::Fixed64(2), &hex!("31 0200000000000000"), "2"),
        (Scalar::Fixed32(u32::MAX), &hex!("3d ffffffff"), "4294967295"),
        (Scalar::SFixed64(-2), &hex!("69 feffffffffffffff"), "-2"),
        (Scalar::SFixed32(-2), &hex!("65 feffffff"), "-2"),
        (Scalar::SInt32(-1), &hex!("70 01"), "-1"),
        (Scalar::SInt32(i32::MIN), &hex!("70 ffffffff0f"), "-2147483648"),
        (Scalar::SInt64(1), &hex!("78 02"), "1"),
        (Scalar::SInt64(i64::MIN), &hex!("78 ffffffffffffffffff01"), "-9223372036854775808"),
        (Scalar::Bool(true), &hex!("40 01"), "true"),
        (Scalar::Bool(false), &hex!("40 00"), "false"),
        (Scalar::Bytes((&[1, 2]).into()), &hex!("52 02 0102"), "\u{1}\u{2}"),
        (Scalar::Char(0x61), &hex!("a001 61"), "a"),
        (Scalar::Char(0xd800), &hex!("a001 80b003"), "?"),
        (Scalar::Short(-1), &hex!("a801 ffffffffffffffffff01"), "-1"),
        (Scalar::Byte(-128), &hex!("b001 80ffffffffffffffff01"), "-128"),
        (Scalar::Date(1001), &hex!("b801 e907"), "1970-01-01T00:00:01.001Z"),
        (
            Scalar::Instant { seconds: 1, nanos: 2 },
            &hex!("c001 01 c801 02"),
            "1970-01-01T00:00:01.000000002Z",
        ),
        (
            Scalar::Instant { seconds: -1, nanos: 0 },
            &hex!("c001 ffffffffffffffffff01 c801 00"),
            "1969-12-31T23:59:59Z",
        ),
    ];
    for (scalar, bytes, text) in rows {
        assert_eq!(scalar.encode(), bytes, "{scalar:?}");
        assert_eq!(Scalar::decode(bytes), Ok(scalar.clone()));
        assert_eq!(scalar.into_text(), text.as_bytes());
    }
}

#[test]
fn unknown_fields_are_passed_over() {
    for bytes in [
        // Field 100 as a number, as four bytes, as eight bytes, as a text; field 5 as a text.
        &hex!("a006 07 28 07")[..],
        &hex!("a506 01020304 28 07"),
        &hex!("a106 0102030405060708 28 07"),
        &hex!("28 07 a206 02 6869"),
        &hex!("2a 01 61 28 07"),
        // Field 100 as a group that holds a number and a group.
        &hex!("a306 08 01 ab06 ac06 a406 28 07"),
    ] {
        assert_eq!(Scalar::decode(bytes), Ok(Scalar::Int32(7)), "{bytes:02x?}");
    }
}

#[test]
fn the_parts_of_an_instant_come_in_any_order() {
    let instant = Ok(Scalar::Instant { seconds: 1, nanos: 2 });
    assert_eq!(Scalar::decode(&hex!("c801 02 c001 01")), instant);
    assert_eq!(
        Scalar::decode(&hex!("c001 01")),
        Ok(Scalar::Instant { seconds: 1, nanos: 0 }),
        "the nanoseconds may be missing"
    );
}

#[test]
fn an_empty_marker_is_no_value() {
    assert_eq!(Scalar::decode(&hex!("d001 01")), Ok(Scalar::Null));
}

#[test]
fn what_is_no_scalar_needs_a_schema() {
    for (bytes, message_type) in [
        // Type id 1002, message.
        (&hex!("9801 ea07 8a01 00")[..], MessageType::Numbered(1002)),
        // Type name "a.B", message.
        (&hex!("8201 03 612e42 8a01 00"), MessageType::Named("a.B".into())),
        (&hex!("8a01 00"), MessageType::Untold),
        (&hex!("9001 01"), MessageType::Untold),
        // A collection of two.
        (&hex!("e201 03 612e42 d801 02 f201 00"), MessageType::Container),
    ] {
        assert_eq!(Scalar::decode(bytes), Err(ConversionError::NeedsSchema(message_type)));
    }
}

#[test]
fn broken_bytes_are_refused() {
    let deep = [&[0x0b; 65][..], &[0x0c; 65]].concat();
    for (bytes, why) in [
        (&hex!("4a")[..], "it ends within a field"),
        (&hex!("4a 05 61"), "it ends within a field"),
        (&hex!("4a ffffffff07 61"), "it ends within a field"),
        (&hex!("4a ffffffffffffffffff01"), "it ends within a field"),
        (&hex!("09 00"), "it ends within a field"),
        (&hex!("28 80"), "it ends within a field"),
        (&hex!("28 ffffffffffffffffffffff"), "a number of more than ten bytes"),
        (&hex!("6b"), "it ends within a field"),
        (&hex!("6c"), "a group ends unbegun"),
        (&hex!("6b 74"), "a group ends unbegun"),
        (&deep, "groups are too deep"),
        (&hex!("00"), "illegal tag"),
        (&hex!("ffffffffff01"), "illegal tag"),
        (&hex!("0e"), "unknown wire type"),
        (&hex!("28 07 28 08"), "more than one value"),
        (&hex!("4a 01 61 28 08"), "more than one value"),
        (&hex!("a006 07"), "no value"),
    ] {
        assert_eq!(Scalar::decode(bytes), Err(ConversionError::NotWrapped(why)), "{bytes:02x?}");
    }
    let not_utf8 = Err(ConversionError::NotText(crate::text::Charset::Utf8));
    assert_eq!(Scalar::decode(&hex!("4a 01 ff")), not_utf8);
}

proptest! {
    #[test]
    fn any_text_comes_back_from_its_wrapping(text in any::<String>()) {
        let wrapped = ScalarType::String.parse(text.as_bytes()).unwrap().encode();
        prop_assert_eq!(Scalar::decode(&wrapped).unwrap().into_text(), text.as_bytes());
    }

    #[test]
    fn any_number_comes_back_from_its_wrapping(value in any::<i64>(), double in any::<f64>()) {
        let [a, b, c, d, ..] = value.to_le_bytes();
        let small = i32::from_le_bytes([a, b, c, d]);
        for scalar in [
            Scalar::Int64(value),
            Scalar::SInt64(value),
            Scalar::SFixed64(value),
            Scalar::UInt64(value.cast_unsigned()),
            Scalar::Fixed64(value.cast_unsigned()),
            Scalar::Int32(small),
            Scalar::SInt32(small),
            Scalar::SFixed32(small),
            Scalar::UInt32(small.cast_unsigned()),
            Scalar::Date(value),
            Scalar::Instant { seconds: value, nanos: small },
            Scalar::Double(double),
        ] {
            let encoded = scalar.encode();
            prop_assert_eq!(Scalar::decode(&encoded), Ok(scalar));
        }
    }
}
