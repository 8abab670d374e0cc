//! Infinispan's defaults of attributes that have no effect here. A configuration that gives such a
//! default equals one that does not.

use crate::quantity;

/// Elements of a cache, each with its attributes and their defaults. The first is the cache itself.
const DEFAULTS: &[(&str, &[(&str, &str)])] = &[
    (
        "",
        &[
            ("async-marshalling", "false"),
            ("batching", "false"),
            ("capacity-factor", "1"),
            ("l1-cleanup-interval", "60000"),
            ("l1-lifespan", "-1"),
            ("remote-timeout", "15000"),
            ("simple-cache", "false"),
            ("statistics-available", "true"),
            ("unreliable-return-values", "false"),
        ],
    ),
    ("expiration", &[("touch", "SYNC")]),
    ("groups", &[("enabled", "false")]),
    (
        "indexing",
        &[
            ("enabled", "true"),
            ("indexing-mode", "AUTO"),
            ("startup-mode", "AUTO"),
            ("storage", "FILESYSTEM"),
            ("use-java-embedded-entities", "false"),
        ],
    ),
    (
        "locking",
        &[
            ("acquire-timeout", "10000"),
            ("concurrency-level", "32"),
            ("isolation", "REPEATABLE_READ"),
            ("striping", "false"),
        ],
    ),
    ("memory", &[("storage", "HEAP")]),
    ("partition-handling", &[("merge-policy", "NONE"), ("when-split", "ALLOW_READ_WRITES")]),
    (
        "persistence",
        &[
            ("availability-interval", "30000"),
            ("connection-attempts", "10"),
            ("passivation", "false"),
        ],
    ),
    ("query", &[("default-max-results", "100"), ("hit-count-accuracy", "10000")]),
    ("security/authorization", &[("enabled", "true")]),
    (
        "state-transfer",
        &[
            ("await-initial-transfer", "true"),
            ("chunk-size", "512"),
            ("enabled", "true"),
            ("timeout", "240000"),
        ],
    ),
    ("tracing", &[("categories", "container"), ("enabled", "true")]),
    (
        "transaction",
        &[
            ("auto-commit", "true"),
            ("complete-timeout", "60000"),
            ("locking", "OPTIMISTIC"),
            ("mode", "NONE"),
            ("notifications", "true"),
            ("reaper-interval", "30000"),
            ("stop-timeout", "30000"),
        ],
    ),
];

/// Attributes whose value is a time.
const TIMES: &[&str] = &[
    "acquire-timeout",
    "availability-interval",
    "bias-lifespan",
    "commit-interval",
    "complete-timeout",
    "connection-interval",
    "interval",
    "l1-cleanup-interval",
    "l1-lifespan",
    "reaper-interval",
    "refresh-interval",
    "remote-timeout",
    "stop-timeout",
    "timeout",
];

/// Attributes whose value is one of a few words, in any case.
const WORDS: &[&str] = &[
    "bias-acquisition",
    "indexing-mode",
    "isolation",
    "locking",
    "merge-policy",
    "mode",
    "startup-mode",
    "storage",
    "touch",
    "when-full",
    "when-split",
];

/// Elements that have a meaning even if they are empty.
const MARKS: &[&str] = &["indexing", "security/authorization"];

/// Returns whether an empty element at this path has a meaning.
pub(super) fn means_something(path: &str) -> bool {
    MARKS.contains(&path)
        || path.strip_prefix("persistence/").is_some_and(|store| !store.contains('/'))
}

/// Returns whether a [normalized] value is Infinispan's default.
pub(super) fn is_default(path: &str, name: &str, value: &str) -> bool {
    let attributes = DEFAULTS.iter().find(|(known, _)| *known == path).map(|(_, known)| *known);
    let mut defaults = attributes.unwrap_or_default().iter();
    defaults.any(|(known, default)| *known == name && *default == value)
}

/// Returns Infinispan's default at a path such as `locking/isolation`.
pub(super) fn default(path: &str) -> Option<&'static str> {
    let (path, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (_, attributes) = DEFAULTS.iter().find(|(known, _)| *known == path)?;
    attributes.iter().find(|(known, _)| *known == name).map(|(_, default)| *default)
}

/// Returns a value in its canonical spelling.
pub(super) fn normalized(name: &str, value: &str) -> String {
    let value = value.trim();
    if TIMES.contains(&name)
        && let Some(time) = quantity::time(value)
    {
        return time.as_millis().to_string();
    }
    if WORDS.contains(&name) {
        return value.to_ascii_uppercase();
    }
    match value {
        _ if value.eq_ignore_ascii_case("true") => "true".into(),
        _ if value.eq_ignore_ascii_case("false") => "false".into(),
        "1.0" => "1".into(),
        _ => value.into(),
    }
}
