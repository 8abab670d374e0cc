//! A server in a process of its own, which tests can kill.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, OnceLock},
};

use client::{Client, ClientConfig, ServerAddress};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{FakeClock, Rest};

/// A server in a process of its own.
pub struct ServerProcess {
    child: Child,
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Client of its REST endpoint.
    pub rest: Rest,
    /// Log until it was listening.
    log: String,
    /// Log since then.
    later: Arc<Mutex<String>>,
}

impl ServerProcess {
    /// Starts a server with these arguments, on a free port unless they name one.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::run(Command::new(binary()), arguments).await
    }

    /// Starts a server like [`ServerProcess::start`], with a clock of its own.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_with_clock(arguments: &[&str], clock: &FakeClock) -> Self {
        let mut command = Command::new(binary());
        command.envs(clock.environment());
        Self::run(command, arguments).await
    }

    /// Starts a server like [`ServerProcess::start`], with a limit on open files.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_with_files(arguments: &[&str], most: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most} && exec \"$@\"")]).arg("sh").arg(binary());
        Self::run(command, arguments).await
    }

    async fn run(mut command: Command, arguments: &[&str]) -> Self {
        command.arg("serve");
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        let mut child = command
            .args(arguments)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("its standard error");
        let mut lines = BufReader::new(stderr).lines();
        let mut seen = String::new();
        let address = loop {
            let line = lines.next_line().await.expect("its log");
            let line = line.unwrap_or_else(|| panic!("it ended: {seen}"));
            if let Some((_, address)) = line.split_once("listening on http://") {
                let address = address.split_whitespace().next().unwrap_or_default();
                break address.parse().expect("an address");
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        let later = Arc::<Mutex<String>>::default();
        let all = Arc::clone(&later);
        // Keep reading, so that a full pipe never blocks the server.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut all = all.lock().expect("no writer has panicked");
                all.push_str(&line);
                all.push('\n');
            }
        });
        Self { child, address, rest: Rest::new(address), log: seen, later }
    }

    /// Returns the log until the server was listening.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Returns the log since the server was listening.
    ///
    /// # Panics
    ///
    /// If reading the log has panicked.
    #[must_use]
    pub fn later_log(&self) -> String {
        self.later.lock().expect("no writer has panicked").clone()
    }

    /// Returns a client of the server.
    ///
    /// # Panics
    ///
    /// If the client cannot connect.
    pub async fn client(&self) -> Client {
        let server =
            ServerAddress { host: self.address.ip().to_string(), port: self.address.port() };
        Client::connect(ClientConfig::new([server])).await.expect("a client")
    }

    /// Kills the server like a crash, and waits until it has ended.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends TERM, waits until the server has ended, and returns its exit status.
    ///
    /// # Panics
    ///
    /// If the signal cannot be sent.
    pub async fn terminate(self) -> std::process::ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    ///
    /// If the exit status is not available.
    pub async fn ended(mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("its end")
    }

    /// Sends the server a signal.
    ///
    /// # Panics
    ///
    /// If the signal cannot be sent.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill");
        assert!(sent.success());
    }

    /// Returns its process id.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// Returns the path of the program, building it if necessary.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            // Test binaries are in target/<profile>/deps, the program is in target/<profile>.
            let test = std::env::current_exe().expect("this test");
            let folder = test.ancestors().nth(2).expect("the folder of the profile").to_path_buf();
            let profile = folder.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
            let profile = if profile == "debug" { "dev" } else { profile };
            let built = std::process::Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--locked", "--package", "godwit-server"])
                .args(["--bin", "godwit", "--profile", profile])
                .arg("--target-dir")
                .arg(folder.parent().expect("the target folder"))
                .status()
                .expect("cargo");
            assert!(built.success(), "the program cannot be built");
            folder.join("godwit")
        })
        .clone()
}
