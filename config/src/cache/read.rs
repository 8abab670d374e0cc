//! A cache from its element, in every spelling since 7.0.

mod memory;

use std::time::Duration;

use media::MediaType;

use super::{
    CacheConfig, CacheMode, DEFAULT_OWNERS, DEFAULT_SEGMENTS, DefaultExpiration, Encoding,
    Replication,
};
use crate::{
    ConfigError, Place,
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

/// Longest time by default; beyond it, nothing is meant to end.
const MAX_TIME: Duration = Duration::from_hours(24 * 365 * 1_000);

/// The partitioner that clients compute with.
const PARTITIONER: &str = "org.infinispan.distribution.ch.impl.HashFunctionPartitioner";

/// Kinds of caches that Infinispan has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Here(CacheMode),
    Scattered,
    Invalidation,
}

/// What the name of an element says about the cache in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheKind {
    kind: Kind,
    /// Whether it is a configuration for other caches, and no cache.
    pub(crate) is_template: bool,
}

impl CacheKind {
    /// The kind of cache that an element holds, if it holds one.
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

/// Reads a cache; what it does not say itself comes from `parent`.
pub(crate) fn read(
    element: &Element,
    kind: CacheKind,
    parent: Option<&CacheConfig>,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<CacheConfig, ConfigError> {
    let mode = mode(element, kind.kind, notes)?;
    let mut config = parent.cloned().unwrap_or_else(|| CacheConfig::new(mode));
    config.mode = mode;
    let mut fields = Fields::of(element, notes);
    // The document has read these.
    fields.accept(&["name", "configuration"]);
    distribution(&mut fields, &mut config)?;
    if let Some(statistics) = fields.flag("statistics")? {
        config.statistics = statistics;
    }
    if let Some(encoding) = fields.child("encoding")? {
        config.encoding = self::encoding(encoding, fields.notes)?;
    }
    if let Some(expiration) = fields.child("expiration")? {
        self::expiration(expiration, &mut config.expiration, fields.notes)?;
    }
    memory::read(&mut fields, &mut config.memory)?;
    persistence(&mut fields, &mut config, surroundings)?;
    refuse_what_changes_data(&mut fields)?;
    without_effect(&mut fields);
    fields.finish()?;
    Ok(config)
}

fn mode(element: &Element, kind: Kind, notes: &mut Notes) -> Result<CacheMode, ConfigError> {
    match kind {
        Kind::Here(mode) => Ok(mode),
        Kind::Scattered => {
            let note = format!("'{}': it becomes a distributed cache", element.spelled);
            notes.ignore(note, element.place);
            Ok(CacheMode::Distributed)
        }
        Kind::Invalidation => {
            let why = "its entries would live nowhere; take a local-cache or a distributed-cache";
            Err(refused(format!("'{}'", element.spelled), why, element.place))
        }
    }
}

/// Reads how entries are spread. Attributes that a mode does not have stay unknown.
fn distribution(fields: &mut Fields<'_, '_>, config: &mut CacheConfig) -> Result<(), ConfigError> {
    match config.mode {
        CacheMode::Distributed => {
            if let Some(owners) = fields.number("owners", 1..=MAX_OWNERS)? {
                config.owners = owners;
            }
            fields.ignore_unless("l1-lifespan", &["0", "-1"]);
            fields.ignore_unless("capacity-factor", &["1", "1.0"]);
            fields.ignore(&["capacity", "groups", "l1-cleanup-interval"]);
            // Of scattered caches.
            fields.ignore(&["invalidation-batch-size", "bias-acquisition", "bias-lifespan"]);
        }
        CacheMode::Replicated | CacheMode::Local => config.owners = DEFAULT_OWNERS,
    }
    if !config.mode.is_clustered() {
        config.segments = DEFAULT_SEGMENTS;
        config.replication = Replication::default();
        return Ok(());
    }
    let mode = fields
        .attribute("mode")
        .map(|mode| mode.one_of(&[("SYNC", Replication::Sync), ("ASYNC", Replication::Async)]));
    if let Some(mode) = mode.transpose()? {
        config.replication = mode;
    }
    if let Some(segments) = fields.number("segments", 1..=MAX_SEGMENTS)? {
        config.segments = segments;
    }
    if let Some(Attribute { place, .. }) =
        fields.text("key-partitioner").filter(|class| class.value != PARTITIONER)
    {
        let why = "clients and the source place keys by the default partitioner; leave it out";
        return Err(refused("'key-partitioner'", why, *place));
    }
    fields.ignore(&["async-marshalling", "consistent-hash-factory", "remote-timeout"]);
    fields.ignore(&["queue-flush-interval", "queue-size", "state-transfer"]);
    Ok(())
}

fn encoding(element: &Element, notes: &mut Notes) -> Result<Encoding, ConfigError> {
    let mut fields = Fields::of(element, notes);
    let both = media_type(fields.text("media-type"))?;
    let mut encoding = Encoding { key: both.clone(), value: both };
    for (name, part) in [("key", &mut encoding.key), ("value", &mut encoding.value)] {
        if let Some(element) = fields.child(name)? {
            let mut fields = Fields::of(element, fields.notes);
            *part = media_type(fields.text("media-type"))?.or_else(|| part.take());
            fields.finish()?;
        }
    }
    fields.finish()?;
    Ok(encoding)
}

fn media_type(attribute: Option<&Attribute>) -> Result<Option<MediaType>, ConfigError> {
    attribute.map(|attribute| attribute.parse("a media type such as application/json")).transpose()
}

fn expiration(
    element: &Element,
    expiration: &mut DefaultExpiration,
    notes: &mut Notes,
) -> Result<(), ConfigError> {
    let mut fields = Fields::of(element, notes);
    if let Some(lifespan) = fields.text("lifespan") {
        expiration.lifespan = end_of_entries(lifespan)?;
    }
    if let Some(max_idle) = fields.text("max-idle") {
        expiration.max_idle = end_of_entries(max_idle)?;
    }
    if let Some(interval) = fields.text("interval") {
        match interval.time_or_unlimited()?.filter(|interval| !interval.is_zero()) {
            Some(time) => expiration.interval = time.min(MAX_TIME),
            None => {
                let note = "'interval' of 'expiration': entries that ended are always looked for";
                fields.notes.ignore(note, interval.place);
            }
        }
    }
    fields.ignore_unless("touch", &["SYNC"]);
    fields.finish()
}

fn end_of_entries(attribute: &Attribute) -> Result<Option<Duration>, ConfigError> {
    match attribute.time_or_unlimited()? {
        Some(Duration::ZERO) => {
            let why = "entries would end at once; give a time, or -1 for none";
            Err(refused(format!("'{}' 0", attribute.name), why, attribute.place))
        }
        time => Ok(time.map(|time| time.min(MAX_TIME))),
    }
}

/// Reads the stores: in `persistence`, and in the cache itself as in 7.x and 8.x.
fn persistence(
    fields: &mut Fields<'_, '_>,
    config: &mut CacheConfig,
    surroundings: &Surroundings<'_>,
) -> Result<(), ConfigError> {
    let own: Vec<_> = fields.children("remote-store").collect();
    other_stores(fields)?;
    let mut inner = Vec::new();
    let mut passivation = None;
    if let Some(persistence) = fields.child("persistence")? {
        let mut fields = Fields::of(persistence, fields.notes);
        inner.extend(fields.children("remote-store"));
        other_stores(&mut fields)?;
        passivation = fields.attribute("passivation");
        fields.ignore(&["availability-interval", "connection-attempts", "connection-interval"]);
        fields.finish()?;
    }
    let mut stores = own.into_iter().chain(inner);
    if let Some(store) = stores.next() {
        config.remote_store = Some(remote_store::read(store, surroundings, fields.notes)?);
    }
    if let Some(second) = stores.next() {
        let why = "a cache has one source; leave the others out";
        return Err(refused("a second 'remote-store'", why, second.place));
    }
    if let Some(passivation) = passivation
        && passivation.flag()?
    {
        let what = "'passivation' of 'persistence'";
        if config.remote_store.is_some() {
            let why = "what is in memory would be missing in the source; set it to false";
            return Err(refused(what, why, passivation.place));
        }
        fields.notes.ignore(format!("{what}: there is no store"), passivation.place);
    }
    Ok(())
}

/// Refuses every other store by its name: after a restart, entries that are meant to be in it
/// would not be there.
fn other_stores(fields: &mut Fields<'_, '_>) -> Result<(), ConfigError> {
    for name in [
        "binary-keyed-jdbc-store",
        "cassandra-store",
        "cloud-store",
        "cluster-loader",
        "file-store",
        "hbase-store",
        "jpa-store",
        "leveldb-store",
        "loader",
        "mixed-keyed-jdbc-store",
        "mongodb-store",
        "query-jdbc-store",
        "query-sql-store",
        "rest-store",
        "rocksdb-store",
        "single-file-store",
        "soft-index-file-store",
        "store",
        "string-keyed-jdbc-store",
        "table-jdbc-store",
        "table-sql-store",
    ] {
        for store in fields.children(name) {
            let why = "there is no such store here, and a restart would lose what it is meant to \
                       keep; leave it out";
            fields.notes.refuse(refused(format!("'{}'", store.spelled), why, store.place))?;
        }
    }
    Ok(())
}

fn refuse_what_changes_data(fields: &mut Fields<'_, '_>) -> Result<(), ConfigError> {
    if let Some(transaction) = fields.child("transaction")? {
        let mode = transaction.attribute("mode");
        if let Some(mode) = mode.filter(|mode| !mode.value.eq_ignore_ascii_case("NONE")) {
            return Err(no_transactions("'mode' of 'transaction'", mode.place));
        }
    }
    if let Some(batching) = fields.attribute("batching")
        && batching.flag()?
    {
        return Err(no_transactions("'batching'", batching.place));
    }
    let backups = fields.children("backups").find(|backups| !backups.children.is_empty());
    let backup_for = fields.children("backup-for").find(|backup_for| !backup_for.is_empty());
    if let Some(sites) = backups.or(backup_for) {
        let why = "entries are not replicated to other sites; leave it out";
        return Err(refused(format!("'{}'", sites.spelled), why, sites.place));
    }
    for security in fields.children("security") {
        let mut fields = Fields::of(security, fields.notes);
        for authorization in fields.children("authorization") {
            // The element alone enables it.
            let enabled = authorization.attribute("enabled").map(Attribute::flag).transpose()?;
            if enabled.unwrap_or(true) {
                let why = "authorization is not there yet, everyone would have every right; leave \
                           it out";
                return Err(refused("'authorization'", why, authorization.place));
            }
        }
        fields.finish()?;
    }
    Ok(())
}

fn no_transactions(what: &str, place: Place) -> ConfigError {
    let why = "transactions are not supported, writes would not be rolled back; set it to NONE";
    refused(what, why, place)
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
    fields.ignore_unless("aliases", &[""]);
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
