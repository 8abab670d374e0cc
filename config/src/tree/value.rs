//! Objects, lists and scalars, as JSON, YAML and TOML have them, on their way into elements.

use super::{Attribute, Element, refuse_twice};
use crate::{ConfigError, Format, Place};

/// A value of a document.
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<(Self, Place)>),
    Object(Vec<Member>),
}

/// A member of an object.
pub(super) struct Member {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Value,
}

/// One level deeper, if there may be one.
pub(super) const fn deeper(depth: usize, limit: usize, place: Place) -> Result<usize, ConfigError> {
    if depth < limit { Ok(depth + 1) } else { Err(ConfigError::TooDeep { limit, place }) }
}

/// The document as an element without a name.
pub(super) fn document(value: Value, format: Format) -> Result<Element, ConfigError> {
    match value {
        Value::Object(members) => element("", Place::START, members, format),
        Value::Null | Value::Scalar(_) | Value::List(_) => Err(ConfigError::Syntax {
            format,
            place: Place::START,
            reason: "here has to be an object with names in it".into(),
        }),
    }
}

fn element(
    name: &str,
    place: Place,
    members: Vec<Member>,
    format: Format,
) -> Result<Element, ConfigError> {
    refuse_twice(members.iter().map(|member| (member.key.as_str(), member.place)))?;
    let mut element = Element::new(name, place);
    for Member { key, place, value } in members {
        match value {
            Value::Null => element.children.push(Element::new(&key, place)),
            Value::Scalar(value) => element.attributes.push(Attribute::new(&key, value, place)),
            Value::Object(members) => {
                element.children.push(self::element(&key, place, members, format)?);
            }
            Value::List(items) => list(&mut element, &key, place, items, format)?,
        }
    }
    Ok(element)
}

/// A list of scalars is one attribute, a list of objects an element each.
fn list(
    element: &mut Element,
    key: &str,
    place: Place,
    items: Vec<(Value, Place)>,
    format: Format,
) -> Result<(), ConfigError> {
    let mut scalars = Vec::new();
    let before = element.children.len();
    for (item, place) in items {
        match item {
            Value::Scalar(value) => scalars.push(value),
            Value::Object(members) => {
                element.children.push(self::element(key, place, members, format)?);
            }
            Value::Null | Value::List(_) => return Err(mixed(key, place, format)),
        }
    }
    if scalars.is_empty() {
        return Ok(());
    }
    if element.children.len() > before {
        return Err(mixed(key, place, format));
    }
    element.attributes.push(Attribute::list(key, scalars, place));
    Ok(())
}

fn mixed(key: &str, place: Place, format: Format) -> ConfigError {
    let reason = format!("the list '{key}' holds something else than texts, or objects");
    ConfigError::Syntax { format, place, reason }
}
