//! The configuration as types, parsed once.
//!
//! Documents come in JSON, XML, YAML and TOML, in the spellings that Infinispan has had since 7.0.
//! All of them are read into one tree; types are made from the tree; what has no meaning here is
//! [noted](Ignored), what would change what happens to data is refused. Nothing here opens a file or
//! reads the environment: text, properties and the name of the host arrive as arguments.
//!
//! Start reading at [`parse_cache`], [`parse_remote_store`] and [`parse_server`].

mod cache;
mod connect;
mod convert;
mod cors;
mod document;
mod error;
mod fields;
mod format;
mod fuzz;
mod host_name;
mod name;
mod nearest;
mod notes;
mod options;
mod quantity;
#[cfg(test)]
mod random;
mod remote_store;
mod server;
mod stored;
mod surroundings;
mod template;
mod tree;
mod write;

pub use self::{
    cache::{
        AttributeError, CacheConfig, CacheMode, DefaultExpiration, Encoding, Given,
        IMMUTABLE_ATTRIBUTES, Kept, MUTABLE_ATTRIBUTES, MemoryConfig, MutableAttribute,
        Replication, WhenFull,
    },
    connect::{RemoteStoreError, check_json, parse_remote_store},
    convert::{
        Converted, NamedCache, Writing, convert, parse_cache, parse_server, parse_server_as,
        read_server,
    },
    cors::CorsRule,
    error::{ConfigError, Place},
    format::Format,
    fuzz::fuzz_config,
    host_name::{HostName, NotAHostName},
    name::{CacheName, CacheNameError, MAX_CACHE_NAME, SERVER_CACHES},
    nearest::nearest,
    notes::{Ignored, Parsed, Reading},
    options::{Lookup, Options},
    quantity::{ByteSize, MemoryLimit, NotAMemoryLimit, NotASize},
    remote_store::{
        Authentication, AuthenticationElement, RemoteServer, RemoteStoreConfig, Secrets,
    },
    server::{
        Advertised, Limits, LimitsFile, Listen, MAX_KEY, Migration, MigrationFile, NoAddress,
        NotAdvertised, OnSourceError, ServerConfig, ServerFile,
    },
    template::{default_cache_config, find_template, template, template_names},
    tree::{MAX_DEPTH, MAX_DOCUMENT},
};
