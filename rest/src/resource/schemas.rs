//! Protobuf schemas: `/v2/schemas`.

use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use media::MediaType;
use serde_json::json;

use crate::{
    answer::{Answer, Json, empty, text},
    node::{Node, Shared},
    problem::Problem,
    request::{Content, NamePath, Parameters},
    schemas::{Saved, Saving, SchemaError, Schemas},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/schemas", get(list))
        .route("/v2/schemas/", get(list))
        .route("/v2/schemas/{schema}", get(show).delete(remove).post(create).put(replace))
}

async fn list(State(node): State<Shared>, parameters: Parameters) -> Answer {
    match parameters.action()? {
        None => {}
        // Nothing here looks into schemas.
        Some("types") => return Err(Problem::not_implemented("a list of the types in schemas")),
        Some(_) => return Err(Problem::unknown_action()),
    }
    let schemas = of(&node)?.list().await?;
    let schemas = schemas.iter().map(|(name, error)| described(name, error.as_deref()));
    Json(schemas.collect()).into()
}

async fn show(State(node): State<Shared>, NamePath(name): NamePath) -> Answer {
    let schema = of(&node)?.get(&full(&name)).await?;
    Ok(schema.map_or_else(|| empty(StatusCode::NOT_FOUND), |schema| text(&MediaType::TEXT, schema)))
}

async fn create(node: State<Shared>, name: NamePath, content: Content) -> Answer {
    save(node, name, content, Saving::Create).await
}

async fn replace(node: State<Shared>, name: NamePath, content: Content) -> Answer {
    save(node, name, content, Saving::CreateOrUpdate).await
}

async fn save(
    State(node): State<Shared>,
    NamePath(name): NamePath,
    Content(content): Content,
    saving: Saving,
) -> Answer {
    let schema = str::from_utf8(&content)
        .map_err(|error| Problem::bad_request(format!("the schema is not UTF-8: {error}")))?;
    if schema.is_empty() {
        return Err(Problem::bad_request("Schema data not sent in the request"));
    }
    let name = full(&name);
    let saved = of(&node)?.save(&name, schema, saving).await?;
    match (saving, saved) {
        (Saving::Create, Saved::Unchanged) => Ok(empty(StatusCode::CONFLICT)),
        _ => Json(described(&name, None)).into(),
    }
}

async fn remove(State(node): State<Shared>, NamePath(name): NamePath) -> Answer {
    let removed = of(&node)?.remove(&full(&name)).await?;
    Ok::<Response, Problem>(empty(match removed {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }))
}

fn of(node: &Node) -> Result<Schemas<'_>, SchemaError> {
    Schemas::of(&node.driver, node.about.max_key)
}

/// The name with its ending, which may be left out.
fn full(name: &str) -> String {
    if name.ends_with(".proto") { name.to_owned() } else { format!("{name}.proto") }
}

fn described(name: &str, error: Option<&str>) -> serde_json::Value {
    let error = error
        .map(|cause| json!({ "message": format!("Schema {name} has errors"), "cause": cause }));
    json!({ "name": name, "error": error })
}

impl From<SchemaError> for Problem {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Cache(error) => error.into(),
            SchemaError::Name(_) | SchemaError::LongName { .. } => Self::bad_request(error),
            SchemaError::NoCache | SchemaError::NoText { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error)
            }
        }
    }
}
