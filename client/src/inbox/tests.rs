//! Responses as they arrive: complete, in pieces, in any order, or malformed.

use hex_literal::hex;
use hotrod::{
    Limits, Writer,
    op::{Get, GetAll, Ping, Stats},
};

use super::*;

const V4_1: ProtocolVersion = ProtocolVersion::V4_1;

fn expect<'r, R: Request<'r> + Operation>(id: u64) -> impl Fn(u64) -> Option<Expected> {
    move |asked| (asked == id).then(|| Expected::of::<R>(V4_1, Intelligence::HashAware))
}

fn inbox(bytes: &[u8]) -> Inbox {
    let mut inbox = Inbox::new(1_000_000);
    inbox.buffer().extend_from_slice(bytes);
    inbox
}

#[test]
fn an_answer_split_anywhere_is_given_once_and_whole() {
    // GET of "k": message 5, success, a topology of one server and two segments, value "abc".
    let bytes = hex!("A1 05 04 00 01 07 01 01 68 2B D6 03 02 01 00 01 00 03 61 62 63");
    for split in 0..bytes.len() {
        let mut inbox = inbox(&bytes[..split]);
        assert_eq!(inbox.next(expect::<Get<'_>>(5)).unwrap().map(|answer| answer.body), None);
        inbox.buffer().extend_from_slice(&bytes[split..]);
        let answer = inbox.next(expect::<Get<'_>>(5)).unwrap().unwrap();
        assert_eq!(answer.header.topology.unwrap().owners, [[0], [0]]);
        assert_eq!(&*answer.body, hex!("03 61 62 63"));
        assert!(inbox.next(|_| None).unwrap().is_none());
    }
}

#[test]
fn answers_that_arrive_together_are_given_one_by_one() {
    let bytes = hex!("A1 02 04 02 00 A1 01 04 00 00 01 78 A1 03 50 85 00 02 6E 6F");
    let mut inbox = inbox(&bytes);
    let known = |_| Some(Expected::of::<Get<'_>>(V4_1, Intelligence::Basic));
    let ids = [(); 3].map(|()| inbox.next(known).unwrap().unwrap());
    assert_eq!(ids.each_ref().map(|answer| answer.header.message_id), [2, 1, 3]);
    assert_eq!(ids[2].text(), "no");
}

#[test]
fn a_malformed_answer_is_refused() {
    let refused = |bytes: &[u8]| {
        let unreadable = inbox(bytes).next(expect::<Get<'_>>(5)).unwrap_err();
        (unreadable.message_id, unreadable.error.to_string())
    };
    let table: [(&[u8], Option<u64>, &str); 7] = [
        (&hex!("48 54 54 50"), None, "a message begins with byte 0xA1, not 0x48"),
        (&hex!("A1 06 04 00 00"), None, "there was no message 6 to be answered"),
        (&hex!("A1 05 02 00 00"), Some(5), "the answer has opcode 0x02, not 0x04"),
        (&hex!("A1 05 04 33 00"), Some(5), "the status cannot be 51"),
        (&hex!("A1 00 50 85 00 02 6E 6F"), None, "the server says ServerError: no"),
        (
            &hex!("A1 05 04 00 00 80 80 80 80 08"),
            Some(5),
            "the value of 2147483648 bytes is longer than 1000000 bytes",
        ),
        (
            &hex!("A1 05 04 00 01 07 FF FF FF FF 0F"),
            Some(5),
            "the number of servers cannot be 4294967295",
        ),
    ];
    for (bytes, message_id, text) in table {
        assert_eq!(refused(bytes), (message_id, text.to_owned()));
    }
    // Minus one entries, each of which would take two bytes at least.
    let mut inbox = inbox(&hex!("A1 05 30 00 00 FF FF FF FF 0F"));
    let error = inbox.next(expect::<GetAll<'_>>(5)).unwrap_err().error;
    assert!(matches!(error, AnswerError::TooLong { most: 1_000_000, .. }), "{error}");
}

#[test]
fn an_answer_that_grows_beyond_its_bound_is_refused_when_it_does() {
    // A thousand statistics: their end cannot be predicted.
    let mut inbox = Inbox::new(10_000);
    inbox.buffer().extend_from_slice(&hex!("A1 05 16 00 00 FF 07"));
    let pair = hex!("01 61 08 31 31 31 31 31 31 31 31");
    let error = loop {
        match inbox.next(expect::<Stats>(5)) {
            Ok(answer) => assert!(answer.is_none()),
            Err(unreadable) => break unreadable.error,
        }
        inbox.buffer().extend_from_slice(&pair);
        assert!(inbox.buffer().len() < 11_000, "{} bytes", inbox.buffer().len());
    };
    assert!(matches!(error, AnswerError::TooLong { len: 10_001.., most: 10_000 }), "{error}");
}

#[test]
fn ten_megabytes_are_looked_at_at_most_three_times_however_they_arrive() {
    for (count, value) in [(400_000_u32, 8), (900, 1_000), (1, 9_900_000)] {
        let mut writer = Writer::default();
        writer.raw(&hex!("A1 05 30 00 00"));
        writer.vint(count);
        for key in 0..count {
            writer.array(&key.to_be_bytes());
            writer.array(&vec![b'v'; value]);
        }
        let bytes = writer.into_bytes();
        for step in [1, 1_448] {
            let mut inbox = Inbox::new(20_000_000);
            for (index, piece) in bytes.chunks(step).enumerate() {
                inbox.buffer().extend_from_slice(piece);
                let answer = inbox.next(expect::<GetAll<'_>>(5)).unwrap();
                assert_eq!(answer.is_some(), (index + 1) * step >= bytes.len());
            }
            // A caller that visits the entries reads them once more.
            let (visited, len) = (inbox.visited + bytes.len() as u64, bytes.len() as u64);
            assert!(visited <= 3 * len, "{visited} of {len} bytes, {count} entries, {step} a time");
        }
    }
}

#[test]
fn no_bytes_make_it_panic_or_go_on_for_ever() {
    let document = include_str!("../../../hotrod/vectors/recorded.json");
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let responses = document["wire"].as_array().unwrap().iter().map(|exchange| {
        let text = exchange["response"].as_str().unwrap();
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    });
    let corpus: Vec<Vec<u8>> = responses.collect();
    hotrod::fuzz::mutations(&corpus, 20_000, 0x0BAD_5EED, |bytes| {
        for known in [
            Expected::of::<Get<'_>>(V4_1, Intelligence::HashAware),
            Expected::of::<GetAll<'_>>(V4_1, Intelligence::Basic),
            Expected::of::<Ping>(V4_1, Intelligence::HashAware),
            Expected::of::<Stats>(V4_1, Intelligence::HashAware),
        ] {
            let mut inbox = inbox(bytes);
            while let Ok(Some(answer)) = inbox.next(|_| Some(known)) {
                assert!(Reader::new(&answer.body, Limits::NONE).position() == 0);
            }
        }
    });
}
