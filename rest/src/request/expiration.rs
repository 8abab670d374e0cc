//! When an entry ends that a request writes.

use std::time::Duration;

use config::DefaultExpiration;
use http::{HeaderMap, HeaderName};
use store::{Expiration, Lifetime};

use crate::{problem::Problem, request::headers};

/// Time to live from the write, in seconds.
pub(crate) const LIFESPAN: HeaderName = HeaderName::from_static("timetoliveseconds");
/// Time to live from the last use, in seconds.
pub(crate) const MAX_IDLE: HeaderName = HeaderName::from_static("maxidletimeseconds");

/// What a request says of the end of its entry: so many seconds; never, if they are negative; what
/// the cache is configured to, if they are zero, no number or not there.
///
/// # Errors
///
/// If a header is no text.
pub(crate) fn expiration(
    headers: &HeaderMap,
    default: &DefaultExpiration,
) -> Result<Expiration, Problem> {
    Ok(Expiration {
        lifespan: lifetime(headers::text(headers, LIFESPAN)?, default.lifespan),
        max_idle: lifetime(headers::text(headers, MAX_IDLE)?, default.max_idle),
    })
}

fn lifetime(header: Option<&str>, default: Option<Duration>) -> Option<Lifetime> {
    // As on the real server, a header that is no number has no effect.
    let seconds: Option<i64> = header.and_then(|text| text.parse().ok());
    match seconds {
        None | Some(0) => default.map(Lifetime::from),
        Some(seconds @ 1..) => Some(Lifetime::from_secs(seconds.unsigned_abs())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    //! What the headers mean.

    use super::*;

    #[test]
    fn zero_is_the_default_and_below_it_is_never() {
        let default = Some(Duration::from_secs(100));
        for (header, default, millis) in [
            (None, default, Some(100_000)),
            (None, None, None),
            (Some("0"), default, Some(100_000)),
            (Some("-1"), default, None),
            (Some("7"), default, Some(7_000)),
            (Some("x"), default, Some(100_000)),
            (Some("9223372036854775808"), default, Some(100_000)),
            (Some("9223372036854775807"), None, Some(u64::MAX)),
        ] {
            assert_eq!(lifetime(header, default).map(Lifetime::millis), millis, "{header:?}");
        }
    }
}
