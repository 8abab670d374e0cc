//! Every damaged byte is noticed, and a write that was cut off is told from damage.

use std::collections::BTreeSet;

use super::*;
use crate::{
    log::{Loaded, load},
    metadata::{MetaCommand, Metadata},
    samples::{create, story},
};

const ID: FileId = FileId(0x0123_4567_89AB_CDEF);

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + 1_000 * second)
}

/// A file, and where its records begin and end.
struct Sample {
    bytes: Vec<u8>,
    /// Where the file could have been cut between two records: behind 0 records, 1 record and so on.
    ends: Vec<usize>,
    commands: Vec<MetaCommand>,
}

impl Sample {
    /// A file that was created with `base` of the commands. The others were appended.
    fn new(commands: Vec<MetaCommand>, base: usize) -> Self {
        let bodies: Vec<Vec<u8>> = commands.iter().map(|it| wire::encode(it).unwrap()).collect();
        let mut bytes = file_header(ID, base as u64);
        let mut ends = vec![bytes.len()];
        for (number, body) in (0..).zip(&bodies) {
            bytes.extend(record(ID, number, Kind::Command, at(number), body));
            ends.push(bytes.len());
        }
        Self { bytes, ends, commands }
    }

    /// The file with a closing mark.
    fn closed(mut self) -> Self {
        let number = self.commands.len() as u64;
        self.bytes.extend(record(ID, number, Kind::Close, at(number), &[]));
        self
    }

    /// What the first `count` commands lead to.
    fn after(&self, count: usize) -> Metadata {
        let mut metadata = Metadata::default();
        self.commands[..count].iter().for_each(|command| metadata.apply(command).unwrap());
        metadata
    }

    /// How many records are whole in the first `len` bytes.
    fn whole(&self, len: usize) -> usize {
        self.ends.iter().filter(|end| **end <= len).count().saturating_sub(1)
    }

    /// The file that an earlier build would have written.
    fn old(&self) -> Vec<u8> {
        let mut bytes = OLD_MAGIC.to_vec();
        for command in &self.commands {
            let body = wire::encode(command).unwrap();
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(crc32fast::hash(&body).to_le_bytes());
            bytes.extend(body);
        }
        bytes
    }
}

/// Every byte of `bytes`, changed in several ways.
fn with_one_byte_changed(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len()).flat_map(move |at| {
        let old = bytes[at];
        let others = [old ^ 0xFF, old ^ 0x7F, old.wrapping_add(1), 0, b' '];
        let bits = (0..8).map(move |bit| old ^ (1 << bit));
        bits.chain(others).filter(move |new| *new != old).map(move |new| {
            let mut changed = bytes.to_vec();
            changed[at] = new;
            (at, changed)
        })
    })
}

/// The number of a command's kind. A new kind gets the next number, and belongs into the [`story`].
fn kind(command: &MetaCommand) -> usize {
    match command {
        MetaCommand::CreateCache { .. } => 0,
        MetaCommand::UpdateCache { .. } => 1,
        MetaCommand::RemoveCache { .. } => 2,
        MetaCommand::Connect { .. } => 3,
        MetaCommand::Complete { .. } => 4,
        MetaCommand::Mark { .. } => 5,
        MetaCommand::Clear { .. } => 6,
        MetaCommand::Count { .. } => 7,
        MetaCommand::Finish { .. } => 8,
        MetaCommand::AcceptSource { .. } => 9,
        MetaCommand::AcceptLoss { .. } => 10,
        MetaCommand::BecomeUnit { .. } => 11,
        MetaCommand::Disconnect { .. } => 12,
        MetaCommand::AssignAlias { .. } => 13,
        MetaCommand::CreateTemplate { .. } => 14,
        MetaCommand::RemoveTemplate { .. } => 15,
    }
}

#[test]
fn the_sample_has_commands_of_every_kind() {
    let kinds: BTreeSet<usize> = story().iter().map(kind).collect();
    assert_eq!(kinds, (0..16).collect());
}

#[test]
fn a_whole_file_is_read_whole() {
    let sample = Sample::new(story(), 3).closed();
    let loaded = load(&*sample.bytes).unwrap();
    let count = sample.commands.len();
    assert_eq!(loaded.metadata, sample.after(count));
    assert_eq!((loaded.records, loaded.last), (count as u64, Some(at(count as u64 - 1))));
    assert_eq!(loaded.ending, Ending::Closed { at: at(count as u64) });
}

