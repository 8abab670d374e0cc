//! Sets of segments in the format of Java's `BitSet.toByteArray`: segment 0 is the lowest bit.

/// Most segments that a peer's cache may have.
pub(crate) const MAX_SEGMENTS: u32 = 65_536;

/// A set of segment numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSet {
    bytes: Vec<u8>,
}

impl SegmentSet {
    /// Longest encoded set in bytes, enough for [`MAX_SEGMENTS`] segments.
    pub(crate) const MAX_BYTES: usize = MAX_SEGMENTS as usize / 8;

    /// Decodes a set.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }

    /// Returns the encoded set, without trailing zero bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a segment.
    pub fn insert(&mut self, segment: u32) {
        let index = segment as usize / 8;
        if index >= self.bytes.len() {
            self.bytes.resize(index + 1, 0);
        }
        if let Some(byte) = self.bytes.get_mut(index) {
            *byte |= 1 << (segment % 8);
        }
    }

    /// Returns whether the segment is in the set.
    #[must_use]
    pub fn contains(&self, segment: u32) -> bool {
        self.bytes.get(segment as usize / 8).is_some_and(|byte| byte >> (segment % 8) & 1 == 1)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the segments in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = u32::try_from(self.bytes.len().saturating_mul(8)).unwrap_or(u32::MAX);
        (0..bits).filter(|segment| self.contains(*segment))
    }
}

impl From<Vec<u8>> for SegmentSet {
    fn from(mut bytes: Vec<u8>) -> Self {
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Self { bytes }
    }
}

impl FromIterator<u32> for SegmentSet {
    fn from_iter<I: IntoIterator<Item = u32>>(segments: I) -> Self {
        let mut set = Self::default();
        segments.into_iter().for_each(|segment| set.insert(segment));
        set
    }
}

#[cfg(test)]
mod tests {
    //! Bytes as a real client and a real server wrote them.

    use super::*;

    #[test]
    fn a_set_is_written_as_java_writes_a_bit_set() {
        let set: SegmentSet = [6, 7, 10, 11, 12, 15, 16, 17, 18, 19].into_iter().collect();
        assert_eq!(set.as_bytes(), [0xC0, 0x9C, 0x0F]);
        assert_eq!(SegmentSet::from_bytes(&[0xC0, 0x9C, 0x0F, 0]), set);
        assert_eq!(set.iter().collect::<Vec<_>>(), [6, 7, 10, 11, 12, 15, 16, 17, 18, 19]);
        assert!(!set.contains(5) && !set.contains(20) && set.contains(19));
        assert!(SegmentSet::default().is_empty());
    }

    #[test]
    fn a_set_of_more_segments_than_a_cache_has_is_refused_before_its_bytes_are_looked_at() {
        use crate::{DecodeError, Limits, Reader};

        // A VInt of 8,192 and one of 8,193, each without the bytes that it announces.
        let mut longest = Reader::new(&[0x80, 0x40], Limits::default());
        let incomplete = DecodeError::Incomplete { missing: 8_192 };
        assert_eq!(longest.segments("segments"), Err(incomplete));
        let mut longer = Reader::new(&[0x81, 0x40], Limits::default());
        let too_long = DecodeError::TooLong { field: "segments", len: 8_193, most: 8_192 };
        assert_eq!(longer.segments("segments"), Err(too_long));
    }
}
