//! Whole documents: from text to configuration, back, and from one format to another.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    CacheConfig, CacheName, ConfigError, Format, Options, Parsed, Reading, Secrets, ServerFile,
    cache,
    document::{self, Document, ReadCache, Templates},
    notes::Notes,
    server, tree,
    write::{Child, Node, Scalar, to_xml, to_yaml},
};

/// A cache and its name, if its document gives one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCache {
    /// Name.
    pub name: Option<CacheName>,
    /// Configuration.
    pub config: CacheConfig,
}

/// Reads a document that configures one cache, or one configuration for caches.
///
/// # Errors
///
/// Returns all problems of the document, each with its line and column or its path.
pub fn parse_cache(
    document: &[u8],
    format: Format,
    options: &Options<'_>,
) -> Result<Parsed<NamedCache>, ConfigError> {
    let mut notes = Notes::new(options);
    let root = tree::read(document, format, options)?;
    let document = document::read(&root, Templates::Asked, options, &mut notes);
    let cache = only_cache(document, &mut notes);
    notes.with(cache)
}

/// The one cache, or one configuration for caches, of a document.
fn only_cache(document: Document<'_>, notes: &mut Notes) -> Option<NamedCache> {
    let found = document.found;
    let mut caches = document.caches.into_iter().chain(document.templates);
    match (caches.next(), caches.next()) {
        (Some(ReadCache { name, config, .. }), None) => Some(NamedCache { name, config }),
        // What is wrong with an element is more exact than that it is no cache.
        _ if notes.has_problems() => None,
        _ => {
            notes.problem(ConfigError::NotOneCache { found });
            None
        }
    }
}

/// Reads the settings of a server: our own TOML, an `infinispan.xml` in XML, JSON or YAML, or a
/// `standalone.xml`.
///
/// # Errors
///
/// Returns all problems of the document, each with its line and column or its path.
pub fn parse_server(
    document: &[u8],
    options: &Options<'_>,
) -> Result<Parsed<ServerFile>, ConfigError> {
    let format = Format::told_by(&String::from_utf8_lossy(document));
    parse_server_as(document, format, options)
}

/// As [`parse_server`], for a document whose format is known.
///
/// # Errors
///
/// Returns all problems of the document, each with its line and column or its path.
pub fn parse_server_as(
    document: &[u8],
    format: Format,
    options: &Options<'_>,
) -> Result<Parsed<ServerFile>, ConfigError> {
    let Reading { value, ignored, problems } = read_server(document, format, options);
    match value {
        Some(value) if problems.is_empty() => Ok(Parsed { value, ignored }),
        _ => Err(ConfigError::all(problems)),
    }
}

/// Reads the settings of a server as far as they can be read, and finds everything that is wrong.
#[must_use]
pub fn read_server(document: &[u8], format: Format, options: &Options<'_>) -> Reading<ServerFile> {
    let mut notes = Notes::new(options);
    let root = tree::read(document, format, options);
    let Some(root) = notes.check(root) else { return notes.reading(None) };
    if format == Format::Toml {
        let file = server::read(&root, options, &mut notes);
        return notes.reading(Some(file));
    }
    let document = document::read(&root, Templates::MayBeUnused, options, &mut notes);
    let file = ServerFile {
        caches: document::named(document.caches, &mut notes),
        templates: document::named(document.templates, &mut notes),
        ..document.settings
    };
    notes.reading(Some(file))
}

/// How a configuration is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// Whether passwords are in it.
    pub secrets: Secrets,
    /// Whether it is laid out for people; YAML always is.
    pub pretty: bool,
}

impl CacheConfig {
    /// `{"distributed-cache":{…}}`, under the name of the cache if one is given.
    #[must_use]
    pub fn to_json(&self, name: Option<&CacheName>, secrets: Secrets) -> Value {
        let node = cache::node(self, secrets);
        let config = object(&node.name, node.to_json());
        match name {
            Some(name) => object(name.as_str(), config),
            None => config,
        }
    }

    /// The configuration as a document: in XML the name is an attribute, in JSON and YAML it stands
    /// around the cache. TOML is written as JSON is.
    #[must_use]
    pub fn write(&self, name: Option<&CacheName>, format: Format, writing: Writing) -> String {
        let node = cache::node(self, writing.secrets);
        match format {
            Format::Xml => to_xml(&node, name.map(CacheName::as_str), writing.pretty),
            Format::Yaml => to_yaml(&node, name.map(CacheName::as_str)),
            Format::Json | Format::Toml => {
                let json = self.to_json(name, writing.secrets);
                if writing.pretty { format!("{json:#}") } else { json.to_string() }
            }
        }
    }
}

/// A document in another format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The document: a cache, or a container with all caches and configurations for caches.
    pub text: String,
    /// Whether the document has settings of a server, which are left out.
    pub is_part: bool,
}

/// Writes a cache, or all caches of a container, in another format. Passwords stay in it: whoever asks has just sent
/// them.
///
/// # Errors
///
/// Returns all problems of the document, each with its line and column or its path.
pub fn convert(
    document: &[u8],
    from: Format,
    to: Format,
    pretty: bool,
    options: &Options<'_>,
) -> Result<Parsed<Converted>, ConfigError> {
    let options = Options { only_shown: true, ..*options };
    let writing = Writing { secrets: Secrets::Kept, pretty };
    let root = tree::read(document, from, &options)?;
    let mut notes = Notes::new(&options);
    let read = document::read(&root, Templates::Asked, &options, &mut notes);
    let container_name = read.settings.container_name.clone();
    let is_part = read.settings
        != ServerFile { container_name: container_name.clone(), ..ServerFile::default() };
    if read.found < 2 {
        let cache = only_cache(read, &mut notes);
        let text =
            |NamedCache { name, config }: NamedCache| config.write(name.as_ref(), to, writing);
        return Ok(notes.with(cache)?.map(|cache| Converted { text: text(cache), is_part }));
    }
    let mut notes = Notes::new(&options);
    let read = document::read(&root, Templates::All, &options, &mut notes);
    let templates = document::named(read.templates, &mut notes);
    let caches = document::named(read.caches, &mut notes);
    let mut container = Node::new("cache-container").text_if("name", container_name.as_deref());
    container.children = lists(&templates, "-configuration", writing.secrets);
    container.children.extend(lists(&caches, "", writing.secrets));
    let node = Node::new("infinispan").child(container);
    let text = match to {
        Format::Xml => to_xml(&node, None, pretty),
        Format::Yaml => to_yaml(&node, None),
        Format::Json | Format::Toml => {
            let json = object(&node.name, node.to_json());
            if pretty { format!("{json:#}") } else { json.to_string() }
        }
    };
    notes.with(Some(Converted { text, is_part }))
}

/// Caches with their names, in a list for each kind of them.
fn lists(caches: &[(CacheName, CacheConfig)], ending: &str, secrets: Secrets) -> Vec<Child> {
    let mut kinds: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    for (name, config) in caches {
        let mut node = cache::node(config, secrets);
        let kind = format!("{}{ending}", node.name);
        node.name = kind.clone().into();
        node.attributes.insert(0, ("name".into(), Scalar::Text(name.to_string())));
        kinds.entry(kind).or_default().push(node);
    }
    kinds.into_iter().map(|(kind, nodes)| Child::List(kind.into(), nodes)).collect()
}

fn object(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

#[cfg(test)]
mod tests;
