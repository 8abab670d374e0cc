//! Which clients' entries have ended here without leaving a tombstone.
//!
//! Where everything of the source is here, a client's entry that has ended leaves no tombstone. A repair, though, could
//! then fetch an older value that the source has got under its key since. It does not if this set contains the key. The
//! set may also contain keys that were never inserted: those are not repaired either.

/// Keys that share a bit cannot be told apart. With 1,000 entries that have ended, one missing key in nine is not
/// repaired.
const BITS: usize = 8 * 1024;

/// A set of placements that may contain more than was inserted.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Set aside when the first one is inserted: a kibibyte.
    bits: Option<Box<[u64; BITS / 64]>>,
}

impl Ended {
    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| size_of_val(&**bits))
    }

    pub(super) fn insert(&mut self, placement: u32) {
        let (word, bit) = place(placement);
        let bits = self.bits.get_or_insert_with(|| Box::new([0; BITS / 64]));
        if let Some(word) = bits.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn may_contain(&self, placement: u32) -> bool {
        let (word, bit) = place(placement);
        self.bits.as_ref().and_then(|bits| bits.get(word)).is_some_and(|word| word & bit != 0)
    }
}

/// The word and the bit of a placement. The keys of a segment differ in its lower bits.
fn place(placement: u32) -> (usize, u64) {
    let bit = placement as usize % BITS;
    (bit / 64, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    //! What was inserted is contained, and not much else.

    use media::hash;

    use super::*;

    #[test]
    fn what_was_inserted_is_contained_and_little_else() {
        let mut ended = Ended::default();
        let placement = |number: u32| hash::hash(&number.to_le_bytes());
        assert!((0..100).all(|number| !ended.may_contain(placement(number))));
        assert_eq!(ended.memory(), 0);
        (0..100).for_each(|number| ended.insert(placement(number)));
        assert_eq!(ended.memory(), 1_024);
        assert!((0..100).all(|number| ended.may_contain(placement(number))));
        let others = (100..10_100).filter(|number| ended.may_contain(placement(*number))).count();
        assert!(others < 500, "{others} of 10,000 others");
    }
}
