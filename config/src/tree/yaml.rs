//! YAML, with the place of every name. Scalars stay as they are spelled.
//!
//! Anchors and aliases are refused: with them, a small document can be a large one.

use serde_saphyr::granit_parser::{
    Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, options,
};

use super::{
    Element, MAX_DEPTH,
    value::{self, Member, Value, deeper},
};
use crate::{ConfigError, Format, Place};

pub(super) fn read(text: &str) -> Result<Element, ConfigError> {
    let mut events = Events { parser: Parser::new_from_str_with_options(text, limits()) };
    let mut document = None;
    while let Some((event, place)) = events.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if document.is_some() => {
                return Err(error(place, "a second document has no meaning here"));
            }
            event => document = Some(events.node(event, place, 0)?),
        }
    }
    value::document(document.unwrap_or(Value::Null), Format::Yaml)
}

/// A little more than the depth that is taken, so that it is this code that says where.
fn limits() -> Options {
    options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 2,
        block_nesting_limit: MAX_DEPTH + 2,
    }
}

struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Place)>, ConfigError> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, place(&span)))),
            Some(Err(error)) => Err(syntax(&error)),
        }
    }

    /// The next event inside a node.
    fn inside(&mut self) -> Result<(Event<'t>, Place), ConfigError> {
        self.next()?.ok_or_else(|| error(Place::START, "the document ends too early"))
    }

    /// The node that begins with an event.
    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Value, ConfigError> {
        if event.anchor_id().is_some_and(|anchor| anchor != 0) || event.is_alias() {
            return Err(error(place, "anchors and aliases are not taken; write it out"));
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(scalar(&text, style)),
            Event::SequenceStart(..) => self.list(deeper(depth, MAX_DEPTH, place)?),
            Event::MappingStart(..) => self.object(deeper(depth, MAX_DEPTH, place)?),
            _ => Err(error(place, "here has to be a value")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, ConfigError> {
        let mut items = Vec::new();
        loop {
            match self.inside()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push((self.node(event, place, depth)?, place)),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ConfigError> {
        let mut members = Vec::new();
        loop {
            match self.inside()? {
                (Event::MappingEnd, _) => return Ok(Value::Object(members)),
                (Event::Scalar(key, _, 0, _), place) => {
                    let (event, value) = self.inside()?;
                    let value = self.node(event, value, depth)?;
                    members.push(Member { key: key.into_owned(), place, value });
                }
                (_, place) => return Err(error(place, "here has to be a name")),
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Value::Null,
        _ => Value::Scalar(text.into()),
    }
}

fn place(span: &Span) -> Place {
    position(span.start.line(), span.start.col())
}

/// Lines are counted from one, columns from zero.
fn position(line: usize, column: usize) -> Place {
    Place {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
    }
}

fn syntax(error: &ScanError) -> ConfigError {
    self::error(position(error.marker().line(), error.marker().col()), &error.info())
}

fn error(place: Place, reason: &str) -> ConfigError {
    ConfigError::Syntax { format: Format::Yaml, place, reason: reason.into() }
}
