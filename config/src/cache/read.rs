//! Parses a cache from its element, in every spelling since 7.0.

mod media_type;
mod memory;
mod refused;

use std::collections::BTreeSet;

use media::MediaType;

use self::media_type::{any_media_type, media_type};
pub(crate) use self::refused::{memory_only, open_to_everyone};
use super::{
    CacheConfig, CacheMode, DEFAULT_OWNERS, DEFAULT_SEGMENTS, DefaultExpiration, Encoding, Given,
    Kept, Replication, typed,
};
use crate::{
    CacheName, ConfigError,
    fields::{Fields, refused},
    notes::Notes,
    remote_store,
    surroundings::Surroundings,
    tree::{Attribute, Element},
};

/// Most segments of a cache.
const MAX_SEGMENTS: u32 = 1 << 16;

/// Most owners of an entry.
const MAX_OWNERS: u32 = 1_000;

/// The partitioner that clients compute segments with.
pub(super) const PARTITIONER: &str = "org.infinispan.distribution.ch.impl.HashFunctionPartitioner";

/// Kinds of caches that Infinispan has or had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Here(CacheMode),
    Scattered,
    Invalidation,
}

/// Kind of cache that the name of an element denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheKind {
    kind: Kind,
    /// Whether it is a template and not a cache.
    pub(crate) is_template: bool,
}

impl CacheKind {
    /// Returns the kind of cache in an element, if it contains one.
    pub(crate) fn of(element: &Element) -> Option<Self> {
        let name = element.name.as_str();
        let (name, is_template) = match name.strip_suffix("-configuration") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let kind = match name {
            "distributed-cache" => Kind::Here(CacheMode::Distributed),
            "replicated-cache" => Kind::Here(CacheMode::Replicated),
            "local-cache" => Kind::Here(CacheMode::Local),
            "scattered-cache" => Kind::Scattered,
            "invalidation-cache" => Kind::Invalidation,
            _ => return None,
        };
        Some(Self { kind, is_template })
    }
}

