//! JSON as RFC 8259 has it, with the place of every name.
//!
//! Places are those that a real server prints: a name begins behind its quote, and an error stands
//! behind the letter that is wrong.

use std::str::Chars;

use super::{
    Element,
    cursor::after,
    value::{self, Member, Value, deeper},
};
use crate::{ConfigError, Format, Place};

/// Reads a document that is nested at most `max_depth` deep.
pub(super) fn read(text: &str, max_depth: usize) -> Result<Element, ConfigError> {
    let mut parser = Parser { rest: text.chars(), place: Place::START, max_depth };
    parser.blanks();
    let value = parser.value(0)?;
    parser.blanks();
    match parser.peek() {
        Some(_) => Err(parser.error("the document goes on behind its end")),
        None => value::document(value, Format::Json),
    }
}

struct Parser<'t> {
    rest: Chars<'t>,
    place: Place,
    max_depth: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, ConfigError> {
        match self.peek() {
            Some('{') => self.object(deeper(depth, self.max_depth, self.place)?),
            Some('[') => self.list(deeper(depth, self.max_depth, self.place)?),
            Some('"') => {
                self.next();
                self.string().map(Value::Scalar)
            }
            Some('-' | '0'..='9') => self.number(),
            Some('a'..='z') => self.word(),
            Some(_) => Err(self.error("here has to be a value")),
            None => Err(self.error("here has to be a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ConfigError> {
        self.next();
        let mut members = Vec::new();
        self.blanks();
        if self.take('}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            self.expect('"', "here has to be a name in double quotes")?;
            let place = self.place;
            let key = self.string()?;
            self.blanks();
            self.expect(':', "here has to be a colon")?;
            self.blanks();
            members.push(Member { key, place, value: self.value(depth)? });
            self.blanks();
            if self.take('}') {
                return Ok(Value::Object(members));
            }
            self.expect(',', "here has to be a comma or a closing brace")?;
            self.no_end('}', "a comma stands before the closing brace: take it out")?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, ConfigError> {
        self.next();
        let mut items = Vec::new();
        self.blanks();
        if self.take(']') {
            return Ok(Value::List(items));
        }
        loop {
            self.blanks();
            let place = self.place;
            items.push((self.value(depth)?, place));
            self.blanks();
            if self.take(']') {
                return Ok(Value::List(items));
            }
            self.expect(',', "here has to be a comma or a closing bracket")?;
            self.no_end(']', "a comma stands before the closing bracket: take it out")?;
        }
    }

    /// A string whose opening quote is taken.
    fn string(&mut self) -> Result<String, ConfigError> {
        let mut string = String::new();
        loop {
            match self.peek() {
                None => return Err(self.error("a text has no closing quote")),
                Some('\0'..='\u{1f}') => {
                    return Err(self.error("a control character in a text has to be escaped"));
                }
                Some('"') => {
                    self.next();
                    return Ok(string);
                }
                Some('\\') => {
                    self.next();
                    string.push(self.escape()?);
                }
                Some(letter) => {
                    self.next();
                    string.push(letter);
                }
            }
        }
    }

    /// An escape whose backslash is taken.
    fn escape(&mut self) -> Result<char, ConfigError> {
        let letter = match self.peek() {
            Some(letter @ ('"' | '\\' | '/')) => letter,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                self.next();
                return self.unicode();
            }
            Some(_) | None => return Err(self.error("this is not an escape")),
        };
        self.next();
        Ok(letter)
    }

    /// Reads the character after `\u`, which may take two escapes.
    fn unicode(&mut self) -> Result<char, ConfigError> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff => {
                self.expect('\\', "unpaired surrogate")?;
                self.expect('u', "unpaired surrogate")?;
                let second = self.hex()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.error("unpaired surrogate"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.error("unpaired surrogate"))
    }

    fn hex(&mut self) -> Result<u32, ConfigError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|letter| letter.to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.error("here has to be a hex digit"))?;
            self.next();
        }
        Ok(code)
    }

    /// A number, as it is spelled.
    fn number(&mut self) -> Result<Value, ConfigError> {
        let mut number = String::new();
        self.take_into('-', &mut number);
        if !self.take_into('0', &mut number) {
            self.digits(&mut number)?;
        }
        if self.take_into('.', &mut number) {
            self.digits(&mut number)?;
        }
        if self.take_into('e', &mut number) || self.take_into('E', &mut number) {
            let _ = self.take_into('+', &mut number) || self.take_into('-', &mut number);
            self.digits(&mut number)?;
        }
        Ok(Value::Scalar(number))
    }

    fn digits(&mut self, number: &mut String) -> Result<(), ConfigError> {
        let before = number.len();
        while let Some(digit @ '0'..='9') = self.peek() {
            number.push(digit);
            self.next();
        }
        if number.len() == before { Err(self.error("here has to be a digit")) } else { Ok(()) }
    }

    /// `true`, `false` or `null`.
    fn word(&mut self) -> Result<Value, ConfigError> {
        for (word, value) in [
            ("true", Value::Scalar("true".into())),
            ("false", Value::Scalar("false".into())),
            ("null", Value::Null),
        ] {
            if self.rest.as_str().starts_with(word) {
                for _ in word.chars() {
                    self.next();
                }
                return Ok(value);
            }
        }
        Err(self.error("here has to be a value; a text has to be in double quotes"))
    }

    fn blanks(&mut self) {
        while let Some(' ' | '\t' | '\r' | '\n') = self.peek() {
            self.next();
        }
    }

    /// Refuses the end of a list or an object behind a comma.
    fn no_end(&mut self, end: char, reason: &str) -> Result<(), ConfigError> {
        self.blanks();
        if self.peek() == Some(end) { Err(self.error(reason)) } else { Ok(()) }
    }

    fn expect(&mut self, letter: char, reason: &str) -> Result<(), ConfigError> {
        if self.take(letter) { Ok(()) } else { Err(self.error(reason)) }
    }

    fn take_into(&mut self, letter: char, number: &mut String) -> bool {
        let taken = self.take(letter);
        if taken {
            number.push(letter);
        }
        taken
    }

    fn take(&mut self, letter: char) -> bool {
        let taken = self.peek() == Some(letter);
        if taken {
            self.next();
        }
        taken
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) {
        if let Some(letter) = self.rest.next() {
            self.place = after(self.place, letter);
        }
    }

    fn error(&self, reason: &str) -> ConfigError {
        let place = match self.peek() {
            Some(letter) if letter != '\n' => after(self.place, letter),
            _ => self.place,
        };
        let reason = match self.peek() {
            Some(_) => reason.to_owned(),
            None => format!("the document ends too early; {reason}"),
        };
        ConfigError::Syntax { format: Format::Json, place, reason }
    }
}
