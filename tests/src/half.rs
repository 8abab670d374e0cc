//! A body that never ends.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame};

/// The first bytes of a body, after which neither more bytes nor the end arrive.
#[derive(Debug)]
pub struct Half(Option<Bytes>);

impl Half {
    /// Creates a body that stalls after these bytes.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}
