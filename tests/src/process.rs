//! A server in a process of its own, which can be killed.

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
    /// Where it listens.
    pub address: SocketAddr,
    /// Its REST interface.
    pub rest: Rest,
    /// What it logged before it listened.
    log: String,
    /// What it has logged since then.
    later: Arc<Mutex<String>>,
}

impl ServerProcess {
    /// A server with these arguments, on any port unless they name one.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::run(Command::new(binary()), arguments).await
    }

    /// A server as [`ServerProcess::start`] gives it, with a clock of its own.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_with_clock(arguments: &[&str], clock: &FakeClock) -> Self {
        let mut command = Command::new(binary());
        command.envs(clock.environment());
        Self::run(command, arguments).await
    }

    /// A server as [`ServerProcess::start`] gives it, which may have so many files open.
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
        // Whether or not anybody looks at the rest, it must not block.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut all = all.lock().expect("no writer has panicked");
                all.push_str(&line);
                all.push('\n');
            }
        });
        Self { child, address, rest: Rest::new(address), log: seen, later }
    }

    /// What it logged before it listened.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// What it has logged since it listens.
    ///
    /// # Panics
    ///
    /// If reading the log has panicked.
    #[must_use]
    pub fn later_log(&self) -> String {
        self.later.lock().expect("no writer has panicked").clone()
    }

    /// A client of it.
    ///
    /// # Panics
    ///
    /// If it cannot be connected to.
    pub async fn client(&self) -> Client {
        let server =
            ServerAddress { host: self.address.ip().to_string(), port: self.address.port() };
        Client::connect(ClientConfig::new([server])).await.expect("a client")
    }

    /// Kills it as a crash would, and waits for its end.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Asks it to end (TERM), and gives its exit status.
    ///
    /// # Panics
    ///
    /// If it cannot be asked.
    pub async fn terminate(self) -> std::process::ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// If that cannot be known.
    pub async fn ended(mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("its end")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill");
        assert!(sent.success());
    }

    /// Its process id.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// The program, built if need be.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            // Tests lie in target/<profile>/deps, the program beside that folder.
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
