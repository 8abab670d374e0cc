//! Servers that are slow, stop answering, or die.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use client::{Client, ClientConfig, ClientError, ConnectionError, RequestExpiration};
use hotrod::op::AnyRequest;

use crate::fake::{Do, Fake, Store, eventually};

#[tokio::test]
async fn a_late_answer_is_not_waited_for_and_does_no_harm() {
    let (store, is_slow) = (Store::default(), Arc::new(AtomicBool::new(true)));
    store.put(b"k", b"v");
    let slow = Arc::clone(&is_slow);
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(_) if slow.load(Ordering::SeqCst) => {
            Do::SayLater(Duration::from_millis(150), store.answer(asked))
        }
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let hasty = cache.with_timeout(Duration::from_millis(50));
    match hasty.get(b"k").await.unwrap_err() {
        ClientError::TimedOut { server, operation, after, asked } => {
            assert_eq!((server, operation), (Some(fake.address.clone()), "GET"));
            assert_eq!((after, asked), (Duration::from_millis(50), true));
        }
        other => panic!("{other:?}"),
    }
    is_slow.store(false, Ordering::SeqCst);
    assert_eq!(cache.get(b"k").await.unwrap().unwrap(), "v");
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_connection_with_overdue_answers_is_closed() {
    let store = Store::default();
    store.put(b"k", b"v");
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(_) if asked.connection == 1 => Do::Nothing,
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let config = ClientConfig { timeout: Duration::from_millis(100), ..fake.config() };
    let cache = Client::connect(config).await.unwrap().cache("orders").await.unwrap();
    assert!(matches!(cache.get(b"k").await, Err(ClientError::TimedOut { asked: true, .. })));
    eventually(|| async { cache.get(b"k").await.is_ok_and(|value| value.is_some()) }).await;
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_server_killed_mid_answer_leaves_a_change_in_doubt_and_a_read_to_be_asked_again() {
    let store = Store::default();
    let written = store.clone();
    store.put(b"k", &[7; 1000]);
    let fake = Fake::start(move |asked| {
        let answer = store.answer(asked);
        match asked.request {
            AnyRequest::Get(_) if asked.connection == 1 => Do::SayAndClose(answer[..500].to_vec()),
            AnyRequest::Put(_) => Do::SayAndClose(answer[..3].to_vec()),
            _ => Do::Say(answer),
        }
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    assert_eq!(cache.get(b"k").await.unwrap().unwrap(), [7; 1000].as_slice());
    assert_eq!(fake.connections(), 2);

    let error = cache.put(b"new", b"v", RequestExpiration::NEVER).await.unwrap_err();
    let ClientError::InDoubt { operation, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*operation, "PUT");
    assert!(matches!(source, ConnectionError::Ended), "{source:?}");
    // In fact it was carried out, once.
    assert_eq!(written.len(), 2);
}

#[tokio::test]
async fn a_read_is_not_asked_again_for_ever() {
    let store = Store::default();
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(_) => Do::SayAndClose(Vec::new()),
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let error = cache.get(b"k").await.unwrap_err();
    assert!(matches!(error, ClientError::Lost { operation: "GET", .. }), "{error:?}");
    assert!(!error.is_in_doubt());
    // The first attempt and three retries.
    assert_eq!(fake.connections(), 4);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_and_found_again_when_it_is_back() {
    let fake = Fake::honest().await;
    let address = fake.address.clone();
    let cache = fake.client().await.cache("orders").await.unwrap();
    drop(fake);
    eventually(|| async { matches!(cache.get(b"k").await, Err(ClientError::Unreachable { .. })) })
        .await;
    let error = cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap_err();
    assert!(!error.is_in_doubt(), "{error:?}");

    let store = Store::default();
    let _back = Fake::at(&address.to_string(), move |asked| Do::Say(store.answer(asked))).await;
    eventually(|| async { cache.put(b"k", b"v", RequestExpiration::NEVER).await.is_ok() }).await;
}

#[tokio::test]
async fn an_unanswered_handshake_times_out() {
    let fake = Fake::start(|_| Do::Nothing).await;
    let config = ClientConfig { connect_timeout: Duration::from_millis(100), ..fake.config() };
    let error = Client::connect(config).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { operation: "PING", .. }), "{error:?}");
}
