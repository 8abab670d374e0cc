//! Which pages of other origins may use the API, as Infinispan decides it.
//!
//! With rules, a preflight is always answered here, and a request of an origin that no rule is about,
//! and that is not the server's own, is refused. Start reading at [`obey`].

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use config::CorsRule;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
    },
};
use media::MediaType;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::answer::{empty, text};

/// Least time between two warnings about refused requests: any page can cause them.
const WARNING: Duration = Duration::from_secs(60);

/// The rules of a server, and the requests that they refused.
pub(crate) struct Cors {
    rules: Vec<CorsRule>,
    refused: Mutex<Refused>,
}

impl Cors {
    pub(crate) fn new(rules: Vec<CorsRule>) -> Self {
        Self { rules, refused: Mutex::default() }
    }
}

/// Refused requests of which the log does not know yet.
#[derive(Debug, Default)]
struct Refused {
    unreported: u64,
    reported: Option<Instant>,
}

impl Refused {
    /// Counts a request. Returns the number to report, if it is time for that.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.reported.is_some_and(|before| now.duration_since(before) < WARNING) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

/// Answers preflights, refuses other origins, and says of answers who may read them.
pub(crate) async fn obey(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else {
        // No browser, or a page of our own.
        return next.run(request).await;
    };
    let rule = rule_for(&cors.rules, &origin);
    if is_preflight(&request) {
        let mut response = empty(StatusCode::OK);
        if let Some(rule) = rule {
            preflight(rule, &origin, response.headers_mut());
        }
        return response;
    }
    if rule.is_none() && !is_own(&origin, &request) {
        return refuse(&cors, &origin);
    }
    let mut response = next.run(request).await;
    if let Some(rule) = rule {
        let headers = response.headers_mut();
        allow_origin(rule, &origin, headers);
        if !rule.expose.is_empty() {
            set_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose);
        }
    }
    response
}

fn refuse(cors: &Cors, origin: &HeaderValue) -> Response {
    let origin = String::from_utf8_lossy(origin.as_bytes());
    if let Some(requests) = cors.refused.lock().count(Instant::now()) {
        tracing::warn!(
            %origin, requests,
            "refused requests from pages of other origins, which no CORS rule allows; this is the last origin"
        );
    }
    let reason = format!(
        "no CORS rule allows pages of '{origin}' to use this server: add the origin to 'cors-rules' of \
         the 'rest-connector'"
    );
    let mut response = text(&MediaType::TEXT, reason);
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// The first rule that is about an origin.
fn rule_for<'a>(rules: &'a [CorsRule], origin: &HeaderValue) -> Option<&'a CorsRule> {
    let is_about = |rule: &&CorsRule| {
        rule.origins.is_empty()
            || rule.origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    };
    rules.iter().find(is_about)
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns whether a page comes from this server itself, over HTTPS if a proxy in front of it speaks that.
fn is_own(origin: &HeaderValue, request: &Request) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    let origin = origin.to_str().ok();
    let from = |scheme| origin.and_then(|origin| origin.strip_prefix(scheme));
    let origin = from("http://").or_else(|| from("https://"));
    origin.is_some() && origin == host
}

fn preflight(rule: &CorsRule, origin: &HeaderValue, headers: &mut HeaderMap) {
    allow_origin(rule, origin, headers);
    set_list(headers, ACCESS_CONTROL_ALLOW_METHODS, &rule.methods);
    set_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, &rule.headers);
    headers.insert(ACCESS_CONTROL_MAX_AGE, rule.max_age.into());
}

fn allow_origin(rule: &CorsRule, origin: &HeaderValue, headers: &mut HeaderMap) {
    if rule.origins.is_empty() && !rule.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        return;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(VARY, HeaderValue::from_static("origin"));
    if rule.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

fn set_list(headers: &mut HeaderMap, name: http::HeaderName, values: &[String]) {
    if values.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&values.join(",")) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    //! What a browser is told.

    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    fn rules() -> Vec<CorsRule> {
        let app = CorsRule {
            name: "app".into(),
            origins: vec!["http://app.example.org".into()],
            credentials: true,
            max_age: 60,
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["Content-Type".into(), "If-Match".into()],
            expose: vec!["Etag".into()],
        };
        vec![app]
    }

    async fn answer(rules: Vec<CorsRule>, method: Method, headers: &[(&str, &str)]) -> Response {
        let router = Router::new()
            .route("/", get(|| async { "content" }))
            .layer(middleware::from_fn_with_state(Arc::new(Cors::new(rules)), obey));
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        router.oneshot(request).await.unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    const APP: (&str, &str) = ("origin", "http://app.example.org");
    const WANTS: (&str, &str) = ("access-control-request-method", "PUT");

    #[tokio::test]
    async fn a_preflight_is_answered_with_what_the_rule_allows() {
        let response = answer(rules(), Method::OPTIONS, &[APP, WANTS]).await;
        assert_eq!(response.status(), 200);
        for (name, value) in [
            ("access-control-allow-origin", APP.1),
            ("access-control-allow-methods", "GET,PUT"),
            ("access-control-allow-headers", "Content-Type,If-Match"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "60"),
            ("vary", "origin"),
        ] {
            assert_eq!(header(&response, name), Some(value), "{name}");
        }
    }

    #[tokio::test]
    async fn an_origin_without_a_rule_is_told_nothing_and_refused() {
        let other = ("origin", "http://evil.example");
        let response = answer(rules(), Method::OPTIONS, &[other, WANTS]).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
        let response = answer(rules(), Method::GET, &[other]).await;
        assert_eq!(response.status(), 403);
        let own = ["http://127.0.0.1:11222", "https://127.0.0.1:11222"];
        for own in own {
            let own = [("origin", own), ("host", "127.0.0.1:11222")];
            assert_eq!(answer(rules(), Method::GET, &own).await.status(), 200);
        }
        assert_eq!(answer(rules(), Method::GET, &[]).await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_requests_are_reported_once_a_minute() {
        let mut refused = Refused::default();
        assert_eq!(refused.count(Instant::now()), Some(1), "the first at once");
        tokio::time::advance(WARNING - Duration::from_millis(1)).await;
        assert_eq!([refused.count(Instant::now()), refused.count(Instant::now())], [None, None]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(refused.count(Instant::now()), Some(3));
        assert_eq!(refused.count(Instant::now()), None);
    }

    #[tokio::test]
    async fn an_answer_says_who_may_read_it() {
        let response = answer(rules(), Method::GET, &[APP]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "access-control-allow-origin"), Some(APP.1));
        assert_eq!(header(&response, "access-control-expose-headers"), Some("Etag"));
        let any = vec![CorsRule { name: "any".into(), ..CorsRule::default() }];
        let response = answer(any, Method::GET, &[APP]).await;
        assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&response, "access-control-allow-credentials"), None);
        let credentials = CorsRule { credentials: true, ..CorsRule::default() };
        let response = answer(vec![credentials], Method::GET, &[APP]).await;
        assert_eq!(header(&response, "access-control-allow-origin"), Some(APP.1));
    }
}
