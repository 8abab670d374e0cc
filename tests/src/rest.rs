//! A REST client for tests.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Client of a server's REST endpoint; each call opens a new connection.
#[derive(Clone, Debug)]
pub struct Rest {
    address: std::net::SocketAddr,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// If it is not text.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the response, after checking its status.
    ///
    /// # Panics
    ///
    /// If the status is a different one.
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl Rest {
    /// Creates a client of the server at this address.
    #[must_use]
    pub fn new(address: std::net::SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request and returns the response.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let answer = self.try_call(method, path, headers, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Sends a request and returns the response.
    ///
    /// # Errors
    ///
    /// If there is no complete response.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body.into()))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        driven.abort();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Sends GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    /// Sends POST, as JSON if there is a body.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    /// Sends DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], "").await
    }

    /// Returns the migration status of a cache.
    pub async fn migration(&self, cache: &str) -> Value {
        self.get(&format!("/rest/v2/caches/{cache}/rolling-upgrade")).await.with(200).json()
    }
}
