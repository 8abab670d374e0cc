//! The keys or entries of a cache, given out one after the other.

use std::sync::Arc;

use axum::body::Body;
use config::CacheConfig;
use futures_util::{TryStreamExt, stream};
use http::HeaderName;
use media::MediaType;
use store::{Cache, CacheError};

use crate::{
    answer::{Answer, set, text},
    node::Node,
    patience::{Soon, broken_off, soon},
    problem::Problem,
    request::Parameters,
    walk::{Form, Row, Rows},
};

const KEY_CONTENT_TYPE: HeaderName = HeaderName::from_static("key-content-type");
const VALUE_CONTENT_TYPE: HeaderName = HeaderName::from_static("value-content-type");

/// All keys.
pub(super) async fn keys(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let limit = limit(parameters)?;
    let cache = node.cache(name)?;
    let row = Row::key(&cache.config().encoding);
    give_out(node, &cache, row, limit).await
}

/// All entries.
pub(super) async fn entries(node: &Node, name: &str, parameters: &Parameters) -> Answer {
    let limit = limit(parameters)?;
    let cache = node.cache(name)?;
    let (key, value) = forms(&cache.config(), parameters.is_true("content-negotiation"));
    let (key_type, value_type) = (key.media_type.to_string(), value.media_type.to_string());
    let with_metadata = parameters.is_true("metadata");
    let mut response =
        give_out(node, &cache, Row::Entry { key, value, with_metadata }, limit).await?;
    set(&mut response, KEY_CONTENT_TYPE, &key_type);
    set(&mut response, VALUE_CONTENT_TYPE, &value_type);
    Ok(response)
}

fn forms(config: &CacheConfig, negotiated: bool) -> (Form, Form) {
    let encoding = &config.encoding;
    (Form::of(encoding.key.as_ref(), negotiated), Form::of(encoding.value.as_ref(), negotiated))
}

/// Most rows that are wanted. `batch` says how a real server goes about it, and is only looked at.
fn limit(parameters: &Parameters) -> Result<Option<u64>, Problem> {
    parameters.positive("batch")?;
    let limit = parameters.number("limit")?;
    Ok(limit.and_then(|limit| u64::try_from(limit).ok()))
}

/// Everything that the source has comes first, so that it is given out too.
async fn give_out(node: &Node, cache: &Arc<Cache>, row: Row, limit: Option<u64>) -> Answer {
    let rows = Rows::new(node.driver.clone(), Arc::clone(cache), row, limit);
    let (driver, whole) = (node.driver.clone(), Arc::clone(cache));
    let bring = async move {
        let segments: Vec<_> = whole.segment_ids().collect();
        driver.make_whole(&whole, &segments).await
    };
    let body = match soon(bring).await {
        Soon::Done(brought) => {
            let settled = brought?;
            Body::from_stream(rows.settled_at(settled).chunks())
        }
        Soon::Later(brought) => {
            let first = stream::once(async move {
                let broken = |error: CacheError| broken_off(&error.to_string());
                brought.await.map(|settled| rows.settled_at(settled).chunks()).map_err(broken)
            });
            Body::from_stream(first.try_flatten())
        }
    };
    Ok(text(&MediaType::JSON, body))
}
