//! Conversions between media types.
//!
//! Start reading at [`Conversion::between`]; the table of pairs is [`step`].

use std::borrow::Cow;

use crate::{
    encoding::Encoding,
    error::{ConversionError, NoConversion},
    json,
    media_type::MediaType,
    text::{Charset, of_xml, xml},
    wrapped::{Scalar, ScalarType},
};

/// Converts bytes from one media type to another. Look it up once, apply it to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    open: Envelope,
    step: Step,
    seal: Envelope,
}

impl Conversion {
    /// Leaves bytes as they are.
    pub const IDENTITY: Self =
        Self { open: Envelope::NONE, step: Step::Keep, seal: Envelope::NONE };

    /// Returns the conversion from `from` to `to`. A missing type, or `*/*`, means that the format
    /// is unknown: such bytes pass unchanged, as they do into and out of `application/octet-stream`
    /// and `application/unknown`.
    ///
    /// # Errors
    ///
    /// If there is no such conversion, or one of the types names an unknown charset or encoding.
    pub fn between(from: Option<&MediaType>, to: Option<&MediaType>) -> Result<Self, NoConversion> {
        let (given, wanted) = (Format::of(from), Format::of(to));
        let found = match (given, wanted) {
            (Some(given), Some(wanted)) if from == to => Self::of(given, Step::Keep, wanted),
            (Some(given), Some(wanted)) => {
                step(given, wanted).and_then(|step| Self::of(given, step, wanted))
            }
            _ => None,
        };
        found.ok_or_else(|| NoConversion { from: named(from), to: named(to) })
    }

    /// Returns the conversion from bytes in `given` to the bytes that a cache stores. `storage` is
    /// the media type that the cache is configured with.
    ///
    /// # Errors
    ///
    /// The same as for [`Conversion::between`].
    pub fn to_stored(
        given: Option<&MediaType>,
        storage: Option<&MediaType>,
    ) -> Result<Self, NoConversion> {
        Self::between(given, storage.map(MediaType::stored))
    }

    /// Returns the conversion from the bytes that a cache stores to `wanted`. `storage` is the
    /// media type that the cache is configured with.
    ///
    /// # Errors
    ///
    /// The same as for [`Conversion::between`].
    pub fn of_stored(
        storage: Option<&MediaType>,
        wanted: Option<&MediaType>,
    ) -> Result<Self, NoConversion> {
        Self::between(storage.map(MediaType::stored), wanted)
    }

    /// Returns the length in bytes of the shortest form in which a request can name `stored`.
    /// Limits apply to requests before conversion; the stored bytes may be longer because of an
    /// envelope or another charset.
    #[must_use]
    pub fn shortest_request(storage: Option<&MediaType>, stored: &[u8]) -> usize {
        let form = |wanted: MediaType| {
            let conversion = Self::of_stored(storage, Some(&wanted)).ok()?;
            conversion.apply(stored).ok()
        };
        let kept = Format::of(storage.map(MediaType::stored));
        let text = match form(MediaType::TEXT) {
            Some(document) if kept.is_some_and(|kept| kept.kind == Kind::Xml) => {
                Some(of_xml(&document).map_or(document, Cow::Owned))
            }
            text => text,
        };
        let forms = [text, form(MediaType::JSON)];
        forms.iter().flatten().map(|form| form.len()).fold(stored.len(), usize::min)
    }

    /// Returns whether two caches configured with these media types store the same bytes for the
    /// same entry, so that entries can move between them unchanged. Parameters that change no byte,
    /// such as the default charset, are ignored.
    #[must_use]
    pub fn same_bytes(one: Option<&MediaType>, other: Option<&MediaType>) -> bool {
        let stored = |media_type: Option<&MediaType>| media_type.map(|it| it.stored().clone());
        let (one, other) = (stored(one), stored(other));
        match (Format::of(one.as_ref()), Format::of(other.as_ref())) {
            (Some(format), Some(wanted)) => {
                let same_name =
                    format.kind == Kind::Opaque && wanted.kind == Kind::Opaque || one == other;
                let same_charset = match (format.charset, wanted.charset) {
                    (None, None) => charset(one.as_ref()) == charset(other.as_ref()),
                    (one, other) => one == other,
                };
                same_name && same_charset && format.encoding == wanted.encoding
            }
            // An unknown encoding: the same bytes if the media types are the same.
            _ => one.map(|it| it.to_string()) == other.map(|it| it.to_string()),
        }
    }

