//! Requests that one connection sends without waiting for answers: those about one key are carried out in
//! the order in which they were sent, and nobody else waits for them.

use client::RequestExpiration;
use hotrod::{
    Limits, MediaTypeRef, ProtocolVersion, Reader, RequestHeader, Status, Writer,
    op::{self, Operation, Response},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    connection::{self, Wire, header, message, to_c},
    harness::{TestServer, eventually, source_document},
    migration::{Scene, key},
};

const NEVER: RequestExpiration = RequestExpiration::NEVER;

/// JSON, by its number.
const JSON: MediaTypeRef<'_> = MediaTypeRef::Known(2);

fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> op::NewEntry<'a> {
    op::NewEntry { key, expiration: NEVER, value }
}

fn replace(key: &[u8], value: &[u8]) -> Vec<u8> {
    to_c(&op::Replace(entry(key, value)))
}

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    to_c(&op::Put(entry(key, value)))
}

pub(super) fn put_all(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    connection::put_all(&header(op::PutAll::REQUEST, "c"), entries)
}

fn get_all(keys: &[&[u8]]) -> Vec<u8> {
    let mut arrays = Writer::default();
    keys.iter().for_each(|key| arrays.array(key));
    let mut reader = Reader::new(arrays.bytes(), Limits::NONE);
    let count = u32::try_from(keys.len()).unwrap();
    to_c(&op::GetAll { keys: reader.arrays(count, &["key"]).unwrap() })
}

async fn got(wire: &mut Wire) -> Option<Vec<u8>> {
    let got = wire.answer(|status, reader| {
        let got = op::Got::decode(status, ProtocolVersion::V4_1, reader)?;
        Ok(got.0.map(|value| value.get().to_vec()))
    });
    got.await.1
}

async fn got_all(wire: &mut Wire) -> Vec<Vec<u8>> {
    let got = wire.answer(|status, reader| {
        let got = op::GotAll::decode(status, ProtocolVersion::V4_1, reader)?;
        let mut values: Vec<_> = got.0.pairs().map(|(_, value)| value.to_vec()).collect();
        values.sort();
        Ok(values)
    });
    got.await.1
}

pub(super) async fn count(wire: &mut Wire) -> u64 {
    let count = wire.answer(|status, reader| {
        op::Count::decode(status, ProtocolVersion::V4_1, reader).map(|count| count.0)
    });
    count.await.1
}

pub(super) async fn succeeded(wire: &mut Wire) {
    let (status, text) = wire.status().await;
    assert_eq!(status, Status::Success, "{text}");
}

