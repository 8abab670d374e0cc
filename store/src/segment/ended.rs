//! Which clients' entries have ended here without leaving a tombstone.
//!
//! Where everything of the source is here, a client's entry that has ended leaves no tombstone. A repair, though, could
//! then fetch an older value that the source has got under its key since. It does not if this set contains the key. The
//! set may also contain keys that were never inserted: those are not repaired either.
//!
//! It is a list of Bloom filters, each four times as large as the one before it. A filter that is full stays as it is,
//! and the next one takes what comes.

/// Bytes of the first filter. It is set aside when the first placement is inserted.
const SMALLEST: usize = 1024;

/// Bytes of the largest filter: it has a bit for every placement of one of 256 segments.
const LARGEST: usize = 1024 * 1024;

/// By how much each filter is larger than the one before it.
const GROWTH: usize = 4;

/// Bits of a filter for each placement that it takes. With as many [`PROBES`], a full filter seems to contain one of
/// 150 other placements.
const BITS_FOR_EACH: usize = 12;

/// Bits that are set for each placement.
const PROBES: u64 = 4;

/// A set of placements that may contain more than was inserted.
#[derive(Debug, Default)]
pub(super) struct Ended {
    filters: Vec<Filter>,
}

impl Ended {
    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.filters.iter().map(Filter::memory).sum()
    }

    /// Inserts a placement. If the filters are full, `has_room` is asked whether there may be another one of so many
    /// bytes; without it, the last one contains more and more that was not inserted.
    pub(super) fn insert(&mut self, placement: u32, has_room: impl FnOnce(usize) -> bool) {
        if self.may_contain(placement) {
            return;
        }
        let next = match self.filters.last() {
            None => Some(SMALLEST),
            Some(last) if last.is_full() => {
                Some((last.memory() * GROWTH).min(LARGEST)).filter(|bytes| has_room(*bytes))
            }
            Some(_) => None,
        };
        self.filters.extend(next.map(Filter::new));
        if let Some(last) = self.filters.last_mut() {
            last.insert(placement);
        }
    }

    pub(super) fn may_contain(&self, placement: u32) -> bool {
        self.filters.iter().any(|filter| filter.may_contain(placement))
    }
}

/// One Bloom filter, of a power of two of bits.
#[derive(Debug)]
struct Filter {
    words: Box<[u64]>,
    inserted: usize,
}

impl Filter {
    fn new(bytes: usize) -> Self {
        Self { words: vec![0; bytes / size_of::<u64>()].into(), inserted: 0 }
    }

    fn memory(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn is_full(&self) -> bool {
        self.inserted * BITS_FOR_EACH >= self.memory() * 8
    }

    fn insert(&mut self, placement: u32) {
        for (word, bit) in self.places(placement) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
        self.inserted += 1;
    }

    fn may_contain(&self, placement: u32) -> bool {
        let is_set = |(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0);
        self.places(placement).all(is_set)
    }

    /// The words and bits of a placement. The placements of a segment differ in some bits only, so they are mixed.
    fn places(&self, placement: u32) -> impl Iterator<Item = (usize, u64)> + use<> {
        let words = self.words.len() as u64;
        let mixed = mix(u64::from(placement));
        let (first, step) = (mixed & u64::from(u32::MAX), (mixed >> 32) | 1);
        (0..PROBES).map(move |probe| {
            let at = first.wrapping_add(probe.wrapping_mul(step)) % (words * 64);
            (usize::try_from(at / 64).unwrap_or(usize::MAX), 1 << (at % 64))
        })
    }
}

/// Spreads a number over all bits.
fn mix(number: u64) -> u64 {
    let spread = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let spread = (spread ^ (spread >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    spread ^ (spread >> 31)
}

#[cfg(test)]
mod tests {
    //! What was inserted is contained, and not much else.

    use media::hash;

    use super::*;

    /// Placements of one of 256 segments: that of the keys whose upper bits are 0.
    fn placement(number: u32) -> u32 {
        hash::hash(&number.to_le_bytes()) & 0x007F_FFFF
    }

    fn filled(count: u32, has_room: impl Fn(usize) -> bool) -> Ended {
        let mut ended = Ended::default();
        (0..count).for_each(|number| ended.insert(placement(number), &has_room));
        assert!((0..count).all(|number| ended.may_contain(placement(number))));
        ended
    }

    /// How many of 10,000 other keys it contains.
    fn others(ended: &Ended) -> usize {
        let others = 1_000_000..1_010_000;
        others.filter(|number| ended.may_contain(placement(*number))).count()
    }

    #[test]
    fn what_was_inserted_is_contained_and_little_else_however_much_it_is() {
        for (count, most_others, most_bytes) in [
            (0, 0, 0),
            (1, 10, 1_024),
            (100, 10, 1_024),
            (6_000, 300, 6_000 * 6),
            (50_000, 500, 50_000 * 6),
        ] {
            let ended = filled(count, |_| true);
            let (others, bytes) = (others(&ended), ended.memory());
            assert!(others <= most_others, "{others} others with {count}");
            assert!(bytes <= most_bytes, "{bytes} bytes with {count}");
        }
    }

    #[test]
    fn what_is_inserted_again_takes_no_room() {
        let mut ended = filled(600, |_| true);
        let bytes = ended.memory();
        for _ in 0..100 {
            (0..600).for_each(|number| ended.insert(placement(number), |_| true));
        }
        assert_eq!(ended.memory(), bytes);
    }

    #[test]
    fn without_room_it_still_contains_what_was_inserted_and_more() {
        let ended = filled(50_000, |_| false);
        assert_eq!(ended.memory(), SMALLEST);
        assert!(others(&ended) > 9_000);
        let ended = filled(6_000, |bytes| bytes <= 4 * SMALLEST);
        assert_eq!(ended.memory(), 5 * SMALLEST);
        assert!(others(&ended) > 100);
    }
}
