//! Decodes fields in wire order.

use std::ops::ControlFlow;

use crate::{error::DecodeError, segments::SegmentSet};

/// Limits on the size of a request and its parts, in bytes. They apply to what clients send, not to
/// imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole message.
    pub message: usize,
    /// A key.
    pub key: usize,
    /// A cache name.
    pub cache_name: usize,
}

impl Limits {
    /// No limits: for the responses of a server that this process chose to connect to.
    pub const NONE: Self = Self { message: usize::MAX, key: usize::MAX, cache_name: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 10_000_000, key: 64 * 1024, cache_name: 255 }
    }
}

/// How far the repeated elements of a message were read before its bytes ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    at: usize,
    left: u64,
}

/// Decodes a message from its first byte on. Nothing is copied: results borrow from the bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    resume: Resume,
    visited: u64,
}

impl<'a> Reader<'a> {
    /// Creates a reader of `bytes`, which begin with a message.
    #[must_use]
    pub fn new(bytes: &'a [u8], limits: Limits) -> Self {
        Self::resumed(bytes, limits, Resume::default())
    }

    /// As [`Reader::new`], but continues where an earlier reader of the same message stopped.
    #[must_use]
    pub fn resumed(bytes: &'a [u8], limits: Limits, resume: Resume) -> Self {
        Self { bytes, at: 0, limits, resume, visited: 0 }
    }

    /// Returns the number of bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns the bytes read since the position `start`.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Returns where the next reader of this message can continue.
    #[must_use]
    pub fn resume(&self) -> Resume {
        self.resume
    }