    /// Returns whether the conversion leaves bytes as they are.
    #[must_use]
    pub fn is_identity(self) -> bool {
        self == Self::IDENTITY
    }

    /// Converts `bytes`, copying them only if they change.
    ///
    /// # Errors
    ///
    /// If the bytes do not match their media type, or cannot be represented in the other one.
    pub fn apply(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, ConversionError> {
        if self.is_identity() {
            return Ok(Cow::Borrowed(bytes));
        }
        let bytes = self.open.encoding.decode(bytes)?;
        let bytes = then(bytes, |bytes| self.open.charset.decode(bytes))?;
        let bytes = then(bytes, |bytes| self.step.apply(bytes))?;
        let bytes = then(bytes, |bytes| self.seal.charset.encode(bytes))?;
        then(bytes, |bytes| Ok(self.seal.encoding.encode(bytes)))
    }

    fn of(given: Format, step: Step, wanted: Format) -> Option<Self> {
        let opaque = given.kind == Kind::Opaque || wanted.kind == Kind::Opaque;
        let charsets = match (given.charset, wanted.charset) {
            _ if opaque => (Charset::Utf8, Charset::Utf8),
            (Some(same), Some(other)) if step == Step::Keep && same == other => {
                (Charset::Utf8, Charset::Utf8)
            }
            (given, wanted) => (given?, wanted?),
        };
        if step == Step::Keep && charsets.0 == charsets.1 && given.encoding == wanted.encoding {
            return Some(Self::IDENTITY);
        }
        Some(Self {
            open: Envelope { encoding: given.encoding, charset: charsets.0 },
            step,
            seal: Envelope { encoding: wanted.encoding, charset: charsets.1 },
        })
    }
}

/// The encoding and charset that bytes have in a request: removed before the conversion, applied
/// after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Envelope {
    encoding: Encoding,
    charset: Charset,
}

impl Envelope {
    const NONE: Self = Self { encoding: Encoding::Plain, charset: Charset::Utf8 };
}

/// Returns whether REST may answer in `to` from a cache that stores `from`. A conversion alone is
/// not enough: bytes pass unchanged into types that this server does not know, and a browser must
/// not be told that they are of such a type.
pub(crate) fn is_offered(from: Option<&MediaType>, to: &MediaType) -> bool {
    let known = Format::of(Some(to)).is_some_and(|format| format.kind != Kind::Other);
    (known || from == Some(to)) && Conversion::of_stored(from, Some(to)).is_ok()
}

/// Returns the canonical name of the charset of a media type.
fn charset(media_type: Option<&MediaType>) -> Option<String> {
    Some(media_type?.parameter("charset")?.to_ascii_lowercase())
}

/// The parts of a media type that conversions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    kind: Kind,
    encoding: Encoding,
    /// `None` if the charset is unknown.
    charset: Option<Charset>,
    /// The type of a text that becomes a `WrappedMessage`.
    scalar_type: ScalarType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Opaque,
    Text,
    Form,
    Json,
    Xml,
    Yaml,
    Protostream,
    Other,
}

