//! XML as a real server writes it: attributes, repeated elements, no namespaces.

use super::{Child, Node, Scalar};
use crate::cache::WRAPPED;

/// Writes a document, with a `name` if the element has one; with line breaks if it is to be read.
pub(crate) fn to_xml(node: &Node, name: Option<&str>, pretty: bool) -> String {
    let mut writer = Writer { text: String::new(), pretty };
    writer.text.push_str("<?xml version=\"1.0\"?>");
    writer.element(node, name, 0);
    if pretty {
        writer.text.push('\n');
    }
    writer.text
}

/// What each text of a list is called, if the list is an element.
fn item_of(name: &str) -> Option<&'static str> {
    WRAPPED.iter().find(|(known, _)| *known == name).map(|(_, item)| *item)
}

struct Writer {
    text: String,
    pretty: bool,
}

impl Writer {
    fn element(&mut self, node: &Node, name: Option<&str>, depth: usize) {
        self.open(&node.name, depth);
        if let Some(name) = name {
            self.attribute("name", name);
        }
        for (name, value) in &node.attributes {
            match value {
                Scalar::Text(text) => self.attribute(name, text),
                Scalar::Flag(flag) => self.attribute(name, &flag.to_string()),
                Scalar::List(values) if item_of(name).is_none() => {
                    self.attribute(name, &values.join(" "));
                }
                Scalar::List(_) => {}
            }
        }
        let wrapped = || {
            node.attributes.iter().filter_map(|(name, value)| match value {
                Scalar::List(values) => item_of(name).map(|item| (name, item, values)),
                Scalar::Text(_) | Scalar::Flag(_) => None,
            })
        };
        if node.children.is_empty() && wrapped().next().is_none() {
            self.text.push_str("/>");
            return;
        }
        self.text.push('>');
        for (name, item, values) in wrapped() {
            self.wrapped(name, item, values, depth + 1);
        }
        for child in &node.children {
            match child {
                Child::Element(child) => self.element(child, None, depth + 1),
                Child::List(_, nodes) => {
                    nodes.iter().for_each(|node| self.element(node, None, depth + 1));
                }
                Child::Properties(properties) => {
                    for (name, value) in properties {
                        self.open("property", depth + 1);
                        self.attribute("name", name);
                        self.text.push('>');
                        self.escaped(value);
                        self.text.push_str("</property>");
                    }
                }
            }
        }
        self.line(depth);
        self.text.push_str("</");
        self.text.push_str(&node.name);
        self.text.push('>');
    }

    /// A list of texts, each in an element of its own.
    fn wrapped(&mut self, name: &str, item: &str, values: &[String], depth: usize) {
        self.open(name, depth);
        self.text.push('>');
        for value in values {
            self.open(item, depth + 1);
            self.text.push('>');
            self.escaped(value);
            self.text.push_str(&format!("</{item}>"));
        }
        self.line(depth);
        self.text.push_str(&format!("</{name}>"));
    }

    fn open(&mut self, name: &str, depth: usize) {
        self.line(depth);
        self.text.push('<');
        self.text.push_str(name);
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.escaped(value);
        self.text.push('"');
    }

    /// Escaped so that a reader neither trims nor normalises it.
    fn escaped(&mut self, value: &str) {
        let last = value.chars().count().saturating_sub(1);
        for (index, letter) in value.chars().enumerate() {
            match letter {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                letter if letter.is_control() => self.reference(letter),
                letter if letter.is_whitespace() && (index == 0 || index == last) => {
                    self.reference(letter);
                }
                letter => self.text.push(letter),
            }
        }
    }

    fn reference(&mut self, letter: char) {
        self.text.push_str(&format!("&#{};", u32::from(letter)));
    }

    fn line(&mut self, depth: usize) {
        if self.pretty {
            self.text.push('\n');
            self.text.push_str(&"  ".repeat(depth));
        }
    }
}
