//! Headers as text.

use http::{HeaderMap, HeaderName};
use media::MediaType;

use crate::problem::Problem;

/// The text of a header, if it is there.
///
/// # Errors
///
/// If it is no text.
pub(crate) fn text(
    headers: &HeaderMap,
    name: impl Into<HeaderName>,
) -> Result<Option<&str>, Problem> {
    let name = name.into();
    let Some(value) = headers.get(&name) else { return Ok(None) };
    str::from_utf8(value.as_bytes())
        .map(|text| Some(text.trim()))
        .map_err(|_not_utf8| Problem::bad_request(format!("the header '{name}' is not text")))
}

/// The media type that a header names, if it is there.
///
/// # Errors
///
/// If it names none.
pub(crate) fn media_type(
    headers: &HeaderMap,
    name: impl Into<HeaderName>,
) -> Result<Option<MediaType>, Problem> {
    Ok(text(headers, name)?.map(str::parse).transpose()?)
}
