//! What a configuration says that has no effect here.
//!
//! It is kept so that a configuration can be given back as it came: to tools that compare what they
//! wrote with what is there, and to whoever moves back to another server.
//!
//! Lists are the same in every format: `roles="a b"` of XML and `"roles":["a","b"]` of JSON, or
//! elements with a text in each. Start reading at [`Kept::of`].

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

/// Attributes and elements without an effect, with the same structure as in their document.
#[derive(Clone, Default)]
pub struct Kept {
    pub(super) attributes: BTreeMap<String, KeptValue>,
    /// By name; those of the same name in their order.
    pub(super) children: Vec<(String, Self)>,
    /// Names and values whose spelling matters.
    pub(super) properties: BTreeMap<String, String>,
}

/// The value of an attribute, or the texts of a list.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum KeptValue {
    One(String),
    Many(Vec<String>),
}

/// Attributes whose value is a list of words in XML.
const LISTS: &[&str] = &["categories", "indexed-entities", "roles"];

/// Elements that an XML document wraps texts in, and what each of them is called.
pub(crate) const WRAPPED: &[(&str, &str)] = &[("indexed-entities", "indexed-entity")];

/// Elements that are listed: those of a child replace those of its parent.
const REPEATED: &[&str] =
    &["backup", "grouper", "interceptor", "key-transformer", "key-transformers", "store"];

