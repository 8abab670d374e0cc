//! The process of a real server.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// What a server says once it can be connected to.
const STARTED: &str = "ISPN080001";

/// Longest time until then. A busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running server, and what it has said so far.
pub(super) struct Process {
    child: Child,
    log: Log,
    started: watch::Receiver<bool>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("java cannot be run, and the tests need it: {error}"));
        let stdout = child.stdout.take().expect("its log");
        let log = Log::default();
        let (start, started) = watch::channel(false);
        let written = log.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock();
                log.push_str(&line);
                log.push('\n');
                drop(log);
                if line.contains(STARTED) {
                    start.send_replace(true);
                }
            }
        });
        Self { child, log, started }
    }

    /// Waits until it can be connected to.
    pub(super) async fn started(&mut self) {
        let started = self.started.wait_for(|started| *started);
        match tokio::time::timeout(PATIENCE, started).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => panic!("the server has ended:\n{}", self.log.lock()),
            Err(_) => panic!("the server does not start:\n{}", self.log.lock()),
        }
    }

    /// Returns whether it has said this.
    pub(super) fn has_said(&self, text: &str) -> bool {
        self.log.lock().contains(text)
    }

    /// Kills it, and waits for its end.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Returns whether every thread of it stands still.
    pub(super) fn is_stopped(&self) -> bool {
        let pid = self.child.id().expect("it runs");
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        // A thread that has ended meanwhile stands still, too.
        let stats =
            threads.flatten().flat_map(|it| std::fs::read_to_string(it.path().join("stat")));
        stats.into_iter().all(|stat| stat.rsplit(") ").next().is_some_and(|it| it.starts_with('T')))
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }
}
