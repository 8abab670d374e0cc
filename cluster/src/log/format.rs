//! How the metadata file is laid out, and what its bytes mean.
//!
//! A decider: bytes in; records and an [`Ending`], or the byte at which the file is damaged, out. Every
//! byte is covered by a checksum, the lengths too, so that a damaged length cannot look like the end of
//! the file. The file is read in pieces: no length in it makes this take more than one record's memory.
//!
//! ```text
//! file    magic (8) · id of the file (8) · records it was created with (8) · checksum (4) · records
//! record  kind (4) · length of the body (4) · id of the file (8) · number (8) · instant in ms (8)
//!         · checksum of the body (4) · checksum of the 36 bytes before (4) · body · "end\n"
//! ```
//!
//! Start reading at [`Reader::next`].

use std::{
    fmt,
    io::{self, Read},
};

use store::Timestamp;

use crate::wire;

/// First bytes of a file: what it is, and the version of its layout.
const MAGIC: [u8; 8] = *b"GODWITM\x02";

/// First bytes of a file in the layout of earlier builds, without checksums of lengths and without marks.
const OLD_MAGIC: [u8; 8] = *b"GDWTMD\x00\x01";

/// Bytes before the first record.
const FILE_HEADER: usize = 28;

/// Bytes of a record before its body.
const HEADER: usize = 40;

/// Last bytes of a record. None of them is zero, so one damaged byte cannot make it look like a write that
/// was cut off and filled up with zeros.
const TRAILER: [u8; 4] = *b"end\n";

/// Bytes of the longest record. What follows the last whole record is a record that was cut off only if it
/// is not longer than this.
const LONGEST: usize = HEADER + wire::MOST_BYTES + TRAILER.len();

/// Bytes of a record of an old file before its body: its length and its checksum.
const OLD_HEADER: usize = 8;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command, as `wire` encodes it.
    Command,
    /// The closing mark of a server that stopped cleanly. Nothing follows it.
    Close,
}

/// What the headers of all records of a file share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(pub(super) u64);

/// The first bytes of a file that is created with `base` records.
fn file_header(id: FileId, base: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&id.0.to_le_bytes());
    bytes.extend_from_slice(&base.to_le_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The bytes of a record.
pub(super) fn record(id: FileId, number: u64, kind: Kind, at: Timestamp, body: &[u8]) -> Vec<u8> {
    let kind: u32 = match kind {
        Kind::Command => 1,
        Kind::Close => 2,
    };
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + body.len() + TRAILER.len());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&id.0.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&at.millis().to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&TRAILER);
    bytes
}

/// A file that is created with these commands, as `wire` encodes them.
pub(super) fn file(id: FileId, commands: &[Vec<u8>], at: Timestamp) -> Vec<u8> {
    let mut bytes = file_header(id, commands.len() as u64);
    for (number, body) in (0..).zip(commands) {
        bytes.extend(record(id, number, Kind::Command, at, body));
    }
    bytes
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A command.
    Command(Frame),
    /// Nothing.
    End(Ending),
}

/// A command of a file, still encoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where its record begins.
    pub(super) at: u64,
    /// Its place among all records of the file, from 0.
    pub(super) number: u64,
    /// When it was written; an old file does not say.
    pub(super) instant: Option<Timestamp>,
    /// The command.
    pub(super) body: Vec<u8>,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the closing mark.
    Closed {
        /// When it was written.
        at: Timestamp,
    },
    /// After a whole record. The server did not stop cleanly, or the file was cut at this very place.
    Open,
    /// With a record that was cut off while it was written. Nobody was told that it was stored.
    Torn {
        /// Where it begins.
        at: u64,
        /// Bytes of it, zeros included.
        bytes: u64,
    },
    /// After a whole record of an old file, which has no closing marks.
    Old,
}

impl fmt::Display for Ending {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { .. } => write!(to, "it ends with a closing mark"),
            Self::Open => write!(
                to,
                "it has no closing mark: the server that wrote it did not stop cleanly, or the file was cut short"
            ),
            Self::Torn { at, bytes } => write!(
                to,
                "its last {bytes} bytes, from byte {at} on, are a record that was cut off while it was written; \
                 nobody was told that it was stored, and it is left out"
            ),
            Self::Old => write!(to, "an earlier build wrote it, without a closing mark"),
        }
    }
}

