//! Keys of entries as people can read them.

use std::{borrow::Cow, fmt};

use media::{Conversion, MediaType};

/// Characters, or bytes, of a key that are shown.
const MOST: usize = 1_024;

/// A key as a cache keeps it. It is shown as text if it is or stands for a text, otherwise in hexadecimal behind `0x`; if it
/// is long, its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredKey<'a> {
    bytes: &'a [u8],
    /// The media type that the cache is configured with, if it is known here.
    storage: Option<&'a MediaType>,
}

impl<'a> StoredKey<'a> {
    /// A key of a cache whose keys have this media type.
    pub(crate) fn of(bytes: &'a [u8], storage: Option<&'a MediaType>) -> Self {
        Self { bytes, storage }
    }

    /// What clients that write texts have written, as far as that is known.
    fn text(self) -> Cow<'a, [u8]> {
        let text = self.storage.and_then(|storage| {
            let conversion = Conversion::of_stored(Some(storage), Some(&MediaType::TEXT)).ok()?;
            conversion.apply(self.bytes).ok()
        });
        text.unwrap_or(Cow::Borrowed(self.bytes))
    }
}

impl<'a> From<&'a [u8]> for StoredKey<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::of(bytes, None)
    }
}

impl fmt::Display for StoredKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(&self.text()) {
            Ok(text) if !text.contains(char::is_control) => f.write_str(
                text.char_indices()
                    .nth(MOST)
                    .map_or(text, |(end, _)| text.get(..end).unwrap_or_default()),
            ),
            _ => {
                f.write_str("0x")?;
                self.bytes.iter().take(MOST).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is shown of keys.

    use super::*;

    #[test]
    fn a_key_is_shown_as_the_text_that_it_stands_for() {
        let shown = |bytes: &[u8], storage: Option<MediaType>| {
            StoredKey::of(bytes, storage.as_ref()).to_string()
        };
        let wrapped = b"\x4a\x05k2202";
        assert_eq!(shown(wrapped, Some(MediaType::PROTOSTREAM)), "k2202");
        assert_eq!(shown(wrapped, None), "0x4a056b32323032", "nobody knows what it is");
        assert_eq!(shown(b"k1", None), "k1");
        assert_eq!(shown(b"k1", Some(MediaType::TEXT)), "k1");
        // It is no text: what is stored is shown, whatever it was converted to.
        assert_eq!(shown(b"\xff\x00", Some(MediaType::OCTET_STREAM)), "0xff00");
        assert_eq!(shown(b"\x4a\x02\x07\x08", Some(MediaType::PROTOSTREAM)), "0x4a020708");
        assert_eq!(shown("\u{e4}".repeat(2_000).as_bytes(), None), "\u{e4}".repeat(MOST));
        assert_eq!(shown(&[0; 2_000], None).len(), 2 + 2 * MOST);
    }
}
