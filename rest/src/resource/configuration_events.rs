//! Tells of caches that are created, changed and removed, as server-sent events:
//! `/v2/container/config?action=listen`.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, response::Response};
use config::{CacheConfig, CacheName, Format, Secrets, Writing};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};
use media::MediaType;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    answer::{Answer, text},
    node::{Node, Shared},
    request::{Parameters, document_type},
};

/// Time after which a listener is told that it is still heard of.
const PING: Duration = Duration::from_secs(15);

/// Forms of a configuration in an event, the default first.
const OFFERED: [MediaType; 3] = [MediaType::YAML, MediaType::JSON, MediaType::XML];

/// Caches by name, with their configuration.
type Known = BTreeMap<CacheName, Arc<CacheConfig>>;

/// The events from now on; before them, with `includeCurrentState=true`, the caches that are there.
pub(super) fn listen(node: &Shared, parameters: &Parameters, headers: &HeaderMap) -> Answer {
    let media_type = document_type(headers, &OFFERED)?;
    let changes = node.driver.agreement().changes();
    let starts_empty = parameters.is_true("includeCurrentState");
    let known = if starts_empty { Known::new() } else { caches(node) };
    let listener = Listener {
        node: Arc::clone(node),
        format: Format::of(&media_type).unwrap_or(Format::Yaml),
        pretty: parameters.is_true("pretty"),
        known,
        changes,
        waiting: VecDeque::new(),
        looks: true,
    };
    let mut response = stream_of_events(listener.events());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn stream_of_events(
    events: impl Stream<Item = Result<String, Infallible>> + Send + 'static,
) -> Response {
    let body = Body::from_stream(events);
    match "text/event-stream".parse() {
        Ok(media_type) => text(&media_type, body),
        Err(_) => Response::new(body),
    }
}

fn caches(node: &Node) -> Known {
    node.driver.agreement().see(|metadata| {
        metadata.caches().map(|(name, known)| (name.clone(), Arc::clone(&known.config))).collect()
    })
}

struct Listener {
    node: Shared,
    format: Format,
    pretty: bool,
    /// What the listener was told of.
    known: Known,
    changes: watch::Receiver<u64>,
    waiting: VecDeque<String>,
    /// Whether something may have changed since it was last looked at.
    looks: bool,
}

impl Listener {
    fn events(self) -> impl Stream<Item = Result<String, Infallible>> + Send {
        stream::unfold(self, |mut listener| async {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        })
    }

    /// The next event; `None` once the server ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if std::mem::take(&mut self.looks) {
                self.changes.mark_unchanged();
                self.look();
                continue;
            }
            let stop = self.node.stop.clone();
            let changed = tokio::time::timeout(PING, self.changes.changed());
            match stop.run_until_cancelled(changed).await? {
                Ok(changed) => {
                    changed.ok()?;
                    self.looks = true;
                }
                Err(_elapsed) => return Some(": ping\n\n".to_owned()),
            }
        }
    }

    /// Compares what is there with what was told.
    fn look(&mut self) {
        let now = caches(&self.node);
        for (name, config) in &now {
            match self.known.get(name) {
                None => self.tell("create-cache", &self.document(name, config)),
                Some(told) if told != config => {
                    self.tell("update-cache", &self.document(name, config));
                }
                Some(_) => {}
            }
        }
        let gone: Vec<CacheName> =
            self.known.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        gone.iter().for_each(|name| self.tell("remove-cache", name.as_str()));
        self.known = now;
    }

    fn tell(&mut self, event: &str, payload: &str) {
        let mut text = format!("event: {event}\n");
        for line in payload.lines() {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        self.waiting.push_back(text);
    }

    /// A cache, with all that stands around it in a configuration.
    fn document(&self, name: &CacheName, config: &CacheConfig) -> String {
        let writing = Writing { secrets: Secrets::Masked, pretty: self.pretty };
        match self.format {
            Format::Xml => {
                let cache = config.write(Some(name), Format::Xml, writing);
                let cache = cache.trim_start_matches("<?xml version=\"1.0\"?>").trim();
                format!(
                    "<infinispan><cache-container><caches>{cache}</caches></cache-container>\
                     </infinispan>"
                )
            }
            Format::Yaml => {
                let cache = config.write(Some(name), Format::Yaml, writing);
                let cache = cache.lines().map(|line| format!("      {line}\n"));
                let around = "infinispan:\n  cacheContainer:\n    caches:\n";
                around.to_owned() + &cache.collect::<String>()
            }
            Format::Json | Format::Toml => {
                let caches = config.to_json(Some(name), Secrets::Masked);
                let document = json!({ "infinispan": { "cache-container": { "caches": caches } } });
                if self.pretty { format!("{document:#}") } else { document.to_string() }
            }
        }
    }
}
