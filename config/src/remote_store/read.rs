//! A remote store from its element, in every spelling since 7.0.

use std::collections::HashSet;

use super::{
    Authentication, AuthenticationElement, DEFAULT_PORT, RemoteServer, RemoteStoreConfig,
    draft::{self, Draft},
    uri,
};
use crate::{
    ConfigError,
    fields::{Fields, missing, refused},
    notes::Notes,
    surroundings::Surroundings,
    tree::{Attribute, Element},
};

/// Reads a `remote-store`.
pub(crate) fn read(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<RemoteStoreConfig, ConfigError> {
    let mut own = notes.of_part();
    let mut config = described(element, surroundings, &mut own)?;
    config.ignored = own.whats().map(str::to_owned).collect();
    notes.absorb(own);
    Ok(config)
}

fn described(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<RemoteStoreConfig, ConfigError> {
    let mut fields = Fields::of(element, notes);
    refuse_what_changes_data(&mut fields)?;
    without_effect(&mut fields);

    let mut draft = Draft::default();
    let servers: Vec<_> = fields.children("remote-server").collect();
    container(&mut fields, servers.is_empty(), &mut draft, surroundings)?;
    fields.accept(&["properties", "property"]);
    draft.properties(element, fields.notes)?;
    if let Some(uri) = fields.text("uri") {
        draft.uri(uri, fields.notes)?;
    }
    for server in servers {
        draft.servers.push(remote_server(server, surroundings, fields.notes)?);
    }
    let mut seen = HashSet::new();
    draft.servers.retain(|server| seen.insert(server.clone()));
    if let Some(version) = fields.text("protocol-version") {
        draft.protocol_version = draft::protocol_version(version)?;
    }
    if let Some(timeout) = fields.text("connect-timeout") {
        draft.connect_timeout = draft::timeout(timeout)?;
    }
    if let Some(timeout) = fields.text("socket-timeout") {
        draft.socket_timeout = draft::timeout(timeout)?;
    }
    let authentication = match security(&mut fields, &mut draft)? {
        Some(authentication) => Some(authentication),
        None => draft.authentication(element)?,
    };
    let cache = fields.attribute("cache").map(|cache| cache.value.clone());
    let read_only = fields.flag("read-only")?.unwrap_or_default();
    fields.finish()?;
    if draft.servers.is_empty() {
        return Err(missing("remote-server or uri", element));
    }
    Ok(RemoteStoreConfig {
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

fn refuse_what_changes_data(fields: &mut Fields<'_, '_>) -> Result<(), ConfigError> {
    for (name, why) in [
        ("purge", "it would delete everything in the source; leave it out"),
        ("preload", "the source is shared: entries come over by synchronizing; leave it out"),
        ("passivation", "what is in memory would be missing in the source; set it to false"),
        ("write-only", "nothing would be read from the source; leave it out"),
        ("transactional", "transactions are not supported; leave it out"),
    ] {
        if let Some(attribute) = fields.attribute(name)
            && attribute.flag()?
        {
            return Err(refused(format!("'{name}' of 'remote-store'"), why, attribute.place));
        }
    }
    Ok(())
}

fn without_effect(fields: &mut Fields<'_, '_>) {
    // What is always done, or only says how entries are to be found.
    fields.accept(&["name", "shared", "segmented", "raw-values", "hotrod-wrapping"]);
    fields.accept(&["tcp-no-delay", "force-return-values"]);
    fields.ignore_for("write-behind", "writes reach the source before they are answered");
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
) -> Result<(), ConfigError> {
    let named = fields.text("remote-cache-container");
    let container = match named {
        Some(Attribute { value, place, .. }) => {
            let container = surroundings.containers.get(value.as_str());
            Some(*container.ok_or_else(|| ConfigError::NotDefined {
                kind: "remote-cache-container",
                name: value.clone(),
                place: *place,
            })?)
        }
        None if needs_servers => surroundings.containers.get("").copied(),
        None => None,
    };
    let Some(container) = container else { return Ok(()) };
    if let Some(uri) = container.attribute("uri") {
        draft.uri(uri, fields.notes)?;
    }
    draft.properties(container, fields.notes)
}

fn remote_server(
    element: &Element,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<RemoteServer, ConfigError> {
    let mut fields = Fields::of(element, notes);
    let binding = fields.text("outbound-socket-binding");
    let port = fields.number("port", 1..=u16::MAX)?.unwrap_or(DEFAULT_PORT);
    let server = match (fields.text("host"), binding) {
        (Some(host), _) => {
            let bare = host.value.trim();
            let bare =
                bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
            if !uri::is_host(bare) {
                return Err(host.error("the name or address of a machine"));
            }
            RemoteServer { host: bare.into(), port }
        }
        (None, Some(Attribute { value, place, .. })) => {
            let server = surroundings.bindings.get(value.as_str()).cloned();
            server.ok_or_else(|| ConfigError::NotDefined {
                kind: "outbound-socket-binding",
                name: value.clone(),
                place: *place,
            })?
        }
        (None, None) => return Err(fields.missing("host")),
    };
    fields.finish()?;
    Ok(server)
}

/// Reads `security`, whose parts stood in the store itself in 9.x.
fn security(
    fields: &mut Fields<'_, '_>,
    draft: &mut Draft,
) -> Result<Option<Authentication>, ConfigError> {
    let mut authentication = fields.child("authentication")?;
    let mut encryption = fields.child("encryption")?;
    if let Some(security) = fields.child("security")? {
        let mut fields = Fields::of(security, fields.notes);
        authentication = fields.child("authentication")?.or(authentication);
        encryption = fields.child("encryption")?.or(encryption);
        fields.finish()?;
    }
    if let Some(encryption) = encryption {
        draft.encryption = true;
        let mut fields = Fields::of(encryption, fields.notes);
        fields.ignore(&["keystore", "protocol", "security-realm", "sni-hostname", "truststore"]);
        fields.finish()?;
    }
    authentication.map(|element| self::authentication(element, draft, fields.notes)).transpose()
}

fn authentication(
    element: &Element,
    draft: &mut Draft,
    notes: &mut Notes,
) -> Result<Authentication, ConfigError> {
    let mut fields = Fields::of(element, notes);
    let server_name = fields.text("server-name");
    let mechanism = fields.text("sasl-mechanism");
    if let Some(external) = fields.child("external")? {
        let why = "client certificates are not there yet; give plain, digest or scram";
        return Err(refused("'external' of 'authentication'", why, external.place));
    }
    let mut users = Vec::new();
    for (name, kind) in [
        ("plain", AuthenticationElement::Plain),
        ("digest", AuthenticationElement::Digest),
        ("scram", AuthenticationElement::Scram),
    ] {
        users.extend(fields.children(name).map(|user| (user, kind)));
    }
    let (user, kind) = match users.as_slice() {
        [user] => *user,
        [] => return Err(fields.missing("plain, digest or scram")),
        [_, (Element { name, place, .. }, _), ..] => {
            let (name, place) = (name.clone(), *place);
            return Err(ConfigError::UnexpectedElement { name, place, nearest: None });
        }
    };
    fields.finish()?;

    let mut fields = Fields::of(user, notes);
    let said = |attribute: Option<&Attribute>, before: Option<String>| {
        attribute.map(|attribute| attribute.value.clone()).or(before)
    };
    let mechanism = fields.text("sasl-mechanism").or(mechanism);
    let authentication = Authentication {
        username: fields.required("username")?.value.clone(),
        password: fields
            .attribute("password")
            .ok_or_else(|| fields.missing("password"))?
            .value
            .clone(),
        realm: said(fields.text("realm"), draft.realm.take()),
        server_name: said(fields.text("server-name").or(server_name), draft.server_name.take()),
        mechanism: match mechanism {
            Some(mechanism) => draft::mechanism(mechanism)?,
            None => draft.mechanism.take(),
        },
        element: Some(kind),
    };
    fields.finish()?;
    Ok(authentication)
}