impl Kept {
    /// What of an element has no counterpart in `typed`.
    pub(super) fn of(element: &Element, typed: &Typed) -> Self {
        let mut kept = Self::default();
        for attribute in &element.attributes {
            let name = attribute.name.as_str();
            if typed.has_attribute(name) || !is_name(name) {
                continue;
            }
            let words = || attribute.value.split_whitespace().map(str::to_owned).collect();
            let value = match LISTS.contains(&name) {
                true => KeptValue::Many(words()),
                false => KeptValue::One(attribute.value.clone()),
            };
            kept.attributes.insert(name.to_owned(), value);
        }
        for child in &element.children {
            kept.take_child(child, typed.child(&child.name));
        }
        kept.properties.retain(|name, _| !typed.has_property(name));
        kept.children.sort_by(|(one, _), (other, _)| one.cmp(other));
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
                child.children.iter().for_each(|property| self.take_child(property, None));
            }
            _ if !is_name(name) => {}
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
                // An element that says nothing may mean something by being there.
                if !kept.is_empty() || typed.is_none() {
                    self.children.push((name.to_owned(), kept));
                }
            }
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty() && self.properties.is_empty()
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(known, _)| known == name).map(|(_, child)| child)
    }

    /// The value of an attribute that is no list.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            KeptValue::One(text) => Some(text),
            KeptValue::Many(_) => None,
        }
    }

    /// Sets the attribute at a path such as `locking/isolation`.
    pub(super) fn set(&mut self, path: &str, value: &str) {
        match path.split_once('/') {
            None => {
                self.attributes.insert(path.to_owned(), KeptValue::One(value.to_owned()));
            }
            Some((name, path)) => {
                let known = self.children.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or_else(|| {
                    let at = self.children.partition_point(|(known, _)| known.as_str() < name);
                    self.children.insert(at, (name.to_owned(), Self::default()));
                    at
                });
                if let Some((_, child)) = self.children.get_mut(at) {
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
                for (_, child) in self.children.iter_mut().filter(|(known, _)| known == name) {
                    child.remove(path);
                }
                self.children.retain(|(known, child)| known != name || !child.is_empty());
            }
        }
    }

    /// The attribute at a path.
    pub(super) fn value(&self, path: &str) -> Option<&KeptValue> {
        match path.split_once('/') {
            None => self.attributes.get(path),
            Some((name, path)) => self.child(name)?.value(path),
        }
    }

    /// Lays what a child configuration says over what its parent says.
    pub(super) fn override_with(&mut self, own: Self) {
        self.attributes.extend(own.attributes);
        self.properties.extend(own.properties);
        let mut names: Vec<_> = own.children.iter().map(|(name, _)| name.clone()).collect();
        names.dedup();
        for name in names {
            let mut said: Vec<_> =
                own.children.iter().filter(|(known, _)| *known == name).cloned().collect();
            let standing = self.children.iter_mut().find(|(known, _)| *known == name);
            match (standing, said.as_mut_slice()) {
                (Some((_, standing)), [(_, only)]) if !REPEATED.contains(&name.as_str()) => {
                    standing.override_with(std::mem::take(only));
                }
                _ => {
                    self.children.retain(|(known, _)| *known != name);
                    self.children.append(&mut said);
                }
            }
        }
        self.children.sort_by(|(one, _), (other, _)| one.cmp(other));
    }

    /// Adds it to an element that is to be written. What the element says itself stands.
    pub(super) fn write(&self, node: &mut Node, secrets: Secrets) {
        for (name, value) in &self.attributes {
            if node.has(name) {
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
        let mut rest = self.children.as_slice();
        while let Some((name, first)) = rest.first() {
            let count = rest.iter().take_while(|(other, _)| other == name).count();
            let (same, after) = rest.split_at(count);
            rest = after;
            let standing = node.children.iter_mut().find_map(|child| match child {
                Child::Element(child) if child.name == *name => Some(child),
                _ => None,
            });
            match (standing, count) {
                (Some(standing), 1) => first.write(standing, secrets),
                (_, 1) => node.children.push(Child::Element(first.node(name, secrets))),
                _ => {
                    let nodes = same.iter().map(|(_, child)| child.node(name, secrets)).collect();
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

    /// The same without what is the default anyway, each value spelled in one way.
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
        for (name, child) in &self.children {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let child = child.normalized(&path);
            if !child.is_empty() || defaults::means_something(&path) {
                normalized.children.push((name.clone(), child));
            }
        }
        normalized
    }

    /// Names of the attributes and elements that differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let (one, other) = (self.normalized(""), other.normalized(""));
        let names = |kept: &Self| {
            let children = kept.children.iter().map(|(name, _)| name);
            kept.attributes.keys().chain(children).cloned().collect::<BTreeSet<_>>()
        };
        let differs = |name: &String| {
            let named = |kept: &Self| {
                let children = kept.children.iter().filter(|(known, _)| known == name).cloned();
                let attributes = kept.attributes.get_key_value(name).into_iter();
                Self {
                    attributes: attributes.map(|(k, v)| (k.clone(), v.clone())).collect(),
                    children: children.collect(),
                    properties: BTreeMap::new(),
                }
            };
            !named(&one).is_same(&named(&other))
        };
        names(&one).union(&names(&other)).filter(|name| differs(name)).cloned().collect()
    }

    fn is_same(&self, other: &Self) -> bool {
        let child = |((one, first), (other, second)): (&(String, Self), &(String, Self))| {
            one == other && first.is_same(second)
        };
        self.attributes == other.attributes
            && self.properties == other.properties
            && self.children.len() == other.children.len()
            && self.children.iter().zip(&other.children).all(child)
    }
}

/// What is the default anyway makes no difference, and neither does the spelling of a value.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.normalized("").is_same(&other.normalized(""))
    }
}

impl Eq for Kept {}

/// Without values, of which some may be secrets.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.children.iter().map(|(name, child)| (name, child));
        f.debug_map()
            .entries(self.attributes.keys().chain(self.properties.keys()).map(|name| (name, "…")))
            .entries(children)
            .finish()
    }
}

/// Whether an element wraps a list of texts.
fn is_wrapper(element: &Element) -> bool {
    let item = WRAPPED.iter().find(|(name, _)| *name == element.name);
    item.is_some_and(|(_, item)| {
        element.attributes.is_empty()
            && !element.children.is_empty()
            && element.children.iter().all(|child| child.name == *item && is_text(child))
    })
}

/// Whether there is a text and nothing else in an element.
fn is_text(element: &Element) -> bool {
    element.attributes.is_empty() && element.children.is_empty() && !element.text.is_empty()
}

/// Whether every format can have this as a name.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether the value of this name is not for everyone to see.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "credential", "token"].iter().any(|part| name.contains(part))
}
