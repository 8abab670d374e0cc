//! Bytes as they arrive, and the requests in them.

use crate::{
    error::DecodeError,
    header::{REQUEST_MAGIC, RequestHeader},
    op::AnyRequest,
    reader::{Limits, Reader, Resume},
};

/// Takes bytes in as they arrive and gives whole requests out.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next request begins.
    start: usize,
    /// Bytes from `start` on that there must be before it is worth looking again.
    needed: usize,
    resume: Resume,
    limits: Limits,
    visited: u64,
}

/// A request with its header, both borrowed from the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What it begins with.
    pub header: RequestHeader<'a>,
    /// What it asks.
    pub request: AnyRequest<'a>,
    /// The whole message.
    pub bytes: &'a [u8],
}

/// Bytes cannot be read as a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Message id of the request, 0 if it could not be read.
    pub message_id: u64,
    /// What is wrong.
    pub error: DecodeError,
}

impl Decoder {
    /// A decoder that refuses requests beyond `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer().extend_from_slice(bytes);
    }

    /// Where bytes are to be appended. Nothing else may be done to it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        &mut self.buffer
    }

    /// The next request, once it is whole. After an error the stream is lost: where the next request
    /// begins is not known.
    ///
    /// # Errors
    ///
    /// If the bytes are no request that is known and within the limits.
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

    /// Bytes that wait for the rest of their request.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Bytes of memory set aside.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes of memory that the request which is arriving takes in the end, as far as its length is known, and
    /// at least as many as hold `more` bytes beside those that wait.
    #[must_use]
    pub fn wanted(&self, more: usize) -> usize {
        self.needed.max(self.waiting().saturating_add(more)).max(self.buffer.capacity())
    }

    /// Where at least `more` bytes are to be appended. Its memory grows with the bytes that have arrived, and
    /// never beyond [`wanted`](Self::wanted).
    pub fn room(&mut self, more: usize) -> &mut Vec<u8> {
        let wanted = self.wanted(more);
        let buffer = self.buffer();
        if buffer.capacity() - buffer.len() < more {
            let doubled = buffer.capacity().saturating_mul(2).min(wanted);
            buffer.reserve_exact(doubled.saturating_sub(buffer.len()).max(more));
        }
        buffer
    }

    /// Gives back all memory but `keep` bytes, if nothing waits.
    pub fn shrink(&mut self, keep: usize) {
        if self.waiting() == 0 {
            (self.start, self.needed) = (0, 0);
            self.buffer.clear();
            self.buffer.shrink_to(keep);
        }
    }

    /// Bytes looked at so far, each as often as it was looked at.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.visited
    }
}

/// Message id of a request that is refused, 0 if it cannot be read.
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
