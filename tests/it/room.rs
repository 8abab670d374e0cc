//! Writes and connections for which there is no room.

use client::RequestExpiration;
use config::{MemoryLimit, ServerFile};
use hotrod::{
    MediaTypeRef, RequestHeader, Status,
    op::{Operation, PutAll},
};
use tokio::net::TcpStream;

use crate::{
    connection::{self, Wire, header},
    harness::{ServerProcess, TestServer, eventually},
};

/// Sends a PUT_ALL to the cache `c`, and returns what the server says.
async fn put_all(
    server: &TestServer,
    entries: &[(Vec<u8>, Vec<u8>)],
    value_type: MediaTypeRef<'_>,
) -> (Status, String) {
    let header = RequestHeader { value_type, ..header(PutAll::REQUEST, "c") };
    let mut wire = Wire::connect(server).await;
    wire.send(&connection::put_all(&header, entries)).await;
    wire.status().await
}

/// Entries that are not there yet.
fn entries(of: &str, count: usize, len: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count).map(|number| (format!("{of}{number}").into_bytes(), vec![7; len])).collect()
}

#[tokio::test]
async fn a_put_all_that_exceeds_the_memory_limit_stores_nothing() {
    let max_memory = Some(MemoryLimit::Bytes(8_000_000));
    let server = TestServer::start_with(ServerFile { max_memory, ..ServerFile::default() }).await;
    let cache = server.cache("c").await;
    let never = RequestExpiration::NEVER;
    let mut count = 0_u32;
    while cache.put(&count.to_be_bytes(), &[7; 5_000], never).await.is_ok() {
        count += 1;
    }
    for key in 0_u32..20 {
        cache.remove(&key.to_be_bytes()).await.unwrap();
    }
    let before = server.rest.get("/rest/v2/caches/c?action=size").await.text().to_owned();
    // Few are written at once, and many by a request that waits.
    for many in [40, 100] {
        let (status, text) =
            put_all(&server, &entries("a", many, 5_000), MediaTypeRef::Unspecified).await;
        assert_eq!(status, Status::ServerError);
        let none = format!("is reached; none of the {many} entries is stored");
        assert!(
            text.contains("the memory limit of 4000000 bytes for entries") && text.ends_with(&none),
            "{text}"
        );
        assert_eq!(server.rest.get("/rest/v2/caches/c?action=size").await.text(), before);
    }
    let (status, text) =
        put_all(&server, &entries("b", 10, 5_000), MediaTypeRef::Unspecified).await;
    assert_eq!(status, Status::Success, "{text}");
    // What replaces an entry of its size takes no more.
    let replaced = (20_u32..70).map(|key| (key.to_be_bytes().to_vec(), vec![8; 5_000]));
    let (status, text) =
        put_all(&server, &replaced.collect::<Vec<_>>(), MediaTypeRef::Unspecified).await;
    assert_eq!(status, Status::Success, "{text}");
    assert_eq!(cache.get(&69_u32.to_be_bytes()).await.unwrap(), Some(vec![8; 5_000].into()));
    server.stop().await;
}

#[tokio::test]
async fn a_put_all_that_exceeds_the_bound_of_a_cache_that_refuses_stores_nothing() {
    let server = TestServer::start().await;
    let bounded = r#"{"local-cache":{"memory":{"max-count":10,"when-full":"EXCEPTION"}}}"#;
    let cache = server.cache_of("c", bounded).await;
    let eight = entries("a", 8, 1);
    assert_eq!(put_all(&server, &eight, MediaTypeRef::Unspecified).await.0, Status::Success);
    let (status, text) = put_all(&server, &entries("b", 3, 1), MediaTypeRef::Unspecified).await;
    assert_eq!(status, Status::ServerError);
    assert!(text.ends_with("the cache is full; none of the 3 entries is stored"), "{text}");
    assert_eq!(server.rest.get("/rest/v2/caches/c?action=size").await.text(), "8");
    // Eight are there, and two come.
    let ten = [eight, entries("b", 2, 1)].concat();
    let (status, text) = put_all(&server, &ten, MediaTypeRef::Unspecified).await;
    assert_eq!(status, Status::Success, "{text}");
    assert_eq!(server.rest.get("/rest/v2/caches/c?action=size").await.text(), "10");
    assert!(cache.get(b"b1").await.unwrap().is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_put_all_that_fails_in_the_middle_says_what_it_has_stored() {
    let server = TestServer::start().await;
    let text = r#"{"local-cache":{"encoding":{"media-type":"text/plain"}}}"#;
    let cache = server.cache_of("c", text).await;
    let protostream = MediaTypeRef::Named("application/x-protostream");
    let pair = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let mut given = vec![pair("a", b"\x4a\x01v"), pair("b", b"?"), pair("c", b"\x4a\x01w")];
    let (status, text) = put_all(&server, &given, protostream).await;
    assert_eq!(status, Status::ServerError, "{text}");
    assert!(text.ends_with("of the 3 entries, only the first in the request is stored"), "{text}");
    given.insert(1, pair("d", b"\x4a\x01x"));
    let (_, text) = put_all(&server, &given, protostream).await;
    assert!(
        text.ends_with("of the 4 entries, only the first 2 in the request are stored"),
        "{text}"
    );
    assert!(cache.get(b"d").await.unwrap().is_some() && cache.get(b"c").await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_put_all_without_room_is_refused_whatever_follows_the_entries_that_are_too_many() {
    let server = TestServer::start().await;
    let bounded = r#"{"local-cache":{"encoding":{"media-type":"text/plain"},
        "memory":{"max-count":10,"when-full":"EXCEPTION"}}}"#;
    let cache = server.cache_of("c", bounded).await;
    let protostream = MediaTypeRef::Named("application/x-protostream");
    let value = |index, wrong| if index == wrong { &b"?"[..] } else { b"\x4a\x01v" };
    // Few are written at once, and many by a request that waits.
    for many in [20, 100] {
        for wrong in [5, 15] {
            let entry = |index| (format!("{index}").into_bytes(), value(index, wrong).to_vec());
            let given: Vec<_> = (0..many).map(entry).collect();
            let (status, text) = put_all(&server, &given, protostream).await;
            assert_eq!(status, Status::ServerError, "{text}");
            let none = format!("; none of the {many} entries is stored");
            assert!(text.ends_with(&none), "{text}");
            assert_eq!(text.contains("the cache is full"), wrong == 15, "{text}");
        }
    }
    assert_eq!(cache.size().await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test]
async fn running_out_of_file_descriptors_is_logged_with_what_to_raise_and_passes() {
    let server = ServerProcess::start_with_files(&[], 64).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        // Those beyond the limit wait in the queue of the listener.
        streams.push(TcpStream::connect(server.address).await.unwrap());
    }
    eventually("it is logged", || async {
        let log = server.later_log();
        let said = ["all 64 file descriptors", "ulimit -n"].iter().all(|part| log.contains(part));
        said.then_some(())
    })
    .await;
    drop(streams);
    server.rest.get("/rest/v2/caches").await.with(200);
    let log = server.later_log();
    assert_eq!(log.lines().filter(|line| line.contains("cannot accept")).count(), 1, "{log}");
    assert!(server.terminate().await.success());
}
