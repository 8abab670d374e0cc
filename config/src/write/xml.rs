//! XML as a real server writes it: attributes, repeated elements, no namespaces.

use super::{Child, Node, Scalar};

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

struct Writer {
    text: String,
    pretty: bool,
}

impl Writer {
    fn element(&mut self, node: &Node, name: Option<&str>, depth: usize) {
        self.open(node.name, depth);
        if let Some(name) = name {
            self.attribute("name", name);
        }
        for (name, value) in &node.attributes {
            match value {
                Scalar::Text(text) => self.attribute(name, text),
                Scalar::Number(number) => self.attribute(name, &number.to_string()),
                Scalar::Flag(flag) => self.attribute(name, &flag.to_string()),
            }
        }
        if node.children.is_empty() {
            self.text.push_str("/>");
            return;
        }
        self.text.push('>');
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
        self.text.push_str(node.name);
        self.text.push('>');
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
