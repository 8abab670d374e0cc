//! Clients that end their connection: what they sent before is carried out, and answered if they still read.

use client::RequestExpiration;
use hotrod::{Status, op};

use crate::{
    connection::{Wire, to_c},
    harness::{TestServer, eventually},
    migration::{Scene, key},
    order::{count, put_all, succeeded},
};

/// Each connection ends a little differently.
const ROUNDS: u32 = 10;

/// More than a server writes or removes in one go.
const MANY: u32 = 3_000;

/// A request that writes many entries.
fn put_many() -> Vec<u8> {
    let keys: Vec<_> = (0..MANY).map(key).collect();
    put_all(&keys.iter().map(|key| (&key[..], &b"v"[..])).collect::<Vec<_>>())
}

/// A server with the cache `c`, and nothing in it.
async fn empty() -> TestServer {
    let server = TestServer::start().await;
    server.cache("c").await;
    server
}

/// A connection on which these requests were sent at once.
async fn sent(server: &TestServer, requests: &[Vec<u8>]) -> Wire {
    let mut wire = Wire::connect(server).await;
    wire.send(&requests.concat()).await;
    wire
}

/// Waits until the cache of the server has so many entries.
async fn holds(server: &TestServer, entries: u32) {
    let cache = server.client().await.cache("c").await.unwrap();
    eventually(&format!("{entries} entries"), || async {
        (cache.size().await.ok()? == u64::from(entries)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_gets_every_answer() {
    let server = empty().await;
    for _ in 0..ROUNDS {
        let size = to_c(&op::Size);
        let requests = [put_many(), size.clone(), to_c(&op::Clear), size];
        let mut wire = sent(&server, &requests).await;
        wire.close_half().await;
        succeeded(&mut wire).await;
        assert_eq!(count(&mut wire).await, u64::from(MANY));
        succeeded(&mut wire).await;
        assert_eq!(count(&mut wire).await, 0);
        wire.end().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_sent_is_done_to_its_end_although_it_has_left() {
    let server = empty().await;
    for round in 0..ROUNDS {
        for (request, left) in [(put_many(), MANY), (to_c(&op::Clear), 0)] {
            // Once it answers, it reads what comes next.
            let mut wire = sent(&server, &[to_c(&op::Get { key: b"none" })]).await;
            assert_eq!(wire.status().await.0, Status::KeyDoesNotExist);
            wire.send(&request).await;
            match round % 2 {
                0 => drop(wire),
                _ => wire.reset(),
            }
            holds(&server, left).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_a_request_take_nothing_back() {
    let server = empty().await;
    for _ in 0..ROUNDS {
        let requests = [put_many(), to_c(&op::Clear), b"??".to_vec()];
        let mut wire = sent(&server, &requests).await;
        succeeded(&mut wire).await;
        succeeded(&mut wire).await;
        let (status, text) = wire.status().await;
        assert_eq!(status, Status::InvalidMagic, "{text}");
        wire.end().await;
        holds(&server, 0).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_clear_is_whole_or_nothing_although_its_client_leaves_while_there_is_a_source() {
    for round in 0..4 {
        let scene = Scene::connected(100).await;
        let all = (100..MANY).map(|number| (key(number), b"here".to_vec()));
        scene.to.put_all(all, RequestExpiration::NEVER).await.unwrap();
        scene.to.get(&key(1)).await.unwrap().unwrap();
        let mut wire = sent(&scene.target, &[to_c(&op::Clear)]).await;
        match round % 2 {
            0 => drop(wire),
            _ => wire.close_half().await,
        }
        holds(&scene.target, 0).await;
        for number in [1, 2, 100, MANY - 1] {
            assert_eq!(scene.to.get(&key(number)).await.unwrap(), None, "{number}");
        }
        assert_eq!(scene.target.rest.migration("c").await["state"], "SYNCED");
        scene.stop().await;
    }
}

#[tokio::test]
async fn many_entries_are_written_to_the_last_beside_a_source() {
    let scene = Scene::connected(100).await;
    let mut wire = sent(&scene.target, &[put_many()]).await;
    wire.close_half().await;
    succeeded(&mut wire).await;
    wire.end().await;
    assert_eq!(scene.target.synchronize("c").await, 0, "all of the source was replaced");
    holds(&scene.target, MANY).await;
    scene.stop().await;
}
