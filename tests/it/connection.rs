//! Connections as their clients see them: what is answered, in what portions, and that nobody waits for
//! somebody else.

use std::time::Duration;

use client::{Item, Iterate, RequestExpiration};
use config::{LimitsFile, MemoryLimit, ServerFile};
use hotrod::{
    Changed, DecodeError, Flags, Intelligence, Limits, MediaTypeRef, ProtocolVersion, Reader,
    RequestHeader, ResponseHeader, Status, Writer,
    op::{self, Operation, Request, Response},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{OCTETS, TestServer},
    migration::{Scene, key},
};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// Says that something is broken, not how long something takes.
const LONGEST: Duration = Duration::from_secs(30);

/// JSON, by its number.
const JSON: MediaTypeRef<'_> = MediaTypeRef::Known(2);

/// A connection whose requests and answers are seen one by one.
pub(super) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

pub(super) fn header(opcode: u8, cache_name: &str) -> RequestHeader<'_> {
    RequestHeader {
        message_id: 7,
        version: ProtocolVersion::V4_1,
        opcode,
        cache_name,
        flags: Flags(0),
        intelligence: Intelligence::Basic,
        topology_id: 0,
        key_type: MediaTypeRef::Unspecified,
        value_type: MediaTypeRef::Unspecified,
    }
}

pub(super) fn message<'a, R: Request<'a> + Operation>(
    header: &RequestHeader<'_>,
    request: &R,
) -> Vec<u8> {
    let mut writer = Writer::default();
    header.encode(&mut writer);
    request.encode(header.version, &mut writer);
    writer.into_bytes()
}

/// A request to the cache `c`.
pub(super) fn to_c<'a, R: Request<'a> + Operation>(request: &R) -> Vec<u8> {
    message(&header(R::REQUEST, "c"), request)
}

/// A PUT_ALL with this header.
pub(super) fn put_all(
    header: &RequestHeader<'_>,
    entries: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)],
) -> Vec<u8> {
    let mut arrays = Writer::default();
    for (key, value) in entries {
        arrays.array(key.as_ref());
        arrays.array(value.as_ref());
    }
    let mut reader = Reader::new(arrays.bytes(), Limits::NONE);
    let count = u32::try_from(entries.len()).unwrap();
    let entries = reader.arrays(count, &["key", "value"]).unwrap();
    message(header, &op::PutAll { expiration: RequestExpiration::NEVER, entries })
}

impl Wire {
    pub(super) async fn connect(server: &TestServer) -> Self {
        Self::over(TcpStream::connect(server.address()).await.unwrap())
    }

