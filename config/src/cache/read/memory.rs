//! How much a cache may hold, in the spellings of 11.0 and later, of 9.x and 10.x, and before.

use super::super::{MemoryConfig, WhenFull};
use crate::{
    ConfigError,
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
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    config: &mut MemoryConfig,
) -> Result<(), ConfigError> {
    if let Some(eviction) = fields.child("eviction")? {
        let mut fields = Fields::of(eviction, fields.notes);
        bound(&mut fields, "type", config)?;
        if let Some(entries) = fields.text("max-entries") {
            config.max_count = entries.count_or_unlimited()?;
        }
        strategy(fields.text("strategy"), config, fields.notes)?;
        fields.ignore(&["thread-policy"]);
        fields.finish()?;
    }
    match fields.child("memory")? {
        Some(memory) => self::memory(memory, config, fields.notes),
        None => Ok(()),
    }
}

fn memory(
    element: &Element,
    config: &mut MemoryConfig,
    notes: &mut Notes,
) -> Result<(), ConfigError> {
    let mut fields = Fields::of(element, notes);
    if let Some(count) = fields.text("max-count") {
        config.max_count = count.count_or_unlimited()?;
    }
    if let Some(size) = fields.text("max-size") {
        config.max_size = size.size_or_unlimited()?;
    }
    strategy(fields.text("when-full"), config, fields.notes)?;
    fields.ignore_unless("storage", &["HEAP", "OBJECT"]);
    fields.ignore(&["eviction-container"]);
    for name in ["object", "binary", "off-heap"] {
        if let Some(storage) = fields.child(name)? {
            let mut fields = Fields::of(storage, fields.notes);
            bound(&mut fields, "eviction", config)?;
            strategy(fields.text("strategy"), config, fields.notes)?;
            fields.ignore(&["address-count", "eviction-container"]);
            fields.finish()?;
        }
    }
    fields.finish()
}

/// Reads a `size` that counts what another attribute says: entries, unless it says memory.
fn bound(
    fields: &mut Fields<'_, '_>,
    unit: &'static str,
    config: &mut MemoryConfig,
) -> Result<(), ConfigError> {
    let words = [("COUNT", Unit::Entries), ("MEMORY", Unit::Bytes)];
    let unit = fields.text(unit).map(|unit| unit.one_of(&words)).transpose()?;
    let Some(size) = fields.text("size") else { return Ok(()) };
    match unit.unwrap_or(Unit::Entries) {
        Unit::Entries => config.max_count = size.count_or_unlimited()?,
        Unit::Bytes => config.max_size = size.size_or_unlimited()?,
    }
    Ok(())
}

fn strategy(
    attribute: Option<&Attribute>,
    config: &mut MemoryConfig,
    notes: &mut Notes,
) -> Result<(), ConfigError> {
    let Some(attribute) = attribute else { return Ok(()) };
    match attribute.one_of(STRATEGIES)? {
        Strategy::Full(when_full) => config.when_full = when_full,
        Strategy::Manual => {
            let bounds = [config.max_count.take(), config.max_size.take()];
            if bounds.iter().any(Option::is_some) {
                notes.ignore("the bound of 'memory': MANUAL removes nothing", attribute.place);
            }
            config.when_full = WhenFull::Remove;
        }
    }
    Ok(())
}
