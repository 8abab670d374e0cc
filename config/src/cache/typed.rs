//! Attributes of a cache that have a field in [`CacheConfig`](super::CacheConfig).

use crate::remote_store::is_client_setting;

/// Attributes and elements in an element that have a field.
pub(super) struct Typed {
    name: &'static str,
    attributes: &'static [&'static str],
    children: &'static [Self],
    /// Whether properties with client settings have a field as well.
    is_client: bool,
}

impl Typed {
    /// An element without any field.
    pub(super) const NOTHING: Self = Self::new("", &[], &[]);

    const fn new(
        name: &'static str,
        attributes: &'static [&'static str],
        children: &'static [Self],
    ) -> Self {
        Self { name, attributes, children, is_client: false }
    }

    const fn client(self) -> Self {
        Self { is_client: true, ..self }
    }

    pub(super) fn has_property(&self, name: &str) -> bool {
        self.is_client && is_client_setting(name)
    }

    pub(super) fn has_attribute(&self, name: &str) -> bool {
        self.attributes.contains(&name)
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// The fields of a cache.
pub(super) const CACHE: Typed = Typed::new(
    "",
    &[
        "aliases",
        "configuration",
        "key-partitioner",
        "mode",
        "name",
        "owners",
        "segments",
        "statistics",
    ],
    &[
        Typed::new(
            "encoding",
            &["media-type"],
            &[Typed::new("key", &["media-type"], &[]), Typed::new("value", &["media-type"], &[])],
        ),
        Typed::new("eviction", &["max-entries", "size", "strategy", "type"], &[]),
        Typed::new("expiration", &["interval", "lifespan", "max-idle"], &[]),
        Typed::new(
            "memory",
            &["max-count", "max-size", "when-full"],
            &[
                Typed::new("binary", &["eviction", "size", "strategy"], &[]),
                Typed::new("object", &["eviction", "size", "strategy"], &[]),
                Typed::new("off-heap", &["eviction", "size", "strategy"], &[]),
            ],
        ),
        Typed::new("persistence", &[], &[REMOTE_STORE]),
        REMOTE_STORE,
    ],
);

/// The fields of a remote store, including its properties and its URI.
const REMOTE_STORE: Typed = Typed::new(
    "remote-store",
    &[
        "cache",
        "connect-timeout",
        "protocol-version",
        "read-only",
        "remote-cache-container",
        "shared",
        "socket-timeout",
        "uri",
    ],
    &[
        Typed::new("authentication", &["server-name"], USERS),
        Typed::new("encryption", &[], &[]),
        Typed::new("remote-server", &["host", "outbound-socket-binding", "port"], &[]),
        Typed::new(
            "security",
            &[],
            &[
                Typed::new("authentication", &["server-name"], USERS),
                Typed::new("encryption", &[], &[]),
            ],
        ),
    ],
)
.client();

const USERS: &[Typed] = &[
    Typed::new("digest", USER, &[]),
    Typed::new("plain", USER, &[]),
    Typed::new("scram", USER, &[]),
];

const USER: &[&str] = &["password", "realm", "sasl-mechanism", "server-name", "username"];