/// A file cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The disk fails.
    Io(io::Error),
    /// The file begins like no metadata file that is known here.
    Foreign,
    /// A part of it is not as it was written.
    Damaged {
        /// The first byte of that part.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn damaged(at: u64, reason: impl Into<String>) -> ReadError {
    ReadError::Damaged { at, reason: reason.into() }
}

/// Reads a file record by record.
#[derive(Debug)]
pub(super) struct Reader<R> {
    window: Window<R>,
    layout: Layout,
    /// Number that the next record must have.
    number: u64,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    Current {
        /// `None` after damage to the file's header: the first readable record tells it.
        id: Option<FileId>,
        /// Records that the file was created with, all at once.
        base: u64,
    },
    Old,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a file.
    ///
    /// # Errors
    ///
    /// If there is no whole header. The second value reads on as well as possible.
    pub(super) fn open(source: R) -> (Self, Result<(), ReadError>) {
        let mut window = Window { source, bytes: Vec::new(), start: 0, at: 0, ended: false };
        let (layout, opened) = match header(&mut window) {
            Ok(layout) => (layout, Ok(())),
            Err((layout, error)) => (layout, Err(error)),
        };
        (Self { window, layout, number: 0 }, opened)
    }

    /// The next command, or the end of the file.
    ///
    /// # Errors
    ///
    /// If the file is damaged or cannot be read. [`Reader::recover`] goes on behind the damage.
    pub(super) fn next(&mut self) -> Result<Step, ReadError> {
        let step = match self.layout {
            Layout::Current { id, base } => self.current(id, base),
            Layout::Old => self.old(),
        }?;
        // A file may say any number.
        self.number = self.number.saturating_add(u64::from(matches!(step, Step::Command(_))));
        Ok(step)
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> u64 {
        self.window.at
    }

    fn current(&mut self, id: Option<FileId>, base: u64) -> Result<Step, ReadError> {
        let at = self.window.at;
        let bytes = self.window.peek(HEADER)?;
        if bytes.is_empty() && self.number < base {
            return Err(self.cut_short(base));
        }
        if bytes.is_empty() {
            return Ok(Step::End(Ending::Open));
        }
        if bytes.len() < HEADER {
            return self.torn(base, None);
        }
        let Some(header) = Header::decode(bytes) else {
            // Cut off within its header and filled up with zeros?
            let reason = "the header of a record is not as it was written";
            return self.torn(base, Some((HEADER - 1, reason)));
        };
        let kind = header.check(id, self.number).map_err(|reason| damaged(at, reason))?;
        let whole = header.whole();
        let bytes = self.window.peek(whole + 1)?;
        if bytes.len() < whole {
            return self.torn(base, None);
        }
        let Some(body) = header.body(bytes) else {
            let reason = "a record is not as it was written: its checksum does not match";
            // Cut off, although the file is already as long as the record would have made it?
            let last = bytes.len() == whole;
            let end_of_body = whole - TRAILER.len();
            return if last {
                self.torn(base, Some((end_of_body, reason)))
            } else {
                Err(damaged(at, reason))
            };
        };
        let frame =
            Frame { at, number: self.number, instant: Some(header.instant), body: body.into() };
        self.window.advance(whole);
        match kind {
            Kind::Command => Ok(Step::Command(frame)),
            Kind::Close => self.after_close(header.instant).map(Step::End),
        }
    }

    fn after_close(&mut self, instant: Timestamp) -> Result<Ending, ReadError> {
        let at = self.window.at;
        let bytes = self.window.peek(LONGEST + 1)?;
        if bytes.is_empty() {
            return Ok(Ending::Closed { at: instant });
        }
        if bytes.len() > LONGEST || bytes.iter().any(|byte| *byte != 0) {
            return Err(damaged(at, "there are bytes behind the closing mark"));
        }
        Ok(Ending::Torn { at, bytes: bytes.len() as u64 })
    }

    /// Ends the file with a record that was cut off. With `zeros`, only if the rest of the file is zeros
    /// from that byte of the record on; otherwise it is damaged for the reason given there.
    fn torn(&mut self, base: u64, zeros: Option<(usize, &'static str)>) -> Result<Step, ReadError> {
        let at = self.window.at;
        if self.number < base {
            let reason = zeros.map(|(_, reason)| damaged(at, reason));
            return Err(reason.unwrap_or_else(|| self.cut_short(base)));
        }
        let bytes = self.window.peek(LONGEST + 1)?;
        if let Some((from, reason)) = zeros {
            let rest = bytes.get(from..).unwrap_or_default();
            let zeros = !rest.is_empty() && rest.iter().all(|byte| *byte == 0);
            if !zeros || bytes.len() > LONGEST {
                return Err(damaged(at, reason));
            }
        }
        Ok(Step::End(Ending::Torn { at, bytes: bytes.len() as u64 }))
    }

    fn cut_short(&self, base: u64) -> ReadError {
        let whole = self.number;
        let reason =
            format!("it was created with {base} records, and only {whole} are left of them");
        damaged(self.window.at, reason)
    }

    /// A record of an old file. Its length has no checksum, so whatever is not a whole record is damage.
    fn old(&mut self) -> Result<Step, ReadError> {
        let at = self.window.at;
        let bytes = self.window.peek(OLD_HEADER)?;
        if bytes.is_empty() {
            return Ok(Step::End(Ending::Old));
        }
        let wrong = || damaged(at, "it is neither a whole record nor the end of the file");
        let (len, checksum) = old_header(bytes).ok_or_else(wrong)?;
        let bytes = self.window.peek(OLD_HEADER + len)?;
        let body = bytes.get(OLD_HEADER..).filter(|body| body.len() == len).ok_or_else(wrong)?;
        if crc32fast::hash(body) != checksum {
            return Err(damaged(
                at,
                "a record is not as it was written: its checksum does not match",
            ));
        }
        let frame = Frame { at, number: self.number, instant: None, body: body.into() };
        self.window.advance(OLD_HEADER + len);
        Ok(Step::Command(frame))
    }

    /// Goes on behind a damaged part, to the next record that is as it was written. Returns how many
    /// records are missing in between if that can be known, and `None` if there is no further record.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(super) fn recover(&mut self) -> io::Result<Option<Option<u64>>> {
        // Checksums that an old file makes us compute may add up; damage is no reason to take hours.
        let mut budget = MOST_TO_HASH;
        while budget > 0 {
            if self.window.peek(1)?.is_empty() {
                return Ok(None);
            }
            self.window.advance(1);
            match self.layout {
                Layout::Current { id, .. } => {
                    let Some(header) = self.record_here()? else { continue };
                    // Of another file, or an earlier one?
                    if id.is_some_and(|id| id != header.id) || header.number < self.number {
                        self.window.advance(header.whole() - 1);
                        continue;
                    }
                    let missing = header.number - self.number;
                    self.number = header.number;
                    self.layout = Layout::Current { id: Some(header.id), base: 0 };
                    return Ok(Some(Some(missing)));
                }
                Layout::Old => {
                    let header = old_header(self.window.peek(OLD_HEADER)?);
                    let Some((len, checksum)) = header else { continue };
                    let bytes = self.window.peek(OLD_HEADER + len)?;
                    let body = bytes.get(OLD_HEADER..).filter(|body| body.len() == len);
                    let Some(body) = body else { continue };
                    budget = budget.saturating_sub(len);
                    if crc32fast::hash(body) == checksum && wire::decode(body).is_ok() {
                        return Ok(Some(None));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The header of the whole record at this place, if there is one.
    fn record_here(&mut self) -> io::Result<Option<Header>> {
        let header = Header::decode(self.window.peek(HEADER)?).filter(|it| it.kind().is_ok());
        let Some(header) = header else { return Ok(None) };
        let whole = self.window.peek(header.whole())?;
        Ok(header.body(whole).is_some().then_some(header))
    }
}

/// Bytes that are hashed at most while a damaged old file is searched for its next record.
const MOST_TO_HASH: usize = 1024 * 1024 * 1024;

/// What a header says that has the right checksum.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u32,
    len: u32,
    id: FileId,
    number: u64,
    instant: Timestamp,
    checksum: u32,
}

impl Header {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, mut checksum) = bytes.get(..HEADER)?.split_at_checked(HEADER - 4)?;
        if crc32fast::hash(covered) != take_u32(&mut checksum)? {
            return None;
        }
        let mut rest = covered;
        Some(Self {
            kind: take_u32(&mut rest)?,
            len: take_u32(&mut rest)?,
            id: FileId(take_u64(&mut rest)?),
            number: take_u64(&mut rest)?,
            instant: Timestamp::from_millis(take_u64(&mut rest)?),
            checksum: take_u32(&mut rest)?,
        })
    }

    /// What kind of record it is. Fails if it is not the record that is to come.
    fn check(&self, id: Option<FileId>, number: u64) -> Result<Kind, String> {
        if id.is_some_and(|id| id != self.id) {
            return Err("a record of another file is here".into());
        }
        if number != self.number {
            return Err(format!("record {number} should be here, and {} is", self.number));
        }
        self.kind()
    }

    fn kind(&self) -> Result<Kind, String> {
        match self.kind {
            _ if self.len as usize > wire::MOST_BYTES => {
                Err(format!("a record of {} bytes is longer than any", self.len))
            }
            1 => Ok(Kind::Command),
            2 if self.len == 0 => Ok(Kind::Close),
            _ => Err("a record of an unknown kind is here; did a newer version write it?".into()),
        }
    }

    /// Bytes of the whole record.
    fn whole(&self) -> usize {
        HEADER.saturating_add(self.len as usize).saturating_add(TRAILER.len())
    }

    /// The body, if the record at the beginning of these bytes is as it was written.
    fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (body, rest) = bytes.get(HEADER..)?.split_at_checked(self.len as usize)?;
        let good = crc32fast::hash(body) == self.checksum && rest.starts_with(&TRAILER);
        good.then_some(body)
    }
}

/// Length and checksum of a record of an old file, if there is such a record.
fn old_header(mut bytes: &[u8]) -> Option<(usize, u32)> {
    let (len, checksum) = (take_u32(&mut bytes)? as usize, take_u32(&mut bytes)?);
    (1..=wire::MOST_BYTES).contains(&len).then_some((len, checksum))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

/// Reads the header of a file. What cannot be read as one is still given the layout that it resembles.
fn header<R: Read>(window: &mut Window<R>) -> Result<Layout, (Layout, ReadError)> {
    let unknown = Layout::Current { id: None, base: 0 };
    let bytes = window.peek(FILE_HEADER).map_err(|error| (unknown, error.into()))?;
    if bytes.is_empty() {
        return Err((unknown, damaged(0, "it is empty, and no metadata file is created empty")));
    }
    if bytes.starts_with(&OLD_MAGIC) {
        window.advance(OLD_MAGIC.len());
        return Ok(Layout::Old);
    }
    let common = |magic: &[u8; 8]| magic.iter().zip(bytes).filter(|(a, b)| a == b).count();
    let (current, old) = (common(&MAGIC), common(&OLD_MAGIC));
    let short = bytes.len() < FILE_HEADER && current.max(old) == bytes.len().min(MAGIC.len());
    if short {
        let layout = if old > current { Layout::Old } else { unknown };
        return Err((layout, damaged(bytes.len() as u64, "it ends within its header")));
    }
    let Some(mut rest) = bytes.strip_prefix(&MAGIC) else {
        return Err((
            if old > MAGIC.len() / 2 { Layout::Old } else { unknown },
            ReadError::Foreign,
        ));
    };
    let fields = take_u64(&mut rest).zip(take_u64(&mut rest)).zip(take_u32(&mut rest));
    let covered = bytes.get(..FILE_HEADER - 4).unwrap_or_default();
    let Some(((id, base), _)) = fields.filter(|(_, sum)| *sum == crc32fast::hash(covered)) else {
        return Err((unknown, damaged(0, "its header is not as it was written")));
    };
    window.advance(FILE_HEADER);
    Ok(Layout::Current { id: Some(FileId(id)), base })
}

/// The bytes of a file from the next one to be read on, as far as they are needed.
#[derive(Debug)]
struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    /// Bytes at the beginning of `bytes` that were read.
    start: usize,
    /// Place of the next byte in the file.
    at: u64,
    /// Whether all bytes of the file were read.
    ended: bool,
}

/// Bytes that are read at a time, at least.
const READ: usize = 64 * 1024;

impl<R: Read> Window<R> {
    /// The next `count` bytes, or fewer at the end of the file. Takes memory for bytes that are there only.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        let there = self.bytes.len() - self.start;
        if there < count && !self.ended {
            self.bytes.drain(..self.start);
            self.start = 0;
            let missing = (count - there).max(READ) as u64;
            let read = self.source.by_ref().take(missing).read_to_end(&mut self.bytes)?;
            self.ended = (read as u64) < missing;
        }
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        Ok(bytes.get(..count).unwrap_or(bytes))
    }

    /// Goes on by bytes that were peeked at.
    fn advance(&mut self, count: usize) {
        let count = count.min(self.bytes.len() - self.start);
        self.start += count;
        self.at += count as u64;
    }
}

#[cfg(test)]
mod tests;
