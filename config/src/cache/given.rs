//! Which attributes of a configuration were said.

use std::collections::BTreeSet;

use crate::tree::Element;

/// Attributes that are written even if they are the default, because they were said.
const ATTRIBUTES: &[&str] = &[
    "encoding/key/media-type",
    "encoding/media-type",
    "encoding/value/media-type",
    "expiration/interval",
    "expiration/lifespan",
    "expiration/max-idle",
    "memory/max-count",
    "memory/when-full",
    "owners",
    "segments",
    "statistics",
];

/// Which attributes of a configuration were said. A configuration that says a default is no other
/// than one that does not, so all of these are equal.
#[derive(Clone, Debug, Default)]
pub struct Given(BTreeSet<&'static str>);

impl Given {
    /// Those that an element says.
    pub(super) fn of(element: &Element) -> Self {
        Self(ATTRIBUTES.iter().copied().filter(|path| says(element, path)).collect())
    }

    /// Whether an attribute was said.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Paths of the attributes that were said.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().copied()
    }

    /// Adds those of a child configuration.
    pub(super) fn extend(&mut self, own: &Self) {
        self.0.extend(&own.0);
    }

    /// Forgets that an attribute was said.
    pub(super) fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    #[cfg(test)]
    pub(crate) fn is_exactly(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

fn says(element: &Element, path: &str) -> bool {
    match path.split_once('/') {
        None => element.attribute(path).is_some_and(|attribute| !attribute.value.is_empty()),
        Some((name, path)) => element.children(name).next().is_some_and(|child| says(child, path)),
    }
}

impl PartialEq for Given {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Given {}
