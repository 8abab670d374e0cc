//! How answers are written: JSON plain or laid out, problems as text or as RFC 9457 has them.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, DATE},
};
use media::MediaType;
use serde_json::{Value, json};

use crate::{http_date, node::Shared, problem::Problem, request::Parameters};

/// What a handler returns.
pub(crate) type Answer = Result<Response, Problem>;

/// The media type of problems in RFC 9457.
const PROBLEM_JSON: &str = "application/problem+json";

/// A document in JSON. How it is laid out, [`render`] decides.
#[derive(Clone, Debug)]
pub(crate) struct Json(pub(crate) Value);

impl Json {
    /// Whatever can be written as JSON.
    pub(crate) fn of(document: &impl serde::Serialize) -> Self {
        // Only maps with keys that are no texts cannot be written, and there are none.
        Self(serde_json::to_value(document).unwrap_or_default())
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Json> for Answer {
    fn from(json: Json) -> Self {
        Ok(json.into_response())
    }
}

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// A text with its media type.
pub(crate) fn text(media_type: &MediaType, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    set(&mut response, CONTENT_TYPE, &media_type.to_string());
    response
}

/// Sets a header, unless no header can have that value.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(name, value);
    }
}

/// Nothing is known under this path.
pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Resource not found")
}

/// The path is known, the method is none that it has.
pub(crate) async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Not allowed")
}

/// Dates answers by the clock that entries are dated by: a target reads it from there. The wall clock, by which
/// they would be dated otherwise, may have been set since. Says which process answers if it is asked, so that a target
/// recognises itself behind an address that leads back to it.
pub(crate) async fn date(State(node): State<Shared>, request: Request, next: Next) -> Response {
    let is_asked = request.headers().contains_key(migrate::PROCESS);
    let mut response = next.run(request).await;
    if let Some(now) = http_date::write(node.driver.now()) {
        set(&mut response, DATE, &now);
    }
    if is_asked {
        set(&mut response, HeaderName::from_static(migrate::PROCESS), &node.about.process);
    }
    response
}

/// Writes what handlers answered as the client asked for it.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let wishes = Wishes::of(&request);
    let mut response = next.run(request).await;
    if let Some(Json(document)) = response.extensions_mut().remove() {
        let text = if wishes.pretty { format!("{document:#}") } else { document.to_string() };
        wishes.fill(&mut response, "application/json", text);
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if wishes.is_head {
            *response.body_mut() = Body::empty();
        } else if wishes.problem_json {
            wishes.fill(&mut response, PROBLEM_JSON, problem_json(&problem).to_string());
        }
    }
    response
}

/// A problem as RFC 9457 has it.
pub(crate) fn problem_json(problem: &Problem) -> Value {
    json!({
        "type": "about:blank",
        "title": problem.status.canonical_reason().unwrap_or_default(),
        "status": problem.status.as_u16(),
        "detail": problem.text,
    })
}

/// How a client wants to be answered.
struct Wishes {
    is_head: bool,
    pretty: bool,
    problem_json: bool,
}

impl Wishes {
    fn of(request: &Request) -> Self {
        let mut accepted = request.headers().get_all(ACCEPT).iter();
        Self {
            is_head: request.method() == Method::HEAD,
            pretty: is_pretty(request.uri()),
            problem_json: accepted.any(|accept| {
                accept
                    .to_str()
                    .is_ok_and(|accept| accept.to_ascii_lowercase().contains(PROBLEM_JSON))
            }),
        }
    }

    fn fill(&self, response: &mut Response, media_type: &'static str, text: String) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if self.is_head {
            headers.insert(CONTENT_LENGTH, text.len().into());
            *response.body_mut() = Body::empty();
        } else {
            headers.remove(CONTENT_LENGTH);
            *response.body_mut() = Body::from(text);
        }
    }
}

fn is_pretty(uri: &Uri) -> bool {
    Parameters::of(uri).is_true("pretty")
}