/// Reads all records of a file without decoding their commands.
fn read(bytes: &[u8]) -> Result<Ending, ReadError> {
    let (mut reader, opened) = Reader::open(bytes);
    opened?;
    loop {
        if let Step::End(ending) = reader.next()? {
            return Ok(ending);
        }
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    for sample in [Sample::new(story(), 3).closed(), Sample::new(story(), 0)] {
        for (changed, bytes) in with_one_byte_changed(&sample.bytes) {
            match read(&bytes) {
                // The error names the record in which the byte is.
                Err(ReadError::Damaged { at, .. }) => {
                    let record = sample.ends.iter().rfind(|end| **end <= changed);
                    assert_eq!(at, record.copied().unwrap_or(0) as u64, "byte {changed}");
                }
                Err(ReadError::Foreign) => assert!(changed < MAGIC.len(), "byte {changed}"),
                other => panic!("byte {changed} as {}: {other:?}", bytes[changed]),
            }
        }
    }
}

#[test]
fn no_changed_byte_of_an_old_file_goes_unnoticed() {
    let old = Sample::new(story(), 0).old();
    assert_eq!(load(&*old).unwrap().ending, Ending::Old);
    for (changed, bytes) in with_one_byte_changed(&old) {
        let error = read(&bytes).unwrap_err();
        assert!(
            matches!(error, ReadError::Damaged { .. } | ReadError::Foreign),
            "byte {changed}: {error:?}"
        );
    }
}

#[test]
fn a_cut_file_is_refused_or_gives_its_whole_records_and_says_that_it_is_cut() {
    const BASE: usize = 3;
    let sample = Sample::new(story(), BASE).closed();
    for cut in 0..sample.bytes.len() {
        let loaded = load(&sample.bytes[..cut]);
        let whole = sample.whole(cut);
        if cut < sample.ends[BASE] {
            // These were written all at once: no crash cuts a part of them off.
            assert!(matches!(loaded, Err(ReadError::Damaged { .. })), "cut at {cut}: {loaded:?}");
            continue;
        }
        let Loaded { metadata, records, ending, .. } = loaded.unwrap();
        assert_eq!((metadata, records), (sample.after(whole), whole as u64), "cut at {cut}");
        let end = sample.ends[whole];
        let torn = Ending::Torn { at: end as u64, bytes: (cut - end) as u64 };
        assert_eq!(ending, if cut == end { Ending::Open } else { torn }, "cut at {cut}");
    }
}

#[test]
fn a_cut_old_file_is_refused_unless_it_is_cut_between_two_records() {
    let sample = Sample::new(story(), 0);
    let old = sample.old();
    let (mut refused, mut read) = (0, 0);
    for cut in 0..old.len() {
        match load(&old[..cut]) {
            Err(_) => refused += 1,
            Ok(loaded) => {
                read += 1;
                assert_eq!(loaded.ending, Ending::Old);
                assert_eq!(loaded.metadata, sample.after(usize::try_from(loaded.records).unwrap()));
            }
        }
    }
    assert_eq!((read, refused + read), (sample.commands.len(), old.len()));
}

#[test]
fn a_write_that_was_cut_off_and_filled_up_with_zeros_is_left_out() {
    let sample = Sample::new(story(), 2);
    let count = sample.commands.len();
    let start = sample.ends[count - 1];
    for cut in start..sample.bytes.len() {
        let mut bytes = sample.bytes[..cut].to_vec();
        bytes.resize(sample.bytes.len(), 0);
        // With only the last bytes of the record missing it could be damage as well.
        if cut > sample.bytes.len() - TRAILER.len() {
            assert!(load(&*bytes).is_err(), "cut at {cut}");
            continue;
        }
        let loaded = load(&*bytes).unwrap();
        assert_eq!(loaded.metadata, sample.after(count - 1), "cut at {cut}");
        let torn = Ending::Torn { at: start as u64, bytes: (bytes.len() - start) as u64 };
        assert_eq!(loaded.ending, torn, "cut at {cut}");
    }
}

#[test]
fn zeros_behind_the_last_record_are_a_write_that_was_cut_off_if_they_are_not_too_many() {
    for sample in [Sample::new(story(), 2), Sample::new(story(), 2).closed()] {
        let len = sample.bytes.len();
        for zeros in [1, HEADER, 4_096, LONGEST] {
            let mut bytes = sample.bytes.clone();
            bytes.resize(len + zeros, 0);
            let torn = Ending::Torn { at: len as u64, bytes: zeros as u64 };
            assert_eq!(load(&*bytes).unwrap().ending, torn, "{zeros} zeros");
        }
        let mut bytes = sample.bytes.clone();
        bytes.resize(len + LONGEST + 1, 0);
        assert!(load(&*bytes).is_err());
    }
}

#[test]
fn zeros_over_several_records_are_damage() {
    let sample = Sample::new(story(), 2);
    let count = sample.commands.len();
    let mut bytes = sample.bytes.clone();
    // From the body of the last record but two on, as a lost block leaves them.
    let from = sample.ends[count - 3] + HEADER;
    bytes[from..].fill(0);
    let Err(ReadError::Damaged { at, .. }) = load(&*bytes) else { panic!("no damage") };
    assert_eq!(at, sample.ends[count - 3] as u64);
}

#[test]
fn records_that_are_missing_doubled_or_of_another_file_are_damage() {
    let sample = Sample::new(story(), 0);
    let range = |number: usize| sample.ends[number]..sample.ends[number + 1];
    let reason = |bytes: &[u8]| match load(bytes) {
        Err(ReadError::Damaged { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let mut missing = sample.bytes.clone();
    missing.drain(range(4));
    assert_eq!(reason(&missing), "record 4 should be here, and 5 is");
    let mut doubled = sample.bytes.clone();
    doubled.splice(sample.ends[5]..sample.ends[5], sample.bytes[range(4)].to_vec());
    assert_eq!(reason(&doubled), "record 5 should be here, and 4 is");
    let mut other = sample.bytes.clone();
    let number = sample.commands.len() as u64;
    other.extend(record(FileId(1), number, Kind::Command, at(0), b"\x05\x06orders"));
    assert_eq!(reason(&other), "a record of another file is here");
    let mut behind = Sample::new(story(), 0).closed().bytes;
    behind.extend(b"abc");
    assert_eq!(reason(&behind), "there are bytes behind the closing mark");
}

#[test]
fn a_record_that_cannot_be_used_is_damage_where_it_stands() {
    // A header that says a length that no record has, with the right checksum.
    let mut sample = Sample::new(vec![create("one")], 0);
    let end = sample.bytes.len();
    let mut endless = record(ID, 1, Kind::Command, at(1), b"");
    endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let checksum = crc32fast::hash(&endless[..HEADER - 4]);
    endless[HEADER - 4..HEADER].copy_from_slice(&checksum.to_le_bytes());
    let unknown = record(ID, 1, Kind::Command, at(1), b"\xFA\xFA");
    let misfit = record(ID, 1, Kind::Command, at(1), &wire::encode(&create("one")).unwrap());
    for (bytes, part) in [
        (endless, "longer than any"),
        (unknown, "cannot be decoded"),
        (misfit, "cache one already exists"),
    ] {
        sample.bytes.truncate(end);
        sample.bytes.extend(bytes);
        let Err(ReadError::Damaged { at, reason }) = load(&*sample.bytes) else { panic!("{part}") };
        assert!(at == end as u64 && reason.contains(part), "{at} {reason}");
    }
}

#[test]
fn a_file_is_read_in_pieces_and_takes_no_memory_on_the_word_of_a_length() {
    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            to[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }
    let sample = Sample::new(story(), 3).closed();
    assert_eq!(load(Slow(&sample.bytes)).unwrap().metadata, load(&*sample.bytes).unwrap().metadata);

    // A length of 4 MiB, and no bytes that belong to it.
    let mut window =
        Window { source: &b"abc"[..], bytes: Vec::new(), start: 0, at: 0, ended: false };
    assert_eq!(window.peek(wire::MOST_BYTES).unwrap(), b"abc");
    assert!(window.bytes.capacity() < 2 * READ, "{}", window.bytes.capacity());
    // A file that never ends with zeros is not read to its end.
    assert!(load((&*sample.bytes).chain(io::repeat(0))).is_err());
}

#[test]
fn the_layout_keeps_its_meaning() {
    let bytes = file(ID, &[b"\x05\x06orders".to_vec()], Timestamp::from_millis(0x0102));
    let mut expected = b"GODWITM\x02".to_vec();
    expected.extend(b"\xEF\xCD\xAB\x89\x67\x45\x23\x01\x01\0\0\0\0\0\0\0");
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    let mut header = b"\x01\0\0\0\x08\0\0\0\xEF\xCD\xAB\x89\x67\x45\x23\x01".to_vec();
    header.extend(b"\0\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0");
    header.extend(crc32fast::hash(b"\x05\x06orders").to_le_bytes());
    expected.extend(&header);
    expected.extend(crc32fast::hash(&header).to_le_bytes());
    expected.extend(b"\x05\x06ordersend\n");
    assert_eq!(bytes, expected);
}