impl Format {
    /// Returns `None` if an encoding or a Java class is unknown.
    fn of(media_type: Option<&MediaType>) -> Option<Self> {
        let opaque = Self {
            kind: Kind::Opaque,
            encoding: Encoding::Plain,
            charset: Some(Charset::Utf8),
            scalar_type: ScalarType::String,
        };
        let Some(media_type) = media_type else { return Some(opaque) };
        let kind = match media_type.essence() {
            "application/octet-stream" | "application/unknown" | "*/*" => Kind::Opaque,
            "text/plain" | "application/x-java-object" => Kind::Text,
            "application/x-www-form-urlencoded" => Kind::Form,
            "application/json" => Kind::Json,
            "application/xml" => Kind::Xml,
            "application/yaml" => Kind::Yaml,
            "application/x-protostream" => Kind::Protostream,
            _ => Kind::Other,
        };
        if !media_type.has_parameters() && kind != Kind::Form {
            return Some(Self { kind, ..opaque });
        }
        let scalar_type = match media_type.parameter("type") {
            Some(class) if *media_type == MediaType::OBJECT => ScalarType::of_java_class(class)?,
            _ => ScalarType::String,
        };
        let encoding = match media_type.parameter("encoding") {
            Some(name) => Encoding::named(name)?,
            None if kind == Kind::Form => Encoding::Form,
            // As in Infinispan, `type=ByteArray` is another name for `encoding=hex`.
            None if scalar_type == ScalarType::Bytes => Encoding::Hex,
            None => Encoding::Plain,
        };
        let charset = match media_type.parameter("charset") {
            Some(name) if kind.is_text() => Charset::named(name),
            _ => Some(Charset::Utf8),
        };
        Some(Self { kind, encoding, charset, scalar_type })
    }
}

impl Kind {
    fn is_text(self) -> bool {
        match self {
            Self::Text | Self::Form | Self::Json | Self::Xml | Self::Yaml => true,
            Self::Opaque | Self::Protostream | Self::Other => false,
        }
    }
}

/// Conversion of the bytes themselves; text is UTF-8 on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Keep,
    CheckJson,
    MakeXml,
    WrapText(ScalarType),
    UnwrapText,
    WrapJson,
    UnwrapJson,
}

/// Returns the step from one media type to another.
fn step(from: Format, to: Format) -> Option<Step> {
    Some(match (from.kind, to.kind) {
        (Kind::Opaque, _) | (_, Kind::Opaque) => Step::Keep,
        (Kind::Text | Kind::Form, Kind::Json) => Step::CheckJson,
        (Kind::Text | Kind::Form, Kind::Xml) => Step::MakeXml,
        (Kind::Text, Kind::Protostream) => Step::WrapText(from.scalar_type),
        (Kind::Json, Kind::Protostream) => Step::WrapJson,
        (Kind::Protostream, Kind::Text) => Step::UnwrapText,
        (Kind::Protostream, Kind::Json) => Step::UnwrapJson,
        (Kind::Text | Kind::Form, Kind::Text | Kind::Form | Kind::Yaml)
        | (Kind::Json | Kind::Xml | Kind::Yaml, Kind::Text) => Step::Keep,
        _ => return None,
    })
}

impl Step {
    fn apply(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, ConversionError> {
        match self {
            Self::Keep => Ok(Cow::Borrowed(bytes)),
            Self::CheckJson if json::is_json(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::CheckJson => Err(ConversionError::not_json(bytes)),
            Self::MakeXml => Ok(xml(bytes)),
            Self::WrapText(scalar_type) => Ok(scalar_type.parse(bytes)?.encode().into()),
            Self::UnwrapText => Ok(Scalar::decode(bytes)?.into_text()),
            Self::WrapJson => Ok(json::to_scalar(bytes)?.encode().into()),
            Self::UnwrapJson => Ok(json::of_scalar(&Scalar::decode(bytes)?).into_bytes().into()),
        }
    }
}

/// Applies `convert` to bytes that may be borrowed, and copies only if it has to.
fn then<'a>(
    bytes: Cow<'a, [u8]>,
    convert: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, ConversionError>,
) -> Result<Cow<'a, [u8]>, ConversionError> {
    match bytes {
        Cow::Borrowed(bytes) => convert(bytes),
        Cow::Owned(bytes) => match convert(&bytes)? {
            // A borrowed result of the same length is the whole input.
            Cow::Borrowed(all) if all.len() == bytes.len() => Ok(Cow::Owned(bytes)),
            part_or_new => Ok(Cow::Owned(part_or_new.into_owned())),
        },
    }
}

fn named(media_type: Option<&MediaType>) -> MediaType {
    media_type.cloned().unwrap_or(MediaType::UNKNOWN)
}

#[cfg(test)]
mod tests;