/// Waits until the source is being asked for so many keys.
pub(super) async fn asked(scene: &Scene, keys: u64) {
    eventually("the source is asked", || async {
        let status = scene.target.rest.migration("c").await;
        (status["readThrough"]["inFlight"] == keys).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_put_that_was_sent_after_a_conditional_change_has_the_last_word() {
    const PAIRS: u32 = 50;
    let scene = Scene::connected(PAIRS).await;
    let mut wire = Wire::connect(&scene.target).await;
    for number in 0..PAIRS {
        let key = key(number);
        let put_if_absent = to_c(&op::PutIfAbsent(entry(&key, b"first")));
        let (first, expected) = match number % 3 {
            0 => (replace(&key, b"first"), Status::Success),
            1 => (put_if_absent, Status::NotExecuted),
            _ => (to_c(&op::Remove { key: &key }), Status::Success),
        };
        wire.send(&[first, put(&key, b"second"), to_c(&op::Get { key: &key })].concat()).await;
        assert_eq!(wire.status().await.0, expected, "{number}: the answers keep the order as well");
        succeeded(&mut wire).await;
        assert_eq!(got(&mut wire).await.as_deref(), Some(&b"second"[..]), "{number}");
        assert_eq!(scene.to.get(&key).await.unwrap().as_deref(), Some(&b"second"[..]));
    }
    scene.stop().await;
}

#[tokio::test]
async fn requests_about_many_keys_and_a_clear_keep_their_place() {
    let scene = Scene::connected(10).await;
    let (one, other) = (&key(1)[..], &key(2)[..]);
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    let mut wire = Wire::connect(&scene.target).await;
    scene.relay.silence(true);
    let requests = [
        replace(one, b"first"),
        put_all(&[(one, b"second"), (b"new", b"n")]),
        get_all(&[one, b"new"]),
        to_c(&op::Clear),
        put(other, b"third"),
        to_c(&op::Size),
        put(one, b"fourth"),
    ];
    wire.send(&requests.concat()).await;
    asked(&scene, 1).await;
    assert_eq!(scene.to.get(b"own").await.unwrap().as_deref(), Some(&b"v"[..]), "not cleared yet");
    scene.relay.silence(false);
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(got_all(&mut wire).await, [b"n".to_vec(), b"second".to_vec()]);
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(count(&mut wire).await, 1);
    succeeded(&mut wire).await;
    assert_eq!(scene.to.get(one).await.unwrap().as_deref(), Some(&b"fourth"[..]));
    assert_eq!(scene.to.get(other).await.unwrap().as_deref(), Some(&b"third"[..]));
    assert_eq!(scene.to.get(b"own").await.unwrap(), None);
    scene.stop().await;
}

#[tokio::test]
async fn a_slow_miss_holds_up_no_other_key_and_no_other_connection() {
    let scene = Scene::connected(10).await;
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    let mut wire = Wire::connect(&scene.target).await;
    scene.relay.silence(true);
    let missing = key(1);
    wire.send(&[replace(&missing, b"first"), put(&missing, b"second")].concat()).await;
    asked(&scene, 1).await;
    let others = [
        to_c(&op::Get { key: b"own" }),
        put(b"own", b"w"),
        put_all(&[(b"more", b"1"), (b"own", b"x")]),
        get_all(&[b"own", b"more"]),
    ];
    wire.send(&others.concat()).await;
    assert_eq!(got(&mut wire).await.as_deref(), Some(&b"v"[..]));
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(got_all(&mut wire).await, [b"1".to_vec(), b"x".to_vec()]);
    asked(&scene, 1).await;
    // Another connection may write the key at any time.
    scene.to.put(&missing, b"theirs", NEVER).await.unwrap();
    scene.relay.silence(false);
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(scene.to.get(&missing).await.unwrap().as_deref(), Some(&b"second"[..]));
    scene.stop().await;
}

#[tokio::test]
async fn keys_are_compared_as_the_cache_stores_them() {
    let scene = Scene::connected(0).await;
    let config = r#"{"distributed-cache":{"encoding":{"media-type":"application/x-protostream"}}}"#;
    let from = scene.source.cache_of("p", config).await;
    from.put(b"\x4A\x01k", b"\x4A\x06source", NEVER).await.unwrap();
    let to = scene.target.cache_of("p", config).await;
    scene.target.connect("p", &source_document(scene.relay.address, "p")).await;
    let mut wire = Wire::connect(&scene.target).await;
    // The same key, once as it is stored and once as JSON.
    let replace = op::Replace(entry(b"\x4A\x01k", b"\x4A\x05first"));
    let (key, value) =
        (br#"{"_type":"string","_value":"k"}"#, br#"{"_type":"string","_value":"second"}"#);
    let json = RequestHeader { key_type: JSON, value_type: JSON, ..header(op::Put::REQUEST, "p") };
    let requests = [
        message(&header(op::Replace::REQUEST, "p"), &replace),
        message(&json, &op::Put(entry(key, value))),
    ];
    wire.send(&requests.concat()).await;
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(to.get(b"\x4A\x01k").await.unwrap().as_deref(), Some(&b"\x4A\x06second"[..]));
    scene.stop().await;
}

#[tokio::test]
async fn a_clear_and_a_size_keep_their_place_without_a_source() {
    let server = TestServer::start().await;
    server.cache("c").await;
    let mut wire = Wire::connect(&server).await;
    for _ in 0..20 {
        let many: Vec<_> = (0..200).map(key).collect();
        let many: Vec<_> = many.iter().map(|key| (&key[..], &b"1"[..])).collect();
        let requests = [
            put(b"before", b"v"),
            put_all(&many),
            put(&key(7), b"2"),
            to_c(&op::Get { key: &key(7) }),
            put(&key(7), b"3"),
            to_c(&op::Size),
            to_c(&op::Clear),
            to_c(&op::Size),
            put(b"after", b"v"),
            to_c(&op::Size),
            to_c(&op::Remove { key: b"after" }),
        ];
        wire.send(&requests.concat()).await;
        for _ in 0..3 {
            succeeded(&mut wire).await;
        }
        assert_eq!(got(&mut wire).await.as_deref(), Some(&b"2"[..]));
        succeeded(&mut wire).await;
        assert_eq!(count(&mut wire).await, 201);
        succeeded(&mut wire).await;
        assert_eq!(count(&mut wire).await, 0);
        succeeded(&mut wire).await;
        assert_eq!(count(&mut wire).await, 1);
        succeeded(&mut wire).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_that_wait_for_others_are_carried_out_in_their_order_although_their_client_has_left()
 {
    let scene = Scene::connected(10).await;
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    scene.target.cache("other").await;
    let missing = key(1);
    let mut gone = Wire::connect(&scene.target).await;
    // An iteration ends with its connection, and so shows when that is.
    let start = op::IterationStart {
        segments: None,
        converter: None,
        parameters: Vec::new(),
        batch: 1,
        with_metadata: false,
    };
    gone.send(&message(&header(op::IterationStart::REQUEST, "other"), &start)).await;
    let started = gone.answer(|status, reader| {
        let started = op::IterationStarted::decode(status, ProtocolVersion::V4_1, reader)?;
        Ok(started.id.to_owned())
    });
    let id = started.await.1;
    scene.relay.silence(true);
    gone.send(&[replace(&missing, b"gone"), to_c(&op::Clear), put(&missing, b"last")].concat())
        .await;
    asked(&scene, 1).await;
    drop(gone);
    let mut wire = Wire::connect(&scene.target).await;
    let next =
        message(&header(op::IterationNext::REQUEST, "other"), &op::IterationNext { id: &id });
    loop {
        wire.send(&next).await;
        let ended = wire.answer(|status, reader| {
            op::Batch::decode(status, ProtocolVersion::V4_1, reader).map(|batch| !batch.valid)
        });
        if ended.await.1 {
            break;
        }
    }
    assert_eq!(scene.to.get(&missing).await.unwrap().as_deref(), Some(&b"last"[..]));
    assert_eq!(scene.to.get(b"own").await.unwrap(), None, "cleared");
    wire.send(&[replace(&missing, b"first"), put(&missing, b"second")].concat()).await;
    scene.relay.silence(false);
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    assert_eq!(scene.to.get(&missing).await.unwrap().as_deref(), Some(&b"second"[..]));
    scene.stop().await;
}

#[tokio::test]
async fn keys_that_are_here_count_as_read_once_when_others_are_at_the_source() {
    let scene = Scene::connected(2).await;
    scene.to.put(b"own", b"v", NEVER).await.unwrap();
    let hits = async || {
        let stats = scene.target.rest.get("/rest/v2/caches/c?action=stats").await.with(200);
        serde_json::from_str::<serde_json::Value>(stats.text()).unwrap()["hits"].as_i64().unwrap()
    };
    let before = hits().await;
    let mut wire = Wire::connect(&scene.target).await;
    wire.send(&get_all(&[b"own", &key(0), &key(1)])).await;
    assert_eq!(got_all(&mut wire).await.len(), 3);
    assert_eq!(hits().await - before, 3);
    scene.stop().await;
}

#[tokio::test]
async fn http_requests_that_are_sent_at_once_keep_their_order() {
    let scene = Scene::connected(20).await;
    let mut stream = tokio::net::TcpStream::connect(scene.target.address()).await.unwrap();
    let request = |method: &str, key: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} /rest/v2/caches/c/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        )
    };
    let mut requests = String::new();
    for number in 0..20 {
        let key = format!("key%20{number}");
        requests += &request("PUT", &key, "If-Match: *\r\n", "first");
        requests += &request("PUT", &key, "", "second");
    }
    requests += &request("DELETE", "none", "Connection: close\r\n", "");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    for number in 0..20 {
        let value = scene.to.get(&key(number)).await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"second"[..]), "{number}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn many_requests_about_one_key_wait_for_a_silent_source_once() {
    let scene = Scene::connected(10).await;
    let mut wire = Wire::connect(&scene.target).await;
    scene.relay.silence(true);
    let (one, other) = (&key(1)[..], &key(2)[..]);
    let mut requests = Vec::new();
    for number in 0..30_u8 {
        requests.push(replace(one, &[number]));
        requests.push(to_c(&op::PutIfAbsent(entry(one, &[number]))));
        requests.push(get_all(&[one, other]));
        requests.push(to_c(&op::Get { key: one }));
    }
    let sent = requests.len();
    // What needs no word from the source is done all the same, and counts for those that come after it.
    requests.push(put(one, b"mine"));
    requests.push(replace(one, b"last"));
    wire.send(&requests.concat()).await;
    for number in 0..sent {
        let (status, text) = wire.status().await;
        assert_eq!(status, Status::ServerError, "{number}");
        assert!(text.contains("did not answer in time"), "{number}: {text}");
    }
    succeeded(&mut wire).await;
    succeeded(&mut wire).await;
    asked(&scene, 0).await;
    let status = scene.target.rest.migration("c").await;
    assert_eq!(status["readThrough"]["silent"], 1, "{status:#}");
    scene.relay.silence(false);
    assert_eq!(scene.to.get(one).await.unwrap().as_deref(), Some(&b"last"[..]));
    eventually("the source is heard again", || async { scene.to.get(other).await.ok() }).await;
    scene.stop().await;
}
