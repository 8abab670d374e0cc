//! What every format is read into: elements with attributes, each with its place.
//!
//! XML, JSON, YAML and TOML end up as the same tree, so that everything behind it is written once.
//! A scalar member of a JSON object is an attribute, an object is an element, a list of objects is
//! a repeated element. Names are in kebab-case without a namespace; the spelling of the document is
//! kept for what is a name itself (caches, properties).
//!
//! Start reading at [`read`].

mod cursor;
mod expand;
mod json;
mod toml;
mod value;
mod xml;
mod yaml;

use std::collections::HashSet;

use crate::{ConfigError, Format, Options, Place};

/// How deep elements may be nested.
pub const MAX_DEPTH: usize = 32;

/// How deep a document may be nested that this program has stored. Elements of the same name are a list with
/// an object for each in it, which is twice as deep as in the document that was accepted.
const MAX_STORED_DEPTH: usize = 4 * MAX_DEPTH;

/// Most bytes of a document.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// A part of a document.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    /// Name in kebab-case; empty for the document itself.
    pub(crate) name: String,
    /// Name as it is spelled.
    pub(crate) spelled: String,
    pub(crate) place: Place,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Self>,
    /// Trimmed; empty if there is none.
    pub(crate) text: String,
}

/// A value with a name.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    /// Name in kebab-case.
    pub(crate) name: String,
    /// Name as it is spelled.
    pub(crate) spelled: String,
    /// Value; a list of values is joined by spaces.
    pub(crate) value: String,
    /// The values, if the document has it as a list.
    pub(crate) items: Vec<String>,
    pub(crate) place: Place,
}

/// Reads a document. The options say where values of `${name}` are looked up; if nowhere, they stay as they are.
pub(crate) fn read(
    document: &[u8],
    format: Format,
    options: &Options<'_>,
) -> Result<Element, ConfigError> {
    if document.len() > MAX_DOCUMENT {
        return Err(ConfigError::TooLarge { limit: MAX_DOCUMENT });
    }
    let text = utf8(document, format)?;
    let mut root = match format {
        Format::Json => json::read(text, MAX_DEPTH),
        Format::Xml => xml::read(text),
        Format::Yaml => yaml::read(text),
        Format::Toml => toml::read(text),
    }?;
    if let Some(lookup) = options.lookup {
        let mut problems = Vec::new();
        let unknown =
            if options.only_shown { expand::Unknown::Kept } else { expand::Unknown::Refused };
        expand::expand(&mut root, lookup, unknown, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError::all(problems));
        }
    }
    Ok(root)
}

/// Reads a document that this program has stored. The limits for other documents do not hold for it: it was
/// accepted before, and whoever stored it has bounded its size.
pub(crate) fn read_stored(document: &str) -> Result<Element, ConfigError> {
    json::read(document, MAX_STORED_DEPTH)
}

/// The document as text, without a byte order mark.
fn utf8(document: &[u8], format: Format) -> Result<&str, ConfigError> {
    let text = std::str::from_utf8(document).map_err(|error| {
        let valid = document.get(..error.valid_up_to()).unwrap_or_default();
        let valid = std::str::from_utf8(valid).unwrap_or_default();
        let place = cursor::Cursor::new(valid).place(valid.len());
        ConfigError::Syntax { format, place, reason: "this is not UTF-8".into() }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

impl Element {
    pub(crate) fn new(spelled: &str, place: Place) -> Self {
        Self {
            name: kebab(spelled),
            spelled: spelled.into(),
            place,
            attributes: Vec::new(),
            children: Vec::new(),
            text: String::new(),
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The one child, if there is nothing else in it.
    pub(crate) fn only_child(&self) -> Option<&Self> {
        match self.children.as_slice() {
            [child] if self.attributes.is_empty() => Some(child),
            _ => None,
        }
    }

    /// Returns whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty() && self.text.is_empty()
    }
}

impl Attribute {
    pub(crate) fn new(spelled: &str, value: impl Into<String>, place: Place) -> Self {
        let (name, spelled) = (kebab(spelled), spelled.into());
        Self { name, spelled, value: value.into(), items: Vec::new(), place }
    }

    /// A list of values.
    fn list(spelled: &str, items: Vec<String>, place: Place) -> Self {
        Self { value: items.join(" "), items, ..Self::new(spelled, "", place) }
    }
}

/// Refuses a name that was there before.
fn refuse_twice<'a>(
    names: impl ExactSizeIterator<Item = (&'a str, Place)>,
) -> Result<(), ConfigError> {
    let mut seen = HashSet::with_capacity(names.len());
    let mut names = names;
    match names.find(|(name, _)| !seen.insert(*name)) {
        Some((name, place)) => Err(ConfigError::Twice { name: name.into(), place }),
        None => Ok(()),
    }
}

/// A name in kebab-case, without its namespace.
fn kebab(spelled: &str) -> String {
    let local = spelled.rsplit_once(':').map_or(spelled, |(_, local)| local);
    let mut name = String::with_capacity(local.len() + 2);
    let mut last = '-';
    for letter in local.chars() {
        if letter.is_ascii_uppercase() && (last.is_ascii_lowercase() || last.is_ascii_digit()) {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
        last = letter;
    }
    name
}

#[cfg(test)]
mod tests;
