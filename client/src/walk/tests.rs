//! Batches recorded from a real server, as they arrive in pieces, and malformed ones.

use hex_literal::hex;
use hotrod::{Lifetime, Writer};

use super::*;

const V4_1: ProtocolVersion = ProtocolVersion::V4_1;

/// Returns all items of an iteration for these responses, in order.
fn walk_over(answers: &[&[u8]], batch: u32) -> Result<Vec<Item>, Stop> {
    let mut walk = Walk::new(V4_1, batch, 1_000_000);
    let (mut bytes, mut items) = (BytesMut::new(), Vec::new());
    let mut turns = (0..).zip(answers);
    loop {
        match walk.next(&mut bytes)? {
            Step::Item(item) => items.push(item),
            Step::Ask => {
                let (message_id, answer) = turns.next().unwrap();
                bytes.extend_from_slice(answer);
                walk.asked(message_id);
            }
            Step::Wait => panic!("waits after {items:?}"),
            Step::End => return Ok(items),
        }
    }
}

fn entry(key: &'static str, value: &'static str, version: u64) -> Item {
    let metadata = Some(Metadata { version, ..Metadata::default() });
    Item::Entry { key: key.into(), value: value.into(), metadata }
}

fn finished(segments: &[u32]) -> Item {
    Item::Finished(segments.iter().copied().collect())
}

#[test]
fn entries_come_one_by_one_and_segments_when_their_batch_is_over() {
    let answers: [&[u8]; 3] = [
        // Segment 2 is finished; two entries with metadata.
        &hex!(
            "A1 00 34 00 00 01 04 02 01"
            "01 03 00 00 00 00 00 00 00 07 02 6B 34 02 76 34"
            "01 03 00 00 00 00 00 00 00 08 02 6B 35 00"
        ),
        // Segments 7 and 10; one entry that lives for 100 s from 1, and 50 s from its last use at 2.
        &hex!(
            "A1 01 34 00 00 02 80 04 01 01"
            "01 00 00 00 00 00 00 00 00 01 64 00 00 00 00 00 00 00 02 32"
            "00 00 00 00 00 00 00 09 01 6B 01 76"
        ),
        // The rest, and no entry.
        &hex!("A1 02 34 00 00 01 03 00"),
    ];
    let lives = Metadata {
        lifespan: Some(Lifetime { since: 1, seconds: 100 }),
        max_idle: Some(Lifetime { since: 2, seconds: 50 }),
        version: 9,
    };
    let items = [
        entry("k4", "v4", 7),
        entry("k5", "", 8),
        finished(&[2]),
        Item::Entry { key: "k".into(), value: "v".into(), metadata: Some(lives) },
        finished(&[7, 10]),
        finished(&[0, 1]),
    ];
    assert_eq!(walk_over(&answers, 3).unwrap(), items);
}

#[test]
fn an_entry_is_given_before_the_batch_is_there() {
    let mut walk = Walk::new(V4_1, 1_000, 1_000_000);
    let mut bytes = BytesMut::new();
    assert_eq!(walk.next(&mut bytes), Ok(Step::Ask));
    walk.asked(9);
    bytes.extend_from_slice(&hex!("A1 09 34 00 00 00 E8 07 01 00 01 61 01 31 00 01 62 05"));
    let first = Item::Entry { key: "a".into(), value: "1".into(), metadata: None };
    assert_eq!(walk.next(&mut bytes), Ok(Step::Item(first)));
    assert_eq!(walk.next(&mut bytes), Ok(Step::Wait));
    assert!(!walk.is_quiet());
}

#[test]
fn a_walk_that_the_server_does_not_know_is_over() {
    let invalid = hex!("A1 00 34 05 00 00 00");
    assert_eq!(walk_over(&[&invalid], 10), Err(Stop::Invalid));
    let failed = hex!("A1 00 50 88 00 04 73 74 6F 70");
    let stop = Stop::Failed { status: Status::IllegalLifecycleState, text: "stop".into() };
    assert_eq!(walk_over(&[&failed], 10), Err(stop));
}

