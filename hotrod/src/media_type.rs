//! Media types as Hot Rod encodes them.

use media::MediaType;

use crate::{
    error::DecodeError,
    reader::{Limits, Reader},
    writer::Writer,
};

/// Most parameters that a media type may have.
const MOST_PARAMETERS: u32 = 16;

/// Ids of well-known media types (`MediaTypeIds` in Infinispan's commons). 16 is not assigned.
const IDS: [(u32, &str); 16] = [
    (1, "application/x-java-object"),
    (2, "application/json"),
    (3, "application/octet-stream"),
    (4, "application/pdf"),
    (5, "application/rtf"),
    (6, "application/zip"),
    (7, "image/gif"),
    (8, "image/jpeg"),
    (9, "image/png"),
    (10, "text/css"),
    (11, "text/csv"),
    (12, "application/x-protostream"),
    (13, "text/plain"),
    (14, "text/html"),
    (15, "application/x-jboss-marshalling"),
    (17, "application/unknown"),
];

/// A media type as a message gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypeRef<'a> {
    /// No media type: the bytes are in the format that the cache stores.
    #[default]
    Unspecified,
    /// A well-known one, by its id.
    Known(u32),
    /// By name, without parameters.
    Named(&'a str),
    /// With parameters such as `charset`.
    Detailed(Essence<'a>, Parameters<'a>),
}

/// Type and subtype of a media type that has parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Essence<'a> {
    /// A well-known one, by its id.
    Known(u32),
    /// By name.
    Named(&'a str),
}

/// Parameters of a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a>(Listed<'a>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed<'a> {
    /// Borrowed from the message, without the count before them.
    Read(&'a [u8]),
    ToWrite(&'a [(String, String)]),
}

impl<'a> Parameters<'a> {
    /// Decodes `count` parameters.
    fn decode(count: u32, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = reader.position();
        for _ in 0..count {
            reader.text("name of a media type parameter")?;
            reader.text("value of a media type parameter")?;
        }
        Ok(Self(Listed::Read(reader.since(start))))
    }

    fn encode(self, writer: &mut Writer) {
        let parameters = self.listed();
        writer.vint(u32::try_from(parameters.len()).unwrap_or(MOST_PARAMETERS));
        for (name, value) in parameters {
            writer.text(name);
            writer.text(value);
        }
    }

    fn listed(self) -> Vec<(&'a str, &'a str)> {
        match self.0 {
            Listed::ToWrite(parameters) => {
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
            Listed::Read(bytes) => {
                let mut reader = Reader::new(bytes, Limits::NONE);
                let mut next = || Some((reader.text("name").ok()?, reader.text("value").ok()?));
                std::iter::from_fn(&mut next).collect()
            }
        }
    }
}

impl<'a> MediaTypeRef<'a> {
    /// Decodes a media type.
    ///
    /// # Errors
    ///
    /// If the bytes run out or are not a media type.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let essence = match reader.byte()? {
            0 => return Ok(Self::Unspecified),
            1 => Essence::Known(reader.vint("media type")?),
            2 => Essence::Named(reader.text("media type")?),
            kind => {
                return Err(DecodeError::Illegal {
                    field: "kind of media type",
                    value: kind.into(),
                });
            }
        };
        let parameters = reader.vint("number of media type parameters")?;
        if parameters > MOST_PARAMETERS {
            let value = parameters.into();
            return Err(DecodeError::Illegal { field: "number of media type parameters", value });
        }
        if parameters == 0 {
            return Ok(match essence {
                Essence::Known(id) => Self::Known(id),
                Essence::Named(name) => Self::Named(name),
            });
        }
        Ok(Self::Detailed(essence, Parameters::decode(parameters, reader)?))
    }

    /// Encodes the media type.
    pub fn encode(self, writer: &mut Writer) {
        let (essence, parameters) = match self {
            Self::Unspecified => return writer.byte(0),
            Self::Known(id) => (Essence::Known(id), None),
            Self::Named(name) => (Essence::Named(name), None),
            Self::Detailed(essence, parameters) => (essence, Some(parameters)),
        };
        match essence {
            Essence::Known(id) => {
                writer.byte(1);
                writer.vint(id);
            }
            Essence::Named(name) => {
                writer.byte(2);
                writer.text(name);
            }
        }
        match parameters {
            Some(parameters) => parameters.encode(writer),
            None => writer.vint(0),
        }
    }

    /// Returns the media type that the message names, `None` if it names none.
    ///
    /// # Errors
    ///
    /// If the id is not assigned or the name is not a media type.
    pub fn resolve(self) -> Result<Option<MediaType>, DecodeError> {
        match self {
            Self::Unspecified => Ok(None),
            Self::Known(id) => Essence::Known(id).resolve().map(Some),
            Self::Named(name) => Essence::Named(name).resolve().map(Some),
            Self::Detailed(essence, parameters) => {
                let with = |media_type: MediaType, (name, value): (&str, &str)| {
                    media_type.with_parameter(name, value)
                };
                Ok(Some(parameters.listed().into_iter().fold(essence.resolve()?, with)))
            }
        }
    }

    /// Returns the encodable form of `media_type`.
    #[must_use]
    pub fn of(media_type: Option<&'a MediaType>) -> Self {
        let Some(media_type) = media_type else { return Self::Unspecified };
        let known = IDS.iter().find(|known| known.1 == media_type.essence()).map(|known| known.0);
        let name = media_type.essence();
        match (known, media_type.parameters()) {
            (Some(id), []) => Self::Known(id),
            (None, []) => Self::Named(name),
            (known, parameters) => Self::Detailed(
                known.map_or(Essence::Named(name), Essence::Known),
                Parameters(Listed::ToWrite(parameters)),
            ),
        }
    }
}

