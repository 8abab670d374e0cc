//! `godwit serve`: a server until somebody ends it.

use std::{
    collections::HashMap, io::IsTerminal as _, net::IpAddr, path::PathBuf, process::ExitCode,
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
use config::{Advertised, MemoryLimit, Options, ServerConfig, ServerFile};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::show;
use crate::Server;

/// Settings of a server. Flags win over environment variables, and those over the file.
#[derive(Args, Debug, Default)]
pub(super) struct ServeArgs {
    /// Settings and caches: a TOML file of Godwit's own (see config/samples/godwit.toml), an
    /// infinispan.xml (or JSON, YAML), or an old standalone.xml
    #[arg(
        short,
        long,
        visible_alias = "server-config",
        env = "GODWIT_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,

    /// Address to listen on
    #[arg(short, long, env = "GODWIT_BIND_ADDRESS", value_name = "ADDRESS")]
    bind_address: Option<IpAddr>,

    /// Port for Hot Rod, REST and metrics
    #[arg(short, long, visible_alias = "bind-port", env = "GODWIT_PORT")]
    port: Option<u16>,

    /// Added to the port: several servers on one machine
    #[arg(short = 'o', long, env = "GODWIT_PORT_OFFSET", value_name = "N")]
    port_offset: Option<u16>,

    /// Name of this member
    #[arg(short, long, env = "GODWIT_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,

    /// Name of the cluster
    #[arg(short = 'g', long, env = "GODWIT_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,

    /// Where caches, source connections and checkpoints are remembered; without it, they end with the
    /// process
    #[arg(long, env = "GODWIT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Memory that entries may take, such as 80% (of the container or machine) or 512MB; beyond it writes
    /// are refused [default: 80%]
    #[arg(long, env = "GODWIT_MAX_MEMORY", value_name = "SIZE")]
    max_memory: Option<MemoryLimit>,

    /// Listen on other addresses than loopback although there is no authentication: everybody who reaches
    /// the port may do everything
    #[arg(long, env = "GODWIT_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,

    /// Where clients are told to connect to, if not to where it listens
    #[arg(long, env = "GODWIT_ADVERTISED", value_name = "HOST:PORT", value_parser = advertised)]
    advertised: Option<Advertised>,

    /// Most time that a read waits for the source, in milliseconds [default: 1500]
    #[arg(long, env = "GODWIT_SOURCE_TIMEOUT_MS", value_name = "MS")]
    source_timeout_ms: Option<u64>,

    /// What a plain read answers while the source is silent [default: fail]
    #[arg(long, env = "GODWIT_ON_SOURCE_ERROR", value_name = "POLICY")]
    on_source_error: Option<OnSourceError>,

    /// Note what is unknown in the file instead of refusing it
    #[arg(long, env = "GODWIT_LENIENT", value_parser = BoolishValueParser::new())]
    lenient: bool,

    /// Value of a property that the file names as ${name}
    #[arg(short = 'P', long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,

    /// Read the settings, say what of them has no effect, and end
    #[arg(long)]
    check_config: bool,

    /// Log lines to write: error, warn, info, debug, or by part as in "migrate=debug,info"
    #[arg(short, long, env = "GODWIT_LOG", value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnSourceError {
    /// An error
    Fail,
    /// That there is no such entry
    Absent,
}

/// The settings make no sense, or are not there.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be used")]
pub(super) struct WrongConfiguration {
    file: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl WrongConfiguration {
    fn new(file: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { file: file.to_owned(), source: Box::new(source) }
    }
}

pub(super) async fn run(arguments: ServeArgs) -> anyhow::Result<ExitCode> {
    let check = arguments.check_config;
    let (config, ignored) = arguments.resolve()?;
    check_log(&config.log)?;
    start_logging(&config.log);
    for ignored in &ignored {
        tracing::warn!("ignored: {ignored}");
    }
    crate::start::check(&config)?;
    if check {
        show::line(format_args!(
            "{} caches; listens on {}",
            config.caches.len(),
            config.socket_address()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let begin = tokio::time::Instant::now();
    let (node, insecure) = (config.node_name.clone(), config.insecure);
    let server = Server::start(config).await?;
    let (address, memory) = (server.address(), server.memory_limit());
    tracing::info!(%address, memory, "ISPN080034: Server '{node}' listening on http://{address}");
    if insecure && !address.ip().is_loopback() {
        tracing::warn!(
            "everybody who reaches {address} may do everything: there is no authentication"
        );
    }
    tracing::info!(
        "ISPN080001: Godwit Server {} started in {}ms",
        env!("CARGO_PKG_VERSION"),
        begin.elapsed().as_millis()
    );
    until_ended(&server).await?;
    tracing::info!("ISPN080002: Godwit Server stopping");
    server.stop().await;
    tracing::info!("ISPN080003: Godwit Server stopped");
    Ok(ExitCode::SUCCESS)
}

/// Writes log lines to standard error, those that `filter` lets through.
pub(super) fn start_logging(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_wrong| EnvFilter::new("info"));
    // Fails only if somebody, such as a test, has started it before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Whether a filter means what it seems to: a word without `=` is a level.
fn check_log(filter: &str) -> Result<(), WrongConfiguration> {
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
    let level = |part: &str| match part.split_once('=') {
        Some((_, level)) => is_level(level),
        None => is_level(part),
    };
    match filter.split(',').map(str::trim).find(|part| !level(part)) {
        None => Ok(()),
        Some(part) => {
            let text = format!(
                "\"{part}\" is no filter of log lines: write error, warn, info, debug or trace, or a part \
                 and a level, as in migrate=debug"
            );
            Err(WrongConfiguration::new("log", std::io::Error::other(text)))
        }
    }
}

async fn until_ended(server: &Server) -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
        () = server.asked_to_stop() => Ok(()),
    }
}

impl ServeArgs {
    /// File, environment and flags as one, and what of the file has no effect.
    fn resolve(self) -> anyhow::Result<(ServerConfig, Vec<config::Ignored>)> {
        let name = self
            .config
            .as_ref()
            .map_or_else(|| "settings".to_owned(), |file| file.display().to_string());
        let wrong = |source| WrongConfiguration::new(&name, source);
        let (file, ignored) = match &self.config {
            None => (ServerFile::default(), Vec::new()),
            Some(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|unreadable| WrongConfiguration::new(&name, unreadable))?;
                let properties: HashMap<&str, &str> =
                    self.properties.iter().map(|(name, value)| (&**name, &**value)).collect();
                let lookup = |name: &str| match name.strip_prefix("env.") {
                    Some(variable) => std::env::var(variable).ok(),
                    None => properties.get(name).map(ToString::to_string),
                };
                let options =
                    Options { lenient: self.lenient, lookup: Some(&lookup), templates: &[] };
                let parsed = match path.extension() {
                    Some(toml) if toml == "toml" => {
                        config::parse_server_as(&bytes, config::Format::Toml, &options)
                    }
                    _ => config::parse_server(&bytes, &options),
                }
                .map_err(wrong)?;
                (parsed.value, parsed.ignored)
            }
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty());
        let config = self.over(file).resolve(host).map_err(wrong)?;
        Ok((config, ignored))
    }

    /// These settings, and the file's where nothing is said here.
    fn over(self, mut file: ServerFile) -> ServerFile {
        fn lay<T>(over: Option<T>, under: &mut Option<T>) {
            if over.is_some() {
                *under = over;
            }
        }
        lay(self.bind_address, &mut file.bind_address);
        lay(self.port, &mut file.port);
        lay(self.port_offset, &mut file.port_offset);
        lay(self.node_name, &mut file.node_name);
        lay(self.cluster_name, &mut file.cluster_name);
        lay(self.data_dir, &mut file.data_dir);
        lay(self.max_memory, &mut file.max_memory);
        lay(self.insecure.then_some(true), &mut file.insecure);
        lay(self.advertised, &mut file.advertised);
        lay(self.log, &mut file.log);
        let timeout = self.source_timeout_ms.map(Duration::from_millis);
        lay(timeout, &mut file.migration.source_timeout);
        let on_source_error = self.on_source_error.map(|policy| match policy {
            OnSourceError::Fail => config::OnSourceError::Fail,
            OnSourceError::Absent => config::OnSourceError::Absent,
        });
        lay(on_source_error, &mut file.migration.on_source_error);
        file
    }
}

fn advertised(text: &str) -> Result<Advertised, String> {
    let (host, port) = text.rsplit_once(':').ok_or("write it as HOST:PORT")?;
    let port = port.parse().map_err(|_not_a_port| format!("\"{port}\" is not a port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        Err("write it as HOST:PORT".into())
    } else {
        Ok(Advertised { host, port })
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
