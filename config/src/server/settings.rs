//! Godwit's own file: TOML with the names of [`ServerConfig`](crate::ServerConfig) in kebab-case,
//! and with the elements and attributes of caches as in JSON.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{LimitsFile, MigrationFile, OnSourceError, ServerFile};
use crate::{
    ConfigError, Options, cors,
    document::{self, Found, Templates},
    fields::Fields,
    host_name,
    notes::Notes,
    remote_store::is_host,
    surroundings::Surroundings,
    tree::{Attribute, Element},
};

/// Reads the settings of a server.
pub(crate) fn read(root: &Element, options: &Options<'_>, notes: &mut Notes) -> ServerFile {
    let mut fields = Fields::of(root, notes);
    let mut file = ServerFile {
        port: fields.number("port", 0..=u16::MAX),
        port_offset: fields.number("port-offset", 0..=u16::MAX),
        node_name: fields.text("node-name").map(|name| name.value.clone()),
        cluster_name: fields.text("cluster-name").map(|name| name.value.clone()),
        container_name: fields.text("container-name").map(|name| name.value.clone()),
        statistics: fields.flag("statistics"),
        data_dir: fields.text("data-dir").map(|path| path.value.clone().into()),
        max_memory: fields.read("max-memory", |limit| {
            limit.parse("a part such as 80%, or a size from 1MB on such as 512MB")
        }),
        insecure: fields.flag("insecure"),
        advertised: fields.read("advertised", |advertised| {
            advertised.parse("a host and a port such as cache.example.org:11222")
        }),
        log: fields.text("log").map(|filter| filter.value.clone()),
        default_cache: fields.read("default-cache", Attribute::cache_name),
        ..ServerFile::default()
    };
    if let Some(listen) = fields.read("bind-address", listen) {
        file.listen_on(listen);
    }
    // The setting applies to the caches of the same file, too.
    fields.notes.tolerance.insecure |= file.insecure.unwrap_or_default();
    if let Some(limits) = fields.child("limits") {
        file.limits = self::limits(limits, fields.notes);
    }
    if let Some(migration) = fields.child("migration") {
        file.migration = self::migration(migration, fields.notes);
    }
    let mut found = Vec::new();
    if let Some(caches) = fields.child("caches") {
        document::caches(caches, &mut found, fields.notes);
    }
    if let Some(templates) = fields.child("templates") {
        let caches = found.len();
        document::caches(templates, &mut found, fields.notes);
        found.iter_mut().skip(caches).for_each(Found::set_template);
    }
    if let Some(cors) = fields.child("cors") {
        file.cors = cors::read(cors, fields.notes);
    }
    let hosts = fields.words("allowed-hosts", host_name::is_host_name, host_name::EXPECTED);
    file.allowed_hosts = hosts.iter().filter_map(|host| host.parse().ok()).collect();
    fields.finish();
    let (caches, templates) =
        document::resolve(&found, Templates::MayBeUnused, &Surroundings::default(), options, notes);
    file.caches = document::named(caches, notes);
    file.templates = document::named(templates, notes);
    file
}

fn limits(element: &Element, notes: &mut Notes) -> LimitsFile {
    let mut fields = Fields::of(element, notes);
    let limits = LimitsFile {
        max_content: fields.read("max-content", Attribute::size),
        max_key: fields.read("max-key", Attribute::size),
        max_caches: fields.number("max-caches", 1..=u32::MAX),
        max_connections: fields.number("max-connections", 1..=u32::MAX),
        max_in_flight: fields.number("max-in-flight", 1..=u32::MAX),
        idle_timeout: fields.read("idle-timeout", Attribute::time),
    };
    fields.finish();
    limits
}

fn migration(element: &Element, notes: &mut Notes) -> MigrationFile {
    let mut fields = Fields::of(element, notes);
    let answers = [("fail", OnSourceError::Fail), ("absent", OnSourceError::Absent)];
    let migration = MigrationFile {
        source_timeout: fields.read("source-timeout", Attribute::time),
        on_source_error: fields.read("on-source-error", |answer| answer.one_of(&answers)),
        max_tombstones: fields.number("max-tombstones", 0..=u64::MAX),
        buffer: fields.read("buffer", Attribute::size),
        threads: fields.number("threads", 1..=1_024).and_then(std::num::NonZeroU32::new),
        max_entries_per_second: fields.number("max-entries-per-second", 1..=u64::MAX),
        max_bytes_per_second: fields.read("max-bytes-per-second", Attribute::size),
    };
    fields.finish();
    migration
}

/// Where to listen, in the syntax of `server.sh -b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address, or a name of the loopback interface.
    Address(IpAddr),
    /// The address of this host, which the caller looks up.
    Host(String),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host) => f.write_str(host),
        }
    }
}

impl FromStr for Listen {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let text = text.trim().trim_start_matches('[').trim_end_matches(']');
        let is_choice = matches!(text, "GLOBAL" | "LINK_LOCAL" | "NON_LOOPBACK" | "SITE_LOCAL")
            || ["match-address:", "match-host:", "match-interface:"]
                .iter()
                .any(|choice| text.starts_with(choice));
        match (text, text.parse()) {
            ("localhost" | "LOOPBACK", _) => Ok(Self::Address(IpAddr::from([127, 0, 0, 1]))),
            (_, Ok(address)) => Ok(Self::Address(address)),
            _ if is_choice => Err(NoAddress::Choice(text.to_owned())),
            _ if is_host(text) && !text.contains(':') => Ok(Self::Host(text.to_owned())),
            _ => Err(NoAddress::Other(text.to_owned())),
        }
    }
}

/// Reads where to listen.
pub(crate) fn listen(attribute: &Attribute) -> Result<Listen, ConfigError> {
    attribute.value.parse().map_err(|error| match error {
        NoAddress::Other(_) => attribute.error("an IP address such as 0.0.0.0, or a host name"),
        NoAddress::Choice(_) => {
            attribute.error("an IP address; 0.0.0.0 stands for all addresses of this machine")
        }
    })
}

/// Error for a text that does not say where to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// An Infinispan server would use it to choose one of the machine's addresses.
    #[error(
        "\"{0}\" makes the server choose one of this machine's addresses, which is not supported; \
         give the IP address, or 0.0.0.0 for all of them"
    )]
    Choice(String),
    /// It is not a host name either.
    #[error("\"{0}\" is neither an IP address nor a host name")]
    Other(String),
}
