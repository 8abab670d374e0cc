//! Numbers and arrays recorded from a real server.

use hex_literal::hex;

use super::*;
use crate::writer::Writer;

#[test]
fn numbers_are_written_and_read_as_recorded() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../vectors/recorded.json")).unwrap();
    let unhex = |row: &serde_json::Value| {
        let text = row["hex"].as_str().unwrap();
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    for row in vectors["varint"]["vInt"].as_array().unwrap() {
        let (number, bytes) = (row["value"].as_i64().unwrap(), unhex(row));
        let mut writer = Writer::default();
        let number = u32::try_from(number & i64::from(u32::MAX)).unwrap();
        writer.vint(number);
        assert_eq!(writer.bytes(), bytes, "{number}");
        assert_eq!(Reader::new(&bytes, Limits::NONE).vint("number"), Ok(number));
    }
    for row in vectors["varint"]["vLong"].as_array().unwrap() {
        let number: i64 = row["value"].as_str().unwrap().parse().unwrap();
        let mut writer = Writer::default();
        writer.vlong(number.cast_unsigned());
        assert_eq!(writer.bytes(), unhex(row), "{number}");
        assert_eq!(
            Reader::new(&unhex(row), Limits::NONE).vlong("number"),
            Ok(number.cast_unsigned())
        );
    }
    for row in vectors["varint"]["zigzag_vInt"].as_array().unwrap() {
        let number = i32::try_from(row["value"].as_i64().unwrap()).unwrap();
        let mut writer = Writer::default();
        writer.signed_vint(number);
        assert_eq!(writer.bytes(), unhex(row), "{number}");
        assert_eq!(Reader::new(&unhex(row), Limits::NONE).signed_vint("number"), Ok(number));
    }
}

#[test]
fn an_optional_array_may_be_absent_or_empty() {
    let mut reader = Reader::new(&hex!("01 00 06 61 62 63"), Limits::NONE);
    assert_eq!(reader.optional_array("a"), Ok(None));
    assert_eq!(reader.optional_array("a"), Ok(Some(&b""[..])));
    assert_eq!(reader.optional_array("a"), Ok(Some(&b"abc"[..])));
    let mut reader = Reader::new(&hex!("03"), Limits::NONE);
    assert_eq!(reader.optional_array("a"), Err(DecodeError::Illegal { field: "a", value: 2 }));
}

#[test]
fn missing_bytes_are_counted() {
    let missing = |bytes: &'static [u8]| Reader::new(bytes, Limits::default()).array("value");
    assert_eq!(missing(b""), Err(DecodeError::Incomplete { missing: 1 }));
    assert_eq!(missing(&[5, 1, 2]), Err(DecodeError::Incomplete { missing: 3 }));
    assert_eq!(
        Reader::new(&[1, 2, 3], Limits::default()).long(),
        Err(DecodeError::Incomplete { missing: 5 })
    );
}

#[test]
fn a_number_that_goes_on_for_ever_is_refused() {
    let overlong = Err(DecodeError::Overlong { field: "n", most: 5 });
    assert_eq!(Reader::new(&[0xFF; 9], Limits::NONE).vint("n"), overlong);
    assert_eq!(Reader::new(&hex!("FF FF FF FF 1F"), Limits::NONE).vint("n"), overlong);
    let negative = hex!("FF FF FF FF FF FF FF FF FF 01");
    assert_eq!(Reader::new(&negative, Limits::NONE).vlong("n"), Ok(u64::MAX));
    let overlong = Err(DecodeError::Overlong { field: "n", most: 10 });
    assert_eq!(
        Reader::new(&hex!("FF FF FF FF FF FF FF FF FF 02"), Limits::NONE).vlong("n"),
        overlong
    );
}
