//! The sequence of requests of a connection.

use serde::Serialize;

use crate::load::{Amount, Mix};

/// Kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Read a value.
    Get,
    /// Write a value.
    Put,
    /// Remove a key.
    Remove,
    /// The next entries of an iteration.
    Next,
}

impl Kind {
    /// Returns the name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Remove => "remove",
            Self::Next => "next",
        }
    }
}

/// The requests that a connection still has to send.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Write each key of this connection once.
    Fill { next: u64, step: u64, keys: u64 },
    /// Random requests; if `left` is `None`, until they are stopped.
    Random { random: Random, mix: Mix, keys: u64, left: Option<u64> },
}

impl Plan {
    /// Returns the plan in which connection `index` of `connections` writes its keys.
    pub(crate) fn fill(index: u32, connections: u32, keys: u64) -> Self {
        Self::Fill { next: index.into(), step: connections.into(), keys }
    }

    /// Returns the plan of connection `index` of `connections` for random requests.
    pub(crate) fn random(
        index: u32,
        connections: u32,
        seed: u64,
        mix: Mix,
        amount: Amount,
        keys: u64,
    ) -> Self {
        let left = match amount {
            Amount::Time(_) => None,
            Amount::Requests(all) => {
                let (each, rest) =
                    (all / u64::from(connections.max(1)), all % u64::from(connections.max(1)));
                Some(each + u64::from(u64::from(index) < rest))
            }
        };
        Self::Random { random: Random::new(seed, index), mix, keys, left }
    }

    /// Returns the kind and the key of the next request.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Kind, u64)> {
        match self {
            Self::Fill { next, step, keys } => {
                let key = *next;
                if key >= *keys {
                    return None;
                }
                *next = key.saturating_add(*step);
                Some((Kind::Put, key))
            }
            Self::Random { random, mix, keys, left } => {
                if let Some(left) = left {
                    *left = left.checked_sub(1)?;
                }
                let number = random.next();
                // The upper bits choose the key, the lower ones the kind.
                let key = scaled(number, *keys);
                Some((mix.kind(scaled(number << 32, 100)), key))
            }
        }
    }

    /// Ends the plan.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Fill { next, keys, .. } => *next = *keys,
            Self::Random { left, .. } => *left = Some(0),
        }
    }
}

/// Scales a number from the range of `u64` down to the range below `bound`.
#[inline]
fn scaled(number: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
}

/// SplitMix64: random enough, and the same sequence on every machine and in every version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// Creates the sequence of connection `index`.
    fn new(seed: u64, index: u32) -> Self {
        Self(mix(seed ^ u64::from(index).wrapping_mul(GOLDEN)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        number
    }
}

/// Spreads numbers over all 64 bits; different numbers stay different.
#[inline]
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(GOLDEN);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn random(index: u32, seed: u64, requests: u64) -> Vec<(Kind, u64)> {
        let mix = "80/20".parse().unwrap();
        let mut plan = Plan::random(index, 3, seed, mix, Amount::Requests(requests), 1_000);
        std::iter::from_fn(move || plan.next()).collect()
    }

    #[test]
    fn a_fill_writes_each_key_once_over_all_connections() {
        let mut keys = Vec::new();
        for index in 0..3 {
            let mut plan = Plan::fill(index, 3, 10);
            keys.extend(std::iter::from_fn(|| plan.next()));
        }
        keys.sort_unstable();
        assert_eq!(keys, (0..10).map(|key| (Kind::Put, key)).collect::<Vec<_>>());
    }

    #[test]
    fn requests_are_shared_out_to_the_last_one() {
        assert_eq!((0..3).map(|index| random(index, 1, 10).len()).sum::<usize>(), 10);
    }

    #[test]
    fn the_same_seed_gives_the_same_requests_and_each_connection_has_its_own() {
        assert_eq!(random(0, 1, 100), random(0, 1, 100));
        assert_ne!(random(0, 1, 100), random(1, 1, 100));
        assert_ne!(random(0, 1, 100), random(0, 2, 100));
    }

    #[test]
    fn random_requests_reach_every_key_and_keep_to_the_mix() {
        let requests = random(0, 1, 60_000);
        let keys: HashSet<_> = requests.iter().map(|(_, key)| *key).collect();
        assert_eq!(keys.len(), 1_000);
        let gets = requests.iter().filter(|(kind, _)| *kind == Kind::Get).count();
        assert!((15_500..16_500).contains(&gets), "{gets} of 20,000");
    }

    #[test]
    fn a_stopped_plan_has_no_more_requests() {
        let mut plan =
            Plan::random(0, 1, 1, "get".parse().unwrap(), Amount::Time(Default::default()), 5);
        assert!(plan.next().is_some());
        plan.stop();
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        // The published sequence for seed 0.
        let mut random = Random(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }
}
