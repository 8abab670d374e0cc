//! Body of the fuzz target.

use crate::{
    Conversion, KeyForm, MediaType, negotiate,
    wrapped::{Scalar, ScalarType},
};

/// Media types of requests and caches.
const TYPES: [&str; 16] = [
    "text/plain",
    "text/plain; charset=ISO-8859-1",
    "text/plain; charset=UTF-16",
    "text/plain; charset=UTF-16LE; encoding=base64",
    "application/json",
    "application/xml",
    "application/yaml",
    "application/octet-stream",
    "application/octet-stream; encoding=hex",
    "application/x-protostream",
    "application/x-protostream; encoding=hex",
    "application/x-java-object",
    "application/x-java-object; type=java.lang.Double",
    "application/x-java-object; type=ByteArray",
    "application/x-www-form-urlencoded",
    "application/x-jboss-marshalling",
];

/// Uses two bytes to choose media types and converts the rest; also feeds it to the other parsers
/// of this crate.
///
/// # Panics
///
/// If one of this crate's promises does not hold.
pub fn fuzz(data: &[u8]) {
    let ([from, to], content) = match data.split_first_chunk() {
        Some((types, content)) => (types.map(media_type), content),
        None => ([0, 0].map(media_type), data),
    };
    if let Ok(conversion) = Conversion::between(from.as_ref(), to.as_ref())
        && let Ok(converted) = conversion.apply(content)
    {
        assert!(!conversion.is_identity() || *converted == *content);
    }
    if let Ok(scalar) = Scalar::decode(content) {
        let encoded = scalar.encode();
        let decoded = Scalar::decode(&encoded).map(|scalar| scalar.encode());
        assert_eq!(decoded.as_ref(), Ok(&encoded), "{scalar:?} is not read as it was written");
        let json = between(&MediaType::PROTOSTREAM, &MediaType::JSON);
        let back = between(&MediaType::JSON, &MediaType::PROTOSTREAM);
        let document = json.apply(content).map(|json| back.apply(&json).is_ok());
        assert_eq!(document, Ok(true), "{scalar:?} is not JSON that can be read back");
    }
    if let Ok(text) = str::from_utf8(content) {
        let string = ScalarType::String.parse(content).map(|scalar| scalar.encode());
        let string = string.unwrap_or_default();
        assert_eq!(Scalar::decode(&string).map(Scalar::into_text).as_deref(), Ok(content));
        if let Ok(answer) = negotiate(text, from.as_ref()) {
            assert!(Conversion::between(from.as_ref(), Some(&answer)).is_ok(), "{answer}");
        }
        if let Ok(form) = KeyForm::parse(Some(text)) {
            let _any_answer = form.bytes(text);
        }
    }
}

fn between(from: &MediaType, to: &MediaType) -> Conversion {
    Conversion::between(Some(from), Some(to)).unwrap_or(Conversion::IDENTITY)
}

fn media_type(byte: u8) -> Option<MediaType> {
    let name = TYPES.get(usize::from(byte) % (TYPES.len() + 1))?;
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    //! The body of the fuzz target, on seeds and random bytes.

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(&data);
        }

        #[test]
        fn random_text_never_panics(from in any::<u8>(), to in any::<u8>(), text in any::<String>()) {
            let mut data = vec![from, to];
            data.extend(text.as_bytes());
            fuzz(&data);
        }
    }

    #[test]
    fn every_way_of_cutting_and_flipping_good_bytes_is_harmless() {
        let seeds: [&[u8]; 7] = [
            b"\x4a\x05hello",
            b"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\xc0\x01\x01\xc8\x01\x02",
            b"\x98\x01\xea\x07\x8a\x01\x00",
            b"{\"_type\":\"double\",\"_value\":\"NaN\"}",
            b"text/plain;q=0.5, */*;q=0.1",
            b"0x01ca%41+",
        ];
        for seed in seeds {
            for types in 0..=u8::MAX {
                for end in 0..=seed.len() {
                    let mut data = vec![types, types.wrapping_mul(7)];
                    data.extend(&seed[..end]);
                    fuzz(&data);
                    if let Some(last) = data.last_mut() {
                        *last ^= types;
                    }
                    fuzz(&data);
                }
            }
        }
    }
}
