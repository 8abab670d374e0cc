//! Where the server listens: interfaces and socket bindings.

use std::net::{IpAddr, Ipv4Addr};

use super::endpoints;
use crate::{
    ConfigError,
    fields::{Fields, not_used},
    notes::Notes,
    server::{self, Listen, ServerFile},
    tree::{Attribute, Element},
};

/// Elements of a server that are read here.
pub(super) const ELEMENTS: &[&str] =
    &["interfaces", "socket-bindings", "socket-binding-group", "endpoints", "profile"];

/// Names of the binding that clients connect to, where the endpoints do not say so.
const BINDINGS: &[&str] = &["default", "hotrod"];

/// Reads address, port and offset from a server.
pub(super) fn read(server: &Element, settings: &mut ServerFile, notes: &mut Notes) {
    let endpoints = server.children("endpoints").next();
    if let Some(endpoints) = endpoints {
        endpoints::read(endpoints, settings, notes);
    }
    let bound_to = endpoints.and_then(|endpoints| deep(endpoints, "socket-binding"));
    let groups: Vec<_> =
        server.children("socket-bindings").chain(server.children("socket-binding-group")).collect();
    let mut interface = None;
    for group in &groups {
        interface = bindings(group, bound_to, settings, notes).or(interface);
    }
    if let Some(Attribute { value, place, .. }) = bound_to
        && settings.port.is_none()
        && !groups.is_empty()
    {
        let (kind, name, place) = ("socket-binding", value.clone(), *place);
        notes.problem(ConfigError::NotDefined { kind, name, place });
    }
    let interfaces: Vec<_> = server.children("interfaces").flat_map(listed_interfaces).collect();
    let wanted = interface.map_or("public", |interface| &interface.value);
    let is_wanted =
        |element: &&&Element| element.attribute("name").is_some_and(|name| name.value == wanted);
    if let Some(interface) = interfaces.iter().find(is_wanted) {
        let listen = address(interface, notes);
        listen.into_iter().for_each(|listen| settings.listen_on(listen));
    }
}

/// An attribute of an element, or of the first below it that has it.
pub(super) fn deep<'a>(element: &'a Element, name: &str) -> Option<&'a Attribute> {
    let own = element.attribute(name);
    own.or_else(|| element.children.iter().find_map(|child| deep(child, name)))
}

/// Reads a group of bindings; answers the interface of the one that clients connect to.
fn bindings<'a>(
    group: &'a Element,
    bound_to: Option<&Attribute>,
    settings: &mut ServerFile,
    notes: &mut Notes,
) -> Option<&'a Attribute> {
    let mut fields = Fields::of(group, notes);
    let default = fields.text("default-interface");
    if let Some(offset) = fields.read("port-offset", |offset| offset.number(0..=u16::MAX)) {
        settings.port_offset = Some(offset);
    }
    let mut bindings: Vec<_> = fields.children("socket-binding").collect();
    bindings.extend(fields.children("bindings").flat_map(|list| list.children("socket-binding")));
    fields.accept(&["name", "outbound-socket-binding"]);
    fields.finish();

    let named = |wanted: &str| {
        let is_wanted = |binding: &&&Element| {
            binding.attribute("name").is_some_and(|name| name.value == wanted)
        };
        bindings.iter().find(is_wanted).copied()
    };
    let binding = match bound_to {
        Some(name) => named(&name.value),
        None => BINDINGS.iter().find_map(|name| named(name)),
    };
    let Some(binding) = binding else { return default };
    for other in bindings.iter().filter(|other| !std::ptr::eq(**other, binding)) {
        let why = "everything is served on one port";
        notes.ignore(not_used("socket-binding", &group.name, why), other.place);
    }
    let mut fields = Fields::of(binding, notes);
    settings.port = fields.number("port", 0..=u16::MAX);
    fields.accept(&["name"]);
    let own = fields.text("interface");
    fields.ignore(&["fixed-port", "multicast-address", "multicast-port"]);
    fields.finish();
    own.or(default)
}

/// XML has an element for each interface, JSON and YAML have a list.
fn listed_interfaces(element: &Element) -> Vec<&Element> {
    let own = element.attribute("name").map(|_| element);
    own.into_iter().chain(element.children("interface")).collect()
}

fn any_address(fields: &mut Fields<'_, '_>) -> bool {
    ["any-address", "any-ipv4-address"].into_iter().any(|name| fields.child(name).is_some())
}

fn address(interface: &Element, notes: &mut Notes) -> Option<Listen> {
    let mut fields = Fields::of(interface, notes);
    fields.accept(&["name"]);
    let address = if let Some(address) = fields.child("inet-address") {
        let value = address.attribute("value");
        value.and_then(|value| fields.notes.check(server::listen(value)))
    } else if any_address(&mut fields) {
        Some(Listen::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    } else if fields.child("loopback").is_some() {
        Some(Listen::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    } else {
        None
    };
    fields.accept(&["any-address", "any-ipv4-address", "loopback"]);
    for name in [
        "global",
        "link-local",
        "match-address",
        "match-host",
        "match-interface",
        "nic",
        "non-loopback",
        "site-local",
    ] {
        fields.ignore_for(name, "give an IP address");
    }
    fields.finish();
    address
}
