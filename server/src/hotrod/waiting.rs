//! A deferred request that is being carried out beside the read loop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    order::Ticket,
    slow::{self, Answer, Deferred},
};

/// A request whose answer is waited for.
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    /// See [`Deferred::len`].
    pub(super) deferred_len: usize,
    /// Whether it changes nothing. It is dropped once nobody is there to be answered.
    pub(super) only_reads: bool,
    pub(super) answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl Waiting {
    pub(super) fn new(ticket: Ticket, deferred: Deferred) -> Self {
        let (deferred_len, only_reads) = (deferred.len(), deferred.only_reads);
        Self { ticket, deferred_len, only_reads, answer: Box::pin(slow::answer(ticket, deferred)) }
    }
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        self.answer.as_mut().poll(context)
    }
}
