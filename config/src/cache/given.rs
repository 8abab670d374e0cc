//! Attributes that a configuration gives explicitly, and their spelling.

use std::collections::BTreeMap;

use crate::tree::Element;

/// Attributes that are written as they were given, even if that is the default.
const ATTRIBUTES: &[&str] = &[
    "encoding/key/media-type",
    "encoding/media-type",
    "encoding/value/media-type",
    "expiration/interval",
    "expiration/lifespan",
    "expiration/max-idle",
    "memory/max-count",
    "memory/max-size",
    "memory/when-full",
    "owners",
    "segments",
    "statistics",
];

/// The attributes that a configuration gives, as it spells them. Tools compare what they wrote with
/// what they read back, so `5s` must not become `5000`. All values of this type are equal, because
/// a configuration that gives a default equals one that does not.
#[derive(Clone, Debug, Default)]
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// Collects the attributes that this element gives.
    pub(super) fn of(element: &Element) -> Self {
        let value = |path: &&'static str| Some((*path, value(element, path)?.to_owned()));
        Self(ATTRIBUTES.iter().filter_map(value).collect())
    }

    /// Returns whether the configuration gives this attribute, instead of leaving it at its
    /// default.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Returns the value of an attribute as it was spelled.
    pub(super) fn spelled(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Returns the paths of the given attributes.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// Adds the given attributes of a configuration that inherits from this one.
    pub(super) fn extend(&mut self, own: Self) {
        self.0.extend(own.0);
    }

    /// Forgets that an attribute was given.
    pub(super) fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    #[cfg(test)]
    pub(crate) fn is_exactly(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

fn value<'a>(element: &'a Element, path: &'a str) -> Option<&'a str> {
    match path.split_once('/') {
        None => {
            let value = element.attribute(path)?.value.as_str();
            Some(value).filter(|value| !value.is_empty())
        }
        Some((name, path)) => value(element.children(name).next()?, path),
    }
}

impl PartialEq for Given {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Given {}
