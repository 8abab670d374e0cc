//! Errors reported for servers that cannot be used or answer wrongly.

use std::{error::Error, time::Duration};

use bench::{Amount, BenchError, Load, Protocol, Work, measure};
use tokio::net::TcpListener;

use crate::fake::{Do, Fake, refusal};

/// Returns the error with all its causes, and `ADDRESS` for the address.
async fn failed(load: &Load) -> String {
    let error = measure(load).await.unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace(&load.address, "ADDRESS")
}

fn gets(load: &Load) -> Load {
    let amount = Amount::Requests(1_000);
    let work = Some(Work::Requests { mix: "get".parse().unwrap(), amount });
    Load { work, ..load.clone() }
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let text = failed(&Load { address, ..Load::default() }).await;
    assert!(text.starts_with("cannot connect to ADDRESS: Connection refused"), "{text}");
    let text = failed(&Load { address: "no port".into(), ..Load::default() }).await;
    assert!(text.starts_with("cannot connect to ADDRESS: invalid socket address"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer() {
    let fake = Fake::start(Protocol::HotRod, |_| Do::Nothing).await;
    let load = Load { timeout: Duration::from_secs(1), ..fake.load.clone() };
    let text = "ADDRESS did not answer within 1 s: does it speak hotrod?";
    assert_eq!(failed(&load).await, text);
}

#[tokio::test]
async fn a_server_of_another_protocol() {
    let memcached = Fake::start(Protocol::HotRod, |_| Do::Say(b"ERROR\r\n".to_vec())).await;
    assert_eq!(
        failed(&memcached.load).await,
        "ADDRESS does not speak hotrod: a message begins with byte 0xA1, not 0x45"
    );
    let hot_rod = Fake::start(Protocol::Memcached, |_| Do::SayAndClose(refusal(0, "magic"))).await;
    assert_eq!(
        failed(&hot_rod.load).await,
        "ADDRESS does not speak memcached: it closed the connection"
    );
    let web = Fake::start(Protocol::Memcached, |_| Do::Say(b"HTTP/1.1 400\r\n".to_vec())).await;
    let text = failed(&web.load).await;
    assert!(text.starts_with("ADDRESS does not speak memcached: it says \"HTTP/1.1 400"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_too_old() {
    let memcached = Fake::start(Protocol::Memcached, |asked| match asked.name {
        "mn" => Do::Say(b"ERROR\r\n".to_vec()),
        _ => Do::Say(asked.answer),
    })
    .await;
    assert_eq!(
        failed(&memcached.load).await,
        "ADDRESS does not speak memcached: it does not know meta commands, which memcached has \
         since 1.6"
    );
    let hot_rod = Fake::start(Protocol::HotRod, |asked| {
        // The newest version comes after the two media types, before the list of operations.
        let mut answer = asked.answer;
        let newest = answer.iter().rposition(|byte| *byte == 41).unwrap();
        answer[newest] = 31;
        Do::Say(answer)
    })
    .await;
    assert_eq!(
        failed(&hot_rod.load).await,
        "ADDRESS does not speak hotrod: it speaks 3.1 at most, and the load is 4.1"
    );
}

#[tokio::test]
async fn a_cache_that_is_not_there() {
    let fake = Fake::honest(Protocol::HotRod).await;
    assert_eq!(
        failed(&Load { cache: "nope".into(), ..fake.load.clone() }).await,
        "ADDRESS refuses requests for the cache \"nope\" (--cache names another): CacheNotFoundException: Cache with name \
         'nope' not found"
    );
    // PING succeeds for a missing default cache; the next request does not.
    let fake = Fake::start(Protocol::HotRod, |asked| match asked.name {
        "CONTAINS_KEY" => Do::Say(refusal(asked.message_id, "Default cache requested")),
        _ => Do::Say(asked.answer),
    })
    .await;
    assert_eq!(
        failed(&fake.load).await,
        "ADDRESS refuses requests for the cache \"orders\" (--cache names another): Default cache requested"
    );
}

#[tokio::test]
async fn a_server_that_closes_in_the_middle() {
    let fake = Fake::start(Protocol::Memcached, |asked| match (asked.name, asked.count) {
        ("ms", 50) => Do::SayAndClose(Vec::new()),
        _ => Do::Say(asked.answer),
    })
    .await;
    let text = failed(&fake.load).await;
    assert!(text.starts_with("ADDRESS closed a connection after "), "{text}");

    let fake = Fake::start(Protocol::HotRod, |asked| match (asked.name, asked.count) {
        ("PUT", 50) => Do::SayAndClose(refusal(asked.message_id, "the server is stopping")),
        _ => Do::Say(asked.answer),
    })
    .await;
    let text = failed(&fake.load).await;
    assert!(text.ends_with(" answers; it had said: the server is stopping"), "{text}");
}

#[tokio::test]
async fn a_server_that_stops_answering() {
    let fake = Fake::start(Protocol::HotRod, |asked| match (asked.name, asked.count) {
        ("PUT", 50) => Do::Nothing,
        _ => Do::Say(asked.answer),
    })
    .await;
    let load = Load { timeout: Duration::from_secs(1), ..fake.load.clone() };
    let text = "ADDRESS sent nothing for 1 s while requests were in flight";
    assert_eq!(failed(&load).await, text);
}

#[tokio::test]
async fn a_server_that_gives_wrong_values() {
    for (protocol, get) in [(Protocol::HotRod, "GET"), (Protocol::Memcached, "mg")] {
        let fake = Fake::start(protocol, move |mut asked| {
            if asked.name == get && asked.count == 500 {
                let at = asked.answer.len() - 3;
                asked.answer[at] ^= 1;
            }
            Do::Say(asked.answer)
        })
        .await;
        let text = failed(&gets(&fake.load)).await;
        assert!(text.starts_with("ADDRESS answered wrongly: the value of key "), "{text}");
        assert!(text.ends_with(" ends with other bytes than were written"), "{text}");
    }
}

#[tokio::test]
async fn values_of_an_unexpected_size() {
    let fake = Fake::honest(Protocol::HotRod).await;
    measure(&fake.load).await.unwrap();
    let value_sizes = "200".parse().unwrap();
    let text = failed(&gets(&Load { fill: false, value_sizes, ..fake.load.clone() })).await;
    assert!(text.ends_with(" has 100 bytes, and 200 bytes were written"), "{text}");
}

#[tokio::test]
async fn answers_to_unknown_requests() {
    let fake = Fake::start(Protocol::HotRod, |asked| match (asked.name, asked.count) {
        ("PUT", 50) => Do::Say(asked.answer.repeat(2)),
        _ => Do::Say(asked.answer),
    })
    .await;
    let text = failed(&fake.load).await;
    assert!(text.starts_with("ADDRESS answered wrongly: there was no request "), "{text}");

    let fake = Fake::start(Protocol::HotRod, |asked| match (asked.name, asked.count) {
        ("PUT", 50) => Do::Say(refusal(0, "magic byte")),
        _ => Do::Say(asked.answer),
    })
    .await;
    let text = "ADDRESS answered wrongly: an error that names no request: magic byte";
    assert_eq!(failed(&fake.load).await, text);
}

#[tokio::test]
async fn refused_requests_are_counted_and_the_run_goes_on() {
    let full = b"SERVER_ERROR out of memory storing object\r\n";
    let fake = Fake::start(Protocol::Memcached, move |asked| match (asked.name, asked.count % 2) {
        ("ms", 0) => Do::Say(full.to_vec()),
        _ => Do::Say(asked.answer),
    })
    .await;
    let fill = measure(&fake.load).await.unwrap().fill.unwrap();
    assert_eq!((fill.ops, fill.errors), (50, 50));
    let text = "SERVER_ERROR out of memory storing object";
    assert_eq!(fill.first_error.as_deref(), Some(text));
}

#[tokio::test]
async fn a_process_that_is_not_there() {
    let fake = Fake::honest(Protocol::Memcached).await;
    let load = Load { server_pid: Some(u32::MAX), ..fake.load.clone() };
    let error = measure(&load).await.unwrap_err();
    assert!(matches!(error, BenchError::Process { pid: u32::MAX, .. }), "{error}");
}
