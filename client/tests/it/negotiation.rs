//! Negotiation of the protocol version.

use std::sync::Arc;

use client::{
    AnswerError, Client, ClientConfig, ClientError, Notice, Protocol, ProtocolVersion,
    ServerAddress,
};
use hotrod::{
    Status,
    op::{AnyRequest, Ping, Pong},
};
use parking_lot::Mutex;

use crate::fake::{Asked, Do, Fake, Store};

/// The requests that a server saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Request>>>);

/// Connection, operation and version.
type Request = (usize, &'static str, ProtocolVersion);

impl Seen {
    fn note(&self, asked: &Asked<'_>) {
        self.0.lock().push((asked.connection, asked.request.name(), asked.header.version));
    }

    /// Returns the version of the last GET and its connection.
    fn get(&self) -> (usize, ProtocolVersion) {
        let seen = self.0.lock();
        let get = seen.iter().rfind(|seen| seen.1 == "GET").unwrap();
        (get.0, get.2)
    }
}

/// Starts a server that answers PING with `ping`, and everything else correctly.
async fn server(ping: impl Fn(&Asked<'_>) -> Do + Send + Sync + 'static) -> (Fake, Seen) {
    let (seen, store) = (Seen::default(), Store::default());
    store.put(b"k", b"v");
    let noted = seen.clone();
    let fake = Fake::start(move |asked| {
        noted.note(asked);
        match asked.request {
            AnyRequest::Ping(_) => ping(asked),
            _ => Do::Say(store.answer(asked)),
        }
    });
    (fake.await, seen)
}

/// Returns a response to PING in the layout of this version, whatever the version of the request.
fn in_layout(asked: &Asked<'_>, version: ProtocolVersion) -> Vec<u8> {
    let header = hotrod::RequestHeader { version, ..*asked.header };
    Asked { header: &header, ..*asked }.answer::<Ping>(&Pong::default())
}

async fn get(config: ClientConfig) -> Result<(), ClientError> {
    let cache = Client::connect(config).await?.cache("orders").await?;
    assert_eq!(cache.get(b"k").await?.as_deref(), Some(&b"v"[..]));
    Ok(())
}

#[tokio::test]
async fn a_current_server_is_spoken_to_in_4_1_after_a_handshake_in_3_1() {
    let (fake, seen) = server(|asked| Do::Say(asked.pong(ProtocolVersion::V4_1, None))).await;
    get(fake.config()).await.unwrap();
    assert_eq!(seen.get(), (1, ProtocolVersion::V4_1));
    let seen = seen.0.lock();
    let pings: Vec<_> = seen.iter().filter(|seen| seen.1 == "PING").map(|seen| seen.2).collect();
    // The last one opens the cache.
    assert_eq!(pings, [ProtocolVersion::V3_1, ProtocolVersion::V2_0, ProtocolVersion::V4_1]);
}

#[tokio::test]
async fn a_server_like_9_4_is_spoken_to_in_2_9() {
    let layout = |asked: &Asked<'_>| asked.header.version.min(ProtocolVersion::V2_9);
    let (fake, seen) = server(move |asked| Do::Say(in_layout(asked, layout(asked)))).await;
    get(fake.config()).await.unwrap();
    assert_eq!(seen.get(), (1, ProtocolVersion::V2_9));
}

#[tokio::test]
async fn a_server_like_9_3_is_spoken_to_in_2_5_on_a_new_connection() {
    let layout = |asked: &Asked<'_>| asked.header.version.min(ProtocolVersion::V2_8);
    let (fake, seen) = server(move |asked| Do::Say(in_layout(asked, layout(asked)))).await;
    get(fake.config()).await.unwrap();
    assert_eq!(seen.get(), (2, ProtocolVersion::V2_5));
}

#[tokio::test]
async fn a_server_like_8_2_says_that_it_does_not_know_the_version() {
    let (fake, seen) = server(|asked| {
        if asked.header.version > ProtocolVersion::V2_5 {
            return Do::Say(asked.error(Status::UnknownVersion, "Unknown version:31"));
        }
        Do::Say(in_layout(asked, asked.header.version))
    })
    .await;
    get(fake.config()).await.unwrap();
    assert_eq!(seen.get(), (2, ProtocolVersion::V2_5));
}

#[tokio::test]
async fn a_server_that_hangs_up_on_a_new_version_is_asked_in_an_old_one() {
    let (fake, seen) = server(|asked| match asked.header.version > ProtocolVersion::V2_5 {
        true => Do::SayAndClose(Vec::new()),
        false => Do::Say(in_layout(asked, asked.header.version)),
    })
    .await;
    get(fake.config()).await.unwrap();
    assert_eq!(seen.get(), (2, ProtocolVersion::V2_5));
}

#[tokio::test]
async fn answers_in_the_other_order_lead_to_the_same() {
    for (newest, used) in [
        (ProtocolVersion::V4_0, (1, ProtocolVersion::V4_0)),
        (ProtocolVersion::V2_9, (1, ProtocolVersion::V2_9)),
    ] {
        let waits = Mutex::new(Vec::new());
        let (fake, seen) = server(move |asked| {
            let pong = match newest {
                ProtocolVersion::V2_9 => in_layout(asked, asked.header.version.min(newest)),
                newest => asked.pong(newest, None),
            };
            if asked.header.message_id == 1 && asked.header.version == ProtocolVersion::V3_1 {
                *waits.lock() = pong;
                return Do::Nothing;
            }
            Do::Say([pong, std::mem::take(&mut waits.lock())].concat())
        })
        .await;
        get(fake.config()).await.unwrap();
        assert_eq!(seen.get(), used);
    }
}

#[tokio::test]
async fn a_version_that_was_asked_for_is_spoken_raised_or_lowered() {
    let with = |version, fake: &Fake| ClientConfig {
        protocol: Protocol::Version(version),
        ..fake.config()
    };
    let (fake, seen) = server(|asked| Do::Say(asked.pong(ProtocolVersion::V4_0, None))).await;
    let notices = async |version| {
        let client = Client::connect(with(version, &fake)).await.unwrap();
        client.cache("orders").await.unwrap().get(b"k").await.unwrap();
        (seen.get().1, client.notices())
    };
    assert_eq!(notices(ProtocolVersion::V2_9).await, (ProtocolVersion::V2_9, vec![]));
    assert_eq!(notices(ProtocolVersion::V2_6).await.1, []);
    assert_eq!(seen.get().1, ProtocolVersion::V2_6);

    let (asked, used) = (ProtocolVersion::V2_0, ProtocolVersion::V2_5);
    assert_eq!(notices(asked).await, (used, vec![Notice::Raised { asked, used }]));

    let (asked, used) = (ProtocolVersion::V4_1, ProtocolVersion::V4_0);
    let server = fake.address.clone();
    assert_eq!(notices(asked).await, (used, vec![Notice::Lowered { server, asked, used }]));
}

#[tokio::test]
async fn a_cache_says_how_it_stores_and_what_its_server_speaks() {
    let (fake, _seen) = server(|asked| Do::Say(asked.pong(ProtocolVersion::V4_1, None))).await;
    let config =
        ClientConfig { protocol: Protocol::Version(ProtocolVersion::V3_1), ..fake.config() };
    let client = Client::connect(config).await.unwrap();
    let cache = client.cache("orders").await.unwrap();
    assert_eq!(cache.name(), "orders");
    assert_eq!(cache.media_types().key, Some(client::MediaType::OCTET_STREAM));
    assert_eq!(cache.server_version(), Some(ProtocolVersion::V4_1));
    assert_eq!(cache.protocol_version(), ProtocolVersion::V3_1);
    assert_eq!((cache.topology(), cache.servers()), (None, vec![fake.address.clone()]));
}

#[tokio::test]
async fn a_cache_that_is_not_there_is_named() {
    let (fake, _seen) = server(|asked| match asked.header.cache_name {
        "" => Do::Say(asked.pong(ProtocolVersion::V4_1, None)),
        name => Do::Say(asked.error(
            Status::ParseError,
            &format!(
                "org.infinispan.server.hotrod.CacheNotFoundException: Cache with name '{name}'"
            ),
        )),
    })
    .await;
    let error = fake.client().await.cache("nope").await.unwrap_err();
    assert!(matches!(&error, ClientError::NoSuchCache { name } if name == "nope"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_detected() {
    let (fake, _seen) = server(|_| Do::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    let error = Client::connect(fake.config()).await.unwrap_err();
    let ClientError::Protocol { source: AnswerError::Decode(source), .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "a message begins with byte 0xA1, not 0x48");
}

#[tokio::test]
async fn a_starting_server_is_not_taken_for_an_old_one() {
    let (fake, _seen) = server(|asked| Do::Say(asked.error(Status::ServerError, "not yet"))).await;
    let error = Client::connect(fake.config()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Server { text, .. } if text == "not yet"), "{error:?}");
}

#[tokio::test]
async fn the_first_server_that_can_be_connected_to_will_do() {
    let gone = Fake::honest().await.address.clone();
    let (fake, _seen) = server(|asked| Do::Say(asked.pong(ProtocolVersion::V4_1, None))).await;
    let both = ClientConfig::new([gone.clone(), fake.address.clone()]);
    get(both).await.unwrap();

    let error = Client::connect(ClientConfig::new([gone.clone()])).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { server, .. } if *server == gone));
    assert_eq!(error.to_string(), format!("cannot connect to {gone}"));
    let none = ClientConfig::new(Vec::<ServerAddress>::new());
    assert!(matches!(Client::connect(none).await, Err(ClientError::NoServer)));
}
