//! `godwit serve`: a server until somebody ends it.

use std::{
    collections::HashMap,
    io::IsTerminal as _,
    net::{IpAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
use config::{
    Advertised, Format, HostName, Listen, MemoryLimit, MigrationFile, Options, ServerConfig,
    ServerFile,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::show;
use crate::Server;

/// Settings of a server. Flags win over environment variables, and those over the file.
#[derive(Args, Debug, Default)]
pub(super) struct ServeArgs {
    /// Settings and caches: a TOML file of Godwit's own (see config/samples/godwit.toml), an
    /// infinispan.xml (or JSON, YAML), or an old standalone.xml; or a directory of such files, or an
    /// Infinispan server's root or conf directory, whose data/caches.xml is read, too. May be repeated
    #[arg(
        short,
        long,
        visible_alias = "server-config",
        env = "GODWIT_CONFIG",
        value_name = "PATH"
    )]
    config: Vec<PathBuf>,

    /// Root of the Infinispan server to replace: conf/infinispan.xml and data/caches.xml are read
    #[arg(short, long, env = "GODWIT_SERVER_ROOT", value_name = "DIR")]
    server_root: Option<PathBuf>,

    /// Address to listen on, or a host name that has it
    #[arg(short, long, env = "GODWIT_BIND_ADDRESS", value_name = "ADDRESS")]
    bind_address: Option<Listen>,

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

    /// Directory that keeps caches, source connections and checkpoints; without it, they end with the process
    #[arg(long, env = "GODWIT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Memory that entries and connections may take, such as 80% (of the container or machine) or 512MB, and at least
    /// 1MB; when it is used up, writes are refused [default: 80%]
    #[arg(long, env = "GODWIT_MAX_MEMORY", value_name = "SIZE")]
    max_memory: Option<MemoryLimit>,

    /// Allow addresses other than loopback although there is no authentication: everybody who can reach the
    /// port may do everything
    #[arg(long, env = "GODWIT_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,

    /// Address that clients are told to connect to, if it is not the one that the server listens on
    #[arg(long, env = "GODWIT_ADVERTISED", value_name = "HOST:PORT")]
    advertised: Option<Advertised>,

    /// Names that lead to this server while it listens on loopback, for example through a proxy on the same
    /// machine. HTTP requests whose Host is another name than these, localhost or an IP address are refused
    /// there, so that web pages cannot reach it under a name of their own
    #[arg(long, env = "GODWIT_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    allowed_hosts: Vec<HostName>,

    /// Longest time that a read waits for the source, in milliseconds [default: 1500]
    #[arg(long, env = "GODWIT_SOURCE_TIMEOUT_MS", value_name = "MS")]
    source_timeout_ms: Option<u64>,

    /// What a plain read answers while the source does not answer [default: fail]
    #[arg(long, env = "GODWIT_ON_SOURCE_ERROR", value_name = "POLICY")]
    on_source_error: Option<OnSourceError>,

    /// Warn of unknown settings instead of refusing them, and keep caches whose store is not supported in
    /// memory only
    #[arg(long, env = "GODWIT_LENIENT", value_parser = BoolishValueParser::new())]
    lenient: bool,

    /// Value of a property that files refer to as ${name}
    #[arg(short = 'D', long = "property", value_name = "NAME=VALUE", value_parser = property)]
    definitions: Vec<(String, String)>,

    /// File of properties, one NAME=VALUE per line; or a single NAME=VALUE
    #[arg(short = 'P', long = "properties", value_name = "FILE|NAME=VALUE")]
    properties: Vec<String>,

    /// Report all problems and ignored settings, and exit
    #[arg(long)]
    check_config: bool,

    #[command(flatten)]
    java: JavaArgs,

    /// Log lines to write: error, warn, info, debug, or by part as in "migrate=debug,info"
    #[arg(short, long, env = "GODWIT_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// Flags of Infinispan's server.sh that are accepted and have no effect.
#[derive(Args, Debug, Default)]
struct JavaArgs {
    #[arg(short = 'j', long, value_name = "NAME", hide = true)]
    cluster_stack: Option<String>,

    #[arg(short = 'k', long, value_name = "ADDRESS", hide = true)]
    cluster_address: Option<String>,

    #[arg(long, value_name = "FILE", hide = true)]
    logging_config: Option<String>,

    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "", hide = true)]
    debug: Option<String>,

    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "", hide = true)]
    jmx: Option<String>,

    #[arg(long, hide = true)]
    aot: bool,
}