impl Essence<'_> {
    fn resolve(self) -> Result<MediaType, DecodeError> {
        match self {
            Self::Known(id) => {
                let name = IDS.iter().find(|known| known.0 == id).map(|known| known.1);
                let illegal = DecodeError::Illegal { field: "media type", value: id.into() };
                name.and_then(|name| name.parse().ok()).ok_or(illegal)
            }
            Self::Named(name) => {
                name.parse().map_err(|_not_a_media_type| DecodeError::NotAMediaType)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Names that clients give.

    use super::*;

    #[test]
    fn a_name_that_is_no_media_type_is_told_so() {
        assert_eq!(MediaTypeRef::Named("text").resolve(), Err(DecodeError::NotAMediaType));
        let plain = MediaTypeRef::Named("text/plain").resolve();
        assert_eq!(
            plain.map(|known| MediaTypeRef::of(known.as_ref()) == MediaTypeRef::Known(13)),
            Ok(true)
        );
    }

    #[test]
    fn a_media_type_arrives_with_its_parameters() {
        for text in [
            "text/plain",
            "text/plain; charset=ISO-8859-1",
            "application/x-java-object; type=java.lang.String",
            "image/x-own",
            "image/x-own; a=b; c=d",
        ] {
            let media_type: MediaType = text.parse().unwrap();
            let mut writer = Writer::default();
            MediaTypeRef::of(Some(&media_type)).encode(&mut writer);
            writer.byte(7);
            let mut reader = Reader::new(writer.bytes(), Limits::NONE);
            let read = MediaTypeRef::decode(&mut reader).unwrap();
            assert_eq!(read.resolve().unwrap().unwrap().to_string(), text);
            assert_eq!(reader.byte(), Ok(7), "nothing after {text} is read");
        }
    }

    #[test]
    fn too_many_parameters_are_refused_before_they_are_read() {
        let refused = MediaTypeRef::decode(&mut Reader::new(&[1, 13, 17], Limits::NONE));
        let field = "number of media type parameters";
        assert_eq!(refused, Err(DecodeError::Illegal { field, value: 17 }));
    }
}
