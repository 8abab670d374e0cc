//! A running member: everything that endpoints share.

use std::{sync::Arc, time::Duration};

use cluster::{Agreement, Caches, Clock, MetaCommand, Tolerance};
use config::{CacheConfig, CacheName, ServerConfig};
use hotrod::{Limits, ServerAddress};
use migrate::{ByteBudget, Driver, Migrations, Settings, Sources};
use store::{Cache, Container, Expiration, MemoryLimit};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    budget::Budget,
    error::StartError,
    hotrod::{Iterations, Logins, TopologyIds},
};

/// Limits for clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeLimits {
    pub(crate) wire: Limits,
    pub(crate) in_flight: usize,
    /// Bytes of requests of a connection that wait for something, beyond which no more are taken.
    pub(crate) in_flight_bytes: usize,
    pub(crate) connections: usize,
}

/// Part of the memory limit that requests and answers may take.
const CONNECTIONS: u64 = 8;

/// Largest requests that there is room for, if that takes no more than half of the memory: one that arrives, two that
/// wait for something, and the answer to another.
const LARGEST_REQUESTS: u64 = 4;

/// Most bytes of requests of a connection that wait for something, beyond which no more are taken.
const IN_FLIGHT_BYTES: u64 = 16 * 1024 * 1024;

/// A running member.
pub(crate) struct Node {
    pub(crate) config: ServerConfig,
    pub(crate) driver: Driver,
    pub(crate) caches: Caches,
    pub(crate) migrations: Migrations,
    pub(crate) iterations: Iterations,
    pub(crate) logins: Logins,
    pub(crate) limits: NodeLimits,
    pub(crate) topologies: TopologyIds,
    /// Address that clients are told to connect to, if it is not the one at which their connection arrived.
    pub(crate) advertised: Option<ServerAddress>,
    /// Port that they are told without `advertised`, if it is not the one at which their connection arrived.
    pub(crate) advertised_port: Option<u16>,
    /// What it answers in [`migrate::PROCESS`].
    pub(crate) process: String,
    pub(crate) traffic: Traffic,
    /// Memory of requests and answers.
    pub(crate) budget: Arc<Budget>,
    /// Cancelled when the process is to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Bytes that went over all Hot Rod connections.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) read: std::sync::atomic::AtomicU64,
    pub(crate) written: std::sync::atomic::AtomicU64,
}

impl Node {
    /// Starts everything but the endpoints. `own` are the addresses under which this server is reached.
    pub(crate) async fn start(
        config: ServerConfig,
        memory: u64,
        own: Vec<ServerAddress>,
    ) -> Result<Arc<Self>, StartError> {
        let clock = Arc::new(Clock::start());
        let (for_entries, for_connections) = shared_out(memory, config.limits.max_content);
        let container = Arc::new(Container::new(MemoryLimit::new(for_entries)));
        let budget = Budget::new(for_connections, config.limits.idle_timeout, clock.now());
        let (directory, tombstones) = (config.data_dir.as_deref(), config.migration.max_tombstones);
        let agreement =
            Agreement::start(directory, container, Arc::clone(&clock), tombstones).map(Arc::new)?;
        let process = format!("{:016x}", rand::random::<u64>());
        let settings = migration_settings(&config, own, process.clone());
        let sources = Arc::new(Sources::new(settings.source_timeout));
        let tolerance = Tolerance { lenient: config.lenient, insecure: config.insecure };
        let caches = Caches::new(Arc::clone(&agreement), config.templates.clone())
            .with_tolerance(tolerance)
            .with_most(config.limits.max_caches as usize)
            .with_default_cache(config.default_cache.clone());
        create_configured(&caches, &config).await?;
        let advertised = config.advertised.as_ref().map(|advertised| ServerAddress {
            host: advertised.host.clone(),
            port: advertised.port,
        });
        let topologies = TopologyIds::new(clock.now());
        let node = Arc::new(Self {
            driver: Driver::new(Arc::clone(&agreement), Arc::clone(&sources)),
            migrations: Migrations::start(agreement, sources, settings),
            caches,
            iterations: Iterations::default(),
            logins: Logins::default(),
            limits: limits(&config, for_connections),
            topologies,
            advertised,
            advertised_port: config.advertised_port,
            process,
            traffic: Traffic::default(),
            budget,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
        });
        Ok(node)
    }

    /// The cache that a client names; the default cache if it names none.
    pub(crate) fn cache(&self, name: &str) -> Option<Arc<Cache>> {
        let name = match name {
            "" => self.config.default_cache.as_ref()?.as_str(),
            name => name,
        };
        self.driver.agreement().container().cache(name)
    }

