//! `If-Match` and `If-None-Match`: entity tags, which are hashes of values.

use http::{HeaderMap, HeaderName};
use store::Etag;

use crate::{problem::Problem, request::headers};

/// The entity tags of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntityTags {
    /// `*`: that of any entry.
    Any,
    /// Any of these. A tag that no value can have is left out.
    Of(Vec<Etag>),
}

impl EntityTags {
    /// Those of a header, if it is there.
    ///
    /// # Errors
    ///
    /// If it is no text.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Problem> {
        Ok(headers::text(headers, name)?.map(Self::parse))
    }

    /// Plain numbers, as the real server has them, or in quotes, as HTTP does.
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::Any;
        }
        let number = |tag: &str| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.trim_matches('"').parse().ok().map(Etag)
        };
        Self::Of(text.split(',').filter_map(number).collect())
    }

    /// Returns whether an entry with this entity tag is meant.
    pub(crate) fn match_tag(&self, tag: Etag) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.contains(&tag),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Tags as clients write them.

    use super::*;

    #[test]
    fn a_tag_is_read_with_and_without_quotes() {
        let of = |tags: &[i32]| EntityTags::Of(tags.iter().copied().map(Etag).collect());
        for (text, tags) in [
            ("*", EntityTags::Any),
            ("1461965704", of(&[1_461_965_704])),
            ("\"-5\"", of(&[-5])),
            ("W/\"7\", 8 ,\"nine\"", of(&[7, 8])),
            ("garbage", of(&[])),
            ("99999999999", of(&[])),
            ("", of(&[])),
        ] {
            assert_eq!(EntityTags::parse(text), tags, "{text}");
        }
    }
}
