//! A remote store from its element, in every spelling since 7.0.

use std::collections::HashSet;

use super::{
    Authentication, AuthenticationElement, DEFAULT_PORT, RemoteServer, RemoteStoreConfig,
    draft::{self, Draft},
    uri,
    write::MASK,
};
use crate::{
    ConfigError,
    fields::{Fields, missing, not_used, refused},
    notes::Notes,
    surroundings::Surroundings,
    tree::{Attribute, Element},
};

/// Reads a `remote-store`. There is none only if a problem was recorded.
pub(crate) fn read(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Option<RemoteStoreConfig> {
    let mut own = notes.of_part();
    let mut config = described(element, surroundings, &mut own);
    if let Some(config) = &mut config {
        config.ignored = own.whats().map(str::to_owned).collect();
    }
    notes.absorb(own);
    config
}

fn described(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Option<RemoteStoreConfig> {
    let mut fields = Fields::of(element, notes);
    refuse_what_changes_data(&mut fields);
    without_effect(&mut fields);

    let mut draft = Draft::default();
    let servers: Vec<_> = fields.children("remote-server").collect();
    container(&mut fields, servers.is_empty(), &mut draft, surroundings);
    fields.accept(&["properties", "property"]);
    draft.properties(element, fields.notes);
    if let Some(uri) = fields.text("uri") {
        draft.uri(uri, fields.notes);
    }
    for server in servers {
        draft.servers.extend(remote_server(server, surroundings, fields.notes));
    }
    let mut seen = HashSet::new();
    draft.servers.retain(|server| seen.insert(server.clone()));
    if let Some(version) = fields.read("protocol-version", draft::protocol_version) {
        draft.protocol_version = version;
    }
    if let Some(timeout) = fields.read("connect-timeout", draft::timeout) {
        draft.connect_timeout = timeout;
    }
    if let Some(timeout) = fields.read("socket-timeout", draft::timeout) {
        draft.socket_timeout = timeout;
    }
    let authentication = match security(&mut fields, &mut draft) {
        Some(authentication) => authentication,
        None => {
            let from_properties = draft.authentication(element);
            fields.notes.check(from_properties).flatten()
        }
    };
    let cache = fields.attribute("cache").map(|cache| cache.value.clone());
    let read_only = fields.flag("read-only").unwrap_or_default();
    if let Some(said) = fields.element.attribute("read-only").filter(|_| !read_only) {
        let what = not_used("read-only", "remote-store", "nothing is written to the source");
        fields.notes.ignore(what, said.place);
    }
    fields.finish();
    if draft.servers.is_empty() {
        // What is wrong with servers that are named has been said where they are read.
        if !notes.has_problems() {
            let uri = element.attribute("uri").filter(|uri| uri.value.is_empty());
            let empty = uri.map(|uri| uri.error(draft::URI));
            notes.problem(empty.unwrap_or_else(|| missing("remote-server or uri", element)));
        }
        return None;
    }
    Some(RemoteStoreConfig {
        cache,
        servers: draft.servers,
        authentication,
        encryption: draft.encryption,
        read_only,
        protocol_version: draft.protocol_version,
        connect_timeout: draft.connect_timeout,
        socket_timeout: draft.socket_timeout,
        ignored: Vec::new(),
    })
}

fn refuse_what_changes_data(fields: &mut Fields<'_, '_>) {
    for (name, why) in [
        ("purge", "it would delete everything in the source; leave it out"),
        ("preload", "the source is shared: entries come over by synchronizing; leave it out"),
        ("passivation", "what is in memory would be missing in the source; set it to false"),
        ("write-only", "nothing would be read from the source; leave it out"),
        ("transactional", "transactions are not supported; leave it out"),
    ] {
        if let Some(attribute) = fields.attribute(name)
            && fields.notes.check(attribute.flag()) == Some(true)
        {
            let what = format!("'{name}' of 'remote-store'");
            fields.notes.problem(refused(what, why, attribute.place));
        }
    }
}

fn without_effect(fields: &mut Fields<'_, '_>) {
    // What is always done, or only says how entries are to be found.
    fields.accept(&["name", "shared", "segmented", "raw-values", "hotrod-wrapping"]);
    fields.accept(&["tcp-no-delay", "force-return-values"]);
    fields
        .ignore_for("write-behind", "nothing is written to the source, neither at once nor later");
    fields.ignore(&[
        "async-executor",
        "balancing-strategy",
        "connection-pool",
        "fetch-state",
        "key-size-estimate",
        "marshaller",
        "max-batch-size",
        "ping-on-start",
        "singleton",
        "value-size-estimate",
    ]);
}

/// Takes in the shared client that the store names, or that without a name.
fn container(
    fields: &mut Fields<'_, '_>,
    needs_servers: bool,
    draft: &mut Draft,
    surroundings: &Surroundings<'_>,
) {
    let named = fields.text("remote-cache-container");
    let container = match named {
        Some(Attribute { value, place, .. }) => {
            let container = surroundings.containers.get(value.as_str()).copied();
            if container.is_none() {
                let (kind, name, place) = ("remote-cache-container", value.clone(), *place);
                fields.notes.problem(ConfigError::NotDefined { kind, name, place });
            }
            container
        }
        None if needs_servers => surroundings.containers.get("").copied(),
        None => None,
    };
    let Some(container) = container else { return };
    if let Some(uri) = container.attribute("uri") {
        draft.uri(uri, fields.notes);
    }
    draft.properties(container, fields.notes);
}

/// Refuses what stands in the place of a password in what this server shows.
pub(super) fn refuse_mask(password: &Attribute, notes: &mut Notes) {
    if password.value == MASK {
        let why = "it is shown in the place of a password, which this server does not give out; give the password";
        notes.problem(refused(format!("the password {MASK}"), why, password.place));
    }
}

fn remote_server(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Option<RemoteServer> {
    let mut fields = Fields::of(element, notes);
    let binding = fields.text("outbound-socket-binding");
    let port = fields.number("port", 1..=u16::MAX).unwrap_or(DEFAULT_PORT);
    let server = match (fields.text("host"), binding) {
        (Some(host), _) => server_at(host, port),
        (None, Some(Attribute { value, place, .. })) => {
            match surroundings.bindings.get(value.as_str()) {
                Some((host, port)) => server_at(host, *port),
                None => Err(ConfigError::NotDefined {
                    kind: "outbound-socket-binding",
                    name: value.clone(),
                    place: *place,
                }),
            }
        }
        (None, None) => Err(fields.missing("host")),
    };
    let server = fields.notes.check(server);
    fields.finish();
    server
}

fn server_at(host: &Attribute, port: u16) -> Result<RemoteServer, ConfigError> {
    let bare = host.value.trim();
    let bare = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    if uri::is_host(bare) {
        Ok(RemoteServer { host: bare.into(), port })
    } else if uri::server(&host.value).is_some() {
        Err(host.error("the name or address of a machine alone; its port stands in 'port'"))
    } else {
        Err(host.error("the name or address of a machine"))
    }
}

/// Reads `security`, whose parts stood in the store itself in 9.x. The outer option is whether an
/// element names a user; the inner one is empty if a problem with it was recorded.
fn security(fields: &mut Fields<'_, '_>, draft: &mut Draft) -> Option<Option<Authentication>> {
    let mut authentication = fields.child("authentication");
    let mut encryption = fields.child("encryption");
    if let Some(security) = fields.child("security") {
        let mut fields = Fields::of(security, fields.notes);
        authentication = fields.child("authentication").or(authentication);
        encryption = fields.child("encryption").or(encryption);
        fields.finish();
    }
    if let Some(encryption) = encryption {
        draft.encryption = true;
        let mut fields = Fields::of(encryption, fields.notes);
        fields.ignore(&["keystore", "protocol", "security-realm", "sni-hostname", "truststore"]);
        fields.finish();
    }
    authentication.map(|element| self::authentication(element, draft, fields.notes))
}

fn authentication(
    element: &Element,
    draft: &mut Draft,
    notes: &mut Notes,
) -> Option<Authentication> {
    let mut fields = Fields::of(element, notes);
    let server_name = fields.text("server-name");
    let mechanism = fields.text("sasl-mechanism");
    if let Some(external) = fields.child("external") {
        let why = "client certificates are not there yet; give plain, digest or scram";
        fields.notes.problem(refused("'external' of 'authentication'", why, external.place));
        return None;
    }
    let mut users = Vec::new();
    for (name, kind) in [
        ("plain", AuthenticationElement::Plain),
        ("digest", AuthenticationElement::Digest),
        ("scram", AuthenticationElement::Scram),
    ] {
        users.extend(fields.children(name).map(|user| (user, kind)));
    }
    let user = match users.as_slice() {
        [user] => Ok(*user),
        [] => Err(fields.missing("plain, digest or scram")),
        [_, (Element { name, place, .. }, _), ..] => {
            let (name, place) = (name.clone(), *place);
            Err(ConfigError::UnexpectedElement { name, place, nearest: None })
        }
    };
    let user = fields.notes.check(user);
    fields.finish();
    let (user, kind) = user?;

    let mut fields = Fields::of(user, notes);
    let said = |attribute: Option<&Attribute>, before: Option<String>| {
        attribute.map(|attribute| attribute.value.clone()).or(before)
    };
    let mechanism = fields.text("sasl-mechanism").or(mechanism);
    let username = fields.required("username");
    let password = fields.attribute("password");
    let password = password.ok_or_else(|| fields.missing("password"));
    let password = fields.notes.check(password);
    if let Some(password) = password {
        refuse_mask(password, fields.notes);
    }
    let realm = said(fields.text("realm"), draft.realm.take());
    let server_name = fields.text("server-name").or(server_name);
    let server_name = said(server_name, draft.server_name.take());
    let mechanism = match mechanism {
        Some(mechanism) => fields.notes.check(draft::mechanism(mechanism)).flatten(),
        None => draft.mechanism.take(),
    };
    fields.finish();
    Some(Authentication {
        username: username?.value.clone(),
        password: password?.value.clone(),
        realm,
        server_name,
        mechanism,
        element: Some(kind),
    })
}
