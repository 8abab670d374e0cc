//! Media types as they go on the wire.

use media::MediaType;

use crate::{error::DecodeError, reader::Reader, writer::Writer};

/// Most parameters that a media type is believed to have.
const MOST_PARAMETERS: u32 = 16;

/// Numbers of well-known media types (`MediaTypeIds` in Infinispan's commons). 16 is not assigned.
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

/// A media type in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypeRef<'a> {
    /// None is given: bytes are in the cache's own form.
    #[default]
    Unspecified,
    /// A well-known one, by its number.
    Known(u32),
    /// Any, by its name.
    Named(&'a str),
}

impl<'a> MediaTypeRef<'a> {
    /// Reads a media type. Its parameters change nothing and are left out.
    ///
    /// # Errors
    ///
    /// If the bytes run out, or are no media type.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let media_type = match reader.byte()? {
            0 => return Ok(Self::Unspecified),
            1 => Self::Known(reader.vint("media type")?),
            2 => Self::Named(reader.text("media type")?),
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
        for _ in 0..parameters {
            reader.text("name of a media type parameter")?;
            reader.text("value of a media type parameter")?;
        }
        Ok(media_type)
    }

    /// Writes a media type.
    pub fn encode(self, writer: &mut Writer) {
        match self {
            Self::Unspecified => return writer.byte(0),
            Self::Known(id) => {
                writer.byte(1);
                writer.vint(id);
            }
            Self::Named(name) => {
                writer.byte(2);
                writer.text(name);
            }
        }
        writer.vint(0);
    }

    /// The media type that this names.
    ///
    /// # Errors
    ///
    /// If it names none.
    pub fn resolve(self) -> Result<Option<MediaType>, DecodeError> {
        match self {
            Self::Unspecified => Ok(None),
            Self::Known(id) => {
                let name = IDS.iter().find(|known| known.0 == id).map(|known| known.1);
                let illegal = DecodeError::Illegal { field: "media type", value: id.into() };
                name.and_then(|name| name.parse().ok()).map(Some).ok_or(illegal)
            }
            Self::Named(name) => match name.parse() {
                Ok(media_type) => Ok(Some(media_type)),
                Err(_not_a_media_type) => Err(DecodeError::NotAMediaType),
            },
        }
    }

    /// How `media_type` goes on the wire.
    #[must_use]
    pub fn of(media_type: Option<&'a MediaType>) -> Self {
        let Some(media_type) = media_type else { return Self::Unspecified };
        match IDS.iter().find(|known| known.1 == media_type.essence()) {
            Some((id, _)) => Self::Known(*id),
            None => Self::Named(media_type.essence()),
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
}
