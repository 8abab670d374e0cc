//! Requests recorded from real clients, and malformed ones.

use hex_literal::hex;

use super::*;
use crate::{
    header::Flags,
    media_type::MediaTypeRef,
    op::{Get, OPERATIONS, Operation, Permission, Put, PutAll, Request},
    recorded,
    topology::Intelligence,
    version::ProtocolVersion,
    writer::Writer,
};

fn header(opcode: u8) -> RequestHeader<'static> {
    RequestHeader {
        message_id: 5,
        version: ProtocolVersion::V4_1,
        opcode,
        cache_name: "orders",
        flags: Flags(0),
        intelligence: Intelligence::HashAware,
        topology_id: 7,
        key_type: MediaTypeRef::Known(12),
        value_type: MediaTypeRef::Unspecified,
    }
}

fn message<'a, R: Request<'a> + Operation>(request: &R) -> Vec<u8> {
    let mut writer = Writer::default();
    let header = header(R::REQUEST);
    header.encode(&mut writer);
    request.encode(header.version, &mut writer);
    writer.into_bytes()
}

/// Decodes all requests in `bytes`.
fn decode_all(bytes: &[u8]) -> Result<Vec<(u8, &'static str)>, Refused> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let mut requests = Vec::new();
    while let Some(decoded) = decoder.next_request()? {
        requests.push((decoded.header.opcode, decoded.request.name()));
    }
    assert_eq!(decoder.waiting(), 0, "after {requests:?}");
    Ok(requests)
}

#[test]
fn a_get_split_anywhere_decodes_once_and_whole() {
    // Magic, message 5, version 2.7, GET, cache "", no flags, basic client, topology 0, "k".
    let bytes = hex!("A0 05 1B 03 00 00 01 00 01 6B");
    for split in 0..bytes.len() {
        let mut decoder = Decoder::default();
        decoder.push(&bytes[..split]);
        assert_eq!(decoder.next_request(), Ok(None), "after {split} bytes");

        decoder.push(&bytes[split..]);
        let decoded = decoder.next_request().unwrap().unwrap();
        assert_eq!(decoded.request, AnyRequest::Get(Get { key: b"k" }));
        assert_eq!((decoded.header.message_id, decoded.bytes), (5, &bytes[..]));
        assert_eq!(decoder.next_request(), Ok(None));
    }
}

#[test]
fn every_recorded_request_is_read_to_its_last_byte() {
    let mut seen = std::collections::BTreeSet::new();
    for exchange in recorded::exchanges() {
        // The recordings also hold what a server must refuse: an unknown opcode and the like.
        match decode_all(&exchange.request) {
            Ok(requests) => {
                assert_eq!(requests.len(), 1, "{}", exchange.label);
                seen.extend(requests);
            }
            Err(refused) => {
                let error = exchange.response.get(3).copied();
                assert!(error >= Some(0x81), "{}: {refused}, yet answered", exchange.label);
            }
        }
    }
    for (client, bytes) in recorded::client_streams() {
        let requests = decode_all(&bytes).unwrap_or_else(|refused| panic!("{client}: {refused}"));
        seen.extend(requests);
    }
    let missing: Vec<_> =
        OPERATIONS.iter().filter(|op| !seen.iter().any(|row| row.0 == **op)).collect();
    assert_eq!(missing, [&0u8; 0], "operations that no recording holds");
}

