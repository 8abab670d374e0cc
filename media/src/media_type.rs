//! Media types.

use std::{borrow::Cow, fmt, str::FromStr};

/// Format of keys or values: type and subtype, in lower case, and parameters.
///
/// Two media types that differ in their parameters alone hold the same bytes here.
#[derive(Clone, Debug)]
pub struct MediaType {
    essence: Cow<'static, str>,
    parameters: Vec<(String, String)>,
}

macro_rules! well_known {
    ($($name:ident = $essence:literal;)*) => {
        impl MediaType {
            $(
                #[doc = concat!("`", $essence, "`")]
                pub const $name: Self = Self { essence: Cow::Borrowed($essence), parameters: Vec::new() };
            )*

            /// The media types with a constant of their own.
            const WELL_KNOWN: &[&str] = &[$($essence),*];
        }
    };
}

well_known! {
    OBJECT = "application/x-java-object";
    JSON = "application/json";
    XML = "application/xml";
    YAML = "application/yaml";
    OCTET_STREAM = "application/octet-stream";
    FORM = "application/x-www-form-urlencoded";
    PROTOSTREAM = "application/x-protostream";
    JBOSS_MARSHALLING = "application/x-jboss-marshalling";
    TEXT = "text/plain";
    UNKNOWN = "application/unknown";
    ANY = "*/*";
}

impl MediaType {
    /// Returns type and subtype, such as `text/plain`.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Returns the value of a parameter, such as `charset`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let parameter = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        parameter.map(|(_, value)| value.as_str())
    }

    /// Returns whether there are parameters.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// Removes a parameter that concerns a single request, such as `q`.
    #[must_use]
    pub fn without_parameter(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Removes all parameters but this one.
    #[must_use]
    pub fn only_parameter(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known.eq_ignore_ascii_case(name));
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the names and values of the parameters.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// Returns the format in which a cache of this media type stores entries. Java objects are
    /// stored as protostream, which records the type of a number.
    #[must_use]
    pub fn stored(&self) -> &Self {
        const PROTOSTREAM: &MediaType = &MediaType::PROTOSTREAM;
        if *self == Self::OBJECT { PROTOSTREAM } else { self }
    }

    /// Returns whether bytes of this format pass unchanged, whatever the other side calls them.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        *self == Self::OCTET_STREAM || *self == Self::UNKNOWN
    }
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.essence == other.essence
    }
}

impl Eq for MediaType {}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        self.parameters.iter().try_for_each(|(name, value)| write!(f, "; {name}={value}"))
    }
}

impl FromStr for MediaType {
    type Err = NotAMediaType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotAMediaType(text.into());
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/').ok_or_else(refused)?;
        if ![kind, subtype].into_iter().all(is_token) {
            return Err(refused());
        }
        let parameters = parts
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').ok_or_else(refused)?;
                Ok((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
            })
            .collect::<Result<_, _>>()?;
        let known = Self::WELL_KNOWN.iter().find(|known| **known == essence);
        Ok(Self {
            essence: known.map_or(Cow::Owned(essence), |known| Cow::Borrowed(*known)),
            parameters,
        })
    }
}

/// Returns whether `text` is a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Error for a text that is not a media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a media type such as application/json")]
pub struct NotAMediaType(String);

#[cfg(test)]
mod tests {
    //! Media types in the syntax of RFC 9110.

    use super::*;

    #[test]
    fn a_media_type_is_read_with_its_parameters() {
        let text: MediaType = "Text/Plain; charset=\"utf-8\" ;q=0.5".parse().unwrap();
        assert_eq!(text, MediaType::TEXT);
        assert_eq!((text.parameter("CHARSET"), text.parameter("q")), (Some("utf-8"), Some("0.5")));
        assert_eq!(text.to_string(), "text/plain; charset=utf-8; q=0.5");
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in ["", "json", "/json", "text/", "text/pl ain", "text/plain;charset", "a/b/c"] {
            assert_eq!(text.parse::<MediaType>(), Err(NotAMediaType(text.into())));
        }
    }
}
