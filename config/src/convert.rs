//! Whole documents: from text to configuration, back, and from one format to another.

use serde_json::{Map, Value};

use crate::{
    CacheConfig, CacheName, ConfigError, Format, Options, Parsed, Reading, Secrets, ServerFile,
    cache,
    document::{self, ReadCache, Templates},
    notes::Notes,
    server, tree,
    write::{to_xml, to_yaml},
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
/// What is wrong with the document, and where.
pub fn parse_cache(
    document: &[u8],
    format: Format,
    options: &Options<'_>,
) -> Result<Parsed<NamedCache>, ConfigError> {
    let mut notes = Notes::new(options);
    let root = tree::read(document, format, options.lookup)?;
    let document = document::read(&root, Templates::Asked, options, &mut notes);
    let found = document.found;
    let mut caches = document.caches.into_iter().chain(document.templates);
    let cache = match (caches.next(), caches.next()) {
        (Some(ReadCache { name, config, .. }), None) => Some(NamedCache { name, config }),
        // What is wrong with an element is more exact than that it is no cache.
        _ if notes.has_problems() => None,
        _ => {
            notes.problem(ConfigError::NotOneCache { found });
            None
        }
    };
    notes.with(cache)
}

/// Reads the settings of a server: our own TOML, an `infinispan.xml` in XML, JSON or YAML, or a
/// `standalone.xml`.
///
/// # Errors
///
/// What is wrong with the document, and where.
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
/// What is wrong with the document, and where.
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
    let root = tree::read(document, format, options.lookup);
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

/// Writes a cache in another format. Passwords stay in it: whoever asks has just sent them.
///
/// # Errors
///
/// What is wrong with the document, and where.
pub fn convert(
    document: &[u8],
    from: Format,
    to: Format,
    pretty: bool,
    options: &Options<'_>,
) -> Result<Parsed<String>, ConfigError> {
    let options = Options { only_shown: true, ..*options };
    let parsed = parse_cache(document, from, &options)?;
    let writing = Writing { secrets: Secrets::Kept, pretty };
    Ok(parsed.map(|NamedCache { name, config }| config.write(name.as_ref(), to, writing)))
}

fn object(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

#[cfg(test)]
mod tests;
