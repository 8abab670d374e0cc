//! Attributes and elements of a configuration that have no effect here.
//!
//! They are kept so that a configuration can be returned as it was given: tools compare what they
//! wrote with what is there, and users may move back to another server.
//!
//! Lists have one form in all formats: `roles="a b"` in XML, `"roles":["a","b"]` in JSON, or
//! elements with a text each. Start reading at [`Kept::of`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{defaults, typed::Typed};
use crate::{
    remote_store::{Secrets, shown},
    tree::Element,
    write::{Child, Node, Scalar},
};

/// Attributes and elements without an effect, structured as in their document.
#[derive(Clone, Default)]
pub struct Kept {
    pub(super) attributes: BTreeMap<String, KeptValue>,
    /// Children by name, several of one name in document order. No list is empty.
    pub(super) children: BTreeMap<String, Vec<Self>>,
    /// Properties, whose names keep their spelling.
    pub(super) properties: BTreeMap<String, String>,
}

/// The value of an attribute, or the texts of a list.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum KeptValue {
    One(String),
    Many(Vec<String>),
}

impl KeptValue {
    /// Returns the value, unless it is a list.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::One(text) => Some(text),
            Self::Many(_) => None,
        }
    }
}

/// Attributes whose value is a list of words in XML.
const LISTS: &[&str] = &["categories", "indexed-entities", "roles"];

/// Elements that wrap texts in XML, and the names of the elements with the texts.
pub(crate) const WRAPPED: &[(&str, &str)] = &[("indexed-entities", "indexed-entity")];

/// Elements that form lists: those of a cache replace those of its template.
const REPEATED: &[&str] =
    &["backup", "grouper", "interceptor", "key-transformer", "key-transformers", "store"];

impl Kept {
    /// Collects the parts of an element that have no counterpart in `typed`.
    pub(super) fn of(element: &Element, typed: &Typed) -> Self {
        let mut kept = Self::default();
        for attribute in &element.attributes {
            let name = attribute.name.as_str();
            if typed.has_attribute(name) || typed.child(name).is_some() || !is_name(name) {
                continue;
            }
            // Properties are kept as elements; as an attribute, the name would be written as a list
            // of them.
            if name == "property" || name == "properties" {
                continue;
            }
            let words = || attribute.value.split_whitespace().map(str::to_owned).collect();
            let value = match (attribute.items.as_slice(), LISTS.contains(&name)) {
                ([], true) => KeptValue::Many(words()),
                ([] | [_], false) => KeptValue::One(attribute.value.clone()),
                (items, _) => KeptValue::Many(items.to_vec()),
            };
            kept.attributes.insert(name.to_owned(), value);
        }
        for child in element.children.iter().filter(|child| !typed.has_attribute(&child.name)) {
            kept.take_child(child, typed.child(&child.name));
        }
        // A name can belong to an attribute or to an element, not to both.
        kept.children.keys().for_each(|name| drop(kept.attributes.remove(name)));
        kept.properties.retain(|name, _| !typed.has_property(name));
        kept
    }

    fn take_child(&mut self, child: &Element, typed: Option<&Typed>) {
        let name = child.name.as_str();
        match name {
            "property" => {
                if let Some(name) = child.attribute("name") {
                    let value = child.attribute("value").map_or(&child.text, |value| &value.value);
                    self.properties.insert(name.value.clone(), value.clone());
                }
            }
            "properties" => {
                let own = child.attributes.iter();
                let own = own.map(|property| (property.spelled.clone(), property.value.clone()));
                self.properties.extend(own);
                child.children("property").for_each(|property| self.take_child(property, None));
            }
            _ if !is_name(name) => {}
            // Servers are a list, and all their attributes have fields.
            "remote-server" if typed.is_some() => {}
            _ if typed.is_some() && is_text(child) => {}
            _ if is_wrapper(child) => {
                let texts = child.children.iter().map(|item| item.text.clone()).collect();
                self.attributes.insert(name.to_owned(), KeptValue::Many(texts));
            }
            _ if is_text(child) => {
                let value = match self.attributes.remove(name) {
                    None => KeptValue::One(child.text.clone()),
                    Some(KeptValue::One(first)) => KeptValue::Many(vec![first, child.text.clone()]),
                    Some(KeptValue::Many(mut texts)) => {
                        texts.push(child.text.clone());
                        KeptValue::Many(texts)
                    }
                };
                self.attributes.insert(name.to_owned(), value);
            }
            _ => {
                let kept = Self::of(child, typed.unwrap_or(&Typed::NOTHING));
                // An empty element may still have a meaning.
                if !kept.is_empty() || typed.is_none() {
                    self.children.entry(name.to_owned()).or_default().push(kept);
                }
            }
        }
    }

