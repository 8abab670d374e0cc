//! Entries that live at the source although their time is over here, and entries that end there while a walk
//! shows them.

use std::{cell::Cell, collections::BTreeSet};

use client::{Item, Iterate, RemoteCache, RequestExpiration};
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::{NEVER, Scene, key, lasting};
use crate::harness::{Faulty, OCTETS, TestServer, eventually, source_document};

const SESSIONS: u32 = 10;

/// A source that is one unit, and that only its target reaches over a relay.
struct Unit {
    source: TestServer,
    from: RemoteCache,
    relay: Faulty,
    target: TestServer,
    to: RemoteCache,
    sessions: Sessions,
}

/// When every session is known to have lived.
#[derive(Debug)]
struct Sessions {
    idle: Cell<u64>,
    used: Cell<Instant>,
}

impl Sessions {
    /// Each of them was used after this instant.
    fn used_after(&self, begin: Instant) {
        self.used.set(begin);
    }

    /// One of them is gone: asserts that it may have ended, because the machine stood still.
    fn may_have_ended(&self) {
        // The clock of a server may be slewed by 1 %.
        let least = Duration::from_millis(self.idle.get() - self.idle.get() / 50);
        let since = self.used.get().elapsed();
        assert!(since >= least, "a session is lost that was used {since:?} ago");
    }
}

impl Unit {
    async fn new() -> Self {
        let (source, target) = (TestServer::start().await, TestServer::start().await);
        // Clients of a local cache are told of no other way to it.
        let local =
            OCTETS.replace("distributed-cache", "local-cache").replace("\"mode\":\"SYNC\",", "");
        let from = source.cache_of("c", &local).await;
        let relay = Faulty::start(source.address()).await;
        let to = target.cache("c").await;
        let sessions = Sessions { idle: Cell::new(0), used: Cell::new(Instant::now()) };
        Self { source, from, relay, target, to, sessions }
    }

    /// Connects, and copies so many entries.
    async fn synchronized(self, entries: u64) -> Self {
        self.target.connect("c", &source_document(self.relay.address, "c")).await;
        assert_eq!(self.target.synchronize("c").await, entries);
        self
    }

    /// With sessions that end unless they are used every `idle` milliseconds, all of them copied. `None` if one
    /// has ended before, because the machine stood still.
    async fn with_sessions(idle: u64) -> Option<Self> {
        let unit = Self::new().await;
        unit.sessions.idle.set(idle);
        unit.sessions.used_after(Instant::now());
        let idle = RequestExpiration { max_idle: client::Duration::Millis(idle), ..NEVER };
        for number in 0..SESSIONS {
            unit.from.put(&key(number), b"session", idle).await.unwrap();
        }
        unit.target.connect("c", &source_document(unit.relay.address, "c")).await;
        if unit.target.synchronize("c").await == u64::from(SESSIONS) {
            return Some(unit);
        }
        unit.sessions.may_have_ended();
        None
    }

    /// Uses the sessions at the source. `None` if one has ended, because the machine stood still.
    async fn use_sessions(&self) -> Option<()> {
        self.use_sessions_from(0).await
    }

    async fn use_sessions_from(&self, first: u32) -> Option<()> {
        let begin = Instant::now();
        for number in first..SESSIONS {
            if self.from.get(&key(number)).await.unwrap().is_none() {
                self.sessions.may_have_ended();
                return None;
            }
        }
        self.sessions.used_after(begin);
        Some(())
    }

    /// Keeps using the sessions until their time is over here, where nobody uses them. `None` if one has ended
    /// at the source, because the machine stood still.
    async fn outlive(&self, idle: u64) -> Option<()> {
        // It ends here later than the sessions do.
        self.to.put(b"end", b"v", lasting(idle + 500)).await.unwrap();
        eventually("their time is over here", || async {
            match self.use_sessions().await {
                Some(()) => self.to.get(b"end").await.unwrap().is_none().then_some(Some(())),
                None => Some(None),
            }
        })
        .await
    }

    async fn iterated(&self) -> Result<BTreeSet<Vec<u8>>, client::ClientError> {
        let mut walk = self.to.iterate(Iterate::default()).await?;
        let mut keys = BTreeSet::new();
        while let Some(item) = walk.next().await? {
            if let Item::Entry { key, .. } = item {
                keys.insert(key.to_vec());
            }
        }
        Ok(keys)
    }

