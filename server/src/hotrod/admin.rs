//! EXEC: administration by tasks, as Java clients do it.

use cluster::{AdminError, NameError, RemoveRule, log_ignored};
use config::{AttributeError, CacheConfig, CacheName, CacheNameError, Format};
use hotrod::{Status, op::Exec};
use rest::{Saved, Saving, SchemaError, Schemas};

use super::errors::{self, CONFIGURATION, Failure};
use crate::node::Node;

/// Runs a task.
pub(super) async fn exec(node: &Node, request: &Exec<'_>) -> Result<Vec<u8>, Failure> {
    let task = request.task;
    match task {
        "@@cache@create" | "@@cache@getorcreate" => create(node, request).await,
        "@@cache@remove" => {
            let name = name(request)?;
            match node.caches.remove(&name, RemoveRule::Careful).await {
                // Also when there was none.
                Ok(_) | Err(AdminError::NoSuchCache(_)) => Ok(Vec::new()),
                Err(error) => Err(admin_error(&error)),
            }
        }
        "@@cache@names" => {
            let names: Vec<String> = node.caches.names().iter().map(ToString::to_string).collect();
            Ok(json(&names))
        }
        "@@cache@assignAlias" => {
            let (cache, alias) = (text(request, "name")?, text(request, "alias")?);
            let alias: CacheName = alias.parse().map_err(wrong_name)?;
            let assigned = node.caches.assign_alias(cache, &alias).await;
            assigned.map(|()| Vec::new()).map_err(|error| admin_error(&error))
        }
        "@@cache@reindex" | "@@cache@updateindexschema" => index(node, text(request, "name")?),
        "@@cache@updateConfigurationAttribute" => {
            let (cache, attribute) = (text(request, "name")?, text(request, "attribute")?);
            let value = text(request, "value")?;
            let set = node.caches.set_attribute(cache, attribute, value).await;
            set.map(|()| Vec::new()).map_err(|error| admin_error(&error))
        }
        "@@template@create" => create_template(node, request).await,
        "@@template@remove" => {
            let removed = node.caches.remove_template(&name(request)?).await;
            removed.map(|()| Vec::new()).map_err(|error| admin_error(&error))
        }
        "@@cache@templates" => Ok(json(&node.caches.template_names())),
        "@@schemas@createOrUpdate" => save_schema(node, request).await,
        "@@schemas@delete" => {
            let schemas = schemas(node)?;
            let removed = schemas.remove(text(request, "name")?).await.map_err(schema_error)?;
            Ok(if removed { b"1".to_vec() } else { b"0".to_vec() })
        }
        _ => {
            let text =
                format!("java.lang.IllegalArgumentException: ISPN027002: Unknown task '{task}'");
            Err((Status::ServerError, text))
        }
    }
}

/// Brings the index of a cache up to date. There is none here, and queries are refused: what is asked for
/// is done where the cache is configured to have one, so that applications that ask at their start do start.
fn index(node: &Node, name: &str) -> Result<Vec<u8>, Failure> {
    let config = node.caches.config(name).map_err(|error| admin_error(&error))?;
    if config.is_indexed() {
        return Ok(Vec::new());
    }
    Err(errors::failed(format!("Indexing was not enabled on cache {name}")))
}

/// Stores a schema. The answer is one letter: created, updated, or neither.
async fn save_schema(node: &Node, request: &Exec<'_>) -> Result<Vec<u8>, Failure> {
    let (name, content) = (text(request, "name")?, text(request, "content")?);
    let saving = match text(request, "op")? {
        "c" => Saving::Create,
        "u" => Saving::Update,
        "s" => Saving::CreateOrUpdate,
        other => return Err(errors::failed(format!("'op' is '{other}'; it has to be c, u or s"))),
    };
    let schemas = schemas(node)?;
    let saved = schemas.save(name, content, saving).await.map_err(schema_error)?;
    Ok(match saved {
        Saved::Created => b"c".to_vec(),
        Saved::Updated => b"u".to_vec(),
        Saved::Unchanged => b"n".to_vec(),
    })
}

fn schemas(node: &Node) -> Result<Schemas<'_>, Failure> {
    Schemas::of(&node.driver, node.limits.wire.key).map_err(schema_error)
}

fn schema_error(error: SchemaError) -> Failure {
    match error {
        SchemaError::Cache(error) => errors::cache_error(&error),
        other @ (SchemaError::NoCache
        | SchemaError::Name(_)
        | SchemaError::LongName { .. }
        | SchemaError::NoText { .. }) => errors::failed(other),
    }
}

