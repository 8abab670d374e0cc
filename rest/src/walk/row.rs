//! One key or entry in an array.

use config::Encoding;
use media::{Conversion, MediaType};
use store::{EntryMetadata, Lifetime, Timestamp};

use super::Met;

/// How keys or values are shown.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// What they are shown as.
    pub(crate) media_type: MediaType,
    conversion: Conversion,
}

impl Form {
    /// How what is stored as `storage` is shown: protostream as JSON, anything else as text. With
    /// `negotiated`, what says nothing of itself is shown in hexadecimal.
    pub(crate) fn of(storage: Option<&MediaType>, negotiated: bool) -> Self {
        let is_protostream = storage.is_some_and(|storage| *storage == MediaType::PROTOSTREAM);
        let is_unknown = storage.is_none_or(|storage| *storage == MediaType::UNKNOWN);
        if is_protostream {
            return Self::convert(storage, MediaType::JSON);
        }
        match hexadecimal() {
            Some(hexadecimal) if negotiated && is_unknown => Self::convert(storage, hexadecimal),
            _ => Self::text(storage),
        }
    }

    /// As text.
    pub(crate) fn text(storage: Option<&MediaType>) -> Self {
        Self::convert(storage, MediaType::TEXT)
    }

    fn convert(storage: Option<&MediaType>, media_type: MediaType) -> Self {
        // Where nothing leads from one to the other, bytes are shown as far as they are text.
        let conversion = Conversion::of_stored(storage, Some(&media_type));
        let conversion = conversion.unwrap_or(Conversion::IDENTITY);
        Self { media_type, conversion }
    }

    fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.conversion.apply(bytes) {
            Ok(json) if self.media_type == MediaType::JSON => out.extend_from_slice(&json),
            Ok(text) => match str::from_utf8(&text) {
                Ok(text) => write_text(text, out),
                Err(_not_text) => write_hexadecimal(bytes, out),
            },
            Err(_other_than_it_says) => write_hexadecimal(bytes, out),
        }
    }
}

fn hexadecimal() -> Option<MediaType> {
    "application/octet-stream; encoding=hex".parse().ok()
}

#[expect(
    clippy::expect_used,
    reason = "every text has a form in JSON, and a vector takes every byte"
)]
fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("memory takes every text");
}

/// As a path takes it, with `Key-Content-Type: application/octet-stream;encoding=hex`.
fn write_hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"0x");
    for byte in bytes {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    out.push(b'"');
}

/// What of each entry is shown.
#[derive(Clone, Debug)]
pub(crate) enum Row {
    /// The key alone.
    Key(Form),
    /// Key and value.
    Entry {
        /// How the key is shown.
        key: Form,
        /// How the value is shown.
        value: Form,
        /// Whether instants, lifespans and version are shown too.
        with_metadata: bool,
    },
}

impl Row {
    /// The keys of a cache.
    pub(crate) fn key(encoding: &Encoding) -> Self {
        Self::Key(Form::text(encoding.key.as_ref()))
    }

    /// Returns whether the values are needed.
    pub(crate) fn has_values(&self) -> bool {
        matches!(self, Self::Entry { .. })
    }

    /// Adds an entry to the array.
    pub(crate) fn write(&self, entry: &Met, out: &mut Vec<u8>) {
        match self {
            Self::Key(form) => form.write(&entry.key, out),
            Self::Entry { key, value, with_metadata } => {
                out.extend_from_slice(b"{\"key\":");
                key.write(&entry.key, out);
                out.extend_from_slice(b",\"value\":");
                value.write(&entry.value, out);
                if *with_metadata {
                    write_metadata(&entry.metadata, out);
                }
                out.push(b'}');
            }
        }
    }
}

/// In the order of the real server; -1 is never, or not known.
fn write_metadata(metadata: &EntryMetadata, out: &mut Vec<u8>) {
    let seconds = |lifetime: Option<Lifetime>| lifetime.map_or(-1, |it| signed(it.whole_secs()));
    let instant = |at: Option<Timestamp>| at.map_or(-1, |at| signed(at.millis()));
    let text = format!(
        ",\"timeToLiveSeconds\":{},\"maxIdleTimeSeconds\":{},\"created\":{},\"lastUsed\":{},\
         \"expireTime\":{},\"version\":{}",
        seconds(metadata.expiration.lifespan),
        seconds(metadata.expiration.max_idle),
        instant(metadata.created),
        instant(metadata.last_used),
        instant(metadata.ends()),
        metadata.version.0.cast_signed(),
    );
    out.extend_from_slice(text.as_bytes());
}

/// As Java reads it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    //! What is shown of bytes.

    use super::*;

    fn shown(form: &Form, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        form.write(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_no_text_is_shown_in_hexadecimal() {
        let text = Form::of(Some(&MediaType::TEXT), false);
        assert_eq!(shown(&text, b"a \"b\"\n"), r#""a \"b\"\n""#);
        assert_eq!(shown(&text, b"\xff\x00"), r#""0xff00""#);
        let unknown = Form::of(None, true);
        assert_eq!(shown(&unknown, b"k"), r#""0x6b""#);
        assert_eq!(unknown.media_type.to_string(), "application/octet-stream; encoding=hex");
        assert_eq!(shown(&Form::of(None, false), b"k"), r#""k""#);
    }

    #[test]
    fn protostream_is_shown_as_json_as_far_as_it_is_understood() {
        let form = Form::of(Some(&MediaType::PROTOSTREAM), false);
        assert_eq!(shown(&form, b"\x4a\x05hello"), r#"{"_type":"string","_value":"hello"}"#);
        assert_eq!(shown(&form, b"\x00"), r#""0x00""#);
        assert_eq!(shown(&Form::text(Some(&MediaType::PROTOSTREAM)), b"\x4a\x01k"), r#""k""#);
    }
}
