//! Parts of paths, decoded.
//!
//! As on the real server, `+` is a space, because Java clients write names and keys that way.

use axum::extract::FromRequestParts;
use http::{Uri, request::Parts};

use crate::{node::Shared, problem::Problem};

/// `/v2/caches/{cache}`, and what goes on from there.
pub(crate) struct CachePath {
    /// Name of the cache, also if the path has an alias of it.
    pub(crate) cache: String,
    /// As it is written in the path.
    pub(crate) written: String,
}

/// `/v2/caches/{cache}/{key}`.
pub(crate) struct EntryPath {
    /// Name of the cache.
    pub(crate) cache: String,
    /// The key as it is written.
    pub(crate) key: String,
}

/// A path that ends in a name.
pub(crate) struct NamePath(pub(crate) String);

impl FromRequestParts<Shared> for CachePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Shared) -> Result<Self, Problem> {
        let written = part(&parts.uri, 2)?;
        let cache =
            node.caches.resolve(&written).map_or_else(|_| written.clone(), |it| it.to_string());
        Ok(Self { cache, written })
    }
}

impl FromRequestParts<Shared> for EntryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Shared) -> Result<Self, Problem> {
        let path = Self { cache: part(&parts.uri, 2)?, key: part(&parts.uri, 3)? };
        let (len, most) = (path.key.len(), node.about.max_key);
        if len > most {
            let text = format!("a key of {len} bytes is longer than {most} bytes");
            return Err(Problem::bad_request(text));
        }
        Ok(path)
    }
}

impl<S: Sync> FromRequestParts<S> for NamePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        decode(parts.uri.path().rsplit('/').next().unwrap_or_default()).map(Self)
    }
}

/// The part of this number; `v2` is number 0. What stands before it is not in the path any more.
fn part(uri: &Uri, number: usize) -> Result<String, Problem> {
    decode(uri.path().split('/').nth(number + 1).unwrap_or_default())
}

fn decode(part: &str) -> Result<String, Problem> {
    if !part.contains(['%', '+']) {
        return Ok(part.to_owned());
    }
    let bytes = decode_bytes(part.as_bytes())
        .ok_or_else(|| Problem::bad_request("the path is not percent-encoded as it should be"))?;
    String::from_utf8(bytes)
        .map_err(|_not_utf8| Problem::bad_request("a part of the path is not text in UTF-8"))
}

fn decode_bytes(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk::<2>()?;
                rest = after;
                let digit = |digit: u8| char::from(digit).to_digit(16);
                u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?
            }
            other => *other,
        });
    }
    Some(bytes)
}

/// Reads every part of a path, for a fuzzer.
pub(crate) fn fuzz(uri: &Uri) {
    for number in 0..6 {
        let _ = part(uri, number);
    }
}

#[cfg(test)]
mod tests {
    //! Parts of paths as clients write them.

    use super::*;

    #[test]
    fn a_part_is_decoded_as_java_clients_encode_it() {
        for (part, decoded) in [
            ("k", Some("k")),
            ("a%20b+c%2Bd", Some("a b c+d")),
            ("a%2Fb", Some("a/b")),
            ("%c3%A9", Some("é")),
            ("é", Some("é")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(part).ok().as_deref(), decoded, "{part}");
        }
    }
}
