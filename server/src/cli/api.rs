//! The REST interface of a server, as the command line uses it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longest answer that is read: lists of findings are the longest.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A server's REST interface.
pub(super) struct Api {
    /// Such as `http://127.0.0.1:11222`.
    server: String,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Whether it has answered before.
    has_answered: AtomicBool,
}

/// What the server says.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
    /// What the operator should know although it is done.
    pub(super) notices: Vec<String>,
    /// What was called.
    uri: String,
}

impl Answer {
    /// The answer as JSON.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("the server's answer is not JSON: {}", self.text))
    }

    /// The answer, if it is one of success.
    pub(super) fn success(self) -> anyhow::Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (uri, text) = (self.uri, self.text.trim());
        match (self.status, text) {
            (status, "") => bail!("{uri} answers {status}"),
            (StatusCode::NOT_FOUND, "Resource not found") => {
                bail!(
                    "{uri} is not there: is this a Godwit server, and its address without a path?"
                )
            }
            (_, text) => bail!("{text}"),
        }
    }
}

impl Api {
    /// The interface at `server`: `http://host:port`, or `host:port` alone.
    pub(super) fn new(server: &str) -> anyhow::Result<Self> {
        let server = server.trim_end_matches('/');
        let server = match server.split_once("://") {
            _ if server.is_empty() => bail!("the address of the server is empty"),
            Some(("http", _)) => server.to_owned(),
            Some((scheme, _)) => bail!("{scheme}:// is not supported yet, only http://"),
            None => format!("http://{server}"),
        };
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { server, client, has_answered: AtomicBool::new(false) })
    }

    /// The option with which another command finds the same server, with a space before it; empty if it needs none.
    pub(super) fn option(&self) -> String {
        let is_default = self.server == super::migrate::DEFAULT_SERVER;
        if is_default { String::new() } else { format!(" -s {}", self.server) }
    }

    /// Calls it. `body` is JSON.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Answer> {
        let uri = format!("{}{path}", self.server);
        let mut request = Request::builder().method(method).uri(&uri);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default())).context(uri.clone())?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| self.unanswered(error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        let status = response.status();
        let notices = response.headers().get_all("godwit-notice").iter();
        let notices =
            notices.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()).collect();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) => bail!("the answer of {uri} breaks off: {error}"),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status, text, notices, uri })
    }

    /// Why a request has no answer.
    fn unanswered(&self, error: legacy::Error) -> anyhow::Error {
        let server = &self.server;
        let text = if self.has_answered.load(Ordering::Relaxed) {
            format!("the server at {server} does not answer any more: has it been stopped?")
        } else if error.is_connect() {
            format!("no server answers at {server}, see --server and GODWIT_SERVER")
        } else {
            format!("the server at {server} has broken off the connection instead of answering")
        };
        anyhow::Error::new(error).context(text)
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Option<Vec<u8>>) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, body).await
    }
}

/// A text as a segment of a path.
pub(super) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}
