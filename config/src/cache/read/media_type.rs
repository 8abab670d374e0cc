//! Media types of keys and values.

use media::MediaType;

use crate::{
    ConfigError,
    nearest::{MAX_COMPARED, distance},
    tree::Attribute,
};

/// Media types that caches use, and others with similar names.
const KNOWN: &[&str] = &[
    "application/bson",
    "application/cbor",
    "application/gzip",
    "application/javascript",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/rtf",
    "application/unknown",
    "application/x-java-object",
    "application/x-java-serialized-object",
    "application/x-jboss-marshalling",
    "application/x-protostream",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/yaml",
    "application/zip",
    "text/css",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
    "text/yaml",
];

/// Most letters by which a misspelled name may differ.
const SLIP: usize = 2;

/// What a media type has to be, for errors.
const EXPECTED: &str = "a media type such as application/json";

/// Reads any media type, including one that looks misspelled.
pub(super) fn any_media_type(attribute: &Attribute) -> Result<MediaType, ConfigError> {
    attribute.parse(EXPECTED)
}

/// Reads a media type. One that is spelled almost like a known one is refused: as an unknown type,
/// it would store bytes in a format that clients do not expect.
pub(super) fn media_type(attribute: &Attribute) -> Result<MediaType, ConfigError> {
    let media_type = any_media_type(attribute)?;
    let essence = media_type.essence();
    if essence.contains('*') {
        return Err(attribute.error(EXPECTED));
    }
    if essence.len() > MAX_COMPARED || KNOWN.contains(&essence) || essence.starts_with("image/") {
        return Ok(media_type);
    }
    let near = KNOWN.iter().map(|known| (distance(essence, known), *known)).min();
    match near {
        Some((distance, known)) if distance <= SLIP => {
            Err(attribute.error(format!("a media type; did you mean \"{known}\"?")))
        }
        _ => Ok(media_type),
    }
}

#[cfg(test)]
mod tests {
    //! Misspelled names and unknown ones.

    use super::*;
    use crate::Place;

    #[test]
    fn a_slip_is_refused_and_an_unknown_name_is_not() {
        let read = |text: &str| media_type(&Attribute::new("media-type", text, Place::START));
        for text in ["application/x-kryo", "application/bson", "image/jpg", "text/x-own", "a/b"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        for (slip, meant) in [
            ("application/x-protosteam", "application/x-protostream"),
            ("application/protostream", "application/x-protostream"),
            ("aplication/json", "application/json"),
            ("application/octetstream", "application/octet-stream"),
            ("text/plian", "text/plain"),
        ] {
            let error = read(slip).unwrap_err().to_string();
            assert!(error.ends_with(&format!("did you mean \"{meant}\"?")), "{error}");
        }
        for text in ["json", "*/*", "text/*", "text/", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
