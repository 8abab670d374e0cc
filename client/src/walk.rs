//! Decodes the responses of an iteration, entry by entry as their bytes arrive.
//!
//! Batches are never kept: memory holds the incomplete entry and the bytes read beyond it.

use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use hotrod::{
    DecodeError, Intelligence, Metadata, ProtocolVersion, Reader, ResponseHeader, SegmentSet,
    Status,
    op::{BatchEntry, BatchHead, IterationNext, Operation as _},
};

use crate::{error::AnswerError, inbox::limits};

/// Bytes to wait for before decoding an incomplete entry again, if at least as many are still to
/// come.
const LOOK_AHEAD: usize = 1_024;

/// Fewest bytes of an entry: a metadata flag and two lengths.
const FEWEST: usize = 3;

/// An event of an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry. Its key and value share memory with neighbouring entries: copy what you keep for
    /// long.
    Entry {
        /// The key.
        key: Bytes,
        /// The value; empty if only keys were asked for.
        value: Bytes,
        /// Present if it was asked for and the protocol version supports it.
        metadata: Option<Metadata>,
    },
    /// The end of a batch: every entry of these segments has been returned.
    Finished(SegmentSet),
}

/// The next step of an iteration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Return this item.
    Item(Item),
    /// Ask for the next batch.
    Ask,
    /// Wait for more bytes.
    Wait,
    /// Everything was returned.
    End,
}

/// Why an iteration cannot continue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes are not a valid response.
    Unreadable(AnswerError),
    /// The server does not know the iteration.
    Invalid,
    /// The server reports a failure.
    Failed { status: Status, text: String },
}

/// State of an iteration.
#[derive(Debug)]
pub(crate) struct Walk {
    version: ProtocolVersion,
    /// Most entries in a batch, as requested.
    batch: u32,
    /// Most bytes in an entry.
    most: usize,
    state: State,
    /// Least number of bytes before another attempt to decode can succeed.
    needed: usize,
    #[cfg(test)]
    pub(crate) visited: u64,
}

#[derive(Debug)]
enum State {
    /// The next batch has not been requested.
    Idle,
    /// The next batch has been requested.
    Asked {
        message_id: u64,
    },
    /// Its entries are arriving.
    Entries {
        left: u32,
        finished: SegmentSet,
    },
    /// It is empty: there are no more entries.
    Last {
        finished: SegmentSet,
    },
    Ended,
}

impl Walk {
    pub(crate) fn new(version: ProtocolVersion, batch: u32, most: usize) -> Self {
        Self {
            version,
            batch,
            most,
            state: State::Idle,
            needed: 0,
            #[cfg(test)]
            visited: 0,
        }
    }

    /// Records that the next batch has been requested by this message.
    pub(crate) fn asked(&mut self, message_id: u64) {
        (self.state, self.needed) = (State::Asked { message_id }, 0);
    }

    /// Returns whether no response is pending.
    pub(crate) fn is_quiet(&self) -> bool {
        match self.state {
            State::Idle | State::Last { .. } | State::Ended => true,
            State::Asked { .. } | State::Entries { .. } => false,
        }
    }

    /// Returns the next step that the bytes allow, and removes the bytes that it consumed.
    pub(crate) fn next(&mut self, bytes: &mut BytesMut) -> Result<Step, Stop> {
        loop {
            match &mut self.state {
                State::Idle => return Ok(Step::Ask),
                State::Ended => return Ok(Step::End),
                State::Entries { left: 0, finished } => {
                    let finished = std::mem::take(finished);
                    self.state = State::Idle;
                    return Ok(Step::Item(Item::Finished(finished)));
                }
                State::Last { finished } => {
                    let finished = std::mem::take(finished);
                    self.state = State::Ended;
                    return Ok(Step::Item(Item::Finished(finished)));
                }
                State::Asked { .. } | State::Entries { .. } if bytes.len() < self.needed => {
                    return Ok(Step::Wait);
                }
                State::Asked { message_id } => {
                    let message_id = *message_id;
                    if !self.take_head(message_id, bytes)? {
                        return Ok(Step::Wait);
                    }
                }
                State::Entries { left, .. } => {
                    let others = *left - 1;
                    let Some(item) = self.take_entry(others, bytes)? else { return Ok(Step::Wait) };
                    if let State::Entries { left, .. } = &mut self.state {
                        *left = others;
                    }
                    return Ok(Step::Item(item));
                }
            }
        }
    }

