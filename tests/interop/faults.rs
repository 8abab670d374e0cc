//! What goes wrong on the way: sources that end, are slow or say nothing, a target that is killed, and
//! connections that cannot come about. Nothing is lost, nothing old is shown, and nothing waits for long.

mod connect;
mod one_of_two;
mod restarted;
mod silent;
mod slow;
mod target;

use std::{fmt::Debug, sync::Arc, time::Duration};

use client::{ClientError, RemoteCache};
use serde_json::Value;
use server::demo::{Account, Tally};
use tokio::time::Instant;

use crate::harness::{
    Faulty, Rest, eventually,
    infinispan::{Infinispan, Setup, free_port},
};

/// Longest that a request may wait for a source that says nothing. Servers wait 1.5 s, clients often 2 s.
const DEADLINE: Duration = Duration::from_millis(1_900);

/// Times that something is tried that has to come to its end before the deadline.
const TRIES: usize = 10;

/// What is said of an entry that only the source can know of, while it says nothing.
const SILENT: &str = "the source cannot be reached, or did not answer in time";

/// What is said of it once the source is not the one that it was.
const DOUBTED: &str = "the source was started again, or is another one";

/// A real server, and a relay that its clients are told of instead.
async fn relayed(setup: Setup) -> (Faulty, Infinispan) {
    let port = free_port();
    let relay = Faulty::start(([127, 0, 0, 1], port).into()).await;
    let setup = Setup { port, announced: Some(relay.address), ..setup };
    (relay, Infinispan::start(setup).await)
}

fn path(cache: &str, rest: &str) -> String {
    format!("/rest/v2/caches/{cache}{rest}")
}

/// Repeats what must not take long until it did not: the machine may stand still for a moment.
async fn in_time<T>(what: impl AsyncFn() -> T) -> T {
    for _ in 0..TRIES {
        let begin = Instant::now();
        let done = what().await;
        if begin.elapsed() < DEADLINE {
            return done;
        }
    }
    panic!("it has taken longer than {DEADLINE:?} each of {TRIES} times");
}

/// What a server says of a request that it does not carry out. It must not take long.
async fn refusal<T: Debug>(request: impl AsyncFn() -> Result<T, ClientError>) -> String {
    match in_time(request).await {
        Err(ClientError::Server { text, .. }) => text,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Waits until a migration is in this stage.
async fn stage(rest: &Rest, cache: &str, stage: &str) -> Value {
    eventually(&format!("{cache} is {stage}"), || async {
        let status = rest.migration(cache).await;
        (status["state"] == stage).then_some(status)
    })
    .await
}

/// Waits until a migration has failed, and its job has found out too, which may be a moment later.
async fn has_failed(rest: &Rest, cache: &str) -> Value {
    eventually(&format!("{cache} has failed"), || async {
        let status = rest.migration(cache).await;
        (status["state"] == "FAILED" && status["job"]["state"] == "failed").then_some(status)
    })
    .await
}

/// Starts to copy at so many entries a second.
async fn copy_slowly(rest: &Rest, cache: &str, entries_per_second: u64) {
    rest.post(&path(cache, "?action=sync-data&async=true"), "").await.with(202);
    throttle(rest, cache, &format!(r#"{{"entriesPerSecond":{entries_per_second}}}"#)).await;
}

async fn throttle(rest: &Rest, cache: &str, rates: &str) {
    rest.post(&path(cache, "/rolling-upgrade?action=throttle"), rates.to_owned()).await.with(204);
}

/// Waits until a job has brought in so many entries, and is not done.
async fn under_way(rest: &Rest, cache: &str, entries: u64) {
    let status = eventually("some entries are here", || async {
        let status = rest.migration(cache).await;
        (number(&status, "/job/entries/written") >= entries).then_some(status)
    })
    .await;
    assert_eq!(status["job"]["state"], "running", "{status:#}");
}

/// Proves that everything is here, lets go of the source, and reads every key.
async fn finish(rest: &Rest, cache: &RemoteCache, account: &Arc<Account>) -> Tally {
    let name = cache.name();
    let verify = path(name, "/rolling-upgrade?action=verify");
    let report = rest.post(&verify, "").await.with(200).json();
    for kind in ["missing", "different", "vanished"] {
        assert_eq!(report[kind], 0, "{report:#}");
    }
    rest.delete(&path(name, "/rolling-upgrade/source-connection?strict=true")).await.with(204);
    let tally = account.check(cache, |_| {}).await.unwrap();
    assert_eq!((tally.differences.as_slice(), tally.unknown), (&[][..], 0));
    assert_eq!(tally.checked, account.len() as u64);
    tally
}

fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}
