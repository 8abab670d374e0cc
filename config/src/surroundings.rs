//! What a remote store may refer to elsewhere in its document.

use std::collections::BTreeMap;

use crate::tree::{Attribute, Element};

/// What a remote store may refer to elsewhere in its document.
#[derive(Debug, Default)]
pub(crate) struct Surroundings<'a> {
    /// Host and port of the socket bindings of a `standalone.xml` that lead out, by name.
    pub(crate) bindings: BTreeMap<&'a str, (&'a Attribute, u16)>,
    /// Clients that remote stores share.
    pub(crate) containers: BTreeMap<&'a str, &'a Element>,
}

impl<'a> Surroundings<'a> {
    /// Those in an element and all below it. What is wrong with one is found when it is used.
    pub(crate) fn of(root: &'a Element) -> Self {
        let mut surroundings = Self::default();
        surroundings.collect(root);
        surroundings
    }

    fn collect(&mut self, element: &'a Element) {
        for child in &element.children {
            match child.name.as_str() {
                "outbound-socket-binding" => self.binding(child),
                "remote-cache-containers" => self.containers(child),
                _ => self.collect(child),
            }
        }
    }

    fn binding(&mut self, binding: &'a Element) {
        let destination = binding.children("remote-destination").next().unwrap_or(binding);
        let (name, host) = (binding.attribute("name"), destination.attribute("host"));
        let port = destination.attribute("port").and_then(|port| port.number(1..=u16::MAX).ok());
        if let (Some(name), Some(host), Some(port)) = (name, host, port) {
            self.bindings.insert(&name.value, (host, port));
        }
    }

    /// XML has an element for each, JSON and YAML have a list of objects or a map by name.
    fn containers(&mut self, containers: &'a Element) {
        if !containers.attributes.is_empty() {
            self.containers.insert(name_of(containers), containers);
        }
        for child in &containers.children {
            let named = child.attribute("name").map(|name| name.value.as_str());
            let listed = child.name == "remote-cache-container";
            let name = named.unwrap_or(if listed { "" } else { &child.spelled });
            if listed || child.name != "properties" && child.name != "property" {
                self.containers.insert(name, child);
            }
        }
    }
}

fn name_of(element: &Element) -> &str {
    element.attribute("name").map_or("", |Attribute { value, .. }| value)
}
