//! Tests of [`super`].

use std::time::Duration;

use hotrod::{
    Metadata, NO_TOPOLOGY, ProtocolVersion, encode_error, encode_response_header,
    op::{Batch, IterationEnded},
};

use super::*;

const VERSION: ProtocolVersion = ProtocolVersion::V4_1;

fn walk(segments: [u32; 2]) -> Walk {
    let wire = HotRod { version: VERSION, cache: String::new(), topology_id: NO_TOPOLOGY };
    Walk::new(wire, Some(segments.into_iter().collect()), 10, Instant::now())
}

fn said<'a>(id: u64, opcode: u8, response: &impl hotrod::op::Response<'a>) -> Vec<u8> {
    let mut writer = Writer::default();
    encode_response_header(&mut writer, id, opcode, response.status(), None);
    response.encode(VERSION, &mut writer);
    writer.into_bytes()
}

fn started(id: u64) -> Vec<u8> {
    said(id, IterationStart::RESPONSE, &IterationStarted { id: "7" })
}

fn batch(id: u64, finished: &[u32], entries: usize) -> Vec<u8> {
    let entry = BatchEntry { metadata: Some(Metadata::NONE), key: b"key", value: &[b'v'; 50] };
    let finished = finished.iter().copied().collect();
    let batch = Batch { valid: true, finished, entries: vec![entry; entries] };
    said(id, IterationNext::RESPONSE, &batch)
}

fn ended(id: u64) -> Vec<u8> {
    said(id, IterationEnd::RESPONSE, &IterationEnded(true))
}

fn hear(walk: &mut Walk, recorder: &mut Recorder, bytes: &[u8]) -> Result<usize, WrongAnswer> {
    walk.hear(bytes, Instant::now(), recorder)
}

#[test]
fn a_walk_starts_takes_batches_and_ends() {
    let mut walk = walk([1, 3]);
    let mut recorder = Recorder::new();
    for answer in [started(1), batch(2, &[], 10), batch(3, &[1], 5), batch(4, &[3], 0), ended(5)] {
        assert!(walk.can_ask() && !walk.is_over());
        assert!(!walk.ask().is_empty());
        walk.sent(Instant::now());
        assert!(walk.ask().is_empty(), "one request at a time");
        assert_eq!(hear(&mut walk, &mut recorder, &answer), Ok(answer.len()));
    }
    assert!(walk.is_over());
    assert_eq!(recorder.done, 15);
    let (_, latencies) = recorder.latencies().next().unwrap();
    assert_eq!(latencies.len(), 2, "of the batches with entries");
}

#[test]
fn entries_count_as_they_come_wherever_they_are_cut() {
    let (start, batch) = (started(1), batch(2, &[], 3));
    for cut in 0..batch.len() {
        let mut walk = walk([1, 3]);
        let mut recorder = Recorder::new();
        walk.ask();
        hear(&mut walk, &mut recorder, &start).unwrap();
        walk.ask();
        let sent = Instant::now();
        walk.sent(sent);
        let first = walk.hear(&batch[..cut], sent, &mut recorder).unwrap();
        assert!(!walk.can_ask());
        let end = sent + Duration::from_micros(99);
        let second = walk.hear(&batch[first..], end, &mut recorder).unwrap();
        assert_eq!((first + second, recorder.done), (batch.len(), 3), "{cut} bytes");
        let (_, latencies) = recorder.latencies().next().unwrap();
        assert_eq!(latencies.max(), 99, "until the last byte");
    }
}

#[test]
fn a_walk_that_is_not_what_was_asked_for_is_wrong() {
    let wrong = |answer: Vec<u8>| {
        let mut walk = walk([1, 3]);
        let mut recorder = Recorder::new();
        walk.ask();
        hear(&mut walk, &mut recorder, &started(1)).unwrap();
        walk.ask();
        hear(&mut walk, &mut recorder, &answer).unwrap_err().to_string()
    };
    assert_eq!(wrong(batch(2, &[1], 0)), "in an iteration, 1 of 2 segments were not finished");
    assert_eq!(wrong(batch(9, &[1], 0)), "there was no request 9 to be answered");
    assert_eq!(wrong(ended(2)), "unknown operation 0x36");
    let mut forgotten = batch(2, &[], 0);
    forgotten[3] = Status::InvalidIteration.byte();
    let text = "in an iteration, the server does not know its id";
    assert_eq!(wrong(forgotten), text);
    let twice = [batch(2, &[], 1), batch(2, &[], 1)].concat();
    assert_eq!(wrong(twice), "in an iteration, more came than was asked for");

    let bare = BatchEntry { metadata: None, key: b"k", value: b"v" };
    let bare = Batch { valid: true, finished: SegmentSet::default(), entries: vec![bare] };
    let text = "in an iteration, an entry came without its metadata";
    assert_eq!(wrong(said(2, IterationNext::RESPONSE, &bare)), text);

    let mut writer = Writer::default();
    encode_error(&mut writer, 2, Status::ServerError, "java.lang.X: no\ncause");
    let text = "in an iteration, the server says: java.lang.X: no";
    assert_eq!(wrong(writer.into_bytes()), text);
}
