//! How much a cache may hold, in the spellings of 11.0 and later, of 9.x and 10.x, and before.

use super::super::{CacheConfig, MemoryConfig, WhenFull};
use crate::{
    fields::Fields,
    notes::Notes,
    tree::{Attribute, Element},
};

/// What a strategy says about a full cache.
#[derive(Clone, Copy)]
enum Strategy {
    Full(WhenFull),
    /// Nothing is removed, whatever the bound.
    Manual,
}

/// Words for strategies; the orders of eviction of 8.x and before are one.
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

/// Reads `memory` and the older `eviction` of a cache.
pub(super) fn read(fields: &mut Fields<'_, '_>, config: &mut CacheConfig) {
    let bounds = &mut config.memory;
    if let Some(eviction) = fields.child("eviction") {
        let mut fields = Fields::of(eviction, fields.notes);
        bound(&mut fields, "type", bounds);
        if let Some(entries) = fields.read("max-entries", Attribute::count_or_unlimited) {
            bounds.max_count = entries;
        }
        strategy(fields.text("strategy"), bounds, fields.notes);
        fields.ignore(&["thread-policy"]);
        fields.finish();
    }
    if let Some(memory) = fields.child("memory") {
        self::memory(memory, bounds, fields.notes);
    }
}

/// Keeps what bounds cannot say: that nothing is removed in spite of a bound, and where entries were
/// to lie.
pub(super) fn keep(element: &Element, config: &mut CacheConfig) {
    let Some(memory) = element.children("memory").next() else { return };
    if memory.children("off-heap").next().is_some() {
        config.kept.set("memory/storage", "OFF_HEAP");
    }
    let manual = memory.attribute("when-full");
    if manual.is_some_and(|when_full| when_full.value.eq_ignore_ascii_case("MANUAL")) {
        for name in ["max-count", "max-size", "when-full"] {
            if let Some(said) = memory.attribute(name) {
                let path = format!("memory/{name}");
                config.given.remove(&path);
                config.kept.set(&path, &said.value);
            }
        }
    }
}

fn memory(element: &Element, config: &mut MemoryConfig, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    if let Some(count) = fields.read("max-count", Attribute::count_or_unlimited) {
        config.max_count = count;
    }
    if let Some(size) = fields.read("max-size", Attribute::size_or_unlimited) {
        config.max_size = size;
    }
    strategy(fields.text("when-full"), config, fields.notes);
    fields.ignore_unless("storage", &["HEAP", "OBJECT"]);
    fields.ignore(&["eviction-container"]);
    for name in ["object", "binary", "off-heap"] {
        if let Some(storage) = fields.child(name) {
            let mut fields = Fields::of(storage, fields.notes);
            bound(&mut fields, "eviction", config);
            strategy(fields.text("strategy"), config, fields.notes);
            fields.ignore(&["address-count", "eviction-container"]);
            fields.finish();
        }
    }
    fields.finish();
}

/// Reads a `size` that counts what another attribute says: entries, unless it says memory.
fn bound(fields: &mut Fields<'_, '_>, unit: &'static str, config: &mut MemoryConfig) {
    let words = [("COUNT", Unit::Entries), ("MEMORY", Unit::Bytes)];
    match fields.read(unit, |unit| unit.one_of(&words)).unwrap_or(Unit::Entries) {
        Unit::Entries => {
            if let Some(count) = fields.read("size", Attribute::count_or_unlimited) {
                config.max_count = count;
            }
        }
        Unit::Bytes => {
            if let Some(size) = fields.read("size", Attribute::size_or_unlimited) {
                config.max_size = size;
            }
        }
    }
}

fn strategy(attribute: Option<&Attribute>, config: &mut MemoryConfig, notes: &mut Notes) {
    let Some(attribute) = attribute else { return };
    match notes.check(attribute.one_of(STRATEGIES)) {
        None => {}
        Some(Strategy::Full(when_full)) => config.when_full = when_full,
        Some(Strategy::Manual) => {
            let bounds = [config.max_count.take(), config.max_size.take()];
            if bounds.iter().any(Option::is_some) {
                notes.ignore("the bound of 'memory': MANUAL removes nothing", attribute.place);
            }
            config.when_full = WhenFull::Remove;
        }
    }
}
