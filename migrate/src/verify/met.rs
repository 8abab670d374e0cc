//! The keys that a walk over the source has met.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

/// Keys that were met, as far as 128 bits tell them apart which nobody can foresee. They are bounded: where
/// there are more, the source is walked several times, and each pass remembers its own share of the keys.
pub(super) struct Met {
    hashers: [RandomState; 2],
    hashes: HashSet<[u64; 2]>,
    pass: u64,
    passes: u64,
    most: usize,
}

/// What was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// A key for the first time.
    New,
    /// A key that was met before.
    Again,
    /// A key that another pass remembers.
    OfAnotherPass,
    /// One key more than can be remembered.
    TooMany,
}

impl Met {
    /// Nothing was met. Every key belongs to one of `passes`.
    pub(super) fn new(hashers: &[RandomState; 2], pass: u64, passes: u64, most: usize) -> Self {
        Self { hashers: hashers.clone(), hashes: HashSet::new(), pass, passes, most }
    }

    /// Takes in a key.
    pub(super) fn meet(&mut self, key: &[u8]) -> Meeting {
        let hash = self.hash(key);
        if !self.is_of_pass(hash) {
            return Meeting::OfAnotherPass;
        }
        if self.hashes.contains(&hash) {
            return Meeting::Again;
        }
        if self.hashes.len() >= self.most {
            return Meeting::TooMany;
        }
        self.hashes.insert(hash);
        Meeting::New
    }

    /// Whether this pass would have met the key, and has not.
    pub(super) fn misses(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        self.is_of_pass(hash) && !self.hashes.contains(&hash)
    }

    fn is_of_pass(&self, [one, _]: [u64; 2]) -> bool {
        one % self.passes == self.pass
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    //! What is remembered of a walk.

    use super::*;

    #[test]
    fn each_key_belongs_to_one_pass_and_is_new_once() {
        let hashers = [RandomState::new(), RandomState::new()];
        let mut passes: Vec<Met> = (0..4).map(|pass| Met::new(&hashers, pass, 4, 1_000)).collect();
        for key in 0_u32..2_000 {
            let key = key.to_be_bytes();
            let meet = |met: &mut Met| met.meet(&key);
            let missing = passes.iter().filter(|met| met.misses(&key)).count();
            let first: Vec<Meeting> = passes.iter_mut().map(meet).collect();
            let new = first.iter().filter(|meeting| **meeting == Meeting::New).count();
            assert_eq!((missing, new), (1, 1), "{first:?}");
            let again: Vec<Meeting> = passes.iter_mut().map(meet).collect();
            assert_eq!(again.iter().filter(|meeting| **meeting == Meeting::Again).count(), 1);
            assert!(!passes.iter().any(|met| met.misses(&key)));
        }
    }

    #[test]
    fn there_is_a_limit_to_what_one_pass_remembers() {
        let hashers = [RandomState::new(), RandomState::new()];
        let mut met = Met::new(&hashers, 0, 1, 2);
        assert_eq!(
            [met.meet(b"a"), met.meet(b"b"), met.meet(b"c")],
            [Meeting::New, Meeting::New, Meeting::TooMany]
        );
        assert_eq!((met.meet(b"a"), met.misses(b"c")), (Meeting::Again, true));
    }
}
