//! Reads how much a cache may hold, in the spellings of 11.0 and later, of 9.x and 10.x, and
//! before.

use super::super::{CacheConfig, MemoryConfig, WhenFull};
use crate::{
    ByteSize, Place,
    fields::{Fields, refused},
    notes::Notes,
    tree::{Attribute, Element},
};

/// What an eviction strategy does when the cache is full.
#[derive(Clone, Copy)]
enum Strategy {
    Full(WhenFull),
    /// Nothing is evicted, whatever the bound.
    Manual,
}

/// Names of strategies; the eviction orders of 8.x and before are all the same here.
const STRATEGIES: &[(&str, Strategy)] = &[
    ("REMOVE", Strategy::Full(WhenFull::Remove)),
    ("EXCEPTION", Strategy::Full(WhenFull::Exception)),
    ("NONE", Strategy::Full(WhenFull::Remove)),
    ("MANUAL", Strategy::Manual),
    ("LRU", Strategy::Full(WhenFull::Remove)),
    ("LIRS", Strategy::Full(WhenFull::Remove)),
    ("FIFO", Strategy::Full(WhenFull::Remove)),
    ("UNORDERED", Strategy::Full(WhenFull::Remove)),
];

/// What a bound counts.
#[derive(Clone, Copy)]
enum Unit {
    Entries,
    Bytes,
}

/// Paths under which the bound of MANUAL, which evicts nothing, is kept.
const KEPT: [&str; 3] = ["memory/max-count", "memory/max-size", "memory/when-full"];

/// The bounds while they are being read.
pub(super) struct Bounds {
    memory: MemoryConfig,
    /// Whether nothing is evicted, whatever the bounds.
    is_manual: bool,
}

impl Bounds {
    /// Returns the bounds of a template.
    pub(super) fn of(config: &CacheConfig) -> Self {
        let kept = |path: &str| {
            let value = config.kept.value(path);
            let text = value.and_then(|value| value.text());
            text.map(|text| Attribute::new(path, text, Place::START))
        };
        let [max_count, max_size, when_full] = KEPT.map(kept);
        let is_manual = |said: Attribute| said.value.trim().eq_ignore_ascii_case("MANUAL");
        if !when_full.is_some_and(is_manual) {
            return Self { memory: config.memory, is_manual: false };
        }
        let count = |said: Attribute| said.count_or_unlimited().ok().flatten();
        let size = |said: Attribute| said.size_or_unlimited().ok().flatten();
        let memory = MemoryConfig {
            max_count: max_count.and_then(count),
            max_size: max_size.and_then(size),
            when_full: WhenFull::Remove,
        };
        Self { memory, is_manual: true }
    }

    /// Sets the bounds. A bound that evicts nothing has no effect, and is kept to be shown.
    fn set(self, config: &mut CacheConfig, element: &Element) {
        if !self.is_manual {
            KEPT.into_iter().for_each(|path| config.kept.remove(path));
            config.memory = self.memory;
            return;
        }
        config.memory = MemoryConfig::default();
        let MemoryConfig { max_count, max_size, .. } = self.memory;
        let texts = [
            max_count.map(|count| count.to_string()),
            max_size.map(|size| ByteSize(size).to_string()),
            Some("MANUAL".to_owned()),
        ];
        let memory = element.children("memory").next();
        for (path, text) in KEPT.into_iter().zip(texts) {
            config.given.remove(path);
            let name = path.rsplit('/').next().unwrap_or_default();
            let spelled = memory.and_then(|memory| memory.attribute(name));
            match spelled.map(|spelled| spelled.value.clone()).or(text) {
                Some(text) => config.kept.set(path, &text),
                None => config.kept.remove(path),
            }
        }
    }
}

/// Reads `memory` and the older `eviction` of a cache. `all` holds the bounds of its template.
pub(super) fn read(fields: &mut Fields<'_, '_>, config: &mut CacheConfig, mut all: Bounds) {
    let bounds = &mut all;
    if let Some(eviction) = fields.child("eviction") {
        let mut fields = Fields::of(eviction, fields.notes);
        bound(&mut fields, "type", bounds);
        if let Some(entries) = fields.read("max-entries", Attribute::count_or_unlimited) {
            bounds.memory.max_count = entries;
        }
        strategy(fields.text("strategy"), bounds, fields.notes);
        fields.ignore(&["thread-policy"]);
        fields.finish();
    }
    if let Some(memory) = fields.child("memory") {
        self::memory(memory, bounds, fields.notes);
    }
    let mut said = fields.element.children.iter();
    let said = said.rfind(|child| child.name == "memory" || child.name == "eviction");
    if let Some(said) = said
        && all.is_manual
        && (all.memory.max_count.is_some() || all.memory.max_size.is_some())
    {
        fields.notes.ignore("the bound of 'memory': MANUAL removes nothing", said.place);
    }
    if all.memory.max_count.is_some() && all.memory.max_size.is_some() {
        let place = said.map_or(fields.element.place, |said| said.place);
        let why = "a cache has one bound, by entries or by bytes, as in Infinispan; leave one of them out";
        fields.notes.problem(refused("'max-count' with 'max-size'", why, place));
    }
    all.set(config, fields.element);
}

/// Keeps the attributes about where entries are stored.
pub(super) fn keep(element: &Element, config: &mut CacheConfig) {
    let Some(memory) = element.children("memory").next() else { return };
    if memory.children("off-heap").next().is_some() {
        config.kept.set("memory/storage", "OFF_HEAP");
    }
}

fn memory(element: &Element, bounds: &mut Bounds, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    if let Some(count) = fields.read("max-count", Attribute::count_or_unlimited) {
        bounds.memory.max_count = count;
    }
    if let Some(size) = fields.read("max-size", Attribute::size_or_unlimited) {
        bounds.memory.max_size = size;
    }
    strategy(fields.text("when-full"), bounds, fields.notes);
    fields.ignore_unless("storage", &["HEAP", "OBJECT"]);
    fields.ignore(&["eviction-container"]);
    for name in ["object", "binary", "off-heap"] {
        if let Some(storage) = fields.child(name) {
            let mut fields = Fields::of(storage, fields.notes);
            bound(&mut fields, "eviction", bounds);
            strategy(fields.text("strategy"), bounds, fields.notes);
            fields.ignore(&["address-count", "eviction-container"]);
            fields.finish();
        }
    }
    fields.finish();
}

/// Reads a `size` that counts entries, or bytes if another attribute says so.
fn bound(fields: &mut Fields<'_, '_>, unit: &'static str, bounds: &mut Bounds) {
    let words = [("COUNT", Unit::Entries), ("MEMORY", Unit::Bytes)];
    match fields.read(unit, |unit| unit.one_of(&words)).unwrap_or(Unit::Entries) {
        Unit::Entries => {
            if let Some(count) = fields.read("size", Attribute::count_or_unlimited) {
                bounds.memory.max_count = count;
            }
        }
        Unit::Bytes => {
            if let Some(size) = fields.read("size", Attribute::size_or_unlimited) {
                bounds.memory.max_size = size;
            }
        }
    }
}

fn strategy(attribute: Option<&Attribute>, bounds: &mut Bounds, notes: &mut Notes) {
    let Some(attribute) = attribute else { return };
    match notes.check(attribute.one_of(STRATEGIES)) {
        None => {}
        Some(Strategy::Full(when_full)) => {
            (bounds.memory.when_full, bounds.is_manual) = (when_full, false);
        }
        Some(Strategy::Manual) => {
            (bounds.memory.when_full, bounds.is_manual) = (WhenFull::Remove, true);
        }
    }
}
