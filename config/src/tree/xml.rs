//! XML without document types and entities. Namespaces are accepted and mean nothing.

use quick_xml::{
    XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
    reader::Reader,
};

use super::{Attribute, Element, MAX_DEPTH, cursor::Cursor, refuse_twice, value::deeper};
use crate::{ConfigError, Format, Place};

pub(super) fn read(text: &str) -> Result<Element, ConfigError> {
    let root = Open { element: Element::new("", Place::START), exact: 0 };
    let mut document = Document { text, cursor: Cursor::new(text), open: vec![root] };
    let mut reader = Reader::from_str(text);
    loop {
        let start = offset(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            document.syntax(offset(reader.error_position()), &error.to_string())
        })?;
        match event {
            Event::Start(tag) => document.start(&tag, start)?,
            Event::Empty(tag) => {
                document.start(&tag, start)?;
                document.end();
            }
            Event::End(_) => document.end(),
            Event::Text(part) => document.text(&part.xml10_content(), start)?,
            Event::CData(part) => document.exact_text(&part.xml10_content(), start)?,
            Event::GeneralRef(reference) => document.reference(&reference, start)?,
            Event::DocType(_) => {
                return Err(document.syntax(start, "a document type has no meaning here"));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return document.finish(),
        }
    }
}

struct Document<'t> {
    text: &'t str,
    cursor: Cursor<'t>,
    /// The document itself, and the elements that are not closed yet.
    open: Vec<Open>,
}

/// An element that is not closed yet.
struct Open {
    element: Element,
    /// How much of its text is exact: it is not trimmed away.
    exact: usize,
}

impl Document<'_> {
    fn start(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<(), ConfigError> {
        let place = self.cursor.place(start);
        if let [document] = self.open.as_slice()
            && !document.element.children.is_empty()
        {
            return Err(self.syntax(start, "a second root element"));
        }
        deeper(self.open.len() - 1, MAX_DEPTH, place)?;
        let mut element = Element::new(tag.name().0, place);
        let mut attributes = tag.attributes();
        for attribute in attributes.with_checks(false) {
            let attribute = attribute.map_err(|error| {
                self.syntax(start, &format!("{element_of}: {error}", element_of = tag.name().0))
            })?;
            let spelled = attribute.key.0;
            let at = self.offset_of(spelled).unwrap_or(start);
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| self.syntax(at, &error.to_string()))?;
            if !is_of_xml(spelled) {
                let place = self.cursor.place(at);
                element.attributes.push(Attribute::new(spelled, value, place));
            }
        }
        let names = element.attributes.iter();
        refuse_twice(names.map(|attribute| (attribute.spelled.as_str(), attribute.place)))?;
        self.open.push(Open { element, exact: 0 });
        Ok(())
    }

    fn end(&mut self) {
        // The reader has checked that there is one; the document itself is never closed.
        if let Some(Open { mut element, exact }) = self.open.pop() {
            let trimmed = element.text.trim_end().len();
            element.text.truncate(trimmed.max(exact));
            match self.open.last_mut() {
                Some(parent) => parent.element.children.push(element),
                None => self.open.push(Open { element, exact }),
            }
        }
    }

    /// Text between tags, which is trimmed.
    fn text(&mut self, text: &str, start: usize) -> Result<(), ConfigError> {
        match self.open.as_mut_slice() {
            [_] | [] if text.trim().is_empty() => Ok(()),
            [_] | [] => Err(self.syntax(start, "a text stands outside of the root element")),
            [.., Open { element, .. }] => {
                let text = if element.text.is_empty() { text.trim_start() } else { text };
                element.text.push_str(text);
                Ok(())
            }
        }
    }

    /// Text that was escaped, and so stays as it is.
    fn exact_text(&mut self, text: &str, start: usize) -> Result<(), ConfigError> {
        match self.open.as_mut_slice() {
            [_] | [] => Err(self.syntax(start, "a text stands outside of the root element")),
            [.., Open { element, exact }] => {
                element.text.push_str(text);
                *exact = element.text.len();
                Ok(())
            }
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>, start: usize) -> Result<(), ConfigError> {
        let letter = match reference.resolve_char_ref() {
            Ok(Some(letter)) => letter.to_string(),
            Ok(None) => match resolve_predefined_entity(&reference.xml10_content()) {
                Some(text) => text.to_owned(),
                None => return Err(self.syntax(start, "an entity that XML itself does not have")),
            },
            Err(error) => return Err(self.syntax(start, &error.to_string())),
        };
        self.exact_text(&letter, start)
    }

    fn finish(mut self) -> Result<Element, ConfigError> {
        match (self.open.pop(), self.open.pop()) {
            (Some(Open { element: document, .. }), None) if !document.children.is_empty() => {
                Ok(document)
            }
            (Some(open), Some(_)) => {
                let reason = format!("the document ends within '{}'", open.element.spelled);
                Err(self.syntax(self.text.len(), &reason))
            }
            _ => Err(self.syntax(self.text.len(), "there is no element")),
        }
    }

    /// Where a part of the text begins in it.
    fn offset_of(&self, part: &str) -> Option<usize> {
        let offset = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        self.text.get(offset..)?.starts_with(part).then_some(offset)
    }

    fn syntax(&mut self, offset: usize, reason: &str) -> ConfigError {
        let place = self.cursor.place(offset);
        ConfigError::Syntax { format: Format::Xml, place, reason: reason.into() }
    }
}

/// Returns whether an attribute belongs to XML and not to the configuration.
fn is_of_xml(spelled: &str) -> bool {
    spelled == "xmlns" || ["xmlns:", "xml:", "xsi:"].iter().any(|own| spelled.starts_with(own))
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
