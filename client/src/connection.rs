//! A connection to a server, shared by many concurrent operations.
//!
//! Callers hand in a message and wait for its outcome. One task writes and reads, and matches
//! responses by message id, in any order. When a caller stops waiting, its message stays in the
//! table, and the response is discarded.

use std::{sync::Arc, time::Duration};

use hotrod::ProtocolVersion;
use tokio::{
    io::{AsyncWriteExt as _, BufWriter},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    config::ClientConfig,
    deadline::Deadline,
    error::ConnectionError,
    inbox::{Answer, Expected, Inbox},
    line::{Line, read_some},
    table::{Outgoing, Table, Unanswered},
};

/// Bytes to gather before writing.
const GATHERED: usize = 64 * 1024;

/// Shortest interval between checks for overdue responses.
const FASTEST_WATCH: Duration = Duration::from_millis(100);

/// An open connection. It closes when dropped.
pub(crate) struct Connection {
    pub(crate) version: ProtocolVersion,
    table: Arc<Table>,
    places: Arc<Semaphore>,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

/// Why an operation has no response.
#[derive(Debug)]
pub(crate) enum Failure {
    Unanswered(Unanswered),
    TimedOut { asked: bool },
}

impl Connection {
    /// Starts the task that shares a line which has completed its handshake.
    pub(crate) fn start(line: Line, version: ProtocolVersion, config: &ClientConfig) -> Self {
        let Line { server, stream, inbox, next_id, .. } = line;
        let (table, outgoing) = Table::new(server, next_id);
        let table = Arc::new(table);
        let (reads, writes) = stream.into_split();
        let watch = config.timeout.max(FASTEST_WATCH);
        let task = tokio::spawn(drive(Arc::clone(&table), reads, inbox, writes, outgoing, watch));
        Self {
            version,
            table,
            places: Arc::new(Semaphore::new(config.max_pending.clamp(1, Semaphore::MAX_PERMITS))),
            task: parking_lot::Mutex::new(Some(task)),
        }
    }

    /// Sends a request and waits for the response. Waits first if too many requests are unanswered.
    pub(crate) async fn ask(
        &self,
        expected: Expected,
        deadline: Deadline,
        encode: impl FnOnce(u64) -> Vec<u8>,
    ) -> Result<Answer, Failure> {
        let place = timeout_at(deadline.at, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Failure::TimedOut { asked: false }) };
        let sent = self.table.send(expected, deadline.at, place, encode);
        let (message_id, outcome) = sent.map_err(Failure::Unanswered)?;
        match timeout_at(deadline.at, outcome).await {
            Ok(Ok(outcome)) => outcome.map_err(Failure::Unanswered),
            // Every message has an outcome, unless the runtime is shutting down.
            Ok(Err(_gone)) => Err(Failure::Unanswered(Unanswered::Sent(ConnectionError::Closed))),
            Err(_elapsed) => Err(Failure::TimedOut { asked: self.table.was_sent(message_id) }),
        }
    }

    /// Returns whether the connection accepts requests.
    pub(crate) fn is_open(&self) -> bool {
        self.table.is_open()
    }

    /// Closes the connection and waits until its task has ended.
    pub(crate) async fn close(&self) {
        self.table.close();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has ended, too.
            let _ended = task.await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.table.close();
    }
}

/// Writes and reads until the connection ends, and gives every message its outcome.
async fn drive(
    table: Arc<Table>,
    mut reads: OwnedReadHalf,
    mut inbox: Inbox,
    writes: OwnedWriteHalf,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    watch: Duration,
) {
    let error = tokio::select! {
        error = read(&table, &mut reads, &mut inbox, watch) => error,
        error = write(&table, writes, outgoing) => error,
    };
    tracing::debug!(server = %table.server, %error, "disconnected");
    table.end(error);
}

/// Reads responses until an error occurs.
async fn read(
    table: &Table,
    reads: &mut OwnedReadHalf,
    inbox: &mut Inbox,
    watch: Duration,
) -> ConnectionError {
    loop {
        loop {
            match inbox.next(|message_id| table.expected(message_id)) {
                Ok(Some(answer)) => table.answer(answer),
                Ok(None) => break,
                Err(unreadable) => return table.unreadable(unreadable),
            }
        }
        match timeout(watch, read_some(reads, inbox.buffer())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            // Nothing arrived for a while: an error if a response was due before that.
            Err(_elapsed) => {
                let since = Instant::now().checked_sub(watch);
                if since.is_some_and(|since| table.has_overdue(since)) {
                    return ConnectionError::Silent;
                }
            }
        }
    }
}

/// Writes messages until there are no more or writing fails.
async fn write(
    table: &Table,
    writes: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> ConnectionError {
    let mut writes = BufWriter::with_capacity(GATHERED, writes);
    while let Some(mut message) = outgoing.recv().await {
        loop {
            if table.sends(message.message_id)
                && let Err(error) = writes.write_all(&message.bytes).await
            {
                return error.into();
            }
            match outgoing.try_recv() {
                Ok(next) => message = next,
                Err(_none_yet) => break,
            }
        }
        if let Err(error) = writes.flush().await {
            return error.into();
        }
    }
    ConnectionError::Closed
}
