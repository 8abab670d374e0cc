//! Splits a server's bytes into responses.
//!
//! A response does not say how long it is: it is decoded as the response to its request, and
//! returned once it is complete. Memory grows with the bytes that have arrived, never with
//! announced lengths.

use bytes::{Buf as _, Bytes, BytesMut};
use hotrod::{
    DecodeError, Intelligence, Limits, ProtocolVersion, RESPONSE_MAGIC, Reader, ResponseHeader,
    Resume, Status,
    op::{Operation, Request, Response as _},
};

use crate::error::AnswerError;

/// Responses shorter than this are copied, so that a few bytes do not keep a whole buffer alive.
const COPIED_BELOW: usize = 16 * 1024;

/// Decodes the fields of a response to find its end.
pub(crate) type Measure = fn(Status, ProtocolVersion, &mut Reader<'_>) -> Result<(), DecodeError>;

/// What is needed to decode the response to a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) opcode: u8,
    pub(crate) version: ProtocolVersion,
    pub(crate) intelligence: Intelligence,
    pub(crate) measure: Measure,
}

impl Expected {
    /// Describes the response to a request of this kind.
    pub(crate) fn of<'r, R: Request<'r> + Operation>(
        version: ProtocolVersion,
        intelligence: Intelligence,
    ) -> Self {
        Self { opcode: R::RESPONSE, version, intelligence, measure: measure::<R> }
    }
}

/// Decodes a response to a request of this kind, and discards it.
fn measure<'r, R: Request<'r>>(
    status: Status,
    version: ProtocolVersion,
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    R::Response::decode(status, version, reader).map(drop)
}

/// A complete response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) header: ResponseHeader,
    /// The fields after the header.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the server's error message, if the response is an error.
    pub(crate) fn text(&self) -> String {
        let text = Reader::new(&self.body, Limits::NONE).text("text of an error");
        text.unwrap_or_default().to_owned()
    }
}

/// Error for a response that cannot be decoded; the stream is unusable after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The message that it responds to, if known.
    pub(crate) message_id: Option<u64>,
    pub(crate) error: AnswerError,
}

/// Buffers bytes as they arrive and decodes the responses in them.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// Least number of bytes before another attempt to decode can succeed.
    needed: usize,
    most: usize,
    /// A header that was removed from the buffer, and what is expected after it.
    head: Option<(ResponseHeader, Option<Expected>)>,
    resume: Resume,
    #[cfg(test)]
    pub(crate) visited: u64,
}

impl Inbox {
    /// Creates an inbox for responses of up to `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            needed: 0,
            most,
            head: None,
            resume: Resume::default(),
            #[cfg(test)]
            visited: 0,
        }
    }

    /// Returns the buffer to append bytes to; callers must not change it in any other way.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Decodes the next response, or returns `None` while it is incomplete. `expected` describes
    /// the response to a message. After an error the stream is unusable.
    pub(crate) fn next(
        &mut self,
        expected: impl FnOnce(u64) -> Option<Expected>,
    ) -> Result<Option<Answer>, Unreadable> {
        if self.buffer.is_empty() && self.head.is_none() || self.buffer.len() < self.needed {
            return Ok(None);
        }
        if self.head.is_none() && !self.read_head(expected)? {
            return Ok(None);
        }
        let Some((header, expected)) = &self.head else { return Ok(None) };
        let mut reader = Reader::resumed(&self.buffer, limits(self.most), self.resume);
        let measured = match expected {
            Some(expected) if !header.status.is_error() => {
                (expected.measure)(header.status, expected.version, &mut reader)
            }
            _ => reader.text("text of an error").map(drop),
        };
        let (len, resume) = (reader.position(), reader.resume());
        #[cfg(test)]
        {
            self.visited += reader.visited();
        }
        let message_id = Some(header.message_id);
        match measured {
            Ok(()) => {}
            Err(DecodeError::Incomplete { missing }) => {
                self.resume = resume;
                return self.wait_for(missing, message_id).map(|()| None);
            }
            Err(error) => return Err(Unreadable { message_id, error: error.into() }),
        }
        (self.needed, self.resume) = (0, Resume::default());
        let body = self.take(len);
        match self.head.take() {
            Some((header, Some(_))) => Ok(Some(Answer { header, body })),
            Some((header, None)) => {
                let status = header.status;
                let text = Answer { header, body }.text();
                let error = AnswerError::Complaint { status, text };
                Err(Unreadable { message_id: None, error })
            }
            None => Ok(None),
        }
    }

    /// Removes the header from the buffer, once it is complete.
    fn read_head(
        &mut self,
        expected: impl FnOnce(u64) -> Option<Expected>,
    ) -> Result<bool, Unreadable> {
        let mut message_id = None;
        let head = decode_head(&self.buffer, self.most, &mut message_id, expected);
        match head {
            Ok((header, expected, len)) => {
                #[cfg(test)]
                {
                    self.visited += len as u64;
                }
                self.buffer.advance(len);
                self.needed = 0;
                self.head = Some((header, expected));
                Ok(true)
            }
            Err(AnswerError::Decode(DecodeError::Incomplete { missing })) => {
                self.wait_for(missing, message_id).map(|()| false)
            }
            Err(error) => Err(Unreadable { message_id, error }),
        }
    }

    fn wait_for(&mut self, missing: usize, message_id: Option<u64>) -> Result<(), Unreadable> {
        self.needed = self.buffer.len().saturating_add(missing);
        if self.needed > self.most {
            let error = AnswerError::TooLong { len: self.needed, most: self.most };
            return Err(Unreadable { message_id, error });
        }
        Ok(())
    }

    fn take(&mut self, len: usize) -> Bytes {
        if len >= COPIED_BELOW {
            return self.buffer.split_to(len).freeze();
        }
        let body = self.buffer.get(..len).map(Bytes::copy_from_slice);
        self.buffer.advance(len);
        body.unwrap_or_default()
    }
}

/// Limits every part of a response by the limit for the whole.
pub(crate) fn limits(most: usize) -> Limits {
    Limits { message: most, key: most, cache_name: most }
}

/// Decodes a header. Returns it with what is expected after it and its length, and sets
/// `message_id` as soon as it is known.
fn decode_head(
    bytes: &[u8],
    most: usize,
    message_id: &mut Option<u64>,
    expected: impl FnOnce(u64) -> Option<Expected>,
) -> Result<(ResponseHeader, Option<Expected>, usize), AnswerError> {
    let mut reader = Reader::new(bytes, limits(most));
    let actual = reader.byte()?;
    if actual != RESPONSE_MAGIC {
        return Err(DecodeError::Magic { expected: RESPONSE_MAGIC, actual }.into());
    }
    let id = reader.vlong("message id")?;
    let expected = expected(id);
    *message_id = expected.is_some().then_some(id);

    let mut reader = Reader::new(bytes, limits(most));
    let intelligence = expected.map_or(Intelligence::Basic, |expected| expected.intelligence);
    let header = ResponseHeader::decode(&mut reader, intelligence)?;
    match expected {
        // Errors have an opcode of their own, except those of AUTH, which only their status
        // reveals.
        _ if header.status.is_error() => {}
        None => return Err(AnswerError::Unasked { message_id: id }),
        Some(expected) if expected.opcode != header.opcode => {
            return Err(AnswerError::Opcode { expected: expected.opcode, actual: header.opcode });
        }
        Some(_) => {}
    }
    Ok((header, expected, reader.position()))
}

#[cfg(test)]
mod tests;
