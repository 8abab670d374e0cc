//! What the log says when connections cannot be accepted, which mostly means that file descriptors have run out.

use std::{fs, io};

use store::Timestamp;

/// Time after which a line is written again.
const PAUSE_MS: u64 = 60_000;

/// Of POSIX: the process has too many open files.
const EMFILE: i32 = 24;

/// Of POSIX: the machine has too many open files.
const ENFILE: i32 = 23;

/// Reports why connections cannot be accepted, once a minute at most: it is tried again many times a second.
#[derive(Debug)]
pub(crate) struct Unaccepted {
    /// Files that the process may have open, as the system writes it. Read in advance, because that takes a file.
    most_files: Option<String>,
    max_connections: usize,
    reported: Option<Timestamp>,
}

impl Unaccepted {
    pub(crate) fn new(max_connections: usize) -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { most_files: most_files(&limits), max_connections, reported: None }
    }

    /// Reports a failure, if it is time for that.
    pub(crate) fn report(&mut self, error: &io::Error, now: Timestamp) {
        if let Some(line) = self.line(error, now) {
            tracing::warn!("{line}");
        }
    }

    fn line(&mut self, error: &io::Error, now: Timestamp) -> Option<String> {
        let is_due = |last: Timestamp| now.millis().saturating_sub(last.millis()) >= PAUSE_MS;
        if !self.reported.is_none_or(is_due) {
            return None;
        }
        self.reported = Some(now);
        let most = self.most_files.as_deref().unwrap_or("the");
        Some(match error.raw_os_error() {
            Some(EMFILE) => format!(
                "cannot accept connections: {most} file descriptors that this process may have are in use. New clients \
                 wait until others leave. Raise the limit (ulimit -n, LimitNOFILE of a systemd unit) above \
                 limits.max-connections, which is {}, or lower that",
                self.max_connections
            ),
            Some(ENFILE) => format!(
                "cannot accept connections: the machine has run out of file descriptors ({error}). New clients wait \
                 until some are free. Raise fs.file-max, or end what uses them"
            ),
            _ => format!("cannot accept connections: {error}"),
        })
    }
}

/// The soft limit of open files in `/proc/self/limits`.
fn most_files(limits: &str) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next().map(|most| format!("all {most}"))
}

#[cfg(test)]
mod tests {
    //! Once a minute, and what to do.

    use super::*;

    fn unaccepted() -> Unaccepted {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63427                63427                processes \n\
                      Max open files            1024                 524288               files     \n";
        Unaccepted { most_files: most_files(limits), max_connections: 10_000, reported: None }
    }

    #[test]
    fn a_failure_is_reported_at_once_and_then_once_a_minute() {
        let (mut unaccepted, error) = (unaccepted(), io::Error::from_raw_os_error(EMFILE));
        let due = [5, 6, 60_004, 60_005, 60_006]
            .map(|at| unaccepted.line(&error, Timestamp::from_millis(at)).is_some());
        assert_eq!(due, [true, false, false, true, false]);
    }

    #[test]
    fn the_line_says_what_has_run_out_and_what_to_raise() {
        for (code, parts) in [
            (
                EMFILE,
                &["all 1024 file descriptors", "ulimit -n", "max-connections, which is 10000"][..],
            ),
            (ENFILE, &["the machine has run out", "fs.file-max"]),
            (103, &["cannot accept connections: "]),
        ] {
            let line = unaccepted().line(&io::Error::from_raw_os_error(code), Timestamp::default());
            let line = line.unwrap();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        assert_eq!(most_files(""), None);
    }
}
