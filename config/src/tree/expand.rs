//! `${name:default}` in values.

use super::Element;
use crate::{ConfigError, Place, options::Lookup};

/// What becomes of a name that has neither a value nor a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It stays as it is spelled: the document is only shown.
    Kept,
    /// It is a problem.
    Refused,
}

/// Replaces every `${name}`, `${name:default}` and `${first,second:default}` in the values of an
/// element and all below it. What is put in is not looked at again.
pub(super) fn expand(
    element: &mut Element,
    lookup: Lookup<'_>,
    unknown: Unknown,
    problems: &mut Vec<ConfigError>,
) {
    let mut replace = |text: &mut String, place| {
        if text.contains("${") {
            match expanded(text, place, lookup, unknown) {
                Ok(expanded) => *text = expanded,
                Err(problem) => problems.push(problem),
            }
        }
    };
    for attribute in &mut element.attributes {
        replace(&mut attribute.value, attribute.place);
    }
    replace(&mut element.text, element.place);
    element.children.iter_mut().for_each(|child| expand(child, lookup, unknown, problems));
}

fn expanded(
    text: &str,
    place: Place,
    lookup: Lookup<'_>,
    unknown: Unknown,
) -> Result<String, ConfigError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("${") {
        expanded.push_str(before);
        match inside.split_once('}') {
            Some((reference, behind)) => {
                match (value(reference, place, lookup), unknown) {
                    (Ok(value), _) => expanded.push_str(&value),
                    (Err(_), Unknown::Kept) => expanded.push_str(&format!("${{{reference}}}")),
                    (Err(problem), Unknown::Refused) => return Err(problem),
                }
                rest = behind;
            }
            // An opening without an end is a text, and so are those behind it.
            None => {
                expanded.push_str("${");
                expanded.push_str(inside);
                rest = "";
            }
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(reference: &str, place: Place, lookup: Lookup<'_>) -> Result<String, ConfigError> {
    let (names, default) = match reference.split_once(':') {
        Some((names, default)) => (names, Some(default)),
        None => (reference, None),
    };
    names
        .split(',')
        .map(str::trim)
        .find_map(lookup)
        .or_else(|| default.map(str::to_owned))
        .ok_or_else(|| ConfigError::NoProperty { name: names.to_owned(), place })
}

#[cfg(test)]
mod tests {
    //! Values, defaults, and what has neither.

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "port" => Some("4711".into()),
            "env.HOST" => Some("here".into()),
            "tricky" => Some("${port}".into()),
            _ => None,
        }
    }

    #[test]
    fn a_reference_becomes_its_value_or_its_default() {
        for (text, wanted) in [
            ("${port}", "4711"),
            ("${port:1}", "4711"),
            ("${other:1}", "1"),
            ("${other:}", ""),
            ("${other:a:b}", "a:b"),
            ("${other,port:1}", "4711"),
            ("http://${env.HOST}:${port}/", "http://here:4711/"),
            ("${tricky}", "${port}"),
            ("no reference $port {port}", "no reference $port {port}"),
            ("open ${port", "open ${port"),
        ] {
            assert_eq!(
                expanded(text, Place::START, &lookup, Unknown::Refused).as_deref(),
                Ok(wanted),
                "{text}"
            );
        }
    }

    #[test]
    fn a_reference_without_value_and_default_is_an_error() {
        let error =
            expanded("${env.NO_SUCH}", Place::START, &lookup, Unknown::Refused).unwrap_err();
        assert_eq!(
            error.to_string(),
            "'${env.NO_SUCH}' has no value (line 1, column 1); set it, \
             or give a default as in ${env.NO_SUCH:value}"
        );
        let text = "a ${env.NO_SUCH} ${port}";
        let shown = expanded(text, Place::START, &lookup, Unknown::Kept);
        assert_eq!(shown.as_deref(), Ok("a ${env.NO_SUCH} 4711"));
    }
}
