//! Real servers of Infinispan, and programs for its clients.
//!
//! Everything is had from Maven and npm, once, in the versions that `tests/rig` names; see `rig` for where
//! it is kept. A server is a process of its own on loopback, and ends with the test that started it.
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

/// The user that every server with a login knows.
pub const USER: &str = "admin";

/// What this user says.
pub const PASSWORD: &str = "secret";

/// A machine with two processors has room for one real server at a time, or for a pair.
static ROOM: Semaphore = Semaphore::const_new(1);

/// Lines of the server.
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
    /// The number of the line, as file names of the rig have it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V14 => 14,
            Self::V15 => 15,
            Self::V16 => 16,
        }
    }

    /// As configurations name it.
    fn namespace(self) -> &'static str {
        match self {
            Self::V14 => "14.0",
            Self::V15 => "15.2",
            Self::V16 => "16.0",
        }
    }

    /// How a target of this line is told to carry lifespans over: the manual's attribute, or the property
    /// that took its place.
    fn carries_metadata(self) -> (&'static str, Value) {
        match self {
            Self::V14 | Self::V15 => ("raw-values", json!(true)),
            Self::V16 => ("properties", json!({ "migration": "true" })),
        }
    }
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its line.
    pub version: Version,
    /// Whether clients have to log in.
    pub login: bool,
    /// Its caches, as elements of its configuration.
    pub caches: String,
    /// Where it listens; any free port if 0.
    pub port: u16,
    /// Where it tells clients to connect to, if not to where it listens.
    pub announced: Option<SocketAddr>,
    /// What its users have, instead of a password in clear text: see `rig/users.properties`.
    pub users: Option<&'static str>,
    /// A Java source of the rig whose classes it finds.
    pub classes: Option<&'static str>,
    /// Seconds that its clock is ahead at first, if the test sets it: see [`Infinispan::set_clock`].
    pub clock: Option<i64>,
}

impl Setup {
    /// A server of this line with a login and these caches.
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

/// A distributed cache as an element of a server's configuration. It keeps count, as sources must.
#[must_use]
pub fn cache_element(name: &str, media_type: &str, content: &str) -> String {
    format!(
        r#"<distributed-cache name="{name}" mode="SYNC" owners="2" statistics="true">
             <encoding media-type="{media_type}"/>{content}
           </distributed-cache>"#
    )
}

/// A free port that no connection is given by chance, so that it is still free after a restart.
///
/// # Panics
///
/// If there is none.
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
    /// A server that is a cluster of its own. Waits until no other one runs.
    ///
    /// # Panics
    ///
    /// If it cannot be had, or does not start.
    pub async fn start(setup: Setup) -> Self {
        let room = ROOM.acquire().await.expect("room for a server");
        let ports = [ports::free()];
        let [server] = Self::start_all(setup, ports, room).await;
        server
    }

    /// Two servers that are one cluster. Waits until no other one runs.
    ///
    /// # Panics
    ///
    /// If they cannot be had, do not start, or do not find each other.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.layout.port))
    }

    /// Kills it as a crash would, and waits for its end.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again where it was, with what it had written down.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_again(&mut self) {
        self.process = Process::start(self.layout.command(self.root.path(), &self.setup));
        self.process.started().await;
    }

    /// Removes all that it had written down. It must have been killed.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn forget(&self) {
        layout::forget(self.root.path());
    }

    /// Stops it in its tracks, or lets it go on: nothing is answered meanwhile, and no connection ends.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn freeze(&self, frozen: bool) {
        self.process.signal(if frozen { "STOP" } else { "CONT" });
        if frozen {
            // A thread that runs goes on for a moment.
            eventually("it stands still", || async { self.process.is_stopped().then_some(()) })
                .await;
        }
    }

    /// Sets its clock, which [`Setup::clock`] has made one that can be set, to so many seconds ahead.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn set_clock(&self, ahead: i64) {
        layout::clock(self.root.path()).set(ahead);
    }

    /// A client of it, with the login that it wants.
    ///
    /// # Panics
    ///
    /// If it cannot be connected to.
    pub async fn client(&self) -> Client {
        let address = self.address();
        let server = client::ServerAddress { host: address.ip().to_string(), port: address.port() };
        let credentials = self.setup.login.then(|| Credentials {
            mechanism: Some(Mechanism::DigestSha256),
            ..Credentials::new(USER, PASSWORD)
        });
        // What it announces may be a relay of the test.
        let intelligence = match self.setup.announced {
            Some(_) => Intelligence::Basic,
            None => Intelligence::HashAware,
        };
        let config = ClientConfig { credentials, intelligence, ..ClientConfig::new([server]) };
        Client::connect(config).await.expect("a client of the real server")
    }

    /// A client of one of its caches.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn cache(&self, name: &str) -> RemoteCache {
        self.client().await.cache(name).await.expect("a cache of the real server")
    }

    /// How a target is told to take `cache` from here: the document of the Data Grid manual.
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

/// An object with the members of another beside its own.
fn with(object: Value, other: Value) -> Value {
    let members = [object, other].into_iter().filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}
