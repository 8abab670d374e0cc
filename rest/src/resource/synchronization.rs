//! Copying every entry from the source: `…/{cache}?action=sync-data`.

use axum::response::{IntoResponse, Response};
use config::CacheName;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header::LOCATION};
use media::MediaType;
use migrate::{MigrationError, Migrations, SyncRequest, Synchronizing};
use serde_json::json;

use super::{
    rates,
    rolling_upgrade::no_content,
    source_connection::{name_of, with_notices},
};
use crate::{
    answer::{Answer, Json},
    node::Node,
    patience,
    problem::Problem,
    request::{Parameters, wants_json_only},
};

/// All but the first two are Godwit's.
const PARAMETERS: [&str; 5] =
    ["read-batch", "threads", "async", "entries-per-second", "bytes-per-second"];

/// Starts a synchronization, or joins the running one, and answers at its end; with `async=true` at once.
pub(super) async fn start(
    node: &Node,
    name: &str,
    uri: &Uri,
    parameters: &Parameters,
    headers: &HeaderMap,
    content: &[u8],
) -> Answer {
    let parameters = parameters.only("sync-data", &PARAMETERS)?;
    no_content("sync-data", content)?;
    let read_batch = parameters.positive("read-batch")?;
    let threads = parameters.positive("threads")?;
    let request = SyncRequest { read_batch, threads, rates: rates::given(&parameters)? };
    let name = name_of(node, name)?;
    if parameters.decides("async")? {
        let begun = begin(&node.migrations, &name, request).await.map_err(not_synchronized)?;
        if begun.job().is_some() {
            let notices: Vec<String> = begun.notice.into_iter().collect();
            return Ok(with_notices(accepted(node, &name, uri)?, &notices));
        }
        // Nothing runs: the answer of the job that has finished is there already.
    }
    let form = if wants_json_only(headers) {
        Form::Json { pretty: parameters.pretty() }
    } else {
        Form::Text
    };
    let media_type = match form {
        Form::Text => None,
        Form::Json { .. } => Some(&MediaType::JSON),
    };
    let migrations = node.migrations.clone();
    let work = async move {
        let begun = begin(&migrations, &name, request).await.map_err(not_synchronized)?;
        let written = begun.written().await.map_err(not_synchronized)?;
        Ok(form.write(written, &migrations, &name))
    };
    patience::answer(work, media_type).await
}

async fn begin(
    migrations: &Migrations,
    name: &CacheName,
    request: SyncRequest,
) -> Result<Synchronizing, MigrationError> {
    let (migrations, name) = (migrations.clone(), name.clone());
    patience::to_its_end(async move { migrations.synchronize(&name, request).await }).await
}

/// Whoever waits for the end is told of any failure in the same way.
fn not_synchronized(error: MigrationError) -> Problem {
    match error {
        MigrationError::NothingToSynchronize(_) | MigrationError::NotNow(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error)
        }
        error => error.into(),
    }
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Json { pretty: bool },
}

impl Form {
    fn write(self, written: u64, migrations: &Migrations, name: &CacheName) -> String {
        let Self::Json { pretty } = self else {
            return format!("ISPN012024: Synchronized {written} entries");
        };
        let status = migrations.status(name).map(|status| Json::of(&status).0).unwrap_or_default();
        let document = json!({ "synchronized": written, "status": status });
        if pretty { format!("{document:#}") } else { document.to_string() }
    }
}

/// It goes on; where it stands is told elsewhere. `uri` is that of a request to the cache, or of one
/// below it.
pub(super) fn accepted(node: &Node, name: &CacheName, uri: &Uri) -> Answer {
    let status = node.migrations.status(name)?;
    let mut response: Response = (StatusCode::ACCEPTED, Json::of(&status)).into_response();
    // The first parts of the path, as the client wrote them: up to the name of the cache.
    let parts: Vec<&str> = uri.path().split('/').collect();
    let caches = parts.iter().position(|part| *part == "caches").unwrap_or_default();
    let to_cache = parts.get(..=caches + 1).unwrap_or(&parts).join("/");
    if let Ok(location) = HeaderValue::try_from(format!("{to_cache}/rolling-upgrade")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}
