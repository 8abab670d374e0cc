//! Reading one element: what is asked for is known, what is left over is an error.

use std::{collections::HashSet, fmt::Display, ops::RangeInclusive, time::Duration};

use crate::{
    ConfigError, Place,
    nearest::nearest,
    notes::Notes,
    quantity,
    tree::{Attribute, Element},
};

/// Most letters of a value that a message repeats.
const MAX_SHOWN: usize = 60;

/// Asks an element for its attributes and children; [`Fields::finish`] refuses the others.
pub(crate) struct Fields<'a, 'n> {
    pub(crate) element: &'a Element,
    pub(crate) notes: &'n mut Notes,
    attributes: Vec<&'static str>,
    children: Vec<&'static str>,
    /// Names that are not asked for one by one, and that a slip may have meant.
    suggested: &'static [&'static str],
}

impl<'a, 'n> Fields<'a, 'n> {
    pub(crate) const fn of(element: &'a Element, notes: &'n mut Notes) -> Self {
        Self { element, notes, attributes: Vec::new(), children: Vec::new(), suggested: &[] }
    }

    pub(crate) fn attribute(&mut self, name: &'static str) -> Option<&'a Attribute> {
        self.attributes.push(name);
        self.element.attribute(name)
    }

    /// An attribute that says something: an empty value is as good as none.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<&'a Attribute> {
        self.attribute(name).filter(|attribute| !attribute.value.is_empty())
    }

    /// An attribute that has to be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Option<&'a Attribute> {
        let attribute = self.text(name);
        if attribute.is_none() {
            let missing = self.missing(name);
            self.notes.problem(missing);
        }
        attribute
    }

    /// What `read` makes of an attribute, if that is there and says something.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Attribute) -> Result<T, ConfigError>,
    ) -> Option<T> {
        let attribute = self.text(name)?;
        self.notes.check(read(attribute))
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let attribute = self.attribute(name)?;
        self.notes.check(attribute.flag())
    }

    pub(crate) fn number<N>(&mut self, name: &'static str, range: RangeInclusive<N>) -> Option<N>
    where
        N: std::str::FromStr + PartialOrd + Display,
    {
        let attribute = self.attribute(name)?;
        self.notes.check(attribute.number(range))
    }

    /// A child that may be there once.
    pub(crate) fn child(&mut self, name: &'static str) -> Option<&'a Element> {
        let mut children = self.children(name);
        let child = children.next();
        if let Some(second) = children.next() {
            let (name, place) = (second.spelled.clone(), second.place);
            self.notes.problem(ConfigError::Twice { name, place });
        }
        child
    }

    pub(crate) fn children(
        &mut self,
        name: &'static str,
    ) -> impl Iterator<Item = &'a Element> + use<'a> {
        self.children.push(name);
        self.element.children(name)
    }

    /// Reads the words of a list: a list of its own, or a text with commas or spaces between the words. Reports
    /// a list with a word that does not fit, and leaves it out.
    pub(crate) fn words(
        &mut self,
        name: &'static str,
        fits: fn(&str) -> bool,
        expected: &'static str,
    ) -> Vec<String> {
        let attribute = self.text(name).cloned();
        let elements = self.children(name);
        let elements = elements.map(|element| Attribute::new(name, &*element.text, element.place));
        let mut words = Vec::new();
        for text in attribute.into_iter().chain(elements) {
            let separators = |letter: char| letter == ',' || letter.is_whitespace();
            let said = text.value.split(separators).filter(|word| !word.is_empty());
            let said: Vec<_> = said.map(str::to_owned).collect();
            if said.iter().all(|word| fits(word)) {
                words.extend(said);
            } else {
                self.notes.problem(text.error(expected));
            }
        }
        words
    }

    /// Names that a slip may have meant, beside those that are asked for.
    pub(crate) const fn suggest(&mut self, names: &'static [&'static str]) {
        self.suggested = names;
    }

    /// Accepts names that need not be mentioned.
    pub(crate) fn accept(&mut self, names: &[&'static str]) {
        self.attributes.extend(names);
        self.children.extend(names);
    }

    /// Accepts elements that are read elsewhere.
    pub(crate) fn accept_elements(&mut self, names: &[&'static str]) {
        self.children.extend(names);
    }

    /// Accepts names that have no effect here, and says so.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.ignore_for(name, "");
        }
    }

    /// Accepts an attribute that has no effect here, and says so unless it is what is done anyway.
    pub(crate) fn ignore_unless(&mut self, name: &'static str, as_here: &[&str]) {
        let is_as_here = |attribute: &Attribute| {
            as_here.iter().any(|value| value.eq_ignore_ascii_case(&attribute.value))
        };
        if self.element.attribute(name).is_some_and(is_as_here) {
            self.accept(&[name]);
        } else {
            self.ignore_for(name, "");
        }
    }

    /// Accepts a name that has no effect here, and says why.
    pub(crate) fn ignore_for(&mut self, name: &'static str, why: &str) {
        self.accept(&[name]);
        let place = match (self.element.attribute(name), self.element.children(name).next()) {
            (Some(attribute), _) => attribute.place,
            (None, Some(child)) => child.place,
            (None, None) => return,
        };
        self.notes.ignore(not_used(name, &self.element.name, why), place);
    }

    /// Refuses whatever was not asked for.
    pub(crate) fn finish(self) {
        self.finish_except(|_| false);
    }

    /// As [`Fields::finish`], but for children that were taken for what they are and not by a name.
    pub(crate) fn finish_except(self, is_taken: impl Fn(&Element) -> bool) {
        let Self { element, notes, attributes, children, suggested } = self;
        if !element.text.is_empty() {
            notes.refuse(ConfigError::UnexpectedText {
                element: element.spelled.clone(),
                place: element.place,
            });
        }
        let elements = [children.as_slice(), suggested].concat();
        let mut seen = HashSet::new();
        for Attribute { name, spelled, place, .. } in &element.attributes {
            let place = *place;
            if attributes.contains(&name.as_str()) {
                if !seen.insert(name) {
                    notes.problem(ConfigError::Twice { name: spelled.clone(), place });
                }
            } else if !notes.is_full_of_names() {
                let nearest = nearest(name, &attributes);
                let name = name.clone();
                notes.refuse(ConfigError::UnexpectedAttribute { name, place, nearest });
            }
        }
        for child in &element.children {
            let name = child.name.as_str();
            // Comparing names takes time, and no more of them would be listed.
            if !notes.is_full_of_names() && !is_taken(child) && !children.contains(&name) {
                let (nearest, name, place) = (nearest(name, &elements), name.into(), child.place);
                notes.refuse(ConfigError::UnexpectedElement { name, place, nearest });
            }
        }
    }

    pub(crate) fn missing(&self, name: &'static str) -> ConfigError {
        missing(name, self.element)
    }
}

