//! Refuses requests of foreign web pages, and tells browsers which pages may read answers.
//!
//! Start reading at [`obey`]; [`Policy::judge`] decides what is refused.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use cluster::{Clock, Sparingly};
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

use crate::{
    answer::{empty, text},
    origin::{Claims, Policy, Verdict},
};

/// Most letters of an origin or host that are repeated in a message.
const MAX_SHOWN: usize = 100;

/// Guards the API against web pages.
pub(crate) struct Guard {
    policy: Policy,
    clock: Arc<Clock>,
    /// Any page can cause warnings.
    refused: Sparingly,
}

impl Guard {
    pub(crate) fn new(policy: Policy, clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self { policy, clock, refused: Sparingly::default() })
    }

    fn refuse(&self, reason: String) -> Response {
        if let Some(requests) = self.refused.count(self.clock.now()) {
            tracing::warn!(requests, "refused requests; the last one: {reason}");
        }
        let mut response = text(&MediaType::TEXT, reason);
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    }
}

/// Refuses requests of foreign pages, answers preflights, and says of answers who may read them.
pub(crate) async fn obey(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let claims = claims(&request);
    match guard.policy.judge(&claims) {
        Verdict::Own => next.run(request).await,
        Verdict::ForeignOrigin => guard.refuse(foreign_origin(&claims)),
        Verdict::ForeignHost => guard.refuse(foreign_host(&claims)),
        Verdict::Allowed(rule) => {
            let Some(origin) = request.headers().get(ORIGIN).cloned() else {
                return next.run(request).await;
            };
            if is_preflight(&request) {
                let mut response = empty(StatusCode::OK);
                preflight(rule, &origin, response.headers_mut());
                return response;
            }
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            allow_origin(rule, &origin, headers);
            if !rule.expose.is_empty() {
                set_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose);
            }
            response
        }
    }
}

/// What a request says about where it comes from.
fn claims(request: &Request) -> Claims<'_> {
    let all = |name| request.headers().get_all(name).iter().map(HeaderValue::as_bytes);
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    Claims { origins: all(ORIGIN).collect(), hosts: target.into_iter().chain(all(HOST)).collect() }
}

fn foreign_origin(claims: &Claims<'_>) -> String {
    format!(
        "web pages of '{}' may not use this server. To allow them, add the origin to 'cors-rules' of the \
         'rest-connector', or to [cors.NAME] in TOML. If they are pages of this server behind a proxy, have the \
         proxy pass on the Host header unchanged",
        shown(&claims.origins)
    )
}

fn foreign_host(claims: &Claims<'_>) -> String {
    format!(
        "'{}' is not a known name of this server, which listens on loopback. Use localhost or an IP address, or \
         add the name to 'allowed-hosts' (--allowed-hosts, GODWIT_ALLOWED_HOSTS)",
        shown(&claims.hosts)
    )
}

fn shown(values: &[&[u8]]) -> String {
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
    values.join(", ").chars().take(MAX_SHOWN).collect()
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
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
    use crate::origin::Hosts;

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
        let guard =
            Guard::new(Policy { rules, hosts: Hosts::Local(Vec::new()) }, Arc::new(Clock::start()));
        let router = Router::new()
            .route("/", get(|| async { "content" }))
            .layer(middleware::from_fn_with_state(guard, obey));
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
    async fn a_request_that_is_not_accepted_is_told_what_to_do() {
        let other = ("origin", "http://evil.example");
        let host = ("host", "evil.example");
        for (method, headers, what) in [
            (Method::GET, &[other] as &[_], "'cors-rules'"),
            (Method::POST, &[other], "web pages of 'http://evil.example' may not"),
            (Method::OPTIONS, &[other, WANTS], "'cors-rules'"),
            (Method::GET, &[("origin", "null")], "web pages of 'null'"),
            (Method::GET, &[host], "--allowed-hosts"),
            (Method::GET, &[host, other], "'evil.example' is not a known name"),
            (Method::OPTIONS, &[host, APP, WANTS], "--allowed-hosts"),
        ] {
            let response = answer(rules(), method, headers).await;
            assert_eq!(response.status(), 403, "{headers:?}");
            let allows = |name: &http::HeaderName| name.as_str().starts_with("access-control");
            assert!(!response.headers().keys().any(allows), "{headers:?}");
            let text = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
            let text = str::from_utf8(&text).unwrap();
            assert!(text.contains(what), "{headers:?}: {text}");
        }
        let long = "h".repeat(1_000);
        let response = answer(rules(), Method::GET, &[("origin", &long)]).await;
        let text = axum::body::to_bytes(response.into_body(), 500).await.unwrap();
        assert!(text.len() < 500);
    }

    #[tokio::test]
    async fn pages_of_the_server_itself_are_told_nothing_and_accepted() {
        for own in ["http://127.0.0.1:11222", "https://127.0.0.1:11222"] {
            let own = [("origin", own), ("host", "127.0.0.1:11222")];
            let response = answer(Vec::new(), Method::GET, &own).await;
            assert_eq!(response.status(), 200);
            assert_eq!(header(&response, "access-control-allow-origin"), None);
        }
        assert_eq!(answer(Vec::new(), Method::GET, &[]).await.status(), 200);
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
