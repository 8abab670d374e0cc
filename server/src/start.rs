//! Starting and stopping a server.

use std::{net::SocketAddr, sync::Arc};

use cluster::Agreement;
use config::{MemoryLimit, ServerConfig};
use hotrod::ServerAddress;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{background, endpoint, error::StartError, http, memory, node::Node};

/// Share of the memory that there is which entries and connections may take, unless it is configured.
const DEFAULT_MEMORY: MemoryLimit = MemoryLimit::Percent(80);

/// Checks that a server may be started like this.
///
/// # Errors
///
/// If it would be open to everybody.
fn check(config: &ServerConfig) -> Result<(), StartError> {
    let ip = config.socket_address().ip();
    if ip.is_loopback() || config.insecure { Ok(()) } else { Err(StartError::Insecure(ip)) }
}

/// Returns every reason for which a server would not be started like this, as far as the configuration shows it.
pub(crate) fn problems(config: &ServerConfig) -> Vec<String> {
    let mut problems: Vec<_> =
        check(config).err().map(|error| error.to_string()).into_iter().collect();
    if config.data_dir.is_some() {
        let refused = |(name, config)| Agreement::check_storable(name, config).err();
        let caches = config.caches.iter().map(|(name, config)| (name, config));
        problems.extend(caches.filter_map(refused).map(|error| error.to_string()));
    }
    problems
}

/// A running server.
pub struct Server {
    node: Arc<Node>,
    address: SocketAddr,
    endpoint: JoinHandle<()>,
}

impl Server {
    /// Starts a server. When this returns, it can be connected to.
    ///
    /// # Errors
    ///
    /// If it cannot be started. Nothing is left running then.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        check(&config)?;
        let wanted = config.socket_address();
        let listen = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let memory = config.max_memory.unwrap_or(DEFAULT_MEMORY).of(memory::total());
        let mut own = vec![ServerAddress { host: address.ip().to_string(), port: address.port() }];
        own.extend(config.advertised.as_ref().map(|advertised| ServerAddress {
            host: advertised.host.clone(),
            port: advertised.port,
        }));
        let node = Node::start(config, memory, own).await?;
        background::start(&node);
        let endpoint = tokio::spawn(endpoint::serve(
            listener,
            Arc::clone(&node),
            http::router(&node, address),
        ));
        Ok(Self { node, address, endpoint })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that entries may take.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        self.node.driver.agreement().container().memory().limit()
    }

    /// Completed once somebody has asked the server to stop.
    pub async fn asked_to_stop(&self) {
        self.node.stopping.cancelled().await;
    }

    /// Ends every connection and task, closes the metadata file, and returns when all is quiet.
    pub async fn stop(self) {
        self.node.stop().await;
        // The endpoint ends with the node; that it panicked was logged.
        let _ = self.endpoint.await;
        if let Err(error) = self.node.driver.agreement().close().await {
            tracing::warn!(
                "the metadata file has no closing mark, which the next start will report: {error}"
            );
        }
    }
}
