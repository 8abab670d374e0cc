//! What of a configuration can be changed while the cache is there, attribute by attribute.

use std::time::Duration;

use axum::response::Response;
use cluster::AdminError;
use config::{ByteSize, CacheConfig, CacheName, ConfigError, Format};
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Json},
    node::Node,
    problem::Problem,
    request::Parameters,
};

/// An attribute that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Lifespan,
    MaxIdle,
    Interval,
    MaxSize,
    MaxCount,
    Statistics,
}

/// In the order and under the names of the real server.
const ATTRIBUTES: [(&str, Attribute); 6] = [
    ("expiration.lifespan", Attribute::Lifespan),
    ("expiration.max-idle", Attribute::MaxIdle),
    ("expiration.interval", Attribute::Interval),
    ("memory.max-size", Attribute::MaxSize),
    ("memory.max-count", Attribute::MaxCount),
    ("jmx-statistics.statistics", Attribute::Statistics),
];

/// Attributes of a real server that stay as they are.
const IMMUTABLE: &[&str] = &[
    "clustering.hash.owners",
    "clustering.hash.segments",
    "clustering.type",
    "clustering.mode",
    "encoding.media-type",
    "encoding.key.media-type",
    "encoding.value.media-type",
    "memory.storage",
    "memory.when-full",
];

/// The names of all, or what they are with `full=true`.
pub(super) fn list(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let config = node.caches.config(name)?;
    if !parameters.is_true("full") {
        return Json(ATTRIBUTES.iter().map(|(name, _)| *name).collect()).into();
    }
    let full = ATTRIBUTES.iter().map(|(name, attribute)| {
        let value = json!({ "value": attribute.value(&config), "type": attribute.kind() });
        ((*name).to_owned(), value)
    });
    Json(Value::Object(full.collect::<Map<_, _>>())).into()
}

/// The value of one, as text.
pub(super) fn show(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let config = node.caches.config(name)?;
    let text = match named(&config, parameters)?.value(&config) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Json(text.into()).into()
}

/// Gives one another value.
pub(super) async fn set(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let _one = node.configuring.lock().await;
    let config = node.caches.config(name)?;
    let attribute = named(&config, parameters)?;
    let values: Vec<&str> = parameters.all("attribute-value").collect();
    if values.is_empty() {
        return Err(Problem::missing("attribute-value"));
    }
    let changed = attribute.with(&config, &values.join(" "), node)?;
    let name: CacheName = name.parse()?;
    node.caches.update(&name, changed).await?;
    Ok(Response::default())
}

fn named(config: &CacheConfig, parameters: &Parameters) -> Result<Attribute, Problem> {
    let name =
        parameters.get("attribute-name").ok_or_else(|| Problem::missing("attribute-name"))?;
    // As it is called where it is configured.
    let name = if name == "statistics" { "jmx-statistics.statistics" } else { name };
    if let Some((_, attribute)) = ATTRIBUTES.iter().find(|(known, _)| *known == name) {
        return Ok(*attribute);
    }
    if IMMUTABLE.contains(&name) {
        return Err(Problem::bad_request(format!("ISPN012035: Attribute '{name}' is immutable")));
    }
    let element = config.to_json(None, config::Secrets::Masked);
    let element = element.as_object().and_then(|object| object.keys().next());
    let element = element.map_or("cache", String::as_str);
    Err(Problem::bad_request(format!("ISPN000960: No attribute '{name}' in '{element}'")))
}

impl Attribute {
    /// The real server's name of its type.
    fn kind(self) -> &'static str {
        match self {
            Self::Lifespan | Self::MaxIdle | Self::Interval => "timequantity",
            Self::MaxSize => "string",
            Self::MaxCount => "long",
            Self::Statistics => "boolean",
        }
    }

    fn value(self, config: &CacheConfig) -> Value {
        let time = |time: Option<Duration>| {
            json!(time.map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string()))
        };
        match self {
            Self::Lifespan => time(config.expiration.lifespan),
            Self::MaxIdle => time(config.expiration.max_idle),
            Self::Interval => time(Some(config.expiration.interval)),
            Self::MaxSize => json!(config.memory.max_size.map(|size| ByteSize(size).to_string())),
            Self::MaxCount => json!(or_none(config.memory.max_count)),
            Self::Statistics => json!(config.statistics),
        }
    }

    /// The configuration with another value of this attribute, read as in a document.
    fn with(self, config: &CacheConfig, value: &str, node: &Node) -> Result<CacheConfig, Problem> {
        let element = match self {
            Self::Lifespan => json!({ "expiration": { "lifespan": value } }),
            Self::MaxIdle => json!({ "expiration": { "max-idle": value } }),
            Self::Interval => json!({ "expiration": { "interval": value } }),
            Self::MaxSize => json!({ "memory": { "max-size": value } }),
            Self::MaxCount => json!({ "memory": { "max-count": value } }),
            Self::Statistics => json!({ "statistics": value }),
        };
        let document = json!({ "local-cache": element }).to_string();
        let parsed = node.caches.parse(document.as_bytes(), Format::Json).map_err(unfit)?;
        let read = parsed.value;
        let mut changed = config.clone();
        match self {
            Self::Lifespan => changed.expiration.lifespan = read.expiration.lifespan,
            Self::MaxIdle => changed.expiration.max_idle = read.expiration.max_idle,
            Self::Interval => changed.expiration.interval = read.expiration.interval,
            Self::MaxSize => changed.memory.max_size = read.memory.max_size,
            Self::MaxCount => changed.memory.max_count = read.memory.max_count,
            Self::Statistics => changed.statistics = read.statistics,
        }
        Ok(changed)
    }
}

/// As Java reads a number; -1 is no limit.
pub(super) fn or_none(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// What is wrong with a value. Its place is that in a document nobody sent.
fn unfit(error: AdminError) -> Problem {
    match error {
        AdminError::Config(ConfigError::Value { name, value, expected, .. }) => {
            Problem::bad_request(format!("'{name}' is \"{value}\"; it has to be {expected}"))
        }
        error => error.into(),
    }
}
