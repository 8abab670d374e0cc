//! A client: connects to a cluster and gives access to its caches and administration.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use hotrod::{
    ServerAddress, Writer,
    op::{Exec, Executed, Parameter, Ping, Request as _},
};

use crate::{
    cache::{MediaTypes, RemoteCache},
    call::{Answered, Ask},
    cluster::{Cluster, Route},
    common::Common,
    config::{ClientConfig, Protocol},
    deadline::Deadline,
    error::{AnswerError, ClientError},
    notice::{Notice, Notices},
};

/// A client of a cluster. Clones share all connections.
///
/// ```no_run
/// use client::{Client, RequestExpiration};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("hotrod://app:secret@127.0.0.1:11222".parse()?).await?;
/// let orders = client.cache("orders").await?;
/// orders.put(b"1", b"two apples", RequestExpiration::default()).await?;
/// assert_eq!(orders.get(b"1").await?.as_deref(), Some(&b"two apples"[..]));
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Arc<Cluster>,
}

impl Client {
    /// Connects to the first configured server that is reachable, and logs in.
    ///
    /// # Errors
    ///
    /// If no server is reachable, the error of the last one; or if a login is refused.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let notices = Notices::default();
        for property in config.ignored.iter().cloned() {
            notices.add(Notice::Ignored { property });
        }
        if let Protocol::Version(asked) = config.protocol
            && asked < Protocol::OLDEST
        {
            notices.add(Notice::Raised { asked, used: Protocol::OLDEST });
        }
        let timeout = config.connect_timeout;
        let cluster = Arc::new(Cluster::new(Common::new(config, notices)));
        let mut failed = ClientError::NoServer;
        for server in cluster.configured() {
            // Connecting has a timeout of its own, which is shorter.
            match server.connect(Deadline::after(timeout.saturating_mul(2))).await {
                Ok(_) => return Ok(Self { cluster }),
                Err(error) if error.is_about_login() => return Err(error),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Opens the cache of this name; "" is the default cache.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoSuchCache`] if it does not exist.
    pub async fn cache(&self, name: &str) -> Result<RemoteCache, ClientError> {
        RemoteCache::open(Arc::clone(&self.cluster), name).await
    }

    /// Checks that a server answers.
    ///
    /// # Errors
    ///
    /// If no server does.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.cluster.call::<Ping>(self.ask(true), &|_, _| {}).await.map(drop)
    }

    /// Runs a task on the server, with UTF-8 or other bytes as parameters: at most 255.
    ///
    /// # Errors
    ///
    /// If the server reports a failure, or no server answers.
    pub async fn exec(
        &self,
        task: &str,
        parameters: &[(&str, &[u8])],
    ) -> Result<Bytes, ClientError> {
        let parameters = parameters.iter().map(|(name, value)| Parameter { name, value }).collect();
        let exec = Exec { task, parameters };
        let answered = self.run(&exec, false).await?;
        let Executed(result) = answered.read::<Exec<'_>>()?;
        Ok(answered.bytes(result))
    }

    /// Creates a cache from a configuration in XML, JSON or YAML.
    ///
    /// # Errors
    ///
    /// If the cache exists already, or the server rejects the configuration.
    pub async fn create_cache(&self, name: &str, configuration: &str) -> Result<(), ClientError> {
        let parameters = [("name", name.as_bytes()), ("configuration", configuration.as_bytes())];
        self.exec("@@cache@create", &parameters).await.map(drop)
    }

    /// Removes a cache with all its entries; succeeds if it does not exist.
    ///
    /// # Errors
    ///
    /// If the server reports a failure, or no server answers.
    pub async fn remove_cache(&self, name: &str) -> Result<(), ClientError> {
        self.exec("@@cache@remove", &[("name", name.as_bytes())]).await.map(drop)
    }

    /// Returns the names of all caches.
    ///
    /// # Errors
    ///
    /// If the server reports a failure, or no server answers.
    pub async fn cache_names(&self) -> Result<Vec<String>, ClientError> {
        const TASK: &str = "@@cache@names";
        let exec = Exec { task: TASK, parameters: Vec::new() };
        let answered = self.run(&exec, true).await?;
        let Executed(names) = answered.read::<Exec<'_>>()?;
        serde_json::from_slice(names).map_err(|error| ClientError::Protocol {
            server: answered.server.address.clone(),
            operation: TASK,
            source: AnswerError::Text(error.to_string()),
        })
    }

    /// Returns the configured servers.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerAddress> {
        self.cluster.configured().iter().map(|server| server.address.clone()).collect()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.cluster.common.config
    }

    /// Returns how many connections to any server have been made so far. While the number stays the
    /// same, responses come from the same processes.
    #[must_use]
    pub fn connections_made(&self) -> u64 {
        self.cluster.common.connections_made.load(Ordering::Acquire)
    }

    /// Returns the deviations from the configuration that have been noticed.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.cluster.common.notices.all()
    }

    /// Closes all connections except those of iterations. Pending operations fail.
    pub async fn close(&self) {
        self.cluster.close().await;
    }

    async fn run(&self, exec: &Exec<'_>, reads: bool) -> Result<Answered, ClientError> {
        let encode = |version, writer: &mut Writer| exec.encode(version, writer);
        self.cluster.call::<Exec<'_>>(self.ask(reads), &encode).await
    }

    fn ask(&self, reads: bool) -> Ask<'static> {
        let deadline = Deadline::after(self.cluster.common.config.timeout);
        let (route, formats) = (Route::Any, &MediaTypes::NONE);
        Ask { route, cache: None, formats, flags: 0, reads, wants_topology: false, deadline }
    }
}
