//! TOML, with the place of every name.

use ::toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use super::{
    Element, MAX_DEPTH,
    cursor::Cursor,
    value::{self, Member, Value, deeper},
};
use crate::{ConfigError, Format, Place};

pub(super) fn read(text: &str) -> Result<Element, ConfigError> {
    let cursor = Cursor::new(text);
    let table = DeTable::parse(text).map_err(|error| syntax(&error, &cursor))?;
    let members = object(table.get_ref(), &cursor, 1)?;
    value::document(Value::Object(members), Format::Toml)
}

fn object(
    table: &DeTable<'_>,
    cursor: &Cursor<'_>,
    depth: usize,
) -> Result<Vec<Member>, ConfigError> {
    table
        .iter()
        .map(|(key, value)| {
            let place = cursor.place(key.span().start);
            let value = self::value(value, place, cursor, depth)?;
            Ok(Member { key: key.get_ref().to_string(), place, value })
        })
        .collect()
}

fn value(
    value: &Spanned<DeValue<'_>>,
    place: Place,
    cursor: &Cursor<'_>,
    depth: usize,
) -> Result<Value, ConfigError> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::Scalar(text.to_string())),
        DeValue::Integer(number) => Ok(Value::Scalar(number.to_string())),
        DeValue::Float(number) => Ok(Value::Scalar(number.to_string())),
        DeValue::Boolean(flag) => Ok(Value::Scalar(flag.to_string())),
        DeValue::Datetime(time) => Ok(Value::Scalar(time.to_string())),
        DeValue::Table(table) => {
            Ok(Value::Object(object(table, cursor, deeper(depth, MAX_DEPTH, place)?)?))
        }
        DeValue::Array(items) => {
            let depth = deeper(depth, MAX_DEPTH, place)?;
            let item = |item: &Spanned<DeValue<'_>>| {
                let place = cursor.place(item.span().start);
                Ok((self::value(item, place, cursor, depth)?, place))
            };
            items.iter().map(item).collect::<Result<_, _>>().map(Value::List)
        }
    }
}

fn syntax(error: &Error, cursor: &Cursor<'_>) -> ConfigError {
    let place = cursor.place(error.span().map_or(0, |span| span.start));
    ConfigError::Syntax { format: Format::Toml, place, reason: error.message().into() }
}
