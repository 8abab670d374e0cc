//! Work that may take longer than clients wait for a status.
//!
//! What ends within [`GRACE`] is answered with its own status. For what takes longer, status and
//! headers leave before the end is known; if it goes wrong then, the body says so and breaks off, so that
//! nobody takes the status for the end.

use std::{io, pin::Pin, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use media::MediaType;

use crate::{
    answer::{self, Answer, problem_json},
    problem::Problem,
};

/// Time that a status waits for the end of the work.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Time between the text of a late failure and the end of its connection: the text has to leave first.
const LINGER: Duration = Duration::from_millis(100);

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
        Soon::Later(work) => Body::from_stream(late(work, media_type == Some(&MediaType::JSON))),
    };
    Ok(match media_type {
        Some(media_type) => answer::text(media_type, body),
        None => Response::new(body),
    })
}

/// The text that comes of the work; or what went wrong, after which the body breaks off.
fn late(
    work: impl Future<Output = Result<String, Problem>> + Send,
    as_json: bool,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let parts = stream::once(work).flat_map(move |done| {
        stream::iter(match done {
            Ok(text) => vec![Ok(text.into())],
            Err(problem) => {
                let text = match as_json {
                    true => problem_json(&problem).to_string(),
                    false => format!("Error: {}", problem.text),
                };
                vec![Ok(Bytes::from(text + "\n")), Err(broken_off(&problem.text))]
            }
        })
    });
    parts.then(async |part| {
        if part.is_err() {
            tokio::time::sleep(LINGER).await;
        }
        part
    })
}

/// Runs `work` to completion even if the client leaves: half of it would be worse than none.
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

#[cfg(test)]
mod tests {
    //! Failures before and after the status has left.

    use http::StatusCode;

    use super::*;

    async fn fails_after(time: Duration, media_type: Option<&MediaType>) -> Answer {
        let work = async move {
            tokio::time::sleep(time).await;
            Err(Problem::new(StatusCode::CONFLICT, "it is paused"))
        };
        answer(work, media_type).await
    }

    /// What arrives of a body that breaks off.
    async fn broken(answer: Answer) -> String {
        let mut parts = answer.unwrap().into_body().into_data_stream();
        let text = parts.next().await.unwrap().unwrap();
        assert!(parts.next().await.unwrap().is_err(), "nobody takes it for the whole answer");
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_a_status_as_long_as_that_can_be() {
        let refused = fails_after(GRACE / 2, None).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::CONFLICT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_failure_is_told_before_the_body_breaks_off() {
        let text = broken(fails_after(GRACE * 2, None).await).await;
        assert_eq!(text, "Error: it is paused\n");
        let text = broken(fails_after(GRACE * 2, Some(&MediaType::JSON)).await).await;
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&problem["status"], &problem["detail"]), (&409.into(), &"it is paused".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_whole() {
        let work = async {
            tokio::time::sleep(GRACE * 2).await;
            Ok("done".to_owned())
        };
        let body = answer(work, None).await.unwrap().into_body();
        assert_eq!(&axum::body::to_bytes(body, 100).await.unwrap()[..], b"done");
    }
}
