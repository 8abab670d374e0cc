//! Text: charsets, and conversion to XML.

use std::{borrow::Cow, fmt};

use crate::error::ConversionError;

/// Charset of a text: the parameter `charset` of a media type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, the default.
    #[default]
    Utf8,
    /// US-ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// UTF-16 with a byte order mark, or big-endian without one.
    Utf16,
    /// Big-endian UTF-16.
    Utf16Be,
    /// Little-endian UTF-16.
    Utf16Le,
}

const NAMES: [(&str, Charset); 12] = [
    ("UTF-8", Charset::Utf8),
    ("UTF8", Charset::Utf8),
    ("US-ASCII", Charset::Ascii),
    ("ASCII", Charset::Ascii),
    ("ISO-8859-1", Charset::Latin1),
    ("ISO8859-1", Charset::Latin1),
    ("ISO8859_1", Charset::Latin1),
    ("LATIN1", Charset::Latin1),
    ("UTF-16", Charset::Utf16),
    ("UTF16", Charset::Utf16),
    ("UTF-16BE", Charset::Utf16Be),
    ("UTF-16LE", Charset::Utf16Le),
];

const BYTE_ORDER_MARK: u16 = 0xfeff;
/// Replaces characters that a charset cannot represent, as in Java.
const UNMAPPABLE: u8 = b'?';

impl Charset {
    /// Returns the charset of this name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, charset)| *charset)
    }

    /// Converts a text in this charset to UTF-8. UTF-8 passes unchecked.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, ConversionError> {
        let text = match self {
            Self::Utf8 => return Ok(Cow::Borrowed(bytes)),
            Self::Ascii if bytes.is_ascii() => return Ok(Cow::Borrowed(bytes)),
            Self::Ascii => None,
            Self::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
            Self::Utf16 => match bytes.split_first_chunk::<2>() {
                Some(([0xff, 0xfe], rest)) => utf16(rest, u16::from_le_bytes),
                Some(([0xfe, 0xff], rest)) => utf16(rest, u16::from_be_bytes),
                _ => utf16(bytes, u16::from_be_bytes),
            },
            Self::Utf16Be => utf16(bytes, u16::from_be_bytes),
            Self::Utf16Le => utf16(bytes, u16::from_le_bytes),
        };
        text.map(|text| Cow::Owned(text.into_bytes())).ok_or(ConversionError::NotText(self))
    }

    /// Converts a text in UTF-8 to this charset.
    pub(crate) fn encode(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, ConversionError> {
        if self == Self::Utf8 {
            return Ok(Cow::Borrowed(bytes));
        }
        let units = || Ok::<_, ConversionError>(utf8(bytes)?.encode_utf16());
        let encoded: Vec<u8> = match self {
            Self::Utf8 => return Ok(Cow::Borrowed(bytes)),
            Self::Ascii => utf8(bytes)?.chars().map(|c| single_byte(c, 0x7f)).collect(),
            Self::Latin1 => utf8(bytes)?.chars().map(|c| single_byte(c, 0xff)).collect(),
            Self::Utf16 => {
                let marked = std::iter::once(BYTE_ORDER_MARK).chain(units()?);
                marked.flat_map(u16::to_be_bytes).collect()
            }
            Self::Utf16Be => units()?.flat_map(u16::to_be_bytes).collect(),
            Self::Utf16Le => units()?.flat_map(u16::to_le_bytes).collect(),
        };
        Ok(Cow::Owned(encoded))
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, charset)| charset == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// Returns the bytes as a text, if they are UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, ConversionError> {
    str::from_utf8(bytes).ok().ok_or(ConversionError::NotText(Charset::Utf8))
}

/// Converts a text to XML as the real server does: a document is left as it is, other text is
/// wrapped in one.
pub(crate) fn xml(text: &[u8]) -> Cow<'_, [u8]> {
    if text.trim_ascii_start().starts_with(b"<") {
        return Cow::Borrowed(text);
    }
    let mut document = Vec::with_capacity(text.len() + 17);
    document.extend(b"<string>");
    for byte in text {
        match byte {
            b'&' => document.extend(b"&amp;"),
            b'<' => document.extend(b"&lt;"),
            b'>' => document.extend(b"&gt;"),
            b'"' => document.extend(b"&quot;"),
            b'\'' => document.extend(b"&apos;"),
            b'\r' => document.extend(b"&#xd;"),
            plain => document.push(*plain),
        }
    }
    document.extend(b"</string>");
    Cow::Owned(document)
}

