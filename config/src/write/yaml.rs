//! YAML as a real server writes it: names in camel case, texts in quotes.

use super::{Child, Node, Scalar};

/// Writes a document, under its name if it has one.
pub(crate) fn to_yaml(node: &Node, name: Option<&str>) -> String {
    let mut text = String::new();
    match name {
        Some(name) => {
            text.push_str(&format!("{}:\n", quoted(name)));
            element(node, 1, &mut text);
        }
        None => element(node, 0, &mut text),
    }
    text
}

fn element(node: &Node, depth: usize, text: &mut String) {
    key(&camel(&node.name), depth, text);
    body(node, depth + 1, text);
}

/// What is in an element, on the lines below its key.
fn body(node: &Node, depth: usize, text: &mut String) {
    if node.is_empty() {
        text.push_str(" {}\n");
        return;
    }
    text.push('\n');
    lines(node, depth, text);
}

fn lines(node: &Node, depth: usize, text: &mut String) {
    for (name, value) in &node.attributes {
        key(&camel(name), depth, text);
        let value = match value {
            Scalar::List(values) => {
                text.push_str(if values.is_empty() { " []\n" } else { "\n" });
                for value in values {
                    text.push_str(&format!("{}- {}\n", indent(depth + 1), quoted(value)));
                }
                continue;
            }
            Scalar::Text(text) => quoted(text),
            Scalar::Flag(flag) => flag.to_string(),
        };
        text.push_str(&format!(" {value}\n"));
    }
    for child in &node.children {
        match child {
            Child::Element(child) => element(child, depth, text),
            Child::List(name, nodes) => {
                key(&camel(name), depth, text);
                text.push_str(if nodes.is_empty() { " []\n" } else { "\n" });
                for node in nodes {
                    text.push_str(&format!("{}-", indent(depth + 1)));
                    body(node, depth + 2, text);
                }
            }
            Child::Properties(properties) => {
                key("properties", depth, text);
                text.push_str(if properties.is_empty() { " {}\n" } else { "\n" });
                for (name, value) in properties {
                    key(&quoted(name), depth + 1, text);
                    text.push_str(&format!(" {}\n", quoted(value)));
                }
            }
        }
    }
}

fn key(name: &str, depth: usize, text: &mut String) {
    text.push_str(&format!("{}{name}:", indent(depth)));
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for letter in value.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // What YAML does not take as it is, or takes as a line break.
            letter if letter.is_control() || "\u{2028}\u{2029}\u{feff}".contains(letter) => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
