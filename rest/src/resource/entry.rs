//! One entry: `/v2/caches/{cache}/{key}`.

use std::borrow::Cow;

use axum::{Router, extract::State, response::Response, routing::get};
use bytes::Bytes;
use config::CacheConfig;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED},
};
use media::{Conversion, ConversionError, KeyForm, MediaType, negotiate};
use serde_json::json;
use store::{Change, Command, Condition, EntryMetadata, Etag, Lifetime, Outcome, Timestamp, Value};

use crate::{
    answer::{Answer, Json, empty, set},
    http_date,
    node::{Node, Shared},
    problem::Problem,
    request::{
        Conditions, Content, EntryFlags, EntryPath, Parameters, Verdict, WriteCondition, accepted,
        expiration, media_type, text,
    },
    room::Room,
    walk::owned,
};

const KEY_CONTENT_TYPE: HeaderName = HeaderName::from_static("key-content-type");

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/caches/{cache}/{key}", get(read).put(write).post(create).delete(remove))
}

async fn read(
    State(node): State<Shared>,
    path: EntryPath,
    parameters: Parameters,
    room: Room,
    headers: HeaderMap,
) -> Answer {
    match parameters.action()? {
        None => show(&node, &path, &parameters, &room, &headers).await,
        Some("distribution") => owners(&node, &path, &headers).await,
        Some(_) => Err(Problem::unknown_action()),
    }
}

