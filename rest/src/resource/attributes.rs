//! What of a configuration can be changed while the cache is there, attribute by attribute.

use axum::response::Response;
use config::{CacheConfig, MUTABLE_ATTRIBUTES, MutableAttribute};
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Json},
    node::Node,
    problem::Problem,
    request::Parameters,
};

/// The names of all, or what they are with `full=true`.
pub(super) fn list(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let config = node.caches.config(name)?;
    if !parameters.is_true("full") {
        return Json(MUTABLE_ATTRIBUTES.iter().map(|attribute| attribute.name).collect()).into();
    }
    let full = MUTABLE_ATTRIBUTES.iter().map(|attribute| {
        let (value, kind) = (attribute.value(&config), attribute.kind);
        let value = match attribute.universe() {
            Some(universe) => json!({ "value": value, "type": kind, "universe": universe }),
            None => json!({ "value": value, "type": kind }),
        };
        (attribute.name.to_owned(), value)
    });
    Json(Value::Object(full.collect::<Map<_, _>>())).into()
}

/// The value of one, as text.
pub(super) fn show(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let config = node.caches.config(name)?;
    let text = match named(&config, parameters)?.value(&config) {
        Value::String(text) => text,
        // As Java shows a set.
        Value::Array(values) => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            format!("[{}]", texts.join(", "))
        }
        other => other.to_string(),
    };
    Json(text.into()).into()
}

/// Gives one another value.
pub(super) async fn set(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let attribute =
        parameters.get("attribute-name").ok_or_else(|| Problem::missing("attribute-name"))?;
    let values: Vec<&str> = parameters.all("attribute-value").collect();
    if values.is_empty() {
        return Err(Problem::missing("attribute-value"));
    }
    node.caches.set_attribute(name, attribute, &values.join(" ")).await?;
    Ok(Response::default())
}

fn named(config: &CacheConfig, parameters: &Parameters) -> Result<MutableAttribute, Problem> {
    let name =
        parameters.get("attribute-name").ok_or_else(|| Problem::missing("attribute-name"))?;
    config.mutable(name).map_err(Problem::bad_request)
}

/// As Java reads a number; -1 is no limit.
pub(super) fn or_none(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
