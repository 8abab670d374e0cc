//! Replays responses of a real 16.0.7 server to this client.
//!
//! Each recorded request is sent through the client. The fake server checks that the client sends
//! the same request, and answers with the recorded bytes. The test compares the client's result
//! with what the codec decodes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use client::{
    Changed, Client, ClientConfig, ClientError, Intelligence, Item, Iterate, MediaType, Previous,
    Protocol, ProtocolVersion, RemoteCache,
};
use hotrod::{
    Decoder, Flags, Limits, Reader, RequestHeader, ResponseHeader,
    op::{self, AnyRequest, Operation, Request, Response},
};
use parking_lot::Mutex;

use crate::{
    fake::{Do, Fake, Store},
    recorded::{Exchange, answering, is_whole, sessions, wire},
};

#[tokio::test]
async fn recorded_answers_are_understood_as_they_were_meant() {
    let mut talks = BTreeMap::<String, Talk>::new();
    let mut replayed = BTreeMap::<&str, u32>::new();
    for exchange in wire().into_iter().chain(sessions()) {
        let mut decoder = Decoder::default();
        decoder.push(&exchange.request);
        let Ok(Some(decoded)) = decoder.next_request() else { continue };
        let (header, request) = (&decoded.header, &decoded.request);
        // Requests that this client never sends: old versions, other flags, other forms of
        // response.
        let known = Flags::FORCE_RETURN_PREVIOUS | Flags::SKIP_CACHE_LOAD;
        let is_asked = header.version >= Protocol::OLDEST && header.flags.0 & !known == 0;
        if !is_asked || !is_whole(header, request, &exchange.response) {
            continue;
        }
        let name = format!("{} {:?} {:?}", header.version, header.intelligence, header.cache_name)
            + &format!("{:?} {:?}", header.key_type, header.value_type);
        if !talks.contains_key(&name) {
            talks.insert(name.clone(), Talk::start(header).await);
        }
        if talks[&name].replay(&exchange, header, request).await {
            *replayed.entry(request.name()).or_default() += 1;
        }
    }
    let total: u32 = replayed.values().sum();
    assert!(replayed.len() >= 16 && total > 250, "{total}: {replayed:?}");
}

/// A client, and a server that answers its next request as recorded.
struct Talk {
    _fake: Fake,
    cache: RemoteCache,
    client: Client,
    next: Arc<Mutex<Option<Exchange>>>,
}

impl Talk {
    async fn start(header: &RequestHeader<'_>) -> Self {
        let next = Arc::new(Mutex::new(None::<Exchange>));
        let (store, armed) = (Store::default(), Arc::clone(&next));
        let fake = Fake::start(move |asked| {
            let Some(exchange) = armed.lock().take() else { return Do::Say(store.answer(asked)) };
            let mut decoder = Decoder::default();
            decoder.push(&exchange.request);
            let recorded = decoder.next_request().unwrap().unwrap();
            assert_eq!(asked.request, &recorded.request);
            assert_eq!(
                (asked.header.version, asked.header.flags.0, asked.header.cache_name),
                (recorded.header.version, recorded.header.flags.0, recorded.header.cache_name),
            );
            let types =
                |header: &RequestHeader<'_>| [header.key_type, header.value_type].map(resolved);
            assert_eq!(types(asked.header), types(&recorded.header));
            Do::Say(answering(asked.header.message_id, &exchange.response))
        })
        .await;
        let config = ClientConfig {
            protocol: Protocol::Version(header.version),
            intelligence: header.intelligence,
            key_type: resolved(header.key_type),
            value_type: resolved(header.value_type),
            max_retries: 0,
            ..fake.config()
        };
        let client = Client::connect(config).await.unwrap();
        let cache = client.cache(header.cache_name).await.unwrap();
        Self { _fake: fake, cache, client, next }
    }