/// Makes a configuration that caches can be made from.
async fn create_template(node: &Node, request: &Exec<'_>) -> Result<Vec<u8>, Failure> {
    let name = name(request)?;
    let configuration = parse(node, &name, text(request, "configuration")?);
    let configuration = configuration.map_err(|error| admin_error(&error))?;
    let created =
        node.caches.create_template(&name, configuration, has_flag(request, "VOLATILE")).await;
    created.map(|()| Vec::new()).map_err(|error| admin_error(&error))
}

/// Returns whether a request has a flag: VOLATILE for what goes with the process, UPDATE for what may be there.
fn has_flag(request: &Exec<'_>, name: &str) -> bool {
    let flags = request.parameter("flags").map(String::from_utf8_lossy).unwrap_or_default();
    flags.split(',').any(|flag| flag.trim().eq_ignore_ascii_case(name))
}

async fn create(node: &Node, request: &Exec<'_>) -> Result<Vec<u8>, Failure> {
    let name = name(request)?;
    let (volatile, update) = (has_flag(request, "VOLATILE"), has_flag(request, "UPDATE"));
    let configuration = match (optional(request, "configuration")?, optional(request, "template")?)
    {
        (Some(text), _) => parse(node, &name, text),
        (None, Some(template)) => node.caches.template(template, &name),
        (None, None) => Ok(node.caches.default_config()),
    };
    let configuration = configuration.map_err(|error| admin_error(&error))?;
    let may_be_there = request.task == "@@cache@getorcreate";
    let created = if may_be_there && update {
        node.caches.create_or_update(&name, configuration, volatile).await
    } else {
        match node.caches.create(&name, configuration, volatile).await {
            Err(AdminError::CacheExists(_)) if may_be_there => Ok(()),
            created => created,
        }
    };
    created.map(|()| Vec::new()).map_err(|error| admin_error(&error))
}

/// Reads a configuration whose format shows from its content.
fn parse(node: &Node, name: &CacheName, text: &str) -> Result<CacheConfig, AdminError> {
    let parsed = node.caches.parse(text.as_bytes(), Format::told_by(text))?;
    log_ignored(name.as_str(), &parsed.ignored);
    Ok(parsed.value)
}

fn json(names: &[impl AsRef<str>]) -> Vec<u8> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    serde_json::to_vec(&names).unwrap_or_default()
}

fn name(request: &Exec<'_>) -> Result<CacheName, Failure> {
    text(request, "name")?.parse().map_err(wrong_name)
}

fn wrong_name(error: CacheNameError) -> Failure {
    (Status::ServerError, format!("{CONFIGURATION}: {error}"))
}

fn text<'a>(request: &Exec<'a>, name: &str) -> Result<&'a str, Failure> {
    optional(request, name)?.ok_or_else(|| {
        errors::failed(format!(
            "ISPN005030: Administration task '{}' invoked without required parameter '{name}'",
            request.task
        ))
    })
}

fn optional<'a>(request: &Exec<'a>, name: &str) -> Result<Option<&'a str>, Failure> {
    let value = request.parameter(name);
    value
        .map(|value| str::from_utf8(value).map_err(|_not_utf8| not_text(request.task, name)))
        .transpose()
}

fn not_text(task: &str, name: &str) -> Failure {
    errors::failed(format!("parameter '{name}' of '{task}' is not UTF-8"))
}

fn admin_error(error: &AdminError) -> Failure {
    match error {
        AdminError::NotStored(_) => errors::failed(error),
        AdminError::Name(NameError::TemplateExists(_)) => {
            errors::failed(format!("{CONFIGURATION}: {error}"))
        }
        AdminError::Attribute(AttributeError::Immutable(name)) => {
            let name = name.rsplit_once('.').map_or(name.as_str(), |(_, name)| name);
            errors::failed(format!("ISPN000962: Cannot modify protected attribute '{name}'"))
        }
        AdminError::Attribute(_) => errors::failed(error),
        // Not in the words of REST.
        AdminError::NoSuchCache(name) => {
            let text = "has been requested, but no matching cache configuration exists";
            (Status::ServerError, format!("{CONFIGURATION}: ISPN000436: Cache '{name}' {text}"))
        }
        _ => (Status::ServerError, format!("{CONFIGURATION}: {error}")),
    }
}
