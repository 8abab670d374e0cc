//! The keys and values of an account: all of them follow from a number.

/// The bytes of a key: every fourth one is binary.
pub(super) fn name(key: usize) -> Vec<u8> {
    match key % 4 {
        0 => [&[0x00, 0xFF, 0x80, 0x0A], &(key as u64).to_be_bytes()[..]].concat(),
        _ => format!("key-{key}").into_bytes(),
    }
}

/// The key of these bytes.
pub(super) fn number(name: &[u8]) -> Option<usize> {
    let number = match name.strip_prefix(&[0x00, 0xFF, 0x80, 0x0A]) {
        Some(number) => u64::from_be_bytes(number.try_into().ok()?),
        None => str::from_utf8(name).ok()?.strip_prefix("key-")?.parse().ok()?,
    };
    usize::try_from(number).ok()
}

/// The value under a key that is written for the `seed`th time: 95 % up to 1 KiB, 4 % up to 8 KiB, 1 % up
/// to 64 KiB, and some of them empty.
pub(super) fn value(key: usize, seed: u64) -> Vec<u8> {
    let mut random =
        (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0x2545_f491);
    random ^= random >> 29;
    random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    random ^= random >> 32;
    let most = match random % 100 {
        0..95 => 1_024,
        95..99 => 8_192,
        _ => 65_536,
    };
    let len = if random % 50 == 7 { 0 } else { (random >> 8) % most };
    let byte = |index: u64| random.rotate_left((index % 64) as u32).to_le_bytes()[0];
    (0..len).map(byte).collect()
}

#[cfg(test)]
mod tests {
    //! Keys and values can be told apart.

    use super::*;

    #[test]
    fn a_key_is_known_by_its_bytes() {
        for key in (0..1_000).chain([1_000_000]) {
            assert_eq!(number(&name(key)), Some(key));
        }
        assert_eq!(number(b"other"), None);
    }

    #[test]
    fn values_are_as_large_as_they_are_meant_to_be() {
        let sizes: Vec<usize> = (0..10_000).map(|key| value(key, 0).len()).collect();
        let share = |of: fn(&usize) -> bool| sizes.iter().filter(|size| of(size)).count();
        assert!((9_300..9_800).contains(&share(|size| *size < 1_024)));
        assert!((50..150).contains(&share(|size| *size >= 8_192)));
        assert!(share(|size| *size == 0) > 50);
        assert_ne!(value(1, 0), value(1, 1));
        assert_eq!(value(1, 5), value(1, 5));
    }
}
