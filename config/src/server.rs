//! Settings of a server.
//!
//! A file is parsed into a [`ServerFile`] with optional settings; flags and the environment are
//! laid over it, and [`ServerFile::resolve`] turns it into a complete and consistent
//! [`ServerConfig`].

mod overlay;
mod settings;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

pub use self::settings::{Listen, NoAddress};
pub(crate) use self::settings::{listen, read};
use crate::{CacheConfig, CacheName, ConfigError, CorsRule, HostName, MemoryLimit, SERVER_CACHES};

/// Default port.
const DEFAULT_PORT: u16 = 11222;

/// Longest key of an entry in bytes: a record stores the length in three bytes.
pub const MAX_KEY: usize = (1 << 24) - 1;

/// Complete settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Address to listen on.
    pub bind_address: IpAddr,
    /// Port, before the offset is added; 0 stands for any free port.
    pub port: u16,
    /// Number that is added to the port.
    pub port_offset: u16,
    /// Name of this member.
    pub node_name: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Name of the container.
    pub container_name: String,
    /// Set if the container shows statistics.
    pub statistics: bool,
    /// Directory for caches, connections and checkpoints. Without it, they end with the process.
    pub data_dir: Option<PathBuf>,
    /// Memory that entries and connections may take; `None` is the server's default.
    pub max_memory: Option<MemoryLimit>,
    /// Set if other machines may reach the server although there is no authentication.
    pub insecure: bool,
    /// Set if configurations are read leniently: see [`Options::lenient`](crate::Options::lenient).
    pub lenient: bool,
    /// Address that clients are told to connect to, if it is not the one that the server listens on.
    pub advertised: Option<Advertised>,
    /// Port that clients are told, together with the address at which their connection arrived. Set
    /// if this server listens on every address and clients reach it by another port; ignored if
    /// `advertised` is set.
    pub advertised_port: Option<u16>,
    /// Rules for web pages of other origins that use the REST endpoint. Without rules, they may
    /// not.
    pub cors: Vec<CorsRule>,
    /// Names accepted in the `Host` header of requests on loopback, besides `localhost` and IP
    /// addresses.
    pub allowed_hosts: Vec<HostName>,
    /// Limits for clients.
    pub limits: Limits,
    /// Settings of migrations.
    pub migration: Migration,
    /// Filter of log lines, such as `info` or `config=debug,info`.
    pub log: String,
    /// Cache for clients that name none.
    pub default_cache: Option<CacheName>,
    /// Caches that the server creates at its start.
    pub caches: Vec<(CacheName, CacheConfig)>,
    /// Templates of caches.
    pub templates: Vec<(CacheName, CacheConfig)>,
}

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Error for a text that is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host and a port such as cache.example.org:11222 or [::1]:11222")]
pub struct NotAdvertised(String);

impl std::str::FromStr for Advertised {
    type Err = NotAdvertised;

    /// Parses a host and a port. Both are required, because remote clients depend on them.
    fn from_str(text: &str) -> Result<Self, NotAdvertised> {
        let has_port = text.trim().rsplit_once(':').is_some_and(|(host, _)| {
            // An IPv6 address is in brackets.
            host.ends_with(']') || !host.contains(':')
        });
        let server = crate::remote_store::server(text).filter(|_| has_port);
        let server = server.ok_or_else(|| NotAdvertised(text.to_owned()))?;
        Ok(Self { host: server.host, port: server.port })
    }
}

/// Limits for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request.
    pub max_content: u64,
    /// Most bytes of a key.
    pub max_key: u64,
    /// Most caches.
    pub max_caches: u32,
    /// Most connections at a time.
    pub max_connections: u32,
    /// Most waiting requests of a connection, for example for the source.
    pub max_in_flight: u32,
    /// Time without a request after which a connection is closed; `None` means never.
    pub idle_timeout: Option<Duration>,
}

