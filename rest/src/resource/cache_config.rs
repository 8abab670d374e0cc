//! The configuration of a cache as a document: in, out, and in which format.

use axum::response::Response;
use config::{CacheConfig, CacheName, Format, Secrets, Writing};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use media::MediaType;

use crate::{
    answer::{Answer, text},
    node::Node,
    problem::Problem,
    request::{AdminFlags, Parameters, document_type, media_type},
};

/// Formats that a configuration is given out in.
pub(super) const OFFERED: [MediaType; 3] = [MediaType::JSON, MediaType::XML, MediaType::YAML];

/// The configuration of a cache, as the client wants it.
pub(super) fn show(
    node: &Node,
    name: &str,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Answer {
    let wanted = document_type(headers, &OFFERED)?;
    let config = node.caches.config(name)?;
    let name: CacheName = name.parse()?;
    let format = Format::of(&wanted).unwrap_or(Format::Json);
    let writing = Writing { secrets: Secrets::Masked, pretty: parameters.is_true("pretty") };
    Ok(text(&wanted, config.write(Some(&name), format, writing)))
}

/// Creates a cache, or changes it if it may be there already.
pub(super) async fn put(
    node: &Node,
    name: &str,
    parameters: &Parameters,
    headers: &HeaderMap,
    content: &[u8],
    flags: AdminFlags,
) -> Answer {
    let name: CacheName = name.parse()?;
    let config = match (parameters.get("template"), content.is_empty()) {
        (Some(_), _) | (None, true) if flags.update => {
            return Err(Problem::bad_request("ISPN012034: Wrong method 'PUT'"));
        }
        (Some(template), _) => node.caches.template(template, &name)?,
        (None, true) => node.caches.default_config(),
        (None, false) => parse(node, &name, headers, content)?,
    };
    if flags.update {
        node.caches.create_or_update(&name, config, flags.volatile).await?;
    } else {
        node.caches.create(&name, config, flags.volatile).await?;
    }
    Ok(Response::default())
}

fn parse(
    node: &Node,
    name: &CacheName,
    headers: &HeaderMap,
    content: &[u8],
) -> Result<CacheConfig, Problem> {
    let format = format(headers, content)?;
    let parsed = node.caches.parse(content, format)?;
    cluster::log_ignored(name.as_str(), &parsed.ignored);
    Ok(parsed.value)
}

/// The format of a configuration; told by its look where the client does not say.
///
/// # Errors
///
/// If the client says that it is something else.
pub(super) fn format(headers: &HeaderMap, content: &[u8]) -> Result<Format, Problem> {
    let given = media_type(headers, CONTENT_TYPE)?.unwrap_or(MediaType::ANY);
    if [MediaType::TEXT, MediaType::ANY, MediaType::FORM].contains(&given) {
        return Ok(told_by(content));
    }
    Format::of(&given).ok_or_else(|| {
        let text = format!("a configuration is JSON, XML or YAML, and not {given}");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    })
}

/// The format of a configuration by its look.
pub(super) fn told_by(content: &[u8]) -> Format {
    match Format::told_by(&String::from_utf8_lossy(content)) {
        // Caches are not written in TOML, and a list is JSON, if anything.
        Format::Toml => Format::Json,
        format => format,
    }
}
