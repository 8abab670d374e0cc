//! Tests of [`super`].

use std::time::Duration;

use hotrod::{Decoder, NO_TOPOLOGY, ProtocolVersion, Status, encode_error, op};

use super::*;
use crate::{
    load::{Amount, Load},
    wire::{HotRod, Memcached},
};

const LATER: Duration = Duration::from_micros(250);

fn data() -> Data {
    Data::new(&Load { keys: 100, key_size: 4, ..Load::default() })
}

fn plan(mix: &str, requests: u64) -> Plan {
    Plan::random(0, 1, 1, mix.parse().unwrap(), Amount::Requests(requests), 100)
}

fn memcached(mix: &str, requests: u64, depth: usize) -> Conversation<Memcached> {
    let (wire, now) = (Memcached::new(depth), Instant::now());
    Conversation::new(wire, plan(mix, requests), data(), depth, now)
}

fn hot_rod(mix: &str, requests: u64, depth: usize) -> Conversation<HotRod> {
    let (version, topology_id) = (ProtocolVersion::V4_1, NO_TOPOLOGY);
    let wire = HotRod { version, cache: String::new(), topology_id };
    Conversation::new(wire, plan(mix, requests), data(), depth, Instant::now())
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Message ids of the requests in these bytes.
fn ids(bytes: &[u8]) -> Vec<u64> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let next = || decoder.next_request().unwrap().map(|decoded| decoded.header.message_id);
    std::iter::from_fn(next).collect()
}

/// Returns the Hot Rod answer that there is no entry.
fn missing(id: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    let opcode = <op::Get<'_> as op::Operation>::RESPONSE;
    hotrod::encode_response_header(&mut writer, id, opcode, Status::KeyDoesNotExist, None);
    writer.into_bytes()
}

#[test]
fn as_many_are_asked_as_were_answered() {
    let mut talk = memcached("get", 10, 4);
    let mut recorder = Recorder::new();
    assert_eq!(lines(talk.ask()), 4, "the window");
    assert!(!talk.can_ask());
    assert_eq!(talk.hear(b"EN\r\nEN\r\nEN\r", Instant::now(), &mut recorder), Ok(8));
    assert!(talk.can_ask());
    assert_eq!(lines(talk.ask()), 2);
    assert_eq!(talk.hear(b"EN\r\nEN\r\nEN\r\nEN\r\n", Instant::now(), &mut recorder), Ok(16));
    assert_eq!(lines(talk.ask()), 4, "the last of ten");
    assert!(!talk.is_over(), "they are not answered yet");
    assert_eq!(talk.hear(&b"EN\r\n".repeat(4), Instant::now(), &mut recorder), Ok(16));
    assert_eq!(talk.ask(), b"");
    assert!(talk.is_over());
    assert_eq!((recorder.done, recorder.misses), (10, 10));
}

#[test]
fn each_latency_is_from_its_own_write_to_its_own_answer() {
    let mut talk = hot_rod("get", 3, 2);
    let mut recorder = Recorder::new();
    let start = Instant::now();
    let [first, second] = ids(talk.ask())[..] else { panic!("a window of two") };
    talk.sent(start);

    // The second is answered first, after 250 µs, and the third takes its place.
    assert!(talk.hear(&missing(second), start + LATER, &mut recorder).is_ok());
    let [third] = ids(talk.ask())[..] else { panic!("one was answered") };
    talk.sent(start + LATER);
    assert!(third > second && third > first, "numbers grow");

    let both = [missing(third), missing(first)].concat();
    assert!(talk.hear(&both, start + LATER * 2, &mut recorder).is_ok());
    let latencies: Vec<_> = recorder.latencies().collect();
    let [(Kind::Get, latencies)] = latencies[..] else { panic!("gets alone") };
    assert_eq!((latencies.len(), latencies.count_at(250), latencies.count_at(500)), (3, 2, 1));
}

