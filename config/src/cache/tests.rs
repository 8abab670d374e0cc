//! Caches in documents of every spelling, and what is refused.

mod attributes;
mod problems;
mod templates;
mod values;
mod wrappings;

use super::*;
use crate::{ConfigError, Format, Options, Parsed, parse_cache};

fn parsed_as(text: &str, format: Format) -> Parsed<CacheConfig> {
    let parsed = parse_cache(text.as_bytes(), format, &Options::default());
    parsed.unwrap_or_else(|error| panic!("{error}: {text}")).map(|cache| cache.config)
}

fn parsed(xml: &str) -> Parsed<CacheConfig> {
    parsed_as(xml, Format::Xml)
}

fn config(xml: &str) -> CacheConfig {
    parsed(xml).value
}

fn whats(xml: &str) -> Vec<String> {
    parsed(xml).ignored.into_iter().map(|ignored| ignored.what).collect()
}

fn error(xml: &str) -> ConfigError {
    parse_cache(xml.as_bytes(), Format::Xml, &Options::default()).unwrap_err()
}

/// Returns a distributed cache with this content.
fn with(content: &str) -> String {
    format!("<distributed-cache>{content}</distributed-cache>")
}
