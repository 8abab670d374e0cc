//! The load on a server.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

use crate::{error::LoadError, plan::Kind};

/// Everything that determines what is sent to a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Protocol to use.
    pub protocol: Protocol,
    /// Host and port.
    pub address: String,
    /// Name of the cache; empty for the server's default cache. memcached has only one.
    pub cache: String,
    /// Connections, all in use at once.
    pub connections: u32,
    /// Requests that each connection keeps in flight. Answered ones are replaced in one write, as a
    /// client with many callers does. No request waits for a whole batch.
    pub depth: u32,
    /// Threads of the generator. Each serves its share of the connections.
    pub threads: u32,
    /// Number of keys, all equally likely.
    pub keys: u64,
    /// Bytes of a key: decimal digits with leading zeros.
    pub key_size: usize,
    /// Bytes of the value under each key.
    pub value_sizes: ValueSizes,
    /// Whether to write each key once first.
    pub fill: bool,
    /// What to do after that, if anything.
    pub work: Option<Work>,
    /// Seed of the random requests: the same seed sends the same requests.
    pub seed: u64,
    /// Process id of the server, if it runs on this machine, to report its processor time and
    /// memory.
    pub server_pid: Option<u32>,
    /// Longest time without a byte from the server while requests are in flight.
    #[serde(rename = "timeout_seconds", serialize_with = "seconds")]
    pub timeout: Duration,
}

impl Default for Load {
    /// Four reads to a write, on 50 connections without pipelining, for ten seconds.
    fn default() -> Self {
        Self {
            protocol: Protocol::HotRod,
            address: "127.0.0.1:11222".into(),
            cache: String::new(),
            connections: 50,
            depth: 1,
            threads: 1,
            keys: 100_000,
            key_size: 16,
            value_sizes: ValueSizes::fixed(100),
            fill: true,
            work: Some(Work::Requests {
                mix: Mix { get: 80, put: 20, remove: 0 },
                amount: Amount::Time(Duration::from_secs(10)),
            }),
            seed: 1,
            server_pid: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Protocol {
    /// Hot Rod 4.1 (4.0, if the server is older).
    HotRod,
    /// memcached's meta commands.
    Memcached,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HotRod => "hotrod",
            Self::Memcached => "memcached",
        })
    }
}

/// What to do with the entries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Random requests.
    Requests {
        /// Kinds of the requests.
        mix: Mix,
        /// Number of the requests.
        amount: Amount,
    },
    /// An iteration over all entries with their metadata, each connection over its share of the
    /// segments.
    Iterate {
        /// Most entries in one answer.
        batch: u32,
    },
}

/// How many requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Amount {
    /// This many, over all connections together.
    Requests(u64),
    /// As many as can be answered in this time.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    Time(Duration),
}

pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Percentages of the kinds of requests, which add up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    get: u8,
    put: u8,
    remove: u8,
}

impl Mix {
    /// Returns the kind of the `percent`th of a hundred requests.
    pub(crate) fn kind(self, percent: u64) -> Kind {
        if percent < self.get.into() {
            Kind::Get
        } else if percent < u64::from(self.get) + u64::from(self.put) {
            Kind::Put
        } else {
            Kind::Remove
        }
    }
}

impl Mix {
    /// Returns whether the mix contains removes.
    pub(crate) fn removes(self) -> bool {
        self.remove > 0
    }
}

impl FromStr for Mix {
    type Err = LoadError;

    /// Parses "get", "put", "remove", "80/20" (gets and puts) or "70/20/10" (and removes).
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let malformed = || LoadError::Mix(text.into());
        let percentages = match text {
            "get" => [100, 0, 0],
            "put" => [0, 100, 0],
            "remove" => [0, 0, 100],
            _ => {
                let parts = text.split('/').map(str::parse).collect::<Result<Vec<u8>, _>>();
                match parts.as_deref() {
                    Ok([get, put]) => [*get, *put, 0],
                    Ok([get, put, remove]) => [*get, *put, *remove],
                    _ => return Err(malformed()),
                }
            }
        };
        let [get, put, remove] = percentages;
        match percentages.into_iter().map(u32::from).sum() {
            100_u32 => Ok(Self { get, put, remove }),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.get, self.put, self.remove) {
            (100, _, _) => f.write_str("get"),
            (_, 100, _) => f.write_str("put"),
            (_, _, 100) => f.write_str("remove"),
            (get, put, 0) => write!(f, "{get}/{put}"),
            (get, put, remove) => write!(f, "{get}/{put}/{remove}"),
        }
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Sizes of values and their weights. A key always has a value of the same size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSizes {
    /// Pairs of bytes and weight.
    weighted: Vec<(usize, u32)>,
}

/// Largest value: more than any server accepts by default.
const MOST_BYTES: usize = 128 << 20;

impl ValueSizes {
    /// Uses one size for all values.
    #[must_use]
    pub fn fixed(bytes: usize) -> Self {
        Self { weighted: vec![(bytes, 1)] }
    }

    /// Returns each size in bytes with its weight.
    pub(crate) fn weighted(&self) -> &[(usize, u32)] {
        &self.weighted
    }
}

impl FromStr for ValueSizes {
    type Err = LoadError;