/// Parses a cache that inherits from `parent`. Problems are recorded, and parsing continues.
pub(crate) fn read(
    element: &Element,
    kind: CacheKind,
    parent: Option<&CacheConfig>,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> CacheConfig {
    let mode = mode(element, kind.kind, notes);
    let mut config = parent.cloned().unwrap_or_else(|| CacheConfig::new(mode));
    config.mode = mode;
    // The implied encoding is determined at the end, for the complete configuration.
    config.encoding = config.said_encoding();
    let bounds = memory::Bounds::of(&config);
    let own = Given::of(element);
    own.paths().for_each(|path| config.kept.remove(path));
    config.given.extend(own);
    let mut fields = Fields::of(element, notes);
    // The document has read these.
    fields.accept(&["name", "configuration"]);
    distribution(&mut fields, &mut config);
    if let Some(statistics) = fields.flag("statistics") {
        config.statistics = statistics;
    }
    if let Some(aliases) = fields.read("aliases", aliases) {
        config.aliases = aliases;
    } else if fields.element.attribute("aliases").is_some() {
        config.aliases.clear();
    }
    if let Some(encoding) = fields.child("encoding") {
        let is_of_both = config.given.has("encoding/media-type");
        self::encoding(encoding, is_of_both, &mut config.encoding, fields.notes);
    }
    if let Some(expiration) = fields.child("expiration") {
        self::expiration(expiration, &mut config, fields.notes);
    }
    memory::read(&mut fields, &mut config, bounds);
    persistence(&mut fields, &mut config, surroundings);
    refused::read(&mut fields);
    without_effect(&mut fields);
    fields.finish();
    keep(element, &mut config, notes);
    if config.is_indexed() {
        config.encoding.key.get_or_insert(MediaType::PROTOSTREAM);
        config.encoding.value.get_or_insert(MediaType::PROTOSTREAM);
    }
    config
}

/// Keeps attributes and elements without an effect, and checks their combination.
fn keep(element: &Element, config: &mut CacheConfig, notes: &mut Notes) {
    let mut own = Kept::of(element, &typed::CACHE);
    // Its position in 8.x and before.
    own.move_children("remote-store", "persistence");
    let persistence = || element.children("persistence");
    let inner = persistence().flat_map(|persistence| persistence.children("remote-store"));
    let has_store = element.children("remote-store").chain(inner).next().is_some();
    if has_store {
        // A store replaces the store of the template.
        config.kept.remove_children("persistence", "remote-store");
    }
    config.kept.override_with(own);
    memory::keep(element, config);
    let kept = config.kept.child("persistence");
    let passivation = kept.and_then(|kept| kept.text("passivation"));
    let passivates = passivation.is_some_and(|flag| flag.trim().eq_ignore_ascii_case("true"));
    if passivates && (has_store || persistence().next().is_some()) {
        let said = persistence().find_map(|persistence| persistence.attribute("passivation"));
        let place = said.map_or(element.place, |said| said.place);
        let what = "'passivation' of 'persistence'";
        if config.remote_store.is_some() {
            let why = "what is in memory would be missing in the source; set it to false";
            notes.problem(refused(what, why, place));
        } else {
            notes.ignore(format!("{what}: there is no store"), place);
        }
    }
}

fn mode(element: &Element, kind: Kind, notes: &mut Notes) -> CacheMode {
    match kind {
        Kind::Here(mode) => mode,
        Kind::Scattered => {
            let note = format!("'{}': it becomes a distributed cache", element.spelled);
            notes.ignore(note, element.place);
            CacheMode::Distributed
        }
        Kind::Invalidation => {
            let why = "it would not hold its entries; use a local-cache or a distributed-cache";
            // Do not show it either: written again, it would be a different cache.
            notes.tolerance.only_shown = false;
            notes.problem(refused(format!("'{}'", element.spelled), why, element.place));
            CacheMode::Distributed
        }
    }
}

/// Attributes of distributed caches with the values that have no consequence here. Other values are
/// noted as ignored.
const DONE_ANYWAY: &[(&str, &[&str])] =
    &[("capacity-factor", &["1", "1.0"]), ("l1-lifespan", &["0", "-1"])];

/// Attributes and elements of distributed and scattered caches that have no effect here.
const OF_DISTRIBUTED: &[&str] = &[
    "bias-acquisition",
    "bias-lifespan",
    "capacity",
    "groups",
    "invalidation-batch-size",
    "l1-cleanup-interval",
];

/// Attributes and elements of clustered caches that have no effect here.
pub(super) const OF_CLUSTERED: &[&str] = &[
    "async-marshalling",
    "consistent-hash-factory",
    "queue-flush-interval",
    "queue-size",
    "remote-timeout",
    "state-transfer",
];

/// Reads how entries are distributed. Attributes that the mode does not have remain unknown; those
/// inherited from a template of another mode are dropped.
fn distribution(fields: &mut Fields<'_, '_>, config: &mut CacheConfig) {
    match config.mode {
        CacheMode::Distributed => {
            if let Some(owners) = fields.number("owners", 1..=MAX_OWNERS) {
                config.owners = owners;
            }
            for (name, as_here) in DONE_ANYWAY {
                fields.ignore_unless(name, as_here);
            }
            fields.ignore(OF_DISTRIBUTED);
        }
        CacheMode::Replicated | CacheMode::Local => {
            config.owners = DEFAULT_OWNERS;
            config.given.remove("owners");
            config.kept.remove_names(OF_DISTRIBUTED);
            DONE_ANYWAY.iter().for_each(|(name, _)| config.kept.remove_names(&[name]));
        }
    }
    if !config.mode.is_clustered() {
        config.kept.remove_names(OF_CLUSTERED);
        config.segments = DEFAULT_SEGMENTS;
        config.given.remove("segments");
        config.replication = Replication::default();
        config.key_partitioner = None;
        return;
    }
    let modes = [("SYNC", Replication::Sync), ("ASYNC", Replication::Async)];
    if let Some(mode) = fields.read("mode", |mode| mode.one_of(&modes)) {
        config.replication = mode;
    }
    if let Some(segments) = fields.number("segments", 1..=MAX_SEGMENTS) {
        config.segments = segments;
    }
    if let Some(class) = fields.text("key-partitioner") {
        config.key_partitioner = Some(class.value.clone()).filter(|class| class != PARTITIONER);
        if config.key_partitioner.is_some() {
            let note = "'key-partitioner': keys are placed by the default partitioner, and a source \
                        that places them otherwise is copied as a whole";
            fields.notes.ignore(note, class.place);
        }
    }
    fields.ignore(OF_CLUSTERED);
}

/// Reads the aliases of the cache: a list, or a text with spaces between them.
fn aliases(attribute: &Attribute) -> Result<BTreeSet<CacheName>, ConfigError> {
    // In a list, a name with a space would be written as two aliases.
    if let Some(item) = attribute.items.iter().find(|item| item.contains(char::is_whitespace)) {
        let item = Attribute::new(&attribute.spelled, item, attribute.place);
        return Err(item.error("a name without spaces"));
    }
    let alias = |alias: &str| {
        alias.parse().map_err(|source| ConfigError::CacheName { source, place: attribute.place })
    };
    attribute.value.split_whitespace().map(alias).collect()
}

/// Reads `encoding` over that of a template. A media type for both takes precedence over one for
/// keys or values, even an inherited one.
fn encoding(element: &Element, is_of_both: bool, encoding: &mut Encoding, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    let media_type = if fields.notes.tolerance.stored { any_media_type } else { media_type };
    if let Some(both) = fields.read("media-type", media_type) {
        *encoding = Encoding { key: Some(both.clone()), value: Some(both) };
    }
    for (name, part) in [("key", &mut encoding.key), ("value", &mut encoding.value)] {
        if let Some(element) = fields.child(name) {
            let mut fields = Fields::of(element, fields.notes);
            let own = fields.read("media-type", media_type);
            if !is_of_both {
                *part = own.or_else(|| part.take());
            } else if own.is_some() && own != *part {
                let what = format!("'{name}' of 'encoding': 'media-type' applies to both");
                fields.notes.ignore(what, element.place);
            }
            fields.finish();
        }
    }
    fields.finish();
}

fn expiration(element: &Element, config: &mut CacheConfig, notes: &mut Notes) {
    let expiration: &mut DefaultExpiration = &mut config.expiration;
    let mut fields = Fields::of(element, notes);
    // Zero is a valid time: such entries expire at once, as in Infinispan.
    if let Some(lifespan) = fields.read("lifespan", Attribute::time_or_unlimited) {
        expiration.lifespan = lifespan;
    }
    if let Some(max_idle) = fields.read("max-idle", Attribute::time_or_unlimited) {
        expiration.max_idle = max_idle;
    }
    if let Some(interval) = fields.text("interval") {
        match fields.notes.check(interval.time_or_unlimited()) {
            Some(Some(time)) if !time.is_zero() => expiration.interval = time,
            Some(_) => {
                let note = "'interval' of 'expiration': expired entries are always removed";
                fields.notes.ignore(note, interval.place);
            }
            None => {}
        }
    }
    fields.ignore_unless("touch", &["SYNC"]);
    fields.finish();
}

/// Reads the stores: in `persistence`, or in the cache itself as in 7.x and 8.x.
fn persistence(
    fields: &mut Fields<'_, '_>,
    config: &mut CacheConfig,
    surroundings: &Surroundings<'_>,
) {
    let own: Vec<_> = fields.children("remote-store").collect();
    refused::other_stores(fields);
    let mut inner = Vec::new();
    if let Some(persistence) = fields.child("persistence") {
        let mut fields = Fields::of(persistence, fields.notes);
        inner.extend(fields.children("remote-store"));
        refused::other_stores(&mut fields);
        // Its meaning depends on the complete configuration.
        if let Some(passivation) = fields.attribute("passivation") {
            fields.notes.check(passivation.flag());
        }
        fields.ignore(&["availability-interval", "connection-attempts", "connection-interval"]);
        fields.finish();
    }
    let stores: Vec<_> = own.into_iter().chain(inner).collect();
    // An earlier version of this server wrote the ineffective attributes of an 8.x store as a
    // separate store before the real one.
    let has_servers = |store: &&&Element| store.children("remote-server").next().is_some();
    let is_stored = fields.notes.tolerance.stored;
    let whole = stores.iter().find(has_servers).filter(|_| is_stored);
    if let Some(store) = whole.or_else(|| stores.first()) {
        config.remote_store = remote_store::read(store, surroundings, fields.notes);
    }
    if let Some(second) = stores.get(1) {
        let why = "a cache has one source; leave the others out";
        fields.notes.problem(refused("a second 'remote-store'", why, second.place));
    }
}

fn without_effect(fields: &mut Fields<'_, '_>) {
    let indexing = fields.element.children("indexing").next();
    let says = |name, value: &str| {
        let attribute = indexing.and_then(|indexing| indexing.attribute(name));
        attribute.is_some_and(|attribute| attribute.value.eq_ignore_ascii_case(value))
    };
    if says("enabled", "false") || says("index", "NONE") {
        fields.accept(&["indexing"]);
    } else {
        fields.ignore_for("indexing", "queries are not supported");
    }
    fields.ignore_unless("simple-cache", &["false"]);
    fields.ignore_unless("unreliable-return-values", &["false"]);
    let partitions = fields.element.children("partition-handling").next();
    let as_here = |attribute: &Attribute| {
        matches!(
            (attribute.name.as_str(), attribute.value.as_str()),
            ("when-split", "ALLOW_READ_WRITES") | ("merge-policy", "NONE") | ("enabled", "false")
        )
    };
    if partitions.is_some_and(|partitions| partitions.attributes.iter().all(as_here)) {
        fields.accept(&["partition-handling"]);
    } else {
        fields.ignore_for("partition-handling", "");
    }
    fields.ignore(&[
        "anchored-keys",
        "compatibility",
        "custom-interceptors",
        "data-container",
        "deadlock-detection",
        "jmx-statistics",
        "jndi-name",
        "locking",
        "module",
        "query",
        "start",
        "statistics-available",
        "store-as-binary",
        "tracing",
        "unsafe",
        "versioning",
    ]);
}

#[cfg(test)]
mod tests;
