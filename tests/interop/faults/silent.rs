//! The source says nothing any more: because the network swallows its answers, because it is stopped in
//! its tracks, or because it is gone. What is known here goes on; what only the source can know is an
//! error soon.

use client::{Changed, RemoteCache, RequestExpiration};
use http::Method;
use tokio::time::Instant;

use super::{DEADLINE, SILENT, TRIES, in_time, path, refusal, relayed};
use crate::harness::{
    TestServer, eventually,
    infinispan::{Setup, Version, cache_element},
    note,
};

/// Ways to say nothing.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Answers do not arrive; the connection stands.
    Swallowed,
    /// The process is stopped, and its connections stand.
    Frozen,
    /// The process is gone.
    Killed,
}

const CACHE: &str = "c";

/// Keys of the source, that nobody has asked for.
const UNKNOWN: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_nothing_holds_nobody_up() {
    let element = cache_element(CACHE, "application/octet-stream", "");
    let (relay, mut source) = relayed(Setup::new(Version::V16, element)).await;
    let filled = source.cache(CACHE).await;
    for key in 0..UNKNOWN {
        let key = format!("unknown-{key}");
        filled.put(key.as_bytes(), b"of the source", RequestExpiration::default()).await.unwrap();
    }
    let target = TestServer::start().await;
    let cache = target.cache(CACHE).await;
    target.connect(CACHE, &source.document(CACHE).to_string()).await;
    for (round, silence) in
        [Silence::Swallowed, Silence::Frozen, Silence::Killed].into_iter().enumerate()
    {
        let known = format!("unknown-{}", 10 * round);
        assert!(cache.get(known.as_bytes()).await.unwrap().is_some(), "{known} comes over");
        match silence {
            Silence::Swallowed => relay.silence(true),
            Silence::Frozen => source.freeze(true).await,
            Silence::Killed => source.kill().await,
        }
        let keys = Keys { round, known };
        let begin = Instant::now();
        keys.are_as_they_must_be(&target, &cache).await;
        note(format_args!("{silence:?}: all answered in {:.1} s", begin.elapsed().as_secs_f64()));
        match silence {
            Silence::Swallowed => relay.silence(false),
            Silence::Frozen => source.freeze(false).await,
            Silence::Killed => break,
        }
        keys.are_found_again(&target, &cache).await;
    }
    let status = eventually("the status says that the source is away", || async {
        let status = target.rest.migration(CACHE).await;
        (status["source"]["reachable"] == false).then_some(status)
    })
    .await;
    assert_eq!(status["canDisconnect"], false, "{status:#}");
    target.stop().await;
}

/// Keys of one round.
struct Keys {
    round: usize,
    known: String,
}

impl Keys {
    fn unknown(&self, number: usize) -> Vec<u8> {
        format!("unknown-{}", 10 * self.round + number).into_bytes()
    }

    /// While the source says nothing.
    async fn are_as_they_must_be(&self, target: &TestServer, cache: &RemoteCache) {
        let (rest, never) = (&target.rest, RequestExpiration::default());
        self.others_are_not_held_up(cache).await;
        let gone = self.unknown(1);
        // They wait for one another, but for the source only once.
        let texts = tokio::join!(
            refusal(async || cache.replace(&gone, b"new", never).await),
            refusal(async || cache.put_if_absent(&gone, b"new", never).await),
            refusal(async || cache.contains_key(&gone).await),
            refusal(async || cache.get_with_metadata(&gone).await),
        );
        // It would wait for the changes before it.
        let size = refusal(async || cache.size().await).await;
        for text in [texts.0, texts.1, texts.2, texts.3, size] {
            assert!(text.contains(SILENT), "{text}");
        }
        let key = String::from_utf8(gone).unwrap();
        let answer = in_time(async || rest.get(&path(CACHE, &format!("/{key}"))).await).await;
        let answer = answer.with(502);
        assert!(answer.text().contains(SILENT), "{}", answer.text());

        // What does not depend on the source is done.
        cache.put(&self.unknown(2), b"of a client", never).await.unwrap();
        let removed = cache.remove(&self.unknown(3)).await.unwrap();
        assert!(matches!(removed, Changed::Done { .. }), "{removed:?}");
        assert_eq!(cache.get(&self.unknown(3)).await.unwrap(), None, "known to be gone");
        assert_eq!(cache.get(self.known.as_bytes()).await.unwrap().unwrap(), &b"of the source"[..]);
        assert!(cache.replace(self.known.as_bytes(), b"new", never).await.unwrap().is_done());
    }

    /// Many wait for the source on one connection, and one more asks for what is here.
    async fn others_are_not_held_up(&self, cache: &RemoteCache) {
        const MANY: usize = 20;
        for _ in 0..TRIES {
            let waiting: Vec<_> = (4..8)
                .map(|number| {
                    let (cache, key) = (cache.clone(), self.unknown(number));
                    tokio::spawn(async move { cache.get(&key).await })
                })
                .collect();
            let (begin, mut answered) = (Instant::now(), 0);
            while waiting.iter().any(|waiting| !waiting.is_finished()) {
                assert!(cache.get(self.known.as_bytes()).await.unwrap().is_some());
                answered += 1;
            }
            for waiting in waiting {
                let refused = waiting.await.unwrap().unwrap_err().to_string();
                assert!(refused.contains(SILENT), "{refused}");
            }
            note(format_args!("{answered} answers while others waited"));
            // Those that are held up are answered when the others are. Where the source is gone, nobody waits.
            if answered > MANY || begin.elapsed() < DEADLINE / 4 {
                return;
            }
        }
        panic!("no more than {MANY} answers while others waited, each of {TRIES} times");
    }

    /// Once the source speaks again.
    async fn are_found_again(&self, target: &TestServer, cache: &RemoteCache) {
        let found = eventually("the source is asked again", || async {
            cache.get(&self.unknown(1)).await.ok()
        })
        .await;
        assert_eq!(found.unwrap(), &b"of the source"[..]);
        assert_eq!(cache.get(&self.unknown(2)).await.unwrap().unwrap(), &b"of a client"[..]);
        assert_eq!(cache.get(&self.unknown(3)).await.unwrap(), None, "it was removed here");
        let head = path(CACHE, &format!("/unknown-{}", 10 * self.round + 9));
        target.rest.call(Method::HEAD, &head, &[], "").await.with(200);
        let status = eventually("the source is there", || async {
            let status = target.rest.migration(CACHE).await;
            (status["source"]["reachable"] == true).then_some(status)
        })
        .await;
        assert_eq!(status["state"], "CONNECTED", "{status:#}");
    }
}