    /// Keys that REST gives out; `None` if it is refused.
    async fn listed(&self) -> Option<usize> {
        let answer = self.target.rest.get("/rest/v2/caches/c?action=keys").await;
        (answer.status == 200).then(|| answer.json().as_array().unwrap().len())
    }

    /// Begins a verification, and holds what its walk shows.
    async fn begin_verification(&self) {
        let held = self.relay.held();
        self.relay.hold_walks(true);
        let path = "/rest/v2/caches/c/rolling-upgrade?action=verify&async=true";
        self.target.rest.post(path, "").await.with(202);
        eventually("the walk shows entries", || async { (self.relay.held() > held).then_some(()) })
            .await;
    }

    /// Lets it come to its end. Its report, and the state of the migration.
    async fn end_verification(&self) -> (Value, Value) {
        self.relay.hold_walks(false);
        eventually("it ends", || async {
            let status = self.target.rest.migration("c").await;
            let is_over = status["verify"]["state"] == "finished";
            is_over.then(|| (status["verify"].clone(), status["state"].clone()))
        })
        .await
    }

    async fn stop(self) {
        self.target.stop().await;
        self.source.stop().await;
    }
}

/// How a client looks at a whole cache.
#[derive(Clone, Copy, Debug)]
enum Look {
    Iterate,
    List,
    Size,
}

impl Look {
    async fn at(self, unit: &Unit) -> Option<usize> {
        match self {
            Self::Iterate => unit.iterated().await.ok().map(|keys| keys.len()),
            Self::List => unit.listed().await,
            Self::Size => unit.to.size().await.ok().and_then(|size| usize::try_from(size).ok()),
        }
    }
}

const LOOKS: [Look; 3] = [Look::Iterate, Look::List, Look::Size];

/// Plays a scene until the machine does not stand still in it for so long that sessions end. They last longer
/// each time, and never as long as it takes until nobody waits for a silent source any more.
async fn undisturbed(scene: impl AsyncFn(u64) -> Option<()>) {
    for time in 0..20 {
        if scene(3_000 + 250 * time).await.is_some() {
            return;
        }
    }
    panic!("sessions have ended each time: the machine stands still for seconds");
}

#[tokio::test]
async fn a_walk_shows_entries_that_live_on_at_the_source() {
    let shows = async |look: Look, idle: u64| {
        let unit = Unit::with_sessions(idle).await?;
        eventually("all of them were over here", || async {
            let before = unit.use_sessions().await;
            let given = look.at(&unit).await;
            if before.is_none() || unit.use_sessions().await.is_none() {
                return Some(None);
            }
            assert_eq!(given, Some(SESSIONS as usize), "{look:?}");
            let lived_on = unit.target.rest.migration("c").await["livedOn"].as_u64()?;
            (lived_on >= SESSIONS.into()).then_some(Some(()))
        })
        .await?;
        unit.stop().await;
        Some(())
    };
    tokio::join!(
        undisturbed(async |idle| shows(Look::Iterate, idle).await),
        undisturbed(async |idle| shows(Look::List, idle).await),
        undisturbed(async |idle| shows(Look::Size, idle).await),
    );
}

#[tokio::test]
async fn a_walk_is_refused_while_nobody_knows_what_lives_on() {
    undisturbed(async |idle| {
        let unit = Unit::with_sessions(idle).await?;
        unit.relay.silence(true);
        for look in LOOKS {
            eventually("it is refused", || async {
                let given = look.at(&unit).await;
                assert!(
                    given.is_none_or(|given| given == SESSIONS as usize),
                    "{look:?}: {given:?}"
                );
                given.is_none().then_some(())
            })
            .await;
        }
        unit.relay.silence(false);
        for look in LOOKS {
            eventually("they have ended there", || async {
                (look.at(&unit).await == Some(0)).then_some(())
            })
            .await;
        }
        unit.stop().await;
        Some(())
    })
    .await;
}