impl JavaArgs {
    /// Returns a notice for each flag that was given.
    fn notices(&self) -> Vec<String> {
        let given = [
            ("--cluster-stack", "there is one member", self.cluster_stack.is_some()),
            ("--cluster-address", "there is one member", self.cluster_address.is_some()),
            ("--logging-config", "see --log", self.logging_config.is_some()),
            ("--debug", "there is no JVM", self.debug.is_some()),
            ("--jmx", "there is no JVM", self.jmx.is_some()),
            ("--aot", "there is no JVM", self.aot),
        ];
        let given = given.into_iter().filter(|(_, _, given)| *given);
        given.map(|(flag, why, _)| format!("{flag}: {why}")).collect()
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnSourceError {
    /// An error
    Fail,
    /// No entry, as if there were none
    Absent,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(super) struct WrongConfiguration(Vec<String>);

impl std::fmt::Display for WrongConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [only] => f.write_str(only),
            several => {
                write!(f, "{} problems with the configuration", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// The settings, as far as they could be read, with notices and problems.
struct Resolved {
    log: String,
    /// `None` only if there are problems.
    config: Option<ServerConfig>,
    ignored: Vec<String>,
    problems: Vec<String>,
    /// Set if the host to listen on has no address. It may have one later, so this is not a problem of the
    /// configuration.
    unresolved: Option<Unresolved>,
}

/// No address was found for the host to listen on.
#[derive(Debug, thiserror::Error)]
#[error(
    "bind-address: \"{host}\" is not an IP address, and no address was found for it as a host name"
)]
struct Unresolved {
    host: String,
    source: std::io::Error,
}

pub(super) async fn run(arguments: ServeArgs) -> anyhow::Result<ExitCode> {
    let check = arguments.check_config;
    let Resolved { log, config, ignored, mut problems, unresolved } = arguments.resolve();
    start_logging(&log);
    for ignored in &ignored {
        tracing::warn!("ignored: {ignored}");
    }
    let config = match config {
        Some(config) if problems.is_empty() => config,
        _ => {
            problems.extend(unresolved.map(|error| show::chain(&error.into())));
            return Err(WrongConfiguration(problems).into());
        }
    };
    if let Some(error) = unresolved {
        return Err(error.into());
    }
    if check {
        let caches = show::counted(config.caches.len() as u64, "cache", "caches");
        show::line(format_args!("{caches}; listens on {}", config.socket_address()));
        return Ok(ExitCode::SUCCESS);
    }
    let begin = tokio::time::Instant::now();
    let (node, insecure) = (config.node_name.clone(), config.insecure);
    // Before anybody can reach the server: a signal must not end it without a closing mark.
    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let server = Server::start(config).await?;
    let (address, memory_for_entries) = (server.address(), server.memory_limit());
    tracing::info!(%address, memory_for_entries, "ISPN080034: Server '{node}' listening on http://{address}");
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
    until_ended(&server, signals).await;
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

/// Returns what is wrong with a log filter, if anything. A word without `=` has to be a level.
fn check_log(filter: &str) -> Option<String> {
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
    let level = |part: &str| match part.split_once('=') {
        Some((_, level)) => is_level(level),
        None => is_level(part),
    };
    let part = filter.split(',').map(str::trim).find(|part| !level(part))?;
    Some(format!(
        "log: \"{part}\" is not a valid log filter: write error, warn, info, debug or trace, or a part \
         and a level, as in migrate=debug"
    ))
}

async fn until_ended(server: &Server, [mut terminated, mut interrupted]: [Signal; 2]) {
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        () = server.asked_to_stop() => {}
    }
}

impl ServeArgs {
    /// Combines files, environment and flags, and collects everything that is wrong with them.
    fn resolve(mut self) -> Resolved {
        let mut problems = Vec::new();
        let mut ignored: Vec<String> = self.java.notices();
        // server.sh has the name of a file under the letter of our filter.
        if let Some(file) = self.log.take_if(|log| is_log_file(log)) {
            ignored.push(format!("-l {file}: a configuration of log4j; see --log"));
        }
        let file = match super::files::find(&self.config, self.server_root.as_deref()) {
            Ok(files) => {
                let properties = self.properties(&mut problems);
                self.read(&files, &properties, &mut ignored, &mut problems)
            }
            Err(error) => {
                problems.push(error.to_string());
                ServerFile::default()
            }
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty());
        let mut file = self.over(file);
        let mut unresolved = None;
        if let Some(host) = file.bind_host.take() {
            match address_of(&host, &mut ignored) {
                Ok(address) => file.bind_address = Some(address),
                Err(error) => unresolved = Some(error),
            }
        }
        let log = file.log.clone().unwrap_or_else(|| "info".into());
        problems.extend(check_log(&log));
        let config = match file.resolve(host) {
            Ok(config) => {
                problems.extend(crate::start::problems(&config));
                Some(config)
            }
            Err(error) => {
                problems.extend(error.problems().iter().map(ToString::to_string));
                None
            }
        };
        Resolved { log, config, ignored, problems, unresolved }
    }

    /// The values of properties, as Java would have them: given, from files, and what flags stand for.
    fn properties(&self, problems: &mut Vec<String>) -> HashMap<String, String> {
        let mut properties = HashMap::new();
        let root = self.server_root.as_ref().map(|root| root.display().to_string());
        let below = |name: &str| root.as_ref().map(|root| format!("{root}/{name}"));
        for (name, value) in [
            ("infinispan.bind.address", self.bind_address.as_ref().map(ToString::to_string)),
            ("infinispan.bind.port", self.port.map(|port| port.to_string())),
            ("infinispan.cluster.name", self.cluster_name.clone()),
            ("infinispan.cluster.stack", self.java.cluster_stack.clone()),
            ("infinispan.node.name", self.node_name.clone()),
            ("infinispan.server.config.path", below("conf")),
            ("infinispan.server.data.path", below("data")),
            ("infinispan.server.home.path", root.clone()),
            ("infinispan.server.log.path", below("log")),
            ("infinispan.server.root.path", root.clone()),
            (
                "infinispan.socket.binding.port-offset",
                self.port_offset.map(|offset| offset.to_string()),
            ),
            ("java.io.tmpdir", std::env::temp_dir().to_str().map(str::to_owned)),
            ("jgroups.bind.address", self.java.cluster_address.clone()),
            ("user.dir", std::env::current_dir().ok().map(|it| it.display().to_string())),
            ("user.home", std::env::var("HOME").ok()),
        ] {
            properties.extend(value.map(|value| (name.to_owned(), value)));
        }
        for given in &self.properties {
            match property(given) {
                Ok((name, value)) => {
                    properties.insert(name, value);
                }
                Err(_) => match std::fs::read_to_string(given) {
                    Ok(text) => properties.extend(property_lines(&text)),
                    Err(error) => problems.push(format!("{given}: {error}")),
                },
            }
        }
        properties.extend(self.definitions.iter().cloned());
        properties
    }

    /// Reads files and lays them over each other.
    fn read(
        &self,
        files: &[PathBuf],
        properties: &HashMap<String, String>,
        ignored: &mut Vec<String>,
        problems: &mut Vec<String>,
    ) -> ServerFile {
        let lookup = |name: &str| match name.strip_prefix("env.") {
            Some(variable) => std::env::var(variable).ok(),
            None => properties.get(name).cloned(),
        };
        let read = |file: &PathBuf, templates: &[_]| -> Result<_, std::io::Error> {
            let bytes = std::fs::read(file)?;
            let format = format_of(file, &bytes);
            if format != Format::Toml && bytes.iter().all(u8::is_ascii_whitespace) {
                return Err(std::io::Error::other("the file is empty"));
            }
            let options = Options {
                lenient: self.lenient,
                insecure: self.insecure,
                lookup: Some(&lookup),
                templates,
                ..Options::default()
            };
            Ok(config::read_server(&bytes, format, &options))
        };
        let mut templates = Vec::new();
        if files.len() > 1 {
            // Caches may be made from configurations in other files.
            for file in files {
                let read = read(file, &[]).ok().and_then(|reading| reading.value);
                templates.extend(read.into_iter().flat_map(|file| file.templates));
            }
        }
        let mut whole = ServerFile::default();
        for file in files {
            let name = file.display();
            let reading = match read(file, &templates) {
                Ok(reading) => reading,
                Err(error) => {
                    problems.push(format!("{name}: {error}"));
                    continue;
                }
            };
            ignored.extend(reading.ignored.iter().map(|ignored| format!("{name}: {ignored}")));
            problems.extend(reading.problems.iter().map(|problem| format!("{name}: {problem}")));
            for (what, cache) in whole.overlay(reading.value.unwrap_or_default()) {
                problems.push(format!(
                    "{name}: {what} '{cache}' is configured differently in an earlier file; remove one of them"
                ));
            }
        }
        whole
    }

    /// Lays what the flags say over a file.
    fn over(self, mut file: ServerFile) -> ServerFile {
        let on_source_error = self.on_source_error.map(|policy| match policy {
            OnSourceError::Fail => config::OnSourceError::Fail,
            OnSourceError::Absent => config::OnSourceError::Absent,
        });
        let mut flags = ServerFile {
            port: self.port,
            port_offset: self.port_offset,
            node_name: self.node_name,
            cluster_name: self.cluster_name,
            data_dir: self.data_dir,
            max_memory: self.max_memory,
            insecure: self.insecure.then_some(true),
            lenient: self.lenient,
            advertised: self.advertised,
            allowed_hosts: self.allowed_hosts,
            log: self.log,
            migration: MigrationFile {
                source_timeout: self.source_timeout_ms.map(Duration::from_millis),
                on_source_error,
                ..MigrationFile::default()
            },
            ..ServerFile::default()
        };
        self.bind_address.into_iter().for_each(|listen| flags.listen_on(listen));
        // Flags have no caches, so none can differ.
        let _ = file.overlay(flags);
        file
    }
}

/// Looks up the address of a host to listen on. Addresses beside it are added to `ignored`.
fn address_of(host: &str, ignored: &mut Vec<String>) -> Result<IpAddr, Unresolved> {
    let unresolved = |source| Unresolved { host: host.to_owned(), source };
    let addresses = (host, 0).to_socket_addrs().map_err(unresolved)?;
    let (address, others) = one_of(addresses.map(|address| address.ip()))
        .ok_or_else(|| unresolved(std::io::Error::other("it has none")))?;
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(ToString::to_string).collect();
        let others = others.join(" or ");
        ignored.push(format!("bind-address: {host} is {address}; not listening on {others}"));
    }
    Ok(address)
}

/// Returns the address to listen on, the first of version 4 if there is one, and the others.
fn one_of(addresses: impl Iterator<Item = IpAddr>) -> Option<(IpAddr, Vec<IpAddr>)> {
    let addresses: Vec<_> = addresses.collect();
    let of_version_4 = addresses.iter().find(|address| address.is_ipv4());
    let address = *of_version_4.or_else(|| addresses.first())?;
    Some((address, addresses.into_iter().filter(|other| *other != address).collect()))
}

/// The format of a file by its look; where that says little, by its name.
fn format_of(file: &Path, content: &[u8]) -> Format {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match (ending, Format::told_by(&String::from_utf8_lossy(content))) {
        ("toml", _) => Format::Toml,
        ("xml", Format::Yaml) => Format::Xml,
        ("json", Format::Yaml) => Format::Json,
        (_, format) => format,
    }
}

/// Returns whether a filter of log lines is the name of a file instead.
fn is_log_file(text: &str) -> bool {
    [".xml", ".properties", ".yaml", ".yml", ".json"].iter().any(|ending| text.ends_with(ending))
}

/// The values in a file of properties, without those that go on in a next line.
fn property_lines(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    lines.filter_map(|line| {
        let (name, value) = line.split_once(['=', ':'])?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    })
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    //! Which address of a host is listened on.

    use super::*;

    #[test]
    fn of_several_addresses_the_first_of_version_4_is_taken() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |texts: &[&str]| one_of(texts.iter().map(|text| address(text)));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["::2"]), Some((address("::2"), vec![])));
        let several = of(&["::2", "10.0.0.7", "10.0.0.8", "10.0.0.7"]);
        assert_eq!(several, Some((address("10.0.0.7"), vec![address("::2"), address("10.0.0.8")])));
    }
}
