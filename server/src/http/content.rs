//! Counts the contents of requests and answers, until they are carried out or sent.
//!
//! Progress is what a peer cannot feign with pings: parts of a request's content that arrive, and parts of
//! an answer that leave.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Version},
    response::Response,
};
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::{
    body::{Body as HttpBody, Bytes, Frame, SizeHint},
    service::Service,
};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;

use super::activity::{Activity, Under};
use crate::budget::{Charge, Doing, NoRoom, STEP, Share};

/// Bytes that a request which is carried out takes beside its own.
const OWN_BYTES: usize = 4 * 1024;

/// What one request takes, and its answer after it.
type Taken = Arc<Mutex<Charge>>;

/// Answers a request, counts what it and its answer take, and notes what becomes of them.
pub(super) async fn counted(
    activity: Arc<Activity>,
    mut request: Request,
    service: TowerToHyperService<Router>,
) -> Result<Response, Infallible> {
    let taken = Arc::new(Mutex::new(activity.share.charge()));
    request.extensions_mut().insert(room(&activity.share, &taken));
    let head = head_bytes(&request);
    taken.lock().set(head);
    let is_windowed = request.version() == Version::HTTP_2 && !request.body().is_end_stream();
    let window = is_windowed.then(|| activity.window());
    let request = request.map(|body| received(body, head, window, &activity, &taken));
    let working = activity.begin(Doing::Working);
    let (head, body) = service.call(request).await?.into_parts();
    drop(working);
    let body = match body.size_hint().exact() {
        Some(0) => body,
        Some(_) => whole(body, &activity, &taken).await,
        None => in_parts(body, &activity, &taken),
    };
    Ok(Response::from_parts(head, body))
}

/// Bytes of a request without its content, which are there while it is carried out.
fn head_bytes(request: &Request) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    OWN_BYTES + path + request.headers().iter().map(field).sum::<usize>()
}

/// How a handler waits for room, before it makes an answer of so many bytes.
fn room(share: &Arc<Share>, taken: &Taken) -> rest::Room {
    let (share, taken) = (Arc::clone(share), Arc::clone(taken));
    rest::Room::new(move |bytes| {
        let (share, taken) = (Arc::clone(&share), Arc::clone(&taken));
        // A longer value exists already; it is answered once as much is free as one answer may take.
        let bytes = bytes.min(share.most());
        Box::pin(async move { reserve(&share, &taken, bytes).await.map_err(|no| no.to_string()) })
    })
}

async fn reserve(share: &Arc<Share>, taken: &Taken, bytes: usize) -> Result<(), NoRoom> {
    let reserved = share.reserve(bytes).await?;
    taken.lock().merge(reserved);
    Ok(())
}

/// The content of a request behind so many bytes of its head. If its length is known, there is room for all of
/// it before it is taken in.
fn received(
    body: Body,
    head: usize,
    window: Option<Arc<Charge>>,
    activity: &Arc<Activity>,
    taken: &Taken,
) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let known = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let state = Receiving {
        body,
        arrived: 0,
        receiving: None,
        _window: window,
        activity: Arc::clone(activity),
        taken: Arc::clone(taken),
    };
    Body::from_stream(stream::try_unfold(state, move |mut state| async move {
        let wanted = head.saturating_add(known.unwrap_or(state.arrived + STEP));
        let more = wanted.saturating_sub(state.taken.lock().bytes());
        if more > 0 {
            reserve(&state.activity.share, &state.taken, more).await.map_err(axum::Error::new)?;
        }
        state.receiving.get_or_insert_with(|| state.activity.begin(Doing::Receiving));
        let Some(frame) = state.body.frame().await.transpose()? else { return Ok(None) };
        let data = frame.into_data().unwrap_or_default();
        state.arrived += data.len();
        state.activity.share.passed(data.len());
        Ok::<_, axum::Error>(Some((data, state)))
    }))
}

/// How far the content of a request has arrived.
struct Receiving {
    body: Body,
    arrived: usize,
    /// From the first time that it is waited for.
    receiving: Option<Under>,
    /// See [`Activity::window`].
    _window: Option<Arc<Charge>>,
    activity: Arc<Activity>,
    taken: Taken,
}

/// An answer that is there as a whole, given out in slices.
async fn whole(body: Body, activity: &Arc<Activity>, taken: &Taken) -> Body {
    match body.collect().await {
        Ok(content) => {
            let left = counted_until_sent(content.to_bytes(), activity, taken);
            Body::new(Slices { left, share: Arc::clone(&activity.share) })
        }
        Err(error) => Body::from_stream(stream::once(async { Err::<Bytes, _>(error) })),
    }
}

/// An answer that is made while it is sent. Each part of it is made once there is room for it. Nothing is reserved
/// meanwhile: the next part of an answer may take hours, if it shows events.
fn in_parts(body: Body, activity: &Arc<Activity>, taken: &Taken) -> Body {
    taken.lock().set(0);
    let state = (body, activity.begin(Doing::Working), Arc::clone(activity));
    Body::from_stream(stream::try_unfold(state, async |(mut body, working, activity)| {
        drop(activity.share.reserve(STEP).await.map_err(axum::Error::new)?);
        let Some(frame) = body.frame().await.transpose()? else { return Ok(None) };
        let data = frame.into_data().unwrap_or_default();
        let taken = Arc::new(Mutex::new(activity.share.charge()));
        let data = counted_until_sent(data, &activity, &taken);
        Ok::<_, axum::Error>(Some((data, (body, working, activity))))
    }))
}

/// Bytes of an answer that count until the last of them is sent.
fn counted_until_sent(bytes: Bytes, activity: &Arc<Activity>, taken: &Taken) -> Bytes {
    taken.lock().set(bytes.len());
    let sending = activity.begin(Doing::Sending);
    Bytes::from_owner(Unsent { bytes, _taken: Arc::clone(taken), _sending: sending })
}

struct Unsent {
    bytes: Bytes,
    _taken: Taken,
    _sending: Under,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that are given out as fast as the peer takes them.
struct Slices {
    left: Bytes,
    share: Arc<Share>,
}

impl HttpBody for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let slice = self.left.len().min(STEP);
        self.share.passed(slice);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(slice)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
