//! What stands behind the question mark.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use http::{Uri, request::Parts};

use crate::problem::Problem;

/// The parameters of a request, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a request to `uri`.
    pub(crate) fn of(uri: &Uri) -> Self {
        Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs)).unwrap_or_default()
    }

    /// The value of a parameter; if it is given twice, the last.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a parameter is there, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns whether a parameter is `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Returns whether a parameter of Godwit's own is `true`.
    ///
    /// # Errors
    ///
    /// If it is neither `true` nor `false`: what it was meant to decide must not be guessed.
    pub(crate) fn decides(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => {
                let text = format!("'{name}' is \"{value}\"; it has to be true or false");
                Err(Problem::bad_request(text))
            }
        }
    }

    /// What is to be done with the resource, if it is not what the method says.
    ///
    /// # Errors
    ///
    /// If there is an action without a name.
    pub(crate) fn action(&self) -> Result<Option<&str>, Problem> {
        match self.all("action").next() {
            Some("") => Err(Problem::bad_request("Invalid action")),
            action => Ok(action),
        }
    }

    /// A whole number; an empty value is none.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Problem> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_not_a_number| not_a_number(text))
    }

    /// A large number of Godwit's own. An empty value is an error: whoever names a limit wants one.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn large(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_not_a_number| {
            let text = format!("'{name}' is \"{text}\"; it has to be a whole number");
            Problem::bad_request(text)
        })
    }

    /// A whole number from 1 on.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn positive(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(1..) => Ok(Some(number.unsigned_abs())),
            Ok(0) | Err(_) => Err(Problem::illegal(name, number)),
        }
    }
}

/// A text that should be a number is none.
pub(crate) fn not_a_number(text: &str) -> Problem {
    Problem::bad_request(format!("For input string: \"{text}\""))
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

#[cfg(test)]
mod tests {
    //! What clients write behind the question mark.

    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::of(&format!("/v2/caches/c?{query}").parse().unwrap())
    }

    #[test]
    fn the_first_action_and_the_last_value_count() {
        let parameters = parameters("action=keys&limit=1&action=x&limit=2&extended&name=a+b%20c");
        assert_eq!(parameters.action().unwrap(), Some("keys"));
        assert_eq!(parameters.number("limit").unwrap(), Some(2));
        assert!(parameters.has("extended") && !parameters.has("nothing"));
        assert_eq!(parameters.get("name"), Some("a b c"));
    }

    #[test]
    fn what_decides_is_true_or_false() {
        let parameters = parameters("a=true&b=False&c&d=maybe&e=1");
        let decides = |name: &str| parameters.decides(name);
        assert_eq!(
            (decides("a"), decides("b"), decides("nothing")),
            (Ok(true), Ok(false), Ok(false))
        );
        let text = decides("d").unwrap_err().text;
        assert_eq!(text, "'d' is \"maybe\"; it has to be true or false");
        assert!(decides("c").is_err() && decides("e").is_err());
    }

    #[test]
    fn numbers_are_refused_as_the_real_server_refuses_them() {
        let parameters = parameters("a=x&b=0&c=-1&d=&e=99999999999&f=7");
        let text = |name: &str| parameters.positive(name).unwrap_err().text;
        assert_eq!(text("a"), "For input string: \"x\"");
        assert_eq!(text("b"), "ISPN012023: Argument 'b' has illegal value '0'");
        assert_eq!(text("c"), "ISPN012023: Argument 'c' has illegal value '-1'");
        assert_eq!(parameters.positive("d"), Ok(None));
        assert_eq!(text("e"), "For input string: \"99999999999\"");
        assert_eq!(parameters.positive("f"), Ok(Some(7)));
    }

    #[test]
    fn large_numbers_are_whole_and_not_negative() {
        let parameters = parameters("a=99999999999&b=-1&c=1.5&d=");
        assert_eq!(parameters.large("a"), Ok(Some(99_999_999_999)));
        let text = parameters.large("b").unwrap_err().text;
        assert_eq!(text, "'b' is \"-1\"; it has to be a whole number");
        assert!(parameters.large("c").is_err());
        assert_eq!(parameters.large("nothing"), Ok(None));
        assert!(parameters.large("d").unwrap_err().text.contains("'d' is \"\""));
    }

    #[test]
    fn an_action_has_a_name() {
        assert_eq!(parameters("action=").action().unwrap_err().text, "Invalid action");
        assert_eq!(parameters("").action(), Ok(None));
    }
}
