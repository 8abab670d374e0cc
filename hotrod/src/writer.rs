//! Encodes fields in wire order.

use std::sync::Arc;

/// Collects encoded messages, one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// The last array of a message, if it is large and not yet copied into `bytes`.
    tail: Option<Arc<[u8]>>,
}

impl Writer {
    /// Returns the written bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the written bytes as a vector of their own.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.seal();
        self.bytes
    }

    /// Removes everything from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.tail = None;
    }

    /// Returns the size in bytes of the last array of the current message, if it is not copied yet.
    #[must_use]
    pub fn unsealed(&self) -> usize {
        self.tail.as_ref().map_or(0, |tail| tail.len())
    }

    /// Moves everything from `start` on into a new writer. The last array stays uncopied if it was.
    #[must_use]
    pub fn split_off(&mut self, start: usize) -> Self {
        let bytes = self.bytes.get(start..).unwrap_or_default().to_vec();
        self.bytes.truncate(start);
        Self { bytes, tail: self.tail.take() }
    }

    /// Clears the writer and frees all but `keep` bytes of its memory.
    pub fn reset(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
    }

    /// Returns the number of bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the allocated size in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes 0 or 1.
    pub fn bool(&mut self, bool: bool) {
        self.byte(u8::from(bool));
    }

    /// Writes a big-endian 16-bit number.
    pub fn short(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Writes a big-endian 32-bit number.
    pub fn int(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Writes a big-endian 64-bit number.
    pub fn long(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Writes a number in groups of seven bits, the lowest first.
    #[inline]
    pub fn vint(&mut self, number: u32) {
        self.vlong(number.into());
    }

    /// Writes a number in groups of seven bits, the lowest first.
    #[inline]
    pub fn vlong(&mut self, mut number: u64) {
        while number > 0x7F {
            self.bytes.push(low_seven(number) | 0x80);
            number >>= 7;
        }
        self.bytes.push(low_seven(number));
    }

    /// Writes a signed number in zigzag form.
    pub fn signed_vint(&mut self, number: i32) {
        self.vint(((number << 1) ^ (number >> 31)).cast_unsigned());
    }

    /// Writes a length and the bytes.
    #[inline]
    pub fn array(&mut self, bytes: &[u8]) {
        self.vlong(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes a length and the text in UTF-8.
    pub fn text(&mut self, text: &str) {
        self.array(text.as_bytes());
    }

    /// Writes a length and the bytes, or a length of -1 for none.
    pub fn optional_array(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.signed_vint(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                self.bytes.extend_from_slice(bytes);
            }
            None => self.signed_vint(-1),
        }
    }

    /// Writes bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes bytes without a length. A large vector is taken over instead of copied if the writer
    /// is empty.
    pub fn append(&mut self, bytes: Vec<u8>) {
        if self.bytes.is_empty() && bytes.len() > self.bytes.capacity() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Writes the length and the bytes of the last array of a message. [`Writer::seal`] copies the
    /// bytes later, when the caller no longer holds a lock.
    pub fn last_array(&mut self, bytes: &Arc<[u8]>) {
        self.vlong(bytes.len() as u64);
        self.tail = Some(Arc::clone(bytes));
    }

    /// Completes a message by copying its last array.
    #[inline]
    pub fn seal(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.bytes.extend_from_slice(&tail);
        }
    }
}

#[inline]
fn low_seven(number: u64) -> u8 {
    (number & 0x7F) as u8
}

#[cfg(test)]
mod tests {
    //! Large values are copied late, or not at all.

    use super::*;

    #[test]
    fn large_bytes_become_the_writers_own() {
        let mut writer = Writer::default();
        let bytes = vec![7; 100];
        let place = bytes.as_ptr();
        writer.append(bytes);
        assert_eq!((writer.bytes().as_ptr(), writer.len()), (place, 100));
        writer.append(vec![8; 100]);
        assert_eq!((writer.len(), writer.bytes().last()), (200, Some(&8)));
        writer.reset(1_000);
        writer.append(vec![9]);
        assert_eq!(writer.bytes(), [9]);
        assert!(writer.capacity() >= 200, "what there is already is used");
    }

    #[test]
    fn a_message_is_split_off_without_a_copy_of_its_last_array() {
        let mut writer = Writer::default();
        writer.byte(1);
        let start = writer.len();
        writer.byte(2);
        let value: Arc<[u8]> = [7; 3].into();
        writer.last_array(&value);
        assert_eq!(writer.unsealed(), 3);
        let message = writer.split_off(start);
        assert_eq!((writer.unsealed(), message.unsealed()), (0, 3));
        assert_eq!(Arc::strong_count(&value), 2);
        writer.seal();
        assert_eq!(writer.bytes(), [1]);
        assert_eq!(message.into_bytes(), [2, 3, 7, 7, 7]);
    }
}