/// Settings of migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Longest time that a read waits for the source.
    pub source_timeout: Duration,
    /// What a read answers if the source does not answer.
    pub on_source_error: OnSourceError,
    /// Most tombstones of a cache.
    pub max_tombstones: u64,
    /// Most bytes in transit from sources, over all caches.
    pub buffer: u64,
    /// Number of units of a source that are copied at the same time; `None` means one per
    /// processor.
    pub threads: Option<NonZeroU32>,
    /// Most entries to copy per second.
    pub max_entries_per_second: Option<u64>,
    /// Most bytes to copy per second.
    pub max_bytes_per_second: Option<u64>,
}

/// What a read answers if the source does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSourceError {
    /// An error.
    #[default]
    Fail,
    /// No entry, as if there were none.
    Absent,
}

/// Settings of a server, each of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFile {
    /// See [`ServerConfig::bind_address`].
    pub bind_address: Option<IpAddr>,
    /// Name of the host whose address to listen on. The caller looks up the address before it calls
    /// [`ServerFile::resolve`].
    pub bind_host: Option<String>,
    /// See [`ServerConfig::port`].
    pub port: Option<u16>,
    /// See [`ServerConfig::port_offset`].
    pub port_offset: Option<u16>,
    /// See [`ServerConfig::node_name`].
    pub node_name: Option<String>,
    /// See [`ServerConfig::cluster_name`].
    pub cluster_name: Option<String>,
    /// See [`ServerConfig::container_name`].
    pub container_name: Option<String>,
    /// See [`ServerConfig::statistics`].
    pub statistics: Option<bool>,
    /// See [`ServerConfig::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// See [`ServerConfig::max_memory`].
    pub max_memory: Option<MemoryLimit>,
    /// See [`ServerConfig::insecure`].
    pub insecure: Option<bool>,
    /// See [`ServerConfig::lenient`].
    pub lenient: bool,
    /// See [`ServerConfig::advertised`].
    pub advertised: Option<Advertised>,
    /// The host of [`ServerConfig::advertised`], if it is given separately.
    pub external_host: Option<String>,
    /// The port of [`ServerConfig::advertised`], if it is given separately.
    pub external_port: Option<u16>,
    /// See [`ServerConfig::cors`].
    pub cors: Vec<CorsRule>,
    /// See [`ServerConfig::allowed_hosts`].
    pub allowed_hosts: Vec<HostName>,
    /// See [`ServerConfig::limits`].
    pub limits: LimitsFile,
    /// See [`ServerConfig::migration`].
    pub migration: MigrationFile,
    /// See [`ServerConfig::log`].
    pub log: Option<String>,
    /// See [`ServerConfig::default_cache`].
    pub default_cache: Option<CacheName>,
    /// See [`ServerConfig::caches`].
    pub caches: Vec<(CacheName, CacheConfig)>,
    /// See [`ServerConfig::templates`].
    pub templates: Vec<(CacheName, CacheConfig)>,
}

/// Limits, each of them optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsFile {
    /// See [`Limits::max_content`].
    pub max_content: Option<u64>,
    /// See [`Limits::max_key`].
    pub max_key: Option<u64>,
    /// See [`Limits::max_caches`].
    pub max_caches: Option<u32>,
    /// See [`Limits::max_connections`].
    pub max_connections: Option<u32>,
    /// See [`Limits::max_in_flight`].
    pub max_in_flight: Option<u32>,
    /// See [`Limits::idle_timeout`]; zero means never.
    pub idle_timeout: Option<Duration>,
}

/// Settings of migrations, each of them optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MigrationFile {
    /// See [`Migration::source_timeout`].
    pub source_timeout: Option<Duration>,
    /// See [`Migration::on_source_error`].
    pub on_source_error: Option<OnSourceError>,
    /// See [`Migration::max_tombstones`].
    pub max_tombstones: Option<u64>,
    /// See [`Migration::buffer`].
    pub buffer: Option<u64>,
    /// See [`Migration::threads`].
    pub threads: Option<NonZeroU32>,
    /// See [`Migration::max_entries_per_second`].
    pub max_entries_per_second: Option<u64>,
    /// See [`Migration::max_bytes_per_second`].
    pub max_bytes_per_second: Option<u64>,
}

