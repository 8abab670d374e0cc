//! The `Accept` header of HTTP: which media type to answer in.

use crate::{convert::is_offered, media_type::MediaType};

/// Offered for an `Accept` of `type/*`, after the storage's own type.
const OFFERED: [MediaType; 4] =
    [MediaType::TEXT, MediaType::JSON, MediaType::XML, MediaType::OCTET_STREAM];

/// Returns the media type to answer in, from a cache that stores `storage`: the type in `accept`
/// with the highest weight to which `storage` converts; among equals, the first.
///
/// `*/*` yields JSON from protostream storage and text from Java object storage, as on the real
/// server; otherwise the storage's own type, or `application/octet-stream` if it has none.
///
/// # Errors
///
/// If the storage converts to none of them, or the header is malformed.
pub fn negotiate(accept: &str, storage: Option<&MediaType>) -> Result<MediaType, NotAcceptable> {
    let refused = || NotAcceptable(accept.to_owned());
    let mut best: Option<(f32, MediaType)> = None;
    for range in accept.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (weight, range) = weighed(range).ok_or_else(refused)?;
        if weight > best.as_ref().map_or(0.0, |(best, _)| *best)
            && let Some(answer) = answer(range, storage)
        {
            best = Some((weight, answer));
        }
    }
    best.map(|(_, answer)| answer).ok_or_else(refused)
}

/// Error for a request that accepts no media type to which the cache's storage converts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ISPN012007: Cannot convert to {0}")]
pub struct NotAcceptable(String);

fn weighed(range: &str) -> Option<(f32, MediaType)> {
    // Old Java clients send `*; q=.2`.
    let range: MediaType = match range.strip_prefix('*') {
        Some(rest) if !rest.starts_with('/') => format!("*/*{rest}").parse().ok()?,
        _ => range.parse().ok()?,
    };
    let weight = match range.parameter("q") {
        Some(weight) => weight.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
        None => 1.0,
    };
    Some((weight, range.without_parameter("q")))
}

/// Returns the media type that answers a media range, if there is one.
fn answer(range: MediaType, storage: Option<&MediaType>) -> Option<MediaType> {
    let own = own(storage);
    if range == MediaType::ANY {
        return Some(own);
    }
    let Some(kind) = range.essence().strip_suffix('*').filter(|kind| kind.ends_with('/')) else {
        return is_offered(storage, &range).then_some(range);
    };
    std::iter::once(own)
        .chain(OFFERED)
        .find(|offered| offered.essence().starts_with(kind) && is_offered(storage, offered))
}

/// Returns the media type for a request that accepts anything.
fn own(storage: Option<&MediaType>) -> MediaType {
    match storage {
        None => MediaType::OCTET_STREAM,
        Some(storage) if storage.is_opaque() || *storage == MediaType::ANY => {
            MediaType::OCTET_STREAM
        }
        Some(storage) if *storage == MediaType::OBJECT => MediaType::TEXT,
        Some(storage) if *storage == MediaType::PROTOSTREAM => MediaType::JSON,
        Some(storage) => storage.clone(),
    }
}

#[cfg(test)]
mod tests {
    //! One row for each header that known clients send.

    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const OLD_JAVA: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";

    #[test]
    fn the_best_of_the_accepted_types_that_a_storage_converts_to_is_chosen() {
        for (accept, storage, answer) in [
            // Everything is accepted: the cache decides.
            ("*/*", None, "application/octet-stream"),
            ("*/*", Some("application/unknown"), "application/octet-stream"),
            ("*/*", Some("application/octet-stream"), "application/octet-stream"),
            ("*/*", Some("text/plain; charset=utf-8"), "text/plain; charset=utf-8"),
            ("*/*", Some("application/json"), "application/json"),
            ("*/*", Some("application/x-protostream"), "application/json"),
            ("*/*", Some("application/x-java-object"), "text/plain"),
            ("*/*", Some("application/x-jboss-marshalling"), "application/x-jboss-marshalling"),
            ("*/*", Some("image/png"), "image/png"),
            ("*", Some("application/json"), "application/json"),
            (OLD_JAVA, Some("application/json"), "application/json"),
            // The order, and weights before the order.
            ("text/html,application/xhtml+xml,*/*", None, "application/octet-stream"),
            ("text/plain;q=0.1, application/json;q=0.8, */*;q=0.7", None, "application/json"),
            (
                "application/xml, text/plain; q=0.71, */*;q=0.7",
                Some("application/json"),
                "text/plain",
            ),
            ("text/html,*/*", Some("application/json"), "application/json"),
            ("text/html, application/xml", None, "application/xml"),
            (BROWSER, Some("text/plain"), "application/xml"),
            (BROWSER, Some("application/json"), "application/json"),
            ("ignored/wrong , text/plain", Some("text/plain"), "text/plain"),
            ("application/json;q=0, text/plain", None, "text/plain"),
            // Types that a storage converts to.
            ("text/plain", Some("application/x-protostream"), "text/plain"),
            ("application/json", Some("application/x-protostream"), "application/json"),
            ("application/octet-stream", Some("text/plain"), "application/octet-stream"),
            ("text/plain;charset=UTF-16;q=0.5", Some("text/plain"), "text/plain; charset=UTF-16"),
            (
                "application/octet-stream;encoding=hex",
                None,
                "application/octet-stream; encoding=hex",
            ),
            ("image/png", Some("image/png"), "image/png"),
            // A whole family of types.
            ("text/*", Some("application/x-protostream"), "text/plain"),
            ("application/*", Some("text/plain"), "application/json"),
            ("application/*", Some("application/xml"), "application/xml"),
        ] {
            let storage: Option<MediaType> = storage.map(|storage| storage.parse().unwrap());
            let chosen = negotiate(accept, storage.as_ref()).map(|answer| answer.to_string());
            assert_eq!(chosen.as_deref(), Ok(answer), "{accept} from {storage:?}");
        }
    }

    #[test]
    fn what_no_storage_converts_to_is_not_acceptable() {
        for (accept, storage) in [
            ("garbage/garbage", None),
            ("text/html", Some("text/plain")),
            ("image/*", None),
            ("application/x-jboss-marshalling", Some("application/octet-stream")),
            ("application/json", Some("application/xml")),
            ("application/xml", Some("application/x-protostream")),
            ("text/plain;charset=klingon", Some("text/plain")),
            ("*/*;q=0", Some("text/plain")),
            ("*/*;q=2", Some("text/plain")),
            ("*/*;q=high", Some("text/plain")),
            ("no type", Some("text/plain")),
            ("", Some("text/plain")),
        ] {
            let storage: Option<MediaType> = storage.map(|storage| storage.parse().unwrap());
            let refused =
                negotiate(accept, storage.as_ref()).map_err(|refused| refused.to_string());
            assert_eq!(refused, Err(format!("ISPN012007: Cannot convert to {accept}")));
        }
    }
}
