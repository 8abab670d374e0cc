//! Bytes of a server as they arrive, and the answers in them.
//!
//! Nothing says how long an answer is, so it is measured: read as what was asked of it, and handed out
//! once it is whole. Memory is taken for bytes that have arrived, never for announced ones.

use bytes::{Buf as _, Bytes, BytesMut};
use hotrod::{
    DecodeError, Intelligence, Limits, ProtocolVersion, RESPONSE_MAGIC, Reader, ResponseHeader,
    Resume, Status,
    op::{Operation, Request, Response as _},
};

use crate::error::AnswerError;

/// Answers shorter than this are copied, so that a few bytes do not keep a whole buffer alive.
const COPIED_BELOW: usize = 16 * 1024;

/// Reads the fields of an answer to see where it ends.
pub(crate) type Measure = fn(Status, ProtocolVersion, &mut Reader<'_>) -> Result<(), DecodeError>;

/// What is to be known of a message in order to read its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) opcode: u8,
    pub(crate) version: ProtocolVersion,
    pub(crate) intelligence: Intelligence,
    pub(crate) measure: Measure,
}

impl Expected {
    /// What answers a request of this kind.
    pub(crate) fn of<'r, R: Request<'r> + Operation>(
        version: ProtocolVersion,
        intelligence: Intelligence,
    ) -> Self {
        Self { opcode: R::RESPONSE, version, intelligence, measure: measure::<R> }
    }
}

/// Reads an answer to a request of this kind, and lets it go.
fn measure<'r, R: Request<'r>>(
    status: Status,
    version: ProtocolVersion,
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    R::Response::decode(status, version, reader).map(drop)
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) header: ResponseHeader,
    /// The fields behind the header.
    pub(crate) body: Bytes,
}

impl Answer {
    /// What the server says went wrong, if the answer is an error.
    pub(crate) fn text(&self) -> String {
        let text = Reader::new(&self.body, Limits::NONE).text("text of an error");
        text.unwrap_or_default().to_owned()
    }
}

/// An answer cannot be read, and with it all that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The message that it answers, if that is known.
    pub(crate) message_id: Option<u64>,
    pub(crate) error: AnswerError,
}

/// Takes bytes in as they arrive and gives whole answers out.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// Bytes that there must be before it is worth looking again.
    needed: usize,
    most: usize,
    /// A header that has been taken out of the buffer, and what is expected behind it.
    head: Option<(ResponseHeader, Option<Expected>)>,
    resume: Resume,
    #[cfg(test)]
    pub(crate) visited: u64,
}

impl Inbox {
    /// Takes answers of up to `most` bytes.
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

    /// Where bytes are to be appended. Nothing else may be done to it.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next answer, once it is whole. `expected` says what is known of a message. After an error the
    /// stream is lost.
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

    /// Takes the header out of the buffer, once it is whole.
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

/// Nothing in an answer is longer than the whole of it may be.
pub(crate) fn limits(most: usize) -> Limits {
    Limits { message: most, key: most, cache_name: most }
}

/// Header, what is expected behind it, and length. `message_id` is set as soon as it is known.
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
        // An error has an opcode of its own, but for one of AUTH, which is told by its status.
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
