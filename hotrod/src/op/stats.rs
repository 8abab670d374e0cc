//! STATS (0x15): reads the statistics of a cache, as pairs of texts.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Most statistics that a response may have.
const MOST: u32 = 1_024;

/// Asks for the statistics of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats;

/// Names and values: decimal numbers, -1 for an unknown one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics(pub Vec<(String, String)>);

impl Statistics {
    /// Returns the value of a statistic as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.parse().ok())
    }
}

impl Request<'_> for Stats {
    type Response<'b> = Statistics;

    fn decode(_: &RequestHeader<'_>, _: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn encode(&self, _: ProtocolVersion, _: &mut Writer) {}
}

impl Response<'_> for Statistics {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "number of statistics";
        let count = reader.vint(FIELD)?;
        if count > MOST {
            return Err(DecodeError::Illegal { field: FIELD, value: count.into() });
        }
        let mut pairs = Vec::new();
        for _ in 0..count {
            let name = reader.text("name of a statistic")?.to_owned();
            pairs.push((name, reader.text("value of a statistic")?.to_owned()));
        }
        Ok(Self(pairs))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.vlong(self.0.len() as u64);
        for (name, value) in &self.0 {
            writer.text(name);
            writer.text(value);
        }
    }
}
