//! Elements on their way out, in the three formats a cache can be written in.

mod xml;
mod yaml;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub(crate) use self::{xml::to_xml, yaml::to_yaml};

/// An element to be written.
#[derive(Debug)]
pub(crate) struct Node {
    /// Name in kebab-case.
    pub(crate) name: Cow<'static, str>,
    pub(crate) attributes: Vec<(Cow<'static, str>, Scalar)>,
    pub(crate) children: Vec<Child>,
}

/// A value to be written.
#[derive(Debug)]
pub(crate) enum Scalar {
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

/// What stands in an element.
#[derive(Debug)]
pub(crate) enum Child {
    Element(Node),
    /// Elements of the same name.
    List(Cow<'static, str>, Vec<Node>),
    /// Names and values whose spelling matters.
    Properties(Vec<(String, String)>),
}

impl Node {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), attributes: Vec::new(), children: Vec::new() }
    }

    pub(crate) fn text(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push((name.into(), Scalar::Text(value.into())));
        self
    }

    /// A list of words, unless there are none.
    pub(crate) fn list(mut self, name: &'static str, values: Vec<String>) -> Self {
        if !values.is_empty() {
            self.attributes.push((name.into(), Scalar::List(values)));
        }
        self
    }

    pub(crate) fn text_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// A number, which is written as a text in every format.
    pub(crate) fn number(self, name: &'static str, value: u64) -> Self {
        self.text(name, &value.to_string())
    }

    pub(crate) fn number_if(self, name: &'static str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    pub(crate) fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.attributes.push((name.into(), Scalar::Flag(value)));
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

    /// What is in the element.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, value) in &self.attributes {
            let value = match value {
                Scalar::Text(text) => Value::from(text.as_str()),
                Scalar::Flag(flag) => Value::from(*flag),
                Scalar::List(values) => Value::from(values.clone()),
            };
            object.insert(name.to_string(), value);
        }
        for child in &self.children {
            let (name, value) = match child {
                Child::Element(node) => (&*node.name, node.to_json()),
                Child::List(name, nodes) => (&**name, nodes.iter().map(Self::to_json).collect()),
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
