//! Iterations with a fake server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use client::{AnswerError, ClientError, Item, Iterate, Iteration, SegmentSet};
use hotrod::{
    Status, Writer,
    op::{
        AnyRequest, Batch, BatchEntry, IterationEnd, IterationEnded, IterationNext, IterationStart,
        IterationStarted,
    },
};
use parking_lot::Mutex;

use crate::fake::{Asked, Do, Fake, Store, eventually};

/// Starts a server that accepts every iteration and answers ITERATION_NEXT with `next`.
async fn server(next: impl Fn(&Asked<'_>) -> Do + Send + Sync + 'static) -> Fake {
    let store = Store::default();
    Fake::start(move |asked| match asked.request {
        AnyRequest::IterationStart(_) => {
            Do::Say(asked.answer::<IterationStart<'_>>(&IterationStarted { id: "17" }))
        }
        AnyRequest::IterationNext(next_asked) => {
            assert_eq!(next_asked.id, "17");
            next(asked)
        }
        AnyRequest::IterationEnd(_) => {
            Do::Say(asked.answer::<IterationEnd<'_>>(&IterationEnded(true)))
        }
        _ => Do::Say(store.answer(asked)),
    })
    .await
}

fn batch(asked: &Asked<'_>, segment: u32, keys: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let keys: Vec<_> = keys.into_iter().map(u32::to_be_bytes).collect();
    let entries = keys.iter().map(|key| BatchEntry { metadata: None, key, value: b"v" }).collect();
    let finished = [segment].into_iter().collect();
    asked.answer::<IterationNext<'_>>(&Batch { valid: true, finished, entries })
}

async fn walk(fake: &Fake, iterate: Iterate) -> Iteration {
    fake.client().await.cache("orders").await.unwrap().iterate(iterate).await.unwrap()
}

#[tokio::test]
async fn a_walk_has_a_connection_of_its_own_and_ends_with_an_empty_batch() {
    let turn = AtomicUsize::new(0);
    let fake = server(move |asked| {
        Do::Say(match turn.fetch_add(1, Ordering::SeqCst) {
            0 => batch(asked, 3, 0..3),
            1 => batch(asked, 4, 3..5),
            _ => batch(asked, 5, []),
        })
    })
    .await;
    let mut iteration = walk(&fake, Iterate { batch: 3, ..Iterate::default() }).await;
    assert_eq!((iteration.server(), fake.connections()), (&fake.address, 2));
    let (mut keys, mut finished) = (Vec::new(), SegmentSet::default());
    while let Some(item) = iteration.next().await.unwrap() {
        match item {
            Item::Entry { key, .. } => keys.push(u32::from_be_bytes(key[..].try_into().unwrap())),
            Item::Finished(segments) => {
                segments.iter().for_each(|segment| finished.insert(segment));
            }
        }
    }
    assert_eq!(keys, [0, 1, 2, 3, 4]);
    assert_eq!(finished, [3, 4, 5].into_iter().collect());
    assert_eq!(iteration.next().await.unwrap(), None);
    assert!(iteration.received() > 5 * 7);
    iteration.end().await.unwrap();
}

#[tokio::test]
async fn entries_come_while_their_batch_is_still_on_its_way() {
    let fake = server(|asked| {
        let whole = batch(asked, 3, 0..1_000);
        Do::Say(whole[..whole.len() - 1].to_vec())
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let hasty = cache.with_timeout(Duration::from_millis(100));
    let mut iteration = hasty.iterate(Iterate::default()).await.unwrap();
    for _ in 0..999 {
        assert!(matches!(iteration.next().await, Ok(Some(Item::Entry { .. }))));
    }
    // The last byte of the last entry never arrives.
    for _ in 0..2 {
        let error = iteration.next().await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { operation: "ITERATION_NEXT", .. }));
    }
}

#[tokio::test]
async fn a_slow_reader_slows_down_only_its_own_iteration() {
    const BATCHES: usize = 400;
    let (sent, turn) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let noted = Arc::clone(&sent);
    // A batch of one entry of 1 MiB.
    let fake = server(move |asked| {
        noted.fetch_add(1, Ordering::SeqCst);
        let value = vec![7; 1024 * 1024];
        let entries = match turn.fetch_add(1, Ordering::SeqCst) {
            BATCHES.. => Vec::new(),
            _ => vec![BatchEntry { metadata: None, key: b"k", value: &value }],
        };
        let finished = SegmentSet::default();
        Do::Say(asked.answer::<IterationNext<'_>>(&Batch { valid: true, finished, entries }))
    })
    .await;
    let client = fake.client().await;
    let cache = client.cache("orders").await.unwrap();
    let mut iteration = cache.iterate(Iterate::default()).await.unwrap();
    assert!(iteration.next().await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(100)).await;
    // No batch is requested before it is needed, and other operations go on.
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    cache.get(b"k").await.unwrap();
    let mut count = 1;
    while let Some(item) = iteration.next().await.unwrap() {
        count += usize::from(matches!(item, Item::Entry { .. }));
    }
    assert_eq!(count, BATCHES);
}

#[tokio::test]
async fn waiting_for_the_next_entry_can_be_cancelled_and_repeated() {
    let fake = server(|asked| Do::SayLater(Duration::from_millis(60), batch(asked, 0, 0..1))).await;
    let mut iteration = walk(&fake, Iterate::default()).await;
    let mut given_up = 0;
    let item = loop {
        match tokio::time::timeout(Duration::from_millis(10), iteration.next()).await {
            Ok(item) => break item.unwrap(),
            Err(_elapsed) => given_up += 1,
        }
    };
    assert!(matches!(item, Some(Item::Entry { .. })) && given_up > 1);
}

#[tokio::test]
async fn a_walk_that_the_server_forgot_says_so() {
    let fake = server(|asked| {
        let forgotten =
            Batch { valid: false, finished: SegmentSet::default(), entries: Vec::new() };
        Do::Say(asked.answer::<IterationNext<'_>>(&forgotten))
    })
    .await;
    let mut iteration = walk(&fake, Iterate::default()).await;
    for _ in 0..2 {
        let error = iteration.next().await.unwrap_err();
        assert!(
            matches!(&error, ClientError::InvalidIteration { server } if *server == fake.address)
        );
    }
}

#[tokio::test]
async fn a_server_that_dies_leaves_a_walk_to_be_begun_again() {
    let fake = server(|asked| {
        let mut whole = batch(asked, 0, 0..10);
        whole.truncate(whole.len() - 3);
        Do::SayAndClose(whole)
    })
    .await;
    let mut iteration = walk(&fake, Iterate::default()).await;
    for _ in 0..9 {
        assert!(matches!(iteration.next().await, Ok(Some(Item::Entry { .. }))));
    }
    let error = iteration.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Lost { operation: "ITERATION_NEXT", .. }), "{error:?}");
}

#[tokio::test]
async fn a_batch_that_never_ends_is_refused() {
    let fake = server(|asked| {
        let mut endless = Writer::default();
        endless.raw(&batch(asked, 0, []));
        endless.truncate(endless.len() - 1);
        endless.raw(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x01]);
        (0..10_000).for_each(|_| endless.raw(&[0, 1, b'k', 1, b'v']));
        Do::Say(endless.into_bytes())
    })
    .await;
    let mut iteration = walk(&fake, Iterate { batch: 100, ..Iterate::default() }).await;
    let error = iteration.next().await.unwrap_err();
    let ClientError::Protocol { source: AnswerError::Decode(source), .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "the number of entries cannot be 4294967295");
}

#[tokio::test]
async fn options_are_sent_as_given() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, store) = (Arc::clone(&asked), Store::default());
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::IterationStart(start) => {
            noted.lock().push(format!("{start:?}"));
            let status = match start.batch {
                9 => Status::NodeSuspected,
                _ => Status::ParseError,
            };
            Do::Say(asked.error(status, "CacheNotFoundException: or so"))
        }
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let iterate = Iterate {
        segments: Some([1, 2].into_iter().collect()),
        batch: 0,
        with_metadata: true,
        keys_only: true,
        server: Some(fake.address.clone()),
    };
    let error = cache.iterate(iterate.clone()).await.unwrap_err();
    assert!(matches!(error, ClientError::NoSuchCache { .. }), "{error:?}");
    // It is for the caller to start again.
    let error = cache.iterate(Iterate { batch: 9, ..iterate }).await.unwrap_err();
    assert!(matches!(error, ClientError::Server { status: Status::NodeSuspected, .. }));
    let asked = asked.lock();
    assert_eq!(asked.len(), 2);
    for part in
        ["bytes: [6]", "ToEmptyBytesKeyValueFilterConverter", "batch: 1,", "with_metadata: true"]
    {
        assert!(asked[0].contains(part), "{part} in {}", asked[0]);
    }
}

#[tokio::test]
async fn a_walk_that_is_dropped_closes_its_connection() {
    let fake = server(|asked| Do::Say(batch(asked, 0, 0..1))).await;
    let client = fake.client().await;
    let cache = client.cache("orders").await.unwrap();
    let mut iteration = cache.iterate(Iterate::default()).await.unwrap();
    iteration.next().await.unwrap();
    assert_eq!(fake.open(), 2);
    drop(iteration);
    eventually(|| async { fake.open() == 1 }).await;
    drop((client, cache));
    eventually(|| async { fake.open() == 0 }).await;
}
