//! Splits a stream of bytes into requests.

use crate::{
    error::DecodeError,
    header::{REQUEST_MAGIC, RequestHeader},
    op::AnyRequest,
    reader::{Limits, Reader, Resume},
};

/// Buffers bytes as they arrive and decodes the requests in them.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Offset of the next request in `buffer`.
    start: usize,
    /// Least number of bytes from `start` on before another attempt to decode can succeed.
    needed: usize,
    resume: Resume,
    limits: Limits,
    visited: u64,
}

/// A decoded request and its header, both borrowed from the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Header of the request.
    pub header: RequestHeader<'a>,
    /// Fields after the header.
    pub request: AnyRequest<'a>,
    /// The whole message, header included.
    pub bytes: &'a [u8],
}

/// Error for bytes that cannot be decoded as a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Message id of the request, or 0 if it could not be read.
    pub message_id: u64,
    /// What is wrong.
    pub error: DecodeError,
}

impl Decoder {
    /// Creates a decoder that refuses requests beyond `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Appends bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer().extend_from_slice(bytes);
    }

    /// Returns the buffer to append bytes to; callers must not change it in any other way.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        &mut self.buffer
    }

    /// Decodes the next request, or returns `None` while it is incomplete. After an error the
    /// stream is unusable, because the start of the next request is unknown.
    ///
    /// # Errors
    ///
    /// If the bytes are not a known request within the limits.
    #[inline]
    pub fn next_request(&mut self) -> Result<Option<Decoded<'_>>, Refused> {
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        if bytes.is_empty() || bytes.len() < self.needed {
            return Ok(None);
        }
        let mut reader = Reader::resumed(bytes, self.limits, self.resume);
        let decoded = RequestHeader::decode(&mut reader).and_then(|header| {
            let request = AnyRequest::decode(&header, &mut reader)?;
            Ok((header, request))
        });
        self.visited += reader.visited();
        match decoded {
            Ok((header, request)) => {
                let len = reader.position();
                (self.needed, self.resume) = (0, Resume::default());
                self.start += len;
                Ok(Some(Decoded { header, request, bytes: bytes.get(..len).unwrap_or_default() }))
            }
            Err(DecodeError::Incomplete { missing }) => {
                self.needed = bytes.len().saturating_add(missing);
                self.resume = reader.resume();
                if self.needed > self.limits.message {
                    let (len, most) = (self.needed as u64, self.limits.message);
                    let error = DecodeError::TooLong { field: "request", len, most };
                    return Err(Refused { message_id: message_id(bytes), error });
                }
                Ok(None)
            }
            Err(error) => Err(Refused { message_id: message_id(bytes), error }),
        }
    }

    /// Returns the number of buffered bytes that belong to an incomplete request.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Returns the allocated size of the buffer in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Returns the buffer size in bytes that the incomplete request will need, as far as its length
    /// is known, and at least enough for the buffered bytes and `more`.
    #[must_use]
    pub fn wanted(&self, more: usize) -> usize {
        self.needed.max(self.waiting().saturating_add(more)).max(self.buffer.capacity())
    }

    /// Returns the buffer with room for at least `more` bytes to append. It grows with the bytes
    /// that have arrived, and never beyond [`wanted`](Self::wanted).
    pub fn room(&mut self, more: usize) -> &mut Vec<u8> {
        let wanted = self.wanted(more);
        let buffer = self.buffer();
        if buffer.capacity() - buffer.len() < more {
            let doubled = buffer.capacity().saturating_mul(2).min(wanted);
            buffer.reserve_exact(doubled.saturating_sub(buffer.len()).max(more));
        }
        buffer
    }

    /// Frees all but `keep` bytes of the buffer, unless part of a request is in it.
    pub fn shrink(&mut self, keep: usize) {
        if self.waiting() == 0 {
            (self.start, self.needed) = (0, 0);
            self.buffer.clear();
            self.buffer.shrink_to(keep);
        }
    }

    /// Returns how many bytes were read in total, counting each byte again whenever it was read
    /// again.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.visited
    }
}

/// Returns the message id of a refused request, or 0 if it cannot be read.
fn message_id(request: &[u8]) -> u64 {
    match request.split_first() {
        Some((&REQUEST_MAGIC, rest)) => {
            Reader::new(rest, Limits::NONE).vlong("message id").unwrap_or(0)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
