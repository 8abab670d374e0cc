//! Real Infinispan servers, and programs that use Infinispan's clients.
//!
//! Everything comes from Maven and npm, in the versions that `tests/rig` names; see `rig` for where
//! it is kept. A server is a process of its own on loopback, and ends with the test that started
//! it.
//!
//! Start reading at [`Setup`], then [`Infinispan`].

mod layout;
mod ports;
mod process;
mod rig;

use std::net::SocketAddr;

use client::{Client, ClientConfig, Credentials, Intelligence, Mechanism, RemoteCache};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::rig::{JavaProgram, Ran, cli, java_program, javascript};
use self::{layout::Layout, process::Process};
use crate::{eventually, note};

/// The user that every server with a login has.
pub const USER: &str = "admin";

/// Password of this user.
pub const PASSWORD: &str = "secret";

/// Permit for one real server or one pair at a time: a machine with two processors has no room for
/// more.
static ROOM: Semaphore = Semaphore::const_new(1);

/// Release line of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 14.0
    V14,
    /// 15.2
    V15,
    /// 16.0
    V16,
}

impl Version {
    /// Returns the number of the line, as in the rig's file names.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V14 => 14,
            Self::V15 => 15,
            Self::V16 => 16,
        }
    }

    /// Returns the version in the namespace of its configurations.
    fn namespace(self) -> &'static str {
        match self {
            Self::V14 => "14.0",
            Self::V15 => "15.2",
            Self::V16 => "16.0",
        }
    }

    /// Returns the setting that makes a target of this line keep lifespans: the manual's attribute,
    /// or the property that replaced it.
    fn carries_metadata(self) -> (&'static str, Value) {
        match self {
            Self::V14 | Self::V15 => ("raw-values", json!(true)),
            Self::V16 => ("properties", json!({ "migration": "true" })),
        }
    }
}

/// Setup of a server.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Release line of the server.
    pub version: Version,
    /// Whether clients have to log in.
    pub login: bool,
    /// Caches as elements of the configuration.
    pub caches: String,
    /// Port to listen on; any free port if 0.
    pub port: u16,
    /// Address announced to clients, if it is not the address that the server listens on.
    pub announced: Option<SocketAddr>,
    /// Credentials of the users instead of a password in clear text: see `rig/users.properties`.
    pub users: Option<&'static str>,
    /// A Java source of the rig whose classes the server can load.
    pub classes: Option<&'static str>,
    /// Initial offset of the clock in seconds, if the test sets the clock: see
    /// [`Infinispan::set_clock`].
    pub clock: Option<i64>,
}

impl Setup {
    /// Creates a setup of this line with a login and these caches.
    #[must_use]
    pub fn new(version: Version, caches: impl Into<String>) -> Self {
        Self {
            version,
            login: true,
            caches: caches.into(),
            port: 0,
            announced: None,
            users: None,
            classes: None,
            clock: None,
        }
    }
}

/// Returns a distributed cache as a configuration element, with the statistics that sources need.
#[must_use]
pub fn cache_element(name: &str, media_type: &str, content: &str) -> String {
    format!(
        r#"<distributed-cache name="{name}" mode="SYNC" owners="2" statistics="true">
             <encoding media-type="{media_type}"/>{content}
           </distributed-cache>"#
    )
}

/// Returns a free port outside the range for connections, so that it is still free after a restart.
///
/// # Panics
///
/// If no port is free.
#[must_use]
pub fn free_port() -> u16 {
    ports::free()
}

/// A real server.
pub struct Infinispan {
    process: Process,
    layout: Layout,
    setup: Setup,
    _room: Option<SemaphorePermit<'static>>,
    root: TempDir,
}

impl Infinispan {
    /// Starts a server that is a cluster of its own. Waits until no other real server runs.
    ///
    /// # Panics
    ///
    /// If it cannot be downloaded or does not start.
    pub async fn start(setup: Setup) -> Self {
        let room = ROOM.acquire().await.expect("room for a server");
        let ports = [ports::free()];
        let [server] = Self::start_all(setup, ports, room).await;
        server
    }

    /// Starts a cluster of two servers. Waits until no other real server runs.
    ///
    /// # Panics
    ///
    /// If they cannot be downloaded, do not start, or do not form a cluster.
    pub async fn start_pair(setup: Setup) -> [Self; 2] {
        let room = ROOM.acquire().await.expect("room for a server");
        let ports = [ports::free(), ports::free()];
        let pair = Self::start_all(setup, ports, room).await;
        for server in &pair {
            eventually("both servers are in one view", || async {
                server.process.has_said("(2) [").then_some(())
            })
            .await;
        }
        pair
    }

