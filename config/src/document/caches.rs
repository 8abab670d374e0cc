//! Caches of a document, and the configurations that they are made from.

use std::collections::HashMap;

use crate::{
    CacheConfig, CacheName, ConfigError, Options, Place,
    cache::{self, CacheKind},
    fields::{Fields, missing},
    notes::Notes,
    surroundings::Surroundings,
    template,
    tree::{Attribute, Element, MAX_DEPTH},
};

/// Kinds of caches, as they are spelled most.
pub(crate) const CACHES: &[&str] = &["distributed-cache", "replicated-cache", "local-cache"];

/// An element of a cache, or of a configuration for caches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    name: Option<(&'a str, Place)>,
    element: &'a Element,
    kind: CacheKind,
}

/// A cache, or a configuration for caches, that was read.
#[derive(Debug)]
pub(crate) struct ReadCache<'a> {
    pub(crate) name: Option<CacheName>,
    pub(crate) config: CacheConfig,
    element: &'a Element,
}

impl<'a> Found<'a> {
    /// The cache that an element is.
    fn itself(element: &'a Element) -> Option<Self> {
        let name = element.attribute("name").map(|name| (name.value.as_str(), name.place));
        CacheKind::of(element).map(|kind| Self { name, element, kind })
    }

    /// The cache that an element is the name of. A cache may be called like a kind of cache.
    fn inside(element: &'a Element) -> Option<Self> {
        let mut inside = element.children.iter().filter_map(Self::itself);
        let cache = inside.next()?;
        let is_name = element.attributes.is_empty()
            && inside.next().is_none()
            && (CacheKind::of(element).is_none() || element.children.len() == 1);
        let name = Some((element.spelled.as_str(), element.place));
        is_name.then_some(Self { name, ..cache })
    }

    /// Whether an element that usually holds caches is the name of one: `{"config":{"local-cache":{}}}`.
    pub(super) fn is_called_like_an_element(element: &Element) -> bool {
        let named = |cache: Found<'_>| cache.element.attribute("name").is_some();
        element.name != "cache-container"
            && Found::inside(element).is_some_and(|cache| !named(cache))
    }

    /// Takes the caches among some elements, each with its name as an attribute or around it.
    pub(crate) fn collect(
        elements: impl Iterator<Item = &'a Element>,
        found: &mut Vec<Self>,
        notes: &mut Notes,
    ) -> Result<(), ConfigError> {
        for element in elements {
            if let Some(cache) = Self::inside(element) {
                found.push(cache);
                Fields::of(element, notes).finish_except(|child| CacheKind::of(child).is_some())?;
            } else if let Some(cache) = Self::itself(element) {
                found.push(cache);
            } else if is_name_without_cache(element) {
                // It is the element that is wrong, and not the name.
                let mut fields = Fields::of(element, notes);
                fields.suggest(CACHES);
                fields.finish()?;
            }
        }
        Ok(())
    }

    /// Whether [`Found::collect`] had something to do with an element.
    pub(crate) fn was_collected(element: &Element) -> bool {
        CacheKind::of(element).is_some()
            || Found::inside(element).is_some()
            || is_name_without_cache(element)
    }

    /// Makes it a configuration for caches, whatever its element says.
    pub(crate) const fn set_template(&mut self) {
        self.kind.is_template = true;
    }
}

/// Whether an element may be the name of a cache, and what is in it is none.
fn is_name_without_cache(element: &Element) -> bool {
    let is_cache = |child| CacheKind::of(child).is_some();
    element.attributes.is_empty()
        && !element.children.is_empty()
        && !element.children.iter().any(is_cache)
}

/// Caches that all have to have a name.
pub(crate) fn named(
    caches: Vec<ReadCache<'_>>,
) -> Result<Vec<(CacheName, CacheConfig)>, ConfigError> {
    let named = |cache: ReadCache<'_>| {
        Ok((cache.name.ok_or_else(|| missing("name", cache.element))?, cache.config))
    };
    caches.into_iter().map(named).collect()
}

/// Caches and configurations for caches that were read.
pub(crate) type ReadCaches<'a> = (Vec<ReadCache<'a>>, Vec<ReadCache<'a>>);

/// Reads the caches, then the configurations for caches.
pub(crate) fn resolve<'a>(
    found: &[Found<'a>],
    surroundings: &Surroundings<'_>,
    options: &Options<'_>,
    notes: &mut Notes,
) -> Result<ReadCaches<'a>, ConfigError> {
    let mut by_name = HashMap::with_capacity(found.len());
    for (index, cache) in found.iter().enumerate() {
        if let Some((name, place)) = cache.name
            && by_name.insert(name, index).is_some()
        {
            return Err(ConfigError::Twice { name: name.into(), place });
        }
    }
    let mut resolver = Resolver { found, by_name, done: HashMap::new(), surroundings, options };
    let (mut caches, mut templates) = (Vec::new(), Vec::new());
    for (index, cache) in found.iter().enumerate() {
        let name = cache.name.map(|(name, place)| cache_name(name, place)).transpose()?;
        let config = resolver.config(index, cache, 0, notes)?;
        let read = ReadCache { name, config, element: cache.element };
        if cache.kind.is_template { &mut templates } else { &mut caches }.push(read);
    }
    Ok((caches, templates))
}

struct Resolver<'a> {
    found: &'a [Found<'a>],
    by_name: HashMap<&'a str, usize>,
    done: HashMap<usize, CacheConfig>,
    surroundings: &'a Surroundings<'a>,
    options: &'a Options<'a>,
}

impl Resolver<'_> {
    /// The configuration at an index, `depth` names away from where it was asked for.
    fn config(
        &mut self,
        index: usize,
        cache: &Found<'_>,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<CacheConfig, ConfigError> {
        if let Some(config) = self.done.get(&index) {
            return Ok(config.clone());
        }
        let parent = cache.element.attribute("configuration");
        let parent = parent.filter(|parent| !parent.value.is_empty());
        let parent = match parent {
            Some(name) => Some(self.parent(name, depth, notes)?),
            None => None,
        };
        let Found { element, kind, .. } = cache;
        let config = cache::read(element, *kind, parent.as_ref(), self.surroundings, notes)?;
        self.done.insert(index, config.clone());
        Ok(config)
    }

    fn parent(
        &mut self,
        name: &Attribute,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<CacheConfig, ConfigError> {
        let Attribute { value, place, .. } = name;
        let here = self.by_name.get(value.as_str()).copied();
        match here.and_then(|index| Some((index, *self.found.get(index)?))) {
            Some(_) if depth == MAX_DEPTH => {
                Err(ConfigError::Circle { name: value.clone(), place: *place })
            }
            Some((index, cache)) => self.config(index, &cache, depth + 1, notes),
            None => template::find(value, Some(*place), self.options),
        }
    }
}

impl Attribute {
    /// A legal name of a cache.
    pub(crate) fn cache_name(&self) -> Result<CacheName, ConfigError> {
        cache_name(&self.value, self.place)
    }
}

fn cache_name(name: &str, place: Place) -> Result<CacheName, ConfigError> {
    name.parse().map_err(|source| ConfigError::CacheName { source, place })
}
