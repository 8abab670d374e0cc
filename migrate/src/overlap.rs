//! Segments of divisions of different sizes.

/// Returns whether segment `a.0` of `a.1` and segment `b.0` of `b.1` share a hash.
pub(crate) fn overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    let range = |(segment, count): (u32, u32)| {
        let size = u64::from((1_u32 << 31).div_ceil(count.max(1)));
        (u64::from(segment) * size, (u64::from(segment) + 1) * size)
    };
    let (a, b) = (range(a), range(b));
    a.0 < b.1 && b.0 < a.1
}

#[cfg(test)]
mod tests {
    //! Segments are ranges of hashes.

    use super::*;

    #[test]
    fn segments_of_different_counts_overlap_where_they_share_a_hash() {
        assert!(overlap((0, 256), (0, 256)) && !overlap((0, 256), (1, 256)));
        let of_20 = |segment| {
            (0..20).filter(|other| overlap((segment, 256), (*other, 20))).collect::<Vec<_>>()
        };
        assert_eq!(of_20(0), [0]);
        assert_eq!(of_20(12), [0, 1], "the border lies within");
        assert_eq!(of_20(255), [19]);
        assert!((0..1024).all(|other| overlap((0, 1), (other, 1024))));
    }
}
