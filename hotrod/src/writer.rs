//! Bytes in the order of the wire.

use std::sync::Arc;

/// Takes messages in, one behind the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// The last array of a message, if it is large and need not be copied yet.
    tail: Option<Arc<[u8]>>,
}

impl Writer {
    /// What was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, for itself.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.seal();
        self.bytes
    }

    /// Takes back everything from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.tail = None;
    }

    /// Forgets what was written, and all but `keep` bytes of the memory for it.
    pub fn reset(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
    }

    /// Number of bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// 0 or 1.
    pub fn bool(&mut self, bool: bool) {
        self.byte(u8::from(bool));
    }

    /// Two bytes, the higher first.
    pub fn short(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Four bytes, the highest first.
    pub fn int(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Eight bytes, the highest first.
    pub fn long(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    /// Seven bits a byte, the lowest first.
    #[inline]
    pub fn vint(&mut self, number: u32) {
        self.vlong(number.into());
    }

    /// Seven bits a byte, the lowest first.
    #[inline]
    pub fn vlong(&mut self, mut number: u64) {
        while number > 0x7F {
            self.bytes.push(low_seven(number) | 0x80);
            number >>= 7;
        }
        self.bytes.push(low_seven(number));
    }

    /// Zigzag form.
    pub fn signed_vint(&mut self, number: i32) {
        self.vint(((number << 1) ^ (number >> 31)).cast_unsigned());
    }

    /// Length and bytes.
    #[inline]
    pub fn array(&mut self, bytes: &[u8]) {
        self.vlong(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Length and UTF-8.
    pub fn text(&mut self, text: &str) {
        self.array(text.as_bytes());
    }

    /// Length and bytes, or length -1.
    pub fn optional_array(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.signed_vint(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                self.bytes.extend_from_slice(bytes);
            }
            None => self.signed_vint(-1),
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Length and bytes of the last array of a message. They are copied by [`Writer::seal`], where no
    /// lock is held any more.
    pub fn last_array(&mut self, bytes: &Arc<[u8]>) {
        self.vlong(bytes.len() as u64);
        self.tail = Some(Arc::clone(bytes));
    }

    /// Ends a message.
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
