//! Keys in the path of a URL.

use std::borrow::Cow;

use crate::{
    encoding::Encoding,
    error::ConversionError,
    media_type::{MediaType, NotAMediaType},
};

/// The form of keys in a request: its `Key-Content-Type` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForm {
    media_type: MediaType,
    encoding: Encoding,
}

impl KeyForm {
    /// Parses the header. Without it, keys are text.
    ///
    /// # Errors
    ///
    /// If it is not a media type, or names an encoding other than `hex` and `base64`.
    pub fn parse(header: Option<&str>) -> Result<Self, KeyFormError> {
        let media_type = header.map_or(Ok(MediaType::TEXT), str::parse::<MediaType>)?;
        let encoding = match media_type.parameter("encoding") {
            Some(name) => {
                Encoding::named(name).ok_or_else(|| KeyFormError::Encoding(name.to_owned()))?
            }
            None => Encoding::Plain,
        };
        Ok(Self { media_type: media_type.without_parameter("encoding"), encoding })
    }

    /// Returns the media type of the keys, from which they are to be converted to the stored form.
    #[must_use]
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Decodes the key in a path segment whose percent signs are already decoded.
    ///
    /// # Errors
    ///
    /// If the segment does not follow the encoding.
    pub fn bytes<'a>(&self, segment: &'a str) -> Result<Cow<'a, [u8]>, ConversionError> {
        self.encoding.decode(segment.as_bytes())
    }
}

/// Error for an unusable `Key-Content-Type`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFormError {
    /// It is not a media type.
    #[error(transparent)]
    MediaType(#[from] NotAMediaType),

    /// It names an unknown encoding.
    #[error("ISPN000950: Encoding '{0}' is not supported")]
    Encoding(String),
}

#[cfg(test)]
mod tests {
    //! Keys in paths.

    use super::*;
    use crate::Conversion;

    #[test]
    fn a_segment_becomes_the_key_that_a_cache_stores() {
        for (header, segment, storage, key) in [
            (None, "a", None, Some(&b"a"[..])),
            (None, "é", Some("text/plain"), Some("é".as_bytes())),
            (None, "a", Some("application/x-protostream"), Some(b"\x4a\x01a")),
            (Some("text/plain; charset=utf-8"), "a", Some("application/json"), None),
            (Some("text/plain"), "7", Some("application/json"), Some(b"7")),
            (Some("application/octet-stream"), "a", None, Some(b"a")),
            (Some("application/octet-stream; encoding=hex"), "0x01CA", None, Some(b"\x01\xca")),
            (Some("application/octet-stream;encoding=HEX"), "01ca", None, Some(b"\x01\xca")),
            (Some("application/octet-stream;encoding=hex"), "0x1", None, None),
            (Some("application/octet-stream;encoding=base64"), "AQID", None, Some(b"\x01\x02\x03")),
            (Some("application/octet-stream;encoding=base64"), "!", None, None),
            (
                Some("application/x-java-object;type=java.lang.Integer"),
                "7",
                Some("application/x-protostream"),
                Some(b"\x28\x07"),
            ),
            (
                Some("application/x-java-object;type=java.lang.Integer"),
                "seven",
                Some("application/x-protostream"),
                None,
            ),
            (
                Some("application/x-java-object;type=ByteArray"),
                "0x01ca",
                Some("application/x-protostream"),
                Some(b"\x52\x02\x01\xca"),
            ),
        ] {
            let form = KeyForm::parse(header).unwrap();
            let storage: Option<MediaType> = storage.map(|storage| storage.parse().unwrap());
            let conversion =
                Conversion::between(Some(form.media_type()), storage.as_ref()).unwrap();
            let found =
                form.bytes(segment).and_then(|bytes| conversion.apply(&bytes).map(Cow::into_owned));
            assert_eq!(found.ok().as_deref(), key, "{segment} as {header:?}");
        }
    }

    #[test]
    fn a_header_that_says_nothing_is_refused() {
        let error = |header| KeyForm::parse(Some(header)).unwrap_err().to_string();
        assert_eq!(error("hex"), "\"hex\" is not a media type such as application/json");
        assert_eq!(
            error("application/octet-stream;encoding=rot13"),
            "ISPN000950: Encoding 'rot13' is not supported"
        );
    }
}
