//! `godwit demo`: the main job from start to end, with an account of every key.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use client::{Client, ClientConfig, RemoteCache, ServerAddress};
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use config::ServerConfig;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    api::{Api, segment},
    migrate::{Interrupted, progress_bar},
    serve::start_logging,
    show,
};
use crate::{
    Server,
    demo::{Account, Tally, Worked, Workers},
};

/// Time after which even the last entry of a short life is over.
const SHORT_LIVES_ARE_OVER: Duration = Duration::from_secs(4);

/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Take the entries from this server instead of one that the demo starts: a cache of the demo's own
    /// is created there, and removed at the end
    #[arg(long, value_name = "hotrod://USER:PASSWORD@HOST:PORT")]
    source: Option<String>,

    /// Entries to migrate
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one)]
    entries: usize,

    /// Clients that read, write and remove meanwhile
    #[arg(long, default_value_t = 8)]
    clients: usize,

    /// Decides what the clients do; the same number, the same deeds
    #[arg(long)]
    seed: Option<u64>,

    /// Print the figures as JSON
    #[arg(long)]
    json: bool,

    /// Log lines to write, as in `godwit serve --log`
    #[arg(long, default_value = "error")]
    log: String,
}

pub(super) async fn run(arguments: DemoArgs) -> anyhow::Result<ExitCode> {
    start_logging(&arguments.log);
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let source = Source::start(arguments.source.as_deref()).await?;
    let demo = tokio::select! {
        demo = demonstrate(&source, &arguments, seed) => demo,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(Interrupted::without_consequences().into())
        }
    };
    // Also after an error, and after Ctrl-C: nothing of the demo stays behind.
    let cleaned = source.clean_up().await;
    let figures = match (demo, cleaned) {
        (Ok(figures), Ok(())) => figures,
        (Err(error), Ok(())) | (Ok(_), Err(error)) => return Err(error),
        (Err(error), Err(left)) => return Err(error.context(format!("{left:#}"))),
    };
    figures.show(arguments.json);
    Ok(if figures.differences() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server that entries come from, and the demo's cache there.
struct Source {
    /// If the demo has started it.
    server: tokio::sync::Mutex<Option<Server>>,
    uri: Option<String>,
    address: ServerAddress,
    client: Client,
    cache: String,
}

impl Source {
    async fn start(uri: Option<&str>) -> anyhow::Result<Self> {
        let cache = format!("godwit-demo-{:08x}", rand::random::<u32>());
        let (server, config) = match uri {
            Some(uri) => (None, uri.parse::<ClientConfig>().context(uri_error(uri))?),
            None => {
                let server = start_server("source").await?;
                let config = ClientConfig::new([address(&server)]);
                (Some(server), config)
            }
        };
        let address = config.servers.first().cloned().context("--source names no server")?;
        let client = Client::connect(config).await.context("the source cannot be reached")?;
        client.create_cache(&cache, CACHE).await.context("the demo's cache cannot be created")?;
        let (server, uri) = (tokio::sync::Mutex::new(server), uri.map(ToOwned::to_owned));
        Ok(Self { server, uri, address, client, cache })
    }

    async fn open(&self) -> anyhow::Result<RemoteCache> {
        // Right after its creation a cache may not have started on every server.
        let mut attempts = 0;
        loop {
            match self.client.cache(&self.cache).await {
                Ok(cache) => return Ok(cache),
                Err(_) if attempts < 50 => attempts += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How a target is told of it.
    fn remote_store(&self) -> Value {
        let cache = &self.cache;
        let store = match &self.uri {
            Some(uri) => json!({ "cache": cache, "shared": true, "raw-values": true, "uri": uri }),
            None => {
                let server = json!({ "host": self.address.host, "port": self.address.port });
                json!({ "cache": cache, "shared": true, "raw-values": true, "remote-server": [server] })
            }
        };
        json!({ "remote-store": store })
    }

    /// Stops the server, if the demo has started it; otherwise it goes on, without the demo's cache.
    async fn stop(&self) -> anyhow::Result<()> {
        match self.server.lock().await.take() {
            Some(server) => {
                self.client.close().await;
                server.stop().await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn clean_up(&self) -> anyhow::Result<()> {
        if self.uri.is_some() {
            let removed = self.client.remove_cache(&self.cache).await;
            removed.with_context(|| format!("cache {} stays at the source", self.cache))?;
            self.client.close().await;
        }
        self.stop().await
    }
}

/// What the demo's caches are.
const CACHE: &str = r#"{"distributed-cache":{"mode":"SYNC","statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it has to be a number, and at least 1".into()),
        Ok(entries) => Ok(entries),
    }
}

fn uri_error(uri: &str) -> String {
    // Without user and password.
    let server = uri.rsplit_once('@').map_or(uri, |(_, server)| server);
    format!("--source …{server}")
}

async fn start_server(name: &str) -> anyhow::Result<Server> {
    let file = config::ServerFile {
        port: Some(0),
        node_name: Some(name.into()),
        ..config::ServerFile::default()
    };
    let config: ServerConfig = file.resolve(None)?;
    Ok(Server::start(config).await?)
}

fn address(server: &Server) -> ServerAddress {
    let address = server.address();
    ServerAddress { host: address.ip().to_string(), port: address.port() }
}

async fn demonstrate(source: &Source, arguments: &DemoArgs, seed: u64) -> anyhow::Result<Figures> {
    let entries = arguments.entries;
    let source_cache = source.open().await?;
    let bar = bar("fill", entries);
    let account = Account::fill(&source_cache, entries, |more| bar.inc(more)).await?;
    bar.finish_and_clear();

    let target = start_server("target").await?;
    let client = Client::connect(ClientConfig::new([address(&target)])).await?;
    client.create_cache("demo", CACHE).await?;
    let cache = client.cache("demo").await?;
    let api = Api::new(&target.address().to_string())?;
    let path = |rest: &str| format!("/rest/v2/caches/{}{rest}", segment("demo"));
    let connection = path("/rolling-upgrade/source-connection");
    let body = source.remote_store().to_string().into_bytes();
    api.post(&connection, Some(body)).await?.success().context("connect")?;

    let workers = Workers::start(&cache, &account, arguments.clients, seed);
    let begin = Instant::now();
    let status =
        synchronize(&api, &path("?action=sync-data&async=true"), &path("/rolling-upgrade")).await;
    let elapsed = begin.elapsed();
    let worked = workers.stop().await;
    let status = status?;

    let verify = path("/rolling-upgrade?action=verify&async=false");
    let report = api.post(&verify, None).await?.success().context("verify")?.json()?;
    let after = api.get(&path("/rolling-upgrade")).await?.success()?.json()?;
    api.call(Method::DELETE, &format!("{connection}?strict=true"), None)
        .await?
        .success()
        .context("disconnect")?;
    source.stop().await?;

    tokio::time::sleep(SHORT_LIVES_ARE_OVER).await;
    let bar = self::bar("read", entries);
    let tally = account.check(&cache, |more| bar.inc(more)).await?;
    bar.finish_and_clear();
    client.close().await;
    target.stop().await;
    Ok(Figures { seed, elapsed, status, after, report, worked, tally })
}

fn bar(what: &'static str, entries: usize) -> ProgressBar {
    let bar = progress_bar();
    bar.set_length(entries as u64);
    bar.set_message(what);
    bar
}

/// Synchronizes with a progress bar. Returns the last status.
async fn synchronize(api: &Api, start: &str, status: &str) -> anyhow::Result<Value> {
    api.post(start, None).await?.success().context("synchronize")?;
    let bar = progress_bar();
    loop {
        let status = api.get(status).await?.success()?.json()?;
        let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        bar.set_length(number("/source/entries").max(number("/job/entries/read")));
        bar.set_position(number("/job/entries/read"));
        bar.set_message("copy");
        match status.pointer("/job/state").and_then(Value::as_str) {
            Some("running" | "retrying") => tokio::time::sleep(LOOK).await,
            Some("finished") => {
                bar.finish_and_clear();
                return Ok(status);
            }
            other => {
                let other = other.unwrap_or("there is no job any more");
                let problem = status.get("problem").and_then(Value::as_str).unwrap_or(other);
                bail!("the synchronization has failed: {problem}");
            }
        }
    }
}

/// What the demo has seen.
struct Figures {
    seed: u64,
    elapsed: Duration,
    status: Value,
    after: Value,
    report: Value,
    worked: Worked,
    tally: Tally,
}

impl Figures {
    fn number(value: &Value, pointer: &str) -> u64 {
        value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Everything that is not as it must be.
    fn differences(&self) -> u64 {
        let verify =
            ["/missing", "/different", "/vanished"].map(|kind| Self::number(&self.report, kind));
        self.tally.differences.len() as u64
            + self.worked.wrong.len() as u64
            + self.worked.errors
            + verify.iter().sum::<u64>()
    }

    /// Each figure: its name as JSON, its name for people, and what it is.
    fn rows(&self) -> Vec<(&'static str, &'static str, Value)> {
        let job = |name: &str| Self::number(&self.status, &format!("/job/entries/{name}"));
        let millis = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let requests = self.worked.reads + self.worked.writes + self.worked.removals;
        vec![
            ("read", "read by the copy", job("read").into()),
            ("copied", "  copied", job("written").into()),
            ("alreadyHere", "  here, read through", job("alreadyHere").into()),
            ("keptForClient", "  kept from clients", job("keptForClient").into()),
            ("tombstones", "  removed by clients", job("tombstone").into()),
            ("expiredBefore", "  expired", job("expired").into()),
            (
                "readThrough",
                "read through in all",
                Self::number(&self.after, "/readThrough/hits").into(),
            ),
            ("removed", "removed in all", self.tally.removed.into()),
            ("cameBack", "of those, back again", self.tally.came_back.into()),
            ("expired", "expired in all", self.tally.expired.into()),
            ("requests", "client requests meanwhile", requests.into()),
            ("failedRequests", "client requests that failed", self.worked.errors.into()),
            ("compared", "compared by verify", Self::number(&self.report, "/compared").into()),
            ("checked", "read again without source", self.tally.checked.into()),
            ("unknown", "of those, not judged", self.tally.unknown.into()),
            ("differences", "differences", self.differences().into()),
            ("seconds", "seconds to copy", (millis as f64 / 1_000.0).into()),
            (
                "entriesPerSecond",
                "entries/s read by the copy",
                (job("read") * 1_000 / millis).into(),
            ),
        ]
    }

    fn show(&self, as_json: bool) {
        let rows = self.rows();
        if as_json {
            let figures = rows.into_iter().map(|(name, _, value)| (name.to_owned(), value));
            let mut figures = serde_json::Map::from_iter(figures);
            figures.insert("seed".into(), json!(self.seed));
            show::line(Value::Object(figures));
        } else {
            let mut table = Table::new();
            table.load_style(UTF8_BORDERS_ONLY);
            for (_, name, value) in rows {
                let value = value.as_u64().map_or_else(|| value.to_string(), show::grouped);
                let value = Cell::new(value).set_alignment(CellAlignment::Right);
                table.add_row(vec![Cell::new(name), value]);
            }
            show::line(table);
            if self.differences() == 0 && self.tally.unknown == 0 {
                show::line("Every key is as it must be: nothing was lost, and nothing came back.");
            }
        }
        let wrong = self.worked.wrong.iter().chain(&self.tally.differences);
        for difference in wrong.take(20) {
            show::note(difference);
        }
        if self.differences() > 0 {
            show::note(format_args!("repeat with --seed {}", self.seed));
        }
    }
}