    async fn start_all<const N: usize>(
        setup: Setup,
        members: [u16; N],
        room: SemaphorePermit<'static>,
    ) -> [Self; N] {
        let pom = format!("server-{}", setup.version.number());
        let jars = rig::jars(&pom);
        let classes = setup.classes.map(|main| rig::classes(main, &pom));
        let begin = tokio::time::Instant::now();
        let mut room = Some(room);
        let mut servers = Vec::new();
        for member in members {
            let port = if setup.port == 0 { ports::free() } else { setup.port };
            let root = tempfile::tempdir().expect("a folder");
            let (jars, classes) = (jars.clone(), classes.clone());
            let layout = Layout { port, member, members: members.to_vec(), jars, classes };
            layout.write(root.path(), &setup);
            let process = Process::start(layout.command(root.path(), &setup));
            let setup = setup.clone();
            servers.push(Self { process, layout, setup, _room: room.take(), root });
        }
        for server in &mut servers {
            server.process.started().await;
        }
        let (line, seconds) = (setup.version.namespace(), begin.elapsed().as_secs_f64());
        note(format_args!("Infinispan {line}: {N} started in {seconds:.1} s"));
        servers.try_into().unwrap_or_else(|_| panic!("as many servers as members"))
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.layout.port))
    }

    /// Kills the server like a crash, and waits until it has ended.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts the killed server again, with its port and its stored data.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_again(&mut self) {
        self.process = Process::start(self.layout.command(self.root.path(), &self.setup));
        self.process.started().await;
    }

    /// Removes the stored data of a killed server.
    ///
    /// # Panics
    ///
    /// If the files cannot be removed.
    pub fn forget(&self) {
        layout::forget(self.root.path());
    }

    /// Stops or continues the server's process: while stopped, it answers nothing, and its
    /// connections stay open.
    ///
    /// # Panics
    ///
    /// If the signal cannot be sent.
    pub async fn freeze(&self, frozen: bool) {
        self.process.signal(if frozen { "STOP" } else { "CONT" });
        if frozen {
            // A running thread takes a moment to stop.
            eventually("it stands still", || async { self.process.is_stopped().then_some(()) })
                .await;
        }
    }

    /// Sets the clock to `ahead` seconds ahead. Needs [`Setup::clock`].
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    pub fn set_clock(&self, ahead: i64) {
        layout::clock(self.root.path()).set(ahead);
    }

    /// Returns a client of the server, logged in if the server requires it.
    ///
    /// # Panics
    ///
    /// If the client cannot connect.
    pub async fn client(&self) -> Client {
        let address = self.address();
        let server = client::ServerAddress { host: address.ip().to_string(), port: address.port() };
        let credentials = self.setup.login.then(|| Credentials {
            mechanism: Some(Mechanism::DigestSha256),
            ..Credentials::new(USER, PASSWORD)
        });
        // The announced address may be that of a relay in the test.
        let intelligence = match self.setup.announced {
            Some(_) => Intelligence::Basic,
            None => Intelligence::HashAware,
        };
        let config = ClientConfig { credentials, intelligence, ..ClientConfig::new([server]) };
        Client::connect(config).await.expect("a client of the real server")
    }

    /// Returns a client of one of its caches.
    ///
    /// # Panics
    ///
    /// If the cache does not exist.
    pub async fn cache(&self, name: &str) -> RemoteCache {
        self.client().await.cache(name).await.expect("a cache of the real server")
    }

    /// Returns the document that connects a target's `cache` to this server, as in the Data Grid
    /// manual.
    #[must_use]
    pub fn document(&self, cache: &str) -> Value {
        let reached = self.setup.announced.unwrap_or_else(|| self.address());
        let (attribute, value) = self.setup.version.carries_metadata();
        let store = json!({
            "cache": cache,
            "shared": true,
            attribute: value,
            "remote-server": [{ "host": reached.ip().to_string(), "port": reached.port() }],
        });
        let digest = json!({ "username": USER, "password": PASSWORD, "realm": "default" });
        let login = json!({ "security": { "authentication": { "digest": digest } } });
        json!({ "remote-store": if self.setup.login { with(store, login) } else { store } })
    }
}

/// Returns an object with the members of both.
fn with(object: Value, other: Value) -> Value {
    let members = [object, other].into_iter().filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}