    /// Sends the recorded request through the client and compares. Returns `false` if the client
    /// cannot send such a request.
    async fn replay(
        &self,
        exchange: &Exchange,
        header: &RequestHeader<'_>,
        request: &AnyRequest<'_>,
    ) -> bool {
        *self.next.lock() = Some(exchange.clone());
        let mut cache = self.cache.clone();
        if header.flags.has(Flags::FORCE_RETURN_PREVIOUS) {
            cache = cache.returning_previous();
        }
        if header.flags.has(Flags::SKIP_CACHE_LOAD) {
            cache = cache.skipping_loader();
        }
        let said = Said::of(header, exchange);
        match request {
            AnyRequest::Get(op::Get { key }) => {
                let value = |got: op::Got<'_>| got.0.map(|value| value.get().to_vec());
                said.compare::<op::Get<'_>, _>(cache.get(key).await.map(owned), value);
            }
            AnyRequest::GetWithVersion(op::GetWithVersion { key }) => {
                let got = cache.get_with_version(key).await;
                let got = got.map(|got| got.map(|got| (got.version, got.value.to_vec())));
                said.compare::<op::GetWithVersion<'_>, _>(got, |got| {
                    got.0.map(|(version, value)| (version, value.get().to_vec()))
                });
            }
            AnyRequest::GetWithMetadata(op::GetWithMetadata { key }) => {
                let got = cache.get_with_metadata(key).await;
                let got = got.map(|got| got.map(|got| (got.metadata, got.value.to_vec())));
                said.compare::<op::GetWithMetadata<'_>, _>(got, |got| {
                    got.0.map(|(metadata, value)| (metadata, value.get().to_vec()))
                });
            }
            AnyRequest::ContainsKey(op::ContainsKey { key }) => {
                said.compare::<op::ContainsKey<'_>, _>(cache.contains_key(key).await, |got| got.0);
            }
            AnyRequest::GetAll(get) => {
                let got = cache.get_all(get.keys.clone()).await;
                let got = got.map(|pairs| {
                    pairs.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect::<Vec<_>>()
                });
                said.compare::<op::GetAll<'_>, _>(got, |got| {
                    got.0.pairs().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
                });
            }
            AnyRequest::Put(op::Put(new)) => {
                let done = cache.put(new.key, new.value, new.expiration).await;
                said.compare::<op::Put<'_>, _>(done, changed);
            }
            AnyRequest::PutIfAbsent(op::PutIfAbsent(new)) => {
                let done = cache.put_if_absent(new.key, new.value, new.expiration).await;
                said.compare::<op::PutIfAbsent<'_>, _>(done, changed);
            }
            AnyRequest::Replace(op::Replace(new)) => {
                let done = cache.replace(new.key, new.value, new.expiration).await;
                said.compare::<op::Replace<'_>, _>(done, changed);
            }
            AnyRequest::ReplaceIfUnmodified(new) => {
                let op::ReplaceIfUnmodified { key, expiration, version, value } = *new;
                let done = cache.replace_if_unmodified(key, version, value, expiration).await;
                said.compare::<op::ReplaceIfUnmodified<'_>, _>(done, changed);
            }
            AnyRequest::Remove(op::Remove { key }) => {
                said.compare::<op::Remove<'_>, _>(cache.remove(key).await, changed);
            }
            AnyRequest::RemoveIfUnmodified(op::RemoveIfUnmodified { key, version }) => {
                let done = cache.remove_if_unmodified(key, *version).await;
                said.compare::<op::RemoveIfUnmodified<'_>, _>(done, changed);
            }
            AnyRequest::PutAll(all) => {
                let done = cache.put_all(all.entries.clone().pairs(), all.expiration).await;
                said.compare::<op::PutAll<'_>, _>(done, drop);
            }
            AnyRequest::Clear(_) => said.compare::<op::Clear, _>(cache.clear().await, drop),
            AnyRequest::Size(_) => said.compare::<op::Size, _>(cache.size().await, |size| size.0),
            AnyRequest::Stats(_) => {
                said.compare::<op::Stats, _>(cache.stats().await, |stats| stats);
            }
            AnyRequest::Ping(_) => said.compare::<op::Ping, _>(cache.ping().await, drop),
            AnyRequest::Exec(exec) if header.cache_name.is_empty() => {
                let parameters: Vec<_> =
                    exec.parameters.iter().map(|given| (given.name, given.value)).collect();
                let done = self.client.exec(exec.task, &parameters).await;
                let done = done.map(|result| result.to_vec());
                said.compare::<op::Exec<'_>, _>(done, |executed| executed.0.to_vec());
            }
            _ => {
                *self.next.lock() = None;
                return false;
            }
        }
        assert!(self.next.lock().is_none(), "{} was not asked", request.name());
        true
    }
}

/// The same media type may be given by name or by id; parameters are ignored here.
fn resolved(media_type: hotrod::MediaTypeRef<'_>) -> Option<MediaType> {
    media_type.resolve().ok().flatten()
}

/// A recorded response.
struct Said<'a> {
    version: ProtocolVersion,
    header: ResponseHeader,
    body: &'a [u8],
}

impl<'a> Said<'a> {
    fn of(request: &RequestHeader<'_>, exchange: &'a Exchange) -> Self {
        let mut reader = Reader::new(&exchange.response, Limits::NONE);
        let header = ResponseHeader::decode(&mut reader, request.intelligence).unwrap();
        Self { version: request.version, header, body: &exchange.response[reader.position()..] }
    }

