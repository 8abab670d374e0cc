//! Refuses elements of a cache whose omission would change what happens to data or who may access
//! it.

use super::super::CacheConfig;
use crate::{
    Place,
    fields::{Fields, refused},
    notes::Notes,
    tree::{Attribute, Element},
};

/// Stores that are not supported.
const STORES: &[&str] = &[
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
    "queries-jdbc-store",
    "rest-store",
    "rocksdb-store",
    "single-file-store",
    "soft-index-file-store",
    "store",
    "string-keyed-jdbc-store",
    "table-jdbc-store",
    "table-sql-store",
];

/// Refuses every store except a remote one: after a restart, its entries would be missing. A
/// lenient reader accepts it, and [`memory_only`] names it.
pub(super) fn other_stores(fields: &mut Fields<'_, '_>) {
    for name in STORES {
        for store in fields.children(name) {
            if !fields.notes.tolerance.lenient {
                let why = "this store is not supported, and a restart would lose the entries in it; \
                           leave it out, or use --lenient to keep the entries in memory only";
                fields.notes.problem(refused(format!("'{}'", store.spelled), why, store.place));
            }
        }
    }
}

/// Refuses transactions, other sites and authorization.
pub(super) fn read(fields: &mut Fields<'_, '_>) {
    if let Some(transaction) = fields.child("transaction") {
        let mode = transaction.attribute("mode");
        if let Some(mode) = mode.filter(|mode| !mode.value.eq_ignore_ascii_case("NONE")) {
            no_transactions("'mode' of 'transaction'", mode.place, fields.notes);
        }
    }
    if let Some(batching) = fields.attribute("batching")
        && fields.notes.check(batching.flag()) == Some(true)
    {
        no_transactions("'batching'", batching.place, fields.notes);
    }
    let sites = fields.children("backups").chain(fields.children("backup-for"));
    let says_something = |element: &&Element| !element.is_empty();
    for sites in sites.filter(says_something) {
        let why = "entries are not replicated to other sites; leave it out";
        fields.notes.problem(refused(format!("'{}'", sites.spelled), why, sites.place));
    }
    for security in fields.children("security") {
        let mut fields = Fields::of(security, fields.notes);
        for authorization in fields.children("authorization") {
            // The element alone enables it.
            let enabled = authorization.attribute("enabled").map(Attribute::flag);
            let enabled = enabled.map_or(Some(true), |enabled| fields.notes.check(enabled));
            if enabled == Some(true) && !fields.notes.tolerance.insecure {
                let why = "authorization is not there yet, so everyone would have every permission; leave \
                           it out, or use --insecure to accept that";
                fields.notes.problem(refused("'authorization'", why, authorization.place));
            }
        }
        fields.finish();
    }
}

fn no_transactions(what: &str, place: Place, notes: &mut Notes) {
    let why = "transactions are not supported, writes would not be rolled back; set it to NONE";
    notes.problem(refused(what, why, place));
}

/// Returns the unsupported stores of a leniently read configuration, whose entries are in memory
/// only.
pub(crate) fn memory_only(config: &CacheConfig) -> Vec<&str> {
    let kept = &config.kept;
    let inner = kept.child("persistence").into_iter().flat_map(|kept| kept.children.keys());
    let stores = kept.children.keys().chain(inner);
    stores.map(String::as_str).filter(|name| STORES.contains(name)).collect()
}

/// Returns whether a configuration asks for authorization, which is not supported.
pub(crate) fn open_to_everyone(config: &CacheConfig) -> bool {
    let security = config.kept.child("security");
    let authorization = security.and_then(|security| security.child("authorization"));
    authorization.is_some_and(|authorization| {
        authorization.text("enabled").is_none_or(|enabled| !enabled.eq_ignore_ascii_case("false"))
    })
}
