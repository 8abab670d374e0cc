//! Keys and values: the same for every server and protocol.
//!
//! The value under a key is derived from the key alone, so that every reader can verify it, and two
//! writers of one key write the same value.

use crate::{error::WrongAnswer, load::Load, plan::mix};

/// Bytes at each end of a value that are derived from its key.
const MARK: usize = 8;

/// Makes keys and values in reused memory.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    /// The last key. Only its last `digits` bytes ever change.
    key: Vec<u8>,
    digits: usize,
    /// For each size of values: the sum of the weights up to it, and the last value of that size.
    values: Vec<(u64, Vec<u8>)>,
}

impl Data {
    pub(crate) fn new(load: &Load) -> Self {
        let mut weights = 0;
        let values = load.value_sizes.weighted().iter().map(|(bytes, weight)| {
            weights += u64::from(*weight);
            (weights, filler(*bytes))
        });
        let digits = load.keys.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1;
        Self { key: vec![b'0'; load.key_size], digits, values: values.collect() }
    }

    /// Returns the key of this number: decimal digits with leading zeros.
    pub(crate) fn key(&mut self, number: u64) -> &[u8] {
        let mut rest = number;
        for digit in self.key.iter_mut().rev().take(self.digits) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        &self.key
    }

    /// Returns the key of this number and its value.
    pub(crate) fn entry(&mut self, number: u64) -> (&[u8], &[u8]) {
        let mark = mix(number);
        let index = self.size_of(mark);
        self.key(number);
        let value = self.values.get_mut(index).map(|(_, value)| value.as_mut_slice());
        let value = value.unwrap_or_default();
        let (head, tail) = ends(value.len());
        value.iter_mut().zip(begin(mark)).take(head).for_each(|(byte, own)| *byte = own);
        let start = value.len() - tail;
        value.iter_mut().skip(start).zip(end(mark)).for_each(|(byte, own)| *byte = own);
        (&self.key, value)
    }

    /// Checks that this is the value of the key of this number: its length and both ends.
    pub(crate) fn check(&self, number: u64, value: &[u8]) -> Result<(), WrongAnswer> {
        let mark = mix(number);
        let expected = self.values.get(self.size_of(mark)).map_or(0, |(_, value)| value.len());
        let actual = value.len();
        if actual != expected {
            return Err(WrongAnswer::Length { key: number, expected, actual });
        }
        let (head, tail) = ends(actual);
        if value.get(..head) != begin(mark).get(..head) {
            return Err(WrongAnswer::Content { key: number, place: "begin" });
        }
        if value.get(actual - tail..) != end(mark).get(..tail) {
            return Err(WrongAnswer::Content { key: number, place: "end" });
        }
        Ok(())
    }

    /// Returns the index of the size that the value of the key with this mark has.
    fn size_of(&self, mark: u64) -> usize {
        let [.., (all, _)] = self.values.as_slice() else { return 0 };
        if self.values.len() == 1 {
            return 0;
        }
        let weight = mark % all;
        self.values.partition_point(|(upto, _)| *upto <= weight)
    }
}

/// Returns how many bytes at the beginning and at the end of a value of this length are derived
/// from its key.
fn ends(len: usize) -> (usize, usize) {
    (len.saturating_sub(MARK).min(MARK), len.min(MARK))
}

fn begin(mark: u64) -> [u8; MARK] {
    mark.to_le_bytes()
}

fn end(mark: u64) -> [u8; MARK] {
    (!mark).to_be_bytes()
}

/// Returns incompressible bytes.
fn filler(len: usize) -> Vec<u8> {
    (0..len as u64).map(|index| mix(index).to_le_bytes()[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(keys: u64, sizes: &str) -> Data {
        let value_sizes = sizes.parse().unwrap();
        Data::new(&Load { keys, key_size: 6, value_sizes, ..Load::default() })
    }

    #[test]
    fn keys_are_decimals_with_leading_zeros() {
        let mut data = data(1_000, "1");
        assert_eq!(data.key(999), b"000999");
        assert_eq!(data.key(7), b"000007", "nothing is left of the key before");
    }

    #[test]
    fn a_value_belongs_to_its_key_and_to_no_other() {
        for len in [1, 7, 8, 9, 15, 16, 17, 100] {
            let mut data = data(1_000, &len.to_string());
            let value = data.entry(1).1.to_vec();
            assert_eq!(value.len(), len);
            assert_eq!(data.check(1, &value), Ok(()));

            assert!(data.check(2, &value).is_err(), "{len} bytes of key 1 under key 2");
            let (expected, actual) = (len, len - 1);
            let short = Err(WrongAnswer::Length { key: 1, expected, actual });
            assert_eq!(data.check(1, &value[1..]), short);

            let mut damaged = value.clone();
            damaged[len - 1] ^= 1;
            let end = Err(WrongAnswer::Content { key: 1, place: "end" });
            assert_eq!(data.check(1, &damaged), end);
        }
        assert_eq!(data(1, "0").check(0, b""), Ok(()));
    }

    #[test]
    fn a_value_is_the_same_whatever_was_made_before() {
        let mut one = data(1_000, "10:1,100:1");
        let first = one.entry(1).1.to_vec();
        for number in 2..50 {
            one.entry(number);
        }
        assert_eq!(one.entry(1).1, first);
    }

    #[test]
    fn sizes_are_as_frequent_as_their_weights_say() {
        let mut data = data(10_000, "10:9,20:1");
        let large = (0..10_000).filter(|number| data.entry(*number).1.len() == 20).count();
        assert!((900..1_100).contains(&large), "{large}");
    }
}
