//! The messages of one connection that are waiting to be sent or answered.

use std::collections::HashMap;

use hotrod::ServerAddress;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use crate::{
    error::{AnswerError, ConnectionError},
    inbox::{Answer, Expected, Unreadable},
};

/// A message to send.
pub(crate) struct Outgoing {
    pub(crate) message_id: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Why a message has no response.
#[derive(Debug, Clone)]
pub(crate) enum Unanswered {
    /// It was not sent.
    Unsent(ConnectionError),
    /// It was sent, at least in part.
    Sent(ConnectionError),
    /// Its response cannot be decoded.
    Wrong(AnswerError),
}

pub(crate) type Outcome = Result<Answer, Unanswered>;

/// A message without a response so far.
struct Pending {
    expected: Expected,
    sent: bool,
    overdue_at: Instant,
    reply: oneshot::Sender<Outcome>,
    /// Its permit, released when the response has arrived, whether or not a caller still waits for
    /// it.
    _place: OwnedSemaphorePermit,
}

/// All unanswered messages. Callers may hold it longer than the connection lives.
pub(crate) struct Table {
    pub(crate) server: ServerAddress,
    state: Mutex<State>,
}

struct State {
    next_id: u64,
    pending: HashMap<u64, Pending>,
    /// Queue of messages to send, while the connection is open.
    outbox: Option<mpsc::UnboundedSender<Outgoing>>,
    /// How the connection ended.
    ended: Option<ConnectionError>,
}

impl Table {
    /// Creates the table of a connection whose next message has this id, with the queue of messages
    /// to send. The queue never holds more messages than there are permits.
    pub(crate) fn new(
        server: ServerAddress,
        next_id: u64,
    ) -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let pending = HashMap::new();
        let state = State { next_id, pending, outbox: Some(outbox), ended: None };
        (Self { server, state: Mutex::new(state) }, outgoing)
    }

    /// Queues a message. `encode` writes it, given its id.
    pub(crate) fn send(
        &self,
        expected: Expected,
        overdue_at: Instant,
        place: OwnedSemaphorePermit,
        encode: impl FnOnce(u64) -> Vec<u8>,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), Unanswered> {
        let mut state = self.state.lock();
        let Some(outbox) = state.outbox.clone() else {
            return Err(Unanswered::Unsent(state.how_it_ended()));
        };
        let message_id = state.next_id;
        state.next_id += 1;
        let (reply, outcome) = oneshot::channel();
        let pending = Pending { expected, sent: false, overdue_at, reply, _place: place };
        state.pending.insert(message_id, pending);
        drop(state);
        if outbox.send(Outgoing { message_id, bytes: encode(message_id) }).is_err() {
            // The connection ended meanwhile, and every message has its outcome.
            tracing::trace!(server = %self.server, message_id, "not sent");
        }
        Ok((message_id, outcome))
    }

    /// Returns whether to send a message, which is so while a caller waits for it. From now on it
    /// counts as sent.
    pub(crate) fn sends(&self, message_id: u64) -> bool {
        let mut state = self.state.lock();
        let Some(pending) = state.pending.get_mut(&message_id) else { return false };
        if pending.reply.is_closed() {
            state.pending.remove(&message_id);
            return false;
        }
        pending.sent = true;
        true
    }

    /// Returns whether a message was sent, at least in part. An unknown message counts as sent.
    pub(crate) fn was_sent(&self, message_id: u64) -> bool {
        self.state.lock().pending.get(&message_id).is_none_or(|pending| pending.sent)
    }

    /// Returns what is expected as the response to a message.
    pub(crate) fn expected(&self, message_id: u64) -> Option<Expected> {
        let state = self.state.lock();
        state
            .pending
            .get(&message_id)
            .filter(|pending| pending.sent)
            .map(|pending| pending.expected)
    }

    /// Passes a response to the caller, if it still waits.
    pub(crate) fn answer(&self, answer: Answer) {
        let pending = self.state.lock().pending.remove(&answer.header.message_id);
        if let Some(pending) = pending {
            // The caller may be gone; ignore a closed channel.
            let _late = pending.reply.send(Ok(answer));
        }
    }