    /// Returns how many bytes this reader visited, including those that it skipped as part of an
    /// array.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.visited
    }

    /// Reads one byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                self.visited += 1;
                Ok(*byte)
            }
            None => Err(DecodeError::Incomplete { missing: 1 }),
        }
    }

    /// Reads one byte; anything but 0 is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.byte()? != 0)
    }

    /// Reads a big-endian 16-bit number.
    pub fn short(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// Reads a big-endian 32-bit number.
    pub fn int(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// Reads a big-endian 64-bit number.
    pub fn long(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.fixed()?))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        let Some(fixed) = bytes.first_chunk() else {
            return Err(DecodeError::Incomplete { missing: N - bytes.len() });
        };
        self.at += N;
        self.visited += N as u64;
        Ok(*fixed)
    }

    /// Reads a number of up to 32 bits, in groups of seven, the lowest first.
    #[inline]
    pub fn vint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        const MOST: usize = 5;
        let number = self.varying(field, MOST)?;
        u32::try_from(number).map_err(|_too_large| DecodeError::Overlong { field, most: MOST })
    }

    /// Reads a number of up to 64 bits, in groups of seven, the lowest first. A negative one takes
    /// ten bytes.
    #[inline]
    pub fn vlong(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.varying(field, 10)
    }

    #[inline]
    fn varying(&mut self, field: &'static str, most: usize) -> Result<u64, DecodeError> {
        let first = self.byte()?;
        if first & 0x80 == 0 {
            return Ok(first.into());
        }
        let mut number = u64::from(first & 0x7F);
        for index in 1..most {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            let shift = 7 * u32::try_from(index).unwrap_or(0);
            if (part << shift) >> shift != part {
                return Err(DecodeError::Overlong { field, most });
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Overlong { field, most })
    }

    /// Reads a signed number in zigzag form.
    pub fn signed_vint(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        let number = self.vint(field)?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub fn array(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.vint(field)?;
        self.exactly(field, len, self.limits.message)
    }

    /// Reads a key: a length and that many bytes.
    #[inline]
    pub fn key(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.vint("key")?;
        self.exactly("key", len, self.limits.key)
    }

    /// Reads a text: a length and that many bytes of UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let len = self.vint(field)?;
        self.utf8(field, len, self.limits.message)
    }

    /// Reads the name of a cache: a length and that many bytes of UTF-8.
    #[inline]
    pub fn cache_name(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.vint("cache name")?;
        self.utf8("cache name", len, self.limits.cache_name)
    }

    /// Reads a length and that many bytes; a length of -1 means none.
    pub fn optional_array(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, DecodeError> {
        self.optional(field, self.limits.message)
    }

    /// Reads a set of segments: a length and at most 8 KiB, enough for 65,536 segments.
    pub fn segments(&mut self, field: &'static str) -> Result<SegmentSet, DecodeError> {
        let len = self.vint(field)?;
        self.exactly(field, len, SegmentSet::MAX_BYTES).map(SegmentSet::from_bytes)
    }

    /// Reads a set of segments; a length of -1 means none.
    pub fn optional_segments(
        &mut self,
        field: &'static str,
    ) -> Result<Option<SegmentSet>, DecodeError> {
        Ok(self.optional(field, SegmentSet::MAX_BYTES)?.map(SegmentSet::from_bytes))
    }

    fn optional(
        &mut self,
        field: &'static str,
        most: usize,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.signed_vint(field)? {
            -1 => Ok(None),
            len => {
                let illegal = DecodeError::Illegal { field, value: len.unsigned_abs().into() };
                let len = u32::try_from(len).map_err(|_negative| illegal)?;
                self.exactly(field, len, most).map(Some)
            }
        }
    }

    /// Reads a text; a length of -1 means none.
    pub fn optional_text(&mut self, field: &'static str) -> Result<Option<&'a str>, DecodeError> {
        let array = self.optional_array(field)?;
        array.map(|bytes| text(field, bytes)).transpose()
    }

    #[inline]
    fn utf8(&mut self, field: &'static str, len: u32, most: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.exactly(field, len, most)?;
        text(field, bytes)
    }

    #[inline]
    fn exactly(
        &mut self,
        field: &'static str,
        len: u32,
        most: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let len = len as usize;
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        match bytes.get(..len) {
            Some(array) if len <= most => {
                self.at += len;
                self.visited += len as u64;
                Ok(array)
            }
            // Refuse an excessive length before waiting for that many bytes.
            _ if len > most => Err(DecodeError::TooLong { field, len: len as u64, most }),
            _ if self.at.saturating_add(len) > self.limits.message => {
                let (len, most) = (self.at.saturating_add(len) as u64, self.limits.message);
                Err(DecodeError::TooLong { field: "request", len, most })
            }
            _ => Err(DecodeError::Incomplete { missing: len - bytes.len() }),
        }
    }

    /// Reads at most `most` elements, until one says that it is the last. If the bytes run out, the
    /// next reader of this message continues at the first incomplete element.
    pub(crate) fn elements(
        &mut self,
        most: u64,
        mut element: impl FnMut(&mut Self) -> Result<ControlFlow<()>, DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut left = most;
        if self.resume.at > self.at {
            (self.at, left) = (self.resume.at, self.resume.left);
        }
        while left > 0 {
            let whole = self.at;
            match element(self) {
                Ok(ControlFlow::Continue(())) => left -= 1,
                Ok(ControlFlow::Break(())) => return Ok(()),
                Err(error) => {
                    self.resume = Resume { at: whole, left };
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads `count` elements of as many arrays as `fields` names. If the bytes run out, the next
    /// reader of this message continues at the first incomplete array.
    pub fn arrays(
        &mut self,
        count: u32,
        fields: &'static [&'static str],
    ) -> Result<Arrays<'a>, DecodeError> {
        let (start, width) = (self.at, fields.len() as u64);
        let all = u64::from(count) * width;
        let mut left = all;
        if self.resume.at > start {
            (self.at, left) = (self.resume.at, self.resume.left);
        }
        while left > 0 {
            let whole = self.at;
            let index = usize::try_from((all - left) % width).unwrap_or(0);
            let field = fields.get(index).copied().unwrap_or("array");
            let array = if field == "key" { self.key() } else { self.array(field) };
            if let Err(error) = array {
                self.resume = Resume { at: whole, left };
                self.at = whole;
                return Err(match error {
                    // Each of the remaining arrays takes at least one byte.
                    DecodeError::Incomplete { missing } => {
                        let rest = usize::try_from(left - 1).unwrap_or(usize::MAX);
                        DecodeError::Incomplete { missing: missing.saturating_add(rest) }
                    }
                    other => other,
                });
            }
            left -= 1;
        }
        let bytes = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(Arrays { bytes, at: 0, left: all })
    }
}

fn text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
    str::from_utf8(bytes).map_err(|_not_utf8| DecodeError::NotUtf8 { field })
}

/// Consecutive arrays in a message, known to be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrays<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u64,
}

impl<'a> Arrays<'a> {
    /// Returns how many arrays are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Returns the arrays in pairs, such as keys with their values.
    pub fn pairs(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut arrays = self;
        std::iter::from_fn(move || Some((arrays.next()?, arrays.next()?)))
    }
}

impl<'a> Iterator for Arrays<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes.get(self.at..)?, Limits::NONE);
        let array = reader.array("array").ok()?;
        self.at += reader.position();
        Some(array)
    }
}

#[cfg(test)]
mod tests;
