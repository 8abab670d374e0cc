//! All caches: `/v2/caches`.

use axum::{
    Router,
    extract::State,
    routing::{MethodRouter, get},
};
use config::{Converted, Format};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use media::MediaType;

use super::{cache, cache_config, source_connection::with_notices};
use crate::{
    answer::{Answer, Json, empty, text},
    multipart,
    node::{Node, Shared},
    problem::Problem,
    request::{Content, Parameters, document_type, media_type},
};

pub(super) fn routes() -> Router<Shared> {
    let caches = || -> MethodRouter<Shared> { get(list).post(act) };
    Router::new().route("/v2/caches", caches()).route("/v2/caches/", caches())
}

async fn list(State(node): State<Shared>, parameters: Parameters) -> Answer {
    match parameters.action()? {
        None => {
            let names = node.caches.names();
            Json(names.iter().map(ToString::to_string).collect()).into()
        }
        Some("detailed") => {
            let caches = node.user_caches();
            Json(caches.iter().map(|cache| cache::summary(&node, cache)).collect()).into()
        }
        // Nobody has to be allowed anything.
        Some("role-accessible") => Ok(empty(StatusCode::NOT_FOUND)),
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn act(
    State(node): State<Shared>,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    match parameters.action()? {
        Some("convert") => {
            let to = document_type(&headers, &cache_config::OFFERED)?;
            convert(&node, &parameters, &headers, &content, &to)
        }
        Some("toJSON") => convert(&node, &parameters, &headers, &content, &MediaType::JSON),
        Some("compare") => compare(&node, &parameters, &headers, &content),
        _ => Err(Problem::unknown_action()),
    }
}

/// What is said of the configuration of a whole server that was converted.
const LEFT_OUT: &str = "only the caches are converted: settings of the server, such as its interfaces, socket bindings \
                        and endpoints, are left out";

/// Writes a configuration in another format.
fn convert(
    node: &Node,
    parameters: &Parameters,
    headers: &HeaderMap,
    content: &[u8],
    to: &MediaType,
) -> Answer {
    if content.is_empty() {
        return Err(Problem::bad_request("ISPN012031: Method requires content"));
    }
    let from = cache_config::format(headers, content)?;
    let format = Format::of(to).unwrap_or(Format::Json);
    let Converted { text: document, is_part } =
        node.caches.convert(content, from, format, parameters.is_true("pretty"))?;
    let left_out = is_part.then(|| LEFT_OUT.to_owned());
    Ok(with_notices(text(to, document), left_out.as_slice()))
}

/// Returns whether two configurations, each a part of the content, say the same.
fn compare(node: &Node, parameters: &Parameters, headers: &HeaderMap, content: &[u8]) -> Answer {
    let given = media_type(headers, CONTENT_TYPE)?.unwrap_or(MediaType::ANY);
    if given.essence() != "multipart/form-data" {
        let text =
            format!("ISPN012032: Wrong media type '{given}'. Expecting 'multipart/form-data'");
        return Err(Problem::bad_request(text));
    }
    let parts = multipart::parts(&given, content);
    let Some([one, other]) = parts.as_deref() else {
        let text = "ISPN012033: Wrong content: expecting multipart/form-data with two parts";
        return Err(Problem::bad_request(text));
    };
    let parse = |part: &[u8]| {
        let config = node.caches.inspect(part, cache_config::told_by(part))?.config;
        let ignores_mutable = parameters.is_true("ignoreMutable");
        Ok::<_, Problem>(if ignores_mutable { config.without_mutable() } else { config })
    };
    let differing = parse(one)?.differences(&parse(other)?);
    if differing.is_empty() {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let text = format!("the configurations differ in {}", differing.join(", "));
    Err(Problem::new(StatusCode::CONFLICT, text))
}