#[tokio::test]
async fn reads_and_walks_do_without_a_source_that_was_switched_off_and_nothing_is_lost() {
    let idle = RequestExpiration { max_idle: client::Duration::Millis(10_000), ..NEVER };
    let unit = Unit::new().await;
    let all = SESSIONS + 2;
    for number in 0..SESSIONS {
        unit.from.put(&key(number), b"short", lasting(10_000)).await.unwrap();
    }
    unit.from.put(b"idle", b"short", idle).await.unwrap();
    unit.from.put(b"immortal", b"v", NEVER).await.unwrap();
    let unit = unit.synchronized(all.into()).await;
    // All of them live on there, and nobody here can know.
    for key in (0..SESSIONS).map(key).chain([b"idle".to_vec()]) {
        unit.from.put(&key, b"long", NEVER).await.unwrap();
    }
    unit.relay.silence(true);
    for look in LOOKS {
        let only_the_immortal = || async { (look.at(&unit).await == Some(1)).then_some(()) };
        eventually("it does without the source", only_the_immortal).await;
    }
    for key in [&key(0)[..], b"idle"] {
        assert_eq!(unit.to.get(key).await.unwrap(), None);
        assert!(!unit.to.contains_key(key).await.unwrap());
    }
    assert!(unit.to.get(b"immortal").await.unwrap().is_some());
    // A lifespan is over by the clock of the source, as far as that was read.
    eventually("it is surely over", || async {
        unit.to
            .put_if_absent(&key(0), b"ours", NEVER)
            .await
            .is_ok_and(|put| put.is_done())
            .then_some(())
    })
    .await;
    let refused = unit.to.put_if_absent(b"idle", b"ours", NEVER).await.unwrap_err();
    assert!(
        refused.to_string().contains("the source cannot be reached, or did not answer in time"),
        "{refused}"
    );

    unit.relay.silence(false);
    eventually("they are heard of again", || async {
        (Look::Size.at(&unit).await == Some(all as usize)).then_some(())
    })
    .await;
    assert_eq!(unit.to.get(&key(0)).await.unwrap().as_deref(), Some(&b"ours"[..]));
    for key in (1..SESSIONS).map(key).chain([b"idle".to_vec()]) {
        assert_eq!(unit.to.get(&key).await.unwrap().as_deref(), Some(&b"long"[..]));
    }
    unit.stop().await;
}

#[tokio::test]
async fn what_ends_while_it_is_compared_has_expired_and_what_is_lost_has_not() {
    let unit = Unit::new().await;
    unit.from.put_all((0..100).map(|number| (key(number), b"v")), NEVER).await.unwrap();
    let unit = unit.synchronized(100).await;
    unit.from.put_all((100..110).map(|number| (key(number), b"late")), NEVER).await.unwrap();
    unit.begin_verification().await;
    for gone in 100..104 {
        unit.from.remove(&key(gone)).await.unwrap();
    }
    let (report, state) = unit.end_verification().await;
    let names = ["compared", "same", "expired", "missing", "vanished", "differences"];
    let found = names.map(|name| report[name].as_u64().unwrap());
    assert_eq!((found, state), ([110, 100, 4, 6, 0, 6], "SYNCED".into()), "{report:#}");

    // Entries that come and go are no difference: the source does not show them any more when it is looked at again.
    for gone in 104..110 {
        unit.from.remove(&key(gone)).await.unwrap();
    }
    unit.from.put(b"short", b"v", NEVER).await.unwrap();
    unit.begin_verification().await;
    unit.from.remove(b"short").await.unwrap();
    let (report, state) = unit.end_verification().await;
    let found = names.map(|name| report[name].as_u64().unwrap());
    assert_eq!((found, state), ([101, 100, 1, 0, 0, 0], "VERIFIED".into()), "{report:#}");
    assert_eq!(report["doubt"], Value::Null, "{report:#}");
    unit.stop().await;
}

#[tokio::test]
async fn what_is_over_here_alone_has_not_expired() {
    undisturbed(async |idle| {
        let unit = Unit::with_sessions(idle).await?;
        unit.begin_verification().await;
        unit.outlive(idle).await?;
        for gone in 0..3 {
            unit.from.remove(&key(gone)).await.unwrap();
        }
        let (report, _) = unit.end_verification().await;
        unit.use_sessions_from(3).await?;
        let names = ["compared", "same", "expired", "missing", "differences"];
        let [compared, same, expired, others @ ..] =
            names.map(|name| report[name].as_u64().unwrap());
        // Those that were asked for before they were removed are as the walk has shown them.
        assert_eq!((compared, same + expired, others), (10, 10, [0, 0]), "{report:#}");
        assert!(expired <= 3, "{report:#}");
        unit.stop().await;
        Some(())
    })
    .await;
}