    /// Parses "100", or sizes with weights: "100:9,4096:1".
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let malformed = || LoadError::ValueSizes(text.into());
        let weighted = text
            .split(',')
            .map(|part| {
                let (bytes, weight) = part.split_once(':').unwrap_or((part, "1"));
                let size: usize = bytes.parse().ok()?;
                let weight: u32 = weight.parse().ok()?;
                (size <= MOST_BYTES && weight > 0).then_some((size, weight))
            })
            .collect::<Option<Vec<_>>>();
        weighted.map(|weighted| Self { weighted }).ok_or_else(malformed)
    }
}

impl fmt::Display for ValueSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(bytes, _)] = self.weighted.as_slice() {
            return write!(f, "{bytes}");
        }
        for (index, (bytes, weight)) in self.weighted.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{bytes}:{weight}")?;
        }
        Ok(())
    }
}

impl Serialize for ValueSizes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Longest key that memcached accepts.
const MEMCACHED_KEY: usize = 250;
/// Longest key that servers accept by default.
const HOT_ROD_KEY: usize = 64 * 1024;
/// Most connections, which is also the number of ports for one loopback address.
const MOST_CONNECTIONS: u32 = 20_000;
/// Most requests in flight on one connection.
const MOST_DEPTH: u32 = 65_536;

impl Load {
    /// Returns an error if the load is impossible.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        within("connections", self.connections.into(), 1, MOST_CONNECTIONS.into())?;
        within("requests in flight", self.depth.into(), 1, MOST_DEPTH.into())?;
        within("threads", self.threads.into(), 1, self.connections.into())?;
        within("keys", self.keys, 1, u64::MAX)?;
        let digits = self.keys.saturating_sub(1).checked_ilog10().unwrap_or(0) + 1;
        let longest = match self.protocol {
            Protocol::HotRod => HOT_ROD_KEY,
            Protocol::Memcached => MEMCACHED_KEY,
        };
        if self.timeout.is_zero() {
            return Err(LoadError::NoTime);
        }
        within("bytes of a key", self.key_size as u64, digits.into(), longest as u64)?;
        match self.work {
            None if !self.fill => Err(LoadError::Nothing),
            None => Ok(()),
            Some(Work::Requests { amount: Amount::Requests(requests), .. }) => {
                within("requests", requests, 1, u64::MAX)
            }
            Some(Work::Requests { amount: Amount::Time(time), .. }) => {
                if time.is_zero() {
                    Err(LoadError::NoTime)
                } else {
                    Ok(())
                }
            }
            Some(Work::Iterate { batch }) => {
                if self.protocol == Protocol::Memcached {
                    return Err(LoadError::NotIterable);
                }
                within("entries in an answer", batch.into(), 1, 1_000_000)
            }
        }
    }
}

fn within(what: &'static str, is: u64, least: u64, most: u64) -> Result<(), LoadError> {
    if (least..=most).contains(&is) {
        return Ok(());
    }
    Err(LoadError::Bounds { what, is, least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_shown_in_its_shortest_form() {
        for (text, shown) in
            [("get", "get"), ("80/20", "80/20"), ("0/100/0", "put"), ("70/20/10", "70/20/10")]
        {
            assert_eq!(text.parse::<Mix>().unwrap().to_string(), shown);
        }
        for text in ["", "read", "80", "80/10", "90/20", "1/2/3/4", "-1/101", "100/256"] {
            assert_eq!(text.parse::<Mix>(), Err(LoadError::Mix(text.into())));
        }
    }

    #[test]
    fn the_kinds_of_a_mix_come_as_often_as_it_says() {
        let mix: Mix = "70/20/10".parse().unwrap();
        let of = |kind| (0..100).filter(|percent| mix.kind(*percent) == kind).count();
        assert_eq!([of(Kind::Get), of(Kind::Put), of(Kind::Remove)], [70, 20, 10]);
    }

    #[test]
    fn sizes_are_one_number_or_numbers_with_weights() {
        for text in ["0", "100", "100:9,4096:1"] {
            assert_eq!(text.parse::<ValueSizes>().unwrap().to_string(), text);
        }
        assert_eq!("10,20".parse::<ValueSizes>().unwrap().to_string(), "10:1,20:1");
        for text in ["", "x", "100:", "100:0", "100,", "999999999999", "1:2:3"] {
            assert!(text.parse::<ValueSizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_load_that_cannot_be_done_is_refused_with_the_reason() {
        let refused = |change: fn(&mut Load)| {
            let mut load = Load::default();
            change(&mut load);
            load.check().unwrap_err().to_string()
        };
        assert_eq!(Load::default().check(), Ok(()));
        assert_eq!(refused(|load| load.depth = 0), "0 requests in flight: 1 to 65536 are possible");
        assert_eq!(refused(|load| load.threads = 51), "51 threads: 1 to 50 are possible");
        assert_eq!(
            refused(|load| load.key_size = 4),
            "4 bytes of a key: 5 to 65536 are possible",
            "99,999 has five digits"
        );
        assert_eq!(
            refused(|load| (load.protocol, load.key_size) = (Protocol::Memcached, 251)),
            "251 bytes of a key: 5 to 250 are possible"
        );
        assert_eq!(
            refused(|load| {
                load.protocol = Protocol::Memcached;
                load.work = Some(Work::Iterate { batch: 1 });
            }),
            "memcached has no iteration: use Hot Rod"
        );
        assert_eq!(
            refused(|load| (load.fill, load.work) = (false, None)),
            "there is nothing to do: no keys to write and no requests to send"
        );
    }
}