    /// Ends everything that is running, and returns when it has ended.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.migrations.stop().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Creates the configured caches that the data directory does not have yet.
async fn create_configured(caches: &Caches, config: &ServerConfig) -> Result<(), StartError> {
    let internal = config::SERVER_CACHES.iter().filter_map(|name| {
        let config = CacheConfig {
            encoding: config::Encoding {
                key: Some(media::MediaType::PROTOSTREAM),
                value: Some(media::MediaType::PROTOSTREAM),
            },
            ..CacheConfig::new(config::CacheMode::Replicated)
        };
        Some((name.parse::<CacheName>().ok()?, config))
    });
    let configured = config.caches.iter().cloned();
    let agreed = caches.agreement().see(cluster::Metadata::clone);
    for (name, config) in internal.chain(configured) {
        // Not one that has this name as an alias.
        let exact = |metadata: &cluster::Metadata| {
            metadata.cache(name.as_str()).map(|known| Arc::clone(&known.config))
        };
        let standing = caches.agreement().see(exact);
        match standing {
            None => {
                let Some(config) = without_names_of_others(&name, config, &agreed) else {
                    continue;
                };
                let (cache, config) = (name, Arc::new(config));
                // Not volatile: changes at run time have to find it at the next start.
                let create = MetaCommand::CreateCache { cache, config, volatile: false };
                caches.agreement().propose(create).await?;
            }
            // Changes at run time take precedence over files.
            Some(standing) if *standing == config => {}
            Some(_) => {
                tracing::warn!(cache = %name, "the data directory has another configuration of this cache, which is used instead of the one in the file");
            }
        }
    }
    Ok(())
}

/// Returns the configuration of a cache to create, without aliases that other caches were given at run time. `None`
/// if another cache was given the name of the cache itself.
fn without_names_of_others(
    name: &CacheName,
    mut config: CacheConfig,
    agreed: &cluster::Metadata,
) -> Option<CacheConfig> {
    if let Some(owner) = agreed.owner_of(name) {
        tracing::warn!(
            cache = %name, %owner,
            "a configured cache is not created: its name was assigned to another cache as an alias. Take the cache \
             out of the file, or the alias from its owner"
        );
        return None;
    }
    config.aliases.retain(|alias| {
        let owner = match agreed.cache(alias.as_str()) {
            Some(_) => Some(alias),
            None => agreed.owner_of(alias),
        };
        if let Some(owner) = owner {
            tracing::warn!(
                cache = %name, %alias, %owner,
                "a configured alias is not used: another cache was given this name before"
            );
        }
        owner.is_none()
    });
    Some(config)
}

fn migration_settings(
    config: &ServerConfig,
    own_servers: Vec<ServerAddress>,
    process: String,
) -> Settings {
    let migration = &config.migration;
    let threads = migration.threads.map_or_else(processors, |threads| threads.get() as usize);
    Settings {
        source_timeout: migration.source_timeout,
        on_source_error: match migration.on_source_error {
            config::OnSourceError::Fail => migrate::OnSourceError::Fail,
            config::OnSourceError::Absent => migrate::OnSourceError::Absent,
        },
        sync: migrate::sync::SyncSettings {
            units: threads.max(2),
            ..migrate::sync::SyncSettings::default()
        },
        rates: migrate::Rates {
            entries_per_second: migration.max_entries_per_second,
            bytes_per_second: migration.max_bytes_per_second,
        },
        buffer: ByteBudget::new(migration.buffer),
        max_key: usize::try_from(config.limits.max_key).unwrap_or(usize::MAX),
        own_servers,
        process,
    }
}

/// Processors that this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes that entries may take, and bytes that connections may take: no more than there are. Where there is little memory
/// and requests may be large, connections take half of it at most.
fn shared_out(memory: u64, largest_request: u64) -> (u64, u64) {
    let wanted = (memory / CONNECTIONS).max(largest_request.saturating_mul(LARGEST_REQUESTS));
    let for_connections = wanted.min(memory / 2);
    (memory - for_connections, for_connections)
}

/// Bytes of the largest request: what is configured, and no more than half of what connections may take. Without room
/// for it beside an answer, it could never be carried out.
fn largest_request(configured: u64, for_connections: u64) -> u64 {
    let largest = configured.min(for_connections / 2);
    if largest < configured {
        tracing::warn!(
            "requests may have {largest} bytes, and not the {configured} of max-content: max-memory is too small for that"
        );
    }
    largest
}

fn limits(config: &ServerConfig, for_connections: u64) -> NodeLimits {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    NodeLimits {
        wire: Limits {
            message: bytes(largest_request(config.limits.max_content, for_connections)),
            key: bytes(config.limits.max_key),
            cache_name: config::MAX_CACHE_NAME,
        },
        in_flight: config.limits.max_in_flight as usize,
        in_flight_bytes: bytes(IN_FLIGHT_BYTES.min(for_connections / LARGEST_REQUESTS)),
        connections: config.limits.max_connections as usize,
    }
}

/// What a cache gives to an entry that asks for the default.
pub(crate) fn default_expiration(config: &CacheConfig) -> Expiration {
    let lifetime = |duration: Option<Duration>| duration.map(Into::into);
    Expiration {
        lifespan: lifetime(config.expiration.lifespan),
        max_idle: lifetime(config.expiration.max_idle),
    }
}

#[cfg(test)]
mod tests {
    //! How memory is shared out.

    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn entries_and_connections_have_no_more_than_all_of_the_memory() {
        for (memory, request, entries, connections) in [
            (8_000 * MB, 10 * MB, 7_000 * MB, 1_000 * MB),
            (320 * MB, 10 * MB, 280 * MB, 40 * MB),
            (128 * MB, 10 * MB, 88 * MB, 40 * MB),
            (64 * MB, 10 * MB, 32 * MB, 32 * MB),
            (8 * MB, MB, 4 * MB, 4 * MB),
            (8 * MB, MB / 4, 7 * MB, MB),
            (1, 10 * MB, 1, 0),
            (0, u64::MAX, 0, 0),
            (u64::MAX, u64::MAX, u64::MAX / 2 + 1, u64::MAX / 2),
        ] {
            let shared = shared_out(memory, request);
            assert_eq!(shared, (entries, connections), "{memory} {request}");
            assert_eq!(shared.0 + shared.1, memory);
        }
    }

    #[test]
    fn a_request_fits_into_what_connections_have() {
        assert_eq!(largest_request(10 * MB, 32 * MB), 10 * MB);
        assert_eq!(largest_request(10 * MB, 20 * MB), 10 * MB);
        assert_eq!(largest_request(10 * MB, 4 * MB), 2 * MB);
    }
}
