//! An Infinispan document: one cache, a container of them, or the configuration of a whole server.
//!
//! `<infinispan>` of any version, its JSON and YAML forms, and `standalone.xml` (or parts of it) of
//! 7.x to 9.x. What has no meaning here is noted with its name.
//!
//! Start reading at [`read`].

mod caches;
mod container;
mod endpoints;
mod network;

pub(crate) use self::{
    caches::{Found, ReadCache, Templates, named, resolve},
    container::caches,
};
use crate::{
    Options, fields::Fields, notes::Notes, server::ServerFile, surroundings::Surroundings,
    tree::Element,
};

/// Elements that a document may begin with, beside caches.
const ELEMENTS: &[&str] = &[
    "cache-container",
    "caches",
    "config",
    "infinispan",
    "outbound-socket-binding",
    "remote-cache-containers",
    "server",
    "socket-binding-group",
    "subsystem",
];

/// What a document says.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// Caches, in their order; a document that is about one cache need not name it.
    pub(crate) caches: Vec<ReadCache<'a>>,
    /// Configurations for caches.
    pub(crate) templates: Vec<ReadCache<'a>>,
    /// How many of both there are. If one is asked for, more of them are not read.
    pub(crate) found: usize,
    /// The rest, without the caches.
    pub(crate) settings: ServerFile,
}

/// Reads a document.
pub(crate) fn read<'a>(
    root: &'a Element,
    templates: Templates,
    options: &Options<'_>,
    notes: &mut Notes,
) -> Document<'a> {
    let mut found = Vec::new();
    let mut settings = ServerFile::default();
    let mut fields = Fields::of(root, notes);
    // JSON documents may name their namespace; those that only define something are looked up where
    // they are named.
    fields.accept(&["_namespace", "$schema"]);
    fields.accept_elements(ELEMENTS);
    fields.suggest(caches::CACHES);
    let (known, others): (Vec<_>, Vec<_>) = root.children.iter().partition(|child| {
        ELEMENTS.contains(&child.name.as_str()) && !Found::is_called_like_an_element(child)
    });
    for child in known {
        match child.name.as_str() {
            "infinispan" => infinispan(child, &mut found, &mut settings, fields.notes),
            "cache-container" => {
                container::read(child, &mut found, &mut settings, fields.notes);
            }
            "caches" => caches(child, &mut found, fields.notes),
            "config" | "server" => server(child, &mut found, &mut settings, fields.notes),
            "subsystem" => {
                container::subsystem(child, &mut found, &mut settings, fields.notes);
            }
            _ => {}
        }
    }
    Found::collect(others.into_iter(), &mut found, fields.notes);
    fields.finish_except(Found::was_collected);

    let surroundings = Surroundings::of(root);
    // Many that are made from a large one would take more memory than the document bounds.
    let read: &[Found<'_>] = match (templates, found.as_slice()) {
        (Templates::Asked, [_, _, ..]) => &[],
        (_, all) => all,
    };
    let (caches, templates) = resolve(read, templates, &surroundings, options, notes);
    Document { caches, templates, found: found.len(), settings }
}

fn infinispan<'a>(
    element: &'a Element,
    found: &mut Vec<Found<'a>>,
    settings: &mut ServerFile,
    notes: &mut Notes,
) {
    let mut fields = Fields::of(element, notes);
    for container in fields.children("cache-container") {
        container::read(container, found, settings, fields.notes);
    }
    for server in fields.children("server") {
        self::server(server, found, settings, fields.notes);
    }
    fields.accept_elements(&["remote-cache-containers"]);
    fields.ignore(&["clustered-locks", "counters", "jgroups", "threads"]);
    fields.finish();
}

/// Reads `server`: that of Infinispan, and that of a `standalone.xml` with everything in it.
fn server<'a>(
    element: &'a Element,
    found: &mut Vec<Found<'a>>,
    settings: &mut ServerFile,
    notes: &mut Notes,
) {
    network::read(element, settings, notes);
    let mut fields = Fields::of(element, notes);
    fields.accept_elements(network::ELEMENTS);
    let profiles = fields.children("profile").chain([element]);
    for profile in profiles {
        for subsystem in profile.children("subsystem") {
            container::subsystem(subsystem, found, settings, fields.notes);
        }
    }
    fields.accept_elements(&["subsystem", "outbound-socket-binding", "socket-binding"]);
    fields.ignore_for("security", "authentication is not there yet");
    fields.ignore(&[
        "data-sources",
        "default-supplement",
        "deployments",
        "extension-module",
        "extensions",
        "management",
        "name",
        "paths",
        "supplement",
        "system-properties",
        "vault",
    ]);
    fields.finish();
}
