//! Requests about many keys that have to wait in the middle.

use cluster::MetaCommand;
use config::{CacheConfig, CacheMode, ServerFile};
use hotrod::{
    Decoder, Flags, Intelligence, MediaTypeRef, ProtocolVersion, RequestExpiration, RequestHeader,
    op::Operation,
};
use store::{Cache, ConnectionId, Link, SourceSpace, Timestamp};

use super::{
    super::{
        order::{Keys, Order},
        samples,
        session::Session,
        slow::{self, Deferred},
    },
    *,
};
use crate::{hotrod::scope::Taken, node::Node};

#[tokio::test]
async fn a_put_all_that_waits_in_the_middle_goes_on_where_it_was() {
    let (node, cache) = samples::with_cache().await;
    // The fact that clients write here is just being recorded: one segment knows of it already.
    cache.connect(&Link::new(ConnectionId(1), SourceSpace::Unit, Timestamp::default()));
    assert_ne!(cache.segment_of(b"a"), cache.segment_of(b"b"));
    cache.segment(cache.segment_of(b"a")).mark();

    let mut decoder = Decoder::default();
    decoder.push(&put_all(&[(b"a", b"1"), (b"b", b"2")]));
    let mut session = session(&node);
    let (decoded, mut order) = (decoder.next_request().unwrap().unwrap(), Order::default());
    let now = Timestamp::from_millis(1_000);
    let taken = session.take(&decoded, now, &order, &mut Writer::default());
    let Taken::Waits { claim, done } = taken else { panic!("it need not wait") };
    assert!(matches!(done, Done::Written(1)));
    assert_eq!(value(&cache, b"a").as_deref(), Some(&b"1"[..]));

    let theirs = Command::write(b"a", b"theirs", Expiration::NEVER);
    let _ = cache.execute(&theirs, now, &mut |_: Outcome<'_>| ()).unwrap();
    cache.mark();
    let (ticket, _) = order.defer(claim);
    let scope = session.scope();
    slow::answer(ticket, Deferred { scope, bytes: decoded.bytes.into(), done, only_reads: false })
        .await;
    assert_eq!(value(&cache, b"a").as_deref(), Some(&b"theirs"[..]), "it is not written twice");
    assert_eq!(value(&cache, b"b").as_deref(), Some(&b"2"[..]));
}

/// A connection from this machine.
fn session(node: &Arc<Node>) -> Session {
    let share = node.budget.share(([127, 0, 0, 1], 1).into());
    Session::new(Arc::clone(node), share, ([127, 0, 0, 1], 0).into())
}

/// A member with the cache `c` that refuses more entries than these, and has them.
async fn full_cache(keys: &[[u8; 4]]) -> (Arc<Node>, Arc<Cache>) {
    let node = Node::start(ServerFile::default().resolve(None).unwrap(), 1 << 30, Vec::new());
    let node = node.await.unwrap();
    let memory = config::MemoryConfig {
        max_count: Some(keys.len() as u64),
        when_full: config::WhenFull::Exception,
        ..config::MemoryConfig::default()
    };
    let config = CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) }.into();
    let create = MetaCommand::CreateCache { cache: "c".parse().unwrap(), config, volatile: true };
    node.caches.agreement().propose(create).await.unwrap();
    let cache = node.cache("c").unwrap();
    for key in keys {
        let write = Command::write(key, b"1", Expiration::NEVER);
        let now = Timestamp::from_millis(1_000);
        let _ = cache.execute(&write, now, &mut |_: Outcome<'_>| ()).unwrap();
    }
    (node, cache)
}

#[tokio::test]
async fn others_have_their_turn_while_the_room_for_many_entries_is_added_up() {
    let keys: Vec<_> = (0..1_000_u32).map(u32::to_be_bytes).collect();
    let (node, cache) = full_cache(&keys).await;
    let mut decoder = Decoder::default();
    let entries: Vec<_> = keys.iter().map(|key| (&key[..], &b"2"[..])).collect();
    decoder.push(&put_all(&entries));
    let mut session = session(&node);
    let (decoded, mut order) = (decoder.next_request().unwrap().unwrap(), Order::default());
    let now = Timestamp::from_millis(1_000);
    let taken = session.take(&decoded, now, &order, &mut Writer::default());
    let Taken::Waits { claim, done } = taken else { panic!("so many are not written at once") };
    let (ticket, _) = order.defer(claim);
    let scope = session.scope();
    let deferred = Deferred { scope, bytes: decoded.bytes.into(), done, only_reads: false };
    let mut answer = std::pin::pin!(slow::answer(ticket, deferred));
    let mut turns = 0;
    while futures_util::poll!(answer.as_mut()).is_pending() {
        turns += u32::from(cache.stats().stores == 1_000);
    }
    assert_eq!((turns, cache.stats().stores), (3, 2_000));
}

