//! A cache comes over from a real server while clients go on: all of it, as it was, and nothing that
//! they have removed.

use serde_json::Value;
use server::demo::{Account, Tally, Workers};
use tokio::time::Instant;

use crate::harness::{
    TestServer, eventually,
    infinispan::{Infinispan, Setup, Version, cache_element},
    note,
};

/// Entries of each cache.
const ENTRIES: usize = 100_000;

/// Keys that clients have removed, at least, before most of the cache is copied.
const REMOVED: usize = 5_000;

/// Clients at work meanwhile.
const CLIENTS: usize = 8;

/// Every so many keys are read through before anything is copied.
const READ_THROUGH: usize = 20;

/// What clients do, and do again in every run.
const SEED: u64 = 20_261_122;

/// Caches and the media type of each.
const CACHES: [(&str, &str); 2] =
    [("octets", "application/octet-stream"), ("protostream", "application/x-protostream")];

#[tokio::test(flavor = "multi_thread")]
async fn caches_come_over_from_14() {
    let source = Infinispan::start(Setup::new(Version::V14, elements())).await;
    come_over("14.0.28", [source]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_come_over_from_15() {
    let source = Infinispan::start(Setup::new(Version::V15, elements())).await;
    come_over("15.2.6", [source]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_come_over_from_16() {
    let source = Infinispan::start(Setup::new(Version::V16, elements())).await;
    come_over("16.0.7", [source]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_come_over_from_two_servers_of_16() {
    let sources = Infinispan::start_pair(Setup::new(Version::V16, elements())).await;
    come_over("16.0.7, two servers", sources).await;
}

fn elements() -> String {
    CACHES.map(|(name, media_type)| cache_element(name, media_type, "")).concat()
}

/// Brings both caches over, one after the other, ends the source, and reads every key.
async fn come_over<const N: usize>(from: &str, mut source: [Infinispan; N]) {
    let target = TestServer::start().await;
    let mut migrations = Vec::new();
    for (name, media_type) in CACHES {
        let migration = Migration::connect(&source[0], &target, name, media_type).await;
        let figures = migration.bring_over().await;
        migrations.push((migration, figures));
    }
    for server in &mut source {
        server.kill().await;
    }
    for (migration, figures) in migrations {
        let tally = migration.account.check(&migration.cache, |_| {}).await.unwrap();
        figures.show(from, migration.name, &tally);
        assert_eq!(tally.differences, [], "{from}, {}", migration.name);
        assert_eq!((tally.checked, tally.unknown), (ENTRIES as u64, 0));
        assert_eq!(tally.came_back, 0);
        assert!(tally.removed >= REMOVED as u64, "{tally:?}");
        assert!(tally.from_source <= figures.written + figures.already_here, "{figures:?}");
        let size = migration.cache.size().await.unwrap();
        assert!(size >= tally.from_source, "{size} entries");
    }
    target.stop().await;
}

/// One cache on its way.
struct Migration<'a> {
    name: &'static str,
    target: &'a TestServer,
    cache: client::RemoteCache,
    account: std::sync::Arc<Account>,
}

/// What a migration has shown.
#[derive(Debug)]
struct Figures {
    written: u64,
    already_here: u64,
    requests: u64,
    removals: u64,
    rate: f64,
    seconds: f64,
}

impl<'a> Migration<'a> {
    /// Fills a cache of the source, and connects one of the target to it.
    async fn connect(
        source: &Infinispan,
        target: &'a TestServer,
        name: &'static str,
        media_type: &str,
    ) -> Self {
        let filled = source.cache(name).await;
        let account = Account::fill(&filled, ENTRIES, |_| {}).await.unwrap();
        let config = format!(
            r#"{{"distributed-cache":{{"mode":"SYNC","statistics":true,"encoding":{{"media-type":"{media_type}"}}}}}}"#
        );
        let cache = target.cache_of(name, &config).await;
        target.connect(name, &source.document(name).to_string()).await;
        Self { name, target, cache, account }
    }

    fn path(&self, rest: &str) -> String {
        format!("/rest/v2/caches/{}{rest}", self.name)
    }

    async fn status(&self) -> Value {
        self.target.rest.migration(self.name).await
    }

    /// Everything from the first read to the end of the connection.
    async fn bring_over(&self) -> Figures {
        let begin = Instant::now();
        self.read_through().await;
        let (job, worked, rate) = self.synchronize_at_work().await;
        let written = self.account_for(&job).await;
        assert_eq!(self.target.synchronize(self.name).await, 0, "everything is here already");
        self.prove().await;
        let disconnect = self.path("/rolling-upgrade/source-connection?strict=true");
        self.target.rest.delete(&disconnect).await.with(204);
        assert_eq!(self.target.synchronize(self.name).await, written, "as the finished job said");
        Figures {
            written,
            already_here: number(&job, "/entries/alreadyHere"),
            requests: worked.reads + worked.writes + worked.removals,
            removals: worked.removals,
            rate,
            seconds: begin.elapsed().as_secs_f64(),
        }
    }

    async fn read_through(&self) {
        let read = self.account.check_every(READ_THROUGH, &self.cache, |_| {}).await.unwrap();
        assert_eq!(read.differences, []);
        assert!(read.from_source > 0, "{read:?}");
        let status = self.status().await;
        assert_eq!(number(&status, "/readThrough/hits"), read.from_source, "{status:#}");
        assert_eq!(number(&status, "/readThrough/silent"), 0);
    }

    /// Copies while clients read, write and remove, before it and until its end.
    async fn synchronize_at_work(&self) -> (Value, server::demo::Worked, f64) {
        let workers = Workers::start(&self.cache, &self.account, CLIENTS, SEED);
        let rest = &self.target.rest;
        rest.post(&self.path("?action=sync-data&async=true"), "").await.with(202);
        let throttle = self.path("/rolling-upgrade?action=throttle");
        rest.post(&throttle, r#"{"entriesPerSecond":1000}"#).await.with(204);
        eventually("clients have removed enough", || async {
            (self.account.removed() >= REMOVED).then_some(())
        })
        .await;
        // Most is copied only now, and clients go on.
        let before = self.job().await;
        assert_eq!(before["state"], "running", "{before:#}");
        assert!(number(&before, "/entries/read") < ENTRIES as u64 / 2, "{before:#}");
        rest.post(&throttle, "{}").await.with(204);
        let begin = Instant::now();
        let written = self.target.synchronize(self.name).await;
        let seconds = begin.elapsed().as_secs_f64();
        let worked = workers.stop().await;
        let job = self.job().await;
        let read = number(&job, "/entries/read") - number(&before, "/entries/read");
        let rate = read as f64 / seconds;
        assert_eq!(
            number(&job, "/entries/written"),
            written,
            "who joins a job hears what it wrote"
        );
        assert_eq!(job["state"], "finished", "{:#}", self.status().await);
        assert_eq!((worked.wrong.as_slice(), worked.errors), (&[][..], 0));
        (job, worked, rate)
    }

    async fn job(&self) -> Value {
        self.status().await["job"].take()
    }

    /// What was read is what became of it, in every segment and in all of them together.
    async fn account_for(&self, job: &Value) -> u64 {
        let becomes = ["written", "keptForClient", "tombstone", "alreadyHere", "expired", "failed"];
        let entries = ["read"].iter().chain(&becomes);
        let by_segment = job["bySegment"].as_object().unwrap();
        assert_eq!(by_segment.len(), 256, "every segment has entries");
        for counts in by_segment.values().chain([&job["entries"]]) {
            let sum: u64 = becomes.iter().map(|name| counts[name].as_u64().unwrap()).sum();
            assert_eq!(counts["read"], sum, "{counts:#}");
        }
        for name in entries {
            let of_segment = |counts: &Value| counts[name].as_u64().unwrap();
            let sum: u64 = by_segment.values().map(of_segment).sum();
            assert_eq!(job["entries"][name], sum, "{name}");
        }
        assert_eq!(number(job, "/entries/failed"), 0);
        assert_eq!(number(job, "/segments/complete"), 256);
        let status = self.status().await;
        let here = &status["here"];
        assert_eq!(here["read"], job["entries"]["read"], "{here:#}");
        assert_eq!(here["copied"], job["entries"]["written"], "{here:#}");
        assert_eq!(here["readThrough"], job["entries"]["alreadyHere"], "{here:#}");
        assert_eq!(
            (&status["state"], &status["imported"]),
            (&"SYNCED".into(), &job["entries"]["written"])
        );
        number(job, "/entries/written")
    }

    /// Nothing is missing, different or gone, and entries were last used when the source says.
    async fn prove(&self) {
        let last_uses = self.account.check_last_uses(&self.cache).await.unwrap();
        assert_eq!(last_uses.differences, []);
        assert!(last_uses.checked > ENTRIES as u64 / 2, "{last_uses:?}");
        let verify = self.path("/rolling-upgrade?action=verify");
        let report = self.target.rest.post(&verify, "").await.with(200).json();
        for kind in ["missing", "different", "vanished"] {
            assert_eq!(report[kind], 0, "{report:#}");
        }
        assert!(number(&report, "/compared") > ENTRIES as u64 / 2, "{report:#}");
        let compared = ["/same", "/changedHere", "/expired"].map(|kind| number(&report, kind));
        assert_eq!(number(&report, "/compared"), compared.iter().sum::<u64>(), "{report:#}");
        assert_eq!(self.status().await["state"], "VERIFIED");
    }
}

impl Figures {
    fn show(&self, from: &str, name: &str, tally: &Tally) {
        let Self { written, already_here, requests, removals, rate, seconds } = self;
        note(format_args!(
            "{from}, {name}: {ENTRIES} entries, {written} written, {already_here} read through; {requests} \
             requests meanwhile, {removals} of them removals; {} removed at the end, {} of those back; \
             {} differences; {rate:.0} entries/s; {seconds:.1} s in all",
            tally.removed,
            tally.came_back,
            tally.differences.len(),
        ));
    }
}

fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}