async fn show(
    node: &Node,
    path: &EntryPath,
    parameters: &Parameters,
    room: &Room,
    headers: &HeaderMap,
) -> Answer {
    let cache = node.cache(&path.cache)?;
    let config = cache.config();
    let flags = EntryFlags::of(headers)?;
    let wanted = Wanted::of(headers, &config)?;
    let conditions = Conditions::of(headers)?;
    let key = stored_key(path, headers, &config)?;
    let command = Command { source: flags.source(), ..Command::read(&key) };
    let mut found = None;
    node.driver.drive(&cache, command, &mut |outcome: Outcome<'_>| found = taken(outcome)).await?;
    let Some((value, metadata)) = found else { return Ok(empty(StatusCode::NOT_FOUND)) };
    let (tag, now) = (Etag::of(&value), node.driver.now());
    let mut response = match conditions.judge(tag, &metadata, now) {
        Verdict::Show => {
            room.take(wanted.most(value.len())).await?;
            wanted.response(value)?
        }
        Verdict::NotModified => empty(StatusCode::NOT_MODIFIED),
        Verdict::Failed => return Ok(empty(StatusCode::PRECONDITION_FAILED)),
        Verdict::Stale => return Ok(empty(StatusCode::NOT_FOUND)),
    };
    set(&mut response, ETAG, &tag.0.to_string());
    describe(&mut response, &metadata, now);
    if parameters.has("extended") {
        describe_owner(&mut response, node);
    }
    Ok(response)
}

/// What was read, taken along.
fn taken(outcome: Outcome<'_>) -> Option<(Bytes, EntryMetadata)> {
    match outcome {
        Outcome::Found(entry) => Some((owned(entry.value()), entry.metadata())),
        Outcome::Missing | Outcome::Changed { .. } | Outcome::Refused { .. } => None,
    }
}

/// The form that a reader wants.
struct Wanted {
    media_type: MediaType,
    conversion: Conversion,
}

impl Wanted {
    fn of(headers: &HeaderMap, config: &CacheConfig) -> Result<Self, Problem> {
        let storage = config.encoding.value.as_ref();
        let media_type = negotiate(&accepted(headers), storage).map_err(Problem::not_acceptable)?;
        let conversion =
            Conversion::of_stored(storage, Some(&media_type)).map_err(Problem::not_acceptable)?;
        Ok(Self { media_type, conversion })
    }

    /// Bytes that an answer with a stored value of `bytes` takes: what it is converted to may be longer.
    fn most(&self, bytes: usize) -> usize {
        if self.conversion.is_identity() { bytes } else { bytes.saturating_mul(2) }
    }

    fn response(&self, value: Bytes) -> Result<Response, Problem> {
        let body = if self.conversion.is_identity() {
            value
        } else {
            match self.conversion.apply(&value) {
                Ok(Cow::Owned(converted)) => converted.into(),
                Ok(Cow::Borrowed(part)) => value.slice_ref(part),
                Err(error @ ConversionError::NeedsSchema(_)) => {
                    let text = format!("{error}; ask for {}", MediaType::PROTOSTREAM);
                    return Err(Problem::not_acceptable(text));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut response = Response::new(body.into());
        set(&mut response, CONTENT_TYPE, &self.media_type.to_string());
        Ok(response)
    }
}

/// What is known of the entry beside its value, as far as it can end.
fn describe(response: &mut Response, metadata: &EntryMetadata, now: Timestamp) {
    let mut number = |name: &'static str, value: Option<u64>| {
        if let Some(value) = value {
            set(response, HeaderName::from_static(name), &value.to_string());
        }
    };
    let seconds = |lifetime: Option<Lifetime>| lifetime.map(Lifetime::whole_secs);
    number("timetoliveseconds", seconds(metadata.expiration.lifespan));
    number("maxidletimeseconds", seconds(metadata.expiration.max_idle));
    number("created", metadata.created.map(Timestamp::millis));
    number("lastused", metadata.last_used.map(Timestamp::millis));
    if let Some(date) = metadata.created.and_then(http_date::write) {
        set(response, LAST_MODIFIED, &date);
    }
    let Some(end) = metadata.ends() else { return };
    let left = end.millis().saturating_sub(now.millis()) / 1000;
    set(response, CACHE_CONTROL, &format!("max-age={left}"));
    if let Some(date) = http_date::write(end) {
        set(response, EXPIRES, &date);
    }
}

fn describe_owner(response: &mut Response, node: &Node) {
    let about = &node.about;
    for (name, value) in [
        ("cluster-primary-owner", about.node_name.clone()),
        ("cluster-backup-owners", String::new()),
        ("cluster-node-name", about.node_name.clone()),
        ("cluster-server-address", format!("[{}]", about.address)),
    ] {
        set(response, HeaderName::from_static(name), &value);
    }
}

/// Which members hold the entry.
async fn owners(node: &Node, path: &EntryPath, headers: &HeaderMap) -> Answer {
    let cache = node.cache(&path.cache)?;
    let key = stored_key(path, headers, &cache.config())?;
    let mut found = false;
    let reply = &mut |outcome: Outcome<'_>| found = matches!(outcome, Outcome::Found(_));
    node.driver.drive(&cache, Command::read(&key), reply).await?;
    Json(json!({
        "contains_key": found,
        "owners": [{
            "node_name": node.about.node_name,
            "primary": found,
            "node_addresses": [node.about.address.to_string()],
        }],
    }))
    .into()
}

async fn write(
    State(node): State<Shared>,
    path: EntryPath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    parameters.no_action()?;
    let WriteCondition::Decided(condition) = WriteCondition::of_write(&headers)? else {
        node.cache(&path.cache)?;
        return Ok(empty(StatusCode::PRECONDITION_FAILED));
    };
    match store(&node, &path, &headers, &content, condition).await? {
        Stored::As(tag) => Ok(stored(tag)),
        Stored::Refused => Ok(empty(match condition {
            Condition::NotEtag(_) => StatusCode::NOT_MODIFIED,
            _ => StatusCode::PRECONDITION_FAILED,
        })),
    }
}

async fn create(
    State(node): State<Shared>,
    path: EntryPath,
    parameters: Parameters,
    headers: HeaderMap,
    Content(content): Content,
) -> Answer {
    parameters.no_action()?;
    match store(&node, &path, &headers, &content, Condition::Absent).await? {
        Stored::As(tag) => Ok(stored(tag)),
        Stored::Refused => Err(Problem::new(StatusCode::CONFLICT, "An entry already exists")),
    }
}

enum Stored {
    As(Etag),
    Refused,
}

fn stored(tag: Etag) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    set(&mut response, ETAG, &tag.0.to_string());
    response
}

async fn store(
    node: &Node,
    path: &EntryPath,
    headers: &HeaderMap,
    content: &[u8],
    condition: Condition,
) -> Result<Stored, Problem> {
    let cache = node.cache(&path.cache)?;
    let config = cache.config();
    let flags = EntryFlags::of(headers)?;
    let given = media_type(headers, CONTENT_TYPE)?;
    let conversion = Conversion::to_stored(given.as_ref(), config.encoding.value.as_ref())
        .map_err(|error| Problem::unsupported(&error))?;
    let value = conversion.apply(content)?;
    let expiration = expiration(headers, &config.expiration)?;
    let key = stored_key(path, headers, &config)?;
    let change = Change::Write { value: Value::Inline(&value), expiration };
    let mut command = Command::new(&key, condition, change);
    if condition == Condition::Always {
        command.source = flags.source();
    }
    let mut changed = false;
    let reply = &mut |outcome: Outcome<'_>| changed = matches!(outcome, Outcome::Changed { .. });
    node.driver.drive(&cache, command, reply).await?;
    Ok(if changed { Stored::As(Etag::of(&value)) } else { Stored::Refused })
}

async fn remove(
    State(node): State<Shared>,
    path: EntryPath,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    parameters.no_action()?;
    let cache = node.cache(&path.cache)?;
    let flags = EntryFlags::of(&headers)?;
    let key = stored_key(&path, &headers, &cache.config())?;
    let command = match WriteCondition::of_removal(&headers)? {
        WriteCondition::Decided(Condition::Always) => {
            Command { source: flags.source(), ..Command::remove(&key) }
        }
        WriteCondition::Decided(condition) => Command::new(&key, condition, Change::Remove),
        WriteCondition::Never => Command::read(&key),
    };
    let mut status = StatusCode::NOT_FOUND;
    let reply = &mut |outcome: Outcome<'_>| {
        status = match outcome {
            Outcome::Changed { .. } => StatusCode::NO_CONTENT,
            Outcome::Missing => StatusCode::NOT_FOUND,
            Outcome::Found(_) | Outcome::Refused { .. } => StatusCode::PRECONDITION_FAILED,
        };
    };
    node.driver.drive(&cache, command, reply).await?;
    Ok(empty(status))
}

/// The key as the cache stores it.
fn stored_key(
    path: &EntryPath,
    headers: &HeaderMap,
    config: &CacheConfig,
) -> Result<Vec<u8>, Problem> {
    let form = KeyForm::parse(text(headers, KEY_CONTENT_TYPE)?)?;
    let storage = config.encoding.key.as_ref();
    let conversion = Conversion::to_stored(Some(form.media_type()), storage)?;
    let bytes = form.bytes(&path.key)?;
    Ok(conversion.apply(&bytes)?.into_owned())
}
