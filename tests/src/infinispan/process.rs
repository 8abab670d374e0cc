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

/// Code of the log message that a server writes once it accepts connections.
const STARTED: &str = "ISPN080001";

/// Longest time until then. A busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running server and its log so far.
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

    /// Waits until the server accepts connections.
    pub(super) async fn started(&mut self) {
        let started = self.started.wait_for(|started| *started);
        match tokio::time::timeout(PATIENCE, started).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => panic!("the server has ended:\n{}", self.log.lock()),
            Err(_) => panic!("the server does not start:\n{}", self.log.lock()),
        }
    }

    /// Returns whether this text is in the log.
    pub(super) fn has_said(&self, text: &str) -> bool {
        self.log.lock().contains(text)
    }

    /// Kills the server and waits until it has ended.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Returns whether every thread is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        let pid = self.child.id().expect("it runs");
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
        // A thread that has ended meanwhile counts as stopped.
        let stats =
            threads.flatten().flat_map(|it| std::fs::read_to_string(it.path().join("stat")));
        stats.into_iter().all(|stat| stat.rsplit(") ").next().is_some_and(|it| it.starts_with('T')))
    }

    /// Sends the server a signal.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }
}
