//! What the log says when connections cannot be accepted, which mostly means that file descriptors have run out.

use std::{fs, io};

use cluster::Sparingly;
use store::Timestamp;

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
    log: Sparingly,
}

impl Unaccepted {
    pub(crate) fn new(max_connections: usize) -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { most_files: most_files(&limits), max_connections, log: Sparingly::default() }
    }

    /// Reports a failure: descriptors that have run out if it is time for that, others as details.
    pub(crate) fn report(&self, error: &io::Error, now: Timestamp) {
        match self.warning(error) {
            Some(warning) if self.log.is_due(now) => tracing::warn!("{warning}"),
            Some(_) => {}
            // Mostly one that has left while it waited.
            None => tracing::debug!(%error, "a connection could not be accepted"),
        }
    }

    /// What to warn of, if no connection at all can be accepted.
    fn warning(&self, error: &io::Error) -> Option<String> {
        let most = self.most_files.as_deref().unwrap_or("the");
        match error.raw_os_error() {
            Some(EMFILE) => Some(format!(
                "cannot accept connections: {most} file descriptors that this process may have are in use. New clients \
                 wait until others leave. Raise the limit (ulimit -n, LimitNOFILE of a systemd unit) above \
                 limits.max-connections, which is {}, or lower that",
                self.max_connections
            )),
            Some(ENFILE) => Some(format!(
                "cannot accept connections: the machine has run out of file descriptors ({error}). New clients wait \
                 until some are free. Raise fs.file-max, or end what uses them"
            )),
            _ => None,
        }
    }
}

/// The soft limit of open files in `/proc/self/limits`.
fn most_files(limits: &str) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next().map(|most| format!("all {most}"))
}

#[cfg(test)]
mod tests {
    //! What has run out, and what to do.

    use super::*;

    fn unaccepted() -> Unaccepted {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63427                63427                processes \n\
                      Max open files            1024                 524288               files     \n";
        Unaccepted {
            most_files: most_files(limits),
            max_connections: 10_000,
            log: Sparingly::default(),
        }
    }

    #[test]
    fn the_line_says_what_has_run_out_and_what_to_raise() {
        for (code, parts) in [
            (
                EMFILE,
                &["all 1024 file descriptors", "ulimit -n", "max-connections, which is 10000"][..],
            ),
            (ENFILE, &["the machine has run out", "fs.file-max"]),
        ] {
            let line = unaccepted().warning(&io::Error::from_raw_os_error(code)).unwrap();
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        assert_eq!(most_files(""), None);
    }

    #[test]
    fn a_connection_that_was_aborted_silences_no_warning() {
        const ECONNABORTED: i32 = 103;
        let (unaccepted, now) = (unaccepted(), Timestamp::from_millis(1_000));
        let aborted = io::Error::from_raw_os_error(ECONNABORTED);
        unaccepted.report(&aborted, now);
        assert!(unaccepted.log.is_due(now), "a warning is still due");
        assert_eq!(unaccepted.warning(&aborted), None);
    }
}