    /// Compares the client's result with the recorded response.
    fn compare<'r, R: Request<'r> + Operation, T: PartialEq + std::fmt::Debug>(
        &self,
        done: Result<T, ClientError>,
        meant: impl FnOnce(R::Response<'a>) -> T,
    ) {
        let mut reader = Reader::new(self.body, Limits::NONE);
        if !self.header.status.is_error() {
            let response = R::Response::decode(self.header.status, self.version, &mut reader);
            assert_eq!(done.unwrap(), meant(response.unwrap()), "{}", R::NAME);
            return;
        }
        let said = reader.text("text").unwrap();
        match done.unwrap_err() {
            ClientError::NoSuchCache { name } => assert!(said.contains(&name), "{said}"),
            ClientError::Server { status, text, .. } => {
                assert_eq!((status, &*text), (self.header.status, said));
            }
            other => panic!("{other:?} for {said}"),
        }
    }
}

fn owned(value: Option<client::Bytes>) -> Option<Vec<u8>> {
    value.map(|value| value.to_vec())
}

fn changed(changed: hotrod::Changed<'_>) -> Changed {
    let owned = |previous: Option<hotrod::Previous<'_>>| {
        previous.map(|previous| Previous {
            metadata: previous.metadata,
            value: previous.value.get().to_vec().into(),
        })
    };
    match changed {
        hotrod::Changed::Done => Changed::Done { previous: None },
        hotrod::Changed::DoneAfter(previous) => Changed::Done { previous: owned(previous) },
        hotrod::Changed::Refused => Changed::Refused { current: None },
        hotrod::Changed::RefusedBy(current) => Changed::Refused { current: owned(current) },
        hotrod::Changed::Missing => Changed::Missing,
    }
}

#[tokio::test]
async fn recorded_iterations_are_walked_through() {
    let mut walked = 0;
    let mut rest: VecDeque<Exchange> = wire().into();
    while let Some(start) = rest.pop_front() {
        let mut decoder = Decoder::default();
        decoder.push(&start.request);
        let Ok(Some(decoded)) = decoder.next_request() else { continue };
        let AnyRequest::IterationStart(asked) = &decoded.request else { continue };
        let header = decoded.header;
        // Skip empty batches on request, and what the server refused or old clients sent.
        let is_refused = start.response.get(2) == Some(&hotrod::ERROR_RESPONSE);
        if header.version < Protocol::OLDEST || asked.batch == 0 || is_refused {
            continue;
        }
        let mut batches = Vec::new();
        while rest.front().is_some_and(|next| next.response.get(2) == Some(&0x34)) {
            batches.extend(rest.pop_front());
        }
        if items(&batches, header.version).is_empty() {
            continue;
        }
        walk(&start, &batches, &header, asked).await;
        walked += 1;
    }
    assert!(walked >= 5, "only {walked}");
}

/// Iterates as `asked` says, and compares with the recorded batches.
async fn walk(
    start: &Exchange,
    batches: &[Exchange],
    header: &RequestHeader<'_>,
    asked: &op::IterationStart<'_>,
) {
    let (store, mut answers) = (Store::default(), batches.iter().cloned().collect::<VecDeque<_>>());
    // If the recording stops before the end, make up an empty last batch.
    answers.push_back(Exchange { request: Vec::new(), response: vec![0xA1, 0, 0x34, 0, 0, 0, 0] });
    let (answers, start) = (Mutex::new(answers), start.clone());
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::IterationStart(_) => {
            let mut decoder = Decoder::default();
            decoder.push(&start.request);
            assert_eq!(asked.request, &decoder.next_request().unwrap().unwrap().request);
            Do::Say(answering(asked.header.message_id, &start.response))
        }
        AnyRequest::IterationNext(_) => {
            let answer = answers.lock().pop_front().unwrap();
            Do::Say(answering(asked.header.message_id, &answer.response))
        }
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let protocol = Protocol::Version(header.version);
    let config = ClientConfig { protocol, ..fake.config() };
    let cache = Client::connect(config).await.unwrap().cache(header.cache_name).await.unwrap();
    let iterate = Iterate {
        segments: asked.segments.clone(),
        batch: asked.batch,
        with_metadata: asked.with_metadata,
        keys_only: asked.converter.is_some(),
        server: None,
    };
    let mut iteration = cache.iterate(iterate).await.unwrap();
    let expected = items(batches, header.version);
    for item in &expected {
        assert_eq!(iteration.next().await.unwrap().as_ref(), Some(item));
    }
    let is_over = matches!(expected.last(), Some(Item::Finished(_)));
    assert!(is_over, "{expected:?}");
}

/// Returns the items in the recorded batches, up to the one that ends the iteration.
fn items(batches: &[Exchange], version: ProtocolVersion) -> Vec<Item> {
    let mut items = Vec::new();
    for batch in batches {
        let mut reader = Reader::new(&batch.response, Limits::NONE);
        let header = ResponseHeader::decode(&mut reader, Intelligence::Basic).unwrap();
        let batch = op::Batch::decode(header.status, version, &mut reader).unwrap();
        items.extend(batch.entries.iter().map(|entry| Item::Entry {
            key: entry.key.to_vec().into(),
            value: entry.value.to_vec().into(),
            metadata: entry.metadata,
        }));
        items.push(Item::Finished(batch.finished));
        if batch.entries.is_empty() {
            break;
        }
    }
    items
}
