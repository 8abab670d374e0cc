//! Bytes written as text: hexadecimal, base64, and the form encoding of URLs.

use std::{borrow::Cow, fmt};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::error::ConversionError;

/// Encoding of bytes in a request: the parameter `encoding` of a media type, or the media type of
/// forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// No encoding.
    #[default]
    Plain,
    /// Two hexadecimal digits for each byte, after `0x`.
    Hex,
    /// RFC 4648, section 4.
    Base64,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl Encoding {
    /// Returns the encoding that the parameter `encoding` of a media type names.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        [(Self::Hex, "hex"), (Self::Base64, "base64")]
            .into_iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(encoding, _)| encoding)
    }

    /// Decodes `text`.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Cow<'_, [u8]>, ConversionError> {
        let bytes = match self {
            Self::Plain => return Ok(Cow::Borrowed(text)),
            Self::Hex => decode_hex(text),
            Self::Base64 => decode_base64(text),
            Self::Form if !text.iter().any(|byte| b"+%".contains(byte)) => {
                return Ok(Cow::Borrowed(text));
            }
            Self::Form => decode_form(text),
        };
        bytes.map(Cow::Owned).ok_or(ConversionError::NotEncoded(self))
    }

    /// Encodes `bytes`.
    pub(crate) fn encode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Plain => Cow::Borrowed(bytes),
            Self::Hex => Cow::Owned(encode_hex(bytes)),
            Self::Base64 => Cow::Owned(BASE64.encode(bytes).into_bytes()),
            Self::Form => Cow::Owned(encode_form(bytes)),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain bytes",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Form => "application/x-www-form-urlencoded",
        })
    }
}

/// Like Java's base64 decoder: padding is optional.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Decodes either alphabet, because `+` and `/` are awkward in the path of a URL.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let engine = if text.iter().any(|byte| b"-_".contains(byte)) { BASE64_URL } else { BASE64 };
    engine.decode(text).ok()
}

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Decodes hexadecimal digits. Infinispan requires `0x` and lower case; neither is required here.
fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| byte(*high, *low)).collect()
}

fn encode_hex(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 + 2 * bytes.len());
    text.extend(b"0x");
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
    text
}

fn decode_form(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk::<2>()?;
                rest = after;
                byte(*high, *low)?
            }
            plain => *plain,
        });
    }
    Some(bytes)
}

fn encode_form(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' => text.push(b'+'),
            plain if plain.is_ascii_alphanumeric() || b".-*_".contains(plain) => text.push(*plain),
            other => text.extend([b'%', digit(other >> 4), digit(other & 0xf)].map(upper)),
        }
    }
    text
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(high)? << 4 | value(low)?).ok()
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

fn upper(byte: u8) -> u8 {
    byte.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    //! Encodings in both directions.

    use super::*;

    #[test]
    fn bytes_are_read_from_every_encoding() {
        for (encoding, text, bytes) in [
            (Encoding::Plain, "%41+", Some(&b"%41+"[..])),
            (Encoding::Hex, "0x01ca", Some(&[0x01, 0xca])),
            (Encoding::Hex, "0X01CA", Some(&[0x01, 0xca])),
            (Encoding::Hex, "01cA", Some(&[0x01, 0xca])),
            (Encoding::Hex, "", Some(&[])),
            (Encoding::Hex, "0x", Some(&[])),
            (Encoding::Hex, "0x1", None),
            (Encoding::Hex, "0xgg", None),
            (Encoding::Base64, "AQIDBDM=", Some(&[1, 2, 3, 4, 0x33])),
            (Encoding::Base64, "AQIDBDM", Some(&[1, 2, 3, 4, 0x33])),
            (Encoding::Base64, "+/+/", Some(&[0xfb, 0xff, 0xbf])),
            (Encoding::Base64, "-_-_", Some(&[0xfb, 0xff, 0xbf])),
            (Encoding::Base64, "A", None),
            (Encoding::Base64, "A*==", None),
            (Encoding::Form, "word1+word2%21%c3%A9", Some("word1 word2!é".as_bytes())),
            (Encoding::Form, "plain", Some(b"plain")),
            (Encoding::Form, "%4", None),
            (Encoding::Form, "%zz", None),
        ] {
            let expected = bytes.map(Cow::Borrowed).ok_or(ConversionError::NotEncoded(encoding));
            assert_eq!(encoding.decode(text.as_bytes()), expected, "{text} as {encoding}");
        }
    }

    #[test]
    fn bytes_are_written_as_the_real_server_writes_them() {
        for (encoding, bytes, text) in [
            (Encoding::Plain, &b"a b"[..], "a b"),
            (Encoding::Hex, &[0x00, 0xca, 0x9f], "0x00ca9f"),
            (Encoding::Base64, &[1, 2, 3, 4, 0x33], "AQIDBDM="),
            (Encoding::Form, "a b+c/é.-*_~".as_bytes(), "a+b%2Bc%2F%C3%A9.-*_%7E"),
        ] {
            assert_eq!(encoding.encode(bytes), text.as_bytes(), "{encoding}");
        }
    }
}
