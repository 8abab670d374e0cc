//! Many concurrent operations on one connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use client::{Client, ClientConfig, ClientError, Iterate, RequestExpiration};
use hotrod::op::AnyRequest;
use parking_lot::Mutex;

use crate::fake::{Do, Fake, Store, eventually};

fn number(index: usize) -> [u8; 8] {
    index.to_be_bytes()
}

#[tokio::test]
async fn answers_in_reverse_order_reach_their_callers() {
    const MANY: usize = 100;
    let (store, answers) = (Store::default(), Mutex::new(Vec::new()));
    (0..MANY).for_each(|index| store.put(&number(index), format!("value {index}").as_bytes()));
    let fake = Fake::start(move |asked| {
        let answer = store.answer(asked);
        if !matches!(asked.request, AnyRequest::Get(_)) {
            return Do::Say(answer);
        }
        let mut answers = answers.lock();
        answers.push(answer);
        match answers.len() {
            MANY => Do::Say(answers.drain(..).rev().flatten().collect()),
            _ => Do::Nothing,
        }
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let gets = (0..MANY).map(|index| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&number(index)).await.unwrap().unwrap() })
    });
    for (index, get) in gets.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(get.await.unwrap(), format!("value {index}"));
    }
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn no_more_operations_are_under_way_than_there_are_places() {
    const PLACES: usize = 3;
    let (store, waiting, most) =
        (Store::default(), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let answers = Mutex::new(Vec::new());
    let fake = Fake::start(move |asked| {
        let answer = store.answer(asked);
        if !matches!(asked.request, AnyRequest::Get(_)) {
            return Do::Say(answer);
        }
        let now = waiting.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        let mut answers = answers.lock();
        answers.push(answer);
        if now < PLACES {
            return Do::Nothing;
        }
        // A fourth request would have to arrive now.
        waiting.store(0, Ordering::SeqCst);
        Do::SayLater(Duration::from_millis(20), answers.drain(..).flatten().collect())
    })
    .await;
    let config = ClientConfig { max_pending: PLACES, ..fake.config() };
    let cache = Client::connect(config).await.unwrap().cache("orders").await.unwrap();
    let gets = (0..5 * PLACES).map(|index| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&number(index)).await.unwrap() })
    });
    for get in gets.collect::<Vec<_>>() {
        assert_eq!(get.await.unwrap(), None);
    }
    assert_eq!(most.load(Ordering::SeqCst), PLACES);
}

#[tokio::test]
async fn an_abandoned_operation_leaves_the_connection_usable() {
    let (store, held) = (Store::default(), Mutex::new(Vec::new()));
    store.put(b"slow", b"late");
    store.put(b"fast", b"in time");
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(get) if get.key == b"slow" => {
            held.lock().extend(store.answer(asked));
            Do::Nothing
        }
        // The late response comes first, complete, before the one that the caller waits for.
        _ => Do::Say([std::mem::take(&mut *held.lock()), store.answer(asked)].concat()),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    for _ in 0..10 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), cache.get(b"slow")).await;
        assert!(given_up.is_err());
        assert_eq!(cache.get(b"fast").await.unwrap().unwrap(), "in time");
    }
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn small_and_large_values_come_back_as_they_were_written() {
    let fake = Fake::honest().await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    for len in [0, 1, 127, 128, 16_383, 16_384, 70_000, 3_000_000] {
        let value: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        cache.put(b"k", &value, RequestExpiration::NEVER).await.unwrap();
        assert!(cache.get(b"k").await.unwrap().unwrap() == value, "{len} bytes");
    }
    cache.put_all((0..50_u8).map(|key| ([key], [key; 3])), RequestExpiration::NEVER).await.unwrap();
    assert_eq!(cache.size().await.unwrap(), 51);
}

#[tokio::test]
async fn a_closed_client_says_so_and_its_connections_are_gone() {
    let store = Store::default();
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(_) => Do::Nothing,
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let client = fake.client().await;
    let cache = client.cache("orders").await.unwrap();
    let waiting = cache.clone();
    let waiting = tokio::spawn(async move { waiting.get(b"k").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fake.open(), 1);
    client.close().await;
    assert!(matches!(waiting.await.unwrap(), Err(ClientError::Closed)));
    assert!(matches!(cache.get(b"k").await, Err(ClientError::Closed)));
    assert!(matches!(cache.iterate(Iterate::default()).await, Err(ClientError::Closed)));
    eventually(|| async { fake.open() == 0 }).await;
}
