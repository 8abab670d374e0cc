//! Work that may take longer than clients wait for a status.
//!
//! What ends within [`GRACE`] is answered with its own status. For what takes longer, status and
//! headers leave before the end is known; if it goes wrong then, the body breaks off.

use std::{io, pin::Pin, time::Duration};

use axum::{body::Body, response::Response};
use futures_util::stream;
use media::MediaType;

use crate::{
    answer::{self, Answer},
    problem::Problem,
};

/// Time that a status waits for the end of the work.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// How far work has come after [`GRACE`].
pub(crate) enum Soon<T> {
    /// It has ended.
    Done(T),
    /// It goes on while this is polled.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

/// Gives work its time.
pub(crate) async fn soon<T>(work: impl Future<Output = T> + Send + 'static) -> Soon<T> {
    let mut work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
    match tokio::time::timeout(GRACE, &mut work).await {
        Ok(done) => Soon::Done(done),
        Err(_elapsed) => Soon::Later(work),
    }
}

/// Answers 200 with the text that comes of the work, once it is known; if it fails soon, with its
/// problem.
pub(crate) async fn answer(
    work: impl Future<Output = Result<String, Problem>> + Send + 'static,
    media_type: Option<&MediaType>,
) -> Answer {
    let body = match soon(work).await {
        Soon::Done(text) => Body::from(text?),
        Soon::Later(work) => Body::from_stream(stream::once(async move {
            work.await.map_err(|problem| broken_off(&problem.text))
        })),
    };
    Ok(match media_type {
        Some(media_type) => answer::text(media_type, body),
        None => Response::new(body),
    })
}

/// What was begun is carried to its end, whether or not somebody still waits for the answer: half of
/// it would be worse than none.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// The end of a body that nobody may take for a whole one.
pub(crate) fn broken_off(reason: &str) -> io::Error {
    tracing::warn!(reason, "an answer breaks off");
    io::Error::other(reason.to_owned())
}