#[tokio::test]
async fn what_lives_at_the_source_lives_on_after_a_disconnect() {
    let path = "/rest/v2/caches/c/rolling-upgrade/source-connection";
    undisturbed(async |idle| {
        let unit = Unit::with_sessions(idle).await?;
        unit.outlive(idle).await?;
        // While it is there, no session has ended that was used before.
        unit.to.put(b"end", b"v", lasting(idle - 100)).await.unwrap();
        unit.target.rest.delete(path).await.with(204);
        let size = unit.to.size().await.unwrap();
        unit.to.get(b"end").await.unwrap()?;
        assert_eq!(size, u64::from(SESSIONS) + 1);
        unit.stop().await;
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_says_what_nobody_knows_to_live_on() {
    let path = "/rest/v2/caches/c/rolling-upgrade/source-connection";
    undisturbed(async |idle| {
        let unit = Unit::with_sessions(idle).await?;
        unit.relay.silence(true);
        // Looking at single ones would keep them alive.
        eventually("nobody knows", || async { unit.to.size().await.err() }).await;
        let refused = unit.target.rest.delete(&format!("{path}?strict=true")).await.with(409);
        let unknown = "the source does not say whether";
        assert!(refused.text().contains(unknown), "{}", refused.text());
        let forced = unit.target.rest.delete(&format!("{path}?force=true")).await.with(200);
        assert!(forced.text().contains(unknown), "{}", forced.text());
        unit.stop().await;
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_says_which_entries_live_on_and_do_not_fit_in() {
    let file = config::ServerFile {
        max_memory: Some(config::MemoryLimit::Bytes(1_000_000)),
        ..config::ServerFile::default()
    };
    undisturbed(async |_| {
        let scene = Scene::with_target(file.clone()).await;
        scene.from.put(b"k", b"small", lasting(2_000)).await.unwrap();
        scene.connect().await;
        let copied = scene.target.synchronize("c").await;
        scene.from.put(b"k", &vec![1; 900_000], NEVER).await.unwrap();
        scene.to.put(b"end", b"v", lasting(2_500)).await.unwrap();
        // As much as fits in beside it.
        let mut number = 0;
        while scene.to.put(&key(number), &[2; 50_000], NEVER).await.is_ok() {
            number += 1;
        }
        eventually("its time is over here", || async {
            scene.to.get(b"end").await.unwrap().is_none().then_some(())
        })
        .await;
        let refused = scene.disconnect("?strict=true").await;
        let is_undisturbed = copied == 1;
        if is_undisturbed {
            assert_eq!(refused.status, 409, "{}", refused.text());
            assert!(refused.text().contains("they do not fit in"), "{}", refused.text());
            assert!(scene.to.size().await.is_err(), "it is not left out of what is counted");
        }
        scene.stop().await;
        is_undisturbed.then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_living_entry_is_lost_where_a_proxy_shows_another_clock_than_the_sources() {
    for ahead in [600, -600, 172_800] {
        let scene = Scene::new().await;
        // As a proxy does that answers HTTP itself and leads everything else to the source.
        scene.relay.answer_http(ahead);
        for number in 0..40 {
            let lifespan = if number < 20 { 120_000 } else { 1_200_000 };
            scene.from.put(&key(number), b"v", lasting(lifespan)).await.unwrap();
        }
        scene.connect().await;
        assert!(scene.to.get(&key(0)).await.unwrap().is_some(), "{ahead}: read through");
        assert_eq!(scene.target.synchronize("c").await + 1, 40, "{ahead}");
        let counts = scene.counts().await;
        assert_eq!((&counts["expired"], &counts["failed"]), (&0.into(), &0.into()), "{counts}");
        for number in 0..40 {
            assert!(scene.to.get(&key(number)).await.unwrap().is_some(), "{ahead}: {number}");
        }
        assert_eq!(scene.to.size().await.unwrap(), 40, "{ahead}");
        if ahead > 0 {
            let text = eventually("the date is not believed", || async {
                let status = scene.target.rest.migration("c").await;
                status["source"]["clocks"][0]["disbelieved"].as_str().map(str::to_owned)
            })
            .await;
            assert!(text.contains("is not that of the clock by which the source ends"), "{text}");
        }
        scene.action("verify").await.with(200);
        let status = scene.target.rest.migration("c").await;
        assert_eq!(status["state"], "VERIFIED", "{status:#}");
        scene
            .target
            .rest
            .delete("/rest/v2/caches/c/rolling-upgrade/source-connection?strict=true")
            .await
            .with(204);
        assert_eq!(scene.to.size().await.unwrap(), 40, "{ahead}: after the disconnect");
        scene.stop().await;
    }
}