#[tokio::test]
async fn a_request_of_very_many_keys_claims_its_cache_without_gathering_them() {
    let (node, _cache) = samples::with_cache().await;
    let mut session = session(&node);
    for (count, claimed) in [(100, 100), (20_000, usize::MAX)] {
        let keys: Vec<_> = (0..count).map(u32::to_be_bytes).collect();
        let entries: Vec<_> = keys.iter().map(|key| (&key[..], &b"2"[..])).collect();
        let mut decoder = Decoder::default();
        decoder.push(&put_all(&entries));
        let (decoded, order) = (decoder.next_request().unwrap().unwrap(), Order::default());
        let now = Timestamp::from_millis(1_000);
        let taken = session.take(&decoded, now, &order, &mut Writer::default());
        let Taken::Waits { claim: Some(claim), .. } = taken else { panic!("it waits") };
        let keys = match claim.keys {
            Keys::One(_) => 1,
            Keys::Some(keys) => keys.len(),
            Keys::All => usize::MAX,
        };
        assert_eq!(keys, claimed, "of {count}");
    }
}

#[tokio::test]
async fn what_has_to_be_converted_is_taken_along_and_written_after_the_lock_is_released() {
    let node = Node::start(ServerFile::default().resolve(None).unwrap(), 1 << 30, Vec::new());
    let node = node.await.unwrap();
    let encoding = config::Encoding {
        key: Some(media::MediaType::TEXT),
        value: Some(media::MediaType::PROTOSTREAM),
    };
    let config = CacheConfig { encoding: encoding.clone(), ..CacheConfig::new(CacheMode::Local) };
    let (name, config) = ("c".parse().unwrap(), config.into());
    let create = MetaCommand::CreateCache { cache: name, config, volatile: true };
    node.caches.agreement().propose(create).await.unwrap();
    let cache = node.cache("c").unwrap();
    let now = Timestamp::from_millis(1_000);
    let write = Command::write(b"k", b"\x4a\x01v", Expiration::NEVER);
    let _ = cache.execute(&write, now, &mut |_: Outcome<'_>| ()).unwrap();

    let text = media::MediaType::TEXT;
    let header = RequestHeader {
        message_id: 1,
        version: ProtocolVersion::V4_1,
        opcode: <op::GetAll<'_> as Operation>::REQUEST,
        cache_name: "c",
        flags: Flags(0),
        intelligence: Intelligence::Basic,
        topology_id: 0,
        key_type: MediaTypeRef::of(Some(&text)),
        value_type: MediaTypeRef::of(Some(&text)),
    };
    let codec = Codec::of(&header, &encoding).unwrap();
    let mut found = Found::default();
    let mut reply = found.reply(b"k", codec);
    let mut under_the_lock = None;
    let _ = cache
        .execute(&Command::read(b"k"), now, &mut |outcome: Outcome<'_>| {
            reply.reply(outcome);
            under_the_lock = Some(reply.found.entries.len());
        })
        .unwrap();
    assert_eq!(under_the_lock, Some(0));
    reply.finish().unwrap();
    assert_eq!((found.entries.bytes(), found.count), (&b"\x01k\x01v"[..], 1));

    let (mut page, mut walk) = (Page::new(codec, true), Walk::over(Arc::clone(&cache)));
    while !walk.is_over() {
        let step = walk.step(now, |entry| {
            page.add(entry);
            ControlFlow::Continue(())
        });
        step.unwrap();
    }
    assert_eq!(page.bytes, 1 + 3, "as they are stored");
    let mut writer = Writer::default();
    page.write(&mut writer).unwrap();
    assert_eq!(writer.bytes(), b"\x01\x01k\x01v");
}

fn put_all(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut arrays = Writer::default();
    entries.iter().for_each(|(key, value)| {
        arrays.array(key);
        arrays.array(value);
    });
    let mut reader = hotrod::Reader::new(arrays.bytes(), hotrod::Limits::NONE);
    let count = u32::try_from(entries.len()).unwrap();
    let entries = reader.arrays(count, &["key", "value"]).unwrap();
    samples::message(&op::PutAll { expiration: RequestExpiration::NEVER, entries })
}

fn value(cache: &Cache, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    let read = Command { source: Source::Skip, ..Command::read(key) };
    let now = Timestamp::from_millis(1_000);
    let _ = cache
        .execute(&read, now, &mut |outcome: Outcome<'_>| {
            if let Outcome::Found(entry) = outcome {
                value = Some(entry.value().bytes().to_vec());
            }
        })
        .unwrap();
    value
}