#[test]
fn an_impossible_batch_is_refused() {
    let refused = |answer: &[u8]| match walk_over(&[answer], 10).unwrap_err() {
        Stop::Unreadable(error) => error.to_string(),
        stop => panic!("{stop:?}"),
    };
    let table: [(&[u8], &str); 6] = [
        (&hex!("A1 01 34 00 00 00 00"), "there was no message 1 to be answered"),
        (&hex!("A1 00 32 00 00 00 00"), "the answer has opcode 0x32, not 0x34"),
        // Eleven entries where ten were asked for, and minus one.
        (&hex!("A1 00 34 00 00 00 0B 01"), "the number of entries cannot be 11"),
        (
            &hex!("A1 00 34 00 00 00 FF FF FF FF 0F 01"),
            "the number of entries cannot be 4294967295",
        ),
        (&hex!("A1 00 34 00 00 00 01 02"), "the projection size cannot be 2"),
        (
            &hex!("A1 00 34 00 00 00 01 01 00 01 6B FF FF FF FF 0F"),
            "the value of 4294967295 bytes is longer than 1000000 bytes",
        ),
    ];
    for (answer, text) in table {
        assert_eq!(refused(answer), text);
    }
}

#[test]
fn ten_megabytes_are_looked_at_at_most_three_times_however_they_arrive() {
    let lives = Some(Lifetime { since: 1, seconds: 100 });
    let metadata = Metadata { lifespan: lives, max_idle: lives, version: 7 };
    for (count, value, metadata) in [
        (200_000, 0, None),
        (250_000, 8, Some(metadata)),
        (900, 1_000, Some(metadata)),
        (2, 4_900_000, Some(metadata)),
    ] {
        let mut writer = Writer::default();
        writer.raw(&hex!("A1 01 34 00 00 00"));
        writer.vint(count);
        writer.byte(1);
        let value = vec![b'v'; value];
        for key in 0..count {
            BatchEntry { metadata, key: &key.to_be_bytes(), value: &value }
                .encode(V4_1, &mut writer);
        }
        let answer = writer.into_bytes();
        for step in [1, 1_448] {
            let mut walk = Walk::new(V4_1, count, 20_000_000);
            walk.asked(1);
            let (mut bytes, mut given, mut held) = (BytesMut::new(), 0, 0);
            for piece in answer.chunks(step) {
                bytes.extend_from_slice(piece);
                while let Step::Item(item) = walk.next(&mut bytes).unwrap() {
                    given += u32::from(matches!(item, Item::Entry { .. }));
                }
                held = held.max(bytes.len());
            }
            assert_eq!(given, count);
            let len = answer.len() as u64;
            assert!(walk.visited <= 3 * len, "{} of {len}, {count} entries", walk.visited);
            // Never a whole batch: one entry, and the bytes read beyond it.
            assert!(
                held <= value.len() + LOOK_AHEAD + 64 + step,
                "{held} bytes held, {count} entries"
            );
        }
    }
}

#[test]
fn no_bytes_make_it_panic_or_give_more_than_there_is() {
    let corpus = [
        hex!("A1 00 34 00 00 01 04 01 01 01 03 00 00 00 00 00 00 00 07 02 6B 34 02 76 34").to_vec(),
        hex!("A1 00 34 00 00 01 04 03 01 00 02 6B 34 02 76 34 00 01 61 00 00 01 62 00").to_vec(),
        hex!("A1 00 34 05 00 00 00").to_vec(),
    ];
    hotrod::fuzz::mutations(&corpus, 50_000, 0x5EED_5EED, |data| {
        let mut walk = Walk::new(V4_1, 1_000, 10_000);
        walk.asked(0);
        let (mut bytes, mut given) = (BytesMut::from(data), 0);
        while let Ok(Step::Item(item)) = walk.next(&mut bytes) {
            if let Item::Entry { key, value, .. } = item {
                given += key.len() + value.len();
            }
        }
        assert!(given <= data.len());
    });
}