    /// Moves the children of this name into another child.
    pub(super) fn move_children(&mut self, name: &str, into: &str) {
        if let Some(moved) = self.children.remove(name)
            && let Some(into) = self.child_mut(into)
        {
            into.children.entry(name.to_owned()).or_default().extend(moved);
        }
    }

    /// Removes the attributes and elements with these names.
    pub(super) fn remove_names(&mut self, names: &[&str]) {
        for name in names {
            self.attributes.remove(*name);
            self.children.remove(*name);
        }
    }

    /// Removes the children of this name from a child.
    pub(super) fn remove_children(&mut self, of: &str, name: &str) {
        for child in self.children.get_mut(of).into_iter().flatten() {
            child.children.remove(name);
        }
        self.remove_if_empty(of);
    }

    /// Returns whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty() && self.properties.is_empty()
    }

    /// Returns the first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name)?.first()
    }

    /// Returns the first child of this name, creating it if necessary.
    fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.children.entry(name.to_owned()).or_insert_with(|| vec![Self::default()]).first_mut()
    }

    /// Removes the empty children of this name.
    fn remove_if_empty(&mut self, name: &str) {
        if let Some(children) = self.children.get_mut(name) {
            children.retain(|child| !child.is_empty());
            if children.is_empty() {
                self.children.remove(name);
            }
        }
    }

    /// Returns the value of an attribute, unless it is a list.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.text()
    }

    /// Sets the attribute at a path such as `locking/isolation`.
    pub(super) fn set(&mut self, path: &str, value: &str) {
        match path.split_once('/') {
            None => {
                self.attributes.insert(path.to_owned(), KeptValue::One(value.to_owned()));
            }
            Some((name, path)) => {
                if let Some(child) = self.child_mut(name) {
                    child.set(path, value);
                }
            }
        }
    }

    /// Removes the attribute at a path.
    pub(super) fn remove(&mut self, path: &str) {
        match path.split_once('/') {
            None => {
                self.attributes.remove(path);
            }
            Some((name, path)) => {
                self.children.get_mut(name).into_iter().flatten().for_each(|it| it.remove(path));
                self.remove_if_empty(name);
            }
        }
    }

    /// Returns the attribute at a path.
    pub(super) fn value(&self, path: &str) -> Option<&KeptValue> {
        match path.split_once('/') {
            None => self.attributes.get(path),
            Some((name, path)) => self.child(name)?.value(path),
        }
    }

    /// Overrides what a template keeps by what a cache keeps.
    pub(super) fn override_with(&mut self, own: Self) {
        // A name can belong to an attribute or to an element, not to both.
        own.attributes.keys().for_each(|name| drop(self.children.remove(name)));
        own.children.keys().for_each(|name| drop(self.attributes.remove(name)));
        self.attributes.extend(own.attributes);
        self.properties.extend(own.properties);
        for (name, mut said) in own.children {
            let standing = self.children.get_mut(&name).and_then(|standing| standing.first_mut());
            match (standing, said.as_mut_slice()) {
                (Some(standing), [only]) if !REPEATED.contains(&name.as_str()) => {
                    standing.override_with(std::mem::take(only));
                }
                _ => drop(self.children.insert(name, said)),
            }
        }
    }

    /// Adds everything to a node that is to be written. Attributes and elements of the node itself
    /// take precedence.
    pub(super) fn write(&self, node: &mut Node, secrets: Secrets) {
        // Search only the node's own attributes and elements for each name.
        let (attributes, children) = (node.attributes.len(), node.children.len());
        for (name, value) in &self.attributes {
            if node.attributes.iter().take(attributes).any(|(said, _)| said == name) {
                continue;
            }
            let is_secret = is_secret(name);
            let text =
                |text: &String| if is_secret { shown(text, secrets) } else { text }.to_owned();
            let value = match value {
                KeptValue::One(value) => match value.as_str() {
                    "true" => Scalar::Flag(true),
                    "false" => Scalar::Flag(false),
                    _ => Scalar::Text(text(value)),
                },
                KeptValue::Many(values) => Scalar::List(values.iter().map(text).collect()),
            };
            node.attributes.push((name.clone().into(), value));
        }
        for (name, same) in &self.children {
            let mut standing = node.children.iter_mut().take(children);
            let standing = standing.find_map(|child| match child {
                Child::Element(child) if child.name == *name => Some(child),
                _ => None,
            });
            match (standing, same.as_slice()) {
                (Some(standing), [only]) => only.write(standing, secrets),
                (_, [only]) => node.children.push(Child::Element(only.node(name, secrets))),
                _ => {
                    let nodes = same.iter().map(|child| child.node(name, secrets)).collect();
                    node.children.push(Child::List(name.clone().into(), nodes));
                }
            }
        }
        if self.properties.is_empty() {
            return;
        }
        let properties = self.properties.iter().map(|(name, value)| {
            let value = if is_secret(name) { shown(value, secrets) } else { value };
            (name.clone(), value.to_owned())
        });
        let standing = node.children.iter_mut().find_map(|child| match child {
            Child::Properties(properties) => Some(properties),
            Child::Element(_) | Child::List(..) => None,
        });
        match standing {
            Some(standing) => {
                let known: Vec<_> = standing.iter().map(|(name, _)| name.clone()).collect();
                standing.extend(properties.filter(|(name, _)| !known.contains(name)));
            }
            None => node.children.push(Child::Properties(properties.collect())),
        }
    }

    fn node(&self, name: &str, secrets: Secrets) -> Node {
        let mut node = Node::new(name.to_owned());
        self.write(&mut node, secrets);
        node
    }

    /// Returns a copy without defaults and with canonical spellings.
    fn normalized(&self, path: &str) -> Self {
        let mut normalized = Self { properties: self.properties.clone(), ..Self::default() };
        for (name, value) in &self.attributes {
            let value = match value {
                KeptValue::One(value) => {
                    let value = defaults::normalized(name, value);
                    if defaults::is_default(path, name, &value) {
                        continue;
                    }
                    KeptValue::One(value)
                }
                KeptValue::Many(values) if values.is_empty() => continue,
                KeptValue::Many(values) => {
                    let mut values = values.clone();
                    values.sort();
                    KeptValue::Many(values)
                }
            };
            normalized.attributes.insert(name.clone(), value);
        }
        for (name, children) in &self.children {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let is_mark = defaults::means_something(&path);
            let children = children.iter().map(|child| child.normalized(&path));
            let children: Vec<_> = children.filter(|child| !child.is_empty() || is_mark).collect();
            if !children.is_empty() {
                normalized.children.insert(name.clone(), children);
            }
        }
        normalized
    }

    /// Returns the names of the attributes and elements that differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let (one, other) = (self.normalized(""), other.normalized(""));
        let names = [&one, &other].into_iter().flat_map(|kept| {
            kept.attributes.keys().chain(kept.children.keys()).map(String::as_str)
        });
        let differs = |name: &&str| {
            let has_same_children = match (one.children.get(*name), other.children.get(*name)) {
                (Some(some), Some(others)) => are_same(some, others),
                (None, None) => true,
                _ => false,
            };
            !has_same_children || one.attributes.get(*name) != other.attributes.get(*name)
        };
        let names: BTreeSet<_> = names.filter(differs).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    fn is_same(&self, other: &Self) -> bool {
        let mut children = self.children.values().zip(other.children.values());
        self.attributes == other.attributes
            && self.properties == other.properties
            && self.children.keys().eq(other.children.keys())
            && children.all(|(some, others)| are_same(some, others))
    }
}

/// Defaults equal missing values, and spelling does not matter.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.normalized("").is_same(&other.normalized(""))
    }
}

impl Eq for Kept {}

/// Omits values, which may be secrets.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.attributes.keys().chain(self.properties.keys()).map(|name| (name, "…")))
            .entries(&self.children)
            .finish()
    }
}

fn are_same(some: &[Kept], others: &[Kept]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| one.is_same(other))
}

/// Returns whether an element wraps a list of texts.
fn is_wrapper(element: &Element) -> bool {
    let item = WRAPPED.iter().find(|(name, _)| *name == element.name);
    item.is_some_and(|(_, item)| {
        element.attributes.is_empty()
            && !element.children.is_empty()
            && element.children.iter().all(|child| child.name == *item && is_text(child))
    })
}

/// Returns whether an element consists of a text.
fn is_text(element: &Element) -> bool {
    element.attributes.is_empty() && element.children.is_empty() && !element.text.is_empty()
}

/// Returns whether this is a valid name in every format.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Returns whether the value of this name is secret.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "credential", "token"].iter().any(|part| name.contains(part))
}