#[test]
fn a_request_is_written_as_the_client_wrote_it() {
    let mut compared = 0;
    for (client, bytes) in recorded::client_streams() {
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        while let Some(decoded) = decoder.next_request().unwrap() {
            let mut writer = Writer::default();
            decoded.header.encode(&mut writer);
            let version = decoded.header.version;
            match &decoded.request {
                AnyRequest::Put(request) => request.encode(version, &mut writer),
                AnyRequest::Get(request) => request.encode(version, &mut writer),
                AnyRequest::GetWithMetadata(request) => request.encode(version, &mut writer),
                AnyRequest::ReplaceIfUnmodified(request) => request.encode(version, &mut writer),
                AnyRequest::Remove(request) => request.encode(version, &mut writer),
                AnyRequest::PutAll(request) => request.encode(version, &mut writer),
                AnyRequest::GetAll(request) => request.encode(version, &mut writer),
                AnyRequest::Auth(request) => request.encode(version, &mut writer),
                AnyRequest::Exec(request) => request.encode(version, &mut writer),
                AnyRequest::IterationStart(request) => request.encode(version, &mut writer),
                AnyRequest::IterationNext(request) => request.encode(version, &mut writer),
                AnyRequest::Ping(request) => request.encode(version, &mut writer),
                _ => continue,
            }
            assert_eq!(writer.bytes(), decoded.bytes, "{client}: {}", decoded.request.name());
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} requests");
}

#[test]
fn a_put_all_of_ten_megabytes_is_read_at_most_three_times_however_it_arrives() {
    for (count, value) in [(400_000_u32, 8), (9_000, 1_000), (2, 4_900_000)] {
        let elements = elements(count, value);
        let request = PutAll {
            expiration: crate::RequestExpiration::NEVER,
            entries: Reader::new(&elements, Limits::NONE).arrays(count, &["key", "value"]).unwrap(),
        };
        let bytes = message(&request);
        for step in [1, 1_448] {
            let mut decoder = Decoder::default();
            for (index, piece) in bytes.chunks(step).enumerate() {
                decoder.push(piece);
                let decoded = decoder.next_request().unwrap();
                let last = (index + 1) * step >= bytes.len();
                assert_eq!(decoded.is_some(), last, "after piece {index} of {step} bytes");
                if let Some(Decoded { request: AnyRequest::PutAll(request), .. }) = decoded {
                    assert_eq!(request.entries.pairs().count(), count as usize);
                }
            }
            // A caller that visits the entries reads them once more.
            let visited = decoder.visited() + bytes.len() as u64;
            let len = bytes.len() as u64;
            assert!(visited <= 3 * len, "{visited} of {len} bytes, {count} entries, {step} a time");
        }
    }
}

#[test]
fn chunks_and_changes_of_a_megabyte_are_read_at_most_three_times_however_they_arrive() {
    // PUT_STREAM of "k", endless, with any version; 500,000 chunks, and the last.
    let chunks = hex!("01 76").repeat(500_000);
    let stream =
        [&header_bytes(0x39)[..], &hex!("01 6B 88 00 00 00 00 00 00 00 00"), &chunks, &[0]];
    // PREPARE_TX in one phase; 200,000 changes: "k" did not exist and gets "v".
    let changes = hex!("01 6B 02 88 01 76").repeat(200_000);
    let transaction =
        [&header_bytes(0x3B)[..], &hex!("00 01 67 01 62 01"), &hex!("C0 9A 0C"), &changes];
    for (name, bytes) in [("PUT_STREAM", stream.concat()), ("PREPARE_TX", transaction.concat())] {
        // The fields before the elements are read on each attempt.
        for step in [64, 1_448] {
            let mut decoder = Decoder::default();
            for (index, piece) in bytes.chunks(step).enumerate() {
                decoder.push(piece);
                let decoded = decoder.next_request().unwrap();
                let last = (index + 1) * step >= bytes.len();
                let read = decoded.map(|decoded| decoded.request.name());
                assert_eq!(read, last.then_some(name), "after piece {index} of {step} bytes");
            }
            let (visited, len) = (decoder.visited(), bytes.len() as u64);
            assert!(visited <= 3 * len, "{name}: {visited} of {len} bytes, {step} a time");
        }
    }
}

fn elements(count: u32, value: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    let value = vec![b'v'; value];
    for key in 0..count {
        writer.array(&key.to_be_bytes());
        writer.array(&value);
    }
    writer.into_bytes()
}

#[test]
fn what_is_longer_than_allowed_is_refused_before_it_arrives() {
    let refusal = |bytes: &[u8]| {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        decoder.next_request().expect_err("not refused").to_string()
    };
    let start = &message(&Get { key: b"" })[..];
    let start = &start[..start.len() - 1];
    let two_gibibytes = hex!("80 80 80 80 08");
    let key = [start, &two_gibibytes].concat();
    assert_eq!(refusal(&key), "the key of 2147483648 bytes is longer than 65536 bytes");

    let put = Put(crate::op::NewEntry {
        key: b"k",
        expiration: crate::RequestExpiration::NEVER,
        value: b"",
    });
    let put = message(&put);
    let value = [&put[..put.len() - 1], &two_gibibytes].concat();
    assert_eq!(refusal(&value), "the value of 2147483648 bytes is longer than 10000000 bytes");

    let name = [&hex!("A0 05 29 03"), &hex!("80 02")[..]].concat();
    assert_eq!(refusal(&name), "the cache name of 256 bytes is longer than 255 bytes");

    let count = [
        &message(&PutAll { expiration: crate::RequestExpiration::NEVER, entries: none() }),
        &[][..],
    ]
    .concat();
    let count = [&count[..count.len() - 1], &hex!("FF FF FF FF 0F")].concat();
    assert!(refusal(&count).starts_with("the request of 8589934"), "{}", refusal(&count));

    // A value that is short enough itself, but not behind its header and key.
    let value = [&put[..put.len() - 1], &hex!("F0 AC E2 04")].concat();
    assert_eq!(refusal(&value), "the request of 10000010 bytes is longer than 10000000 bytes");
}

fn none() -> crate::Arrays<'static> {
    Reader::new(b"", Limits::NONE).arrays(0, &["key", "value"]).unwrap()
}

