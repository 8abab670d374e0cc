//! Which entries of the source had to make room here.
//!
//! A verification excuses as many missing entries as were evicted, so one that comes in again must not count any more,
//! and one that was never evicted must not be taken for it. The first of them are known by their hashes. Of those
//! beyond, only the number is known: an entry that is brought in where its source segment was complete is taken for one
//! of those.

/// Entries that are known by their hashes, for each segment: a kibibyte.
const MOST: usize = 128;

/// Entries of the source that had to make room, and have not come back.
#[derive(Debug, Default)]
pub(super) struct Evicted {
    /// Hashes of their keys, sorted. Set aside as a whole when the first one is inserted.
    hashes: Vec<u64>,
    /// Those that are not known by their hashes.
    beyond: u64,
}

impl Evicted {
    /// Number of them.
    pub(super) fn count(&self) -> u64 {
        self.hashes.len() as u64 + self.beyond
    }

    /// Returns whether the entry of a key is known to be one of them.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.hashes.binary_search(&hash).is_ok()
    }

    /// Bytes that they take.
    pub(super) fn memory(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// The entry of a key had to make room.
    pub(super) fn insert(&mut self, hash: u64) {
        if self.hashes.is_empty() {
            self.hashes.reserve_exact(MOST);
        }
        if self.hashes.len() < MOST {
            let (Ok(place) | Err(place)) = self.hashes.binary_search(&hash);
            self.hashes.insert(place, hash);
        } else {
            self.beyond += 1;
        }
    }

    /// The entry of a key comes in where there was none, or a client writes or removes the key: it is not missing any
    /// more. `late` is whether the source has given it although everything of its segment was here before. Returns
    /// whether it was one of them.
    pub(super) fn comes_in(&mut self, hash: u64, late: bool) -> bool {
        match self.hashes.binary_search(&hash) {
            Ok(index) => {
                self.hashes.remove(index);
                true
            }
            Err(_) => {
                let was_beyond = late && self.beyond > 0;
                self.beyond -= u64::from(was_beyond);
                was_beyond
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! What counts as gone.

    use super::*;

    #[test]
    fn only_what_was_evicted_comes_back() {
        let mut evicted = Evicted::default();
        assert_eq!(evicted.memory(), 0);
        (0..10).for_each(|hash| evicted.insert(hash));
        assert!(evicted.comes_in(3, false) && evicted.comes_in(4, true));
        assert!(!evicted.comes_in(4, true), "it was here by then");
        assert!(!evicted.comes_in(77, false) && !evicted.comes_in(78, true));
        assert_eq!((evicted.count(), evicted.memory()), (8, 1_024));
        assert!(evicted.has(5) && !evicted.has(3) && !evicted.has(77));
    }

    #[test]
    fn beyond_a_limit_only_their_number_is_known() {
        let mut evicted = Evicted::default();
        (0..1_000).for_each(|hash| evicted.insert(hash));
        assert_eq!((evicted.count(), evicted.memory()), (1_000, 1_024));
        evicted.comes_in(999, false);
        assert_eq!(evicted.count(), 1_000, "it may be one that was not here before");
        evicted.comes_in(999, true);
        evicted.comes_in(0, false);
        assert_eq!(evicted.count(), 998);
        assert!((0..998).all(|hash| evicted.comes_in(hash, true)));
        assert!(!evicted.comes_in(1_000, true));
        assert_eq!(evicted.count(), 0);
    }
}