    pub(super) fn over(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer, as `see` makes of its fields, and its length.
    pub(super) async fn answer<T>(
        &mut self,
        see: impl Fn(Status, &mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> (Status, T, usize) {
        loop {
            let mut reader = Reader::new(&self.received, Limits::NONE);
            let header = ResponseHeader::decode(&mut reader, Intelligence::Basic);
            match header.and_then(|header| Ok((header.status, see(header.status, &mut reader)?))) {
                Ok((status, seen)) => {
                    let len = reader.position();
                    self.received.drain(..len);
                    return (status, seen, len);
                }
                Err(DecodeError::Incomplete { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            let read = tokio::time::timeout(LONGEST, self.stream.read_buf(&mut self.received));
            assert!(read.await.unwrap().unwrap() > 0, "the server has left");
        }
    }

    /// Says that no more requests come; answers are still read.
    pub(super) async fn close_half(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Closes the connection so that the server sees it broken.
    pub(super) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Waits until the server has left, which must not have said anything more.
    pub(super) async fn end(mut self) {
        let read = tokio::time::timeout(LONGEST, self.stream.read_buf(&mut self.received));
        assert_eq!(read.await.unwrap().unwrap(), 0);
        assert!(self.received.is_empty());
    }

    /// Status and text of the next answer; no text unless it is an error.
    pub(super) async fn status(&mut self) -> (Status, String) {
        let (status, text, _) = self
            .answer(|status, reader| match status.is_error() {
                true => Ok(reader.text("error")?.to_owned()),
                false => Ok(String::new()),
            })
            .await;
        (status, text)
    }
}

#[tokio::test]
async fn requests_beyond_the_most_that_may_wait_are_answered_in_their_turn() {
    let limits = LimitsFile { max_in_flight: Some(1), ..LimitsFile::default() };
    let server = TestServer::start_with(ServerFile { limits, ..ServerFile::default() }).await;
    server.cache("c").await.put(b"k", b"v", NEVER).await.unwrap();
    let mut wire = Wire::connect(&server).await;
    wire.send(&to_c(&op::Size).repeat(3)).await;
    for _ in 0..3 {
        let count = wire.answer(|status, reader| {
            op::Count::decode(status, ProtocolVersion::V4_1, reader).map(|count| count.0)
        });
        assert_eq!(count.await.1, 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_with_as_many_connections_as_it_may_have_can_be_stopped() {
    let limits = LimitsFile { max_connections: Some(1), ..LimitsFile::default() };
    let server = TestServer::start_with(ServerFile { limits, ..ServerFile::default() }).await;
    let mut wire = Wire::connect(&server).await;
    // Not so much as a cache is needed to be told that it is missing.
    wire.send(&to_c(&op::Size)).await;
    assert_eq!(wire.status().await.0, Status::ParseError);
    tokio::time::timeout(LONGEST, server.stop()).await.expect("it stops");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_arrives_though_more_has_been_sent() {
    let server = TestServer::start().await;
    server.cache("c").await;
    let mut wire = Wire::connect(&server).await;
    let mut bytes = to_c(&op::ContainsKey { key: b"k" });
    // More than the operating system takes of it before it is read.
    bytes.extend(vec![0xFF; 12_000_000]);
    wire.send(&bytes).await;
    assert_eq!(wire.status().await.0, Status::KeyDoesNotExist);
    assert!(wire.status().await.0.is_error());
    // It has left, and has not thrown out what was on its way.
    wire.end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_change_is_answered_though_its_client_cannot_read_what_stood_there() {
    let server = TestServer::start().await;
    let config = r#"{"distributed-cache":{"encoding":{"media-type":"application/x-protostream"}}}"#;
    let raw = server.cache_of("c", config).await;
    let mut wire = Wire::connect(&server).await;
    let value = br#"{"_type":"int32","_value":1}"#;
    let entry = |key| op::NewEntry { key, expiration: NEVER, value };
    let asked = |opcode, flags| RequestHeader {
        value_type: JSON,
        flags: Flags(flags),
        ..header(opcode, "c")
    };
    let put = |flags| message(&asked(op::Put::REQUEST, flags), &op::Put(entry(b"k")));
    let remove = |flags| message(&asked(op::Remove::REQUEST, flags), &op::Remove { key: b"k" });
    let contains = message(&asked(op::ContainsKey::REQUEST, 0), &op::ContainsKey { key: b"k" });
    let absent = message(&asked(op::PutIfAbsent::REQUEST, 0), &op::PutIfAbsent(entry(b"k")));
    let get = message(&asked(op::Get::REQUEST, 0), &op::Get { key: b"k" });
    for (request, expected) in [
        (put(0), Status::Success),
        (remove(0), Status::Success),
        (contains, Status::Success),
        (absent, Status::NotExecuted),
        (get, Status::ServerError),
    ] {
        raw.put(b"k", b"\xFF no message", NEVER).await.unwrap();
        wire.send(&request).await;
        let (status, text) = wire.status().await;
        assert_eq!(status, expected, "{text}");
    }
    raw.put(b"k", b"\xFF no message", NEVER).await.unwrap();
    wire.send(&put(Flags::FORCE_RETURN_PREVIOUS)).await;
    let after = |status, reader: &mut Reader<'_>| {
        Changed::decode(status, ProtocolVersion::V4_1, reader)
            .map(|changed| matches!(changed, Changed::DoneAfter(None)))
    };
    let (status, nothing_shown, _) = wire.answer(after).await;
    assert_eq!((status, nothing_shown), (Status::SuccessWithPrevious, true));
    assert_ne!(raw.get(b"k").await.unwrap().unwrap(), &b"\xFF no message"[..], "it was written");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_of_an_iteration_is_sent_once_it_is_large() {
    let server = TestServer::start().await;
    let cache = server.cache_of("c", r#"{"distributed-cache":{"segments":1}}"#).await;
    for number in 0..64 {
        cache.put(&key(number), &[7; 300_000], NEVER).await.unwrap();
    }
    let mut wire = Wire::connect(&server).await;
    wire.send(&to_c(&op::IterationStart {
        segments: None,
        converter: None,
        parameters: Vec::new(),
        batch: 1_000,
        with_metadata: false,
    }))
    .await;
    let started = |status, reader: &mut Reader<'_>| {
        Ok(op::IterationStarted::decode(status, ProtocolVersion::V4_1, reader)?.id.to_owned())
    };
    let id = wire.answer(started).await.1;
    let mut entries = 0;
    loop {
        wire.send(&to_c(&op::IterationNext { id: &id })).await;
        let batch = |status, reader: &mut Reader<'_>| {
            Ok(op::Batch::decode(status, ProtocolVersion::V4_1, reader)?.entries.len())
        };
        let (_, batch, len) = wire.answer(batch).await;
        assert!(len < 1_500_000, "an answer of {len} bytes");
        if batch == 0 {
            break;
        }
        entries += batch;
    }
    assert_eq!(entries, 64);
    server.stop().await;
}

#[tokio::test]
async fn an_entry_that_cannot_be_converted_is_never_passed_over() {
    let server = TestServer::start().await;
    let config = r#"{"distributed-cache":{"segments":1,"encoding":{"media-type":"application/x-protostream"}}}"#;
    let raw = server.cache_of("c", config).await;
    let mut wire = Wire::connect(&server).await;
    let value = br#"{"_type":"int32","_value":1}"#;
    let as_json = |opcode| RequestHeader { value_type: JSON, ..header(opcode, "c") };
    for number in 0..20 {
        let key = key(number);
        let entry = op::NewEntry { key: &key, expiration: NEVER, value };
        wire.send(&message(&as_json(op::Put::REQUEST), &op::Put(entry))).await;
        assert_eq!(wire.status().await.0, Status::Success);
    }
    raw.put(b"bad", b"\xFF no message", NEVER).await.unwrap();
    for batch in [1, 7, 100] {
        let start = op::IterationStart {
            segments: None,
            converter: None,
            parameters: Vec::new(),
            batch,
            with_metadata: false,
        };
        wire.send(&message(&as_json(op::IterationStart::REQUEST), &start)).await;
        let started = |status, reader: &mut Reader<'_>| {
            Ok(op::IterationStarted::decode(status, ProtocolVersion::V4_1, reader)?.id.to_owned())
        };
        let id = wire.answer(started).await.1;
        let next = message(&as_json(op::IterationNext::REQUEST), &op::IterationNext { id: &id });
        let (mut given, mut errors) = (0, 0);
        while errors < 3 {
            wire.send(&next).await;
            let batch = |status, reader: &mut Reader<'_>| {
                if status != Status::Success {
                    return reader.text("error").map(|_| None);
                }
                let batch = op::Batch::decode(status, ProtocolVersion::V4_1, reader)?;
                assert!(batch.finished.is_empty(), "the segment is not finished");
                Ok(Some(batch.entries.len()))
            };
            match wire.answer(batch).await.1 {
                Some(entries) => {
                    assert!(entries > 0 && errors == 0, "{entries} after {errors} errors");
                    given += entries;
                }
                None => errors += 1,
            }
        }
        assert!(given <= 20, "the bad one is not among {given}");
        wire.send(&to_c(&op::IterationEnd { id: &id })).await;
        assert_eq!(wire.status().await.0, Status::Success);
    }
    server.stop().await;
}

#[tokio::test]
async fn large_answers_are_bounded_and_take_no_room_from_entries() {
    let max_memory = Some(MemoryLimit::Bytes(80_000_000));
    let server = TestServer::start_with(ServerFile { max_memory, ..ServerFile::default() }).await;
    let cache = server.cache("c").await;
    let mut full = 0;
    while cache.put(&key(full), &[7; 1_000_000], NEVER).await.is_ok() {
        full += 1;
    }
    assert!(full > 20, "{full} entries");
    let mut wire = Wire::connect(&server).await;
    let bulk_get = |status, reader: &mut Reader<'_>| {
        Ok(op::BulkGot::decode(status, ProtocolVersion::V4_1, reader)?.0.len())
    };
    for _ in 0..3 {
        wire.send(&to_c(&op::BulkGet { most: 0 })).await;
        let (status, text) = wire.status().await;
        assert_eq!(status, Status::ServerError);
        assert!(text.contains("would take more than 20000000 bytes"), "{text}");
        // What the refused answer took is free again, and a server that is full answers.
        wire.send(&to_c(&op::BulkGet { most: 15 })).await;
        assert_eq!(wire.answer(bulk_get).await.1, 15);
        let some = (0..10).map(key).collect::<Vec<_>>();
        assert_eq!(cache.get_all(some).await.unwrap().len(), 10);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bulk_get_gives_as_many_entries_as_it_is_asked_for() {
    let server = TestServer::start().await;
    let cache = server.cache_of("c", r#"{"distributed-cache":{"segments":1}}"#).await;
    let all = (0..1_000).map(|number| (key(number), b"v"));
    cache.put_all(all, NEVER).await.unwrap();
    let mut wire = Wire::connect(&server).await;
    for (most, expected) in [(1, 1), (5, 5), (100, 100), (5_000, 1_000), (0, 1_000)] {
        wire.send(&to_c(&op::BulkGet { most })).await;
        let count = |status, reader: &mut Reader<'_>| {
            Ok(op::BulkGot::decode(status, ProtocolVersion::V4_1, reader)?.0.len())
        };
        assert_eq!(wire.answer(count).await.1, expected, "of at most {most}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_changes_between_caches_sees_one_that_was_made_anew() {
    let server = TestServer::start().await;
    let names = ["a", "b", "c"];
    for name in names {
        server.cache(name).await.put(b"k", name.as_bytes(), NEVER).await.unwrap();
    }
    let mut wire = Wire::connect(&server).await;
    let get = |name| message(&header(op::Get::REQUEST, name), &op::Get { key: b"k" });
    let got = |status, reader: &mut Reader<'_>| {
        let got = op::Got::decode(status, ProtocolVersion::V4_1, reader)?;
        Ok(got.0.map(|value| value.get().to_vec()))
    };
    for name in names.into_iter().cycle().take(9) {
        wire.send(&get(name)).await;
        assert_eq!(wire.answer(got).await.1.as_deref(), Some(name.as_bytes()));
    }
    server.rest.delete("/rest/v2/caches/a").await.with(200);
    server.rest.post("/rest/v2/caches/a", OCTETS).await.with(200);
    for (name, expected) in [("b", Some(&b"b"[..])), ("a", None), ("b", Some(b"b"))] {
        wire.send(&get(name)).await;
        assert_eq!(wire.answer(got).await.1.as_deref(), expected, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nobody_elses_iteration_waiting() {
    let scene = Scene::connected(2_000).await;
    scene.to.put(b"large", &[7; 1_000_000], NEVER).await.unwrap();
    // So that the entries are not brought before the client has stopped reading.
    scene.relay.slow_down(100_000);
    let mut wire = Wire::connect(&scene.target).await;
    wire.send(&to_c(&op::IterationStart {
        segments: None,
        converter: None,
        parameters: Vec::new(),
        batch: 10,
        with_metadata: false,
    }))
    .await;
    // After each answer the server looks whether the iteration has got on.
    for _ in 0..20 {
        wire.send(&to_c(&op::ContainsKey { key: b"large" })).await;
        assert_eq!(wire.status().await.0, Status::Success);
    }
    wire.send(&to_c(&op::Get { key: b"large" }).repeat(64)).await;
    let others = async {
        let mut walk = scene.to.iterate(Iterate::default()).await.unwrap();
        let mut entries = 0;
        while let Some(item) = walk.next().await.unwrap() {
            entries += usize::from(matches!(item, Item::Entry { .. }));
        }
        entries
    };
    scene.relay.slow_down(0);
    let entries = tokio::time::timeout(LONGEST, others).await.expect("the iteration of another");
    assert_eq!(entries, 2_001);
    drop(wire);
    scene.stop().await;
}

#[tokio::test]
async fn metrics_forget_caches_that_are_gone_and_counts_that_were_reset() {
    let server = TestServer::start().await;
    server.cache("gone").await;
    let cache = server.cache("c").await;
    cache.put(b"k", b"v", NEVER).await.unwrap();
    let metrics = async || server.rest.get("/metrics").await.with(200).text().to_owned();
    let stores = |count| format!("godwit_cache_stores_total{{cache=\"c\"}} {count}\n");
    let before = metrics().await;
    assert!(before.contains("cache=\"gone\"") && before.contains(&stores(1)), "{before}");
    server.rest.delete("/rest/v2/caches/gone").await.with(200);
    server.rest.post("/rest/v2/caches/c?action=stats-reset", "").await.with(204);
    assert!(before.contains("# HELP godwit_cache_stores_total Writes\n"), "{before}");
    let after = metrics().await;
    assert!(!after.contains("cache=\"gone\"") && after.contains(&stores(0)), "{after}");
    server.stop().await;
}