#[test]
fn a_value_must_be_the_one_that_was_written() {
    let value_of = |key| data().entry(key).1.to_vec();
    let heard = |value: Vec<u8>| {
        let mut talk = memcached("get", 1, 1);
        talk.ask();
        let answer = [&b"VA 100\r\n"[..], &value, b"\r\n"].concat();
        talk.hear(&answer, Instant::now(), &mut Recorder::new())
    };
    let Some((Kind::Get, key)) = plan("get", 1).next() else { panic!("one get") };
    assert_eq!(heard(value_of(key)), Ok(110));
    let wrong = WrongAnswer::Content { key, place: "begin" };
    assert_eq!(heard(value_of(key + 1)), Err(wrong));
}

#[test]
fn an_answer_must_be_one_to_the_request() {
    let heard = |mix, answer: &[u8]| {
        let mut talk = memcached(mix, 1, 1);
        talk.ask();
        talk.hear(answer, Instant::now(), &mut Recorder::new()).unwrap_err().to_string()
    };
    let Some((_, key)) = plan("put", 1).next() else { panic!("one request") };
    let value = format!("a put of key {key} was answered as a value");
    assert_eq!(heard("put", b"VA 1\r\nx\r\n"), value);
    let missing = format!("a put of key {key} was answered as a miss of a get");
    assert_eq!(heard("put", b"EN\r\n"), missing);
    let done = format!("a get of key {key} was answered as a success without a value");
    assert_eq!(heard("get", b"HD\r\n"), done);
}

#[test]
fn an_answer_to_nothing_is_wrong() {
    let mut talk = hot_rod("get", 1, 2);
    let mut recorder = Recorder::new();
    let [id] = ids(talk.ask())[..] else { panic!("one get") };
    let unasked = |id| Err(WrongAnswer::Unasked { id });
    assert_eq!(talk.hear(&missing(id + 2), Instant::now(), &mut recorder), unasked(id + 2));
    assert_eq!(talk.hear(&missing(0), Instant::now(), &mut recorder), unasked(0));
    assert!(talk.hear(&missing(id), Instant::now(), &mut recorder).is_ok());
    assert_eq!(talk.hear(&missing(id), Instant::now(), &mut recorder), unasked(id), "twice");
}

#[test]
fn what_a_server_refuses_is_counted_and_not_timed() {
    let mut talk = hot_rod("get", 1, 1);
    let mut recorder = Recorder::new();
    let [id] = ids(talk.ask())[..] else { panic!("one get") };
    let mut writer = Writer::default();
    encode_error(&mut writer, id, Status::ServerError, "out of memory");
    assert!(talk.hear(writer.bytes(), Instant::now(), &mut recorder).is_ok());
    assert_eq!((recorder.done, recorder.refused), (0, 1));
    assert_eq!(recorder.refusal.as_deref(), Some("out of memory"));
    assert_eq!(recorder.latencies().count(), 0);
    assert!(talk.ask().is_empty() && talk.is_over());
}

#[test]
fn a_stopped_conversation_waits_for_answers_and_asks_nothing() {
    let mut talk = memcached("get", 10, 2);
    talk.ask();
    talk.stop();
    assert!(!talk.is_over() && !talk.can_ask());
    assert!(talk.hear(b"EN\r\nEN\r\n", Instant::now(), &mut Recorder::new()).is_ok());
    assert!(talk.ask().is_empty() && talk.is_over());
}

#[test]
fn a_turn_is_bounded_and_the_rest_of_the_window_follows_at_once() {
    let value_sizes = "100000".parse().unwrap();
    let data = Data::new(&Load { value_sizes, ..Load::default() });
    let wire = Memcached::new(10);
    let mut talk = Conversation::new(wire, plan("put", 10), data, 10, Instant::now());
    let mut len = 0;
    let mut turns = 0;
    loop {
        let turn = talk.ask().len();
        assert!(turn <= TURN + 100_100, "{turn}");
        (len, turns) = (len + turn, turns + 1);
        if !talk.can_ask() {
            break;
        }
    }
    assert_eq!(turns, 4);
    assert!(len > 1_000_000, "all ten are in flight");
}
