//! Names of hosts, as they stand in the `Host` header of a request.

/// The name of a host, in small letters and without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// A text is not the name of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not {EXPECTED}")]
pub struct NotAHostName(String);

/// What the name of a host looks like.
pub(crate) const EXPECTED: &str = "a host name such as cache.example.org, without a port";

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        if is_host_name(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotAHostName(text.to_owned()))
        }
    }
}

/// Returns whether a text names a host. Browsers write names of other alphabets in ASCII.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
    (1..=255).contains(&text.len()) && text.bytes().all(is_letter)
}
