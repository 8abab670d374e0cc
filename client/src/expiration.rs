//! Conversion of expirations to older protocol versions.

use hotrod::{Duration, ProtocolVersion, RequestExpiration};

/// Versions before 3.0 take longer durations, in milliseconds, for instants.
const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Converts an expiration to this protocol version: before 3.0, a duration of more than 30 days
/// must be an instant, and from 3.0 on an instant must be a duration.
pub(crate) fn in_version(
    expiration: RequestExpiration,
    version: ProtocolVersion,
) -> RequestExpiration {
    let said = |duration| match duration {
        Duration::Millis(millis) if version < ProtocolVersion::V3_0 && millis > THIRTY_DAYS => {
            Duration::Until(unix_millis().saturating_add(millis))
        }
        Duration::Until(instant) if version >= ProtocolVersion::V3_0 => {
            Duration::Millis(instant.saturating_sub(unix_millis()))
        }
        other => other,
    };
    RequestExpiration { lifespan: said(expiration.lifespan), max_idle: said(expiration.max_idle) }
}

/// Reads the time of day. It is only sent to servers and decides nothing here.
#[expect(clippy::disallowed_methods, reason = "a server is told an instant, not a duration")]
fn unix_millis() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    //! Forty days, before and after version 3.0.

    use super::*;

    #[test]
    fn what_is_longer_than_thirty_days_is_an_instant_before_3_0() {
        let forty_days = Duration::Millis(40 * 24 * 60 * 60 * 1000);
        let one_day = Duration::Millis(24 * 60 * 60 * 1000);
        let expiration = RequestExpiration { lifespan: forty_days, max_idle: one_day };
        assert_eq!(in_version(expiration, ProtocolVersion::V3_0), expiration);

        let old = in_version(expiration, ProtocolVersion::V2_9);
        assert_eq!(old.max_idle, one_day);
        let Duration::Until(instant) = old.lifespan else { panic!("{old:?}") };
        assert!(instant > unix_millis() + THIRTY_DAYS, "{instant}");

        let new = in_version(old, ProtocolVersion::V4_1);
        let Duration::Millis(millis) = new.lifespan else { panic!("{new:?}") };
        assert!(
            (39 * 24 * 60 * 60 * 1000..=40 * 24 * 60 * 60 * 1000).contains(&millis),
            "{millis}"
        );
    }
}