impl ServerConfig {
    /// Returns the address and port to listen on.
    #[must_use]
    pub const fn socket_address(&self) -> SocketAddr {
        // Port 0 has no offset: it stands for any free port.
        let offset = if self.port == 0 { 0 } else { self.port_offset };
        SocketAddr::new(self.bind_address, self.port.saturating_add(offset))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_content: 10_000_000,
            max_key: 64 << 10,
            max_caches: 10_000,
            max_connections: 10_000,
            max_in_flight: 256,
            idle_timeout: None,
        }
    }
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            source_timeout: Duration::from_millis(1_500),
            on_source_error: OnSourceError::default(),
            max_tombstones: 10_000_000,
            buffer: 64 << 20,
            threads: None,
            max_entries_per_second: None,
            max_bytes_per_second: None,
        }
    }
}

impl ServerFile {
    /// Sets where to listen.
    pub fn listen_on(&mut self, listen: Listen) {
        (self.bind_address, self.bind_host) = match listen {
            Listen::Address(address) => (Some(address), None),
            Listen::Host(host) => (None, Some(host)),
        };
    }

    /// Fills in defaults and checks that the settings fit together. A member without a name gets
    /// that of its host.
    ///
    /// # Errors
    ///
    /// All settings that do not fit.
    pub fn resolve(self, host_name: Option<&str>) -> Result<ServerConfig, ConfigError> {
        let node_name = self.node_name.as_deref().or(host_name).unwrap_or("godwit");
        let advertised = self.advertised();
        let advertised_port = self.external_port.filter(|_| advertised.is_none());
        let mut problems = problems_of_names(&self.caches);
        if self.bind_host.is_some() {
            let (name, expected) = ("bind-address", "an IP address, or a host name that has one");
            problems.push(ConfigError::Setting { name, expected });
        }
        let config = ServerConfig {
            bind_address: self.bind_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: self.port.unwrap_or(DEFAULT_PORT),
            port_offset: self.port_offset.unwrap_or_default(),
            node_name: take(name("node-name", node_name), &mut problems),
            cluster_name: take(
                name("cluster-name", self.cluster_name.as_deref().unwrap_or("cluster")),
                &mut problems,
            ),
            container_name: take(
                name("container-name", self.container_name.as_deref().unwrap_or("default")),
                &mut problems,
            ),
            statistics: self.statistics.unwrap_or_default(),
            data_dir: self.data_dir,
            max_memory: self.max_memory,
            insecure: self.insecure.unwrap_or_default(),
            lenient: self.lenient,
            advertised,
            advertised_port,
            cors: self.cors,
            allowed_hosts: self.allowed_hosts,
            limits: take(self.limits.resolve(), &mut problems),
            migration: take(self.migration.resolve(), &mut problems),
            log: self.log.unwrap_or_else(|| "info".into()),
            default_cache: self.default_cache,
            caches: self.caches,
            templates: self.templates,
        };
        let ServerConfig { port, port_offset: offset, .. } = config;
        if port != 0 && port.checked_add(offset).is_none() {
            problems.push(ConfigError::Port { port, offset });
        }
        if let Some(name) = &config.default_cache
            && !config.caches.iter().any(|(cache, _)| cache == name)
        {
            problems.push(ConfigError::NoDefaultCache { name: name.to_string() });
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::all(problems)) }
    }
}

/// Returns the value of a result; for an error, records the problem and returns a default.
fn take<T: Default>(result: Result<T, ConfigError>, problems: &mut Vec<ConfigError>) -> T {
    result.unwrap_or_else(|problem| {
        problems.push(problem);
        T::default()
    })
}

/// Returns a problem for each name that is reserved for the server, or that leads to more than one
/// cache.
fn problems_of_names(caches: &[(CacheName, CacheConfig)]) -> Vec<ConfigError> {
    let mut owners: BTreeMap<&str, &str> =
        caches.iter().map(|(name, _)| (name.as_str(), name.as_str())).collect();
    owners.extend(SERVER_CACHES.iter().map(|name| (*name, *name)));
    let mut problems = Vec::new();
    for (name, config) in caches {
        if name.is_internal() {
            problems.push(ConfigError::Reserved { cache: name.to_string() });
        }
        for alias in &config.aliases {
            if let Some(owner) = owners.insert(alias.as_str(), name.as_str()) {
                let (alias, cache) = (alias.to_string(), name.to_string());
                let owner = owner.to_string();
                problems.push(ConfigError::AliasTaken { alias, cache, owner });
            }
        }
    }
    problems
}

