//! What the endpoints of an Infinispan server are told, and what of it there is here.

use super::network::deep;
use crate::{
    cors,
    fields::{Fields, not_used},
    notes::Notes,
    server::ServerFile,
    tree::{Attribute, Element},
};

/// Attributes that every connector and endpoint has.
const SOCKETS: &[&str] = &[
    "idle-timeout",
    "io-threads",
    "network-prefix-override",
    "receive-buffer-size",
    "require-ssl-client-auth",
    "send-buffer-size",
    "tcp-keepalive",
    "tcp-nodelay",
    "worker-threads",
];

/// Protocols that are not there.
const NOT_THERE: &[&str] = &["memcached-connector", "memcached", "resp-connector"];

/// Reads `endpoints`, in which connectors stand as in 11.0, or an endpoint for each port.
pub(super) fn read(endpoints: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    if let Some(realm) = deep(endpoints, "security-realm") {
        let why = "authentication is not there yet";
        notes.ignore(not_used("security-realm", "endpoints", why), realm.place);
    }
    endpoint(endpoints, settings, notes);
}

fn endpoint(element: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    fields.accept(&["name", "security-realm", "socket-binding"]);
    fields.ignore(&["admin", "metrics-auth"]);
    let endpoints: Vec<_> = fields.children("endpoint").collect();
    if let [_, second, ..] = endpoints.as_slice() {
        let why = "every endpoint is served on the one port";
        fields.notes.ignore(not_used("endpoint", "endpoints", why), second.place);
    }
    for inner in endpoints {
        endpoint(inner, settings, fields.notes);
    }
    for hotrod in fields.children("hotrod-connector") {
        self::hotrod(hotrod, settings, fields.notes);
    }
    for rest in fields.children("rest-connector") {
        self::rest(rest, settings, fields.notes);
    }
    for name in NOT_THERE {
        fields.ignore_for(name, "there is Hot Rod and REST");
    }
    sockets(&mut fields);
    fields.finish();
}

fn hotrod(element: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    if let Some(host) = fields.text("external-host") {
        settings.external_host = Some(host.value.clone());
    }
    if let Some(port) = fields.number("external-port", 1..=u16::MAX) {
        settings.external_port = Some(port);
    }
    fields.ignore(&["topology-state-transfer", "topology"]);
    connector(fields, settings);
}

fn rest(element: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    let mut fields = Fields::of(element, notes);
    for rules in fields.children("cors-rules") {
        settings.cors.extend(cors::read(rules, fields.notes));
    }
    fields.ignore_unless("context-path", &["rest", "/rest"]);
    fields.ignore_unless("extended-headers", &["ON_DEMAND"]);
    fields.ignore_for("compression-level", "answers are not compressed");
    fields.ignore_for("compression-threshold", "answers are not compressed");
    connector(fields, settings);
}

fn connector(mut fields: Fields<'_, '_>, settings: &mut ServerFile) {
    fields.accept(&["name", "security-realm", "socket-binding"]);
    if let Some(bytes) = fields.read("max-content-length", Attribute::size) {
        // What either of them takes is taken on the one port.
        let most = settings.limits.max_content.unwrap_or_default().max(bytes);
        settings.limits.max_content = Some(most);
    }
    let realm = fields.element.children("authentication").next();
    if realm.is_some_and(|realm| deep(realm, "security-realm").is_some()) {
        // Said for all endpoints.
        fields.accept(&["authentication"]);
    }
    fields.ignore_for("authentication", "authentication is not there yet");
    fields.ignore_for("encryption", "connections are not encrypted");
    sockets(&mut fields);
    fields.finish();
}

fn sockets(fields: &mut Fields<'_, '_>) {
    fields.ignore(SOCKETS);
    fields.ignore_for("ip-filter", "everyone who reaches the port is let in");
}
