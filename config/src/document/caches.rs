//! Caches of a document, and the configurations that they are made from.

use std::collections::{HashMap, HashSet};

use crate::{
    CacheConfig, CacheName, ConfigError, Options, Place,
    cache::{self, CacheKind},
    fields::Fields,
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

    /// Returns whether an element that usually holds caches is the name of one: `{"config":{"local-cache":{}}}`.
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
    ) {
        for element in elements {
            if let Some(cache) = Self::inside(element) {
                found.push(cache);
                Fields::of(element, notes).finish_except(|child| CacheKind::of(child).is_some());
            } else if let Some(cache) = Self::itself(element) {
                found.push(cache);
            } else if is_name_without_cache(element) {
                // It is the element that is wrong, and not the name.
                let mut fields = Fields::of(element, notes);
                fields.suggest(CACHES);
                fields.finish();
            }
        }
    }

    /// Returns whether [`Found::collect`] had something to do with an element.
    pub(crate) fn was_collected(element: &Element) -> bool {
        CacheKind::of(element).is_some()
            || Found::inside(element).is_some()
            || is_name_without_cache(element)
    }

    /// The name of what it is made from.
    fn parent(&self) -> Option<&'a Attribute> {
        self.element.attribute("configuration").filter(|parent| !parent.value.is_empty())
    }

    /// Makes it a configuration for caches, whatever its element says.
    pub(crate) const fn set_template(&mut self) {
        self.kind.is_template = true;
    }
}

/// Returns whether an element may be the name of a cache, and what is in it is none.
fn is_name_without_cache(element: &Element) -> bool {
    let is_cache = |child| CacheKind::of(child).is_some();
    element.attributes.is_empty()
        && !element.children.is_empty()
        && !element.children.iter().any(is_cache)
}

/// Caches that all have to have a name.
pub(crate) fn named(
    caches: Vec<ReadCache<'_>>,
    notes: &mut Notes,
) -> Vec<(CacheName, CacheConfig)> {
    let named = |cache: ReadCache<'_>| match cache.name {
        Some(name) => Some((name, cache.config)),
        None => {
            if cache.element.attribute("name").is_none() {
                let (element, place) = (cache.element.spelled.clone(), cache.element.place);
                notes.problem(ConfigError::NoName { element, place });
            }
            None
        }
    };
    caches.into_iter().filter_map(named).collect()
}

/// Caches and configurations for caches that were read.
pub(crate) type ReadCaches<'a> = (Vec<ReadCache<'a>>, Vec<ReadCache<'a>>);

/// How the templates of a document are used, which decides whether a problem with one of them refuses the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Templates {
    /// A problem with one is a problem of the document.
    Asked,
    /// The same of a document that may be about many.
    All,
    /// One that no cache is made from may have problems. It is noted, and not offered.
    MayBeUnused,
}

/// Most bytes that all caches of a document may take if all of them are asked for: each may be made from the same large
/// configuration. What is made of them when they are written takes a few times as much.
const MOST_BYTES: usize = 16 << 20;

/// Bytes that an element, an attribute or an item of a list takes in memory beyond its text.
const EACH: usize = 128;

/// Bytes that a configuration takes in memory, no less than about. A short name alone takes much more there than in its
/// JSON, where each comes with a sign of its own.
fn weight(config: &CacheConfig) -> usize {
    let json = config.to_stored_json();
    json.bytes().filter(|byte| b",:[{".contains(byte)).count() * EACH + json.len()
}

/// Reads the caches, then the configurations for caches. Problems of a configuration are problems of
/// the caches that are made from it.
pub(crate) fn resolve<'a>(
    found: &[Found<'a>],
    templates: Templates,
    surroundings: &Surroundings<'_>,
    options: &Options<'_>,
    notes: &mut Notes,
) -> ReadCaches<'a> {
    let mut by_name = HashMap::with_capacity(found.len());
    for (index, cache) in found.iter().enumerate() {
        if let Some((name, place)) = cache.name
            && by_name.insert(name, index).is_some()
        {
            notes.problem(ConfigError::Twice { name: name.into(), place });
        }
    }
    let parents = found.iter().filter_map(Found::parent).map(|name| name.value.as_str()).collect();
    let done = HashMap::new();
    let mut resolver = Resolver { found, by_name, parents, done, surroundings, options };
    let (mut caches, mut usable) = (Vec::new(), Vec::new());
    let mut left = MOST_BYTES;
    for (index, cache) in found.iter().enumerate() {
        let name = cache.name.map(|(name, place)| cache_name(name, place));
        let name = name.and_then(|name| notes.check(name));
        let Resolved { config, problems } = resolver.config(index, cache, 0, notes);
        let shown = cache.name.map_or("", |(name, _)| name);
        if templates == Templates::All {
            let Some(less) = left.checked_sub(weight(&config)) else {
                notes.problem(ConfigError::TooLong { most: MOST_BYTES });
                break;
            };
            left = less;
        }
        let read = ReadCache { name, config, element: cache.element };
        if cache.kind.is_template && templates == Templates::MayBeUnused {
            if problems.is_empty() {
                usable.push(read);
            }
            for problem in problems {
                let what =
                    format!("the configuration '{shown}', which no cache can use: {problem}");
                notes.ignore(what, cache.element.place);
            }
            continue;
        }
        problems.into_iter().for_each(|problem| notes.problem(problem));
        note_what_is_lost(shown, &read, notes);
        if cache.kind.is_template { &mut usable } else { &mut caches }.push(read);
    }
    (caches, usable)
}

