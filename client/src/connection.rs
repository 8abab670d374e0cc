//! One connection to one server, shared by many operations at a time.
//!
//! Whoever asks hands in a message and waits for its outcome; one task writes, reads, and matches answers
//! by message id, in whichever order they come. Who stops waiting leaves the message in the table, and its
//! answer is read and let go.

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

/// Bytes that are gathered before they are written.
const GATHERED: usize = 64 * 1024;

/// Fewest time between two looks at whether the server still answers.
const FASTEST_WATCH: Duration = Duration::from_millis(100);

/// An open connection. It ends when it is dropped.
pub(crate) struct Connection {
    pub(crate) version: ProtocolVersion,
    table: Arc<Table>,
    places: Arc<Semaphore>,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

/// Why an operation has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Unanswered(Unanswered),
    TimedOut { asked: bool },
}

impl Connection {
    /// Shares what was a line.
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

    /// Asks, and waits for the answer. Waits for a place first, if there is none.
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
            // Every message that was handed in has an outcome, unless the runtime is going down.
            Ok(Err(_gone)) => Err(Failure::Unanswered(Unanswered::Sent(ConnectionError::Closed))),
            Err(_elapsed) => Err(Failure::TimedOut { asked: self.table.was_sent(message_id) }),
        }
    }

    /// Returns whether something can be asked.
    pub(crate) fn is_open(&self) -> bool {
        self.table.is_open()
    }

    /// Ends the connection, and returns when it has ended.
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

/// Reads answers until something is wrong.
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
            // Nothing came for a while. That is not right if an answer was due before that while.
            Err(_elapsed) => {
                let since = Instant::now().checked_sub(watch);
                if since.is_some_and(|since| table.has_overdue(since)) {
                    return ConnectionError::Silent;
                }
            }
        }
    }
}

/// Writes messages until there are no more, or until it cannot.
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