impl ServerFile {
    /// Returns the address that clients are told: `advertised` or, as in Infinispan, an external
    /// host, an external port, or both.
    fn advertised(&self) -> Option<Advertised> {
        let listens = self.port.unwrap_or(DEFAULT_PORT);
        let listens = match listens {
            0 => None,
            port => port.checked_add(self.port_offset.unwrap_or_default()),
        };
        let bound = self.bind_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let bound = Some(bound).filter(|bound| !bound.is_unspecified());
        let external = || match (&self.external_host, self.external_port) {
            (None, None) => None,
            (host, port) => Some(Advertised {
                host: host.clone().or_else(|| bound.map(|bound| bound.to_string()))?,
                port: port.or(listens)?,
            }),
        };
        self.advertised.clone().or_else(external)
    }
}

impl LimitsFile {
    fn resolve(self) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            max_content: at_least_one("limits.max-content", self.max_content, default.max_content)?,
            max_key: max_key(self.max_key.unwrap_or(default.max_key))?,
            max_caches: at_least_one("limits.max-caches", self.max_caches, default.max_caches)?,
            max_connections: at_least_one(
                "limits.max-connections",
                self.max_connections,
                default.max_connections,
            )?,
            max_in_flight: at_least_one(
                "limits.max-in-flight",
                self.max_in_flight,
                default.max_in_flight,
            )?,
            idle_timeout: self.idle_timeout.filter(|time| !time.is_zero()),
        })
    }
}

impl MigrationFile {
    fn resolve(self) -> Result<Migration, ConfigError> {
        let default = Migration::default();
        let rate = |name, rate: Option<u64>| {
            rate.map(|rate| at_least_one(name, Some(rate), rate)).transpose()
        };
        let source_timeout = self.source_timeout.unwrap_or(default.source_timeout);
        if source_timeout.is_zero() {
            let (name, expected) = ("migration.source-timeout", "longer than 0");
            return Err(ConfigError::Setting { name, expected });
        }
        Ok(Migration {
            source_timeout,
            on_source_error: self.on_source_error.unwrap_or_default(),
            max_tombstones: self.max_tombstones.unwrap_or(default.max_tombstones),
            buffer: at_least_one("migration.buffer", self.buffer, default.buffer)?,
            threads: self.threads,
            max_entries_per_second: rate(
                "migration.max-entries-per-second",
                self.max_entries_per_second,
            )?,
            max_bytes_per_second: rate(
                "migration.max-bytes-per-second",
                self.max_bytes_per_second,
            )?,
        })
    }
}

fn max_key(bytes: u64) -> Result<u64, ConfigError> {
    let (name, most) = ("limits.max-key", MAX_KEY as u64);
    match bytes {
        0 => Err(ConfigError::Setting { name, expected: "at least 1" }),
        _ if bytes > most => Err(ConfigError::Setting { name, expected: "less than 16MiB" }),
        _ => Ok(bytes),
    }
}

fn at_least_one<N: From<u8> + PartialEq>(
    name: &'static str,
    value: Option<N>,
    default: N,
) -> Result<N, ConfigError> {
    let value = value.unwrap_or(default);
    if value == N::from(0) {
        return Err(ConfigError::Setting { name, expected: "at least 1" });
    }
    Ok(value)
}

/// Checks that a name can be shown and logged.
fn name(setting: &'static str, name: &str) -> Result<String, ConfigError> {
    if (1..=255).contains(&name.len()) && !name.contains(char::is_control) {
        return Ok(name.into());
    }
    let expected = "a name of 1 to 255 bytes without control characters";
    Err(ConfigError::Setting { name: setting, expected })
}

#[cfg(test)]
mod tests;
