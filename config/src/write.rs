//! Elements on their way out, in the three formats a cache can be written in.

mod xml;
mod yaml;

use serde_json::{Map, Value};

pub(crate) use self::{xml::to_xml, yaml::to_yaml};

/// An element to be written.
#[derive(Debug)]
pub(crate) struct Node {
    /// Name in kebab-case.
    pub(crate) name: &'static str,
    attributes: Vec<(&'static str, Scalar)>,
    pub(crate) children: Vec<Child>,
}

/// A value to be written.
#[derive(Debug)]
enum Scalar {
    Text(String),
    Number(u64),
    Flag(bool),
}

/// What stands in an element.
#[derive(Debug)]
pub(crate) enum Child {
    Element(Node),
    /// Elements of the same name.
    List(&'static str, Vec<Node>),
    /// Names and values whose spelling matters.
    Properties(Vec<(String, String)>),
}

impl Node {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    pub(crate) fn text(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push((name, Scalar::Text(value.into())));
        self
    }

    pub(crate) fn text_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(crate) fn number(mut self, name: &'static str, value: u64) -> Self {
        self.attributes.push((name, Scalar::Number(value)));
        self
    }

    pub(crate) fn number_if(self, name: &'static str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    pub(crate) fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.attributes.push((name, Scalar::Flag(value)));
        self
    }

    pub(crate) fn child(mut self, child: Self) -> Self {
        self.children.push(Child::Element(child));
        self
    }

    /// The same, unless there is nothing in the child.
    pub(crate) fn child_unless_empty(self, child: Self) -> Self {
        if child.is_empty() { self } else { self.child(child) }
    }

    fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty()
    }

    /// Writes numbers as texts, here and below.
    pub(crate) fn spell_numbers(&mut self) {
        for (_, value) in &mut self.attributes {
            if let Scalar::Number(number) = value {
                *value = Scalar::Text(number.to_string());
            }
        }
        for child in &mut self.children {
            match child {
                Child::Element(node) => node.spell_numbers(),
                Child::List(_, nodes) => nodes.iter_mut().for_each(Self::spell_numbers),
                Child::Properties(_) => {}
            }
        }
    }

    /// What is in the element.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, value) in &self.attributes {
            let value = match value {
                Scalar::Text(text) => Value::from(text.as_str()),
                Scalar::Number(number) => Value::from(*number),
                Scalar::Flag(flag) => Value::from(*flag),
            };
            object.insert((*name).into(), value);
        }
        for child in &self.children {
            let (name, value) = match child {
                Child::Element(node) => (node.name, node.to_json()),
                Child::List(name, nodes) => (*name, nodes.iter().map(Self::to_json).collect()),
                Child::Properties(properties) => {
                    let properties = properties.iter();
                    let pair = |(name, value): &(String, String)| {
                        (name.clone(), Value::from(value.as_str()))
                    };
                    ("properties", Value::Object(properties.map(pair).collect()))
                }
            };
            object.insert(name.into(), value);
        }
        Value::Object(object)
    }
}
