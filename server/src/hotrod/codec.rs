//! What is converted between a client's media types and a cache's own.

use std::borrow::Cow;

use config::Encoding;
use hotrod::{DecodeError, MediaTypeRef, RequestHeader};
use media::{Conversion, ConversionError, MediaType, NoConversion};
use store::{Change, Command, Value};

use super::errors::{self, Failure};

/// The conversions of one kind of request to one cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    key_in: Conversion,
    key_out: Conversion,
    value_in: Conversion,
    value_out: Conversion,
}

impl Codec {
    /// The conversions for a request with this header.
    pub(crate) fn of(header: &RequestHeader<'_>, storage: &Encoding) -> Result<Self, Failure> {
        let key = resolve(header.key_type)?;
        let value = resolve(header.value_type)?;
        let known = |conversion: Result<Conversion, NoConversion>| {
            conversion.map_err(|error| no_conversion(&error))
        };
        let (stored_key, stored_value) = (storage.key.as_ref(), storage.value.as_ref());
        Ok(Self {
            key_in: known(Conversion::to_stored(key.as_ref(), stored_key))?,
            key_out: known(Conversion::of_stored(stored_key, key.as_ref()))?,
            value_in: known(Conversion::to_stored(value.as_ref(), stored_value))?,
            value_out: known(Conversion::of_stored(stored_value, value.as_ref()))?,
        })
    }

    /// Returns whether bytes go through untouched, both ways.
    pub(crate) fn is_identity(&self) -> bool {
        [self.key_in, self.key_out, self.value_in, self.value_out]
            .iter()
            .all(|conversion| conversion.is_identity())
    }

    /// Returns whether what clients read are the bytes as they are stored.
    pub(crate) fn reads_untouched(&self) -> bool {
        self.key_out.is_identity() && self.value_out.is_identity()
    }

    /// Bytes that there should be room for before `stored` bytes of values are given out: what they are
    /// converted to may be longer.
    pub(crate) fn most_out(&self, stored: usize) -> usize {
        if self.reads_untouched() { stored } else { stored.saturating_mul(2) }
    }

    /// Returns whether what clients write is stored as they send it.
    pub(crate) fn writes_untouched(&self) -> bool {
        self.key_in.is_identity() && self.value_in.is_identity()
    }

    /// Key and value of a command in the cache's own form.
    pub(crate) fn stored<'a>(&self, command: &Command<'a>) -> Result<Stored<'a>, Failure> {
        let value = match command.change {
            Change::Write { value, .. } => Some(self.value_in(value.bytes())?),
            Change::Read | Change::Remove => None,
        };
        Ok(Stored { key: self.key_in(command.key)?, value })
    }

    pub(crate) fn key_in<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        apply(self.key_in, bytes)
    }

    pub(crate) fn key_out<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        apply(self.key_out, bytes)
    }

    pub(crate) fn value_in<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        apply(self.value_in, bytes)
    }

    pub(crate) fn value_out<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        apply(self.value_out, bytes)
    }
}

/// Key and value of a command in the cache's own form.
pub(crate) struct Stored<'a> {
    key: Cow<'a, [u8]>,
    value: Option<Cow<'a, [u8]>>,
}

impl Stored<'_> {
    /// The command that they were taken from, with them.
    pub(crate) fn command<'s>(&'s self, command: &Command<'s>) -> Command<'s> {
        let change = match (command.change, &self.value) {
            (Change::Write { expiration, .. }, Some(value)) => {
                Change::Write { value: Value::Inline(value), expiration }
            }
            (change, _) => change,
        };
        Command { key: &self.key, change, ..*command }
    }
}

fn apply(conversion: Conversion, bytes: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    conversion.apply(bytes).map_err(|error| not_convertible(&error))
}

/// The media type that a request names. Of its parameters only the charset says what the bytes are.
fn resolve(media_type: MediaTypeRef<'_>) -> Result<Option<MediaType>, Failure> {
    let resolved = media_type.resolve().map_err(|error: DecodeError| errors::refusal(&error))?;
    Ok(resolved.map(|media_type| media_type.only_parameter("charset")))
}

fn no_conversion(error: &NoConversion) -> Failure {
    (hotrod::Status::ServerError, format!("{}: {error}", NoConversion::EXCEPTION))
}

fn not_convertible(error: &ConversionError) -> Failure {
    (hotrod::Status::ServerError, format!("{}: {error}", error.exception()))
}
