//! Servers with invalid responses. The client reports them and reconnects.

use client::{AnswerError, Client, ClientConfig, ClientError, RequestExpiration};
use hex_literal::hex;
use hotrod::{Writer, op::AnyRequest};

use crate::fake::{Asked, Do, Fake, Store};

/// Starts a server that answers GET of "lie", and every GET_ALL, with these bytes after the magic
/// byte and the message id.
async fn liar(lie: &'static [u8]) -> Fake {
    let store = Store::default();
    store.put(b"truth", b"yes");
    Fake::start(move |asked| match asked.request {
        AnyRequest::Get(get) if get.key == b"lie" => Do::Say(behind_id(asked, lie)),
        AnyRequest::GetAll(_) => Do::Say(behind_id(asked, lie)),
        _ => Do::Say(store.answer(asked)),
    })
    .await
}

fn behind_id(asked: &Asked<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0xA1);
    writer.vlong(asked.header.message_id);
    writer.raw(bytes);
    writer.into_bytes()
}

fn answer_error(error: &ClientError) -> &AnswerError {
    match error {
        ClientError::Protocol { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_invalid_answer_is_reported_and_the_next_operation_has_a_new_connection() {
    let table: [(&[u8], &str); 5] = [
        (&hex!("06 00 00 01 78"), "the answer has opcode 0x06, not 0x04"),
        (&hex!("04 77 00"), "the status cannot be 119"),
        (
            &hex!("04 00 00 FF FF FF FF 07"),
            "the value of 2147483647 bytes is longer than 1000000 bytes",
        ),
        (&hex!("04 00 00 FF FF FF FF 7F"), "the value is a number of more than 5 bytes"),
        (&hex!("04 00 01 01 FF FF FF FF 0F"), "the number of servers cannot be 4294967295"),
    ];
    for (lie, text) in table {
        let fake = liar(lie).await;
        let config = ClientConfig { max_answer: 1_000_000, ..fake.config() };
        let cache = Client::connect(config).await.unwrap().cache("orders").await.unwrap();
        let error = cache.get(b"lie").await.unwrap_err();
        assert_eq!(answer_error(&error).to_string(), text);
        assert_eq!(cache.get(b"truth").await.unwrap().unwrap(), "yes");
        assert_eq!(fake.connections(), 2);
    }
}

#[tokio::test]
async fn an_impossible_number_of_entries_is_refused_before_memory_is_taken() {
    let fake = liar(&hex!("30 00 00 FF FF FF FF 0F 01 61")).await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let error = cache.get_all([b"a"]).await.unwrap_err();
    assert!(matches!(answer_error(&error), AnswerError::TooLong { .. }), "{error:?}");
    assert!(error.is_in_doubt());
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection_and_reads_are_asked_again() {
    let store = Store::default();
    store.put(b"k", b"v");
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Get(_) | AnyRequest::Put(_) if asked.connection % 2 == 1 => {
            // Message 999 was never sent.
            Do::Say(hex!("A1 E7 07 04 02 00").to_vec())
        }
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    assert_eq!(cache.get(b"k").await.unwrap().unwrap(), "v");
    assert_eq!(fake.connections(), 2);
    drop(cache);

    // Writes are not repeated.
    let cache = fake.client().await.cache("orders").await.unwrap();
    let error = cache.put(b"k", b"w", RequestExpiration::NEVER).await.unwrap_err();
    assert!(matches!(error, ClientError::InDoubt { .. }) && error.is_in_doubt(), "{error:?}");
}

#[tokio::test]
async fn a_complaint_that_names_no_message_ends_the_connection() {
    let store = Store::default();
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Put(_) => Do::Say(hex!("A1 00 50 81 00 03 62 61 64").to_vec()),
        _ => Do::Say(store.answer(asked)),
    })
    .await;
    let cache = fake.client().await.cache("orders").await.unwrap();
    let error = cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    let source = source.source().unwrap().to_string();
    assert_eq!(source, "the server says InvalidMagic: bad");
}