    /// Decodes the header of a response, once it is complete.
    fn take_head(&mut self, message_id: u64, bytes: &mut BytesMut) -> Result<bool, Stop> {
        let mut reader = Reader::new(bytes, limits(self.most));
        let head = decode_head(&mut reader, self.version, self.batch, message_id);
        let len = reader.position();
        #[cfg(test)]
        {
            self.visited += reader.visited();
        }
        match head {
            Ok(BatchHead { finished, entries, .. }) => {
                bytes.advance(len);
                self.needed = 0;
                self.state = match entries {
                    0 => State::Last { finished },
                    left => State::Entries { left, finished },
                };
                Ok(true)
            }
            Err(Stop::Unreadable(AnswerError::Decode(DecodeError::Incomplete { missing }))) => {
                self.wait_for(bytes.len(), missing).map(|()| false)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Decodes an entry, once it is complete; `others` more follow it in the batch.
    fn take_entry(&mut self, others: u32, bytes: &mut BytesMut) -> Result<Option<Item>, Stop> {
        let mut reader = Reader::new(bytes, limits(self.most));
        let entry = BatchEntry::decode(self.version, 1, &mut reader);
        let len = reader.position();
        #[cfg(test)]
        {
            self.visited += reader.visited();
        }
        match entry {
            Ok(BatchEntry { metadata, key, value }) => {
                let [key, value] = [key, value].map(|part| place(part, bytes));
                self.needed = 0;
                let entry = bytes.split_to(len).freeze();
                let [key, value] = [key, value].map(|place| entry.slice(place));
                Ok(Some(Item::Entry { key, value, metadata }))
            }
            Err(DecodeError::Incomplete { missing }) => {
                // The other entries of this batch are still to come, too.
                let others = (others as usize).saturating_mul(FEWEST);
                let ahead = missing.saturating_add(others).min(LOOK_AHEAD);
                self.wait_for(bytes.len(), missing.max(ahead)).map(|()| None)
            }
            Err(error) => Err(Stop::Unreadable(error.into())),
        }
    }

    fn wait_for(&mut self, len: usize, missing: usize) -> Result<(), Stop> {
        self.needed = len.saturating_add(missing);
        if self.needed > self.most.saturating_add(LOOK_AHEAD) {
            let error = AnswerError::TooLong { len: self.needed, most: self.most };
            return Err(Stop::Unreadable(error));
        }
        Ok(())
    }
}

/// Returns the range of `part` within `bytes`.
fn place(part: &[u8], bytes: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + part.len()
}

/// Decodes the header of the response to this message.
fn decode_head(
    reader: &mut Reader<'_>,
    version: ProtocolVersion,
    batch: u32,
    message_id: u64,
) -> Result<BatchHead, Stop> {
    let unreadable = |error: DecodeError| Stop::Unreadable(error.into());
    let header = ResponseHeader::decode(reader, Intelligence::Basic).map_err(unreadable)?;
    if header.status.is_error() {
        let text = reader.text("text of an error").map_err(unreadable)?.to_owned();
        return Err(Stop::Failed { status: header.status, text });
    }
    if header.message_id != message_id {
        let message_id = header.message_id;
        return Err(Stop::Unreadable(AnswerError::Unasked { message_id }));
    }
    if header.opcode != IterationNext::RESPONSE {
        let (expected, actual) = (IterationNext::RESPONSE, header.opcode);
        return Err(Stop::Unreadable(AnswerError::Opcode { expected, actual }));
    }
    let head = BatchHead::decode(version, reader).map_err(unreadable)?;
    if header.status == Status::InvalidIteration {
        return Err(Stop::Invalid);
    }
    // A batch without an end would be a response without an end.
    for (field, value, most) in
        [("number of entries", head.entries, batch), ("projection size", head.projection, 1)]
    {
        if value > most {
            return Err(unreadable(DecodeError::Illegal { field, value: value.into() }));
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests;