    /// Reports a response that cannot be decoded to its caller.
    pub(crate) fn unreadable(&self, unreadable: Unreadable) -> ConnectionError {
        let message_id = unreadable.message_id;
        let pending = message_id.and_then(|id| self.state.lock().pending.remove(&id));
        if let Some(pending) = pending {
            let _late = pending.reply.send(Err(Unanswered::Wrong(unreadable.error.clone())));
        }
        ConnectionError::Answer(unreadable.error)
    }

    /// Returns whether a response is overdue.
    pub(crate) fn has_overdue(&self, now: Instant) -> bool {
        let state = self.state.lock();
        state.pending.values().any(|pending| pending.sent && pending.overdue_at < now)
    }

    /// Ends the connection: gives every unanswered message this error.
    pub(crate) fn end(&self, error: ConnectionError) {
        let mut state = self.state.lock();
        state.outbox = None;
        let error = state.ended.get_or_insert(error).clone();
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        for (_, pending) in pending {
            let unanswered = match pending.sent {
                true => Unanswered::Sent(error.clone()),
                false => Unanswered::Unsent(error.clone()),
            };
            let _late = pending.reply.send(Err(unanswered));
        }
    }

    /// Closes the queue, after which the connection ends.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.outbox = None;
        state.ended.get_or_insert(ConnectionError::Closed);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().outbox.is_some()
    }
}

impl State {
    fn how_it_ended(&self) -> ConnectionError {
        self.ended.clone().unwrap_or(ConnectionError::Closed)
    }
}

#[cfg(test)]
mod tests {
    //! What happens to messages whose connection ends or whose caller is gone.

    use std::sync::Arc;

    use hotrod::{Intelligence, ProtocolVersion, op::Size};
    use tokio::sync::Semaphore;

    use super::*;

    fn table() -> (Table, mpsc::UnboundedReceiver<Outgoing>) {
        Table::new(ServerAddress { host: "a".into(), port: 1 }, 5)
    }

    fn send(
        table: &Table,
        places: &Arc<Semaphore>,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), Unanswered> {
        let expected = Expected::of::<Size>(ProtocolVersion::V4_1, Intelligence::Basic);
        let place = Arc::clone(places).try_acquire_owned().unwrap();
        table.send(expected, Instant::now(), place, |id| vec![u8::try_from(id).unwrap()])
    }

    #[test]
    fn unsent_messages_are_told_apart_from_sent_ones() {
        let ((table, mut outgoing), places) = (table(), Arc::new(Semaphore::new(3)));
        let (first, mut sent) = send(&table, &places).unwrap();
        let (second, mut unsent) = send(&table, &places).unwrap();
        assert_eq!((first, second, outgoing.try_recv().unwrap().bytes), (5, 6, vec![5]));
        assert!(table.expected(first).is_none(), "an answer before the question");
        assert!(table.sends(first) && table.expected(first).is_some());
        assert!(table.was_sent(first) && !table.was_sent(second));

        table.end(ConnectionError::Ended);
        assert!(matches!(sent.try_recv(), Ok(Err(Unanswered::Sent(ConnectionError::Ended)))));
        assert!(matches!(unsent.try_recv(), Ok(Err(Unanswered::Unsent(ConnectionError::Ended)))));
        assert!(!table.sends(second) && !table.is_open());
        assert!(matches!(send(&table, &places), Err(Unanswered::Unsent(ConnectionError::Ended))));
        assert_eq!(places.available_permits(), 3);
    }

    #[test]
    fn a_message_without_a_caller_is_not_sent_and_frees_its_place() {
        let ((table, _outgoing), places) = (table(), Arc::new(Semaphore::new(2)));
        let (early, outcome) = send(&table, &places).unwrap();
        drop(outcome);
        assert!(!table.sends(early));
        assert_eq!(places.available_permits(), 2);

        // Once it was sent, its place is taken until the response arrives.
        let (late, outcome) = send(&table, &places).unwrap();
        assert!(table.sends(late));
        drop(outcome);
        assert_eq!(places.available_permits(), 1);
        assert!(table.has_overdue(Instant::now() + std::time::Duration::from_millis(1)));
    }
}
