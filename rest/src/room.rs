//! Memory for answers.

use std::{convert::Infallible, fmt, pin::Pin, sync::Arc};

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};

use crate::problem::Problem;

/// A wait for memory. If it fails, it says why there will be none.
pub type Wait = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// How a handler waits for memory before it makes an answer. Whoever serves a connection puts it into the
/// extensions of its requests; without it, there is always room.
#[derive(Clone, Default)]
pub struct Room(Option<Arc<dyn Fn(usize) -> Wait + Send + Sync>>);

impl Room {
    /// Waits in this way for so many bytes, which then are the request's.
    #[must_use]
    pub fn new(wait: impl Fn(usize) -> Wait + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wait)))
    }

    /// Waits until there is room for so many bytes.
    pub(crate) async fn take(&self, bytes: usize) -> Result<(), Problem> {
        let Some(wait) = &self.0 else { return Ok(()) };
        wait(bytes).await.map_err(|text| Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for Room {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    //! Handlers wait as whoever serves the connection says.

    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::{Router, body::Body, extract::Request, routing::get};
    use tower::ServiceExt as _;

    use super::*;
    use crate::answer;

    /// What a handler that takes 1,000 bytes is answered with this room, if there is one.
    async fn answered(room: Option<Room>) -> (StatusCode, String) {
        let handler = |room: Room| async move { room.take(1_000).await.map(|()| "an answer") };
        let router: Router =
            Router::new().route("/", get(handler)).layer(axum::middleware::from_fn(answer::render));
        let mut request = Request::new(Body::empty());
        if let Some(room) = room {
            request.extensions_mut().insert(room);
        }
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn without_a_room_there_is_always_memory() {
        assert_eq!(answered(None).await, (StatusCode::OK, "an answer".to_owned()));
    }

    #[tokio::test]
    async fn a_handler_asks_for_what_it_takes_before_it_answers() {
        let asked = Arc::new(AtomicUsize::new(0));
        let asks = Arc::clone(&asked);
        let room = Room::new(move |bytes| {
            asks.fetch_add(bytes, Relaxed);
            Box::pin(async { Ok(()) })
        });
        assert_eq!(answered(Some(room)).await.0, StatusCode::OK);
        assert_eq!(asked.load(Relaxed), 1_000);
    }

    #[tokio::test]
    async fn where_there_will_be_none_the_client_is_told_why() {
        let room = Room::new(|_| Box::pin(async { Err("it is closed".to_owned()) }));
        let (status, text) = answered(Some(room)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("it is closed"), "{text}");
    }
}