/// Says what a cache does not have here although its configuration asks for it, and was accepted.
fn note_what_is_lost(name: &str, cache: &ReadCache<'_>, notes: &mut Notes) {
    let place = cache.element.place;
    let of = if name.is_empty() { String::new() } else { format!(" of cache '{name}'") };
    if notes.tolerance.lenient {
        for store in cache::memory_only(&cache.config) {
            let what = format!("'{store}'{of}: entries are in memory only, a restart loses them");
            notes.ignore(what, place);
        }
    }
    if notes.tolerance.insecure && cache::open_to_everyone(&cache.config) {
        let what =
            format!("'authorization'{of}: everyone who reaches the server may do everything");
        notes.ignore(what, place);
    }
}

struct Resolver<'a> {
    found: &'a [Found<'a>],
    by_name: HashMap<&'a str, usize>,
    /// Names of those that others are made from.
    parents: HashSet<&'a str>,
    /// What those are.
    done: HashMap<usize, Resolved>,
    surroundings: &'a Surroundings<'a>,
    options: &'a Options<'a>,
}

/// A configuration with all that is wrong with it and with what it is made from.
#[derive(Clone)]
struct Resolved {
    config: CacheConfig,
    problems: Vec<ConfigError>,
}

impl Resolver<'_> {
    /// The configuration at an index, `depth` names away from where it was asked for.
    fn config(
        &mut self,
        index: usize,
        cache: &Found<'_>,
        depth: usize,
        notes: &mut Notes,
    ) -> Resolved {
        if let Some(resolved) = self.done.get(&index) {
            return resolved.clone();
        }
        let mut problems = Vec::new();
        let parent = cache.parent().and_then(|name| {
            let shown = cache.name.map_or("", |(name, _)| name);
            self.parent(name, shown, depth, &mut problems, notes)
        });
        let Found { element, kind, .. } = cache;
        let mut own = notes.of_part();
        let config = cache::read(element, *kind, parent.as_ref(), self.surroundings, &mut own);
        problems.extend(own.take_problems());
        notes.absorb(own);
        let resolved = Resolved { config, problems };
        if cache.name.is_some_and(|(name, _)| self.parents.contains(name)) {
            self.done.insert(index, resolved.clone());
        }
        resolved
    }

    /// What a cache is made from. Problems of a cache are not repeated for those made from it.
    fn parent(
        &mut self,
        name: &Attribute,
        of: &str,
        depth: usize,
        problems: &mut Vec<ConfigError>,
        notes: &mut Notes,
    ) -> Option<CacheConfig> {
        let Attribute { value, place, .. } = name;
        let here = self.by_name.get(value.as_str()).copied();
        let (index, parent) = match here.and_then(|index| Some((index, *self.found.get(index)?))) {
            Some(_) if depth == MAX_DEPTH => {
                problems.push(ConfigError::Circle { name: value.clone(), place: *place });
                return None;
            }
            Some(here) => here,
            None => {
                let found = template::find(value, Some(*place), self.options);
                return match found {
                    Ok(config) => Some(config.as_parent()),
                    Err(problem) => {
                        problems.push(problem);
                        None
                    }
                };
            }
        };
        let resolved = self.config(index, &parent, depth + 1, notes);
        let is_circle = |problem: &ConfigError| matches!(problem, ConfigError::Circle { .. });
        for problem in resolved.problems {
            match problem {
                problem if is_circle(&problem) => problems.push(problem),
                // Said once, with the name of the configuration that it is about.
                ConfigError::InTemplate { template, problem, .. } if parent.kind.is_template => {
                    problems.push(ConfigError::InTemplate { cache: of.into(), template, problem });
                }
                problem if parent.kind.is_template => problems.push(ConfigError::InTemplate {
                    cache: of.into(),
                    template: value.clone(),
                    problem: Box::new(problem),
                }),
                _ => {}
            }
        }
        Some(resolved.config.as_parent())
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