/// Returns the text that [`xml`] wrapped in this document, or `None` for any other document.
pub(crate) fn of_xml(document: &[u8]) -> Option<Vec<u8>> {
    let escaped = document.strip_prefix(b"<string>")?.strip_suffix(b"</string>")?;
    let mut text = str::from_utf8(escaped).ok()?.to_owned();
    // Unescape `&` last, because the other escapes begin with it.
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#xd;", "\r")];
    for (name, character) in names.into_iter().chain([("&amp;", "&")]) {
        text = text.replace(name, character);
    }
    (*xml(text.as_bytes()) == *document).then(|| text.into_bytes())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    char::decode_utf16(units.iter().copied().map(unit)).collect::<Result<_, _>>().ok()
}

fn single_byte(character: char, highest: u8) -> u8 {
    u8::try_from(character).ok().filter(|byte| *byte <= highest).unwrap_or(UNMAPPABLE)
}

#[cfg(test)]
mod tests {
    //! Charsets in both directions, and text as XML.

    use super::*;

    #[test]
    fn every_charset_is_known_by_the_names_it_goes_by() {
        for (name, charset) in NAMES {
            assert_eq!(Charset::named(&name.to_ascii_lowercase()), Some(charset));
        }
        assert_eq!(Charset::named("klingon"), None);
        assert_eq!(Charset::Utf16Le.to_string(), "UTF-16LE");
    }

    #[test]
    fn text_goes_through_every_charset_that_can_write_it() {
        for (charset, text, bytes) in [
            (Charset::Utf8, "é", &[0xc3, 0xa9][..]),
            (Charset::Ascii, "e", b"e"),
            (Charset::Latin1, "é", &[0xe9]),
            (Charset::Utf16, "é", &[0xfe, 0xff, 0x00, 0xe9]),
            (Charset::Utf16Be, "é𝄞", &[0x00, 0xe9, 0xd8, 0x34, 0xdd, 0x1e]),
            (Charset::Utf16Le, "é", &[0xe9, 0x00]),
        ] {
            assert_eq!(charset.encode(text.as_bytes()).unwrap(), bytes, "to {charset}");
            assert_eq!(charset.decode(bytes).unwrap(), text.as_bytes(), "from {charset}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_heeded_and_may_be_missing() {
        for bytes in [&[0xff, 0xfe, 0xe9, 0x00][..], &[0xfe, 0xff, 0x00, 0xe9], &[0x00, 0xe9]] {
            assert_eq!(Charset::Utf16.decode(bytes).unwrap(), "é".as_bytes());
        }
    }

    #[test]
    fn what_a_charset_cannot_write_becomes_a_question_mark() {
        assert_eq!(Charset::Latin1.encode("a€é".as_bytes()).unwrap(), &b"a?\xe9"[..]);
        assert_eq!(Charset::Ascii.encode("aé".as_bytes()).unwrap(), &b"a?"[..]);
    }

    #[test]
    fn what_is_not_in_its_charset_is_refused() {
        for (charset, bytes) in [
            (Charset::Ascii, &[0x80][..]),
            (Charset::Utf16, &[0x00]),
            (Charset::Utf16Be, &[0xd8, 0x00]),
        ] {
            assert_eq!(charset.decode(bytes), Err(ConversionError::NotText(charset)));
        }
        let not_utf8 = Err(ConversionError::NotText(Charset::Utf8));
        assert_eq!(Charset::Latin1.encode(&[0xff]), not_utf8);
    }

    #[test]
    fn text_becomes_a_document_unless_it_is_one() {
        assert_eq!(xml(b" <foo>bar</foo>"), &b" <foo>bar</foo>"[..]);
        assert_eq!(xml(b"foo"), &b"<string>foo</string>"[..]);
        assert_eq!(xml(b"a<&'\">"), &b"<string>a&lt;&amp;&apos;&quot;&gt;</string>"[..]);
    }
}
