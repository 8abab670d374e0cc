//! Iterates over the entries of some segments and discards them: one connection's part of an
//! iteration.

use hotrod::{
    DecodeError, Limits, Reader, ResponseHeader, SegmentSet, Status, Writer,
    op::{
        BatchEntry, BatchHead, IterationEnd, IterationNext, IterationStart, IterationStarted,
        Operation as _, Response as _,
    },
};
use tokio::time::Instant;

use crate::{
    conversation::Talk,
    error::WrongAnswer,
    plan::Kind,
    record::Recorder,
    wire::{HotRod, whole},
};

/// Requests one batch after the other, and counts entries as their bytes arrive.
pub(crate) struct Walk {
    wire: HotRod,
    segments: Option<SegmentSet>,
    batch: u32,
    step: Step,
    /// Id of the iteration on the server.
    id: String,
    /// Segments whose entries have all arrived.
    finished: SegmentSet,
    /// Number of requests so far; also the id of the last one.
    asked: u64,
    sent: Instant,
    out: Writer,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask(Request),
    Hear(Request),
    /// The rest of a batch.
    Entries {
        left: u32,
        projection: u32,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Start,
    Next,
    End,
}

impl Walk {
    /// Creates an iteration over these segments; `None` means all.
    pub(crate) fn new(
        wire: HotRod,
        segments: Option<SegmentSet>,
        batch: u32,
        now: Instant,
    ) -> Self {
        Self {
            wire,
            segments,
            batch,
            step: Step::Ask(Request::Start),
            id: String::new(),
            finished: SegmentSet::default(),
            asked: 0,
            sent: now,
            out: Writer::default(),
        }
    }

    /// Decodes the header of an answer and, of a batch, the fields before its entries.
    fn head(
        &mut self,
        request: Request,
        bytes: &[u8],
        recorder: &mut Recorder,
    ) -> Result<Option<usize>, WrongAnswer> {
        let mut reader = Reader::new(bytes, Limits::NONE);
        let Some(header) = whole(self.wire.header(&mut reader))? else { return Ok(None) };
        if header.status.is_error() {
            let Some(text) = whole(reader.text("error"))? else { return Ok(None) };
            recorder.refuse(text);
            let text = text.lines().next().unwrap_or_default();
            return Err(WrongAnswer::Iteration(format!("the server says: {text}")));
        }
        self.expect(request, &header)?;
        self.step = match request {
            Request::Start => {
                let started =
                    IterationStarted::decode(header.status, self.wire.version, &mut reader);
                let Some(started) = whole(started)? else { return Ok(None) };
                started.id.clone_into(&mut self.id);
                Step::Ask(Request::Next)
            }
            Request::Next => {
                let head = BatchHead::decode(self.wire.version, &mut reader);
                let Some(head) = whole(head)? else { return Ok(None) };
                head.finished.iter().for_each(|segment| self.finished.insert(segment));
                match head.entries {
                    0 => {
                        self.check_finished()?;
                        Step::Ask(Request::End)
                    }
                    left => Step::Entries { left, projection: head.projection },
                }
            }
            Request::End => Step::Over,
        };
        Ok(Some(reader.position()))
    }

    fn expect(&self, request: Request, header: &ResponseHeader) -> Result<(), WrongAnswer> {
        if header.message_id != self.asked {
            return Err(WrongAnswer::Unasked { id: header.message_id });
        }
        let opcode = match request {
            Request::Start => IterationStart::RESPONSE,
            Request::Next => IterationNext::RESPONSE,
            Request::End => IterationEnd::RESPONSE,
        };
        if header.opcode != opcode {
            return Err(DecodeError::UnknownOperation { opcode: header.opcode }.into());
        }
        if request != Request::End && header.status != Status::Success {
            let text = "the server does not know its id".into();
            return Err(WrongAnswer::Iteration(text));
        }
        Ok(())
    }

    fn check_finished(&self) -> Result<(), WrongAnswer> {
        let Some(segments) = &self.segments else { return Ok(()) };
        let missing = segments.iter().filter(|segment| !self.finished.contains(*segment)).count();
        if missing == 0 {
            return Ok(());
        }
        let all = segments.iter().count();
        Err(WrongAnswer::Iteration(format!("{missing} of {all} segments were not finished")))
    }

    /// Decodes one entry.
    fn entry(&mut self, projection: u32, bytes: &[u8]) -> Result<Option<usize>, WrongAnswer> {
        let mut reader = Reader::new(bytes, Limits::NONE);
        let entry = BatchEntry::decode(self.wire.version, projection, &mut reader);
        let Some(entry) = whole(entry)? else { return Ok(None) };
        if entry.metadata.is_none() {
            return Err(WrongAnswer::Iteration("an entry came without its metadata".into()));
        }
        Ok(Some(reader.position()))
    }
}

impl Talk for Walk {
    fn ask(&mut self) -> &[u8] {
        self.out.truncate(0);
        let Step::Ask(request) = self.step else { return &[] };
        self.asked += 1;
        let (wire, id) = (&self.wire, self.id.as_str());
        match request {
            Request::Start => {
                let start = IterationStart {
                    segments: self.segments.clone(),
                    converter: None,
                    parameters: Vec::new(),
                    batch: self.batch,
                    with_metadata: true,
                };
                wire.request(self.asked, &start, &mut self.out);
            }
            Request::Next => wire.request(self.asked, &IterationNext { id }, &mut self.out),
            Request::End => wire.request(self.asked, &IterationEnd { id }, &mut self.out),
        }
        self.step = Step::Hear(request);
        self.out.bytes()
    }

    fn unsent(&self, from: usize) -> &[u8] {
        self.out.bytes().get(from..).unwrap_or_default()
    }

    fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    fn hear(
        &mut self,
        bytes: &[u8],
        now: Instant,
        recorder: &mut Recorder,
    ) -> Result<usize, WrongAnswer> {
        let mut heard = 0;
        loop {
            let rest = bytes.get(heard..).unwrap_or_default();
            match self.step {
                Step::Hear(request) => {
                    let Some(len) = self.head(request, rest, recorder)? else { return Ok(heard) };
                    heard += len;
                }
                Step::Entries { left: 0, .. } => {
                    recorder.latency(Kind::Next, now.duration_since(self.sent));
                    self.step = Step::Ask(Request::Next);
                }
                Step::Entries { left, projection } => {
                    let Some(len) = self.entry(projection, rest)? else { return Ok(heard) };
                    heard += len;
                    recorder.done += 1;
                    self.step = Step::Entries { left: left - 1, projection };
                }
                Step::Ask(_) | Step::Over if rest.is_empty() => return Ok(heard),
                Step::Ask(_) | Step::Over => {
                    return Err(WrongAnswer::Iteration("more came than was asked for".into()));
                }
            }
        }
    }

    fn stop(&mut self) {
        self.step = Step::Over;
    }

    fn can_ask(&self) -> bool {
        matches!(self.step, Step::Ask(_))
    }

    fn is_over(&self) -> bool {
        self.step == Step::Over
    }
}

#[cfg(test)]
mod tests;
