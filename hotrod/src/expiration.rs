//! The expiration of an entry, as requests encode it.

use crate::{
    error::DecodeError,
    header::{Flags, RequestHeader},
    reader::Reader,
    version::ProtocolVersion,
    writer::Writer,
};

/// Lifespan and max idle of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestExpiration {
    /// Time to live from the write.
    pub lifespan: Duration,
    /// Time to live from the last use.
    pub max_idle: Duration,
}

/// A lifespan or a max idle as the request gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duration {
    /// The cache's configured default.
    #[default]
    Default,
    /// Never expires.
    Infinite,
    /// This many milliseconds; 0 expires at once.
    Millis(u64),
    /// Expires at this instant, in milliseconds since the Unix epoch. Versions 2.0 to 2.9 send one
    /// instead of a duration of more than 30 days.
    Until(u64),
}

/// Codes of the time units on the wire.
mod unit {
    pub(super) const SECONDS: u8 = 0;
    pub(super) const MILLISECONDS: u8 = 1;
    pub(super) const NANOSECONDS: u8 = 2;
    pub(super) const MICROSECONDS: u8 = 3;
    pub(super) const MINUTES: u8 = 4;
    pub(super) const HOURS: u8 = 5;
    pub(super) const DAYS: u8 = 6;
    pub(super) const DEFAULT: u8 = 7;
    pub(super) const INFINITE: u8 = 8;
}

/// The lowest number that is negative when read as a signed 32-bit integer, as Java clients write
/// it.
const NEGATIVE: u32 = 1 << 31;

const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60 * 1000;

impl RequestExpiration {
    /// Never expires, whatever the cache's defaults are.
    pub const NEVER: Self = Self { lifespan: Duration::Infinite, max_idle: Duration::Infinite };

    pub(crate) fn decode(
        header: &RequestHeader<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        if header.version < ProtocolVersion::V2_2 {
            let seconds = |reader: &mut Reader<'_>, field, flag| {
                Ok(match reader.vint(field)? {
                    0 if header.flags.has(flag) => Duration::Default,
                    // Clients also send a negative number for "never".
                    0 | NEGATIVE.. => Duration::Infinite,
                    seconds => old(u64::from(seconds) * 1000),
                })
            };
            return Ok(Self {
                lifespan: seconds(reader, "lifespan", Flags::DEFAULT_LIFESPAN)?,
                max_idle: seconds(reader, "max idle", Flags::DEFAULT_MAX_IDLE)?,
            });
        }
        let units = reader.byte()?;
        let mut duration = |field, unit| {
            Ok(match Duration::decode(field, unit, reader)? {
                Duration::Millis(millis) if header.version < ProtocolVersion::V3_0 => old(millis),
                duration => duration,
            })
        };
        Ok(Self {
            lifespan: duration("lifespan", units >> 4)?,
            max_idle: duration("max idle", units & 0x0F)?,
        })
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        if version < ProtocolVersion::V2_2 {
            writer.vint(self.lifespan.whole_secs());
            return writer.vint(self.max_idle.whole_secs());
        }
        let (lifespan, max_idle) = (self.lifespan.unit(), self.max_idle.unit());
        writer.byte(lifespan.0 << 4 | max_idle.0);
        lifespan.1.into_iter().chain(max_idle.1).for_each(|number| writer.vlong(number));
    }
}

/// Interprets milliseconds as versions 2.0 to 2.9 do: more than 30 days is an instant.
fn old(millis: u64) -> Duration {
    if millis > THIRTY_DAYS { Duration::Until(millis) } else { Duration::Millis(millis) }
}

impl Duration {
    fn decode(field: &'static str, unit: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (factor, divisor) = match unit {
            unit::DEFAULT => return Ok(Self::Default),
            unit::INFINITE => return Ok(Self::Infinite),
            unit::SECONDS => (1000, 1),
            unit::MILLISECONDS => (1, 1),
            unit::NANOSECONDS => (1, 1_000_000),
            unit::MICROSECONDS => (1, 1000),
            unit::MINUTES => (60 * 1000, 1),
            unit::HOURS => (60 * 60 * 1000, 1),
            unit::DAYS => (24 * 60 * 60 * 1000, 1),
            _ => {
                return Err(DecodeError::Illegal {
                    field: "unit of a duration",
                    value: unit.into(),
                });
            }
        };
        let number = reader.vlong(field)?;
        if number.cast_signed().is_negative() {
            return Ok(Self::Infinite);
        }
        Ok(Self::Millis(number.saturating_mul(factor) / divisor))
    }

    /// Returns the unit and, unless the unit implies it, the number; in seconds where that is
    /// exact.
    fn unit(self) -> (u8, Option<u64>) {
        match self {
            Self::Default => (unit::DEFAULT, None),
            Self::Infinite => (unit::INFINITE, None),
            Self::Millis(millis) | Self::Until(millis) if millis % 1000 == 0 => {
                (unit::SECONDS, Some(millis / 1000))
            }
            Self::Millis(millis) | Self::Until(millis) => (unit::MILLISECONDS, Some(millis)),
        }
    }

    /// Returns the duration in seconds, rounded up so that a short lifetime does not become 0,
    /// which means "never".
    fn whole_secs(self) -> u32 {
        match self {
            Self::Default | Self::Infinite => 0,
            Self::Millis(millis) | Self::Until(millis) => {
                u32::try_from(millis.div_ceil(1000).max(1)).unwrap_or(u32::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::{decoder::Decoder, op::AnyRequest};

    /// Returns the expiration decoded from a PUT of "v" under "k" in the default cache.
    fn of_put(version: u8, expiration: &[u8]) -> RequestExpiration {
        let mut decoder = Decoder::default();
        decoder.push(&[0xA0, 0x05, version]);
        // PUT, cache "", no flags, basic client, topology 0; media types from 2.8 on.
        decoder.push(&hex!("01 00 00 01 00"));
        if version >= 28 {
            decoder.push(&hex!("00 00"));
        }
        decoder.push(&hex!("01 6B"));
        decoder.push(expiration);
        decoder.push(&hex!("01 76"));
        let decoded = decoder.next_request().unwrap().expect("a whole request");
        let AnyRequest::Put(put) = decoded.request else { panic!("{:?}", decoded.request) };
        put.0.expiration
    }

    #[test]
    fn a_negative_number_means_never() {
        let max_idle = Duration::Millis(3_600_000);
        let expected = RequestExpiration { lifespan: Duration::Infinite, max_idle };
        // -1 seconds, and 3600.
        assert_eq!(of_put(20, &hex!("FF FF FF FF 0F 90 1C")), expected);
        // Seconds and hours: -1, and 1.
        assert_eq!(of_put(22, &hex!("05 FF FF FF FF FF FF FF FF FF 01 01")), expected);
        assert_eq!(of_put(30, &hex!("05 FF FF FF FF FF FF FF FF FF 01 01")), expected);
    }
}