/// The element does not say something that is needed.
pub(crate) fn missing(name: &'static str, element: &Element) -> ConfigError {
    ConfigError::Missing { name, element: element.spelled.clone(), place: element.place }
}

/// Something is refused because leaving it out would change what happens to data.
pub(crate) fn refused(what: impl Into<String>, why: &'static str, place: Place) -> ConfigError {
    ConfigError::Refused { what: what.into(), why, place: Some(place) }
}

/// What is noted of a name without an effect.
pub(crate) fn not_used(name: &str, element: &str, why: &str) -> String {
    let colon = if why.is_empty() { "" } else { ": " };
    match element {
        "" => format!("'{name}'{colon}{why}"),
        element => format!("'{name}' of '{element}'{colon}{why}"),
    }
}

impl Attribute {
    pub(crate) fn flag(&self) -> Result<bool, ConfigError> {
        self.one_of(&[("true", true), ("false", false)])
    }

    pub(crate) fn number<N>(&self, range: RangeInclusive<N>) -> Result<N, ConfigError>
    where
        N: std::str::FromStr + PartialOrd + Display,
    {
        let number = self.value.trim().parse().ok().filter(|number| range.contains(number));
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        number.ok_or_else(|| self.error(expected()))
    }

    /// A time, in milliseconds or with a unit.
    pub(crate) fn time(&self) -> Result<Duration, ConfigError> {
        quantity::time(&self.value).ok_or_else(|| {
            self.error("a time in milliseconds, or with a unit such as 500ms, 5s, 1m")
        })
    }

    /// A size in bytes, or with a unit.
    pub(crate) fn size(&self) -> Result<u64, ConfigError> {
        quantity::size(&self.value)
            .ok_or_else(|| self.error("a size in bytes, or with a unit such as 512MB, 1GiB"))
    }

    /// A time; `None` if it is negative.
    pub(crate) fn time_or_unlimited(&self) -> Result<Option<Duration>, ConfigError> {
        if quantity::is_never(&self.value) { Ok(None) } else { self.time().map(Some) }
    }

    /// A size in bytes; `None` for -1 and 0.
    pub(crate) fn size_or_unlimited(&self) -> Result<Option<u64>, ConfigError> {
        if quantity::is_unlimited(&self.value) {
            return Ok(None);
        }
        self.size().map(|size| Some(size).filter(|size| *size > 0))
    }

    /// A number of something; `None` for -1 and 0.
    pub(crate) fn count_or_unlimited(&self) -> Result<Option<u64>, ConfigError> {
        if quantity::is_unlimited(&self.value) {
            return Ok(None);
        }
        self.number(0..=u64::MAX).map(|count| Some(count).filter(|count| *count > 0))
    }

    /// One of a few words, in any case.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let value = self.value.trim();
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.map(|(_, meant)| *meant).ok_or_else(|| self.error(expected()))
    }

    /// A value of a type that says itself what is wrong.
    pub(crate) fn parse<T>(&self, expected: &str) -> Result<T, ConfigError>
    where
        T: std::str::FromStr,
    {
        self.value.trim().parse().ok().ok_or_else(|| self.error(expected))
    }

    pub(crate) fn error(&self, expected: impl Into<String>) -> ConfigError {
        let mut value: String = self.value.chars().take(MAX_SHOWN).collect();
        if value.len() < self.value.len() {
            value.push('…');
        }
        self.wrong(value, expected.into())
    }

    /// As [`Attribute::error`], for a value that may hold a secret.
    pub(crate) fn secret_error(&self, expected: impl Into<String>) -> ConfigError {
        self.wrong("***".into(), expected.into())
    }

    fn wrong(&self, value: String, expected: String) -> ConfigError {
        ConfigError::Value { name: self.name.clone(), value, expected, place: self.place }
    }
}