#[test]
fn bytes_that_are_no_request_are_named() {
    let refused = |bytes: &[u8]| {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        let refused = decoder.next_request().expect_err("not refused");
        (refused.message_id, refused.error.to_string())
    };
    let table: [(&[u8], u64, &str); 8] = [
        (&hex!("47 45 54"), 0, "a message begins with byte 0xA0, not 0x47"),
        (&hex!("A0 05 0D 03"), 5, "protocol version 1.3 is not supported, 2.0 to 4.1 are"),
        (
            &hex!("A0 FF FF FF FF FF FF FF FF FF FF"),
            0,
            "the message id is a number of more than 10 bytes",
        ),
        (&hex!("A0 05 29 03 01 FF"), 5, "the cache name is not UTF-8"),
        (&hex!("A0 05 29 03 00 80 80 80 80 10"), 5, "the flags is a number of more than 5 bytes"),
        (&hex!("A0 05 29 03 00 00 01 00 07"), 5, "the kind of media type cannot be 7"),
        (&hex!("A0 05 29 99 00 00 01 00 00 00 00"), 5, "unknown operation 0x99"),
        (
            &hex!("A0 05 29 01 00 00 01 00 00 00 00 01 6B 97"),
            5,
            "the unit of a duration cannot be 9",
        ),
    ];
    for (bytes, message_id, text) in table {
        assert_eq!(refused(bytes), (message_id, text.to_owned()));
    }
}

#[test]
fn an_operation_that_is_not_done_yet_is_read_whole_and_the_next_one_follows() {
    // COUNTER_ADD_AND_GET of "c" by 1, then a GET.
    let counter = [&header_bytes(0x52)[..], &hex!("01 63 00 00 00 00 00 00 00 01")].concat();
    let bytes = [counter, message(&Get { key: b"k" })].concat();
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    let later = decoder.next_request().unwrap().unwrap().request;
    assert_eq!((later.name(), later.permission()), ("COUNTER_ADD_AND_GET", Permission::Write));
    assert_eq!(decoder.next_request().unwrap().unwrap().request.name(), "GET");
}

fn header_bytes(opcode: u8) -> Vec<u8> {
    let mut writer = Writer::default();
    header(opcode).encode(&mut writer);
    writer.into_bytes()
}

#[test]
fn no_bytes_make_the_decoder_panic_or_keep_more_than_it_was_given() {
    let mut corpus: Vec<Vec<u8>> = recorded::exchanges().map(|exchange| exchange.request).collect();
    corpus.extend(recorded::client_streams().map(|(_, bytes)| bytes));
    crate::fuzz::mutations(&corpus, 20_000, 0x1234_5678, crate::fuzz::requests);
}

#[test]
fn memory_grows_with_the_bytes_that_arrive_up_to_the_length_of_their_request() {
    const ROOM: usize = 8 * 1024;
    let entry = crate::op::NewEntry {
        key: b"k",
        value: &vec![7; 1_000_000],
        expiration: crate::RequestExpiration::NEVER,
    };
    let put = message(&Put(entry));
    let mut decoder = Decoder::default();
    let mut arrived = 0;
    for part in put.chunks(ROOM) {
        let wanted = decoder.wanted(ROOM);
        decoder.room(ROOM).extend_from_slice(part);
        assert!(decoder.capacity() <= wanted, "what is reserved is enough");
        assert!(decoder.capacity() <= 2 * arrived + ROOM, "no memory on the word of a length");
        arrived += part.len();
        let whole = decoder.next_request().unwrap().is_some();
        assert_eq!(whole, arrived == put.len());
        assert!(whole || decoder.wanted(0) >= put.len(), "its length is known");
    }
    decoder.shrink(ROOM);
    assert!(decoder.capacity() <= ROOM && decoder.wanted(0) <= ROOM);
}
