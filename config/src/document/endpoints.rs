//! What the endpoints of an Infinispan server are told, and what of it there is here.

use super::network::deep;
use crate::{
    cors,
    fields::{Fields, not_used},
    notes::Notes,
    server::{Limits, ServerFile},
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
    let mut lengths = Lengths::default();
    endpoint(endpoints, settings, &mut lengths, notes);
    let Some(length) = deep(endpoints, "max-content-length") else { return };
    let (least, most) = lengths.bounds();
    if least != most {
        let why = "one limit holds for all connectors, which is the largest one";
        notes.ignore(not_used("max-content-length", "endpoints", why), length.place);
    }
    settings.limits.max_content = Some(most);
}

/// The `max-content-length` of each connector; `None` for one without it.
#[derive(Default)]
struct Lengths {
    hotrod: Vec<Option<u64>>,
    rest: Vec<Option<u64>>,
}

impl Lengths {
    /// Returns the least and the largest of them. A connector without one has the default, and so has a protocol
    /// without a connector.
    fn bounds(&self) -> (u64, u64) {
        let default = Limits::default().max_content;
        let lengths = [&self.hotrod, &self.rest].into_iter().flat_map(|of_protocol| {
            let missing = of_protocol.is_empty().then_some(None);
            of_protocol.iter().copied().chain(missing)
        });
        lengths
            .map(|length| length.unwrap_or(default))
            .fold((u64::MAX, 0), |(least, most), it| (least.min(it), most.max(it)))
    }
}

fn endpoint(
    element: &Element,
    settings: &mut ServerFile,
    lengths: &mut Lengths,
    notes: &mut Notes,
) {
    let mut fields = Fields::of(element, notes);
    fields.accept(&["name", "security-realm", "socket-binding"]);
    fields.ignore(&["admin", "metrics-auth"]);
    let endpoints: Vec<_> = fields.children("endpoint").collect();
    if let [_, second, ..] = endpoints.as_slice() {
        let why = "every endpoint is served on the one port";
        fields.notes.ignore(not_used("endpoint", "endpoints", why), second.place);
    }
    for inner in endpoints {
        endpoint(inner, settings, lengths, fields.notes);
    }
    for hotrod in fields.children("hotrod-connector") {
        lengths.hotrod.push(self::hotrod(hotrod, settings, fields.notes));
    }
    for rest in fields.children("rest-connector") {
        lengths.rest.push(self::rest(rest, settings, fields.notes));
    }
    for name in NOT_THERE {
        fields.ignore_for(name, "there is Hot Rod and REST");
    }
    sockets(&mut fields);
    fields.finish();
}

/// Reads a connector for Hot Rod; returns its `max-content-length`.
fn hotrod(element: &Element, settings: &mut ServerFile, notes: &mut Notes) -> Option<u64> {
    let mut fields = Fields::of(element, notes);
    if let Some(host) = fields.text("external-host") {
        settings.external_host = Some(host.value.clone());
    }
    if let Some(port) = fields.number("external-port", 1..=u16::MAX) {
        settings.external_port = Some(port);
    }
    fields.ignore(&["topology-state-transfer", "topology"]);
    connector(fields)
}

/// Reads a connector for REST; returns its `max-content-length`.
fn rest(element: &Element, settings: &mut ServerFile, notes: &mut Notes) -> Option<u64> {
    let mut fields = Fields::of(element, notes);
    for rules in fields.children("cors-rules") {
        settings.cors.extend(cors::read(rules, fields.notes));
    }
    fields.ignore_unless("context-path", &["rest", "/rest"]);
    fields.ignore_unless("extended-headers", &["ON_DEMAND"]);
    fields.ignore_for("compression-level", "answers are not compressed");
    fields.ignore_for("compression-threshold", "answers are not compressed");
    connector(fields)
}

fn connector(mut fields: Fields<'_, '_>) -> Option<u64> {
    fields.accept(&["name", "security-realm", "socket-binding"]);
    let bytes = fields.read("max-content-length", Attribute::size);
    let realm = fields.element.children("authentication").next();
    if realm.is_some_and(|realm| deep(realm, "security-realm").is_some()) {
        // Said for all endpoints.
        fields.accept(&["authentication"]);
    }
    fields.ignore_for("authentication", "authentication is not there yet");
    fields.ignore_for("encryption", "connections are not encrypted");
    sockets(&mut fields);
    fields.finish();
    bytes
}

fn sockets(fields: &mut Fields<'_, '_>) {
    fields.ignore(SOCKETS);
    fields.ignore_for("ip-filter", "everyone who reaches the port is let in");
}
