//! Names of caches.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// A legal name of a cache: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheName(Arc<str>);

/// Longest name of a cache, in bytes.
pub const MAX_CACHE_NAME: usize = 255;

/// Caches that every server has from its start, as a real one does: for schemas and for scripts.
pub const SERVER_CACHES: [&str; 2] = ["___protobuf_metadata", "___script_cache"];

impl CacheName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the name is reserved for the server itself, as `___protobuf_metadata` is. Nobody else can
    /// create a cache of such a name, and lists of caches leave it out.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("___") || self.0.starts_with("org.infinispan")
    }
}

impl FromStr for CacheName {
    type Err = CacheNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(CacheNameError::Empty);
        }
        if text.len() > MAX_CACHE_NAME {
            return Err(CacheNameError::TooLong { len: text.len() });
        }
        if text.contains(char::is_control) {
            return Err(CacheNameError::ControlCharacter { name: text.escape_debug().to_string() });
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for CacheName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A text is not a legal name of a cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheNameError {
    /// It is empty.
    #[error("a cache needs a name")]
    Empty,
    /// It is too long.
    #[error("a cache name of {len} bytes is longer than {MAX_CACHE_NAME} bytes")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It holds a control character.
    #[error("the cache name \"{name}\" holds a control character")]
    ControlCharacter {
        /// The name, escaped.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    //! Legal names pass, others say what is wrong.

    use super::*;

    #[test]
    fn a_name_is_checked_once() {
        assert_eq!("orders".parse::<CacheName>().unwrap().as_str(), "orders");
        assert_eq!("".parse::<CacheName>(), Err(CacheNameError::Empty));
        assert_eq!("x".repeat(256).parse::<CacheName>(), Err(CacheNameError::TooLong { len: 256 }));
        let error = "a\nb".parse::<CacheName>().unwrap_err();
        assert_eq!(error.to_string(), r#"the cache name "a\nb" holds a control character"#);
    }
}
